"""Exports of runs and presets, which know the names and the preprocessing of their data."""

from tfgen.core.export_metadata import read_metadata
from tfgen.core.export_metadata import versions
from tfgen.core.export_metadata import weights_fingerprint

# Settings of a run that say what was done to its data.
_PREPROCESSING = ("image_size", "binarise", "table")


def export_version(net, settings, folder, verbose=False):
    """Writes the next version of a model into a folder, unless the last one is of these weights.

    Args:
        net: a `tfgen.GenerativeModel`.
        settings: dict of the settings of its run; empty if they are unknown.
        folder: path of the folder of all versions.
        verbose: whether to print the signatures.
    """
    if versions(folder) and _last_weights(folder) == weights_fingerprint(net):
        return
    net.export(folder, verbose=bool(verbose), version="next", **described(net, settings))


def described(net, settings):
    """Arguments of `export` that settings of a run tell.

    Args:
        net: a `tfgen.GenerativeModel`.
        settings: dict.

    Returns:
        Dict of `class_names` and `preprocessing`.
    """
    names = settings.get("class_names")
    fit = names is not None and net.num_classes == len(names) == len(set(names))
    done = {k: settings[k] for k in _PREPROCESSING if settings.get(k) not in (None, False)}
    return {"class_names": [str(name) for name in names] if fit else None, "preprocessing": done}


def _last_weights(folder):
    try:
        return read_metadata(folder).weights
    except ValueError:
        # It is damaged: another is written.
        return None

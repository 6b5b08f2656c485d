"""Exports of runs and presets, which know the names and the preprocessing of their data."""

from pathlib import Path

from tfgen.app.opened import open_model
from tfgen.core.export_metadata import read_metadata
from tfgen.core.export_metadata import versions
from tfgen.core.export_metadata import weights_fingerprint

# Settings of a run that say what was done to its data.
_PREPROCESSING = ("image_size", "binarise", "table")


def export(run, out, *, format="tf_saved_model", signature=None):
    """Exports a trained model for serving without tfgen.

    Args:
        run: the run folder, or a preset with weights: name, folder or handle.
        out: folder in which a new version is written, `OUT/1` and so on; of other formats a file.
        format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
        signature: of the latter two, the one signature that the file holds; by default `log_prob`
            or, of models without it, `decode`.

    Returns:
        The `pathlib.Path` of what was written.

    Raises:
        ValueError: `run` is no trained model, or the format cannot hold the signature.
        ImportError: the format's converter is not installed.
        OSError: `out` cannot be written.

    >>> import os, tempfile
    >>> from tfgen.app import runs
    >>> path = runs.export("nsf_pinwheel", tempfile.mkdtemp())
    >>> path.name, sorted(entry.name for entry in path.iterdir())  # doctest: +ELLIPSIS
    ('1', ['assets', 'assets.extra', ..., 'saved_model.pb', 'variables'])
    """
    opened, out = open_model(run), Path(out)
    if format != "tf_saved_model":
        opened.net.export(out, format=format, signature=signature, verbose=False)
        return out
    given = described(opened.net, opened.settings)
    opened.net.export(out, version="next", signature=signature, verbose=False, **given)
    return out / str(versions(out)[-1])


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
    fit = names is not None and net.data_spec.num_labels == len(names) == len(set(names))
    done = {k: settings[k] for k in _PREPROCESSING if settings.get(k) not in (None, False)}
    return {"class_names": [str(name) for name in names] if fit else None, "preprocessing": done}


def _last_weights(folder):
    try:
        return read_metadata(folder).weights
    except ValueError:
        # It is damaged: another is written.
        return None

"""What `tfgen serve` takes: runs, presets and SavedModels."""

from pathlib import Path

import tensorflow as tf

from tfgen.app.opened import open_model
from tfgen.app.serving.functions import Functions
from tfgen.app.serving.served import Served
from tfgen.core.export_metadata import FILE
from tfgen.core.export_metadata import find_export
from tfgen.core.export_metadata import read_metadata


def open_served(source, name=None, max_rows=1024):
    """Opens what is to be served.

    Args:
        source: the folder of a run, a preset with weights, or the folder of a SavedModel or of its
            numbered versions, of which the latest is taken.
        name: str, its name in addresses; by default that of the folder or preset.
        max_rows: rows of a request at most.

    Returns:
        A `Served`.

    Raises:
        ValueError: it is none of these.
        OSError: it cannot be read.
    """
    name = name or Path(str(source).rstrip("/")).resolve().name
    try:
        folder = find_export(source)
    except ValueError:
        opened = open_model(source)
        return Served.of(name, opened.net, opened.class_names, max_rows)
    loaded = tf.saved_model.load(str(folder))
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(f"the SavedModel in {folder} has no signatures to serve")
    version = int(folder.name) if folder.name.isdecimal() else 1
    about = {}
    try:
        metadata = read_metadata(folder)
        about = {
            "spec": metadata.data_spec,
            "likelihood": metadata.likelihood,
            "class_names": metadata.class_names,
        }
    except ValueError:
        if (folder / FILE).exists():
            raise
    served = Served(name, Functions(functions), version=version, max_rows=max_rows, **about)
    # The weights live as long as it does.
    served.loaded = loaded
    return served

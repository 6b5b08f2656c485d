"""Sources of `tfgen serve`: runs, presets and SavedModels."""

from pathlib import Path

import tensorflow as tf

from tfgen.app.opened import open_model
from tfgen.app.serving.functions import CONDITIONS
from tfgen.app.serving.functions import Functions
from tfgen.app.serving.served import Served
from tfgen.core.export_metadata import FILE
from tfgen.core.export_metadata import find_export
from tfgen.core.export_metadata import read_metadata
from tfgen.core.preset_folders import CONFIG

_RUN = "model.keras"  # in the folder of a run that is finished


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
        ValueError: it is none of these, or damaged.
        OSError: it cannot be read.
    """
    name = name or Path(str(source).rstrip("/")).resolve().name
    try:
        folder = find_export(source)
    except ValueError:
        own = [Path(source) / file for file in (_RUN, CONFIG)]
        if Path(source).is_dir() and not any(file.is_file() for file in own):
            raise ValueError(
                "`SOURCE` must be a preset with weights, or the folder of a finished run, of a "
                f"preset, or of a SavedModel or its numbered versions; got {str(source)!r}, with "
                f"no {_RUN}, no {CONFIG} and no saved_model.pb"
            ) from None
        opened = open_model(source, name="SOURCE")
        return Served.of(name, opened.net, opened.class_names, max_rows)
    loaded = tf.saved_model.load(str(folder))
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(f"the SavedModel in {folder} has no signatures to serve")
    for signature, function in functions.items():
        for output, spec in function.structured_outputs.items():
            if spec.dtype.is_complex or spec.dtype in (tf.variant, tf.resource):
                raise ValueError(
                    f"the SavedModel in {folder} cannot be served: its signature {signature!r} has "
                    f"the output {output!r} of {spec.dtype.name}, which JSON does not have"
                )
    version = int(folder.name) if folder.name.isdecimal() else 1
    about = {}
    functions = Functions(functions)
    if (folder / FILE).exists():
        metadata = read_metadata(folder)
        _require_fit(folder, functions, metadata.data_spec)
        about = {
            "spec": metadata.data_spec,
            "likelihood": metadata.likelihood,
            "class_names": metadata.class_names,
        }
    served = Served(name, functions, version=version, max_rows=max_rows, **about)
    # The weights live as long as it does.
    served.loaded = loaded
    return served


def _require_fit(folder, functions, spec):
    """Refuses a description that is not that of the functions beside it."""
    condition = spec.condition_spec
    if condition is not None and not isinstance(condition, dict):
        condition = {"condition": condition}
    for name in ("log_prob", "encode", "decode", "sample"):
        if name not in functions.signatures:
            continue
        of_data = {"x": spec.x_spec} if name in ("log_prob", "encode") else {}
        expected = {**of_data, **(condition or {})}
        inputs = functions.inputs(name)
        found = {k: v for k, v in inputs.items() if k in ("x", *CONDITIONS)}
        outputs = functions.signatures[name].structured_outputs
        made = [v.shape[1:] for k, v in outputs.items() if k in ("x", "samples")]
        if (
            {k: (v.shape.as_list(), v.dtype) for k, v in found.items()}
            != {k: (v.shape.as_list(), v.dtype) for k, v in expected.items()}
            or not all(shape.is_compatible_with(spec.event_shape) for shape in made)
        ):  # fmt: skip
            raise ValueError(
                f"{folder / FILE} does not describe the SavedModel beside it: its `{name}` must "
                f"take {_words(expected)}, of examples {list(spec.event_shape)}; it takes "
                f"{_words(found)}. Export the model again"
            )


def _words(specs):
    """Names, shapes and dtypes of inputs."""
    words = [f"`{name}` {v.shape.as_list()} {v.dtype.name}" for name, v in specs.items()]
    return ", ".join(words).replace("None", "n") or "neither examples nor conditions"

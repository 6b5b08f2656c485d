"""Metadata of an export: all that is needed to check input without the model."""

import json
import os
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen._version import __version__
from tfgen.core.data_spec import DataSpec
from tfgen.data.columns import Columns
from tfgen.utils.files import fingerprint
from tfgen.utils.files import read_json

# SavedModel's own place for what no graph reads.
FILE = "assets.extra/tfgen.json"
_GRAPH = "saved_model.pb"


class ExportMetadata(NamedTuple):
    """Description of an exported model.

    Attributes:
        name: Keras's name of the model.
        class_name: the model's class, such as `"RealNVP"`.
        likelihood: what its `log_prob` is, as in `GenerativeModel`.
        data_spec: the `DataSpec` of its examples and conditions, with the checks of both.
        latent_shape: shape of an example's latents, or None.
        class_names: list of the names of its labels, or None.
        preprocessing: dict of what was done to the data that it was trained on, by the names of
            `tfgen train`'s options, such as `image_size` and `binarise`; empty if unknown.
        signatures: dict from the name of a signature to a dict of its `inputs`, `outputs` and
            `defaults`; of the first two each is a dict from a name to a `tf.TensorSpec`, of the
            last to a number or a list.
        weights: fingerprint of the weights: that of another export differs if its weights do.
        version: version of tfgen that wrote it.

    >>> import tempfile, tfgen
    >>> from tfgen.core import ExportMetadata, read_metadata
    >>> folder = tempfile.mkdtemp()
    >>> tfgen.models.Flow(2, tfgen.bijectors.ActNorm()).export(folder, verbose=False)
    >>> read = read_metadata(folder)
    >>> isinstance(read, ExportMetadata), read.class_name, read.data_spec.event_shape
    (True, 'Flow', (2,))
    """

    name: str
    class_name: str
    likelihood: str
    data_spec: DataSpec
    latent_shape: tuple | None
    class_names: list | None
    preprocessing: dict
    signatures: dict
    weights: str
    version: str


def find_export(folder):
    """Folder of a SavedModel: this folder itself, or of its numbered ones the latest.

    Args:
        folder: what `export` wrote to, with `version=` or without.

    Returns:
        `pathlib.Path`.

    Raises:
        ValueError: there is no SavedModel.

    >>> import tempfile, tfgen
    >>> folder = tempfile.mkdtemp()
    >>> tfgen.models.Flow(2, tfgen.bijectors.ActNorm()).export(folder, verbose=False, version=3)
    >>> find_export(folder).name
    '3'
    """
    folder = pathlib.Path(os.path.expanduser(folder))
    if (folder / _GRAPH).is_file():
        return folder
    found = versions(folder)
    if not found:
        raise ValueError(
            f"`folder` must be that of a SavedModel, or of its versions; no {folder / _GRAPH} and "
            f"no {folder / '1' / _GRAPH}"
        )
    return folder / str(found[-1])


def versions(folder):
    """Numbers of the versions in a folder, in order: those that TensorFlow Serving finds there.

    Args:
        folder: str or path object; there may be no such folder.

    Returns:
        List of ints.
    """
    if not tf.io.gfile.isdir(str(folder)):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(str(folder))]
    numbers = sorted(int(name) for name in names if name.isdecimal() and name.isascii())
    return [n for n in numbers if tf.io.gfile.exists(f"{folder}/{n}/{_GRAPH}")]


def weights_fingerprint(model):
    """Fingerprint of a model's weights, equal for equal weights in every process."""
    return fingerprint(*(np.asarray(w) for w in model.weights))


def write_metadata(path, model, functions, defaults, class_names, preprocessing):
    """Writes the description of an export into its folder.

    Args:
        path: folder of the SavedModel, a local or a remote one.
        model: the `GenerativeModel`.
        functions: dict of its signatures, concrete functions.
        defaults: dict from a signature's name to a dict of its inputs' default values.
        class_names: list of names of its labels, or None.
        preprocessing: dict of plain values.
    """
    content = {
        "tfgen": __version__,
        "name": model.name,
        "class": type(model).__name__,
        "likelihood": model.likelihood,
        "data": _data(model.data_spec.without_target()),
        "latent_shape": model.latent_shape,
        "class_names": class_names,
        "preprocessing": preprocessing,
        "signatures": {
            name: {
                "inputs": _specs(function.structured_input_signature),
                "outputs": _specs(function.structured_outputs),
                "defaults": defaults.get(name, {}),
            }
            for name, function in functions.items()
        },
        "weights": weights_fingerprint(model),
    }
    file = f"{path}/{FILE}"
    tf.io.gfile.makedirs(os.path.dirname(file))
    with tf.io.gfile.GFile(file, "w") as opened:
        opened.write(json.dumps(content, indent=1))


def read_metadata(folder):
    """Reads what an export says of its model, without loading it.

    Args:
        folder: what `export` wrote to, see `find_export`.

    Returns:
        An `ExportMetadata`.

    Raises:
        ValueError: there is no SavedModel, it is none of tfgen's, or the description is damaged.

    >>> import tempfile, tfgen
    >>> from tfgen.core import read_metadata
    >>> folder = tempfile.mkdtemp()
    >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,), num_classes=2)
    >>> model.export(folder, verbose=False, class_names=["no", "yes"])
    >>> read = read_metadata(folder)
    >>> read.class_name, read.likelihood, read.class_names, read.latent_shape
    ('RealNVP', 'exact', ['no', 'yes'], (2,))
    >>> read.data_spec.check_x([[1.0, 2.0, 3.0]])
    Traceback (most recent call last):
    ...
    ValueError: `x` must have shape [n, 2]; got [1, 3]
    >>> list(read.signatures["log_prob"]["inputs"])
    ['x', 'condition']
    """
    file = find_export(folder) / FILE
    if not file.is_file():
        raise ValueError(
            f"`folder` must be what `export` of a tfgen model wrote; {file.parent.parent} is a "
            f"SavedModel without {FILE}"
        )
    content = read_json(file)
    try:
        read = _read(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{file} is damaged: {reason}") from error
    return read


def _read(content):
    names, latents = content["class_names"], content["latent_shape"]
    texts = [content[key] for key in ("name", "class", "likelihood", "weights", "tfgen")]
    listed = names is None or isinstance(names, list)
    if not all(isinstance(text, str) for text in [*texts, *(listed and names or ())]) or not listed:
        raise ValueError("names, classes and versions must be texts")
    if not isinstance(content["preprocessing"], dict):
        raise ValueError("`preprocessing` must be a dict")
    return ExportMetadata(
        name=content["name"],
        class_name=content["class"],
        likelihood=content["likelihood"],
        data_spec=_data_spec(content["data"]),
        latent_shape=None if latents is None else tuple(int(side) for side in latents),
        class_names=names,
        preprocessing=content["preprocessing"],
        signatures={
            name: {
                "inputs": _tensor_specs(each["inputs"]),
                "outputs": _tensor_specs(each["outputs"]),
                "defaults": dict(each["defaults"]),
            }
            for name, each in content["signatures"].items()
        },
        weights=content["weights"],
        version=content["tfgen"],
    )


# --- plain values of specs, and back ------------------------------------------------


def _data(spec):
    condition = spec.condition
    return {
        "event_shape": spec.event_shape,
        "kind": spec.kind if spec.columns is None else None,
        "columns": None if spec.columns is None else spec.columns.get_config(),
        "num_bits": spec.num_bits,
        "condition_shape": None if condition is None else condition.condition_shape,
        "num_classes": None if condition is None else condition.num_classes,
        "dtype": spec.dtype.name,
    }


def _data_spec(content):
    columns = content["columns"]
    return DataSpec(
        tuple(content["event_shape"]),
        content["kind"] if columns is None else Columns.from_config(columns),
        content["num_bits"],
        condition_shape=content["condition_shape"],
        num_classes=content["num_classes"],
        dtype=content["dtype"],
    )


def _specs(structure):
    specs = {spec.name: spec for spec in tf.nest.flatten(structure)}
    if isinstance(structure, dict):
        specs = structure
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        for name, spec in specs.items()
    }


def _tensor_specs(content):
    return {
        name: tf.TensorSpec(spec["shape"], tf.as_dtype(spec["dtype"]), name=name)
        for name, spec in content.items()
    }

"""Files that serve without tfgen."""

import contextlib
import inspect
import json

import tensorflow as tf

from tfgen.core.export_formats import FORMATS
from tfgen.core.export_formats import export_file
from tfgen.core.export_metadata import versions
from tfgen.core.export_metadata import write_metadata
from tfgen.core.export_signatures import BY_ROW
from tfgen.core.export_signatures import polymorphic_signatures
from tfgen.core.export_signatures import signatures
from tfgen.utils import checks
from tfgen.utils.files import replacing_folder

__all__ = ["BY_ROW", "export", "signatures"]


def export(
    model,
    filepath,
    format="tf_saved_model",
    verbose=True,
    input_signature=None,
    *,
    version=None,
    class_names=None,
    preprocessing=None,
    signature=None,
    **options,
):
    """Writes a SavedModel with the signatures that the model can serve, see `signatures`; or one of
    them as a file of another format, see `export_formats.export_file`.

    A SavedModel says what the model is, see `tfgen.core.read_metadata`.

    Args:
        model: a `GenerativeModel`.
        filepath: folder or, of other formats, file to write; it is whole before it is there, or
            takes another's place.
        format: `"tf_saved_model"`, which holds all signatures; `"onnx"` or `"litert"`, which hold
            one that needs no noise.
        verbose: whether to print the signatures; None is True, as in Keras.
        input_signature: None: the signatures are the model's own.
        version: number of the folder inside of `filepath` to write, as TensorFlow Serving looks
            for versions; `"next"` is one more than the greatest there; None writes `filepath`
            itself.
        class_names: names of the labels, one for each, with which labels may be given as texts.
        preprocessing: dict of plain values: what was done to the data that the model was trained
            on, for those who read the metadata.
        signature: name of the one signature of a file of another format; by default that of
            `serving_default`.
        **options: none; those of Keras's other formats are refused.

    Raises:
        ValueError: another format, an argument that is none of these, or a signature that the
            format cannot hold.
        ImportError: the format's converter is not installed.
        OSError: it could not be written.

    >>> import tempfile, tensorflow as tf, tfgen
    >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.export(folder, verbose=False)
    ...     served = tf.saved_model.load(folder)
    ...     scores = served.signatures["serving_default"](x=tf.zeros([3, 2]))
    >>> scores["log_prob"].shape
    TensorShape([3])
    """
    if format not in ("tf_saved_model", *FORMATS):
        raise ValueError(
            f'`format` must be "tf_saved_model", "onnx" or "litert"; got {format!r}: only the '
            "first holds all signatures, random numbers among them"
        )
    if input_signature is not None:
        raise ValueError(
            "`input_signature` must be None: the signatures are the model's own, "
            f"{', '.join(model.signatures())}, for any number of rows; wrap "
            "`model.graph_function(name)` in a tf.Module for others"
        )
    if options:
        raise ValueError(
            f"`export` takes no `{next(iter(options))}`: its arguments are `filepath`, `format`, "
            "`verbose`, `version`, `class_names`, `preprocessing` and `signature`"
        )
    given = {"version": version, "class_names": class_names, "preprocessing": preprocessing}
    if format == "tf_saved_model":
        given = {"signature": signature}
    for argument, value in given.items():
        if value is not None:
            raise ValueError(f"`{argument}` does not go with `format` {format!r}; got {value!r}")
    if format != "tf_saved_model":
        name = export_file(model, filepath, format, signature or "serving_default")
        if verbose or verbose is None:
            print(f"{name} of {type(model).__name__} as {format} in {filepath}")
        return
    class_names = _as_class_names(class_names, model)
    preprocessing = _as_plain(preprocessing)
    if version is not None:
        filepath = f"{filepath}/{_as_version(version, filepath)}"
    module = tf.Module()
    # What the graphs read, for the SavedModel to hold.
    module.weights = [w.value for w in model.weights]
    functions = polymorphic_signatures(model, class_names)
    # A function of its own takes arguments by position, as `keras.layers.TFSMLayer` gives them.
    module.serving_default = functions["serving_default"]
    served = {name: function.get_concrete_function() for name, function in functions.items()}
    defaults = {name: _defaults(function) for name, function in functions.items()}
    try:
        with _folder(filepath) as path:
            tf.saved_model.save(module, str(path), signatures=functions)
            write_metadata(path, model, served, defaults, class_names, preprocessing)
    except tf.errors.OpError as error:
        # What TensorFlow says of the file system, such as a full disk.
        raise OSError(f"{filepath} could not be written: {error.message}") from error
    if verbose or verbose is None:
        print(f"SavedModel in {filepath} with signatures {', '.join(served)}")


def _folder(filepath):
    """Context manager of the folder to write; TensorFlow's remote ones it writes itself."""
    remote = "://" in str(filepath)
    return contextlib.nullcontext(filepath) if remote else replacing_folder(filepath)


def _as_version(version, filepath):
    if version == "next":
        return max(versions(filepath), default=0) + 1
    try:
        return checks.check_count(version, "version")
    except ValueError as error:
        raise ValueError(
            f'`version` must be a positive whole number, "next" or None; got {version!r}'
        ) from error


def _as_class_names(class_names, model):
    if class_names is None:
        return None
    count = model.data_spec.num_labels
    if not count:
        raise ValueError(
            f"`class_names` must be None: this {type(model).__name__} has no labels; got "
            f"{class_names!r}"
        )
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    texts = all(isinstance(name, str) for name in names)
    if not texts or len(set(names)) != len(names) or len(names) != count:
        raise ValueError(
            f"`class_names` must be {count} different texts, one for each label; got "
            f"{class_names!r}"
        )
    return names


def _as_plain(preprocessing):
    given = {} if preprocessing is None else preprocessing
    try:
        if isinstance(given, dict):
            return json.loads(json.dumps(given))
    except (TypeError, ValueError):
        pass
    raise ValueError(f"`preprocessing` must be a dict of plain values, or None; got {given!r}")


def _defaults(function):
    parameters = inspect.signature(function.python_function).parameters
    return {
        name: parameter.default.numpy().tolist()
        for name, parameter in parameters.items()
        if tf.is_tensor(parameter.default)
    }

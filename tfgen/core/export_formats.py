"""One signature of a model as a file of another format: ONNX, LiteRT."""

import tempfile

import numpy as np
import tensorflow as tf

from tfgen.core.export_signatures import default_signature
from tfgen.core.export_signatures import draws
from tfgen.core.export_signatures import plain_signature
from tfgen.utils.files import replacing

FORMATS = ("onnx", "litert")
_ONNX_OPSET = 18


def export_file(model, filepath, format, signature="serving_default"):
    """Writes one signature of a model as a file, without TensorFlow's random numbers.

    Args:
        model: a `GenerativeModel`.
        filepath: file to write, by convention one that ends in `.onnx` or `.tflite`; a whole one
            takes another's place.
        format: `"onnx"` (tf2onnx), or `"litert"` (TensorFlow Lite's).
        signature: name of a signature that needs no noise, one of `file_signatures(model)`;
            `"serving_default"` is that of `export_signatures.default_signature`.

    Returns:
        The signature's own name.

    Raises:
        ValueError: a signature that the model lacks, or that needs noise, or an operation that the
            format lacks.
        ImportError: the format's converter is not installed.
        OSError: it could not be written.

    >>> import tempfile, tfgen
    >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_file(model, f"{folder}/moons.tflite", "litert")
    'log_prob'
    """
    names = model.signatures()
    name = signature
    if signature == "serving_default":
        name = default_signature(names)
    if name not in names:
        raise ValueError(
            f"`signature` must be one of {names} or 'serving_default' where `format` is "
            f"{format!r}; got {signature!r}"
        )
    if draws(model, name):
        hint = "score by the SavedModel"
        if name == "sample" and "decode" in file_signatures(model):
            hint = "draw latents yourself, for most models standard normal, and run 'decode'"
        raise ValueError(
            f"`signature` {name!r} of this {type(model).__name__} needs random numbers by row and "
            f"seed, which {format!r} lacks: {hint}; of this model go {file_signatures(model)}"
        )
    function = plain_signature(model, name)
    content = {"onnx": _to_onnx, "litert": _to_litert}[format](model, function)
    with replacing(filepath) as path:
        path.write_bytes(content)
    return name


def file_signatures(model):
    """List of the names of a model's signatures that need no noise."""
    return [name for name in model.signatures() if not draws(model, name)]


def _to_onnx(model, function):
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ImportError(
            f"`format` 'onnx' needs {error.name}: pip install 'tfgen[onnx]'"
        ) from error
    specs = function.input_signature
    try:
        made, _ = tf2onnx.convert.from_function(
            function, specs, opset=_ONNX_OPSET, custom_op_handlers={"Log1p": (_log1p, [])}
        )
        # What it has no operation for, tf2onnx leaves in the graph as it is.
        onnx.checker.check_model(made)
    except Exception as error:  # a converter raises what it pleases
        raise _refused("onnx", error) from error
    return made.SerializeToString()


def _log1p(graph, node, name, args):
    """tf2onnx's handler of an operation that it lacks: `log(1 + x)`."""
    from tf2onnx.utils import make_name
    from tf2onnx.utils import map_onnx_to_numpy_type

    dtype = map_onnx_to_numpy_type(graph.get_dtype(node.input[0]))
    one = graph.make_const(make_name("one"), np.ones([], dtype))
    graph.insert_new_node_on_input(node, "Add", [node.input[0], one.output[0]], input_index=0)
    node.type = "Log"
    # Else it would stay one of the operations of this handler's own domain.
    node.domain = ""


def _to_litert(model, function):
    module = tf.Module()
    module.weights = [w.value for w in model.weights]
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=function)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        try:
            return converter.convert()
        except Exception as error:
            raise _refused("litert", error) from error


def _refused(format, error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ValueError(
        f"`format` {format!r} lacks an operation that this signature needs: {lines[0][:500]}"
    )

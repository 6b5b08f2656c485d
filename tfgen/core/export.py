"""SavedModels that serve without tfgen."""

import contextlib

import tensorflow as tf

from tfgen.utils.files import replacing_folder
from tfgen.utils.random import as_row_seeds

_OUTPUTS = {"log_prob": "log_prob", "sample": "samples", "encode": "z", "decode": "x"}
# Of the signatures whose rows bring a seed and a number of their own.
BY_ROW = "_by_row"


def export(model, filepath, format="tf_saved_model", verbose=True, input_signature=None, **options):
    """Writes a SavedModel with the signatures that the model can serve, see `signatures`.

    Args:
        model: a `GenerativeModel`.
        filepath: folder to write; it is whole before it is there, or takes another's place.
        format: `"tf_saved_model"`, of Keras's formats the one that holds all signatures.
        verbose: whether to print the signatures; None is True, as in Keras.
        input_signature: None: the signatures are the model's own.
        **options: none; those of Keras's other formats are refused.

    Raises:
        ValueError: another format, or an argument that is none of these.
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
    if format != "tf_saved_model":
        raise ValueError(
            f'`format` must be "tf_saved_model"; got {format!r}: it alone holds every signature, '
            "random numbers among them; converters to other formats read it, by signature"
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
            "`verbose`"
        )
    module = tf.Module()
    # What the graphs read, for the SavedModel to hold.
    module.weights = [w.value for w in model.weights]
    served = signatures(model)
    try:
        with _folder(filepath) as path:
            tf.saved_model.save(module, str(path), signatures=served)
    except tf.errors.OpError as error:
        # What TensorFlow says of the file system, such as a full disk.
        raise OSError(f"{filepath} could not be written: {error.message}") from error
    if verbose or verbose is None:
        print(f"SavedModel in {filepath} with signatures {', '.join(served)}")


def _folder(filepath):
    """Context manager of the folder to write; TensorFlow's remote ones it writes itself."""
    remote = "://" in str(filepath)
    return contextlib.nullcontext(filepath) if remote else replacing_folder(filepath)


def signatures(model):
    """Functions of named tensors that a model serves: what `export` writes, for any number of rows.

    - `log_prob {x[, condition]} -> {log_prob}`, with the noise of the seed 0;
    - `sample {num_samples, seed, temperature[, condition]} -> {samples}`;
    - `encode {x[, condition]} -> {z}`, `decode {z[, condition]} -> {x}`;
    - of each of these that needs noise another, `log_prob_by_row` and so on, whose rows bring a
      `seed` and the number `row`, int64 `[n]` both: a row's answer is that of row `row` of a call
      with this seed, whatever rows of other callers are beside it;
    - `serving_default`: the first of `log_prob`, `decode` and `sample` that there is.

    A condition of a label and a vector is two inputs, `label` and `vector`.

    Args:
        model: a `GenerativeModel`.

    Returns:
        dict from the name to a concrete `tf.function`, which returns a dict of tensors.

    >>> import tensorflow as tf, tfgen
    >>> from tfgen.core.export import signatures
    >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
    >>> served = signatures(model)
    >>> rows = {"seed": tf.constant([7, 7, 8], tf.int64), "row": tf.constant([0, 1, 0], tf.int64)}
    >>> samples = served["sample_by_row"](**rows)["samples"]
    >>> bool(tf.reduce_all(samples[2] == model.sample(1, seed=8)[0]))
    True
    """
    served = {}
    for name in model.signatures():
        served[name] = _signature(model, name)
        if _draws(model.graph_function(name)):
            served[name + BY_ROW] = _signature(model, name, by_row=True)
    default = next(name for name in ("log_prob", "decode", "sample") if name in served)
    return {"serving_default": served[default], **served}


def _draws(core):
    """Whether a core's results depend on the seed that it is given."""
    seen, left = set(), [tensor.op for tensor in core.outputs]
    while left:
        operation = left.pop()
        if operation not in seen:
            seen.add(operation)
            left += [tensor.op for tensor in operation.inputs]
    return any(operation.name == "seed" for operation in seen)


def _signature(model, name, by_row=False):
    core = model.graph_function(name, by_row)
    arguments = core.structured_input_signature[1]
    # A condition of a label and a vector is two inputs.
    nested = {k: list(v) for k, v in arguments.items() if isinstance(v, dict)}
    inputs = {spec.name: spec for spec in tf.nest.flatten(arguments)}
    # One call is one chunk: its rows start at 0, and a decoder that draws does so with the seed 0.
    call = {
        "seed": tf.zeros([2], tf.int32),
        "start": tf.constant(0, tf.int64),
        "temperature": tf.constant(1, model.variable_dtype),
        "num_rows": None,
    }
    inputs = {k: spec for k, spec in inputs.items() if k not in call}
    asked = {}
    if by_row:
        asked = {k: tf.TensorSpec([None], tf.int64, name=k) for k in ("seed", "row")}
    elif name == "sample":
        asked = {k: arguments[k] for k in ("seed", "temperature")}
        asked["num_samples"] = tf.TensorSpec([], tf.int32, name="num_samples")

    def serve(**given):
        own = call | {k: given.pop(k) for k in asked}
        if by_row:
            own |= {"seed": as_row_seeds(own["seed"]), "start": own["row"]}
            own["num_rows"] = tf.size(own["row"])
        elif name == "sample":
            own["num_rows"] = own["num_samples"]
        for argument, parts in nested.items():
            given[argument] = {part: given.pop(part) for part in parts}
        own = {k: v for k, v in own.items() if k in arguments}
        return {_OUTPUTS[name]: core(**given, **own)}

    return tf.function(serve, autograph=False).get_concrete_function(**inputs, **asked)

"""SavedModels that serve without tfgen."""

import contextlib

import tensorflow as tf

from tfgen.utils.files import replacing_folder

_OUTPUTS = {"log_prob": "log_prob", "sample": "samples", "encode": "z", "decode": "x"}


def export(model, filepath, format="tf_saved_model", verbose=True, input_signature=None, **options):
    """Writes a SavedModel with the signatures that the model can serve.

    `log_prob {x, seed[, condition]} -> {log_prob}`,
    `sample {num_samples, seed, temperature[, condition]} -> {samples}`,
    `encode {x[, condition]} -> {z}`, `decode {z[, condition]} -> {x}`, for any
    number of rows, with the figures of the eager methods for equal seeds.

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
    ...     arguments = {"num_samples": 3, "seed": [0, 0], "temperature": 1.0}
    ...     arguments = {k: tf.constant(v) for k, v in arguments.items()}
    ...     served.signatures["sample"](**arguments)["samples"].shape
    TensorShape([3, 2])
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
    signatures = {name: _signature(model, name) for name in model.signatures()}
    try:
        with _folder(filepath) as path:
            tf.saved_model.save(module, str(path), signatures=signatures)
    except tf.errors.OpError as error:
        # What TensorFlow says of the file system, such as a full disk.
        raise OSError(f"{filepath} could not be written: {error.message}") from error
    if verbose or verbose is None:
        print(f"SavedModel in {filepath} with signatures {', '.join(signatures)}")


def _folder(filepath):
    """Context manager of the folder to write; TensorFlow's remote ones it writes itself."""
    remote = "://" in str(filepath)
    return contextlib.nullcontext(filepath) if remote else replacing_folder(filepath)


def _signature(model, name):
    core = model.graph_function(name)
    arguments = core.structured_input_signature[1]
    # A condition of a label and a vector is two inputs.
    nested = {k: list(v) for k, v in arguments.items() if isinstance(v, dict)}
    inputs = {spec.name: spec for spec in tf.nest.flatten(arguments)}
    # One call is one chunk: its rows start at 0. Decoders that draw do so with the seed 0.
    fixed = {"start": tf.constant(0, tf.int64)}
    if name == "decode":
        fixed["seed"] = tf.zeros([2], tf.int32)
    fixed = {k: v for k, v in fixed.items() if inputs.pop(k, None) is not None}
    if "num_rows" in inputs:
        inputs.pop("num_rows")
        inputs["num_samples"] = tf.TensorSpec([], tf.int32, name="num_samples")

    def serve(**given):
        if name == "sample":
            given["num_rows"] = given.pop("num_samples")
        for argument, parts in nested.items():
            given[argument] = {part: given.pop(part) for part in parts}
        return {_OUTPUTS[name]: core(**given, **fixed)}

    return tf.function(serve, autograph=False).get_concrete_function(**inputs)

"""Functions of named tensors that a model serves."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen.core.export_inputs import decoded_images
from tfgen.core.export_inputs import label_numbers
from tfgen.core.export_inputs import takes_images
from tfgen.utils.random import as_row_seeds

_OUTPUTS = {"log_prob": "log_prob", "sample": "samples", "encode": "z", "decode": "x"}
_OUTPUTS |= {"translate": "y", "translate_back": "x"}
# Of which the first that there is serves by default.
_DEFAULTS = ("log_prob", "decode", "sample", "classify", "translate")
# Those whose examples may be files of images.
_OF_EXAMPLES = ("log_prob", "encode", "classify", "translate")
# Of the signatures whose rows bring a seed and a number of their own.
BY_ROW = "_by_row"
# Of those whose labels are texts, and of those whose examples are files of images.
BY_NAME, OF_IMAGE = "_by_name", "_of_image"
_IMAGE = tf.TensorSpec([None], tf.string, name="image")


def signatures(model, class_names=None):
    """Functions of named tensors that a model serves: what `export` writes, for any number of rows.

    - `log_prob {x[, condition]} -> {log_prob}`, with the noise of the seed 0;
    - `sample {num_samples, seed, temperature[, condition]} -> {samples}`;
    - `encode {x[, condition]} -> {z}`, `decode {z[, condition]} -> {x}`;
    - `classify {x} -> {label, log_probs}` of classifiers, `translate {x} -> {y}` and
      `translate_back {y} -> {x}` of translators;
    - of each of these that needs noise another, `log_prob_by_row` and so on, whose rows bring a
      `seed` and the number `row`, int64 `[n]` both: a row's answer is that of row `row` of a call
      with this seed, whatever rows of other callers are beside it;
    - of models of uint8 images `log_prob_of_image {image[, condition]}`, and so of `encode`,
      `classify` and `translate`, of encoded PNG and JPEG files of any size, see
      `export_inputs.decoded_images`;
    - with `class_names`, `classify_by_name {x} -> {name, log_probs}` of classifiers, and of models
      conditional on labels `log_prob_by_name`, `sample_by_name` (of rows, as `sample_by_row`),
      `encode_by_name` and `decode_by_name`, whose labels are texts, see
      `export_inputs.label_numbers`; those of images take such labels, too;
    - `serving_default`: the one that `default_signature` names.

    A condition of a label and a vector is two inputs, `label` and `vector`.

    Args:
        model: a `GenerativeModel`.
        class_names: names of its labels, or None.

    Returns:
        dict from the name to a concrete `tf.function`, which returns a dict of tensors.

    >>> import numpy as np, tensorflow as tf, tfgen
    >>> from tfgen.core.export import signatures
    >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
    >>> served = signatures(model)
    >>> rows = {"seed": tf.constant([7, 7, 8], tf.int64), "row": tf.constant([0, 1, 0], tf.int64)}
    >>> samples = served["sample_by_row"](**rows)["samples"]
    >>> bool(np.allclose(samples[2], model.sample(1, seed=8)[0], atol=1e-6))
    True
    """
    made = polymorphic_signatures(model, class_names)
    return {name: function.get_concrete_function() for name, function in made.items()}


def polymorphic_signatures(model, class_names=None):
    """`signatures` as `tf.function`s, whose Python signatures have the defaults of inputs."""
    parts = {}
    for name in model.signatures():
        parts[name] = _of_core(model, name)
        if draws(model, name):
            parts[name + BY_ROW] = _of_core(model, name, by_row=True)
    names = [name for name in _OF_EXAMPLES if name in parts]
    images = {}
    if takes_images(model):
        # Traced once for all.
        decode = tf.function(
            lambda files: decoded_images(files, model.event_shape),
            input_signature=[_IMAGE],
            autograph=False,
        )
        images = {name: _of_image(parts[name], decode) for name in names}
    if class_names is not None and "classify" in parts:
        parts["classify" + BY_NAME] = _with_names(parts["classify"], class_names)
    if class_names is not None and model.num_classes:
        for name in model.signatures():
            by_row = parts["sample" + BY_ROW] if name == "sample" else parts[name]
            parts[name + BY_NAME] = _by_name(by_row, class_names)
        images = {name: _by_name(part, class_names) for name, part in images.items()}
    parts |= {name + OF_IMAGE: part for name, part in images.items()}
    served = {name: part.compiled() for name, part in parts.items()}
    return {"serving_default": served[default_signature(served)], **served}


def default_signature(names):
    """The name that `serving_default` stands for: the first of `log_prob`, `decode`, `sample`,
    `classify` and `translate` among these.

    >>> from tfgen.core.export_signatures import default_signature
    >>> default_signature(["sample", "decode"])
    'decode'
    """
    return next(name for name in _DEFAULTS if name in names)


class _Part(NamedTuple):
    """A function of tensors by name, before it is compiled.

    Attributes:
        serve: function of keyword arguments.
        inputs: dict of their `tf.TensorSpec`s.
        defaults: dict of tensors, of those that a caller may leave out.
    """

    serve: Callable
    inputs: dict
    defaults: dict

    def compiled(self):
        """The `tf.function`. A server fills in defaults; Python's own loader asks for all."""
        names = [*(k for k in self.inputs if k not in self.defaults), *self.defaults]

        def serve(*values):
            return self.serve(**dict(zip(names, values, strict=True)))

        # SavedModel reads the names and defaults of inputs from it.
        serve.__signature__ = inspect.Signature(
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=self.defaults.get(name, inspect.Parameter.empty),
            )
            for name in names
        )
        specs = [self.inputs[name] for name in names]
        return tf.function(serve, autograph=False, input_signature=specs)


def draws(model, name):
    """True if the results of a model's core depend on the seed that it is given."""
    seen, left = set(), [tensor.op for tensor in model.graph_function(name).outputs]
    while left:
        operation = left.pop()
        if operation not in seen:
            seen.add(operation)
            left += [tensor.op for tensor in operation.inputs]
    return any(operation.name == "seed" for operation in seen)


def plain_signature(model, name):
    """The `tf.function` of a signature without noise, its graph one for converters."""
    return _of_core(model, name, plain=True).compiled()


def _of_core(model, name, by_row=False, plain=False):
    core = model.graph_function(name, by_row, plain)
    arguments = core.structured_input_signature[1]
    # A condition of a label and a vector is two inputs.
    nested = {k: list(v) for k, v in arguments.items() if isinstance(v, dict)}
    inputs = {spec.name: spec for spec in tf.nest.flatten(arguments)}
    # One call is one chunk: its rows start at 0, and a decoder that draws does so with the seed 0.
    call = {
        "seed": np.zeros([2], np.int32),
        "start": np.zeros([], np.int64),
        "temperature": np.ones([], model.variable_dtype),
        "num_rows": None,
    }
    # Examples or latents first.
    names = sorted(inputs.keys() - call.keys(), key=lambda k: (k not in ("x", "z"), k))
    inputs = {k: inputs[k] for k in names}
    asked, defaults = {}, {}
    if by_row:
        asked = {k: tf.TensorSpec([None], tf.int64, name=k) for k in ("seed", "row")}
    elif name == "sample":
        asked = {"num_samples": tf.TensorSpec([], tf.int32, name="num_samples")}
        asked |= {k: arguments[k] for k in ("seed", "temperature")}
        defaults = {k: tf.constant(call[k]) for k in ("seed", "temperature")}

    def serve(**given):
        own = call | {k: given.pop(k) for k in asked}
        if by_row:
            own |= {"seed": as_row_seeds(own["seed"]), "start": own["row"]}
            own["num_rows"] = tf.size(own["row"])
        elif name == "sample":
            own["num_rows"] = own["num_samples"]
        for argument, parts in nested.items():
            given[argument] = {part: given.pop(part) for part in parts}
        # Constants of this graph: tensors from without would be inputs to converters.
        own = {k: tf.convert_to_tensor(v) for k, v in own.items() if k in arguments}
        made = core(**given, **own)
        return made if isinstance(made, dict) else {_OUTPUTS[name]: made}

    return _Part(serve, inputs | asked, defaults)


def _by_name(part, class_names):
    """A part whose labels are texts."""
    label = "label" if "label" in part.inputs else "condition"

    def serve(**given):
        return part.serve(**{**given, label: label_numbers(given[label], class_names, label)})

    return part._replace(
        serve=serve, inputs=part.inputs | {label: tf.TensorSpec([None], tf.string, name=label)}
    )


def _with_names(part, class_names):
    """A part whose label is told by its name."""

    def serve(**given):
        made = dict(part.serve(**given))
        return {"name": tf.gather(tf.constant(class_names), made.pop("label")), **made}

    return part._replace(serve=serve)


def _of_image(part, decode):
    """A part whose examples are files of images."""
    inputs = {k: spec for k, spec in part.inputs.items() if k != "x"}

    def serve(image, **given):
        return part.serve(x=decode(image), **given)

    return part._replace(serve=serve, inputs={"image": _IMAGE} | inputs)

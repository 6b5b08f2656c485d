"""The format of TensorFlow Serving's REST API: requests of `:predict`, status, metadata."""

import numpy as np
from tensorflow.core.framework import types_pb2

from tfgen.app.serving.served import refuse_others
from tfgen.app.serving.tensors import as_json


def parse_predict(content, served):
    """The call that a request of `:predict` asks for.

    Args:
        content: the JSON of the request.
        served: `Served`.

    Returns:
        Pair of the `Call` and a function from its outputs to the answer's dict.

    Raises:
        ValueError: it is no such request, or its values do not fit the signature.

    >>> import tfgen
    >>> from tfgen.app.serving.served import Served
    >>> served = Served.of("flow", tfgen.RealNVP(2, num_layers=2, hidden_units=(8,)))
    >>> call, answer = parse_predict({"instances": [{"x": [0.0, 1.0]}, {"x": [2.0, 3.0]}]}, served)
    >>> len(answer(call.run(call.rows))["predictions"])
    2
    """
    refuse_others(content, ("signature_name", "instances", "inputs"))
    name = content.get("signature_name", "serving_default")
    if not isinstance(name, str):
        raise ValueError(f"`signature_name` must be a text; got a {type(name).__name__}")
    if ("instances" in content) == ("inputs" in content):
        raise ValueError("a request must have `instances` or `inputs`, one of the two")
    by_row = "instances" in content
    names = list(served.functions.inputs(name))
    if by_row:
        inputs = _columns(content["instances"], names)
    elif isinstance(content["inputs"], dict) and set(content["inputs"]) != {"b64"}:
        inputs = content["inputs"]
    else:
        inputs = _only(names, content["inputs"], "inputs")
    call = served.call(name, inputs)
    return call, _rows_of if by_row else _columns_of


def _only(names, value, given):
    """A value as that of the one input that a signature has."""
    if len(names) > 1:
        raise ValueError(
            f"`{given}` must name the inputs, {names}: the signature has more than one"
        )
    return {name: value for name in names}


def _columns(instances, names):
    """The inputs by name of a list of rows."""
    if not isinstance(instances, list | np.ndarray) or len(instances) == 0:
        raise ValueError(
            "`instances` must be a list of one row at least; got "
            + ("none" if instances == [] else f"a {type(instances).__name__}")
        )
    if len(names) == 1 and not _is_object(instances[0]):
        return {names[0]: instances}
    for row, instance in enumerate(instances):
        if not _is_object(instance):
            raise ValueError(
                f"`instances` must hold objects of {names}; row {row} is a {_kind(instance)}"
            )
        if instance.keys() != instances[0].keys():
            raise ValueError(
                f"`instances` must all have the same inputs; row {row} has others than row 0"
            )
    return {name: [instance[name] for instance in instances] for name in instances[0]}


def _kind(value):
    return "list" if isinstance(value, np.ndarray) else type(value).__name__


def _is_object(value):
    """True of an object of inputs by name; `{"b64": ...}` is a value."""
    return isinstance(value, dict) and set(value) != {"b64"}


def _rows_of(outputs):
    counts = {len(v) if v.ndim else None for v in outputs.values()}
    if len(counts) > 1 or None in counts:
        raise ValueError("`instances` must be `inputs`: the outputs do not have a row for each")
    values = {k: as_json(k, v) for k, v in outputs.items()}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    rows = zip(*values.values(), strict=True)
    return {"predictions": [dict(zip(values, row, strict=True)) for row in rows]}


def _columns_of(outputs):
    values = {k: as_json(k, v) for k, v in outputs.items()}
    return {"outputs": next(iter(values.values())) if len(values) == 1 else values}


def status(served, ready):
    """The answer to a question for the model's state, as `GetModelStatusResponse` in JSON."""
    state = {
        "version": str(served.version),
        "state": "AVAILABLE" if ready else "LOADING",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return {"model_version_status": [state]}


def metadata(served):
    """The signatures, as `GetModelMetadataResponse` in JSON."""
    signatures = {
        name: {
            "inputs": _infos(served.functions.inputs(name)),
            "outputs": _infos(function.structured_outputs),
            "method_name": "tensorflow/serving/predict",
        }
        for name, function in served.functions.signatures.items()
    }
    return {
        "model_spec": {
            "name": served.name,
            "signature_name": "",
            "version": str(served.version),
        },
        "metadata": {
            "signature_def": {
                "@type": "type.googleapis.com/tensorflow.serving.SignatureDefMap",
                "signature_def": signatures,
            }
        },
    }


def _infos(specs):
    return {
        name: {
            "dtype": types_pb2.DataType.Name(spec.dtype.as_datatype_enum),
            "tensor_shape": {
                "dim": [
                    {"size": str(-1 if side is None else side), "name": ""}
                    for side in (spec.shape if spec.shape.rank is not None else ())
                ],
                "unknown_rank": spec.shape.rank is None,
            },
            "name": name,
        }
        for name, spec in specs.items()
    }

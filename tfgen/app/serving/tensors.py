"""Values of JSON as arrays that a signature takes, and arrays as values of JSON."""

import base64

import numpy as np

from tfgen.utils import checks
from tfgen.utils.values import as_text


def as_tensors(values, specs, finite=True):
    """Arrays of nested lists by name, as the specs of their inputs ask for.

    Args:
        values: dict from a name to a nested list.
        specs: dict from a name to a `tf.TensorSpec`.
        finite: whether NaN and inf are refused.

    Raises:
        ValueError: one does not fit, by its name.

    >>> import tensorflow as tf
    >>> specs = {"z": tf.TensorSpec([None, 2], tf.float32)}
    >>> as_tensors({"z": [[1, 2]]}, specs)["z"]
    array([[1., 2.]], dtype=float32)
    >>> as_tensors({"z": [[1, 2, 3]]}, specs)
    Traceback (most recent call last):
    ...
    ValueError: `z` must have shape [n, 2]; got [1, 3]
    """
    return {name: _as_tensor(value, specs[name], name, finite) for name, value in values.items()}


def as_rows(value, spec, name):
    """An array with at least one row, as a spec `[None, ...]` asks for."""
    return as_tensors({name: value}, {name: spec})[name]


def _as_tensor(value, spec, name, finite):
    dtype = spec.dtype
    if dtype.name == "string":
        array = _as_strings(value, name)
    else:
        array = _as_numbers(value, dtype, name, finite)
    if not spec.shape.is_compatible_with(array.shape):
        expected = ["n" if side is None else side for side in spec.shape]
        raise ValueError(
            f"`{name}` must have shape {as_text(expected)}; got {as_text(array.shape)}"
        )
    if spec.shape.rank and spec.shape[0] is None and len(array) == 0:
        raise ValueError(f"`{name}` must have at least one row; got {as_text(array.shape)}")
    return array


def _as_numbers(value, dtype, name, finite):
    array = checks.as_numeric(value, name)
    target = dtype.as_numpy_dtype
    if dtype.is_bool:
        if array.dtype.kind != "b":
            raise ValueError(f"`{name}` must hold true and false; got {array.dtype}")
        return array
    if dtype.is_integer:
        limits = np.iinfo(target)
        fits = array.dtype.kind in "iuf" and (
            array.size == 0
            # Of floats only those below 2**53 are whole for sure.
            or (array == np.floor(array)).all()
            and limits.min <= array.min()
            and array.max() <= (limits.max if array.dtype.kind != "f" else min(limits.max, 2**53))
        )
        if not fits:
            raise ValueError(
                f"`{name}` must hold whole numbers from {limits.min} to {limits.max}; got "
                f"{_spread(array)}"
            )
        return array.astype(target)
    if array.dtype.kind == "b":
        raise ValueError(f"`{name}` must hold numbers; got true and false")
    with np.errstate(over="ignore"):
        array = array.astype(target)
    if finite and not np.isfinite(array.astype(np.float64)).all():
        raise ValueError(f"`{name}` must be finite; it holds NaN, inf or what {dtype.name} cannot")
    return array


def _spread(array):
    return f"{array.dtype}" if array.dtype.kind == "b" else f"{array.min():g} to {array.max():g}"


def _as_strings(value, name):
    """An array of bytes; what `{"b64": ...}` stands for is decoded."""
    array = np.array(_encoded(value, name), object)
    if not all(isinstance(v, bytes) for v in array.flat):
        raise ValueError(f"`{name}` must be strings in lists of one length")
    return array


def _encoded(value, name):
    if isinstance(value, list):
        return [_encoded(v, name) for v in value]
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:
            raise ValueError(f"`{name}` must hold base64 in `b64`: {error}") from None
    if not isinstance(value, str):
        raise ValueError(
            f'`{name}` must hold strings or {{"b64": ...}}; got a {type(value).__name__}'
        )
    return value.encode()


def as_json(name, array):
    """An output as what JSON has: numbers, or strings; bytes as `{"b64": ...}` where the name ends
    in `_bytes`, as TensorFlow Serving writes them.

    Args:
        name: of the output.
        array: NumPy array.

    >>> as_json("text", np.array([b"a"], object)), as_json("raw_bytes", np.array([b"a"], object))
    (['a'], [{'b64': 'YQ=='}])
    """
    if array.dtype.kind in "fiub" and array.dtype.itemsize >= (4 if array.dtype.kind == "f" else 1):
        # Of a scalar it would make a list.
        return np.ascontiguousarray(array) if array.ndim else array[()]
    if array.dtype.kind not in "OSU":
        # Floats of 16 bits, of any kind.
        return array.astype(np.float32)

    def text(value):
        if isinstance(value, list):
            return [text(v) for v in value]
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode(errors="replace")

    return text(array.tolist())

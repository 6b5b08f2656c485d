"""CheckError, and the assertions that raise it with the name of what is off."""

import contextlib

import keras
import numpy as np
import tensorflow as tf


class CheckError(AssertionError):
    """Error of a check: names the method, what was expected and what came.

    >>> from tfgen.testing import CheckError
    >>> issubclass(CheckError, AssertionError)
    True
    """


@contextlib.contextmanager
def calling(name, hint=""):
    """Context in which any exception becomes a `CheckError` that names the method.

    Args:
        name: of the method that is called, as `"Times._inverse"`.
        hint: sentence that is added to the message.

    Raises:
        CheckError: whatever was raised inside, with its type and its words.
    """
    try:
        yield
    except CheckError:
        raise
    except Exception as error:
        # Without the configuration that Keras adds, which is long.
        words = str(error).partition(" Full object config:")[0].strip() or "no message"
        message = f"`{name}` raised {type(error).__name__}: {words}"
        raise CheckError(f"{message} {hint}".strip()) from error


def require(condition, message):
    """Raises a `CheckError` with this message unless the condition holds."""
    if not condition:
        raise CheckError(message)


def require_shape(name, what, value, expected, words=None):
    """Checks the shape of what a method gave.

    Args:
        name: of the method.
        what: what it gave, as `"the log-determinant"`.
        value: tensor or array.
        expected: tuple of ints.
        words: the meaning of the shape, as `"[batch]"`.
    """
    require(
        value is not None and hasattr(value, "shape"),
        f"`{name}`: {what} must be a tensor; got {type(value).__name__}",
    )
    shape = f"{words} = {list(expected)}" if words else f"{list(expected)}"
    require(
        tuple(value.shape) == tuple(expected),
        f"`{name}`: {what} must have shape {shape}; got {list(value.shape)}",
    )


def require_dtype(name, what, value, expected):
    """Checks the dtype of what a method gave."""
    got, expected = keras.backend.standardize_dtype(value.dtype), tf.as_dtype(expected).name
    require(got == expected, f"`{name}`: {what} must be of dtype {expected}; got {got}")


def require_finite(name, what, value):
    """Checks that all values are finite, and says in which row one is not."""
    value = np.asarray(value)
    if value.dtype.kind not in "fc":
        return
    wrong = ~np.isfinite(value)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CheckError(
            f"`{name}`: {what} must be finite; {int(wrong.sum())} of {wrong.size} values are not, "
            f"the first at {list(where)}: {value[where]}"
        )


def require_close(name, what, got, expected, rtol, atol):
    """Checks that two arrays are equal but for rounding, and says where they differ most.

    Args:
        name: of the method.
        what: sentence of what should be equal to what.
        got: array.
        expected: array of the same shape.
        rtol: relative tolerance.
        atol: absolute tolerance.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    require(
        got.shape == expected.shape,
        f"`{name}`: {what}; the shapes are {list(got.shape)} and {list(expected.shape)}",
    )
    got, expected = np.atleast_1d(got.astype("float64")), np.atleast_1d(expected.astype("float64"))
    with np.errstate(invalid="ignore"):
        excess = np.abs(got - expected) - atol - rtol * np.abs(expected)
    # What is not finite is close to the same only.
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    excess = np.where(same, -1, np.where(np.isnan(excess), np.inf, excess))
    if excess.size and excess.max() > 0:
        where = np.unravel_index(np.argmax(excess), excess.shape)
        raise CheckError(
            f"`{name}`: {what}; at {[int(i) for i in where]} the one is {got[where]:.8g}, the "
            f"other {expected[where]:.8g}"
        )


def require_data(name, what, value, shape, data_kind, num_bits, dtype):
    """Checks shape, type and range of what should be examples in the data's type.

    Args:
        name: of the method.
        what: what it gave, as `"samples"`.
        value: tensor.
        shape: tuple of ints.
        data_kind: `"real"`, `"binary"` or `"uint8"`.
        num_bits: bits of a value of uint8 data.
        dtype: dtype of reals.
    """
    require_shape(name, what, value, shape, "[batch, *event_shape]")
    require_dtype(name, what, value, dtype if data_kind == "real" else "uint8")
    require_finite(name, what, value)
    value = np.asarray(value)
    if data_kind == "binary":
        wrong, words = value > 1, "0 or 1"
    elif data_kind == "uint8":
        step = 256 >> num_bits
        wrong = value % step != 0
        words = "0..255" if num_bits == 8 else f"multiples of {step} in 0..{256 - step}"
    else:
        return
    if wrong.any():
        raise CheckError(
            f"`{name}`: {what} of {data_kind} data must be {words}; got {value[wrong].flat[0]}"
        )

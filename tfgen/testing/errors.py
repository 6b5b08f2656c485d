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


def in_graph(name, function, *given):
    """Calls a function in a graph for any number of rows.

    Args:
        name: of the method that is called.
        function: of tensors.
        *given: scalars, or arrays whose first axis is that of the rows; None is left out.
    """
    with calling(f"{name} in a graph", "The batch's size is None there: use `tf.shape(x)[0]`."):
        given = [tf.convert_to_tensor(value) for value in given if value is not None]
        shapes = [[None, *value.shape[1:]] if value.shape.rank else [] for value in given]
        specs = [tf.TensorSpec(s, v.dtype) for s, v in zip(shapes, given, strict=True)]
        return tf.function(function).get_concrete_function(*specs)(*given)


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


def require_reals(name, what, value, shape, words, dtype):
    """Checks shape and dtype of real values, and that they are finite."""
    require_shape(name, what, value, shape, words)
    require_dtype(name, what, value, dtype)
    require_finite(name, what, value)


def require_gradients(name, weights, gradients, words="gets no gradient"):
    """Checks that each weight has a gradient, and that it is finite.

    Args:
        name: of the method that is to depend on the weights.
        weights: variables.
        gradients: tensors, None where there is no gradient.
        words: said of a weight without one.
    """
    for weight, gradient in zip(weights, gradients, strict=True):
        require(gradient is not None, f"`{name}`: the weight {weight.path} {words}")
        gradient = tf.convert_to_tensor(gradient)
        require_finite(name, f"the gradient of {weight.path}", gradient)


def require_noise_of_rows(name, noise):
    """Checks that a row's noise does not depend on the rows that are asked for beside it.

    Args:
        name: of the method.
        noise: function of `start` and `num_rows`.
    """
    with calling(name):
        whole, part = (
            tf.nest.flatten(noise(tf.constant(start, tf.int64), num_rows))
            for start, num_rows in ((0, 6), (2, 3))
        )
        pairs = list(zip(whole, part, strict=True))
    for a, b in pairs:
        if a is None and b is None:
            continue
        shapes = [list(getattr(value, "shape", ())) for value in (a, b)]
        require(
            [shape[:1] for shape in shapes] == [[6], [3]],
            f"`{name}` must have as many rows as are asked for, 6 and 3; got shapes {shapes[0]} "
            f"and {shapes[1]}",
        )
        require(
            np.array_equal(a[2:5], b),
            f"`{name}`: a row's noise must depend on the seed and on its number, `start` and on; "
            "rows 2, 3, 4 have another one without the rows around them",
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


def require_data(name, what, value, shape, made):
    """Checks shape, type and range of what should be examples in the data's type.

    Args:
        name: of the method.
        what: what it gave, as `"samples"`.
        value: tensor.
        shape: tuple of ints.
        made: model or `Observation` that gave it, which names the kind of data.
    """
    kind, num_bits = made.data_kind, made.num_bits
    dtype = "uint8" if kind in ("binary", "uint8") else made.variable_dtype
    require_reals(name, what, value, shape, "[batch, *event_shape]", dtype)
    value = np.asarray(value)
    if kind == "binary":
        wrong, words = value > 1, "0 or 1"
    elif kind == "uint8":
        step = 256 >> num_bits
        wrong = value % step != 0
        words = "0..255" if num_bits == 8 else f"multiples of {step} in 0..{256 - step}"
    else:
        return
    if wrong.any():
        raise CheckError(
            f"`{name}`: {what} of {kind} data must be {words}; got {value[wrong].flat[0]}"
        )

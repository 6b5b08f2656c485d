"""Checks that a bijector's directions undo each other, and of their log-determinants."""

import numpy as np
import tensorflow as tf

from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.tolerances import INVERSE_ERROR
from tfgen.testing.tolerances import LOG_DET_ERROR
from tfgen.testing.tolerances import SAME
from tfgen.testing.tolerances import of_map


def inverse_error(passes, high=None):
    """The largest error of the way there and back, from either side.

    On the latent side, whose values are of order 1, it is the absolute one.

    Args:
        passes: `Passes`, or anything with its attributes.
        high: size of the data, such as 256 for pixels, that errors on the data side are divided by;
            by default the largest value, at least 1.
    """
    high = max(1, np.abs(passes.x).max()) if high is None else high
    on_data = np.abs(np.asarray(passes.back_to_x[0]) - passes.x).max() / high
    on_latents = np.abs(np.asarray(passes.back_to_z[0]) - passes.z).max()
    # NumPy's maximum of anything and NaN is NaN.
    return np.maximum(on_data, on_latents)


def assert_inverts(passes, atol=None):
    """`_forward` undoes `_inverse`, and the reverse.

    Args:
        passes: `Passes`, or anything with its attributes.
        atol: largest error in units of the largest value; by default that of the dtype.
    """
    kind = type(passes.layer).__name__
    atol = of_map(INVERSE_ERROR, passes.layer) if atol is None else atol
    for name, what, back, start in (
        ("_forward", "x must come back from `_inverse`", passes.back_to_x[0], passes.x),
        ("_inverse", "z must come back from `_forward`", passes.back_to_z[0], passes.z),
    ):
        size = max(1, np.abs(start).max())
        require_close(f"{kind}.{name}", what, back, start, rtol=0, atol=atol * size)


def jacobians(function, x, condition):
    """The Jacobian at each row, `[n, D, D]`, in one backward pass over D copies of the rows.

    Args:
        function: from `x` and `condition=` to a value and something else.
        x: array `[n, ...]` of D values a row, none of which sees another row.
        condition: array with as many rows, or None.
    """
    size = x[0].size
    inputs = tf.constant(np.repeat(x, size, 0))
    condition = None if condition is None else tf.constant(np.repeat(condition, size, 0))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.reshape(function(inputs, condition=condition)[0], [len(x), size, size])
        # Copy i answers for output i: no copy's output depends on another copy.
        diagonals = tf.linalg.trace(outputs)
    gradient = tape.gradient(diagonals, inputs)
    return None if gradient is None else gradient.numpy().reshape(len(x), size, size)


def assert_log_det_is_the_jacobians(passes, tolerance=None):
    """The log-determinant of `_inverse` is that of the Jacobian by differentiation.

    Args:
        passes: `Passes`, or anything with its attributes.
        tolerance: relative and absolute; by default that of the dtype.
    """
    layer, name = passes.layer, f"{type(passes.layer).__name__}._inverse"
    tolerance = of_map(LOG_DET_ERROR, layer) if tolerance is None else tolerance
    with calling(name):
        matrices = jacobians(layer.inverse_and_log_det, passes.x, passes.condition)
    require(matrices is not None, f"`{name}`: the latents have no gradient of x")
    sign, expected = np.linalg.slogdet(matrices.astype("float64"))
    if (sign == 0).any():
        row = int(np.argmax(sign == 0))
        raise CheckError(f"`{name}` has no inverse: its Jacobian at row {row} is singular")
    what = "the log-determinant must be that of the Jacobian by differentiation"
    # Absolute, too: a log-determinant near 0 is a sum of terms of order 1.
    require_close(name, what, passes.from_x[1], expected, rtol=tolerance, atol=tolerance)


def assert_log_dets_cancel(passes, tolerance=None):
    """The log-determinants of the two directions add up to 0.

    Args:
        passes: `Passes`, or anything with its attributes.
        tolerance: relative and absolute; by default that of the dtype.
    """
    tolerance = of_map(SAME, passes.layer) if tolerance is None else tolerance
    name = f"{type(passes.layer).__name__}._forward"
    what = "the log-determinant must be minus that of `_inverse`"
    for there, back in (
        (passes.from_x, passes.back_to_x),
        (passes.from_z, passes.back_to_z),
    ):
        require_close(name, what, back[1], -np.asarray(there[1]), rtol=tolerance, atol=tolerance)

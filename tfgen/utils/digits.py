"""A check of what is lost where reals get fewer digits."""

import numpy as np

# Of a column's standard deviation: coarser steps than this are told.
_STEP = 0.02


def as_reals(x, dtype, name):
    """Returns numbers in a dtype of reals, if that keeps what tells them apart.

    Args:
        x: array `[n, ...]`.
        dtype: numpy dtype.
        name: name of the argument in an error.

    Raises:
        ValueError: values far from 0 that differ by little more than the dtype's steps there.

    >>> import numpy as np
    >>> from tfgen.utils.digits import as_reals
    >>> as_reals(np.array([[1.0], [2.0]]), "float32", "x").dtype
    dtype('float32')
    """
    dtype = np.dtype(dtype)
    with np.errstate(over="ignore"):
        reals = x.astype(dtype, copy=False)
    if len(x) > 1 and x.dtype.itemsize > dtype.itemsize and x.dtype.kind in "fiu":
        _check_steps(x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x[:, None], dtype, name)
    return reals


def _check_steps(columns, dtype, name):
    columns = columns.astype(np.float64)
    size, deviation = np.abs(columns).max(0), columns.std(0)
    step = np.finfo(dtype).eps * size
    # What is constant but for rounding loses nothing.
    lost = (step > _STEP * deviation) & (deviation > 1e-12 * size)
    if lost.any():
        i = int(np.argmax(lost))
        raise ValueError(
            f"`{name}` has values up to {size[i]:.10g} in column {i}, with a standard deviation of "
            f"{deviation[i]:.3g}, and there {dtype} has steps of {step[i]:.2g}: subtract an offset "
            f'from them, or give the model `dtype="float64"`'
        )

"""Checks of the numbers and the shape of an array, with what to do about those that do not fit."""

import numpy as np
import tensorflow as tf

# The least and the greatest value of a kind of data, and how errors name them.
RANGES = {
    "binary": (0, 1, "0 or 1 (binary data)"),
    "uint8": (0, 255, "integers or integral floats in 0..255 (uint8 data)"),
}


def as_numeric(x, name):
    """Returns numbers as a numpy array."""
    if x is None:
        raise ValueError(f"`{name}` is missing")
    if tf.is_symbolic_tensor(x):
        raise ValueError(
            f"`{name}` must be an array; got a tensor of a graph under construction: in a "
            "tf.function, call the model itself, `model(x)`"
        )
    if getattr(x, "dtype", None) == tf.bfloat16:
        x = tf.cast(x, tf.float32)
    if np.ma.is_masked(x):
        # An array of it holds whatever numbers are under the mask.
        rows = np.ma.getmaskarray(x).reshape(len(x), -1).any(1)
        raise ValueError(
            f"`{name}` must have no masked values; row {int(np.argmax(rows))} has some "
            f"({int(rows.sum())} such rows): fill them or leave these rows out"
        )
    try:
        array = np.asarray(x)
    except Exception:  # whatever an object's own conversion raises
        array = None
    if array is None or array.dtype.kind not in "fiub":
        plain = array is not None and array.dtype.kind != "O"
        came = f"dtype {array.dtype}" if plain else type(x).__name__
        raise ValueError(f"`{name}` must be an array of numbers; got {came}{_hint_for(x, array)}")
    return array


def _hint_for(x, array):
    """Says what to do with things that hold numbers, but are no array of them."""
    if hasattr(x, "toarray") or isinstance(x, tf.SparseTensor):
        return ": give a dense one (`x.toarray()`, `tf.sparse.to_dense(x)`)"
    if isinstance(x, tf.RaggedTensor):
        return ": rows must be of one length (`x.to_tensor()` pads them)"
    if hasattr(x, "iloc"):
        return ": its columns must all be of numbers, without missing values: encode categories"
    if isinstance(x, tuple) and len(x) in (2, 3):
        return ": give its parts as arguments of their own, `x, y`"
    kind = None if array is None else array.dtype.kind
    hints = {
        "c": ": give real and imaginary parts as values of their own",
        "M": ": give times as numbers, counted from a day of the data",
        "m": ": give durations as numbers",
        "U": ": encode strings as numbers",
        "S": ": encode strings as numbers",
    }
    return hints.get(kind, "")


def check_finite(x, name):
    """Refuses NaN and inf in an array `[n, ...]`."""
    # The sum is finite only if all is: one pass without a mask as large as x.
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(x, dtype=np.float64)
    if np.isfinite(total):
        return
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
    if bad.any():
        raise ValueError(
            f"`{name}` must be finite; row {int(np.argmax(bad))} holds NaN or inf "
            f"({int(bad.sum())} such rows)"
        )


def check_in_kind(x, name, kind, probabilities=False):
    """Refuses values of an array that a kind of data, one of `RANGES`, does not have."""

    def hint(integral, least, most):
        if kind == "uint8":
            return _hint_for_grey(integral, least, most)
        if probabilities or integral or least < 0 or most > 1:
            return _hint_for_bits(integral, least, most)
        return (
            ": only `fit` and `evaluate` draw from probabilities; elsewhere draw first, "
            f"`numpy.random.default_rng(0).random({name}.shape) < {name}`"
        )

    if kind == "uint8" and x.dtype.kind == "b":
        raise ValueError(
            f"`{name}` must hold {RANGES[kind][2]}; got booleans: as grey levels they are "
            f'`255 * {name}.astype("uint8")`'
        )
    _check_range(x, name, *RANGES[kind], hint)


def _hint_for_grey(integral, least, most):
    if integral:
        if least < 0 or most > 65535:
            return ': use `data_kind="real"`'
        return ': divide levels of 16 bits by 257, or use `data_kind="real"`'
    if least >= 0 and most <= 1:
        return ': multiply data in [0, 1] by 255 and round, or use `data_kind="real"`'
    if least >= -1 and most <= 1:
        return ': of data in [-1, 1] give `round(127.5 * (x + 1))`, or use `data_kind="real"`'
    if least >= 0 and most <= 255:
        return ': round them, or use `data_kind="real"`'
    return ': of reals give `data_kind="real"`'


def _hint_for_bits(integral, least, most):
    if least < 0 or most > 255 or not integral:
        return ': of reals give `data_kind="real"`'
    return (
        ": draw grey levels (`tfgen.data.load` has `binarise`; `fit` takes x / 255), or use "
        '`data_kind="uint8"`'
    )


def check_labels(y, name, num_classes, least_label=0):
    """Refuses values of an array that are no labels from `least_label` on."""

    def hint(integral, least, most):
        if not integral:
            return ""
        if least == 1 and most == num_classes:
            return ": labels count from 0, give them less 1"
        if least < 0:
            return (
                ": leave rows without a label out, or take a model that learns from them, as "
                "SemiSupervisedGAN does"
            )
        return f": give the model `num_classes={int(most) + 1}`, if there are so many classes"

    expected = f"labels in {least_label}..{num_classes - 1}"
    _check_range(y, name, least_label, num_classes - 1, expected, hint)


def _check_range(x, name, low, high, expected, hint):
    if x.dtype.kind == "b":
        if high == 1:
            return
        raise ValueError(f"`{name}` must hold {expected}; got booleans")
    least, most = x.min(), x.max()
    integral = x.dtype.kind != "f" or not (x != np.floor(x)).any()
    if integral and least >= low and most <= high:
        return
    kind = "values" if integral else "non-integral values"
    raise ValueError(
        f"`{name}` must hold {expected}; got {kind} from {least:g} to {most:g}"
        f"{hint(integral, least, most)}"
    )


def check_event_shape(x, name, event_shape):
    """Refuses an array of another shape than `[n, *event_shape]`."""
    event, came = tuple(event_shape), tuple(x.shape)
    if came[1:] == event and came:
        return
    hint = ""
    if came == event:
        hint = f": one example is `{name}[None]`"
    elif (*came[1:], 1) == event and came:
        hint = f": the axis of size 1 is `{name}[..., None]`"
    elif len(event) == 3 and came[1:] == (event[2], *event[:2]):
        hint = f": channels come last, `numpy.moveaxis({name}, 1, -1)`"
    elif len(came) == 2 and came[1] == np.prod(event):
        hint = f": `{name}.reshape({', '.join(map(str, (-1, *event)))})`, if they lie in this order"
    elif len(came) > 2 and len(event) == 1 and np.prod(came[1:]) == event[0]:
        hint = f": `{name}.reshape(len({name}), -1)` has one vector a row"
    raise ValueError(
        f"`{name}` must have shape {as_text(['n', *event])}; got {as_text(came)}{hint}"
    )


def as_text(shape):
    """A shape as errors write it."""
    return "[" + ", ".join(str(s) for s in shape) + "]"

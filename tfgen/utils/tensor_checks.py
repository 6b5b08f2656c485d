"""Checks of batches in `tf.data` pipelines: assertions whose errors say what those of arrays say.

A pipeline's first batch is checked as arrays are, by `checks`. Later ones have its types; their
values, and sizes that are not static, are checked here, on the host, in the pipeline itself.
`batch`, a tensor, is the number of a batch in the errors; with None nothing is looked at but what
is known without values.
"""

import tensorflow as tf

from tfgen.utils.values import RANGES
from tfgen.utils.values import as_text


def as_events(x, name, event_shape, kind, dtype, batch):
    """Returns data of a kind as a tensor of static shape `[n, *event_shape]`, else as they are.

    Args:
        x: tensor.
        name: name of the argument in an error.
        event_shape: shape of one example: tuple.
        kind: `"real"`, `"binary"`, where floats are probabilities of 1, or `"uint8"`.
        dtype: dtype in which reals are finite.
        batch: number of the batch.
    """
    x = _of_shape(x, name, event_shape, batch)
    if x.shape[0] is None:
        words = f"`{name}` must have at least one row; got {{}}"
        _require(tf.shape(x)[0] > 0, words, lambda: [tf.shape(x)], batch)
    if kind == "real":
        _require_finite(tf.cast(x, dtype), name, batch)
        return x
    low, high, expected = RANGES[kind]
    _require_range(x, name, low, high, expected, batch, kind == "binary" and x.dtype.is_floating)
    return x


def require_ranges(x, name, least, most, whole, dtype, batch):
    """Requires columns of numbers from a least to a greatest one each, some of them whole.

    Args:
        x: tensor `[n, size]`.
        name: name of the argument in an error.
        least: array `[size]`.
        most: array `[size]`.
        whole: bool array `[size]`.
        dtype: dtype in which they are compared.
        batch: number of the batch.
    """
    x = tf.cast(x, dtype)
    ok = (x >= tf.cast(least, dtype)) & (x <= tf.cast(most, dtype))
    ok &= ~tf.constant(whole) | (x == tf.floor(x))
    words = f"`{name}` must hold values that the table's columns have; got others in columns {{}}"
    columns = tf.where(tf.reduce_any(~ok, 0))[:, 0]
    _require(tf.reduce_all(ok), words, lambda: [columns], batch)


def as_labels(y, name, num_classes, num_rows, batch, least_label=0):
    """Returns labels as a tensor `[n]`, for `num_rows` examples; arguments as in `as_events`."""
    y = _rows_of(_of_shape(y, name, (), batch), name, num_rows, batch)
    expected = f"labels in {least_label}..{num_classes - 1}"
    _require_range(y, name, least_label, num_classes - 1, expected, batch)
    return y


def as_vectors(y, name, shape, dtype, num_rows, batch):
    """Returns vectors or images as a tensor `[n, *shape]`; arguments as in `as_labels`."""
    y = _rows_of(_of_shape(y, name, shape, batch, wide=shape == (1,)), name, num_rows, batch)
    _require_finite(tf.cast(y, dtype), name, batch)
    return y


def as_weights(weights, name, num_rows, batch):
    """Returns weights as a tensor `[n]`; arguments as in `as_labels`."""
    weights = _rows_of(_of_shape(weights, name, (), batch), name, num_rows, batch)
    weights = tf.cast(weights, tf.float32)
    _require_finite(weights, name, batch)
    words = f"`{name}` must be at least 0; got {{}}"
    _require(tf.reduce_all(weights >= 0), words, lambda: [tf.reduce_min(weights)], batch)
    return weights


def _require(ok, words, values, batch):
    """An operation that fails with `words`, filled with the tensors that `values()` gives."""
    if batch is None:
        return tf.no_op()

    def fail():
        text = tf.strings.format(f"{words} (batch {{}})", [*values(), batch], summarize=-1)
        return tf.debugging.Assert(False, [text])

    return tf.cond(ok, tf.no_op, fail)


def _require_finite(x, name, batch):
    if not x.dtype.is_floating:
        return

    def rows():
        bad = tf.reduce_any(~tf.math.is_finite(tf.reshape(x, [tf.shape(x)[0], -1])), 1)
        bad = tf.cast(bad, tf.int32)
        return [tf.argmax(bad), tf.reduce_sum(bad)]

    words = f"`{name}` must be finite; row {{}} holds NaN or inf ({{}} such rows)"
    _require(tf.reduce_all(tf.math.is_finite(x)), words, rows, batch)


def _require_range(x, name, low, high, expected, batch, any_between=False):
    """Requires whole numbers in a range, or any numbers there."""
    if x.dtype == tf.bool or (x.dtype.min >= low and x.dtype.max <= high):
        return
    _require_finite(x, name, batch)

    def ends():
        return [tf.reduce_min(x), tf.reduce_max(x)]

    words = f"`{name}` must hold {expected}; got values from {{}} to {{}}"
    if x.dtype.is_floating and not any_between:
        broken = words.replace("got values", "got non-integral values")
        _require(tf.reduce_all(x == tf.floor(x)), broken, ends, batch)
    # Beyond a dtype's own limits a bound would be another number in it.
    ok = x >= max(low, x.dtype.min)
    if x.dtype.max > high:
        ok &= x <= high
    _require(tf.reduce_all(ok), words, ends, batch)


def _rows_of(y, name, num_rows, batch):
    words = f"`{name}` must have one row for each of the {{}} examples; got {{}}"
    rows = tf.shape(y)[0]
    _require(rows == num_rows, words, lambda: [num_rows, rows], batch)
    return y


def _of_shape(x, name, shape, batch, wide=False):
    """A tensor of static shape `[n, *shape]`, of one number a row also from `[n]` and `[n, 1]`.

    Args:
        x: tensor.
        name: name of the argument in an error.
        shape: tuple.
        batch: number of the batch.
        wide: whether `[n]` may stand for `[n, 1]`.
    """
    alike = [(), (1,)] if shape == () or wide else [shape]
    static = [s for s in alike if x.shape.is_compatible_with([None, *s])]
    expected = as_text(["n", *shape])
    if not static:
        raise ValueError(f"`{name}` must have batches of shape {expected}; got {x.shape}")
    if not x.shape[1:].is_fully_defined():
        came = tf.shape(x)[1:]
        same = [
            tf.cond(tf.size(came) == len(s), lambda s=s: tf.reduce_all(came == s), lambda: False)
            for s in static
        ]
        words = f"`{name}` must have shape {expected}; got {{}}"
        fits = _require(tf.reduce_any(same), words, lambda: [tf.shape(x)], batch)
        # Else the change of shape may be the first to fail.
        with tf.control_dependencies([fits]):
            x = tf.identity(x)
    return x if x.shape[1:] == shape else tf.reshape(x, [tf.shape(x)[0], *shape])

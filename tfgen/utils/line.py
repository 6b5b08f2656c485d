"""Maps between an interval and the real line, elementwise."""

import numpy as np
import tensorflow as tf

# Beyond these a number of float32 is no longer known from 0 or from infinity.
_FAR = 80.0


def to_line(x, low=None, end=None):
    """Numbers within bounds as numbers of the whole line, and the logarithm of the map's slope.

    Without bounds it is the identity; above `low` it is `log(x - low)`, below `end`
    `-log(end - x)`, between both the logit of `(x - low) / (end - low)`. Numbers on a bound or
    beyond are treated as the nearest that lie within.

    Args:
        x: float tensor or array `[..., size]`.
        low: number or array `[size]`, or None.
        end: number or array `[size]`, or None.

    Returns:
        Pair of tensors in the shape and dtype of `x`: the numbers, and `log|dt/dx|`.

    >>> import numpy as np
    >>> t, log_slope = to_line(np.array([1.0, 4.0]), 0.0)
    >>> t.numpy().round(3).tolist(), log_slope.numpy().round(3).tolist()
    ([0.0, 1.386], [-0.0, -1.386])
    """
    x = tf.convert_to_tensor(x)
    info = np.finfo(x.dtype.as_numpy_dtype)
    if low is None and end is None:
        return x, tf.zeros_like(x)
    if end is None:
        t = tf.math.log(tf.maximum(x - low, info.tiny))
        return t, -t
    if low is None:
        t = -tf.math.log(tf.maximum(end - x, info.tiny))
        return t, t
    p = tf.clip_by_value((x - low) / (end - low), info.tiny, 1 - info.eps)
    log_p, log_q = tf.math.log(p), tf.math.log1p(-p)
    return log_p - log_q, -log_p - log_q - np.log(end - low)


def from_line(t, low=None, end=None):
    """The inverse of `to_line`.

    Args:
        t: float tensor or array `[..., size]`.
        low: number or array `[size]`, or None.
        end: number or array `[size]`, or None.

    Returns:
        Pair of tensors in the shape and dtype of `t`: the numbers within the bounds, and
        `log|dx/dt|`.

    >>> import numpy as np
    >>> from_line(np.array([0.0]), 2.0, 4.0)[0].numpy().tolist()
    [3.0]
    """
    t = tf.convert_to_tensor(t)
    if low is None and end is None:
        return t, tf.zeros_like(t)
    t = tf.clip_by_value(t, -_FAR, _FAR)
    if end is None:
        return low + tf.exp(t), t
    if low is None:
        return end - tf.exp(-t), -t
    log_p, log_q = -tf.nn.softplus(-t), -tf.nn.softplus(t)
    return low + (end - low) * tf.sigmoid(t), log_p + log_q + np.log(end - low)

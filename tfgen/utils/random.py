"""Noise that depends on the seed and the row alone.

`row_uniform(seed, start, n, shape)` gives the same values for row `start + i`
whatever `n` is, so that results do not depend on how the rows were chunked, on
the batch size or on how a batch was divided among replicas.
"""

import math

import numpy as np
import tensorflow as tf

_PHILOX = 1


def as_seed(seed):
    """An int, two ints or None (drawn afresh) as an int32 tensor `[2]`."""
    if seed is None:
        return tf.constant(np.random.randint(-(2**31), 2**31, size=2), tf.int32)
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        low, high = int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF
        return tf.constant(np.array([low, high], np.uint32).view(np.int32))
    pair = np.asarray(seed)
    if pair.shape != (2,) or pair.dtype.kind not in "iu":
        raise ValueError(f"`seed` must be an integer, two integers or None; got {seed!r}")
    if pair.min() < -(2**31) or pair.max() >= 2**31:
        raise ValueError(f"`seed` must hold two integers of 32 bits; got {seed!r}")
    return tf.constant(pair.astype(np.int32))


def fold_in(seed, data):
    """A new seed from `seed` and an integer."""
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(data, tf.int32))


def row_uniform(seed, start, num_rows, shape, dtype="float32"):
    """Uniform noise in [0, 1) for rows `start` to `start + num_rows`, `[num_rows, *shape]`."""
    return _rows(tf.raw_ops.StatelessRandomUniformV2, seed, start, num_rows, shape, dtype)


def row_normal(seed, start, num_rows, shape, dtype="float32"):
    """Standard normal noise for rows `start` to `start + num_rows`, `[num_rows, *shape]`."""
    return _rows(tf.raw_ops.StatelessRandomNormalV2, seed, start, num_rows, shape, dtype)


def row_seeds(seed, start, num_rows):
    """A seed for each of the rows `start` to `start + num_rows`, `[num_rows, 2]`."""
    draw = tf.raw_ops.StatelessRandomUniformFullIntV2
    return _rows(draw, seed, start, num_rows, (2,), "int32", tf.int32)


def _rows(draw, seed, start, num_rows, shape, dtype, drawn=tf.float32):
    size = math.prod(shape)
    # Philox is a counter-based generator that yields four float32 per count:
    # a row that takes whole counts can be drawn by itself.
    counts = -(-size // 4)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    first = tf.bitcast(tf.cast(start, tf.int64) * counts, tf.uint64)
    noise = draw(
        shape=[num_rows, 4 * counts],
        key=key,
        counter=tf.stack([first, counter[1]]),
        alg=_PHILOX,
        dtype=drawn,
    )
    return tf.cast(tf.reshape(noise[:, :size], [num_rows, *shape]), dtype)

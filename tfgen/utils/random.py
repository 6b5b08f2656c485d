"""Noise that depends on the seed and the row alone.

`row_uniform(seed, start, n, shape)` gives the same values for row `start + i`
whatever `n` is, so that results do not depend on how the rows were chunked, on
the batch size or on how a batch was divided among replicas. Where each row has
a seed and a number of its own, its noise is that of a call for it alone: so
rows of many callers can be drawn together.

One seed serves several draws of a model; each draw folds the `Stream` that it
reads into the seed, so that no two of them see the same noise.
"""

import enum
import math

import numpy as np
import tensorflow as tf

_PHILOX = 1


class Stream(enum.IntEnum):
    """Independent streams of noise of one seed, for `fold_in`.

    The values are fixed: draws for a given seed, and so the figures of earlier runs, depend on
    them.

    >>> fold_in(as_seed(0), Stream.DATA).shape
    TensorShape([2])
    """

    # The latents: of the prior in `sample`, of the posterior in `log_prob` and the objective; there
    # an injective flow, whose codes have no noise, draws its probes.
    LATENTS = 1
    # The data given the latents: the observation's noise in `sample`, dequantisation in `log_prob`.
    DATA = 2
    # The posterior's draw of `encode(x, sample=True)`.
    POSTERIOR = 3
    # The data drawn by `decode` and `decompress`, whose latents are given.
    DECODED = 4
    # All of `sample`, lest it share noise with `log_prob` of the same seed.
    SAMPLES = 0x53
    # The samples that a critic is shown, latents and data.
    FAKES = 0x66
    # The dequantisation of the examples that a critic is shown.
    REALS = 0x72
    # The places between examples and samples where a gradient penalty is taken.
    BETWEEN = 0x62
    # The seeds of the steps of players beside the first.
    PLAYERS = 0x63
    # The seeds of draws afresh, of `model(x, training=True)` and `model.loss(x)`.
    FRESH = 0x46
    # The bits drawn from probabilities: dynamic binarisation.
    BITS = 0x64
    # The steps of Markov chains.
    CHAINS = 0x43


def as_seed(seed):
    """Converts a seed to an int32 tensor `[2]`.

    Args:
        seed: int, of which the lowest 64 bits count; two ints of 32 bits; or None, which draws a
            seed from NumPy's global random state.

    Raises:
        ValueError: it is none of these.
    """
    if seed is None:
        if tf.executing_eagerly():
            return tf.constant(np.random.randint(-(2**31), 2**31, size=2), tf.int32)
        # NumPy's numbers would be those of the tracing, in every run of the graph.
        return tf.random.uniform([2], -(2**31), 2**31 - 1, tf.int32)
    if tf.is_tensor(seed) and (tf.is_symbolic_tensor(seed) or seed.dtype in (tf.int32, tf.int64)):
        return _tensor_seed(seed)
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        low, high = int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF
        return tf.constant(np.array([low, high], np.uint32).view(np.int32))
    pair = np.asarray(seed)
    if pair.shape != (2,) or pair.dtype.kind not in "iu":
        raise ValueError(f"`seed` must be an integer, two integers or None; got {seed!r}")
    if pair.min() < -(2**31) or pair.max() >= 2**31:
        raise ValueError(f"`seed` must hold two integers of 32 bits; got {seed!r}")
    return tf.constant(pair.astype(np.int32))


def _tensor_seed(seed):
    """A tensor as a seed: two integers of 32 bits, or one, as Python's integers are taken."""
    if seed.dtype not in (tf.int32, tf.int64) or seed.shape not in ((), (2,)):
        raise ValueError(
            f"`seed` must be a tensor of integers, one or two; got {seed.dtype.name} {seed.shape}"
        )
    if seed.shape.rank:
        return tf.cast(seed, tf.int32)
    return as_row_seeds(seed)


def as_row_seeds(seeds):
    """Converts integers to seeds, each as `as_seed` takes it.

    Args:
        seeds: tensor of integers, of any shape, such as `[n]`.

    Returns:
        int32 tensor of one axis more, `[n, 2]`.

    >>> as_row_seeds([7, 2**40]).numpy().tolist()
    [[7, 0], [0, 256]]
    """
    seeds = tf.cast(seeds, tf.int64)
    # By shifts: a bitcast to half the width is not for every device.
    halves = tf.cast(seeds, tf.int32), tf.cast(tf.bitwise.right_shift(seeds, 32), tf.int32)
    return tf.stack(halves, -1)


def fold_in(seed, data):
    """Returns the seed of another stream of noise.

    Args:
        seed: int32 tensor `[2]`, or `[n, 2]`, a seed for each row.
        data: the stream: an int, a `Stream`, or a scalar tensor of integers.

    Returns:
        int32 tensor of the seed's shape.
    """
    if _by_row(seed):

        def once():
            return tf.broadcast_to(fold_in(_first(seed), data), tf.shape(seed))

        return tf.cond(
            tf.reduce_all(seed == seed[:1]),
            once,
            lambda: tf.map_fn(lambda one: fold_in(one, data), seed),
        )
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(data, tf.int32))


def row_uniform(seed, start, num_rows, shape, dtype="float32"):
    """Draws uniform noise in [0, 1) for the rows from `start` to `start + num_rows - 1`.

    Args:
        seed: int32 tensor `[2]`; or `[num_rows, 2]`, a seed for each row.
        start: number of the first row: an int or a scalar tensor; or `[num_rows]`, a number for
            each row, where each has a seed.
        num_rows: number of rows: an int or a scalar tensor.
        shape: the shape of one row's noise: a tuple of ints.
        dtype: dtype of the result; the noise has float32's digits in any case.

    Returns:
        Tensor `[num_rows, *shape]`.
    """
    return _rows(tf.raw_ops.StatelessRandomUniformV2, seed, start, num_rows, shape, dtype)


def row_normal(seed, start, num_rows, shape, dtype="float32"):
    """Draws standard normal noise for the rows from `start` to `start + num_rows - 1`.

    Args:
        seed: int32 tensor `[2]`; or `[num_rows, 2]`, a seed for each row.
        start: number of the first row: an int or a scalar tensor; or `[num_rows]`, a number for
            each row, where each has a seed.
        num_rows: number of rows: an int or a scalar tensor.
        shape: the shape of one row's noise: a tuple of ints.
        dtype: dtype of the result; the noise has float32's digits in any case.

    Returns:
        Tensor `[num_rows, *shape]`.
    """
    return _rows(tf.raw_ops.StatelessRandomNormalV2, seed, start, num_rows, shape, dtype)


def row_seeds(seed, start, num_rows):
    """Draws a seed for each of the rows from `start` to `start + num_rows - 1`.

    Args:
        seed: int32 tensor `[2]`; or `[num_rows, 2]`, a seed for each row.
        start: number of the first row: an int or a scalar tensor; or `[num_rows]`, a number for
            each row, where each has a seed.
        num_rows: number of rows: an int or a scalar tensor.

    Returns:
        int32 tensor `[num_rows, 2]`.
    """
    draw = tf.raw_ops.StatelessRandomUniformFullIntV2
    return _rows(draw, seed, start, num_rows, (2,), "int32", tf.int32)


def row_seeds_of(seed, start, num_rows):
    """The seed and the number of each of the rows from `start` to `start + num_rows - 1`: noise of
    rows, of which they can draw more and more.

    Args:
        seed: int32 tensor `[2]`; or `[num_rows, 2]`, a seed for each row.
        start: number of the first row: an int or a scalar tensor; or `[num_rows]`, a number for
            each row, where each has a seed.
        num_rows: number of rows: an int or a scalar tensor.

    Returns:
        Pair of an int32 tensor `[num_rows, 2]` and an int64 tensor `[num_rows]`, a `seed` and a
        `start` as the functions of this module take them.
    """
    if _by_row(seed):
        return seed, tf.broadcast_to(tf.cast(start, tf.int64), [num_rows])
    rows = tf.cast(start, tf.int64) + tf.range(tf.cast(num_rows, tf.int64))
    return tf.broadcast_to(seed, [num_rows, 2]), rows


def _first(values):
    """The first of `[n, ...]`; zeros of none."""
    none = tf.zeros([1, *values.shape[1:]], values.dtype)
    return tf.concat([values[:1], none], 0)[0]


def _by_row(seed):
    return tf.is_tensor(seed) and seed.shape.rank == 2


def _rows(draw, seed, start, num_rows, shape, dtype, drawn=tf.float32):
    if _by_row(seed):
        numbers = tf.broadcast_to(tf.cast(start, tf.int64), [num_rows])

        def each():
            return tf.map_fn(
                lambda row: _rows(draw, *row, 1, shape, drawn, drawn)[0],
                (seed, numbers),
                fn_output_signature=tf.TensorSpec(shape, drawn),
            )

        def once():
            return _rows(draw, _first(seed), _first(numbers), num_rows, shape, drawn, drawn)

        # Rows of one caller are drawn at once.
        after = numbers[:1] + tf.range(tf.cast(num_rows, tf.int64))
        together = tf.reduce_all(seed == seed[:1]) & tf.reduce_all(numbers == after)
        return tf.cast(tf.cond(together, once, each), dtype)
    size = math.prod(shape)
    # Philox is a counter-based generator that yields four float32 per count:
    # a row that takes whole counts can be drawn by itself.
    counts = -(-size // 4)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    first = tf.cast(tf.cast(start, tf.int64) * counts, tf.uint64)
    noise = draw(
        shape=[num_rows, 4 * counts],
        key=key,
        counter=tf.stack([first, counter[1]]),
        alg=_PHILOX,
        dtype=drawn,
    )
    return tf.cast(tf.reshape(noise[:, :size], [num_rows, *shape]), dtype)

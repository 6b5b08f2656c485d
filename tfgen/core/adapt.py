"""Data-dependent initialisation, of flows and of networks with weight normalisation."""

import math
import warnings

import numpy as np
import tensorflow as tf

from tfgen.networks import WeightNorm
from tfgen.networks import data_dependent_init

# Rows that statistics of the data are taken from, at most: means come within 2 per cent of a
# standard deviation.
NUM_ROWS = 4096
# Rows that go through a model at a time.
CHUNK = 512


def has_adaptive(layers):
    """True if any of these layers has data-dependent weights."""
    return any(isinstance(part, WeightNorm) or getattr(part, "adaptive", False) for part in layers)


def adapt(model, batches):
    """Sets the data-dependent weights of a model (`_initialise`) from a list of batches.

    Each batch has noise of its own, of the model's seed, which evaluation leaves free.
    """
    seed, spec = tf.convert_to_tensor(model.noise_seed), model.data_spec
    parts = []
    for i, batch in enumerate(batches):
        start = tf.cast(batch["row"][0], tf.int64) + (i << 32)
        x = spec.draw_bits(tf.convert_to_tensor(batch["x"]), seed, start)
        noise = model._terms_noise(seed, start, tf.shape(x)[0])
        condition = batch.get("condition")
        if condition is not None:
            condition = tf.nest.map_structure(tf.convert_to_tensor, condition)
        parts.append((x, condition, noise))
    with data_dependent_init(model):
        model._initialise(parts)


def joined(batches):
    """Batches as one."""
    if len(batches) == 1:
        return batches[0]
    shared = set.intersection(*map(set, batches))
    return {
        name: tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *(b[name] for b in batches))
        for name in shared
    }


def draw_rows(arrays, seed):
    """A batch of `NUM_ROWS` random rows of arrays by name, or of all.

    Args:
        arrays: dict of arrays, or of dicts of them.
        seed: integers.
    """
    num_rows = len(arrays["x"])
    rng = np.random.default_rng(np.asarray(seed).astype(np.uint32))
    rows = np.arange(num_rows)
    if num_rows > NUM_ROWS:
        rows = np.sort(rng.choice(num_rows, NUM_ROWS, replace=False))
    taken = tf.nest.map_structure(lambda a: np.asarray(a)[rows], arrays)
    return {**taken, "row": np.arange(len(rows))}


def without_outliers(batch, names):
    """A batch without the rows that hold a value far from nearly all others.

    Far is further from the middle 99 per cent of its column's values than these are from each
    other, for normal distributions 7.7 standard deviations. Where that would leave less than half,
    nothing is left out.

    Args:
        batch: dict of arrays, or of dicts of them.
        names: names of the reals to look at.
    """
    keep = np.ones(len(batch["row"]), bool)
    for name in names:
        for values in tf.nest.flatten(batch[name]):
            values = np.asarray(values)
            # Labels are in no order.
            if values.dtype.kind == "f":
                keep &= _is_near(values.reshape(len(values), -1))
    if keep.all() or keep.mean() < 0.5:
        return batch
    return tf.nest.map_structure(lambda a: np.asarray(a)[keep], batch)


def _is_near(values):
    num_rows = len(values)
    # One value at each end can always be an outlier.
    cut = max(1, math.ceil(0.005 * num_rows))
    if num_rows < 16:
        return np.ones(num_rows, bool)
    ordered = np.partition(values, (cut, num_rows - 1 - cut), axis=0)
    low, high = ordered[cut], ordered[num_rows - 1 - cut]
    # Of columns that are constant but for a few rows nothing can be told.
    width = np.where(high > low, high - low, np.inf)
    return ((values >= low - width) & (values <= high + width)).all(1)


def chunks(batch):
    """A batch as a list of smaller ones, numbered from the first row on."""
    starts = range(0, len(batch["row"]), CHUNK)
    return [
        tf.nest.map_structure(lambda a, i=i: np.asarray(a)[i : i + CHUNK], batch) for i in starts
    ]


def moments(values):
    """Mean and standard deviation of the last axis; of what is constant but for rounding 1.

    Args:
        values: array `[n, ..., channels]`.

    Returns:
        Two arrays `[channels]`, float64.
    """
    values = np.asarray(values)
    digits = np.finfo(values.dtype).eps
    values = values.reshape(-1, values.shape[-1]).astype(np.float64)
    mean, scale = values.mean(0), values.std(0)
    return mean, np.where(scale > 8 * digits * np.abs(mean), scale, 1.0)


def warn_of_constants(x, names=None):
    """Warns of columns whose density has no end.

    Args:
        x: reals `[n, *event_shape]`.
        names: of the columns of a data frame, or None.
    """
    constant = np.argwhere(np.ptp(np.asarray(x), axis=0) == 0)
    if len(x) < 2 or not len(constant):
        return
    places = [tuple(map(int, place)) for place in constant[:5]]
    if len(places[0]) == 1:
        places = [place[0] if names is None else names[place[0]] for place in places]
    more = "" if len(constant) <= 5 else f" and {len(constant) - 5} more"
    warnings.warn(
        f"`x` is constant in column {', '.join(map(str, places))}{more}, over {len(x)} rows: there "
        "the density has no upper bound, and log-densities say nothing. Leave such columns out, or "
        "add noise to them",
        stacklevel=4,
    )

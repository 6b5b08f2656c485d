"""Data-dependent initialisation, of flows and of networks with weight normalisation."""

import tensorflow as tf

from tfgen.networks import WeightNorm
from tfgen.networks import data_dependent_init


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
    model.adapted.assign(1)


def joined(batches):
    """Batches as one."""
    if len(batches) == 1:
        return batches[0]
    shared = set.intersection(*map(set, batches))
    return {
        name: tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *(b[name] for b in batches))
        for name in shared
    }

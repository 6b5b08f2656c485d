"""Gradients of maps whose activations are not kept."""

import tensorflow as tf

MEMORY = ("stored", "recompute", "reversible")


def gradients(map, x, upstream, sources):
    """Gradients of a map at a known input.

    Args:
        map: function from `x` to `(value, log_det)`.
        x: tensor `[batch, ...]`.
        upstream: gradients of a scalar in respect of the value and of the log-determinant.
        sources: list of tensors that the map reads beside `x`.

    Returns:
        The scalar's gradient in `x`, and the list of those in the sources, None for what is not
        read.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([x, *sources])
        outputs = map(x)
    in_x, *others = tape.gradient(outputs, [x, *sources], upstream)
    return tf.zeros_like(x) if in_x is None else in_x, others


def added(*gradients):
    """The sum of lists of gradients, of which any may be None."""
    return [
        None if not (known := [g for g in same if g is not None]) else tf.add_n(known)
        for same in zip(*gradients, strict=True)
    ]

"""Penalties beside a likelihood."""

import tensorflow as tf


def log_det_penalty(log_dets):
    """Computes the sum of squared log-determinants (Tatsunami and Taki, eq. 2).

    The paper prints the sum with the likelihood's sign; its Table 2 shows what is minimised: bits
    per dimension plus a weight times this sum.

    Args:
        log_dets: log-determinants `h * w * sum(log|u|)` of the invertible convolutions, one for
            each of the m convolutions, `[m]`, nats.

    Returns:
        Scalar tensor, in squared nats.

    References:
        Tatsunami and Taki, Methods for Stabilizing Flow-based Generative Models (in Japanese).

    >>> import tensorflow as tf, tfgen
    >>> float(tfgen.objectives.log_det_penalty(tf.constant([1.0, -2.0])))
    5.0
    """
    return tf.reduce_sum(tf.square(log_dets))

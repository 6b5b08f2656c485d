"""Likelihood objectives and their penalties."""

import tensorflow as tf


def log_det_penalty(log_dets):
    """Sum of squared log-determinants (Tatsunami and Taki, eq. 2).

    The paper prints the sum with the likelihood's sign; its Table 2 shows what
    is minimised: bits per dimension plus a weight times this.

    Args:
        log_dets: `[m]`, `h * w * sum(log|u|)` of each invertible convolution, nats.

    Returns:
        A scalar, in squared nats.

    >>> import tensorflow as tf, tfgen
    >>> float(tfgen.objectives.log_det_penalty(tf.constant([1.0, -2.0])))
    5.0
    """
    return tf.reduce_sum(tf.square(log_dets))

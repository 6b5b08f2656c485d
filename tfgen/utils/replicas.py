"""Sums over the replicas that a batch is divided among."""

import tensorflow as tf


def sum_over_replicas(value):
    """Sums a value over the replicas of a `tf.distribute` strategy that work in step.

    Args:
        value: tensor, or list of tensors, of this replica.

    Returns:
        The sum, in the structure of `value`; `value` itself where there is one replica only.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

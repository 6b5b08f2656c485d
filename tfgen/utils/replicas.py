"""Figures of a whole batch where it is divided among replicas."""

import tensorflow as tf


def sum_over_replicas(value):
    """A tensor, or a list of them, summed over the replicas that work in step."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

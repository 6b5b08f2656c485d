"""Sums over the replicas that a batch is divided among."""

import tensorflow as tf


def is_multi_worker(strategy):
    """True if the replicas of a `tf.distribute` strategy are those of several processes."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return several and strategy.extended._in_multi_worker_mode()


def on_several_cpus(strategy):
    """True if the replicas of a `tf.distribute` strategy are several, and of CPUs."""
    several = strategy.num_replicas_in_sync > 1
    return several and all("CPU" in device for device in strategy.extended.worker_devices)


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

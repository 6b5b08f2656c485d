"""Devices of a run: the `tf.distribute` strategy of a name, and what each host does."""

import json
import os

import tensorflow as tf

from tfgen.utils.replicas import is_multi_worker

STRATEGIES = ("auto", "mirrored", "multiworker", "tpu", "none")


def get_strategy(name):
    """The strategy that a run is trained under.

    Args:
        name: `"none"`, one device; `"mirrored"`, all GPUs of this machine, or all of its logical
            CPUs where it has none; `"multiworker"`, the hosts that the environment variable
            `TF_CONFIG` names; `"tpu"`, the cores of a Cloud TPU (`TPU_NAME`) or of this machine;
            `"auto"`, what there is of these: several hosts, else a TPU, else several GPUs, else one
            device.

    Returns:
        A `tf.distribute.Strategy`, or None for one device.

    Raises:
        ValueError: another name, or there are no such devices.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {list(STRATEGIES)}; got {name!r}")
    if name == "auto":
        name = _found()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multiworker":
        if len(_workers()) == 1:
            raise ValueError(
                'the strategy "multiworker" needs two hosts or more; TF_CONFIG names '
                f'{_workers()}: give the strategy "auto" for one'
            )
        if not _workers():
            raise ValueError(
                'the strategy "multiworker" needs the environment variable TF_CONFIG on each host, '
                '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", '
                f'"index": 0}}}}; got {os.environ.get("TF_CONFIG")!r}'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    return _tpus() if name == "tpu" else None


def _found():
    if len(_workers()) > 1:
        return "multiworker"
    if os.environ.get("TPU_NAME") or tf.config.list_physical_devices("TPU"):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"


def _workers():
    """Addresses of the hosts that train."""
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(text).get("cluster", {})
        return [*cluster.get("chief", ()), *cluster.get("worker", ())]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the environment variable TF_CONFIG is no description of a cluster ({error}); got "
            f"{text[:200]!r}"
        ) from error


def _tpus():
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=os.environ.get("TPU_NAME", "local")
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # of the system's own kinds
        raise ValueError(f'the strategy "tpu" found no TPU: {error}') from error
    return tf.distribute.TPUStrategy(resolver)


def worker_index(strategy):
    """Number of this process among those that train together; 0 is the chief, which writes."""
    if strategy is None or not is_multi_worker(strategy):
        return 0
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return 0
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", ()))
    return chiefs + resolver.task_id

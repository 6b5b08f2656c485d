"""Calibration: how long the operations of a step take on this machine, each by itself.

Products of matrices and convolutions are timed in the shapes that they have in the step. Of
elementwise operations one of each kind and size is, and the others of it take their time by the
bytes that they move; what moves less than a page costs the time to start an operation. The step
itself is not run.
"""

import collections
import math
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfgen.utils.graph_costs import kind
from tfgen.utils.graph_costs import num_bytes
from tfgen.utils.graph_costs import num_flops
from tfgen.utils.graph_costs import num_moved
from tfgen.utils.step_cost import PARTS

v1 = tf.compat.v1

_SECONDS = 0.03  # for each operation that is timed
_LEAST_RUNS = 3
_PAGE = 4096
# A run of a session takes a while to begin and to end, which of one copy is a quarter of a
# convolution's time.
_LEAST_COPIES, _MOST_COPIES = 8, 64
_RUN = 1e-3  # seconds that one run of the copies of an operation should take at least
# What decides only how many copies are made: operations and bytes per second.
_FLOPS, _BYTES = 3e10, 5e9


class Clocks(NamedTuple):
    """Seconds by two clocks.

    Attributes:
        wall: of the clock on the wall.
        processor: of all threads of this process together, which other processes do not lengthen.
    """

    wall: float
    processor: float

    @classmethod
    def now(cls):
        """The time."""
        return np.array([time.perf_counter(), time.process_time()])


class Calibrated(NamedTuple):
    """Times of the operations of a step.

    Attributes:
        seconds: dict by `(part, kind)` of `Clocks`.
        start: `Clocks` of what an operation costs that does nothing.
        flops_per_second: dict of the kinds of products to their rate by the wall's clock.
        bytes_per_second: that of elementwise operations.
        num_timed: number of operations that were timed.
    """

    seconds: dict
    start: Clocks
    flops_per_second: dict
    bytes_per_second: float
    num_timed: int

    def total(self, *parts):
        """`Clocks` of these parts of the step, or of all of it."""
        taken = [s for (part, _), s in self.seconds.items() if part in (parts or PARTS)]
        return Clocks(*np.sum([np.zeros(2), *taken], axis=0).tolist())


def calibrate(cost, between=None):
    """Times the operations of a step.

    Args:
        cost: a `tfgen.utils.step_cost.StepCost`.
        between: function without arguments that is called about twice a second, such as one that
            measures something else under the same load; or None.

    Returns:
        A `Calibrated`.

    >>> import tensorflow as tf
    >>> from tfgen.app.calibration import calibrate
    >>> from tfgen.utils.step_cost import count_step
    >>> function = tf.function(lambda a, b: a @ b)
    >>> square = tf.TensorSpec([128, 128])
    >>> cost = count_step(function.get_concrete_function(square, square))
    >>> calibrated = calibrate(cost)
    >>> calibrated.num_timed, calibrated.total().wall > 0, calibrated.flops_per_second["matmul"] > 0
    (1, True, True)
    """
    groups = collections.defaultdict(list)
    for each in cost.operations:
        group = _group(each.op)
        if group is not None:
            groups[group].append(each)
    seconds, last = collections.defaultdict(lambda: np.zeros(2)), time.monotonic()
    num_grouped, start = 0, _seconds_of_start()
    for members in groups.values():
        largest = max(members, key=lambda each: num_moved(each.op))
        taken = _seconds(largest.op)
        for op, times, part in members:
            share = num_moved(op) / num_moved(largest.op) if kind(op) == "elementwise" else 1
            seconds[part, kind(op)] += times * (start + share * np.maximum(taken - start, 0))
            num_grouped += times
        if between is not None and time.monotonic() > last + 0.5:
            between()
            last = time.monotonic()
    seconds["other", "elementwise"] += (cost.num_executed - num_grouped) * start
    by_kind = collections.defaultdict(float)
    for (_, of), (wall, _) in seconds.items():
        by_kind[of] += float(wall)
    rates = {
        of: cost.flops_of(kinds=(of,)) / by_kind[of] for of in ("matmul", "conv") if by_kind[of]
    }
    speed = cost.moved_by(kinds=("elementwise",)) / by_kind["elementwise"]
    return Calibrated(dict(seconds), Clocks(*start.tolist()), rates, speed, len(groups))


def _group(op):
    """Key that an operation shares with those that take its time; None if it is too small."""
    if kind(op) == "elementwise":
        if num_moved(op) < _PAGE:
            return None
        scalars = tuple(t.shape.num_elements() == 1 for t in op.inputs)
        return op.type, op.inputs[0].dtype, scalars, round(math.log(num_moved(op), 4))
    attributes = ((k, str(v)) for k, v in op.node_def.attr.items() if k[0] != "_")
    shapes = (tuple(t.shape) for t in op.inputs if not _is_shape(op, t))
    return op.type, *sorted(attributes), *shapes


def _seconds(op):
    """Median seconds of an operation, by both clocks."""
    if any(t.dtype in (tf.resource, tf.variant) for t in (*op.inputs, *op.outputs)):
        # Of a variable or a list: as much is copied or added elsewhere.
        size = max(1, num_moved(op) // 12)
        with tf.Graph().as_default():
            a, b = (v1.placeholder(tf.float32, [size]) for _ in range(2))
            return _seconds((a + b).op)
    work = num_moved(op) / _BYTES
    if kind(op) != "elementwise":
        work += num_flops(op) / _FLOPS
    copies = int(np.clip(_RUN / (work + 1e-6), _LEAST_COPIES, _MOST_COPIES))
    graph, values = tf.Graph(), []
    with graph.as_default():
        inputs = [_input(op, tensor, values) for tensor in op.inputs]
        return _timed(graph, lambda: _copy(graph, op, inputs), inputs, copies, values)


def _input(op, tensor, values):
    """An input for a copy of an operation, held by a variable; how it gets its value is added to
    `values`."""
    known = _known(op, tensor)
    if known is not None:
        return tf.constant(known)
    held = v1.get_variable(
        f"input_{len(values)}", initializer=tf.zeros(tensor.shape, tensor.dtype), use_resource=True
    )
    fed = v1.placeholder(tensor.dtype, tensor.shape)
    values.append((held.assign(fed).op, fed, _example(tuple(tensor.shape), tensor.dtype)))
    return held.read_value()


def _seconds_of_start():
    """Median seconds of an operation that does nothing, by both clocks."""
    graph = tf.Graph()
    with graph.as_default():
        value = tf.constant(0.0)
        return _timed(graph, lambda: tf.identity(value).op, [value], 4 * _MOST_COPIES, [])


def _timed(graph, make, inputs, copies, values):
    """Median seconds of the operations that `make` adds to a graph, which run one after another."""
    last = [t.op for t in inputs]
    for _ in range(copies):
        with graph.control_dependencies(last):
            last = [make()]
    with v1.Session(graph=graph, config=_as_it_is()) as session:
        session.run([assign for assign, *_ in values], {fed: value for _, fed, value in values})
        run = session.make_callable(last[0])
        run()
        times, end = [], time.perf_counter() + _SECONDS
        while len(times) < _LEAST_RUNS or time.perf_counter() < end:
            begin = Clocks.now()
            run()
            times.append(Clocks.now() - begin)
        return np.median(times, axis=0) / copies


def _copy(graph, op, inputs):
    attributes = {k: v for k, v in op.node_def.attr.items() if k[0] != "_"}
    types = [t.dtype for t in op.outputs]
    return graph._create_op_internal(op.type, inputs, types, attrs=attributes)


def _as_it_is():
    """Configuration of a session with the threads of this process, in which equal operations are
    not put together."""
    threads = tf.config.threading
    config = v1.ConfigProto(
        intra_op_parallelism_threads=threads.get_intra_op_parallelism_threads(),
        inter_op_parallelism_threads=threads.get_inter_op_parallelism_threads(),
        device_count={"GPU": 0},
    )
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = v1.OptimizerOptions.L0
    return config


def _is_shape(op, tensor):
    """True of the input of a convolution's gradient that is the shape of its output."""
    number = {"Input": 0, "Filter": 1}.get(op.type.partition("Backprop")[2])
    return number is not None and tensor is op.inputs[number]


def _known(op, tensor):
    """The value of an input that is not data, such as axes and shapes; else None."""
    if _is_shape(op, tensor):
        return np.array(op.outputs[0].shape, tensor.dtype.as_numpy_dtype)
    small = num_bytes(tensor) < _PAGE and tensor.dtype.is_integer
    return tf.get_static_value(tensor) if small else None


def _example(shape, dtype):
    """Numbers that an operation may get: none of them slow, such as denormal ones."""
    if dtype.is_floating:
        return np.random.default_rng(0).uniform(0.2, 0.9, shape).astype(dtype.as_numpy_dtype)
    return np.full(shape, dtype == tf.bool, dtype.as_numpy_dtype)

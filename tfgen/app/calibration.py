"""Calibration: how long the operations of a step take on this machine, each by itself.

Products of matrices and convolutions are timed in the shapes that they have in the step. Of
elementwise operations one of each kind and size is, and the others of it take their time by the
bytes that they move; what moves less than a page costs the time to start an operation. The step
itself is not run.
"""

import collections
import itertools
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
# What takes more than such a share of the step is timed so many times more: now and then the memory
# of a large operation has to come from the system, for as long as three operations take.
_LARGE, _AGAIN = 0.03, 2
# A run of a session takes a while to begin and to end, which of one copy is a quarter of a
# convolution's time.
_LEAST_COPIES, _MOST_COPIES = 8, 64
_KEPT = 2**28  # bytes of outputs that are kept together
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
            groups[_is_cold(each), group].append(each)
    updated = _updated_bytes(cost)
    start, last, found = _seconds_of_start(), time.monotonic(), collections.defaultdict(list)

    def time_all(keys):
        nonlocal last
        for key in keys:
            op = _largest(groups[key]).op
            # Weights that a product reads are not in the caches, either.
            spread = updated if key[0] or kind(op) == "matmul" else 0
            found[key].append(_seconds(op, spread, keep=key[0]))
            if between is not None and time.monotonic() > last + 0.5:
                between()
                last = time.monotonic()

    def spent():
        taken = {key: np.median(each, axis=0) for key, each in found.items()}
        return {key: list(_spent(members, taken[key], start)) for key, members in groups.items()}

    time_all(groups)
    totals = {key: sum(wall for *_, (wall, _) in each) for key, each in spent().items()}
    large = [key for key, wall in totals.items() if wall > _LARGE * sum(totals.values())]
    time_all(large * _AGAIN)
    seconds = collections.defaultdict(lambda: np.zeros(2))
    for part, of, each in itertools.chain.from_iterable(spent().values()):
        seconds[part, of] += each
    num_grouped = sum(times for members in groups.values() for _, times, _ in members)
    seconds["other", "elementwise"] += (cost.num_executed - num_grouped) * start
    by_kind = collections.defaultdict(float)
    for (_, of), (wall, _) in seconds.items():
        by_kind[of] += float(wall)
    rates = {
        of: cost.flops_of(kinds=(of,)) / by_kind[of] for of in ("matmul", "conv") if by_kind[of]
    }
    speed = cost.moved_by(kinds=("elementwise",)) / by_kind["elementwise"]
    return Calibrated(dict(seconds), Clocks(*start.tolist()), rates, speed, len(groups))


def _largest(members):
    return max(members, key=lambda each: num_moved(each.op))


def _spent(members, taken, start):
    """Part, kind and seconds of the operations of a group, the largest of which has taken so
    long."""
    most = num_moved(_largest(members).op)
    for op, times, part in members:
        share = num_moved(op) / most if kind(op) == "elementwise" else 1
        yield part, kind(op), times * (start + share * np.maximum(taken - start, 0))


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


def _updated_bytes(cost):
    """Bytes of all variables that a step's optimizers read or write."""
    sizes = {}
    for op, _, part in cost.operations:
        for handle in op.inputs if part == "optimizer" else ():
            if handle.dtype == tf.resource:
                others = (t for t in (*op.inputs, *op.outputs) if t.dtype != tf.resource)
                sizes[id(handle)] = max(num_bytes(t) for t in others)
    return sum(sizes.values())


def _is_cold(each):
    """True of an operation on what is not in the caches, whose output is not, either: it goes once
    through all weights, and does not write where it reads."""
    op, _, part = each
    if any(t.dtype == tf.variant for t in (*op.inputs, *op.outputs)):
        return True
    if part != "optimizer" or any(t.dtype == tf.resource for t in op.inputs):
        return False
    return not any(_is_given_up(t, op.outputs[0]) for t in op.inputs)


def _is_given_up(tensor, output):
    """True of an input that nobody else takes, so that the output gets its memory."""
    same = tensor.shape == output.shape and tensor.dtype == output.dtype
    return same and len(tensor.consumers()) == 1 and kind(tensor.op) != "free"


def _seconds(op, spread=0, keep=False):
    """Median seconds of an operation, by both clocks.

    Its copies take turns over inputs of `spread` bytes together, if that is more than it has. If
    the outputs are to be kept, all of them are, until the last copy has run.
    """
    tensors = (*op.inputs, *op.outputs)
    if any(t.dtype in (tf.resource, tf.variant) for t in tensors):
        # Of a variable or a list: as much is added or copied elsewhere.
        size = max(num_bytes(t) for t in tensors if t.dtype not in (tf.resource, tf.variant)) // 4
        with tf.Graph().as_default():
            a, b = (v1.placeholder(tf.float32, [max(1, size)]) for _ in range(2))
            return _seconds((-a if keep else a + b).op, spread, keep)
    work = num_moved(op) / _BYTES
    if kind(op) != "elementwise":
        work += num_flops(op) / _FLOPS
    copies = int(np.clip(_RUN / (work + 1e-6), _LEAST_COPIES, _MOST_COPIES))
    if keep:
        outputs = sum(num_bytes(t) for t in op.outputs)
        copies = min(copies, max(1, _KEPT // max(1, outputs)))
    sets = int(np.clip(spread / num_moved(op), 1, copies))
    graph, values = tf.Graph(), []
    with graph.as_default():
        inputs = [[_input(op, tensor, values) for tensor in op.inputs] for _ in range(sets)]
        turns = itertools.cycle(inputs)
        first = list(itertools.chain.from_iterable(inputs))

        def make():
            return _copy(graph, op, next(turns))

        return _timed(graph, make, first, copies, values, keep)


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


def _timed(graph, make, inputs, copies, values, keep=False):
    """Median seconds of the operations that `make` adds to a graph, which run one after another."""
    last, kept = [t.op for t in inputs], []
    for _ in range(copies):
        with graph.control_dependencies(last):
            last = [make()]
            kept += last[0].outputs
    if keep:
        last = [tf.raw_ops.IdentityN(input=kept)[0].op]
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

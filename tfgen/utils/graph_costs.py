"""Costs of a compiled function: the operations that it executes, how often, and what each computes
and moves.

The graph is the one that TensorFlow runs, after its own optimiser. Operations of functions that it
calls are counted, and those of loops as often as the loops run: the number of rounds is found by
following the integers that the condition depends on. `tf.compat.v1.profiler` counts the outer graph
alone, and XLA's cost analysis the body of a loop once.
"""

import itertools
import math
import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph
from tensorflow.python.grappler import tf_optimizer

_LOOPS = ("While", "StatelessWhile")
_BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Attributes that name the functions of these.
_CALLED = (("cond", "body"), ("then_branch", "else_branch"), ("branches",), ("f",))
_MOST_ROUNDS = 10**6
# Elements of a value that the condition of a loop may depend on.
_MOST_VALUES = 64

_ARITHMETIC = {
    **{"Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply},
    **{"Less": np.less, "LessEqual": np.less_equal, "Greater": np.greater},
    **{"GreaterEqual": np.greater_equal, "Equal": np.equal, "NotEqual": np.not_equal},
    **{"LogicalAnd": np.logical_and, "LogicalOr": np.logical_or, "LogicalNot": np.logical_not},
    **{"Maximum": np.maximum, "Minimum": np.minimum, "FloorDiv": np.floor_divide},
    **{"FloorMod": np.mod, "Neg": np.negative, "Identity": np.asarray},
}


class Executed(NamedTuple):
    """An operation that a function executes.

    Attributes:
        op: the `tf.Operation`.
        times: how often.
        part: the part of a training step that it, or the loop that it is in, belongs to, as
            `part_of` names it.
    """

    op: tf.Operation
    times: int
    part: str


def executed(function):
    """Yields the operations that a function executes, those of loops and of calls included.

    Of branches that depend on data the longer one is taken.

    Args:
        function: a concrete function.

    Raises:
        ValueError: a loop whose number of rounds depends on data.

    >>> import tensorflow as tf
    >>> from tfgen.utils import graph_costs
    >>> def f(x):
    ...     for _ in tf.range(3):
    ...         x = tf.matmul(x, x)
    ...     return x
    >>> function = tf.function(f).get_concrete_function(tf.TensorSpec([2, 2]))
    >>> [e.times for e in graph_costs.executed(function) if e.op.type == "MatMul"]
    [3]
    """
    graph_def = _optimized(function)
    functions = _Functions(graph_def.library)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    yield from _walk(graph, 1, None, _Values(functions, {}))


def _optimized(function):
    """The graph of a function as TensorFlow runs it: pruned, folded, calls in the place where they
    are, constants put together."""
    graph_def = function.graph.as_graph_def(add_shapes=True)
    shapes = {op.name: op.outputs[0] for op in function.graph.get_operations() if op.outputs}
    for node in itertools.chain(graph_def.node, *(f.node_def for f in graph_def.library.function)):
        # Else loops were taken apart.
        node.attr.pop("_lower_using_switch_merge", None)
    for node in graph_def.node:
        if node.op == "ReadVariableOp":
            # Variables' handles do not know the shapes when they are read back.
            value = shapes[node.name]
            node.op = "Placeholder"
            del node.input[:]
            node.attr.clear()
            node.attr["dtype"].type = value.dtype.as_datatype_enum
            node.attr["shape"].shape.CopyFrom(value.shape.as_proto())
    kept = [t.name for t in function.graph.outputs]
    kept += [op.name for op in function.graph.get_operations() if _changes_state(op)]
    meta = tf.compat.v1.MetaGraphDef(graph_def=graph_def)
    meta.collection_def["train_op"].node_list.value.extend(kept)
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    return tf_optimizer.OptimizeGraph(config, meta)


def _changes_state(op):
    return op.op_def.is_stateful and op.type not in ("Placeholder", "ReadVariableOp")


def _walk(graph, times, part, values):
    for op in graph.get_operations():
        own = part or part_of(op)
        yield Executed(op, times, own)
        if op.type in _LOOPS:
            cond, body = values.functions(op)
            rounds = values.rounds(op)
            if rounds is None:
                raise ValueError(
                    f"the loop {op.name!r} runs as often as its data say: its operations cannot "
                    "be counted before"
                )
            yield from _walk(cond, times * (rounds + 1), own, values.inside(cond))
            yield from _walk(body, times * rounds, own, values.inside(body))
        elif op.type in _CALLS:
            (called,) = values.functions(op)
            yield from _walk(called, times, own, values.inside(called, op.inputs))
        elif op.type in _BRANCHES:
            walked = [
                list(_walk(branch, times, own, values.inside(branch, op.inputs[1:])))
                for branch in values.functions(op)
            ]
            yield from max(walked, key=len)


_PARTS_OF_STEP = re.compile(r"(?:^|/)(forward|gradient_tape|backward|optimizer)(?:_\d+)?(?=/|$)")


def part_of(op):
    """The part of a training step that an operation's name says: `"forward"`, `"backward"`,
    `"optimizer"`, else `"other"`."""
    found = _PARTS_OF_STEP.search(op.name)
    return "other" if found is None else found[1].replace("gradient_tape", "backward")


_OTHER_SHAPE = re.compile("Node '([^']+)' has an _output_shapes attribute inconsistent")


class _Functions:
    """The graphs of a library's functions, with the shapes that operations call them with."""

    def __init__(self, library):
        self._definitions = {f.signature.name: f for f in library.function}
        self._graphs = {}

    def __call__(self, op):
        """The graphs that an operation calls: of a loop those of its condition and of its body."""
        names = next(n for n in _CALLED if n[0] in op.node_def.attr)
        values = [op.get_attr(name) for name in names]
        called = values[0] if isinstance(values[0], list) else values
        inputs = op.inputs[1:] if op.type in _BRANCHES else op.inputs
        return [self._graph(op.graph, f.name, inputs) for f in called]

    def _graph(self, outer, name, inputs):
        definition, shapes = self._definitions[name], [t.shape for t in inputs]
        while name not in self._graphs:
            try:
                with outer.as_default():
                    self._graphs[name] = function_def_to_graph(definition, shapes)
            except ValueError as error:
                # A shape that is written down, of before the graph was optimized.
                found = _OTHER_SHAPE.search(str(error))
                node = found and next(n for n in definition.node_def if n.name == found[1])
                if not node or not node.attr.pop("_output_shapes", None):
                    raise
        return self._graphs[name]


class _Values:
    """Small integers of a graph, where they follow from constants.

    Args:
        functions: `_Functions`.
        known: dict of the inputs' values by the tensors' `id`.
    """

    def __init__(self, functions, known):
        self.functions, self._known = functions, dict(known)

    def __call__(self, tensor):
        key = id(tensor)
        if key not in self._known:
            self._known[key] = self._found(tensor)
        return self._known[key]

    def _found(self, tensor):
        small = tensor.dtype in (tf.int32, tf.int64, tf.bool)
        if not small or (tensor.shape.num_elements() or 1) > _MOST_VALUES:
            return None
        value = tf.get_static_value(tensor)
        if value is not None:
            return value
        op = tensor.op
        if op.type in _LOOPS:
            return None if self.rounds(op) is None else self._known.get(id(tensor))
        inputs = [self(t) for t in op.inputs] if op.type in _ARITHMETIC else [None]
        if any(value is None for value in inputs):
            return None
        return _ARITHMETIC[op.type](*inputs)

    def inside(self, graph, inputs=()):
        """The values of the graph of a function that is called with these inputs of this graph."""
        return self._with(graph, [self(t) for t in inputs])

    def _with(self, graph, values):
        known = {id(t): value for t, value in zip(graph.inputs, values, strict=False)}
        return _Values(self.functions, known)

    def rounds(self, op):
        """The number of rounds of a loop, or None where it depends on data."""
        cond, body = self.functions(op)
        state = [self(t) for t in op.inputs]
        for done in range(_MOST_ROUNDS):
            goes_on = self._with(cond, state)(cond.outputs[0])
            if goes_on is None:
                return None
            if not goes_on:
                self._known |= {id(t): v for t, v in zip(op.outputs, state, strict=True)}
                return done
            values = self._with(body, state)
            state = [values(t) for t in body.outputs]
        return None


def num_bytes(tensor):
    """Bytes of a tensor's elements; 0 of variables' handles and lists."""
    if tensor.dtype in (tf.variant, tf.resource, tf.string):
        return 0
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size


# --- what an operation computes ------------------------------------------------------------------

_FREE = {
    *("Const", "Placeholder", "Identity", "IdentityN", "StopGradient", "PreventGradient", "NoOp"),
    *("Reshape", "Squeeze", "ExpandDims", "Shape", "ShapeN", "Size", "Rank", "EnsureShape"),
    *("ReadVariableOp", "VarIsInitializedOp", "Assert", "OptionalHasValue"),
    *("EmptyTensorList", "TensorListReserve", "TensorListGetItem", "TensorListSetItem"),
    *("TensorListPushBack", "TensorListPopBack", "TensorListLength", "TensorListElementShape"),
    *(*_LOOPS, *_CALLS, *_BRANCHES),
}
# They read no more than they write.
_EXTRACTS = {"Slice", "StridedSlice", "GatherV2", "GatherNd", "Split", "SplitV", "Unpack"}
_UPDATES = {"AssignAddVariableOp", "AssignSubVariableOp"}
_MATRIX = {"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"}
_CONVOLUTIONS = {
    *("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"),
    *("DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput"),
    *("DepthwiseConv2dNativeBackpropFilter",),
}
# Of square systems of n rows: operations as a multiple of n^3, or of n^2 for each right side.
_SYSTEMS = {"Cholesky": 1 / 3, "Lu": 2 / 3, "MatrixInverse": 2, "LogMatrixDeterminant": 2 / 3}


def kind(op):
    """Kind of an operation: `"matmul"`, `"conv"`, `"elementwise"` (reductions and moves of data
    among them) or `"free"`, which computes and moves nothing."""
    if op.type in _FREE:
        return "free"
    if op.type in _CONVOLUTIONS:
        return "conv"
    matrix = op.type in _MATRIX or op.type in _SYSTEMS or op.type in ("Einsum", "Qr")
    return "matmul" if matrix or op.type.startswith("MatrixTriangularSolve") else "elementwise"


def num_flops(op):
    """Floating-point operations of one execution; a multiplication and an addition are two.

    Of elementwise operations, reductions and random numbers it is one for each element, whatever
    it costs.
    """
    of = kind(op)
    if of == "free":
        return 0
    if of == "conv":
        return _of_convolution(op)
    if of == "matmul":
        return _of_matrices(op)
    if not any(t.dtype.is_floating for t in (*op.inputs, *op.outputs)):
        return 0
    return max((t.shape.num_elements() or 0 for t in (*op.inputs, *op.outputs)), default=0)


def num_moved(op):
    """Bytes that one execution reads and writes, each input and output once."""
    if kind(op) == "free":
        return 0
    outputs = sum(num_bytes(t) for t in op.outputs)
    if op.type in _EXTRACTS:
        return 2 * outputs
    inputs = sum({id(t): num_bytes(t) for t in op.inputs}.values())
    return 3 * inputs if op.type in _UPDATES else inputs + outputs


def _of_convolution(op):
    if op.type.endswith("BackpropInput"):
        image, kernel = op.inputs[2], op.inputs[1].shape
    elif op.type.endswith("BackpropFilter"):
        image, kernel = op.inputs[2], op.outputs[0].shape
    else:
        image, kernel = op.outputs[0], op.inputs[1].shape
    channel = -1 if op.get_attr("data_format") == b"NHWC" else 1
    # At each position of the output, one multiplication for each weight.
    positions = image.shape.num_elements() // image.shape[channel]
    return 2 * positions * kernel.num_elements()


def _of_matrices(op):
    if op.type in _MATRIX:
        shapes = [t.shape for t in op.inputs]
        names = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
        turned = [op.get_attr(name) for name in names]
        # What a branch is given may have any shape; either factor tells what is summed over.
        if shapes[0].rank is None:
            summed = shapes[1][-1 if turned[1] else -2]
        else:
            summed = shapes[0][-2 if turned[0] else -1]
        return 2 * op.outputs[0].shape.num_elements() * summed
    if op.type == "Einsum":
        letters, shapes = op.get_attr("equation").decode().split("->")[0].split(","), {}
        for names, tensor in zip(letters, op.inputs, strict=True):
            shapes |= zip(names, tensor.shape, strict=True)
        return 2 * math.prod(shapes.values())
    matrix = op.inputs[0].shape
    rows, columns = matrix[-2:]
    many = matrix.num_elements() // (rows * columns)
    if op.type == "Qr":
        return many * 4 * columns**2 * (max(rows, columns) - columns / 3)
    if op.type in _SYSTEMS:
        return many * _SYSTEMS[op.type] * rows**3
    return op.outputs[0].shape.num_elements() * rows

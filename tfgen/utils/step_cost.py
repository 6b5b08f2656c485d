"""Costs of training: what a model holds, and what a step of it computes, moves and keeps."""

import collections
from typing import NamedTuple

import tensorflow as tf

from tfgen.utils.graph_costs import executed
from tfgen.utils.graph_costs import kind
from tfgen.utils.graph_costs import num_bytes
from tfgen.utils.graph_costs import num_flops
from tfgen.utils.graph_costs import num_moved

PARTS = ("forward", "backward", "optimizer", "other")
PRODUCTS = ("matmul", "conv")
# Operations whose output is their input.
_SAME = ("Identity", "EnsureShape", "Reshape", "Squeeze", "ExpandDims", "StopGradient")


class Held(NamedTuple):
    """Bytes and numbers that a model holds in memory between steps.

    Attributes:
        num_parameters: number of all its weights.
        parameter_bytes: bytes of these.
        gradient_bytes: bytes of the gradients of a step, which devices add up.
        optimizer_bytes: bytes of its optimizers' states.
    """

    num_parameters: int
    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int


def held_by(model):
    """The `Held` of a compiled Keras model.

    >>> import keras
    >>> from tfgen.utils.step_cost import held_by
    >>> model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
    >>> model.compile("adam", loss="mse")
    >>> model.optimizer.build(model.trainable_variables)
    >>> held_by(model)
    Held(num_parameters=4, parameter_bytes=16, gradient_bytes=16, optimizer_bytes=44)
    """
    players = getattr(model, "players", None)
    moved, optimizers = model.trainable_variables, [model.optimizer]
    gradients = _bytes(moved)
    if players:
        # Each step of a player has gradients of its own.
        gradients = sum(player.steps * _bytes(player.variables) for player in players)
        optimizers = [player.optimizer for player in players]
    states = sum(_bytes(optimizer.variables) for optimizer in optimizers if optimizer)
    return Held(model.count_params(), _bytes(model.weights), gradients, states)


def _bytes(variables):
    return sum(num_bytes(tf.convert_to_tensor(v)) for v in variables)


def traced_step(model, batch_size):
    """The concrete function of a training step of so many rows.

    Args:
        model: a compiled `tfgen.GenerativeModel`.
        batch_size: positive int.

    >>> import tfgen
    >>> from tfgen.utils.step_cost import traced_step
    >>> model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,))
    >>> model.compile()
    >>> traced_step(model, 8).structured_input_signature[0][0]["x"].shape
    TensorShape([8, 2])
    """
    step = tf.function(model.train_step, autograph=False)
    return step.get_concrete_function(model.data_spec.batch_spec(batch_size))


class StepCost(NamedTuple):
    """Amounts that a compiled training step computes, moves and keeps.

    Attributes:
        operations: list of the `graph_costs.Executed` that compute or move anything.
        num_executed: number of all operations that are executed.
        flops: floating-point operations, dict by `(part, kind)`: parts are `PARTS`, kinds those of
            `graph_costs.kind`.
        moved: bytes that are read and written, each operation's for itself, dict by the same.
        activation_bytes: bytes that the forward part leaves for the backward one.
    """

    operations: list
    num_executed: int
    flops: dict
    moved: dict
    activation_bytes: int

    def flops_of(self, *, parts=PARTS, kinds=(*PRODUCTS, "elementwise")):
        """Floating-point operations of some parts and kinds together."""
        return sum(self.flops[part, kind] for part in parts for kind in kinds)

    def moved_by(self, *, parts=PARTS, kinds=(*PRODUCTS, "elementwise")):
        """Bytes read and written by some parts and kinds together."""
        return sum(self.moved[part, kind] for part in parts for kind in kinds)


def count_step(function):
    """Counts a training step.

    Args:
        function: the concrete function of one, for one batch size.

    Returns:
        A `StepCost`.

    Raises:
        ValueError: the step has a loop whose number of rounds depends on the data.

    >>> import tensorflow as tf
    >>> from tfgen.utils.step_cost import count_step
    >>> w = tf.Variable(tf.ones([4, 2]))
    >>> def step(x):
    ...     with tf.GradientTape() as tape, tf.name_scope("forward"):
    ...         loss = tf.reduce_sum(tf.tanh(x @ w))
    ...     with tf.name_scope("optimizer"):
    ...         w.assign_sub(0.1 * tape.gradient(loss, w))
    >>> cost = count_step(tf.function(step).get_concrete_function(tf.TensorSpec([8, 4])))
    >>> cost.flops["forward", "matmul"], cost.flops["backward", "matmul"]
    (128, 128)
    >>> cost.flops_of(kinds=("matmul",)), cost.moved_by(kinds=("matmul",))
    (256, 448)
    >>> cost.activation_bytes  # the outputs of tanh
    64
    """
    flops, moved = collections.Counter(), collections.Counter()
    operations, number, kept, taken = [], 0, {}, set()
    for each in executed(function):
        op, times, part = each
        number += times
        of = kind(op)
        if part == "backward":
            taken |= {id(t) for t in op.inputs}
        elif part == "forward":
            kept |= _kept(op, times)
        if of != "free":
            operations.append(each)
            flops[part, of] += times * num_flops(op)
            moved[part, of] += times * num_moved(op)
    activations = sum(size for key, (size, always) in kept.items() if always or key in taken)
    return StepCost(operations, number, flops, moved, activations)


def _kept(op, times):
    """Bytes of what an operation leaves, by the tensors' `id`, and whether they are kept anyway:
    what a loop puts aside is."""
    if op.type == "TensorListPushBack":
        put = op.inputs[1]
        while put.op.type in _SAME:
            put = put.op.inputs[0]
        # What was read from a list, such as the weights of a copy, stays there.
        held = put.op.type == "TensorListGetItem"
        return {} if held else {id(put): (times * num_bytes(put), True)}
    if op.type in ("Const", "Placeholder"):
        return {}
    return {id(t): (num_bytes(t), False) for t in op.outputs}

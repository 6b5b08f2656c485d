"""Layers trained one after the other, each as a restricted Boltzmann machine of its own."""

import tensorflow as tf

from tfgen.utils.random import fold_in


def require_layers(hidden_units):
    """Refuses fewer than two hidden layers."""
    if len(hidden_units) < 2:
        raise ValueError(
            f"`hidden_units` must be two widths or more; got {list(hidden_units)}: of one "
            "hidden layer it is an `RBM`"
        )


def mean_above(model, i, below, biases, copies=(1, 1), factor=1.0):
    """Means of layer `i + 1` given the inputs of layer `i`, without a gradient.

    Arguments as for `layer_contrast`.
    """
    field = biases[i + 1] + factor * copies[0] * model._up(i, below)
    return tf.stop_gradient(model.units[i + 1].mean(field))


def layer_contrast(
    model, i, values, below, biases, seed, start, copies=(1, 1), factor=1.0, num_steps=1
):
    """Contrastive divergence of the layers `i` and `i + 1` by themselves, `[batch]`.

    Args:
        model: a `Layered` model.
        i: number of the lower layer.
        values: examples, of which the lower layer has some values.
        below: inputs or means of the lower layer, `[batch, num_fields]`.
        biases: those of all layers.
        seed: of the chains.
        start: number of the first row.
        copies: number of copies of the lower layer that the upper one sees, and the other way round
            (Salakhutdinov and Hinton 2009, figure 2).
        factor: of the links.
        num_steps: steps of the chains.
    """
    lower, upper = model.units[i], model.units[i + 1]
    precision = model._precision() if i == 0 else None

    def field_above(inputs):
        return biases[i + 1] + factor * model._up(i, inputs)

    def free_energy(inputs, squares):
        total = tf.reduce_sum(inputs * biases[i], -1)
        if precision is not None:
            total -= 0.5 * tf.reduce_sum(precision * squares, -1)
        return -total - copies[1] * upper.log_normaliser(field_above(inputs))

    def step(number, inputs, _):
        noise = fold_in(seed, number)
        field = field_above(inputs)
        above = [upper.sample(fold_in(noise, -1 - k), start, field) for k in range(copies[1])]
        field = biases[i] + factor * model._down(i, sum(above))
        below = [lower.sample(fold_in(noise, k), start, field, precision) for k in range(copies[0])]
        return number + 1, *sums([lower.inputs(values) for values in below], below)

    def sums(inputs, values):
        return sum(inputs), sum(v**2 for v in values)

    # Of the copies only sums count.
    examples = sums([below] * copies[0], [values if i == 0 else below] * copies[0])
    _, *chains = tf.while_loop(
        lambda number, *_: number < num_steps, step, (tf.constant(0), *examples)
    )
    return free_energy(*examples) - free_energy(*(tf.stop_gradient(part) for part in chains))


def stage(model):
    """Number of the layer that is trained next, from 0, by `steps_taken`; that of layers for all
    together."""
    number = tf.convert_to_tensor(model.steps_taken) // model.layer_steps
    return tf.cast(tf.minimum(number, len(model.kernels)), tf.int32)


def layer_in_turn(model, alone, together):
    """Returns `alone(i)` while layer `i` is trained, and `together()` afterwards.

    Args:
        model: a `Layered` model with `layer_steps`.
        alone: function of the number of a layer, from 0.
        together: function of nothing, that gives the same structure.
    """
    branches = [lambda i=i: alone(i) for i in range(len(model.kernels))]
    return tf.switch_case(stage(model), [*branches, together])

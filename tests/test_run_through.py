"""Loops that compute steps again for their gradients: those are the gradients of plain formulas."""

import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import DiagonalBiLSTM
from tfgen.networks import RowLSTM
from tfgen.networks.pixel_lstm import cell
from tfgen.utils.run_through import run_through


def tensor(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def with_gradients(function, sources, orders=2):
    """The value, its gradients and, through them, gradients of the second order."""
    with tf.GradientTape() as outer:
        outer.watch(sources)
        with tf.GradientTape() as tape:
            tape.watch(sources)
            value = function()
            total = tf.reduce_sum(tf.sin(value))
        found = tape.gradient(total, sources)
        again = tf.add_n([tf.reduce_sum(g**2) for g in found])
    if orders == 1:
        return value, found
    return value, found, outer.gradient(again, sources)


def assert_same(found, expected):
    for got, wanted in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert np.any(wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_is_its_steps(backwards):
    x, state, weight = tensor(4, 3, 2), tensor(3, 2, seed=1), tensor(2, 2, seed=2)

    def step(states, inputs, weights):
        (state,), (x,), (weight,) = states, inputs, weights
        state = tf.tanh(state @ weight) * x
        return (state,), tf.exp(state)

    def plain():
        found, states = [None] * 4, (state,)
        for i in reversed(range(4)) if backwards else range(4):
            states, found[i] = step(states, (x[i],), (weight,))
        return tf.stack(found)

    def looped():
        return run_through(step, (x,), (state,), [3, 2], (weight,), backwards)

    sources = [x, state, weight]

    def run():
        return with_gradients(looped, sources)

    expected = with_gradients(plain, sources)
    assert_same(run(), expected)
    assert_same(tf.function(run)(), expected)


# XLA has no second gradient of a loop.
COMPILED = pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"]
)
KINDS = {
    "binary": {},
    "uint8": {"data_kind": "uint8", "num_mixtures": 2},
    "real": {"data_kind": "real", "num_mixtures": 2, "activation": "tanh"},
}


@COMPILED
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_nade_are_one_running_sum(kind, compiled):
    # Three blocks, of which the last one has places that are not there.
    model = tfgen.NADE(37, 5, condition_shape=(2,), dtype="float64", **KINDS[kind])
    zoo.perturb(model, scale=0.3)
    x, features = tensor(4, 37), tensor(4, 2, seed=1)

    def plain():
        terms = tf.transpose(x)[..., None] * tf.convert_to_tensor(model.kernel)[:, None]
        state = model._start(features) + tf.cumsum(terms, axis=0, exclusive=True)
        params = tf.matmul(model.activation(state), tf.convert_to_tensor(model.output_kernel))
        return tf.transpose(params, [1, 0, 2]) + model.output_bias

    sources = [x, features, *(w.value for w in model.trainable_variables[:4])]

    def blocks():
        return with_gradients(lambda: model._params(x, features), sources, 1)

    assert_same(tf.function(blocks, jit_compile=compiled)(), with_gradients(plain, sources, 1))


def in_raster_order(layer, x, added):
    """Outputs of a layer by one cell after the other."""
    gates = layer.read(x) + added
    height, width, size = *x.shape[1:3], layer.filters
    zeros = tf.zeros([x.shape[0], size], x.dtype)
    row = isinstance(layer, RowLSTM)
    kernels = [layer.kernel] if row else tf.unstack(tf.convert_to_tensor(layer.kernel))
    total = 0.0
    for n, kernel in enumerate(kernels):
        mine = tf.split(gates, len(kernels), -1)[n]
        mine, states = mine[:, :, ::-1] if n else mine, {}
        for i, j in np.ndindex(height, width):
            before = (
                [(i - 1, j - 1), (i - 1, j), (i - 1, j + 1)] if row else [(i, j - 1), (i - 1, j)]
            )
            seen = tf.concat([states.get(place, (zeros,))[0] for place in before], -1)
            memory = states.get((i - 1, j) if row else (i, j - 1), (zeros, zeros))[1]
            states[i, j] = cell(mine[:, i, j] + seen @ kernel, memory)
        part = [[states[i, j][0] for j in range(width)] for i in range(height)]
        # The one from the right is mirrored, and a row below.
        part = [[zeros] * width, *(line[::-1] for line in part[:-1])] if n else part
        total += tf.stack([tf.stack(line, 1) for line in part], 1)
    return total


@COMPILED
@pytest.mark.parametrize("build", [RowLSTM, DiagonalBiLSTM])
def test_gradients_of_lstms_are_those_of_their_cells(build, compiled):
    layer = build(2, dtype="float64")
    layer.build((None, 3, 4, 3))
    zoo.perturb(layer, scale=0.5)
    x, added = tensor(2, 3, 4, 3), tensor(2, 3, 4, layer.num_gates, seed=1)
    sources = [x, added, *(w.value for w in layer.trainable_variables)]

    def plain():
        return with_gradients(lambda: in_raster_order(layer, x, added), sources, 1)

    def looped():
        return with_gradients(lambda: layer(x, added), sources, 1)

    assert_same(tf.function(looped, jit_compile=compiled)(), plain())

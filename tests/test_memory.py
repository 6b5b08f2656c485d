"""Gradients without stored activations: those of stored ones, in memory flat in the depth."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import bijectors as tfg
from tfgen.bijectors.pull_back import MEMORY


def weighed(y, log_det):
    """A scalar that weighs every output differently."""
    numbers = tf.cast(tf.range(1, tf.size(y) + 1), y.dtype)
    rows = tf.cast(tf.range(1, tf.size(log_det) + 1), y.dtype)
    return tf.reduce_sum(tf.sin(tf.reshape(y, [-1]) + numbers)) + tf.reduce_sum(rows * log_det)


# Those with a way of their own; the others take that of the base.
OWN = ("coupling", "chain", "invert", "glow", "multi_scale", "split_condition", "network")
SHOWN = [name for name in zoo.BIJECTORS if any(own in name for own in OWN)]


@pytest.mark.parametrize("name", zoo.but_slow(["actnorm", *SHOWN], zoo.BIJECTORS))
def test_an_input_and_its_gradients_from_an_output(name):
    case = zoo.bijector_case(name)
    layer, condition = case.layer, case.condition
    sources = [*layer.trainable_variables, *([] if condition is None else [condition])]
    sources = [tf.convert_to_tensor(s) for s in sources]
    variables = layer.trainable_variables
    mapping = list(zip(variables, sources[: len(variables)], strict=True))
    given = None if condition is None else sources[-1]
    for inverse in (True, False):
        x = tf.constant(case.x if inverse else layer.inverse_and_log_det(case.x, condition)[0])
        with keras.StatelessScope(state_mapping=mapping), tf.GradientTape() as tape:
            tape.watch([x, *sources])
            y, log_det = layer(x, condition=given, inverse=inverse)
            with tape.stop_recording():
                with tf.GradientTape() as outer:
                    outer.watch([y, log_det])
                    total = weighed(y, log_det)
                upstream = outer.gradient(total, [y, log_det])
        expected = tape.gradient([y, log_det], [x, *sources], upstream)
        with keras.StatelessScope(state_mapping=mapping):
            rebuilt, in_x, found = layer.pull_back(y, upstream, given, inverse, sources)
        scale = case.entry.high or 1
        np.testing.assert_allclose(rebuilt, x, rtol=1e-8, atol=1e-8 * scale)
        for value, right in zip([in_x, *found], expected, strict=True):
            value, right = (np.zeros(1) if v is None else v.numpy() for v in (value, right))
            size = max(np.abs(right).max(initial=0), 1e-3)
            np.testing.assert_allclose(value, np.broadcast_to(right, value.shape), atol=1e-7 * size)


def step(kind, dtype):
    if kind == "glow":
        return tfgen.models.GlowStep(8, dtype=dtype)
    if kind == "spline":
        parts = [zoo.coupling("spline", dtype=dtype), tfg.Permutation("random", dtype=dtype)]
        return tfg.Chain(parts, dtype=dtype)
    return tfg.Chain([zoo.autoregressive(dtype=dtype), tfg.Permutation(dtype=dtype)], dtype=dtype)


@pytest.mark.parametrize(
    "kind, shape, condition, times, dtype, tolerance",
    [
        ("glow", (4, 4, 2), 3, 3, "float64", 1e-8),
        ("glow", (4, 4, 2), None, 32, "float32", 1e-4),
        pytest.param("spline", (5,), 2, 3, "float64", 1e-8, marks=pytest.mark.slow),
        ("autoregressive", (3,), None, 2, "float64", 1e-8),
    ],
)
def test_gradients_are_those_of_stored_activations(kind, shape, condition, times, dtype, tolerance):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(4, *shape)), dtype)
    given = [] if condition is None else [tf.constant(rng.normal(size=(4, condition)), dtype)]

    def results(memory, inverse):
        keras.utils.set_random_seed(0)
        layer = tfg.Repeat(step(kind, dtype), times, memory, dtype=dtype)
        layer.build(x.shape, given[0].shape if given else None)
        zoo.perturb(layer, scale=0.1)

        @tf.function(autograph=False)
        def function(x, *given):
            with tf.GradientTape() as tape:
                tape.watch([x, *given])
                y, log_det = layer(x, condition=given[0] if given else None, inverse=inverse)
                total = weighed(y, log_det)
            return total, *tape.gradient(total, [x, *given, *layer.trainable_variables])

        return [v.numpy() for v in function(x, *given)]

    for inverse in (True, False)[: 2 if kind == "glow" and condition else 1]:
        stored = results("stored", inverse)
        for memory in MEMORY[1:]:
            for found, right in zip(results(memory, inverse), stored, strict=True):
                size = np.abs(right).max()
                np.testing.assert_allclose(found, right, atol=tolerance * max(size, 1e-3))


def test_a_coupling_runs_its_network_once_for_the_input_and_its_gradient():
    layer = tfg.Coupling(network=zoo.CountedMLP((4,)))
    y, log_det = layer.inverse_and_log_det(tf.ones((2, 3)))
    zoo.CountedMLP.count = 0
    layer.pull_back(y, (tf.ones_like(y), log_det), None, True, [])
    assert zoo.CountedMLP.count == 1


def test_what_the_graph_keeps_of_each_copy():
    """Stored, each copy leaves its activations in lists; rebuilt, none does; else its input."""

    def lists(memory):
        layer = tfg.Repeat(zoo.coupling(), 5, memory)
        layer.build((None, 4))

        @tf.function(autograph=False)
        def gradient(x):
            with tf.GradientTape() as tape:
                total = weighed(*layer(x, inverse=True))
            return tape.gradient(total, layer.trainable_variables)

        graph = gradient.get_concrete_function(tf.TensorSpec([None, 4])).graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        return sum(node.op == "TensorListPushBack" for node in nodes)

    assert lists("stored") > 5
    assert lists("recompute") == lists("reversible") == 0


# Gradients are compared above, for each way.
@pytest.mark.slow
def test_a_model_is_trained_and_saved_with_it(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1))
    losses = []
    for memory in MEMORY:
        keras.utils.set_random_seed(0)
        model = tfgen.Glow((4, 4, 1), num_levels=1, num_steps=2, filters=4, memory=memory)
        model.compile(keras.optimizers.Adam(1e-3))
        losses.append(model.fit(x, batch_size=4, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.memory == "reversible"
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))


def test_the_error_of_what_is_rebuilt():
    norm = tfg.ActNorm()
    flow = tfgen.models.Flow(2, norm)
    x = np.array([[1.0, -4.0], [2e8, 1.0]], "float32")
    assert flow.inversion_error(x).numpy().max() == 0
    # 1 and -4 are lost beside it, and 2e8 is not.
    norm.shift.assign([1e9, 1e9])
    np.testing.assert_allclose(flow.inversion_error(x), [1, 0], atol=1e-6)


def test_a_map_that_cannot_be_rebuilt_is_told_of_once():
    def fitted(memory, scale):
        keras.utils.set_random_seed(0)
        flow = tfgen.RealNVP(3, num_layers=8, hidden_units=(4,), memory=memory)
        zoo.perturb(flow.bijector, scale=scale)
        flow.compile(keras.optimizers.SGD(0.0))
        return flow.fit(x, epochs=2, verbose=0, callbacks=keras.callbacks.History())

    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    fitted("reversible", 0.1)
    fitted("recompute", 30.0)
    with pytest.warns(UserWarning, match="after epoch 1 inputs rebuilt .* are off by up") as caught:
        fitted("reversible", 30.0)
    assert len(caught) == 1


def test_refuses():
    with pytest.raises(ValueError, match="`memory` must be one of .*; got 'little'"):
        tfgen.Glow((4, 4, 1), num_levels=1, memory="little")
    with pytest.raises(ValueError, match='`memory` must be "stored" for images'):
        tfgen.RealNVP((4, 4, 1), memory="reversible")

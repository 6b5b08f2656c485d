"""The contract that every model keeps: scores, samples, latents, in any mode and chunking."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

from tfgen.core.training import Trainable
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in


def error(case, got, expected):
    """The largest error of log-likelihoods, relative to one nat per dimension or to the value.

    Reconstructions, where there is no likelihood, are compared as data; scores as log-likelihoods.
    """
    if case.entry.reconstructs:
        assert_same_data(case, got, expected)
        return 0.0
    got, expected = np.asarray(got), np.asarray(expected)
    return (np.abs(got - expected) / np.maximum(case.model.num_dims, np.abs(expected))).max()


def assert_same_data(case, a, b):
    """Equal up to rounding: for pixels, where a value falls beside the edge of its bin."""
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    if case.model.data_kind == "real":
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    else:
        binary = case.model.data_kind == "binary"
        assert np.abs(a - b).max() <= (1 if binary else 256 >> case.model.num_bits)
        assert (a != b).mean() < 0.01


# ------------------------------------------------------------------------------------- shapes


def test_shapes_and_types(case):
    model, n = case.model, len(case.x)
    if case.entry.likelihood == "none":
        for method in (model.log_prob, model.bits_per_dim):
            with pytest.raises((NotImplementedError, ValueError), match="samples|likelihood"):
                method(case.x, case.y)
    else:
        log_prob = model.log_prob(case.x, case.y)
        assert log_prob.shape == (n,)
        assert log_prob.dtype == tf.float32
        assert np.isfinite(log_prob).all()
    if case.entry.likelihood == "manifold":
        with pytest.raises(ValueError, match='InjectiveFlow\'s likelihood is "manifold"'):
            model.bits_per_dim(case.x, case.y)
    elif case.entry.likelihood != "none":
        bits = model.bits_per_dim(case.x, case.y)
        np.testing.assert_allclose(bits, -log_prob / model.num_dims / np.log(2), rtol=1e-6)
    condition = None if case.y is None else case.y[0]
    samples = model.sample(3, condition)
    assert samples.shape == (3, *model.event_shape)
    assert samples.dtype == (tf.float32 if model.data_kind == "real" else tf.uint8)
    if "encode" not in model.signatures():
        for method in (model.encode, model.reconstruct):
            with pytest.raises(NotImplementedError, match="has no (latents|encoder)"):
                method(case.x, case.y)
        if model.latent_shape is None:
            return
        z = np.zeros((n, *model.latent_shape), "float32")
    else:
        z = model.encode(case.x, case.y)
    assert z.shape == (n, *model.latent_shape)
    decoded = model.decode(z, case.y)
    assert decoded.shape == case.x.shape
    assert decoded.dtype == samples.dtype


def test_values_stay_in_the_datas_range(case):
    if case.model.data_kind == "real":
        return
    condition = None if case.y is None else case.y[0]
    # So hot that most values come from beyond the ends.
    samples = case.model.sample(20, condition, temperature=30.0, seed=0).numpy()
    assert samples.min() == 0
    if case.model.data_kind == "binary":
        assert samples.max() == 1
    else:
        step = 256 >> case.model.num_bits
        assert (samples % step == 0).all()
        assert samples.max() == 256 - step


def test_trains_on_keras_weights_only(case):
    model = case.model
    assert model.trainable_variables
    x, y, noise = case.tensors()
    with case.restored(), tf.GradientTape() as tape:
        loss = tf.reduce_sum(model._terms(x, y, noise, training=True)["loss"])
    for weight, gradient in zip(
        model.trainable_variables,
        tape.gradient(loss, model.trainable_variables),
        strict=True,
    ):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
    owned = {id(v.value) for v in model.variables}
    for thing in reachable(model):
        assert not type(thing).__module__.startswith("tf_keras"), thing
        assert not isinstance(thing, tf.Variable) or id(thing) in owned, thing


BOOKS = ("_tracker", "optimizer", "critic_optimizer")


def reachable(model):
    """All Python objects that a model's layers hold, but for Keras's own books."""
    seen, queue = set(), [model]
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, np.ndarray)):
            continue
        seen.add(id(thing))
        yield thing
        if isinstance(thing, dict):
            queue += thing.values()
        elif isinstance(thing, (list, tuple, set)):
            # TensorFlow's own kinds of tuples cannot be added to a list.
            queue += list(thing)
        elif isinstance(thing, keras.Variable):
            queue.append(thing.value)
        elif isinstance(thing, tf.Module | keras.layers.Layer | Trainable):
            queue += [v for k, v in vars(thing).items() if k not in BOOKS]


# -------------------------------------------------------------------------------------- modes


def cores(case):
    """The eager cores of `log_prob` and `sample`, of noise alone, with noise for seed 7."""
    model, seed, rows = case.model, tf.constant([7, 0]), (tf.constant(0, tf.int64), len(case.x))
    x, y = tf.constant(case.x), None if case.y is None else tf.constant(case.y)

    def score(noise):
        if model.likelihood == "none":
            return model._outputs(x, y, seed, rows[0])
        return model._log_weight(x, y, noise)

    def generate(noise):
        return model._generate(noise, y, tf.constant(0.7))

    drawn = model._sample_noise(fold_in(seed, Stream.SAMPLES), *rows)
    return (score, model._log_prob_noise(seed, *rows)), (generate, drawn)


def test_graph_equals_eager(case):
    (score, noise), (generate, drawn) = cores(case)
    assert error(case, zoo.outputs(case.model, case.x, case.y, seed=7), score(noise)) < 1e-5
    samples = case.model.sample(len(case.x), case.y, temperature=0.7, seed=7)
    assert_same_data(case, samples, generate(drawn))


def test_xla_equals_eager(xla_case):
    (score, noise), (generate, drawn) = cores(xla_case)
    got = tf.function(score, jit_compile=True)(noise)
    assert error(xla_case, got, score(noise)) < 1e-5
    got = tf.function(generate, jit_compile=True)(drawn)
    assert_same_data(xla_case, got, generate(drawn))


# ------------------------------------------------------------------------------------- chunks


def test_outputs_do_not_depend_on_the_chunks(case):
    model, n = case.model, len(case.x)
    expected = zoo.outputs(model, case.x, case.y, seed=3)
    for size in (1, 3, n - 1, n, 1000):
        chunked = zoo.outputs(model, case.x, case.y, seed=3, batch_size=size)
        assert error(case, chunked, expected) < 1e-5
    first = zoo.outputs(model, *case.some(1), seed=3)
    assert error(case, first, expected[:1]) < 1e-5


def test_samples_do_not_depend_on_the_chunks(case):
    expected = case.model.sample(len(case.x), case.y, seed=3)
    assert_same_data(case, case.model.sample(len(case.x), case.y, seed=3, batch_size=3), expected)


def test_predict_is_call(costly_case):
    case = costly_case
    inputs = case.x if case.y is None else (case.x, case.y)
    predicted = case.model.predict(inputs, batch_size=zoo.BATCH_SIZE, verbose=0)
    assert error(case, predicted, zoo.outputs(case.model, case.x, case.y)) < 1e-5


def test_evaluate_and_call(case):
    model, terms = case.model, case.entry.terms
    outputs = zoo.outputs(model, case.x, case.y)
    assert error(case, model(case.x if case.y is None else (case.x, case.y)), outputs) < 1e-5
    results = model.evaluate(case.x, case.y, batch_size=zoo.BATCH_SIZE, verbose=0, return_dict=True)
    assert set(results) == {"loss", *terms}
    if terms[0] in ("nll", "negative_elbo", "bpd"):
        expected = -np.mean(outputs)
        if terms[0] == "bpd":
            expected = np.mean(model.bits_per_dim(case.x, case.y))
        np.testing.assert_allclose(results[terms[0]], expected, rtol=1e-5, atol=1e-5)
    weights = {name: results[weight] for name, weight in case.entry.weights.items()}
    total = sum(weights.get(name, 1) * results[name] for name in case.entry.summed or terms)
    np.testing.assert_allclose(results["loss"], total, rtol=1e-5, atol=1e-5)


# -------------------------------------------------------------------------------------- seeds


def test_same_seed_same_samples(case):
    model, condition = case.model, None if case.y is None else case.y[0]

    def sample(seed):
        return model.sample(4, condition, seed=seed).numpy()

    np.testing.assert_array_equal(sample(5), sample(5))
    np.testing.assert_array_equal(sample((5, 0)), sample(5))
    np.testing.assert_array_equal(sample(np.array([5, 0])), sample(5))
    assert not np.array_equal(sample(5), sample(6))
    assert not np.array_equal(sample(None), sample(None))


def test_dequantisation_noise_depends_on_the_seed(case):
    model = case.model
    first, again, other = (zoo.outputs(model, case.x, case.y, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    if not case.noisy:
        np.testing.assert_array_equal(first, other)
    else:
        assert (first.numpy() != other.numpy()).all()


def test_temperature(case):
    model, condition = case.model, None if case.y is None else case.y[0]
    mode = model.sample(2, condition, temperature=0.0, seed=1)
    np.testing.assert_array_equal(mode[0], mode[1])
    np.testing.assert_array_equal(mode, model.sample(2, condition, temperature=0, seed=2))


def test_temperature_of_flows(flow_case):
    case = flow_case
    model, condition = case.model, None if case.y is None else case.y[0]
    mode = model.sample(2, condition, temperature=0.0, seed=1)
    middle = model.base.sample(tf.zeros((2, *model.latent_shape), model.variable_dtype)).numpy()
    np.testing.assert_array_equal(mode, model.decode(middle, condition))
    if model.data_kind == "real":
        z = [model.encode(model.sample(5, condition, t, seed=1), condition) for t in (1.0, 0.5)]
        expected = middle[:1] + 0.5 * (z[0] - middle[:1])
        np.testing.assert_allclose(z[1], expected, rtol=1e-3, atol=1e-3)


# --------------------------------------------------------------------------------- conditions


def test_conditions(case):
    model, y = case.model, case.y
    if y is None:
        return
    expected = zoo.outputs(model, case.x, y)
    for i in (0, 7):
        one = zoo.outputs(model, case.x[i : i + 1], y[i : i + 1], seed=0)
        if not case.noisy:
            assert error(case, one, expected[i : i + 1]) < 1e-5
    # One condition for all, with and without a batch axis.
    repeated = zoo.outputs(model, case.x, np.repeat(y[:1], len(y), 0))
    np.testing.assert_array_equal(zoo.outputs(model, case.x, y[:1]), repeated)
    np.testing.assert_array_equal(zoo.outputs(model, case.x, y[0]), repeated)
    assert not np.allclose(repeated, expected)
    drawn = model.sample(len(y), np.repeat(y[:1], len(y), 0), seed=1)
    np.testing.assert_array_equal(model.sample(len(y), y[0], seed=1), drawn)
    assert not np.array_equal(model.sample(len(y), y, seed=1), drawn)
    if model.num_classes:
        np.testing.assert_array_equal(zoo.outputs(model, case.x, y[:, None]), expected)
        np.testing.assert_array_equal(zoo.outputs(model, case.x, y.astype("float64")), expected)


def test_inputs_of_every_kind(case):
    """Lists, tensors, other dtypes."""
    x, y = case.some(2)
    expected = zoo.outputs(case.model, x, y)
    for convert in (lambda a: a.tolist(), tf.constant, lambda a: a.astype("float64")):
        got = zoo.outputs(case.model, convert(x), None if y is None else convert(y))
        np.testing.assert_array_equal(got, expected)


# ------------------------------------------------------------------------------------ latents


def test_latents_are_the_data(flow_case):
    case, model = flow_case, flow_case.model
    z = model.encode(case.x, case.y)
    quantised = case.x
    if model.data_kind == "uint8":
        step = 256 >> model.num_bits
        quantised = case.x // step * step
    assert_same_data(case, model.decode(z, case.y), quantised)
    np.testing.assert_array_equal(model.reconstruct(case.x, case.y), model.decode(z, case.y))
    # From the latent side: noise goes to data and comes back (up to the bins).
    if model.data_kind == "real":
        z = model._sample_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), len(case.x))
        z = model.base.sample(z).numpy()
        back = model.encode(model.decode(z, case.y), case.y)
        np.testing.assert_allclose(back, z, rtol=1e-3, atol=1e-3)


def test_interpolate(case):
    model, (x, y) = case.model, case.some(4)
    if "encode" not in model.signatures():
        return
    y = None if y is None else y[:2]
    path = model.interpolate(x[:2], x[2:], num_steps=5, condition=y)
    assert path.shape == (2, 5, *model.event_shape)
    if case.entry.draws:
        again = model.interpolate(x[:2], x[2:], num_steps=5, condition=y, batch_size=3)
        return assert_same_data(case, path, again)
    assert_same_data(case, path[:, 0], model.reconstruct(x[:2], y))
    assert_same_data(case, path[:, -1], model.reconstruct(x[2:], y))
    middle = (model.encode(x[:2], y) + model.encode(x[2:], y)) / 2
    assert_same_data(case, path[:, 2], model.decode(middle, y))


def test_resample(flow_case):
    case, model, (x, y) = flow_case, flow_case.model, flow_case.some(3)
    assert_same_data(case, model.resample(x, model.num_dims, condition=y), model.reconstruct(x, y))
    drawn = model.resample(x, 0, seed=1, condition=y)
    assert_same_data(case, drawn, model.reconstruct(model.sample(3, y, seed=1), y))


def test_far_inputs_have_finite_gradients(case):
    model = case.model
    if model.data_kind != "real":
        return
    x, (_, y, noise) = tf.constant(1e6 * np.sign(case.x)), case.tensors()
    with case.restored(), tf.GradientTape() as tape:
        loss = tf.reduce_mean(model._terms(x, y, noise, training=True)["loss"])
    assert np.isfinite(loss)
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.isfinite(gradient).all()

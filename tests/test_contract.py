"""The contract that every model keeps: scores, samples, latents, in any mode and chunking."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.core.training import Trainable
from tfgen.testing import models as testing
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in

# Relative: what one computation gives in two ways.
ROUNDING = 1e-5


def assert_same(case, got, expected):
    """Equal log-densities, scores or reconstructions, but for rounding."""
    testing.require_same(case, case.name, "must be the same", got, expected, ROUNDING)


def assert_same_data(case, got, expected):
    """Equal examples: up to rounding, which for pixels may fall beside the edge of a bin."""
    what = "must be the same examples"
    testing.require_same(case, case.name, what, got, expected, 1e-4, examples=True)


# ------------------------------------------------------------------------------------- shapes


def test_hooks(case):
    testing.assert_hooks(case)


def test_shapes_and_types(case):
    model, n = case.model, len(case.x)
    if not case.model.has_likelihood:
        for method in (model.log_prob, model.bits_per_dim):
            with pytest.raises(
                (NotImplementedError, ValueError), match="samples|likelihood|partition"
            ):
                method(case.x, case.y)
    elif case.entry.likelihood == "manifold":
        with pytest.raises(ValueError, match='InjectiveFlow\'s likelihood is "manifold"'):
            model.bits_per_dim(case.x, case.y)
    else:
        bits, log_prob = model.bits_per_dim(case.x, case.y), model.log_prob(case.x, case.y)
        np.testing.assert_allclose(bits, -log_prob / model.num_dims / np.log(2), rtol=1e-6)
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
    assert decoded.dtype == (tf.uint8 if model.data_kind in ("binary", "uint8") else tf.float32)


def test_values_stay_in_the_datas_range(case):
    if case.model.data_kind == "real":
        return
    condition = None if case.y is None else case.y[0]
    # So hot that most values come from beyond the ends.
    samples = case.model.sample(20, condition, temperature=30.0, seed=0).numpy()
    if case.model.data_kind == "columns":
        least, most, whole = case.model.columns.ranges()
        assert (samples >= least).all() and (samples <= most).all()
        assert (~whole | (samples == np.floor(samples))).all()
        return
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
    with case.restored():
        testing.assert_gradients(case)
        testing.assert_players(case)
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
        if not model.has_likelihood:
            return model._outputs(x, y, seed, rows[0])
        return model._log_weight(x, y, noise)

    def generate(noise):
        return model._generate(noise, y, tf.constant(0.7))

    drawn = model._sample_noise(fold_in(seed, Stream.SAMPLES), *rows)
    return (score, model._log_prob_noise(seed, *rows)), (generate, drawn)


def test_graph_equals_eager(case):
    (score, noise), (generate, drawn) = cores(case)
    assert_same(case, testing.outputs(case.model, case.x, case.y, seed=7), score(noise))
    samples = case.model.sample(len(case.x), case.y, temperature=0.7, seed=7)
    assert_same_data(case, samples, generate(drawn))


def test_xla_equals_eager(xla_case):
    (score, noise), (generate, drawn) = cores(xla_case)
    got = tf.function(score, jit_compile=True)(noise)
    assert_same(xla_case, got, score(noise))
    got = tf.function(generate, jit_compile=True)(drawn)
    assert_same_data(xla_case, got, generate(drawn))


def test_variants_in_brief():
    """Entries that are slow ones have parts of their own: couplings of images, images as
    conditions, a critic of dequantised images, levels of colours, mixtures of reals."""
    # In a loop: a parameter with such a name makes a test slow.
    images = ("realnvp_images", "glow_image_condition", "gan_images", "pixelcnn_colour")
    for name in (*images, "nade_real"):
        case = zoo.untrained(name)
        model, (_, y, _) = case.model, case.tensors()
        with case.restored():
            testing.assert_gradients(case)
        (score, noise), (generate, drawn) = cores(case)
        outputs = score(noise)
        assert outputs.shape == (len(case.x),) and np.isfinite(outputs).all()
        samples = generate(drawn).numpy()
        assert samples.shape == case.x.shape and samples.dtype == case.x.dtype
        assert np.isfinite(samples).all() and samples.std() > 0
        if model.data_kind == "uint8":
            assert (samples % (256 >> model.num_bits) == 0).all()
        if isinstance(model, tfgen.Flow):
            features, z = model._features(y), drawn
            x, log_det = model.bijector.forward_and_log_det(z, condition=features)
            back, other = model.bijector.inverse_and_log_det(x, condition=features)
            np.testing.assert_allclose(back, z, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(-other, log_det, rtol=1e-3, atol=1e-3)
        other = y[::-1] if model.num_classes is None else (y + 1) % model.num_classes
        assert not np.allclose(zoo.eager_outputs(model, case.x, other), outputs)


# ------------------------------------------------------------------------------------- chunks


def test_call_and_predict(core_case):
    testing.assert_outputs(core_case, ROUNDING)


def test_outputs(core_case):
    """Outputs are the same, whatever the chunks."""
    case = core_case
    expected = testing.outputs(case.model, case.x, case.y, seed=3)
    assert np.isfinite(expected).all()
    for batch_size in (1, 3, len(case.x) - 1, 1000):
        got = testing.outputs(case.model, case.x, case.y, seed=3, batch_size=batch_size)
        assert_same(case, got, expected)
    assert_same(case, testing.outputs(case.model, *case.some(1), seed=3), expected[:1])


def test_samples(case):
    """Samples go by the seed alone, whatever the chunks; at temperature 0 they are the mode."""
    testing.assert_samples(case, len(case.x))


def test_samples_for_each_condition_do_not_depend_on_the_chunks(core_case):
    case = core_case
    if case.y is not None:
        samples = [case.model.sample(len(case.x), case.y, 1.0, 3, size) for size in (3, 256)]
        assert_same_data(case, *samples)


def test_evaluate_and_call(case):
    model, terms = case.model, case.entry.terms
    outputs = testing.outputs(model, case.x, case.y)
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


def test_seeds_of_every_kind(core_case):
    case = core_case
    model, condition = case.model, None if case.y is None else case.y[0]
    expected = model.sample(4, condition, seed=5)
    for seed in ((5, 0), np.array([5, 0])):
        np.testing.assert_array_equal(model.sample(4, condition, seed=seed), expected)


def test_dequantisation_noise_depends_on_the_seed(case):
    model = case.model
    first, again, other = (testing.outputs(model, case.x, case.y, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    if not case.noisy:
        np.testing.assert_array_equal(first, other)
    else:
        differ = first.numpy() != other.numpy()
        # Few units, and discrete latents, may be drawn alike.
        chances = case.entry.likelihood == "unnormalised" or hasattr(model, "units")
        assert differ.any() if chances else differ.all()


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
    expected = testing.outputs(model, case.x, y)
    for i in (0, 7):
        one = testing.outputs(model, case.x[i : i + 1], y[i : i + 1], seed=0)
        if not case.noisy:
            assert_same(case, one, expected[i : i + 1])
    # One condition for all, with and without a batch axis.
    repeated = testing.outputs(model, case.x, np.repeat(y[:1], len(y), 0))
    np.testing.assert_array_equal(testing.outputs(model, case.x, y[:1]), repeated)
    np.testing.assert_array_equal(testing.outputs(model, case.x, y[0]), repeated)
    assert not np.allclose(repeated, expected)
    drawn = model.sample(len(y), np.repeat(y[:1], len(y), 0), seed=1)
    np.testing.assert_array_equal(model.sample(len(y), y[0], seed=1), drawn)
    assert not np.array_equal(model.sample(len(y), y, seed=1), drawn)
    if model.num_classes:
        np.testing.assert_array_equal(testing.outputs(model, case.x, y[:, None]), expected)
        np.testing.assert_array_equal(testing.outputs(model, case.x, y.astype("float64")), expected)


def test_inputs_of_every_kind(core_case):
    """Lists, tensors, other dtypes."""
    case = core_case
    x, y = case.some(2)
    expected = testing.outputs(case.model, x, y)
    for convert in (lambda a: a.tolist(), tf.constant, lambda a: a.astype("float64")):
        got = testing.outputs(case.model, convert(x), None if y is None else convert(y))
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


# The core's, of what `encode` and `decode` give; a decoder that draws takes another way.
@pytest.mark.parametrize("case", zoo.but_slow(zoo.CORE | {"vlae"}), indirect=True)
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


# With latents of several levels and a condition, of one level and without.
RESAMPLED = {"glow_classes", "maf"}


@pytest.mark.parametrize("case", zoo.but_slow(RESAMPLED, zoo.FLOWS), indirect=True)
def test_resample(case):
    model, (x, y) = case.model, case.some(3)
    assert_same_data(case, model.resample(x, model.num_dims, condition=y), model.reconstruct(x, y))
    drawn = model.resample(x, 0, seed=1, condition=y)
    assert_same_data(case, drawn, model.reconstruct(model.sample(3, y, seed=1), y))
    if model.data_kind == "real":
        # Of some the last are kept.
        kept, fresh = model.encode(x, y), model.encode(drawn, y)
        got = model.encode(model.resample(x, 1, seed=1, condition=y), y)
        np.testing.assert_allclose(got[:, -1:], kept[:, -1:], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(got[:, :-1], fresh[:, :-1], rtol=1e-3, atol=1e-3)


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

"""Distributions of single values, and observation models."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import zoo

import tfgen
from tfgen import distributions

LOGISTIC = [(1, 8, 1), (3, 2, 1), (2, 1, 2), (2, 2, 3)]


def params_of(element, channels, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=(1, element.num_params(channels)))).astype("float32")


def levels(num_bits, channels):
    step = 2 ** (8 - num_bits)
    return np.array(list(itertools.product(range(0, 256, step), repeat=channels)))


@pytest.mark.parametrize("num_mixtures, num_bits, channels", LOGISTIC)
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_levels_sum_to_one(num_mixtures, num_bits, channels, scale):
    element = distributions.DiscretisedLogistic(num_mixtures, num_bits)
    x, params = levels(num_bits, channels), params_of(element, channels, scale)
    log_prob = element.log_prob(x, np.repeat(params, len(x), 0))
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-4)


@pytest.mark.parametrize("num_mixtures, num_bits, channels", LOGISTIC[1:])
def test_draws_of_levels_follow_the_density(num_mixtures, num_bits, channels):
    element = distributions.DiscretisedLogistic(num_mixtures, num_bits)
    x, params = levels(num_bits, channels), params_of(element, channels)
    noise = element.noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 40_000, (channels,))
    drawn = element.sample(noise, np.repeat(params, len(noise), 0)).numpy()
    assert drawn.dtype == np.uint8
    found = [(drawn == value).all(1).mean() for value in x]
    expected = np.exp(element.log_prob(x, np.repeat(params, len(x), 0)))
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_a_discretised_logistic_by_hand():
    """Probabilities of an inner level, and of both ends, where all of the tails counts."""
    element = distributions.DiscretisedLogistic()
    loc, log_scale = 0.2, -2.0
    params = np.array([[0.7, loc, log_scale]], "float32")
    peer = scipy.stats.logistic(loc, np.exp(log_scale))
    edges = (np.arange(257) - 0.5) / 127.5 - 1
    edges[[0, -1]] = -np.inf, np.inf
    expected = np.diff(peer.cdf(edges))
    got = np.exp(element.log_prob(np.arange(256)[:, None], np.repeat(params, 256, 0)))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(element.mean(params), [[127.5 * 1.2]], rtol=1e-5)


def test_bernoulli_and_normal():
    x, params = np.array([[0, 1, 1]]), np.array([[0.3, -1.0, 5.0]], "float32")
    element = distributions.Bernoulli()
    expected = scipy.stats.bernoulli(1 / (1 + np.exp(-params))).logpmf(x).sum(1)
    np.testing.assert_allclose(element.log_prob(x, params), expected, rtol=1e-5)
    for scale in (0.5, "shared", "per_value"):
        element = distributions.Normal(scale)
        element.build((None, 2))
        params = params_of(element, 2)
        loc, log_scale = element._loc_and_log_scale(params)
        expected = scipy.stats.norm(loc, np.exp(log_scale)).logpdf([[0.1, -3.0]]).sum(1)
        got = element.log_prob(np.array([[0.1, -3.0]], "float32"), params)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_mixture_of_normals():
    element = distributions.NormalMixture(3)
    params = params_of(element, 2)
    logits, loc, log_scale = (v.numpy()[0] for v in element._split(tf.constant(params)))
    weights = np.exp(logits) / np.exp(logits).sum()
    x = np.array([[0.1, -1.0]], "float32")
    each = scipy.stats.norm(loc, np.exp(log_scale)).pdf(x[0][:, None]).prod(0)
    np.testing.assert_allclose(element.log_prob(x, params), [np.log(weights @ each)], rtol=1e-5)
    np.testing.assert_allclose(element.mean(params), [loc @ weights], rtol=1e-5)
    noise = element.noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 40_000, (2,))
    drawn = element.sample(noise, np.repeat(params, len(noise), 0)).numpy()
    np.testing.assert_allclose(drawn.mean(0), loc @ weights, atol=0.05)
    square = (loc**2 + np.exp(2 * log_scale)) @ weights
    np.testing.assert_allclose((drawn**2).mean(0), square, rtol=0.05)
    # Channels share the component: with it they are uncorrelated.
    product = (loc[0] * loc[1]) @ weights
    np.testing.assert_allclose((drawn[:, 0] * drawn[:, 1]).mean(), product, atol=0.05)
    # The mode is the location of the likeliest component.
    mode = element.sample(noise[:5], np.repeat(params, 5, 0), 0.0)
    np.testing.assert_allclose(mode, np.tile(loc[:, weights.argmax()], (5, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    "element",
    [
        distributions.Bernoulli(),
        distributions.Normal(0.5),
        distributions.Normal("per_value"),
        distributions.DiscretisedLogistic(3, 4),
    ],
)
def test_temperature(element):
    params = np.repeat(params_of(element, 2), 4000, 0)
    noise = element.noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 4000, (2,))
    drawn = [element.sample(noise, params, t).numpy().astype(float) for t in (0.0, 0.3, 1.0)]
    deviations = [values.std(0) for values in drawn]
    assert (deviations[0] == 0).all()
    assert (deviations[1] < deviations[2]).all()
    if element.data_kind == "real":
        np.testing.assert_allclose(deviations[1], 0.3 * deviations[2], rtol=1e-4)


@pytest.mark.parametrize("num_mixtures", [1, 3])
def test_gradients_are_finite_far_out(num_mixtures):
    element = distributions.DiscretisedLogistic(num_mixtures)
    for scale, value in itertools.product((1e1, 1e3, 1e6), (0, 100, 255)):
        params = tf.Variable(params_of(element, 3, scale))
        with tf.GradientTape() as tape:
            log_prob = element.log_prob(np.full((1, 3), value), params)
        assert np.isfinite(log_prob).all()
        assert np.isfinite(tape.gradient(log_prob, params)).all()


@pytest.mark.parametrize("scale", [0, -1.0, "pixel", None, True, np.ones(2)])
def test_bad_scales(scale):
    with pytest.raises(ValueError, match="`scale` must be"):
        distributions.Normal(scale)


def test_the_least_scale():
    """The least scale is `exp(-5)` by default; scales of order 1 are the same with any."""
    params = np.array([[0.0, 0.3], [0.0, -50.0]], "float32")
    scales = {
        least: np.exp(distributions.Normal("per_value", None, least)._loc_and_log_scale(params)[1])
        for least in (None, 1e-9)
    }
    np.testing.assert_allclose(scales[None][1], np.exp(-5), rtol=1e-5)
    np.testing.assert_allclose(scales[1e-9][1], 1e-9, rtol=1e-4)
    np.testing.assert_allclose(scales[1e-9][0], scales[None][0], rtol=0.01)
    for scale, least, words in (
        ("shared", 0.1, "`least_scale` goes with the scale \"per_value\"; got 'shared'"),
        ("per_value", 0, "`least_scale` must be greater than 0"),
    ):
        with pytest.raises(ValueError, match=words):
            distributions.Normal(scale, least_scale=least)


@pytest.mark.parametrize("kind", ["real", "uint8"])
def test_density_of_a_pixel_flow(kind):
    """The density agrees with the Jacobian of the flow by differentiation."""
    observation = distributions.PixelFlow(data_kind=kind)
    observation.build((None, 3), (2, 2, 1))
    zoo.perturb(observation)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 2, 2, 1)) if kind == "real" else rng.integers(256, size=(4, 2, 2, 1))
    x, features = tf.constant(x, tf.float32), rng.normal(size=(4, 3)).astype("float32")
    noise = observation.log_prob_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 4)
    # Each row four times: once for each of the outputs.
    values = tf.repeat(x if noise is None else x + noise, 4, 0)
    with tf.GradientTape() as tape:
        tape.watch(values)
        y = values if kind == "real" else values / 256 - 0.5
        y, _ = observation.bijector.inverse_and_log_det(y)
        total = tf.linalg.trace(tf.reshape(y, [4, 4, 4]))
    jacobian = tf.reshape(tape.gradient(total, values), [4, 4, 4])
    expected = observation.features.log_prob(y[::4], features) + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(
        observation.log_prob(x, features, noise), expected, rtol=1e-4, atol=1e-3
    )


# ---------------------------------------------------------------- scales of normal observations


@pytest.mark.parametrize("given", ["name", "element"])
def test_a_scale_of_pixels_is_in_units_that_all_levels_span(given):
    if given == "name":
        observation = distributions.get_observation("normal", None, "uint8", 0.3)
    else:
        observation = distributions.get_observation(distributions.Normal(0.3), None, "uint8")
    observation.build((None, 3), (2, 2, 1))
    zoo.perturb(observation)
    rng = np.random.default_rng(0)
    x, features = rng.integers(256, size=(4, 2, 2, 1)), rng.normal(size=(4, 3)).astype("float32")
    noise = observation.log_prob_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 4)
    # Of images in [0, 1], and of the levels by the change of the unit.
    loc = observation.features.mean(features) + 0.5
    density = scipy.stats.norm(loc, 0.3).logpdf((x + noise) / 256).sum((1, 2, 3))
    np.testing.assert_allclose(
        observation.log_prob(x, features, noise), density - 4 * np.log(256), rtol=1e-5
    )
    small = distributions.get_observation("normal", None, "uint8", 0.02)
    small.build((None, 3), (20, 20, 1))
    drawn = small.sample(small.noise(tf.constant([1, 2]), tf.constant(0), 9), np.zeros((9, 3)))
    np.testing.assert_allclose(np.std(drawn), 0.02 * 256, rtol=0.05)
    np.testing.assert_allclose(np.mean(drawn), 127.5, atol=1)


@pytest.mark.parametrize(
    "kind, by_default, names",
    [
        ("real", "shared", ("normal", None)),
        ("uint8", "per_value", ("normal",)),
    ],
)
def test_observation_scales_that_are_learned(kind, by_default, names):
    for name, scale in itertools.product(names, (None, "shared", "per_value", 2)):
        observation = distributions.get_observation(name, None, kind, scale)
        assert observation.element.scale == (scale or by_default)
        assert observation.data_kind == kind
        if scale == "shared":
            observation.build((None, 3), (4, 4, 2))
            assert observation.element.log_scale.shape == (2,)


@pytest.mark.parametrize(
    "recipe, arguments",
    [
        (tfgen.VAE, {"data_kind": "real"}),
        (tfgen.CQ, {}),
        # Recipes of these two with other parts.
        pytest.param(
            tfgen.IAFVAE, {"data_kind": "uint8", "observation": "normal"}, marks=pytest.mark.slow
        ),
        pytest.param(tfgen.CQF, {"observation": "normal"}, marks=pytest.mark.slow),
    ],
)
def test_models_take_an_observation_scale(recipe, arguments, tmp_path):
    build = zoo.adversarial if issubclass(recipe, tfgen.CQ) else zoo.vae
    model = build(recipe, observation_scale=0.7, **arguments)
    assert model.observation.element.scale == 0.7
    x, _ = zoo.make_data(model)
    if recipe is tfgen.CQ:
        model.compile(run_eagerly=True)
        assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.observation.element.scale == copy.get_config()["observation_scale"] == 0.7
    np.testing.assert_array_equal(zoo.eager_outputs(copy, x), zoo.eager_outputs(model, x))


@pytest.mark.parametrize(
    "recipe, arguments, words",
    [
        (tfgen.VAE, {"observation_scale": 0}, "`observation_scale` must be greater than 0"),
        (
            tfgen.VAE,
            {"observation_scale": "pixel"},
            '`observation_scale` must be a number above 0, "shared" or "per_value"; got \'pixel\'',
        ),
        (tfgen.VAE, {"observation": "logistic"}, "\"normal\"; got 'logistic'"),
        # The default is the Bernoulli distribution.
        (tfgen.VAE, {}, '`observation_scale` goes with the observation "normal"; got None'),
        (tfgen.CQF, {"event_shape": (4, 4, 1)}, "\"normal\"; got 'flow'"),
    ],
)
def test_bad_observation_scales(recipe, arguments, words):
    with pytest.raises(ValueError, match=words):
        recipe(**{"event_shape": (4,), "latent_dim": 2, "observation_scale": 1.0, **arguments})


def test_reals_for_pixels_must_have_a_density():
    element = distributions.Deterministic()
    with pytest.raises(ValueError, match="`observation` must have a density; got a PixelFlow of"):
        tfgen.VAE(4, latent_dim=2, observation=element, data_kind="uint8")

"""Distributions of single values, and observation models."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import zoo

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
    """Of an inner level, and of both ends, where all of the tails counts."""
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


@pytest.mark.parametrize("kind", ["real", "uint8"])
def test_density_of_a_pixel_flow(kind):
    """Against the Jacobian of the flow by differentiation."""
    observation = distributions.PixelFlow(data_kind=kind)
    observation.build((None, 3), (2, 2, 1))
    zoo.perturb(observation)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 2, 2, 1)) if kind == "real" else rng.integers(256, size=(4, 2, 2, 1))
    x, features = tf.constant(x, tf.float32), rng.normal(size=(4, 3)).astype("float32")
    noise = observation.log_prob_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 4)
    values = x if noise is None else x + noise
    with tf.GradientTape() as tape:
        tape.watch(values)
        y = values if kind == "real" else values / 256 - 0.5
        y, _ = observation.bijector.inverse_and_log_det(y)
    jacobian = tf.reshape(tape.batch_jacobian(y, values), [4, 4, 4])
    expected = observation.features.log_prob(y, features) + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(
        observation.log_prob(x, features, noise), expected, rtol=1e-4, atol=1e-3
    )

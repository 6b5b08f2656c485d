"""Likelihoods are probabilities: they sum to one, and samples follow them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import zoo

import tfgen

NUM_SAMPLES = 20_000


def grid(samples, num_points):
    """Midpoints of cells over all that the samples reach, and the volume of a cell."""
    low, high = samples.min(0), samples.max(0)
    low, high = low - (high - low) / 2, high + (high - low) / 2
    steps = (high - low) / num_points
    axes = [a + s * (np.arange(num_points) + 0.5) for a, s in zip(low, steps, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(low))
    return points, np.prod(steps)


def condition_of(case):
    return None if case.y is None else case.y[3]


@pytest.mark.parametrize(
    "name, num_points",
    [("realnvp_1", 20_000), ("realnvp_2", 500), ("realnvp_condition", 500)]
    + [("realnvp_labels", 500), ("realnvp_mixture", 500), ("realnvp_tfd", 500)]
    + [("maf_1", 20_000), ("maf_labels", 500), ("iaf", 500), ("nsf", 500)]
    + [("nsf_autoregressive", 500)],
)
def test_density_integrates_to_one_and_samples_follow_it(name, num_points):
    case = zoo.case(name)
    samples = case.model.sample(NUM_SAMPLES, condition_of(case), seed=0, batch_size=10_000).numpy()
    points, volume = grid(samples, num_points)
    log_prob = case.model.log_prob(points, condition_of(case), batch_size=50_000)
    masses = np.exp(log_prob) * volume
    np.testing.assert_allclose(masses.sum(), 1, atol=1e-3)
    # Kolmogorov and Smirnov along each axis and along a diagonal; 1.95 is the 0.1 per cent point.
    # The mass of a cell lies all over it, not at its middle.
    steps = np.ptp(points, axis=0) / (num_points - 1)
    points = points + steps * np.random.default_rng(0).uniform(-0.5, 0.5, points.shape)
    directions = np.eye(samples.shape[1]).tolist()
    if samples.shape[1] > 1:
        directions += [[1, 1], [1, -1]]
    for direction in directions:
        places, drawn = points @ direction, np.sort(samples @ direction)
        order = np.argsort(places)
        cumulative = np.interp(drawn, places[order], np.cumsum(masses[order]))
        expected = (np.arange(NUM_SAMPLES) + 0.5) / NUM_SAMPLES
        assert np.abs(cumulative - expected).max() < 1.95 / np.sqrt(NUM_SAMPLES)


@pytest.mark.slow
def test_probabilities_of_pixels():
    """All values of two one-bit pixels: estimates, integrals and frequencies agree."""
    case = zoo.case("realnvp_bits")
    states = 128 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    got = np.exp(case.model.estimate_log_prob(states, 5000))
    # The density of the dequantised values; the logit's margins reach beyond [0, 2).
    points, volume = grid(np.array([[0.0, 0.0], [2.0, 2.0]]), 800)
    masses = np.exp(case.model.distribution().log_prob(points.astype("float32"))) * volume
    np.testing.assert_allclose(masses.sum(), 1, atol=1e-3)
    inside = np.floor(points)
    for state, probability in zip(states / 128, got, strict=True):
        cell = (inside == state).all(1)
        np.testing.assert_allclose(probability, masses[cell].sum(), rtol=0.05)
    # Samples beyond the ends are clipped.
    samples = case.model.sample(NUM_SAMPLES, seed=0, batch_size=10_000).numpy()
    for state in states:
        nearest = (np.clip(inside, 0, 1) == state / 128).all(1)
        frequency = (samples == state).all(1).mean()
        deviation = np.sqrt(frequency * (1 - frequency) / NUM_SAMPLES)
        assert abs(frequency - masses[nearest].sum()) < 4 * deviation + 1e-3


# ----------------------------------------------------------------------------------- estimate


def test_estimate_is_the_log_mean_of_draws():
    case = zoo.case("glow_classes")
    model, num_samples = case.model, 5
    got = model.estimate_log_prob(case.x, num_samples, case.y, seed=9)
    draws = [
        model.log_prob(
            case.x,
            case.y,
            seed=tf.random.experimental.stateless_fold_in(tf.constant([9, 0]), i).numpy(),
        )
        for i in range(num_samples)
    ]
    expected = np.logaddexp.reduce(draws, 0) - np.log(num_samples)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    chunked = model.estimate_log_prob(case.x, num_samples, case.y, seed=9, batch_size=3)
    np.testing.assert_allclose(chunked, got, rtol=1e-5)
    # Jensen: the log of a mean is above the mean of logs.
    assert (got.numpy() > np.mean(draws, 0)).all()


def test_estimates_of_an_exact_likelihood_are_exact():
    case = zoo.case("realnvp_2")
    np.testing.assert_array_equal(
        case.model.estimate_log_prob(case.x, 3), case.model.log_prob(case.x)
    )


# ------------------------------------------------------------------------------- distribution


@pytest.mark.parametrize("name", ["realnvp_2", "glow_real", "flow", "maf", "iaf", "realnvp_tfd"])
def test_distribution(name):
    model, x = zoo.case(name).model, zoo.case(name).x
    distribution = model.distribution()
    assert isinstance(distribution, tfp.distributions.Distribution)
    assert distribution.event_shape == model.event_shape
    assert distribution.batch_shape == ()
    np.testing.assert_allclose(distribution.log_prob(x), model.log_prob(x), rtol=1e-4)
    samples = distribution.sample((2, 3), seed=0)
    assert samples.shape == (2, 3, *model.event_shape)
    expected = model.log_prob(tf.reshape(samples, (-1, *model.event_shape)))
    got = tf.reshape(model.distribution().log_prob(samples), [-1])
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["realnvp_condition", "realnvp_labels", "maf_labels"])
def test_conditional_distribution(name):
    case = zoo.case(name)
    one = case.model.distribution(case.y[0])
    assert one.batch_shape == ()
    expected = case.model.log_prob(case.x, case.y[0])
    np.testing.assert_allclose(one.log_prob(case.x), expected, rtol=1e-4)
    several = case.model.distribution(case.y)
    assert several.batch_shape == (len(case.y),)
    expected = case.model.log_prob(case.x, case.y)
    np.testing.assert_allclose(several.log_prob(case.x), expected, rtol=1e-4)
    assert several.sample(4, seed=0).shape == (4, len(case.y), 2)
    # As a batch shape they broadcast: every example under every condition.
    three = case.model.distribution(case.y[:3])
    grid = np.stack([case.model.log_prob(case.x, y) for y in case.y[:3]], -1)
    np.testing.assert_allclose(three.log_prob(case.x[:, None]), grid, rtol=1e-4)
    np.testing.assert_allclose(three.log_prob(case.x[0]), grid[0], rtol=1e-4)
    weights = tfp.distributions.Categorical(probs=[0.2, 0.3, 0.5])
    mixture = tfp.distributions.MixtureSameFamily(weights, three)
    expected = np.log(np.exp(grid.astype("float64")) @ [0.2, 0.3, 0.5])
    np.testing.assert_allclose(mixture.log_prob(case.x), expected, rtol=1e-4)


class Shifted(tfgen.distributions.StandardNormal):
    """A base whose location is the condition."""

    def log_prob(self, z, condition=None):
        return super().log_prob(z - condition)

    def sample(self, noise, condition=None, temperature=1.0):
        return condition + super().sample(noise, condition, temperature)

    def to_tfd(self, condition=None):
        return tfp.distributions.MultivariateNormalDiag(condition, tf.ones(self.size))


def test_conditional_base():
    keras.utils.set_random_seed(0)
    model = tfgen.Flow((2,), tfgen.bijectors.ActNorm(), base=Shifted(), condition_shape=(2,))
    zoo.perturb(model.bijector)
    x, y = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    several, one = model.distribution(y), model.distribution(y[0])
    assert (several.batch_shape, one.batch_shape) == ((5,), ())
    np.testing.assert_allclose(several.log_prob(x), model.log_prob(x, y), rtol=1e-5)
    np.testing.assert_allclose(one.log_prob(x), model.log_prob(x, y[0]), rtol=1e-5)
    np.testing.assert_allclose(
        model.encode(model.sample(5, y, temperature=0.0), y), y, rtol=1e-4, atol=1e-5
    )


def test_a_distribution_trains_the_model():
    """Fresh at each call: it has the weights of now, and gradients reach them."""
    keras.utils.set_random_seed(0)
    model = zoo.perturb(tfgen.RealNVP(2, num_layers=2, hidden_units=(4,)))
    x = zoo.case("realnvp_2").x
    for _ in range(2):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(model.distribution().log_prob(x))
        np.testing.assert_allclose(value, np.mean(model.log_prob(x)), rtol=1e-4)
        assert all(g is not None for g in tape.gradient(value, model.trainable_variables))
        zoo.perturb(model, seed=1)


# ---------------------------------------------------------------------------------- full size


@pytest.mark.parametrize(
    "build, dtype, tolerance",
    [("image_glow", "float64", 1e-10)]
    + [
        pytest.param("image_realnvp", "float32", 1e-4, marks=pytest.mark.slow),
        pytest.param("image_glow", "float32", 1e-4, marks=pytest.mark.slow),
        pytest.param("image_realnvp", "float64", 1e-10, marks=pytest.mark.slow),
    ],
)
def test_image_models_invert_at_full_size(build, dtype, tolerance):
    shape = (32, 32, 3)
    if build == "image_glow":
        model = tfgen.Glow(shape, num_levels=3, num_steps=3, filters=16, dtype=dtype)
    else:
        sizes = {"num_levels": 2, "filters": 8, "num_blocks": 1}
        model = tfgen.RealNVP(shape, data_kind="uint8", dtype=dtype, **sizes)
    x, _ = zoo.make_data(model, 4)
    model.adapt(x)
    zoo.perturb(model, scale=0.1)
    values = tf.cast(x, dtype) + 0.5
    z, log_det = model.bijector.inverse_and_log_det(values)
    back, forward_log_det = model.bijector.forward_and_log_det(z)
    # In units of the data's range.
    assert np.abs(back - values).max() / 256 < tolerance
    np.testing.assert_allclose(forward_log_det, -log_det, rtol=10 * tolerance)
    again, _ = model.bijector.inverse_and_log_det(back)
    assert np.abs(again - z).max() < tolerance
    np.testing.assert_array_equal(model._decode(z, None), x)

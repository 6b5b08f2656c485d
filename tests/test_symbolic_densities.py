"""Densities for TFP, whose variables it trains, and samples with their scores."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import zoo

import tfgen
from tfgen.testing import models as testing

# Chunks of five rows, of which the last one is short.
ROWS, CHUNK = 8, 5
tfd = tfp.distributions


def assert_same_examples(case, got, expected):
    """Equal but for rounding, which for pixels may fall beside the edge of a bin."""
    testing.require_same(case, case.name, "must be", got, expected, 1e-4, examples=True)


# ------------------------------------------------------------------------------- distributions


BASES = ("normal", "diagonal_normal", "mixture", "student_t")


def full_mixture():
    return tfgen.distributions.GaussianMixture(2, "full")


@pytest.mark.parametrize(
    ("base", "labels"),
    [
        ("diagonal_normal", True),
        pytest.param("normal", False, marks=pytest.mark.slow),
        pytest.param(full_mixture, False, marks=pytest.mark.slow),
        *(pytest.param(base, False, marks=pytest.mark.slow) for base in BASES[1:]),
    ],
)
def test_a_density_that_is_kept_learns(base, labels):
    """One distribution and its variables, for one condition, by TFP's own loop."""
    base = base() if callable(base) else base
    arguments = {"num_classes": 2} if labels else {}
    flow = tfgen.RealNVP(2, 2, hidden_units=(8,), base=base, **arguments)
    x = np.random.default_rng(0).normal(2.0, 2.0, size=(64, 2)).astype("float32")
    x, y = tf.constant(x), 1 if labels else None
    density = flow.distribution(y)
    variables = density.trainable_variables
    owners = [flow.bijector, flow.base, *([flow.embedding] if labels else [])]
    own = [w.value for owner in owners for w in owner.trainable_variables]
    assert {id(v) for v in variables} == {id(v) for v in own}
    assert len(variables) == len(own)
    before = [v.numpy() for v in variables]
    losses = tfp.math.minimize(
        lambda: -tf.reduce_mean(density.log_prob(x)),
        num_steps=20,
        optimizer=tf.optimizers.Adam(2e-2),
        trainable_variables=variables,
    )
    assert losses[-1] < losses[0] - 0.1
    # Of labels the embedding's row of another label may stay, and a kernel's of values not seen.
    assert all(np.any(v != b) for v, b in zip(variables, before, strict=True))
    # Neither the one that was kept nor a new one gives values of old weights.
    expected = flow.log_prob(x, y)
    for now in (density, flow.distribution(y)):
        np.testing.assert_allclose(now.log_prob(x), expected, rtol=1e-4, atol=1e-4)


def test_what_is_frozen_is_not_trained():
    flow = tfgen.RealNVP(2, 2, hidden_units=(8,), base="diagonal_normal")
    every = flow.distribution().trainable_variables
    flow.base.trainable = False
    kept = flow.distribution().trainable_variables
    assert len(kept) == len(every) - 2
    flow.bijector.trainable = False
    assert flow.distribution().trainable_variables == ()
    flow.base.trainable = True
    names = {v.name for v in flow.distribution().trainable_variables}
    assert len(names) == 2


def test_variables_of_views_and_priors():
    for name in ("chain", "repeat"):
        layer = zoo.bijector_case(name, "float32").layer
        view = layer.to_tfp()
        assert len(view.trainable_variables) == len(layer.trainable_variables)
        assert len(view.variables) == len(layer.variables)
    prior = tfgen.distributions.autoregressive_flow(2, (8,))
    prior.build((None, 3))
    assert len(prior.to_tfd().trainable_variables) == len(prior.trainable_variables)


# A density that is kept learns above.
@pytest.mark.slow
def test_surrogate_posteriors_are_fitted_by_their_variables():
    keras.utils.set_random_seed(0)
    target = tfd.MultivariateNormalTriL([1.0, -1.0], [[0.5, 0.0], [0.4, 0.2]])
    surrogate = tfgen.RealNVP(2, 2, hidden_units=(8,)).distribution()
    losses = tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        surrogate,
        optimizer=tf.optimizers.Adam(2e-2),
        num_steps=60,
        sample_size=16,
        seed=(0, 1),
    )
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_a_view_sees_weights_that_change():
    layer = zoo.BijectorCase("chain", "float32").layer
    view, x = layer.to_tfp(), tf.ones([2, 3])
    for seed in (1, 2):
        with tf.GradientTape() as tape:
            value, log_det = view.inverse(x), view.inverse_log_det_jacobian(x)
            total = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        expected = layer.inverse_and_log_det(x)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        np.testing.assert_allclose(log_det, expected[1], rtol=1e-5)
        assert all(g is not None for g in tape.gradient(total, view.trainable_variables))
        del value, log_det
        zoo.perturb(layer, seed)


# ------------------------------------------------------------------------- samples and scores


# Real flows in one pass, the others in two; with noise and without; and what has no likelihood.
SCORED = {"glow_classes", "realnvp_condition", "vlae", "gan"}


@pytest.mark.parametrize("case", zoo.but_slow(SCORED), indirect=True)
def test_samples_with_their_log_prob(case):
    model = case.model
    if not case.model.has_likelihood:
        words = "has no likelihood|partition function"
        with pytest.raises((NotImplementedError, ValueError), match=words):
            model.sample_and_log_prob(ROWS, case.some(ROWS)[1])
        return
    _, y = case.some(ROWS)
    samples, log_prob = model.sample_and_log_prob(ROWS, y, seed=4)
    assert_same_examples(case, samples, model.sample(ROWS, y, seed=4))
    assert log_prob.shape == (ROWS,)
    # The inverse of a sample in float32 is not quite the latents that it was made of.
    expected = model.log_prob(samples, y, seed=4)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-3, atol=1e-3 * model.num_dims)
    chunks = model.sample_and_log_prob(ROWS, y, seed=4, batch_size=CHUNK)
    assert_same_examples(case, chunks[0], samples)
    np.testing.assert_allclose(chunks[1], log_prob, rtol=1e-4, atol=1e-3)


def test_real_flows_sample_and_score_in_one_pass():
    flow, calls = zoo.untrained("realnvp_2").model, []
    inner = flow.bijector.inverse_and_log_det
    flow.bijector.inverse_and_log_det = lambda *args, **kwargs: calls.append(args) or inner(*args)
    try:
        flow._sample_and_log_prob(None, 3, tf.constant([0, 1]), tf.constant(0, tf.int64))
    finally:
        del flow.bijector.inverse_and_log_det
    assert not calls


@pytest.mark.parametrize("case", zoo.but_slow(SCORED), indirect=True)
def test_samples_of_each_of_several_conditions(case):
    model = case.model
    if case.y is None:
        with pytest.raises(ValueError, match="`per_condition` needs a conditional model"):
            model.sample(2, per_condition=True)
        return
    some = case.y[:3]
    got = model.sample(2, some, seed=4, per_condition=True)
    assert got.shape == (3, 2, *model.event_shape)
    repeated = model.sample(6, np.repeat(some, 2, 0), seed=4)
    assert_same_examples(case, tf.reshape(got, repeated.shape), repeated)
    one = model.sample(2, some[0], seed=4, per_condition=True)
    assert one.shape == (1, 2, *model.event_shape)
    assert_same_examples(case, one[0], model.sample(2, some[0], seed=4))
    if case.model.has_likelihood:
        samples, log_prob = model.sample_and_log_prob(2, some, seed=4, per_condition=True)
        assert_same_examples(case, samples, got)
        assert log_prob.shape == (3, 2)


def test_samples_of_each_of_several_pairs():
    flow = tfgen.RealNVP(2, 2, num_classes=3, condition_shape=(2,), hidden_units=(8,))
    pairs = {"label": [0, 2, 1], "vector": np.ones((3, 2))}
    assert flow.sample(4, pairs, per_condition=True).shape == (3, 4, 2)
    # One label for all of several vectors.
    assert flow.sample(4, (1, np.ones((3, 2))), per_condition=True).shape == (3, 4, 2)
    samples, log_prob = flow.sample_and_log_prob(4, (1, [0.0, 1.0]), per_condition=True)
    assert samples.shape == (1, 4, 2)
    assert log_prob.shape == (1, 4)


def test_samples_per_condition_in_graphs():
    model = zoo.case("realnvp_condition").model

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def draw(y):
        return model.sample_and_log_prob(2, y, seed=4, per_condition=True)

    y = zoo.case("realnvp_condition").y[:3]
    expected = model.sample_and_log_prob(2, y, seed=4, per_condition=True)
    for got, wanted in zip(draw(y), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_wrong_use_of_per_condition():
    model = zoo.case("realnvp_labels").model
    with pytest.raises(ValueError, match="`per_condition` must be True or False; got 3"):
        model.sample(2, 1, per_condition=3)
    with pytest.raises(ValueError, match="`condition` is missing"):
        model.sample_and_log_prob(2, per_condition=True)
    with pytest.raises(ValueError, match="`num_samples` must be a whole number"):
        model.sample_and_log_prob(0, 1)
    with pytest.raises(ValueError, match="one for each of the 2"):
        model.sample_and_log_prob(2, [0, 1, 1])

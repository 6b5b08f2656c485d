"""Models and bijectors as parts of TFP programs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import zoo

import tfgen

tfd = tfp.distributions
NUM_CHAINS, NUM_STEPS = 200, 150


def chain_states(target_log_prob, start, wrap=lambda kernel: kernel, step_size=0.3):
    """The states of Hamiltonian Monte Carlo after a burn-in, `[n, size]`."""
    kernel = tfp.mcmc.HamiltonianMonteCarlo(target_log_prob, step_size, num_leapfrog_steps=4)

    @tf.function
    def run():
        return tfp.mcmc.sample_chain(
            NUM_STEPS,
            start,
            kernel=wrap(kernel),
            num_burnin_steps=50,
            trace_fn=lambda _, results: results,
            seed=(0, 1),
        )

    states, results = run()
    accepted = results.inner_results if hasattr(results, "inner_results") else results
    assert 0.5 < np.mean(accepted.is_accepted) <= 1
    return np.reshape(states, (-1, states.shape[-1]))


def assert_same_moments(got, expected, atol):
    np.testing.assert_allclose(got.mean(0), expected.mean(0), atol=atol)
    np.testing.assert_allclose(np.cov(got.T), np.cov(expected.T), atol=2 * atol)


# `test_symbolic` has the gradients that the chain goes by, and a joint distribution is below.
@pytest.mark.parametrize("name", zoo.slow("realnvp_2", "nsf"))
def test_a_model_is_the_target_of_hmc(name):
    model = zoo.case(name).model
    samples = model.sample(50_000, seed=0, batch_size=10_000).numpy()
    size = samples.std()
    states = chain_states(
        lambda x: model.distribution().log_prob(x), samples[:NUM_CHAINS], step_size=0.1 * size
    )
    assert_same_moments(states / size, samples / size, 0.15)


@pytest.mark.parametrize("name", ["iaf", *zoo.slow("realnvp_2", "maf")])
def test_a_flow_preconditions_hmc(name):
    """Neal's chain in the flow's latents has the target that was asked for, whatever the flow."""
    bijector = zoo.case(name).model.bijector
    size = zoo.case(name).model.num_dims
    target = tfd.MultivariateNormalTriL(
        tf.range(size, dtype=tf.float32), tf.linalg.diag(0.5 + tf.range(size, dtype=tf.float32))
    )

    def wrap(kernel):
        return tfp.mcmc.TransformedTransitionKernel(kernel, bijector.to_tfp())

    expected = target.sample(50_000, seed=0).numpy()
    states = chain_states(target.log_prob, expected[:NUM_CHAINS], wrap, step_size=0.15)
    assert_same_moments(states, expected, 0.25)


def test_a_model_in_a_joint_distribution():
    case = zoo.case("maf")

    @tfd.JointDistributionCoroutine
    def joint():
        x = yield tfd.JointDistributionCoroutine.Root(case.model.distribution())
        yield tfd.Independent(tfd.Normal(tf.reduce_sum(x, -1, keepdims=True), 0.1), 1)

    x, y = joint.sample(7, seed=0)
    assert x.shape == (7, 3) and y.shape == (7, 1)
    expected = case.model.log_prob(x) + tfd.Normal(0, 0.1).log_prob(y[:, 0] - tf.reduce_sum(x, -1))
    np.testing.assert_allclose(joint.log_prob(x, y), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["maf_labels", "nsf_condition", "iaf_condition"])
def test_conditional_models_in_a_mixture(name):
    case = zoo.case(name)
    components = case.model.distribution(case.y[:3])
    weights = tfd.Categorical(probs=[0.2, 0.3, 0.5])
    mixture = tfd.MixtureSameFamily(weights, components)
    each = np.stack([case.model.log_prob(case.x, y) for y in case.y[:3]], -1).astype("float64")
    expected = np.log(np.exp(each) @ [0.2, 0.3, 0.5])
    np.testing.assert_allclose(mixture.log_prob(case.x), expected, rtol=1e-4, atol=1e-4)
    assert mixture.sample(5, seed=0).shape == (5, case.model.num_dims)


@pytest.mark.slow
def test_a_flow_is_the_surrogate_of_a_joint_distribution():
    """`tfp.vi` fits an IAF to the posterior of a regression whose noise is unknown: parts of
    different shapes, one of them positive, and an evidence in closed form."""
    keras.utils.set_random_seed(0)
    x = np.array([[1.0, 0.8], [-0.5, -0.6], [0.3, 0.5]], "float32")
    y = np.array([0.4, -0.1, 0.3], "float32")
    joint = tfd.JointDistributionNamed(
        {
            "precision": tfd.Gamma(2.0, 1.0),
            "weights": lambda precision: tfd.Sample(tfd.Normal(0.0, precision**-0.5), 2),
            "y": lambda precision, weights: tfd.Independent(
                tfd.Normal(tf.linalg.matvec(x, weights), precision[..., None] ** -0.5), 1
            ),
        }
    )
    target = joint.experimental_pin(y=y)
    model = tfgen.IAF(3, num_layers=2, hidden_units=(16,), transform="gated")
    surrogate = tfp.experimental.vi.build_split_flow_surrogate_posterior(
        target.event_shape,
        model.bijector.to_tfp(),
        target.experimental_default_event_space_bijector(),
    )
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-2, 400))
    optimizer.build(surrogate.trainable_variables)

    @tf.function(autograph=False)
    def fit():
        return tfp.vi.fit_surrogate_posterior(
            target.unnormalized_log_prob, surrogate, optimizer, 400, sample_size=32, seed=(0, 1)
        )

    losses = fit()
    factor = np.linalg.cholesky(0.5 * (np.eye(3) + x @ x.T)).astype("float32")
    scale = tf.linalg.LinearOperatorLowerTriangular(factor)
    evidence = tfd.MultivariateStudentTLinearOperator(4.0, tf.zeros(3), scale).log_prob(y)
    draws, log_q = surrogate.experimental_sample_and_log_prob(5000, seed=(0, 2))
    log_weights = target.unnormalized_log_prob(**draws) - log_q
    error = np.std(log_weights) / np.sqrt(5000)
    assert losses[0] > 0.5 - evidence
    assert -4 * error < evidence - np.mean(log_weights) < 0.1
    np.testing.assert_allclose(
        tf.reduce_logsumexp(log_weights) - np.log(5000.0), evidence, atol=0.02
    )

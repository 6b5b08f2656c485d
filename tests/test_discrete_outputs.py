"""Draws of 0 and 1 and of categories, with a gradient: what they are, and a GAN of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.distributions import DiscreteOutputs
from tfgen.networks import MLP

KINDS = {"bits": (None, (6,)), "categories": (3, (6,)), "pixels": (2, (2, 3, 4))}


def built(kind, estimator="straight_through", **arguments):
    num_categories, shape = KINDS[kind]
    outputs = DiscreteOutputs(estimator, num_categories=num_categories, **arguments)
    outputs.build((None, 5), shape)
    return zoo.perturb(outputs)


def features(num_rows=4):
    return np.random.default_rng(0).normal(size=(num_rows, 5)).astype("float32")


def test_the_contract_of_observations():
    tfgen.testing.check_observation(DiscreteOutputs(), event_shape=(6,))


def test_probabilities_of_categories():
    """They sum to 1 over one-hot vectors; what is none has none."""
    outputs, eye = built("categories"), np.eye(3)
    states = np.array([[*a, *b] for a in eye for b in eye])
    total = np.exp(outputs.log_prob(states, np.repeat(features(1), 9, 0))).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    assert outputs.log_prob(np.zeros((1, 6)), features(1)) == -np.inf


@pytest.mark.parametrize("kind", ["bits", "categories"])
def test_draws_follow_the_probabilities(kind):
    outputs, one = built(kind), np.repeat(features(1), 20_000, 0)
    x = outputs.sample(outputs.noise([1, 2], 0, len(one)), one).numpy()
    logits = outputs._logits(one[:1]).numpy()
    if kind == "bits":
        expected = 1 / (1 + np.exp(-logits))
    else:
        parts = np.exp(logits.reshape(1, 2, 3))
        expected = (parts / parts.sum(-1, keepdims=True)).reshape(1, 6)
        assert (x.reshape(-1, 2, 3).sum(-1) == 1).all()
    # Four standard errors.
    np.testing.assert_allclose(x.mean(0), expected[0], atol=4 * 0.5 / np.sqrt(len(x)))
    # Temperature 0 is the mode, which `decode` shows.
    cold = outputs.sample(outputs.noise([1, 2], 0, 4), features(), 0.0)
    np.testing.assert_array_equal(cold, outputs.decode(None, features()))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_critic_sees(kind):
    """Draws, or relaxed ones, which become draws as the temperature falls; with one gradient."""
    hard, soft = built(kind), built(kind, "gumbel")
    soft.set_weights(hard.get_weights())
    noise, x = hard.noise([3, 4], 0, 4), features()
    gradients = []
    weights = np.random.default_rng(1).normal(size=(4, *hard.event_shape))
    for outputs in (hard, soft):
        with tf.GradientTape() as tape:
            seen = outputs.rsample(noise, x)
            total = tf.reduce_sum(seen * weights)
        gradients.append(tape.gradient(total, outputs.head.layer.kernel))
        if outputs is hard:
            drawn = outputs.inputs(outputs.sample(noise, x))
            np.testing.assert_allclose(seen, drawn, atol=1e-6)
        else:
            assert (np.abs(seen) < 1).all()
    np.testing.assert_allclose(*gradients, rtol=1e-5)
    assert np.any(gradients[0] != 0)
    cold = built(kind, "gumbel", relaxation=1e-3)
    cold.set_weights(hard.get_weights())
    near = np.abs(cold.rsample(noise, x) - hard.inputs(hard.sample(noise, x)))
    assert np.mean(near < 1e-3) > 0.95


def test_noise_at_its_ends_is_finite():
    for kind in KINDS:
        outputs = built(kind)
        for value in (0.0, 1 - 2**-24):
            noise = tf.fill([4, *outputs.event_shape], np.float32(value))
            with tf.GradientTape() as tape:
                seen = outputs.rsample(noise, features())
                total = tf.reduce_sum(seen)
            assert np.isfinite(seen).all()
            assert np.isfinite(tape.gradient(total, outputs.head.layer.kernel)).all()


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["straight_through", "gumbel"])
@pytest.mark.parametrize("num_categories", [None, 3])
def test_a_gan_learns_which_values_go_together(estimator, num_categories):
    """Two patterns, of which values that are drawn alone know nothing."""
    patterns = np.eye(3, dtype="uint8")[[[0, 1, 2], [2, 0, 1]]].reshape(2, 9)
    x = patterns[np.random.default_rng(0).integers(2, size=500)]
    outputs = DiscreteOutputs(estimator, num_categories=num_categories)
    networks = {name: MLP((32, 32), "leaky_relu") for name in ("decoder", "critic")}
    model = tfgen.GAN(9, 4, data_kind="binary", outputs=outputs, **networks)
    model.compile(
        keras.optimizers.Adam(1e-3, beta_1=0.5),
        critic_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
    )
    model.fit(x, batch_size=50, epochs=60, verbose=0)
    samples = model.sample(500, seed=0).numpy()
    known = [(samples == pattern).all(-1).mean() for pattern in patterns]
    assert sum(known) > 0.8


def test_an_encoder_for_a_generator_of_bits():
    gan = zoo.untrained("gan_binary").model
    model = tfgen.VAE.from_generator(gan, encoder=keras.Sequential([keras.layers.Flatten()]))
    x, y = zoo.untrained("gan_binary").some(3)
    z = np.random.default_rng(0).normal(size=(3, 2))
    np.testing.assert_array_equal(model.decode(z, y), gan.decode(z, y))
    assert np.isfinite(model.log_prob(x, y)).all()


def test_probabilities_are_drawn_from_for_the_critic():
    model = tfgen.GAN(5, 2, data_kind="binary", decoder=MLP((4,)), critic=MLP((4,)))
    batch = {"x": tf.fill([4, 5], 0.5), "row": tf.range(4, dtype=tf.int64)}
    seen, score = [], model._score

    def noted(reals, condition, training):
        seen.append(reals.numpy())
        return score(reals, condition, training)

    model._score = noted
    model._critic_terms(batch, tf.constant([1, 2]), training=True)
    assert all(set(np.unique(values)) == {-1.0, 1.0} for values in seen)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"outputs": "reinforce"}, "`outputs` must be one of .*'gumbel'.* got 'reinforce'"),
        ({"outputs": "gumbel", "data_kind": "uint8"}, '`outputs` go with data_kind="binary"'),
        ({"outputs": DiscreteOutputs(num_categories=2)}, "`event_shape` must end in a multiple"),
    ],
)
def test_bad_outputs(arguments, message):
    networks = {"decoder": "mlp", "critic": "mlp"}
    with pytest.raises(ValueError, match=message):
        tfgen.GAN(3, 2, **{"data_kind": "binary", **networks, **arguments})


def test_bad_settings():
    for arguments, message in (
        ({"estimator": "reinforce"}, "`estimator` must be one of"),
        ({"relaxation": 0.0}, "`relaxation` must be .*; got 0"),
        ({"num_categories": 1}, "`num_categories` must be"),
    ):
        with pytest.raises(ValueError, match=message):
            DiscreteOutputs(**arguments)

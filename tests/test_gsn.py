"""Chains of corruption and reconstruction beside their enumerated transitions."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.networks import MLP

STATES = np.array(list(itertools.product(range(2), repeat=2)), "uint8")


def gsn(size=2, **arguments):
    keras.utils.set_random_seed(0)
    model = tfgen.GSN(size, MLP((4,)), **{"corruption": 0.5, "walkback_steps": 1, **arguments})
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign_add(0.7 * rng.normal(size=weight.shape))
    return model


def corruptions(model):
    """Probability of each corrupted state given each state."""
    same = 1 - model.corruption / 2
    equal = STATES[:, None] == STATES[None]
    return np.where(equal, same, 1 - same).prod(-1)


def restored(model):
    """Log-probability of each state given each corrupted one."""
    features = model._restored(tf.constant(STATES, tf.float32), None)
    logs = [model.observation.log_prob(np.repeat(x[None], 4, 0), features) for x in STATES]
    return np.stack(logs, 1)


def test_a_step_of_the_chain_is_the_enumerated_one():
    model, num_rows = gsn(), 20_000
    transition = corruptions(model) @ np.exp(restored(model))
    np.testing.assert_allclose(transition.sum(1), 1, rtol=1e-5)
    for i, state in enumerate(STATES):
        start = np.repeat(state[None], num_rows, 0)
        x = model.sample(num_rows, from_data=start, num_steps=1, seed=i, batch_size=num_rows)
        found = np.bincount(x.numpy().astype(int) @ [2, 1], minlength=4) / num_rows
        error = np.sqrt(transition[i] * (1 - transition[i]) / num_rows)
        assert (abs(found - transition[i]) < 4 * error + 1e-6).all()


def test_samples_are_the_stationary_distribution():
    model, num_rows = gsn(sample_steps=30), 20_000
    transition = corruptions(model) @ np.exp(restored(model))
    stationary = np.linalg.matrix_power(transition, 100)[0]
    x = model.sample(num_rows, seed=1, batch_size=num_rows).numpy()
    found = np.bincount(x.astype(int) @ [2, 1], minlength=4) / num_rows
    assert (abs(found - stationary) < 4 * np.sqrt(stationary / num_rows)).all()


def test_one_step_is_a_denoising_autoencoder():
    model = gsn()
    expected = -(corruptions(model) * restored(model).T).sum(1)
    for i, state in enumerate(STATES):
        loss = model.loss(np.repeat(state[None], 20_000, 0), seed=i).numpy()
        assert abs(loss.mean() - expected[i]) < 4 * loss.std() / np.sqrt(len(loss))


def test_walkback_goes_on_from_the_chains_states():
    model = gsn(walkback_steps=2)
    corrupted, logs = corruptions(model), restored(model)
    second = corrupted @ np.exp(logs) @ corrupted
    for i, state in enumerate(STATES):
        loss = model.loss(np.repeat(state[None], 20_000, 0), seed=i).numpy()
        expected = -((corrupted[i] + second[i]) / 2) @ logs[:, i]
        assert abs(loss.mean() - expected) < 4 * loss.std() / np.sqrt(len(loss))


def test_chains_do_not_depend_on_how_many_there_are():
    model = gsn(size=6, sample_steps=4)
    x = model.sample(7, seed=3).numpy()
    np.testing.assert_array_equal(model.sample(7, seed=3, batch_size=2), x)
    np.testing.assert_array_equal(model.sample(7, seed=3, num_steps=4), x)
    first = model.sample(7, seed=4, from_data=x, num_steps=2).numpy()
    np.testing.assert_array_equal(model.sample(3, seed=4, from_data=x[:3], num_steps=2), first[:3])


@pytest.mark.slow
def test_a_trained_chain_draws_like_the_data():
    rng = np.random.default_rng(0)
    shares = np.array([0.45, 0.05, 0.1, 0.4])
    x = STATES[rng.choice(4, 4000, p=shares)]
    # Little at a time: given what is left the values are drawn independently.
    model = gsn(corruption=0.1, sample_steps=200)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, batch_size=100, epochs=10, verbose=0)
    drawn = model.sample(4000, seed=0).numpy().astype(int) @ [2, 1]
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, shares, atol=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfgen.GSN(4, corruption=0.0), "`corruption` must be greater than 0"),
        (lambda: tfgen.GSN(4, corruption=1.5), "`corruption` must be a probability"),
        (lambda: tfgen.GSN(4, walkback_steps=0), "`walkback_steps`"),
        (lambda: tfgen.GSN(4, data_kind="real"), "`data_kind` must be one of ..binary"),
        (lambda: gsn().sample(3, from_data=STATES), "state for each of 3 chains; got 4"),
        (lambda: gsn().sample(3, num_steps=0), "`num_steps`"),
        (lambda: gsn().bits_per_dim(STATES), "bits per dimension need a density"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

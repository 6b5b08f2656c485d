"""Learning rates that callbacks set, and weights that callbacks or optimizers put back."""

import keras
import numpy as np
import pytest
import zoo

import tfgen
from tfgen.optimizers import FusedAdam
from tfgen.optimizers import WarmUpAdam

X = np.random.default_rng(0).normal(3, 2, (64, 2)).astype("float32")


def flow(**arguments):
    return tfgen.RealNVP(2, num_layers=2, hidden_units=(8,), **arguments)


# -------------------------------------------------------------------------------------- rates


@pytest.mark.parametrize("name", zoo.KINDS)
def test_callbacks_can_set_the_rate_of_every_default_optimizer(name):
    for player in zoo.MODELS[name].build().players:
        optimizer = player.default_optimizer()
        optimizer.learning_rate = 0.25
        assert float(optimizer.learning_rate) == 0.25


def test_keras_callbacks_of_rates_run():
    model = zoo.glow()
    x, _ = zoo.make_data(model)
    model.compile(run_eagerly=True)
    plateau = keras.callbacks.ReduceLROnPlateau("bpd", factor=0.5, patience=0, min_delta=1e9)
    rates = model.fit(x, epochs=3, callbacks=[plateau], verbose=0).history["learning_rate"]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 5e-4], rtol=1e-6)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-4 * (epoch + 1))
    rates = model.fit(x, epochs=2, callbacks=[schedule], verbose=0).history["learning_rate"]
    np.testing.assert_allclose(rates, [1e-4, 2e-4], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_warm_up_is_that_of_a_schedule(dtype):
    def moved(make):
        weight = keras.Variable([1.0, -3.0], dtype=dtype)
        optimizer = make()
        path = []
        for _ in range(6):
            optimizer.apply([2 * weight.value], [weight])
            path.append(weight.numpy())
        return path

    rates = keras.optimizers.schedules.PiecewiseConstantDecay(
        [0, 1, 2, 3], [0.02, 0.04, 0.06, 0.08, 0.1]
    )
    got = moved(lambda: WarmUpAdam(0.1, warm_up_steps=5))
    np.testing.assert_allclose(got, moved(lambda: FusedAdam(rates)), rtol=1e-5)
    got = moved(lambda: WarmUpAdam(0.1, warm_up_steps=1))
    np.testing.assert_allclose(got, moved(lambda: FusedAdam(0.1)), rtol=1e-6)
    config = keras.optimizers.serialize(WarmUpAdam(0.1, warm_up_steps=7, weight_decay=0.1))
    assert keras.optimizers.deserialize(config).get_config() == config["config"]
    with pytest.raises(ValueError, match="`warm_up_steps` must be .* got 0"):
        WarmUpAdam(warm_up_steps=0)


# ----------------------------------------------------------------------------- what is put back


def test_the_count_of_steps_belongs_to_the_weights():
    """Noise, order and schedules of the weights that were best go on from there; what optimizers
    have gathered is of the steps taken, as everywhere in Keras."""
    x = np.concatenate([X, X])
    model = flow()
    # Each epoch is worse than the first.
    model.compile(keras.optimizers.SGD(1e-9))
    best = keras.callbacks.EarlyStopping(
        "val_nll", patience=2, restore_best_weights=True, min_delta=9
    )
    model.fit(x, validation_data=(X,), epochs=9, callbacks=[best], verbose=0)
    assert int(model.steps_taken) == 4
    assert int(model.optimizer.iterations) == 12
    # The same as a run that stopped there.
    again = flow()
    again.set_weights(model.get_weights())
    again.compile(keras.optimizers.SGD(1e-2))
    model.compile(keras.optimizers.SGD(1e-2))
    for m in (model, again):
        m.fit(x, verbose=0)
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_schedule_of_the_objective_goes_back_with_the_weights():
    beta = keras.optimizers.schedules.PolynomialDecay(0.0, 8, 1.0)
    model = tfgen.VAE(2, 2, "mlp", "mlp", data_kind="real", beta=beta)
    model.compile()
    start = model.get_weights()
    first = model.fit(X, batch_size=16, verbose=0).history["beta"]
    model.set_weights(start)
    assert model.fit(X, batch_size=16, verbose=0).history["beta"] == first


def test_averages_leave_frozen_layers_and_state_alone():
    model = flow()
    model.adapt(X)
    frozen = model.bijector.bijectors[0].bijectors[1].bijectors[0]
    frozen.trainable = False
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5))
    assert frozen.built and model.trainable_variables
    ids = {id(w) for w in model.trainable_variables}
    before = {w.path: w.numpy() for w in model.weights if id(w) not in ids}
    model.fit(X, epochs=2, batch_size=16, verbose=0)
    assert int(model.steps_taken) == 8
    for weight in model.weights:
        if weight.path in before and weight is not model.steps_taken:
            np.testing.assert_array_equal(weight, before[weight.path], err_msg=weight.path)

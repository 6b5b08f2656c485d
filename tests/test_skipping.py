"""Steps that cannot be mended are skipped, counted, and in the end refused; data have any units."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.callbacks import Backup
from tfgen.callbacks import NaNGuard
from tfgen.core.skipping import MOST
from tfgen.core.skipping import SHOWN
from tfgen.core.skipping import zero_unless

FLOWS = (
    *("realnvp_1", "realnvp_2", "realnvp_3", "realnvp_64", "realnvp_condition", "realnvp_labels"),
    *("realnvp_diagonal", "maf", "maf_1", "maf_labels", "iaf", "iaf_condition", "nsf"),
    *("nsf_condition", "nsf_autoregressive", "nsf_64", "flow", "flow_own_transform"),
)
OTHERS = (
    *("vae_real", "autoencoder", "injective_flow", "injective_flow_fitted"),
    *("gan", "wgan", "wgan_clipped"),
)
# Models of later families.
OTHERS += ("convrbm_real", "dbn_real", "deep_nade_real", "discrete_vae_real", "nade_real")
OTHERS += ("rbm_real", "semi_supervised_gan")
REALS = (*FLOWS, *OTHERS, "glow_real")
# Of what has a way of its own to put units into its weights.
OWN_WAY = {"glow_real", "vae_real", "nade_real", "rbm_real", "nsf_autoregressive", "wgan_clipped"}
OWN_WAY |= {"dbn_real", "discrete_vae_real"}
OF_KINDS = {name for name in REALS if name in zoo.KINDS} | OWN_WAY & {*REALS}
# The losses of autoencoders have units themselves.
IN_ANY_UNITS = OF_KINDS & ({*FLOWS} | {"vae_real", "gan", "wgan", "wgan_clipped"})
SHORT = ("realnvp_2",)


def build(name, strategy=None, **arguments):
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = zoo.MODELS[name].build()
        model.compile(**arguments)
    return model


def fit(model, x, y=None, **arguments):
    size = {"batch_size": zoo.BATCH_SIZE, "epochs": 2, "verbose": 0, "shuffle": False}
    return model.fit(x, y, **size | arguments).history


@pytest.mark.parametrize("name", zoo.but_slow(SHORT, OF_KINDS))
def test_a_row_far_out_costs_one_step(name):
    """Weights stay finite, and the logs of the other batches are near those without the row."""
    model, clean = build(name), build(name)
    x, y = zoo.make_data(model)
    expected = fit(clean, x, y)["loss"]
    x[13] = 1e12
    # Nor does it stop a guard.
    history = fit(model, x, y, callbacks=[NaNGuard()])
    for weight in model.weights:
        assert np.isfinite(weight).all(), weight.path
    assert np.isfinite(history["loss"]).all()
    # Splines are straight far out, and critics saturate: there nothing need be skipped.
    if name in ("realnvp_2", "injective_flow", "vae_real", "maf"):
        assert history["skipped_steps"] == [1, 2]
        assert int(model.skipped_steps) == 2
    # The contrast of its chains is no figure of the rows alone.
    if history.get("skipped_steps") == [1, 2] and name != "convrbm_real":
        # Of the rows but those of that batch, and of other weights after it.
        np.testing.assert_allclose(history["loss"], expected, rtol=0.5, atol=0.5)


def test_averages_do_not_see_a_skipped_step():
    keras.utils.set_random_seed(0)
    layers = [keras.Input([4]), keras.layers.Dense(4), keras.layers.BatchNormalization()]
    model = tfgen.Autoencoder(4, 2, encoder=keras.Sequential(layers), data_kind="real")
    model.compile("sgd")
    x, _ = zoo.make_data(model)
    fit(model, x, epochs=1)
    norm = model.encoder.layers[-1]
    before = [w.numpy() for w in (norm.moving_mean, norm.moving_variance)]
    fit(model, np.full_like(x, 1e12), epochs=1)
    for weight, value in zip((norm.moving_mean, norm.moving_variance), before, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)
    fit(model, x, epochs=1)
    assert not np.array_equal(norm.moving_mean, before[0])


def test_averages_of_a_critic_do_not_see_one_either():
    keras.utils.set_random_seed(0)
    inputs, norm = keras.Input([4]), keras.layers.BatchNormalization()
    features = keras.layers.Add()([keras.layers.Dense(4)(inputs), norm(inputs)])
    critic = keras.Model(inputs, features)
    model = tfgen.GAN(4, 2, decoder="mlp", critic=critic, data_kind="real")
    model.compile("sgd", critic_optimizer="sgd")
    x, _ = zoo.make_data(model)
    fit(model, x, epochs=1)
    before = [w.numpy() for w in (norm.moving_mean, norm.moving_variance)]
    assert np.any(before[0])
    assert fit(model, np.full_like(x, 1e12), epochs=1)["skipped_steps"] == [3]
    for weight, value in zip((norm.moving_mean, norm.moving_variance), before, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)


def test_gradients_of_a_few_rows_are_skipped_as_others():
    """Gradients of embeddings, say; and what is not a number is 0."""
    sparse = tf.IndexedSlices(tf.constant([[np.nan, 1.0]]), tf.constant([1]), (3, 2))
    for sound in (True, False):
        given, none = zero_unless(tf.constant(sound), [sparse, None])
        assert none is None and given.indices == [1]
        np.testing.assert_array_equal(given.values, sparse.values if sound else [[0.0, 0.0]])


# `test_replicas` trains on two; what is skipped is seen on one.
@pytest.mark.slow
def test_two_replicas_skip_together(strategy):
    models = [build("realnvp_2", scope, optimizer="sgd") for scope in (None, strategy)]
    x, _ = zoo.make_data(models[0])
    x[13] = 1e12
    histories = [fit(model, x) for model in models]
    assert histories[1]["skipped_steps"] == [1, 2]
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=1e-5)
    for one, two in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6, err_msg=one.path)


def lost(name="realnvp_2"):
    """A model whose loss is never finite, though its weights are."""
    model = build(name)
    x, _ = zoo.make_data(model)
    model.adapt(x)
    log_weight = model._log_weight
    model._log_weight = lambda *arguments: np.nan * log_weight(*arguments)
    return model, x


def test_many_skipped_steps_are_refused():
    model, x = lost()
    before = [w.numpy() for w in model.trainable_weights]
    with pytest.raises(ArithmeticError, match=f"{MOST} steps had a loss or gradients that are"):
        fit(model, x, epochs=MOST)
    # Another attempt begins anew.
    with pytest.raises(ArithmeticError, match=f"{2 * MOST} steps had a loss or gradients that"):
        fit(model, x, epochs=MOST)
    for weight, value in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)


@pytest.mark.slow
def test_guards_stop_a_lost_training():
    # An epoch without a step is not a number.
    model, x = lost()
    assert len(fit(model, x, epochs=MOST, callbacks=[NaNGuard()])["loss"]) == 1
    # Keras's looks at batches: after the first ones, which are left out as single ones are.
    model, x = lost()
    history = fit(model, x, epochs=MOST, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(history["loss"]) == SHOWN // 3 + 1
    assert int(model.skipped_steps) == SHOWN + 1


def test_an_epoch_of_skipped_steps_is_not_a_number():
    model, x = lost()
    history = fit(model, x, epochs=1, batch_size=len(x))
    assert np.isnan(history["loss"]).all() and np.isnan(history["nll"]).all()
    assert history["skipped_steps"] == [1]


def test_gradients_that_are_large_for_good_come_through():
    model = build("autoencoder")
    x, _ = zoo.make_data(model)
    history = fit(model, 1e8 * x, epochs=30)
    # Squared errors in these units, 1e16: a gradient of eight powers of ten too many.
    assert 8 <= history["skipped_steps"][-1] == history["skipped_steps"][9] <= 12
    assert history["loss"][-1] < 0.9 * history["loss"][9]


def test_a_scaled_loss_is_not_counted():
    """Overflowing scaled gradients are how such an optimizer finds its scale."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), 1e38)
    model = build("realnvp_2", optimizer=optimizer)
    x, _ = zoo.make_data(model)
    history = fit(model, x, epochs=4)
    assert float(model.optimizer.dynamic_scale) < 1e38
    assert "skipped_steps" not in history and np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_the_entries_for_reals_are_known():
    kinds = {name: entry.build().data_kind for name, entry in zoo.MODELS.items()}
    assert {name for name, kind in kinds.items() if kind == "real"} == {*REALS}


# By default `test_actnorm` trains a flow on data in other units.
@pytest.mark.parametrize("name", zoo.slow(*sorted(IN_ANY_UNITS)))
def test_units_change_the_volume_and_nothing_else(name):
    """Trained on data in other units, a model is the same but for these."""
    entry = zoo.MODELS[name]
    scale = 2.0**20
    models = [build(name), build(name)]
    x, y = zoo.make_data(models[0])
    histories = [
        model.fit(x * unit, y, batch_size=zoo.BATCH_SIZE, verbose=0).history
        for model, unit in zip(models, (1, scale), strict=True)
    ]
    one, other = models
    if one.can_sample:
        condition = None if y is None else y[:1]
        draws = [model.sample(8, condition, seed=1) for model in models]
        np.testing.assert_allclose(draws[0], draws[1] / scale, rtol=1e-3, atol=1e-3)
    if entry.likelihood in ("exact", "bound"):
        scores = [m.log_prob(x * u, y) for m, u in zip(models, (1, scale), strict=True)]
        volume = one.num_dims * np.log(scale)
        np.testing.assert_allclose(scores[0], scores[1] + volume, rtol=1e-3, atol=1e-2)
    assert histories[0].keys() == histories[1].keys() - {"skipped_steps"}


def test_a_single_batch_that_is_skipped_has_no_results():
    model = build("realnvp_2")
    x, _ = zoo.make_data(model)
    model.train_on_batch(x)
    x[3] = 1e12
    assert np.isnan(list(model.train_on_batch(x, return_dict=True).values())).all()


def test_half_precision_that_is_lost_is_refused():
    """Gradients that no scale makes finite."""

    @tf.custom_gradient
    def broken(value):
        return value, lambda upstream: upstream * np.nan

    model = build(
        "realnvp_2", optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), 4.0)
    )
    log_weight = model._log_weight
    model._log_weight = lambda *arguments: broken(log_weight(*arguments))
    x, _ = zoo.make_data(model)
    with pytest.raises(ArithmeticError, match="training is lost"):
        fit(model, x, epochs=MOST)


def test_a_list_of_callbacks_of_keras():
    model = build("realnvp_2")
    x, _ = zoo.make_data(model)
    x[13] = 1e12
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=model, epochs=1)
    assert fit(model, x, epochs=1, callbacks=callbacks)["skipped_steps"] == [1]


# The count is a weight: `test_faults` sees that backups give back all of them.
@pytest.mark.slow
def test_a_resumed_count_is_that_of_the_unbroken_run(tmp_path):
    histories = []
    for parts in ([3], [2, 3]):
        for epochs in parts:
            model = build("realnvp_2")
            x, _ = zoo.make_data(model)
            x[13] = 1e12
            backup = Backup(tmp_path / str(len(parts)))
            history = fit(model, x, epochs=epochs, callbacks=[backup])
        histories.append(history)
    assert histories[0]["skipped_steps"] == [1, 2, 3]
    assert histories[1]["skipped_steps"] == [3]


# `test_actnorm` has offsets of a flow, whose data are standardised alike.
@pytest.mark.slow
def test_offsets_do_not_change_the_volume_of_an_injective_flow():
    models = [build("injective_flow"), build("injective_flow")]
    x, _ = zoo.make_data(models[0], 64)
    volumes = [fit(m, x + shift)["log_volume"] for m, shift in zip(models, (0, 1e5), strict=True)]
    np.testing.assert_allclose(*volumes, rtol=1e-2, atol=1e-2)

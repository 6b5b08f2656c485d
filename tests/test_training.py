"""Training of every model: it learns, under any compilation and precision, from any state."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import bijectors as tfg
from tfgen.networks import MLP
from tfgen.testing import models as testing


def assert_weights(model, expected, tolerance=1e-6):
    for got, weight in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(got, weight, rtol=tolerance, atol=tolerance)


def test_fit_lowers_the_loss(case):
    terms = {"loss", *case.entry.terms}
    assert set(case.history) == terms | {f"val_{name}" for name in terms}
    assert all(np.isfinite(values).all() for values in case.history.values())
    # The validation's noise is the same in every epoch.
    losses = case.history[f"val_{case.entry.falls or case.entry.terms[0]}"]
    assert losses[-1] < losses[0] - 1e-3
    if case.entry.summed is None:
        # With a posterior's draw for every row, so few steps are too noisy.
        assert case.history["loss"][-1] < case.history["loss"][0]


def test_another_seed_is_another_model(core_case):
    case = core_case
    keras.utils.set_random_seed(1)
    seeds = [w for w in case.entry.build().weights if w.path.endswith("noise_seed")]
    (own,) = (w for w in case.model.weights if w.path.endswith("noise_seed"))
    assert (seeds[0].numpy() != own.numpy()).all()


# Loops compile long; `test_tpu_ops` looks at their operations, `test_contract` at their values.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["realnvp_2", *zoo.slow("glow_classes")])
def test_trains_under_xla(name):
    case = zoo.case(name)
    model = case.entry.build()
    model.compile(jit_compile=True)
    x, y = case.some(zoo.BATCH_SIZE)
    before = np.mean(case.entry.build().log_prob(case.x, case.y))
    history = model.fit(x, y, batch_size=zoo.BATCH_SIZE, epochs=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.mean(model.log_prob(case.x, case.y)) > before
    assert int(model.optimizer.iterations) == 3


def test_a_model_of_float64(costly_case):
    """The whole model computes in float64: it gives what the float32 one rounds."""
    case = costly_case
    model = case.entry.build(dtype="float64")
    model.set_weights(case.model.get_weights())
    assert {w.dtype for w in model.trainable_variables} == {"float64"}
    outputs = zoo.eager_outputs(model, case.x, case.y)
    assert outputs.dtype == tf.float64
    expected = testing.outputs(case.model, case.x, case.y)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4 * model.num_dims)
    if isinstance(model, tfgen.models.Flow):
        z = model._sample_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), len(case.x))
        features = model._features(case.tensors()[1])
        values, _ = model.bijector.forward_and_log_det(z, condition=features)
        back, _ = model.bijector.inverse_and_log_det(values, condition=features)
        np.testing.assert_allclose(back, z, rtol=0, atol=1e-10)
    samples = zoo.eager_samples(model, 3, None if case.y is None else case.y[0])
    assert samples.dtype == (tf.float64 if model.data_kind == "real" else tf.uint8)


def test_the_global_policy_is_taken():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.MODELS["realnvp_2"].build()
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.dtype_policy.name == "mixed_bfloat16"
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    assert all(layer.compute_dtype == "bfloat16" for layer in dense)
    assert model.log_prob(np.zeros((2, 2))).dtype == tf.float32


# ----------------------------------------------------------------------------------- penalty


def test_penalty_is_added_to_the_loss():
    case = zoo.untrained("glow_penalty")
    x, y, noise = case.tensors()
    terms = case.model._terms(x, y, noise, training=True)
    log_dets = []
    for layer in case.model.bijector._flatten_layers():
        if type(layer).__name__ == "Repeat":
            for copy in zoo.unrolled(layer):
                conv = copy.bijectors[1]
                log_dets.append(2 * 2 * np.sum(conv.log_abs_u))
    assert len(log_dets) == 2
    expected = 1e-3 * np.sum(np.square(log_dets))
    assert expected > 1e-6
    np.testing.assert_allclose(terms["log_det_penalty"], expected, rtol=1e-5)
    loss = case.model.loss(x, y, seed=0, return_dict=True)
    np.testing.assert_allclose(loss["loss"], loss["bpd"] + expected, rtol=1e-6)


# ---------------------------------------------------------------------------------- resuming


class Interrupt(keras.callbacks.Callback):
    """Ends a run as a kill does: in the middle of an epoch, with nothing put in order."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.when = epoch, batch
        self.epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.when:
            raise KeyboardInterrupt


# `test_own_family` and `test_faults` see the same, `test_saved_before` training that goes on from a
# file.
@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("name", zoo.slow("realnvp_2", "gan_images", "glow_classes", "cq"))
def test_resumed_and_loaded_runs_follow_the_unbroken_one(name, from_file, tmp_path):
    case = zoo.case(name)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)

    keras.utils.set_random_seed(0)
    killed = case.entry.build()
    killed.compile(**case.entry.compile)
    checkpoints = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    with pytest.raises(KeyboardInterrupt):
        callbacks = [backup(), checkpoints, Interrupt(2, 1)]
        case.fit(killed, callbacks=callbacks, validation_data=None)
    # Another process: neither weights nor noise nor order come from here.
    keras.utils.set_random_seed(1)
    if from_file:
        # Without saying which epoch it is.
        resumed = keras.models.load_model(tmp_path / "2.keras")
        history = case.fit(resumed, epochs=zoo.EPOCHS - 2)
    else:
        resumed = case.entry.build()
        resumed.compile(**case.entry.compile)
        history = case.fit(resumed, callbacks=[backup()])
    assert_as_unbroken(case, resumed, history)


def assert_as_unbroken(case, model, history):
    assert_weights(model, case.trained)
    assert int(model.optimizer.iterations) == int(case.model.optimizer.iterations)
    for term, values in case.history.items():
        np.testing.assert_allclose(history[term], values[2:], rtol=1e-5)


def test_a_single_batch_initialises_as_fit_does():
    entry = zoo.MODELS["realnvp_condition"]
    models = [zoo.case("realnvp_condition").entry.build() for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    x, y = zoo.make_data(models[0])
    for model in models:
        model.compile(keras.optimizers.SGD(1e-2))
    logs = models[0].train_on_batch(x, y, return_dict=True)
    models[1].fit(x, y, batch_size=len(x), shuffle=False, verbose=0)
    assert set(logs) == {"loss", *entry.terms}
    assert_weights(models[0], [w.numpy() for w in models[1].weights])
    np.testing.assert_allclose(
        models[0].predict_on_batch((x, y)), models[0].log_prob(x, y), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["realnvp_2", "realnvp_bits"])
def test_every_step_draws_its_noise_afresh(name):
    """Only noise can change the loss of a batch, if the weights stay as they are."""
    entry = zoo.MODELS[name]
    model = entry.build()
    # Its own count stands still for two steps.
    model.compile(keras.optimizers.SGD(0.0, gradient_accumulation_steps=2))
    x = zoo.make_data(model)[0]
    history = model.fit(
        x, batch_size=len(x), epochs=3, shuffle=False, validation_data=x, verbose=0
    ).history
    assert len(set(history["loss"])) == (1 if entry.likelihood == "exact" else 3)
    assert len(set(history["val_loss"])) == 1


@pytest.mark.parametrize("part", ["model", "step"])
def test_frozen(part):
    """All of a model, or a repeated block of it."""
    keras.utils.set_random_seed(0)
    model = tfgen.Glow((4, 4, 1), num_levels=1, num_steps=2, filters=4)
    repeat = model.bijector.bijectors[1].bijectors[1]
    frozen = model if part == "model" else repeat
    frozen.trainable = False
    before = [w.numpy() for w in frozen.weights]
    model.compile()
    model.adapted.assign(1)
    x = np.random.default_rng(0).integers(256, size=(8, 4, 4, 1))
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    for a, b in zip(frozen.weights, before, strict=True):
        if a is not model.adapted and a is not model.steps_taken:
            np.testing.assert_array_equal(a, b)
    assert bool(model.trainable_variables) == (part == "step")


def count_trainable(model):
    return sum(w.numpy().size for w in model.trainable_variables)


@pytest.mark.parametrize("repeated", [False, True])
def test_frozen_when_it_was_made(repeated, tmp_path):
    """Keras would train the parts of a layer that is made so and built later."""
    frozen = tfg.Coupling(network=MLP((4,)), trainable=False)
    part = tfg.Repeat(frozen, 2) if repeated else frozen
    model = tfgen.Flow((2,), tfg.Chain([tfg.ActNorm(), part]))
    assert count_trainable(model) == 4
    model.save(tmp_path / "model.keras")
    assert count_trainable(keras.models.load_model(tmp_path / "model.keras")) == 4


@pytest.mark.parametrize("part", ["level", *zoo.slow("model", "network")])
def test_what_is_frozen_is_saved(part, tmp_path):
    keras.utils.set_random_seed(0)
    if part == "network":
        model = tfgen.RealNVP(2, 2, hidden_units=(4,))
        frozen = model.bijector.bijectors[0].bijectors[1].bijectors[1].network
        x = np.random.default_rng(0).normal(size=(8, 2))
    else:
        model = tfgen.Glow((4, 4, 1), num_levels=1, num_steps=2, filters=4)
        frozen = model if part == "model" else model.bijector.bijectors[1].bijectors[1]
        x = np.random.default_rng(0).integers(256, size=(8, 4, 4, 1))
    everything = count_trainable(model)
    frozen.trainable = False
    model.compile()
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert count_trainable(loaded) == count_trainable(model) < everything
    assert loaded.get_config() == model.get_config()
    assert_weights(loaded, [w.numpy() for w in model.weights])
    for a, b in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_compile_configuration_is_saved(tmp_path):
    model = zoo.MODELS["realnvp_1"].build()
    optimizer = keras.optimizers.Adam(5e-3, clipnorm=1.0, use_ema=True)
    model.compile(optimizer, steps_per_execution=2, jit_compile=False)
    model.fit(np.arange(4.0)[:, None], batch_size=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.compiled
    assert loaded.steps_per_execution == 2
    assert loaded.jit_compile is False
    assert loaded.optimizer.get_config() == optimizer.get_config()
    assert int(loaded.optimizer.iterations) == 4
    for a, b in zip(loaded.optimizer.variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_was_not_compiled_is_loaded_so(tmp_path):
    model = zoo.MODELS["realnvp_1"].build()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    with pytest.raises(ValueError, match="compile"):
        loaded.fit(np.ones((4, 1)), verbose=0)

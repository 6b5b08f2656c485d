"""Training of every model: it learns, under any compilation and precision, from any state."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo


def fit(model, case, **arguments):
    arguments = {"batch_size": zoo.BATCH_SIZE, "verbose": 0, **arguments}
    return model.fit(case.x, case.y, **arguments).history


def assert_equal_weights(a, b, tolerance=0.0):
    assert len(a.weights) == len(b.weights)
    for got, expected in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_fit_lowers_the_loss(case):
    terms = {"loss", *case.entry.terms}
    assert set(case.history) == terms | {f"val_{name}" for name in terms}
    assert all(np.isfinite(values).all() for values in case.history.values())
    # The validation's noise is the same in every epoch.
    losses = case.history[f"val_{case.entry.terms[0]}"]
    assert losses[-1] < losses[0] - 1e-3
    assert case.history["loss"][-1] < case.history["loss"][0]


def test_training_is_a_function_of_the_seed(costly_case):
    case, models = costly_case, []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        model = case.entry.build()
        model.compile()
        fit(model, case, epochs=2)
        models.append(model)
    assert_equal_weights(models[0], models[1], 1e-6)
    first, other = (np.concatenate([w.numpy().ravel() for w in m.weights]) for m in models[1:])
    assert np.abs(first - other).max() > 1e-3


def test_trains_under_xla(costly_case):
    case = costly_case
    model = case.entry.build()
    model.compile(jit_compile=True)
    x, y = case.some(zoo.BATCH_SIZE)
    before = model.log_prob(case.x, case.y)
    history = model.fit(x, y, batch_size=zoo.BATCH_SIZE, epochs=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.mean(model.log_prob(case.x, case.y)) > np.mean(before)
    assert int(model.optimizer.iterations) == 3


def test_a_model_of_float64(costly_case):
    """The whole model computes in float64: it gives what the float32 one rounds."""
    case = costly_case
    model = case.entry.build(dtype="float64")
    model.set_weights(case.model.get_weights())
    assert {w.dtype for w in model.trainable_variables} == {"float64"}
    log_prob = model.log_prob(case.x, case.y)
    assert log_prob.dtype == tf.float64
    expected = case.model.log_prob(case.x, case.y)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-4 * model.num_dims)
    z = model._sample_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), len(case.x))
    features = model._features(case.tensors()[1])
    values, _ = model.bijector.forward_and_log_det(z, condition=features)
    back, _ = model.bijector.inverse_and_log_det(values, condition=features)
    np.testing.assert_allclose(back, z, rtol=0, atol=1e-10)
    assert model.sample(3, None if case.y is None else case.y[0]).dtype == (
        tf.float64 if model.data_kind == "real" else tf.uint8
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["glow_classes", "realnvp_2"])
def test_mixed_precision(name, policy):
    case = zoo.case(name)
    model = case.entry.build(dtype=policy)
    model.compile()
    assert {w.dtype for w in model.trainable_variables} == {"float32"}
    history = fit(model, case, epochs=3)
    assert np.isfinite(history["loss"]).all()
    log_prob = model.log_prob(case.x, case.y)
    assert log_prob.dtype == tf.float32
    assert np.isfinite(log_prob).all()
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    if not scaled:
        model.set_weights(case.model.get_weights())
        expected = case.model.log_prob(case.x, case.y)
        got = model.log_prob(case.x, case.y)
        np.testing.assert_allclose(got, expected, rtol=0.02, atol=0.02 * model.num_dims)


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
    case = zoo.case("glow_penalty")
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
    np.testing.assert_allclose(terms["loss"], terms["bpd"] + expected, rtol=1e-6)


def test_a_heavy_penalty_drives_the_log_dets_to_zero():
    case = zoo.case("glow_penalty")
    keras.utils.set_random_seed(0)
    model = case.entry.build(log_det_penalty=10.0)
    zoo.perturb(model)
    before = np.sum(np.square(model.bijector.mixing_log_dets()))
    model.compile(keras.optimizers.Adam(1e-2))
    fit(model, case, epochs=10)
    assert np.sum(np.square(model.bijector.mixing_log_dets())) < before / 2


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


@pytest.mark.parametrize("name", ["glow_classes", "realnvp_condition"])
def test_a_resumed_run_follows_the_unbroken_one(name, tmp_path):
    case = zoo.case(name)
    arguments = {"epochs": 4, "validation_data": case.some(10)}
    keras.utils.set_random_seed(1)
    unbroken = case.entry.build()
    unbroken.compile()
    expected = fit(unbroken, case, **arguments)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)

    keras.utils.set_random_seed(1)
    killed = case.entry.build()
    killed.compile()
    with pytest.raises(KeyboardInterrupt):
        fit(killed, case, callbacks=[backup(), Interrupt(2, 1)], **arguments)
    # Another process: other weights, other noise, other initialisation.
    keras.utils.set_random_seed(2)
    resumed = case.entry.build()
    resumed.compile()
    history = fit(resumed, case, callbacks=[backup()], **arguments)
    assert_equal_weights(resumed, unbroken, 1e-6)
    for a, b in zip(resumed.optimizer.variables, unbroken.optimizer.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
    for term in expected:
        np.testing.assert_allclose(history[term], expected[term][2:], rtol=1e-5)


@pytest.mark.parametrize("name", ["glow_classes", "realnvp_2"])
def test_a_loaded_model_trains_on(name, tmp_path):
    case = zoo.case(name)
    keras.utils.set_random_seed(1)
    model = case.entry.build()
    model.compile(keras.optimizers.Adam(5e-3), steps_per_execution=2)
    fit(model, case, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.compiled
    assert loaded.steps_per_execution == 2
    assert float(loaded.optimizer.learning_rate) == np.float32(5e-3)
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 6
    assert_equal_weights(loaded, model)
    for m in (model, loaded):
        fit(m, case, epochs=1)
    assert_equal_weights(loaded, model, 1e-6)

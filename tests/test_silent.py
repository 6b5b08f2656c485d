"""Faults that gave a number, a sample or a model, and no error: a check of each kind, for all."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.data.dataset import Data
from tfgen.utils import checks

# --------------------------------------------------------------------------------------- noise


def inputs(case, x=None):
    x = tf.constant(case.x) if x is None else x
    return x if case.y is None else (x, tf.constant(case.y))


def test_a_call_in_training_draws_afresh(core_case):
    case, model = core_case, core_case.model
    with case.restored():
        calls = [model(inputs(case), training=True).numpy() for _ in range(2)]
        if case.entry.costly and case.noisy:
            in_graph = tf.function(lambda: model(inputs(case), training=True))
            calls += [in_graph().numpy() for _ in range(2)]
    for a, b in itertools.combinations(calls, 2):
        # Eagerly and in a graph the same is computed, up to rounding.
        assert np.allclose(a, b, rtol=1e-4, atol=1e-4) != case.noisy
    np.testing.assert_array_equal(model(inputs(case)), model(inputs(case)))


def test_the_objective_is_open_to_loops_of_ones_own(core_case):
    case = core_case
    model, y = case.model, None if case.y is None else tf.constant(case.y)
    with case.restored(), tf.GradientTape() as tape:
        loss = model.loss(tf.constant(case.x), y)
        total = tf.reduce_mean(loss)
    assert loss.shape in ((len(case.x),), ())
    gradients = tape.gradient(total, model.trainable_variables)
    assert all(g is not None for g in gradients)
    with case.restored():
        terms = model.loss(tf.constant(case.x), y, seed=3, return_dict=True)
    assert set(terms) <= {"loss", *model.term_names}
    with case.restored():
        again, other = (model.loss(tf.constant(case.x), y, seed=s).numpy() for s in (3, 4))
    # Means of critics and of batches may be equal by chance for single rows, not as a whole.
    np.testing.assert_allclose(terms["loss"], again, rtol=1e-5)
    if case.noisy or not model.has_likelihood and hasattr(model, "critic"):
        assert not np.array_equal(again, other)


def test_the_objective_has_the_noise_of_no_evaluation():
    case = zoo.case("vae")
    trained = case.model.loss(tf.constant(case.x), seed=0, return_dict=True)["negative_elbo"]
    assert not np.isclose(trained, -case.model.log_prob(case.x, seed=0), rtol=1e-4).any()


# With noise and without, of vectors and of none.
FEW = {"realnvp_condition", "vae"}
COSTLY = {name for name, entry in zoo.MODELS.items() if entry.costly}


@pytest.mark.parametrize("case", zoo.but_slow(FEW, COSTLY), indirect=True)
def test_draws_in_graphs_are_fresh_and_take_tensors_as_seeds(case):
    model, condition = case.model, None if case.y is None else case.y[0]
    fresh = tf.function(lambda: model.sample(2, condition))
    assert not np.array_equal(fresh(), fresh())
    seeded = tf.function(lambda seed: model.sample(2, condition, seed=seed))
    expected = model.sample(2, condition, seed=5).numpy()
    for seed in (tf.constant([5, 0]), tf.constant(5), tf.constant(5, tf.int64)):
        np.testing.assert_allclose(seeded(seed), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.sample(2, condition, seed=tf.constant(5)), expected)
    with pytest.raises(ValueError, match="`seed` must be a tensor of integers"):
        seeded(tf.constant([1, 2, 3]))


def test_draws_in_a_data_set_are_fresh():
    model = zoo.case("realnvp_2").model
    drawn = list(tf.data.Dataset.range(3).map(lambda i: model.sample(2)).as_numpy_iterator())
    assert not np.array_equal(drawn[0], drawn[1])
    encoder = zoo.case("vae").model
    x = zoo.case("vae").x
    assert not np.array_equal(*(encoder.encode(x, sample=True) for _ in range(2)))


class Batches(keras.utils.PyDataset):
    def __init__(self, case, size=zoo.BATCH_SIZE, **arguments):
        super().__init__(**arguments)
        self.arrays = [a for a in (case.x, case.y) if a is not None]
        self.size = size

    @property
    def num_batches(self):
        return -(-len(self.arrays[0]) // self.size)

    def __getitem__(self, i):
        rows = slice(self.size * i, self.size * (i + 1))
        return tuple(a[rows] for a in self.arrays)


@pytest.mark.parametrize("workers", [1, *zoo.slow(3)])
@pytest.mark.parametrize("case", zoo.but_slow(FEW, FEW | {"glow_classes", "cq"}), indirect=True)
def test_the_same_figures_from_arrays_and_from_a_pydataset(case, workers):
    model, size, batches = case.model, zoo.BATCH_SIZE, Batches(case, workers=workers)
    expected = model.evaluate(case.x, case.y, batch_size=size, verbose=0, return_dict=True)
    got = model.evaluate(batches, verbose=0, return_dict=True)
    assert got.keys() == expected.keys()
    given = case.x if case.y is None else (case.x, case.y)
    predicted = model.predict(given, batch_size=size, verbose=0)
    # Threads share a convolution's sums as they come: not to the last bit.
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(model.predict(batches, verbose=0), predicted, rtol=1e-6, atol=1e-6)


def test_batches_of_a_pydataset_are_of_one_size():
    class Uneven(Batches):
        def __getitem__(self, i):
            return (self.arrays[0][: 8 if i else 5],)

    with pytest.raises(ValueError, match="`x` must have batches of one size, .*; batch 1 has 8"):
        zoo.case("vae").model.evaluate(Uneven(zoo.case("vae")), verbose=0)


# --------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("compiled", [True, *zoo.slow(False)])
def test_a_checkpoint_of_tensorflow_is_whole(core_case, compiled, tmp_path):
    case = core_case
    path = tf.train.Checkpoint(model=case.model).save(tmp_path / "checkpoint")
    case.model.save_weights(tmp_path / "model.weights.h5")
    model = case.entry.build()
    # As `ModelCheckpoint(save_weights_only=True)` writes them, into a model that was not compiled.
    model.load_weights(tmp_path / "model.weights.h5")
    for a, b in zip(model.weights, case.model.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
        a.assign(tf.zeros_like(a))
    if compiled:
        model.compile(**case.entry.compile)
    status = tf.train.Checkpoint(model=model).restore(path)
    status.assert_existing_objects_matched()
    for a, b in zip(model.weights, case.model.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    if compiled:
        status.assert_consumed()
        for a, b in zip(model.players, case.model.players, strict=True):
            for mine, other in zip(a.optimizer.variables, b.optimizer.variables, strict=True):
                np.testing.assert_array_equal(mine, other, err_msg=mine.path)


# CQF is a CQ with another observation.
@pytest.mark.parametrize("recipe", ["CQ", "VAE", "GAN", *zoo.slow("CQF")])
def test_averages_are_of_the_passes_that_are_scored(recipe):
    """Passes of samples leave no trace in the moving averages of a model with a likelihood."""
    keras.utils.set_random_seed(0)
    kind = {"encoder": "conv"} if recipe != "GAN" else {}
    if recipe == "VAE":
        kind |= {"data_kind": "uint8", "observation": "normal"}
    model = getattr(tfgen, recipe)((8, 8, 1), latent_dim=2, decoder="conv", **kind)
    x = tf.constant(np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)), tf.uint8)
    averages = [v for v in model.decoder.non_trainable_variables if "moving" in v.path]
    assert averages
    before = [v.numpy() for v in averages]
    noise = model._terms_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 16)
    if recipe in ("CQ", "CQF", "GAN"):
        model._fakes(noise[1], None, training=True)
        moved = any(np.any(v.numpy() != b) for v, b in zip(averages, before, strict=True))
        assert moved == (recipe == "GAN")
    model._terms(x, None, noise, training=True)
    assert all(np.any(v.numpy() != b) for v, b in zip(averages, before, strict=True))


def small(recipe, **arguments):
    networks = {"decoder": "mlp"} | (
        {"critic": "mlp"} if recipe is tfgen.GAN else {"encoder": "mlp"}
    )
    return recipe(3, latent_dim=2, data_kind="real", **networks, **arguments)


@pytest.mark.usefixtures("eager_training")
def test_a_checkpoint_waits_for_what_is_made_later(tmp_path):
    """A model compiled after it was restored, and a variable of the user's own."""

    class Counting(tfgen.RealNVP):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.count = tf.Variable(0)

    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    for recipe in (Counting, tfgen.GAN):
        build = (lambda: Counting(3, 2, (4,))) if recipe is Counting else (lambda: small(tfgen.GAN))
        models = build(), build()
        models[0].compile()
        models[0].fit(x, epochs=2, verbose=0)
        if recipe is Counting:
            models[0].count.assign(7)
        path = tf.train.Checkpoint(model=models[0]).save(tmp_path / recipe.__name__)
        tf.train.Checkpoint(model=models[1]).restore(path)
        models[1].compile()
        assert [int(p.optimizer.iterations) for p in models[1].players] == [
            int(p.optimizer.iterations) for p in models[0].players
        ]
        assert recipe is not Counting or int(models[1].count) == 7


def test_latents_that_were_fitted_move_no_other_state_of_a_checkpoint(tmp_path):
    models = small(tfgen.GAN), small(tfgen.GAN)
    models[0].set_latents("mixture")
    path = tf.train.Checkpoint(model=models[0]).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(model=models[1]).restore(path).assert_existing_objects_matched()
    for part in ("decoder", "critic"):
        for a, b in zip(*(getattr(m, part).weights for m in models), strict=True):
            np.testing.assert_array_equal(a, b)


DECODERS = zoo.LATENT_VARIABLE_MODELS | zoo.AUTOENCODERS | zoo.ADVERSARIAL


@pytest.mark.parametrize("name", zoo.but_slow({"vae", "autoencoder", "gan"}, DECODERS))
def test_latents_that_were_fitted_are_not_left_in_the_file(name, tmp_path):
    """Those of a file of weights, which a model without such would not look for."""
    path, models = tmp_path / "model.weights.h5", [DECODERS[name].build() for _ in range(2)]
    models[0].set_latents("mixture")
    models[0].save_weights(path)
    models[1].set_latents(None)
    with pytest.raises(ValueError, match="the file holds latents that were fitted, and this"):
        models[1].load_weights(path)
    models[1].set_latents("mixture")
    models[1].load_weights(path)
    for a, b in zip(*(m.weights for m in models), strict=True):
        np.testing.assert_array_equal(a, b)


def test_averages_of_no_step_are_not_put_in_a_players_weights():
    model = small(tfgen.GAN)
    model.compile(
        *[keras.optimizers.Adam(use_ema=True)], critic_optimizer=keras.optimizers.Adam(use_ema=True)
    )
    # Which `fit` sets, whatever the number of epochs.
    model.adapt(np.ones((4, 3)))
    before = [w.numpy() for w in model.weights]
    model.fit(np.ones((4, 3)), epochs=0, verbose=0)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_dropout_is_another_one_in_each_pass():
    """Passes of samples leave averages alone, and yet use up random numbers."""
    decoder = keras.Sequential([keras.layers.Dense(64), keras.layers.Dropout(0.5)])
    model = tfgen.CQ((4, 4, 1), latent_dim=2, encoder="mlp", decoder=decoder, critic="mlp")
    x = tf.zeros([1, 4, 4, 1], tf.uint8)
    noise = model._terms_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 1)
    drawn = [model._fakes(noise[1], None, training=True).numpy() for _ in range(2)]
    assert not np.allclose(*drawn)
    assert model._terms(x, None, noise, training=True)["loss"].shape == (1,)


# ------------------------------------------------------------------------------------ objectives


@keras.saving.register_keras_serializable(package="tests")
class Mean(tfgen.GenerativeModel):
    """Fits a mean, by the rows' errors or by their mean over the batch."""

    def __init__(self, event_shape, whole=False, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.whole = whole

    def _build_parts(self):
        self.loc = self.add_weight(name="loc", shape=self.event_shape, initializer="zeros")

    def _term_names(self):
        return ("error",)

    def _terms(self, x, condition, noise, training):
        error = tf.reduce_sum((x - self.loc) ** 2, -1)
        return {"error": error, "loss": tf.reduce_mean(error) if self.whole else error}


@pytest.mark.parametrize("sample_weight", [np.ones(16), *zoo.slow(None)])
def test_a_loss_of_the_batch_trains_as_that_of_its_rows(sample_weight):
    x = np.random.default_rng(0).normal(5, 1, (16, 2)).astype("float32")
    locs = []
    for whole in (False, True):
        model = Mean(2, whole)
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(x, batch_size=16, sample_weight=sample_weight, verbose=0)
        locs.append(model.loc.numpy())
    np.testing.assert_allclose(locs[0], 0.2 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(*locs, rtol=1e-5)


def test_a_term_without_a_name_is_told():
    class Unnamed(Mean):
        def _term_names(self):
            return ()

    model = Unnamed(2)
    model.compile(run_eagerly=True)
    with pytest.raises(
        ValueError, match="Unnamed has a term 'error' that its `_term_names` lacked"
    ):
        model.fit(np.ones((4, 2)), verbose=0)


@pytest.mark.usefixtures("eager_training")
def test_a_weight_of_the_objective_may_change_its_type():
    model = small(tfgen.VAE)
    model.beta = 2
    model.compile()
    assert "beta" not in model.fit(np.arange(12.0).reshape(4, 3), verbose=0).history
    assert model.get_config()["beta"] == 2


@pytest.mark.usefixtures("eager_training")
def test_a_refused_compile_leaves_the_model_as_it_was():
    model, x = small(tfgen.GAN), np.ones((4, 3))
    lead = keras.optimizers.Adam()
    for arguments in (
        {"critic_steps": 0},
        {"critic_optimizer": "nonsense"},
        {"optimizer": lead, "critic_optimizer": keras.optimizers.LossScaleOptimizer(lead)},
    ):
        with pytest.raises(ValueError, match="`critic_"):
            model.compile(**arguments)
        assert not model.compiled
    model.compile("sgd")
    with pytest.raises(ValueError, match="`critic_optimizer`"):
        model.compile("adam", critic_optimizer="nonsense")
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()


def test_an_argument_with_a_name_of_keras_is_the_users():
    @keras.saving.register_keras_serializable(package="tests")
    class Named(tfgen.VAE):
        def __init__(self, event_shape, metrics=None, optimizer="sgd", **kwargs):
            super().__init__(event_shape, **kwargs)

    model = Named(3, latent_dim=2, encoder="mlp", decoder="mlp")
    model.compile("adam")
    config = model.get_config()
    assert (config["metrics"], config["optimizer"]) == (None, "sgd")
    gan = small(tfgen.GAN)
    gan.adversarial_loss = "wasserstein"
    assert gan.get_config()["loss"] == "wasserstein"


# ---------------------------------------------------------------------------------------- data


def frame(values):
    """A stand-in that converts to an array as a data frame does; pandas is no requirement."""

    class Frame:
        iloc = None

        def __array__(self, dtype=None, copy=None):
            return np.array(values, object)

    return Frame()


@pytest.mark.parametrize(
    "given, words",
    [
        (np.ma.array([[1.0], [2.0], [3.0]], mask=[[0], [1], [1]]), "row 1 has some .2 such rows.*"),
        (tf.sparse.from_dense([[1.0, 0.0]]), "got SparseTensor: give a dense one"),
        (tf.ragged.constant([[1.0], [2.0, 3.0]]), "RaggedTensor: rows must be of one length"),
        (np.array([["a"]]), "got dtype <U1: encode strings"),
        (np.array([[1 + 2j]]), "got dtype complex128: give real and imaginary"),
        (np.array([["2026-01-01"]], "datetime64[D]"), "give times as numbers"),
        (np.array([[3]], "timedelta64[s]"), "give durations as numbers"),
        (frame([[1, None]]), "got Frame: its columns must all be of numbers"),
    ],
)
def test_what_is_no_plain_array_is_refused_by_name(given, words):
    with pytest.raises(ValueError, match=f"`x` must .*{words}"):
        checks.as_numeric(given, "x")
    model = zoo.case("realnvp_2").model
    with pytest.raises(ValueError, match="`x` must "):
        model.fit(given, verbose=0)


def test_a_masked_array_without_masked_values_is_an_array():
    given = np.ma.array([[1.0], [2.0]], mask=False)
    np.testing.assert_array_equal(checks.as_numeric(given, "x"), [[1.0], [2.0]])


def test_binary_data_stay_as_they_are(tmp_path):
    x = (np.random.default_rng(0).random((50, 4, 4, 1)) < 0.4).astype(np.uint8)
    for i, given in enumerate((x, x.astype(bool))):
        np.savez(tmp_path / f"{i}.npz", x=given)
        plain, static = (
            tfgen.data.load(str(tmp_path / f"{i}.npz"), binarise=b) for b in (None, "static")
        )
        assert plain.kind == static.kind == "binary"
        assert plain.train[0].mean() == static.train[0].mean() > 0.3
        with pytest.raises(ValueError, match="holds 0 and 1 already"):
            tfgen.data.load(str(tmp_path / f"{i}.npz"), binarise="dynamic")
    np.savez(tmp_path / "grey.npz", x=200 * x)
    grey = tfgen.data.load(str(tmp_path / "grey.npz"), binarise="static")
    assert isinstance(grey, Data)
    assert 0 < grey.train[0].mean() < x.mean()


# -------------------------------------------------------------------------------------- models


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("mask", ["A", "B"])
def test_a_masked_convolution_is_dilated(mask, dilation):
    layer = tfgen.networks.MaskedConv2D(
        1, 3, mask, dilation_rate=dilation, kernel_initializer="ones"
    )
    x = tf.zeros([1, 9, 9, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        middle = layer(x)[0, 4, 4, 0]
    seen = tape.gradient(middle, x).numpy()[0, :, :, 0]
    d = dilation
    expected = {(4 - d, 4 - d), (4 - d, 4), (4 - d, 4 + d), (4, 4 - d)}
    assert {tuple(p) for p in np.argwhere(seen)} == expected | ({(4, 4)} if mask == "B" else set())


@pytest.mark.parametrize(
    "argument",
    [{"strides": 2}, {"padding": "valid"}, {"groups": 2}, {"data_format": "channels_first"}],
)
def test_a_masked_convolution_refuses_what_it_cannot_be(argument):
    name = next(iter(argument))
    with pytest.raises(ValueError, match=f"`{name}` of a masked convolution must be"):
        tfgen.networks.MaskedConv2D(4, 3, "B", **argument)


@pytest.mark.parametrize("name", ["glow_penalty", *zoo.slow("autoencoder_images")])
def test_sample_weights_do_not_scale_penalties_of_weights(name):
    case = zoo.case(name)
    model, n = case.model, len(case.x)
    penalty = case.entry.terms[1]

    def loss(weight):
        arguments = {"sample_weight": np.full(n, weight), "verbose": 0, "return_dict": True}
        return model.evaluate(case.x, case.y, **arguments)

    one, none = loss(1.0), loss(0.0)
    assert none["loss"] > 0
    np.testing.assert_allclose(none["loss"], one[penalty], rtol=1e-5)
    np.testing.assert_allclose(one["loss"], one[case.entry.terms[0]] + one[penalty], rtol=1e-5)


def test_what_a_presets_optimizer_leaves_open_is_the_classs_own():
    model = tfgen.CQF.from_preset("cqf_fashion_mnist_small", load_weights=False, latent_dim=1)
    assert model.optimizer.global_clipnorm == model.default_optimizer().global_clipnorm > 0
    assert float(model.optimizer.learning_rate) == np.float32(5e-4)


# ------------------------------------------------------------------------------------ callbacks


def test_callbacks_know_that_less_of_a_term_is_better(case):
    model = case.model
    ordered = set(model.term_names) - model._unordered_terms
    falls = case.entry.falls or case.entry.terms[0]
    assert falls in ordered
    assert not {"real_score", "fake_score", "active_units", "contrast"} & ordered
    stop = keras.callbacks.EarlyStopping(f"val_{falls}")
    kept = keras.callbacks.EarlyStopping(f"val_{falls}", mode="max")
    model._direct([stop, kept, keras.callbacks.TerminateOnNaN()])
    assert (stop.mode, kept.mode) == ("min", "max")
    model._direct(None)


def test_early_stopping_of_a_term_stops_where_it_rises():
    model = zoo.MODELS["realnvp_2"].build()
    model.compile(keras.optimizers.SGD(0.0))
    x, _ = zoo.make_data(model)
    stop = keras.callbacks.EarlyStopping("val_nll", patience=1)
    history = model.fit(x, validation_data=x, epochs=5, verbose=0, callbacks=[stop]).history
    assert len(history["loss"]) == 2

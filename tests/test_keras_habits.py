"""Habits of Keras's users work on these models: subclasses, summaries, steps of their own."""

import importlib
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import networks
from tfgen.utils.random import row_normal

registered = keras.saving.register_keras_serializable(package="test_keras_habits")

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, size=(20, 2)).astype("float32")
BITS = RNG.integers(0, 2, size=(20, 4))
LABELS = RNG.integers(0, 2, size=20)
VECTORS = RNG.normal(size=(20, 3)).astype("float32")


def realnvp(recipe=tfgen.RealNVP, shape=2, **arguments):
    return recipe(shape, num_layers=2, hidden_units=(8,), **arguments)


def vae(recipe=tfgen.VAE, shape=4, **arguments):
    parts = {name: networks.MLP((8,), "elu") for name in ("encoder", "decoder")}
    return recipe(shape, 2, **parts, **arguments)


# ------------------------------------------------------------------------------------ subclasses


class Counting:
    """Adds a layer and a metric once its recipe is made, and shifts the loss by the layer."""

    def __init__(self, *args, extra=3.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = extra
        self.scale = keras.layers.Dense(1, use_bias=False)
        self.rows = keras.metrics.Sum(name="rows")

    def _build_parts(self):
        super()._build_parts()
        self.scale.build((None, 1))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.rows.update_state(tf.cast(tf.shape(x)[0], tf.float32))
        penalty = self.extra * tf.reduce_sum(self.scale(tf.ones([1, 1])) ** 2)
        terms = {**y_pred, "loss": y_pred["loss"] + penalty}
        return super().compute_loss(x, y, terms, sample_weight, training)


@registered
class CountingFlow(Counting, tfgen.RealNVP):
    def __init__(self, event_shape, extra=3.0, **kwargs):
        super().__init__(event_shape, extra=extra, **kwargs)


@registered
class CountingVAE(Counting, tfgen.VAE):
    def __init__(self, event_shape, latent_dim=2, extra=3.0, **kwargs):
        super().__init__(event_shape, latent_dim, extra=extra, **kwargs)


@pytest.mark.parametrize(
    "make, x",
    [
        (lambda: realnvp(CountingFlow, extra=5.0), X),
        pytest.param(lambda: vae(CountingVAE, extra=5.0), BITS, marks=pytest.mark.slow),
    ],
)
def test_a_subclass_adds_a_layer_and_a_metric(make, x, tmp_path):
    model = make()
    assert any(v is model.scale.kernel for v in model.trainable_variables)
    model.compile(keras.optimizers.SGD(0.01))
    before = model.scale.kernel.numpy()
    history = model.fit(x, batch_size=8, epochs=2, verbose=0, validation_data=x).history
    assert history["rows"] == history["val_rows"] == [20.0, 20.0]
    assert not np.array_equal(model.scale.kernel, before)
    # The term is logged without the penalty, the loss with it.
    name = "nll" if "nll" in history else "negative_elbo"
    penalty = 5 * float(model.scale.kernel[0, 0]) ** 2
    results = model.evaluate(x, batch_size=20, verbose=0, return_dict=True)
    parts = results.get("nll") or results["reconstruction"] + results["kl"]
    np.testing.assert_allclose(results["loss"] - parts, penalty, rtol=1e-3, atol=1e-4)
    assert name in results
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.extra == 5.0
    np.testing.assert_array_equal(loaded.scale.kernel, model.scale.kernel)
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    assert set(loaded.fit(x, verbose=0).history) == set(history) - {
        key for key in history if key.startswith("val_")
    }


@registered
class OwnStep(tfgen.RealNVP):
    """A training step from scratch, with weights that count double."""

    def train_step(self, data):
        x, y, sample_weight = self.data_spec.unpack(data)
        assert y is None
        with tf.GradientTape() as tape:
            loss = -2 * tf.reduce_mean(self(x, training=True) * tf.cast(sample_weight, x.dtype))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.steps_taken.assign_add(1)
        return {"own_loss": loss}


@pytest.mark.parametrize("kind", ["arrays", "dataset", "generator"])
def test_an_own_train_step_unpacks_any_data(kind):
    model = realnvp(OwnStep)
    model.compile(keras.optimizers.SGD(1e-3))
    weights = np.ones(20, "float32")
    if kind == "arrays":
        given = {"x": X, "y": LABELS, "sample_weight": weights, "batch_size": 10}
    elif kind == "dataset":
        given = {"x": tf.data.Dataset.from_tensor_slices((X, LABELS, weights)).batch(10)}
    else:
        batches = [(X[i : i + 10], LABELS[i : i + 10], weights[i : i + 10]) for i in (0, 10)]
        given = {"x": iter(batches), "steps_per_epoch": 2}
    history = model.fit(**given, verbose=0).history
    assert set(history) == {"own_loss"}
    assert np.isfinite(history["own_loss"]).all()
    assert int(model.steps_taken) == int(model.optimizer.iterations) == 2


@registered
class Noisy(tfgen.RealNVP):
    """Hands a changed batch on to the step of its base."""

    def train_step(self, data):
        batch = self.data_spec.batch(data)
        noise = row_normal(self.noise_seed, batch["row"][0], tf.shape(batch["x"])[0], (2,))
        return super().train_step({**batch, "x": batch["x"] + noise})


def test_an_own_step_may_change_the_batch():
    losses = []
    for recipe in (tfgen.RealNVP, Noisy):
        keras.utils.set_random_seed(0)
        model = realnvp(recipe)
        model.compile(run_eagerly=True)
        losses.append(model.fit(X, batch_size=20, verbose=0).history["nll"][0])
    assert losses[0] < losses[1]


@registered
class Weighed(tfgen.VAE):
    """A loss that is made of the terms in another way."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = y_pred["reconstruction"] + 4.0 * y_pred["kl"]
        terms = {**y_pred, "loss": loss}
        return super().compute_loss(x, y, terms, sample_weight, training)


def test_an_own_loss_of_the_terms():
    model = vae(Weighed)
    model.compile()
    results = model.evaluate(BITS, batch_size=20, verbose=0, return_dict=True)
    expected = results["reconstruction"] + 4 * results["kl"]
    np.testing.assert_allclose(results["loss"], expected, rtol=1e-5)
    assert np.isfinite(model.fit(BITS, verbose=0).history["loss"]).all()


# --------------------------------------------------------------------------------------- compile


@pytest.mark.parametrize("make", [realnvp, vae])
@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"metrics": ["mae"]}, "takes no `metrics`: .*add a `keras.metrics.Metric` as an attr"),
        ({"loss": "mse"}, "takes no `loss`: .*override `compute_loss` in a subclass"),
        ({"loss_weights": [1.0]}, "takes no `loss_weights`: the terms of the objective have wei"),
        ({"weighted_metrics": ["mae"]}, "takes no `weighted_metrics`: .*count `sample_weight`"),
        ({"critic_steps": 2}, "takes no `critic_steps`: its arguments are .*'jit_compile'"),
    ],
)
def test_compile_says_what_to_do_instead(make, arguments, words):
    with pytest.raises(ValueError, match=f"`compile` of a (RealNVP|VAE) {words}"):
        make().compile(**arguments)


def test_compile_takes_none_for_what_it_does_not_take():
    model = realnvp()
    model.compile("sgd", loss=None, metrics=None)
    assert isinstance(model.optimizer, keras.optimizers.SGD)


# ---------------------------------------------------------------------------------------- shapes


def test_output_shapes():
    assert realnvp().compute_output_shape((None, 2)) == (None,)
    assert vae().compute_output_shape((7, 4)) == (7,)
    conditional = realnvp(condition_shape=(3,))
    assert conditional.compute_output_shape([(None, 2), (None, 3)]) == (None,)
    pair = realnvp(condition_shape=(3,), num_classes=2)
    shapes = ((5, 2), {"label": (5,), "vector": (5, 3)})
    assert pair.compute_output_shape(shapes) == (5,)
    autoencoder = vae(tfgen.Autoencoder, data_kind="real")
    assert autoencoder.compute_output_shape((None, 4)) == (None, 4)
    gan = tfgen.GAN(4, 2, decoder=networks.MLP((8,)), critic=networks.MLP((8,)), data_kind="real")
    assert gan.compute_output_shape((None, 4)) == (None,)
    outputs = keras.Model(inputs := keras.Input((2,)), realnvp()(inputs)).output_shape
    assert outputs == (None,)


@pytest.fixture
def rows(monkeypatch):
    """Function that gives the rows of a model's summary: by the layer's name its type, its shape
    and the number of its parameters."""
    monkeypatch.setenv("COLUMNS", "200")

    def rows(model, **arguments):
        text = []
        model.summary(line_length=200, print_fn=text.append, **arguments)
        lines = [line.strip("│").split("│") for line in text[0].split("\n") if line[:1] == "│"]
        found = {}
        for name, shape, count in lines:
            name, kind = name.strip(" └").rstrip(" )").split(" (")
            assert name not in found
            found[name] = kind, shape.strip(), int(count.replace(",", ""))
        return found

    return rows


def num_params(*layers):
    return sum(int(np.prod(w.shape)) for layer in layers for w in layer.weights)


def test_summary_of_a_flow(rows):
    model = realnvp()
    found = rows(model)
    assert list(found) == ["base", "bijector"]
    assert found["bijector"] == ("Chain", "(None, 2)", num_params(model.bijector))
    found = rows(model, expand_nested=True)
    for part in model.bijector._flatten_layers(include_self=False):
        kind, shape, count = found[part.name]
        assert (kind, count) == (type(part).__name__, num_params(part))
        if isinstance(part, tfgen.bijectors.Bijector):
            assert shape == "(None, 2)"


def test_summary_of_levels_and_steps(rows):
    model = tfgen.Glow((8, 8, 1), num_levels=2, num_steps=3, filters=4)
    found = list(rows(model, expand_nested=True).values())

    def shapes(wanted):
        return sorted(shape for kind, shape, _ in found if kind == wanted)

    # Each level: squeezed, its steps in one block, half of it split off.
    both = ["(None, 2, 2, 8)", "(None, 4, 4, 4)"]
    assert shapes("Squeeze") == shapes("Repeat") == both
    assert shapes("Split") == ["(None, 64)"]
    # What is repeated, and what a step is made of.
    for kind in ("GlowStep", "ActNorm", "InvertibleConv"):
        assert shapes(kind) == both
    repeats = [layer for layer in model._flatten_layers() if type(layer).__name__ == "Repeat"]
    counts = [count for kind, _, count in found if kind == "Repeat"]
    assert sorted(counts) == sorted(map(num_params, repeats))
    assert min(counts) > 0


def test_summary_of_a_vae(rows):
    model = vae()
    shapes = {
        "encoder": "(None, 8)",
        "posterior": "(None, 2)",
        "prior": "(None, 2)",
        "decoder": "(None, 8)",
        "observation": "(None, 4)",
    }
    for arguments in ({}, {"expand_nested": True}):
        found = rows(model, **arguments)
        for name, shape in shapes.items():
            part = getattr(model, name)
            assert found[name] == (type(part).__name__, shape, num_params(part))
    assert set(rows(model)) == set(shapes)


def test_summary_counts_all_weights(rows):
    for model in (realnvp(), vae()):
        layers = sum(count for _, _, count in rows(model).values())
        # The model's own, which belongs to no part.
        state = model._non_trainable_variables
        assert layers == model.count_params() - sum(int(np.prod(w.shape)) for w in state)


# ------------------------------------------------------------------------------------ namespaces

NAMES = ["bijectors", "callbacks", "core", "data", "distributions", "metrics", "models", "networks"]
NAMES += ["objectives", "optimizers", "plots", "testing"]
NAMESPACES = [tfgen, *(importlib.import_module(f"tfgen.{name}") for name in NAMES)]


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda n: n.__name__)
def test_namespaces_show_what_is_public(namespace):
    public = [name for name in dir(namespace) if name != "__version__"]
    assert public == sorted(namespace.__all__)
    assert not {"np", "tf", "keras", "os"} & set(public)
    for name in namespace.__all__:
        assert hasattr(namespace, name)


def test_the_public_namespaces_are_those_of_the_package():
    modules = {name for name in tfgen.__all__ if inspect.ismodule(getattr(tfgen, name))}
    assert modules == set(NAMES)


# --------------------------------------------------------------------------- a label and a vector

PAIRS = {"label": LABELS, "vector": VECTORS}
PAIR = {"condition_shape": (3,), "num_classes": 2}


def adversarial(recipe, **arguments):
    return recipe(
        2,
        2,
        decoder=networks.MLP((8,)),
        critic=networks.MLP((8,)),
        data_kind="real",
        **arguments,
    )


def outputs(model, x, y, **arguments):
    if not model.has_likelihood:
        return model.critic_score(x, y, **arguments)
    return model.log_prob(x, y, **arguments)


PAIRED = {
    "realnvp": lambda: realnvp(**PAIR),
    "maf": lambda: realnvp(tfgen.MAF, **PAIR),
    "vae": lambda: vae(shape=2, observation="normal", **PAIR),
    "injective": lambda: vae(tfgen.InjectiveFlow, shape=2, data_kind="real", **PAIR),
    "gan": lambda: adversarial(tfgen.GAN, **PAIR),
}


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


# The core reads pairs; what is served of them is looked at below, of an encoder and a decoder.
@pytest.mark.parametrize("name", ["realnvp", *zoo.slow("vae", "gan", "maf", "injective")])
def test_a_label_and_a_vector(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = PAIRED[name]()
    assert (model.condition_shape, model.num_classes) == ((3,), 2)
    model.compile()
    history = model.fit(X, PAIRS, batch_size=10, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    expected = outputs(model, X, PAIRS)
    np.testing.assert_array_equal(outputs(model, X, (LABELS, VECTORS)), expected)
    assert_close(model((tf.constant(X), tf.nest.map_structure(tf.constant, PAIRS))), expected)
    # Both count.
    for other in ((1 - LABELS, VECTORS), (LABELS, VECTORS + 1)):
        assert not np.allclose(outputs(model, X, other), expected)
    # One pair for all samples.
    one = model.sample(4, (1, VECTORS[0]), seed=1)
    again = model.sample(4, {"label": [1], "vector": VECTORS[:1]}, seed=1)
    each = model.sample(4, (np.ones(4, int), VECTORS[[0, 0, 0, 0]]), seed=1)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one, each)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(loaded, X, PAIRS), expected)


# `test_refused` reads such pairs from streams of each kind.
@pytest.mark.parametrize("name", zoo.slow("realnvp", "gan"))
def test_a_label_and_a_vector_from_any_data(name):
    model = PAIRED[name]()
    model.compile()
    data = tf.data.Dataset.from_tensor_slices((X, PAIRS)).batch(8)
    model.fit(data, verbose=0, validation_data=data)
    model.fit(X, (LABELS, VECTORS), verbose=0, class_weight={0: 1.0, 1: 2.0})
    expected = outputs(model, X, PAIRS)
    assert_close(outputs(model, X, PAIRS, batch_size=7), expected)
    assert_close(model.predict((X, PAIRS), batch_size=8, verbose=0), expected)
    assert_close(model.predict(data, verbose=0), expected)


# Its signatures are all that the others have.
@pytest.mark.parametrize("name", ["vae", *zoo.slow("realnvp", "gan")])
def test_a_label_and_a_vector_are_two_inputs_of_what_is_served(name, tmp_path):
    model = PAIRED[name]()
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    condition = {"label": tf.constant(LABELS, tf.int32), "vector": tf.constant(VECTORS)}
    arguments = {"num_samples": 20, "seed": [3, 0], "temperature": 1.0}
    arguments = {key: tf.constant(value) for key, value in arguments.items()}
    drawn = served["sample"](**arguments, **condition)["samples"]
    assert_close(drawn, model.sample(20, PAIRS, seed=3))
    if "log_prob" in served:
        got = served["log_prob"](x=tf.constant(X), **condition)
        assert_close(got["log_prob"], model.log_prob(X, PAIRS))
    if "encode" in served:
        z = served["encode"](x=tf.constant(X), **condition)["z"]
        assert_close(z, model.encode(X, PAIRS))


@pytest.mark.parametrize("name", ["realnvp", "maf"])
def test_the_distribution_of_a_label_and_a_vector(name):
    model = PAIRED[name]()
    given = model.distribution((LABELS, VECTORS))
    assert given.batch_shape == (20,)
    np.testing.assert_allclose(given.log_prob(X), model.log_prob(X, PAIRS), rtol=1e-4, atol=1e-5)
    one = model.distribution((LABELS[0], VECTORS[0]))
    assert one.batch_shape == ()
    expected = model.log_prob(X, (LABELS[0], VECTORS[0]))
    np.testing.assert_allclose(one.log_prob(X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "given, words",
    [
        (None, "`NAME` is missing: this model is conditional on pairs of an integer label"),
        (LABELS, "`NAME` must be a pair of labels and vectors, or a dict .* got a ndarray"),
        ({"label": LABELS}, r"`NAME` must be a pair .* got a dict of \['label'\]"),
        ((LABELS, VECTORS[:, :2]), "`NAME vector` must have shape"),
        ((LABELS + 5, VECTORS), "`NAME label` must hold labels in 0..1; got values from 5 to 6"),
        ((LABELS, VECTORS * np.nan), "`NAME vector` must be finite"),
        ((LABELS[:3], VECTORS), "the same number of rows"),
    ],
)
def test_a_bad_pair_is_told_by_name(given, words):
    model = PAIRED["realnvp"]()
    model.compile()
    with pytest.raises(ValueError, match=words.replace("NAME", "y")):
        model.fit(X, given, verbose=0)
    if "same number" in words:
        words = "`condition label` must have"
    words = words.replace("NAME", "condition")
    for method in (model.log_prob, model.encode):
        with pytest.raises(ValueError, match=words):
            method(X, given)
    with pytest.raises(ValueError, match=words):
        model.sample(20, given)


def test_a_pair_to_a_model_that_takes_none():
    with pytest.raises(ValueError, match="`condition` was given, but this model is unconditional"):
        realnvp().log_prob(X, (LABELS, VECTORS))


# --------------------------------------------------------------------------------------- a target


@registered
class Labelled(tfgen.GenerativeModel):
    """A normal distribution of each label, of which training is told and the density is not."""

    likelihood = "exact"
    _role = "target"

    def _build_parts(self):
        self.num_labels = self.data_spec.y.num_classes
        shape = (self.num_labels, *self.event_shape)
        self.loc = self.add_weight(name="loc", shape=shape, initializer="random_normal")

    def _joint(self, x):
        """`log p(x, y)` of all labels, `[batch, num_classes]`."""
        log_prob = -0.5 * (x[:, None] - self.loc) ** 2 - 0.5 * np.log(2 * np.pi)
        return tf.reduce_sum(log_prob, -1) - np.log(self.num_labels)

    def _log_weight(self, x, condition, noise):
        assert condition is None
        return tf.reduce_logsumexp(self._joint(x), -1)

    def _sample_noise(self, seed, start, num_rows):
        return row_normal(seed, start, num_rows, (1 + self.num_dims,), self.variable_dtype)

    def _generate(self, noise, condition, temperature):
        share = 0.5 * tf.math.erfc(-temperature * noise[:, 0] / np.sqrt(2))
        label = tf.cast(tf.floor(share * self.num_labels), tf.int32)
        return tf.gather(self.loc, label) + temperature * noise[:, 1:]

    def _batch_terms(self, batch, seed, training):
        terms = super()._batch_terms(batch, seed, training)
        chosen = tf.one_hot(batch["target"], self.num_labels)
        cross_entropy = -tf.reduce_sum(chosen * tf.nn.log_softmax(self._joint(batch["x"])), -1)
        return {**terms, "error": cross_entropy, "loss": terms["loss"] + cross_entropy}

    def _term_names(self):
        return (*super()._term_names(), "error")


@pytest.mark.parametrize("kind", ["arrays", *zoo.slow("dataset")])
def test_a_target_reaches_training_and_no_density(kind, tmp_path):
    keras.utils.set_random_seed(0)
    x = (X + 6 * LABELS[:, None]).astype("float32")
    model = Labelled(2, num_classes=2)
    model.compile(keras.optimizers.Adam(0.1))
    data = (x, LABELS)
    if kind == "dataset":
        data = (tf.data.Dataset.from_tensor_slices(data).batch(10).repeat(),)
    arguments = {"steps_per_epoch": 2, "epochs": 20, "verbose": 0, "validation_data": (x, LABELS)}
    if kind == "arrays":
        arguments |= {"batch_size": 10}
    history = model.fit(*data, **arguments).history
    assert history["error"][-1] < 0.7 * history["error"][0]
    assert history["val_error"][-1] < 0.7 * history["val_error"][0]
    assert model.log_prob(x).shape == (20,)
    assert model.sample(3).shape == (3, 2)
    with pytest.raises(ValueError, match="`condition` was given, but this model is uncond"):
        model.log_prob(x, LABELS)
    with pytest.raises(ValueError, match="`y` is missing"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match="`y` must hold labels in 0..1"):
        model.fit(x, LABELS + 5, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(model(tf.constant(x)), model.log_prob(x), rtol=1e-5)
    results = model.evaluate(x, LABELS, verbose=0, return_dict=True)
    assert set(results) == {"loss", "nll", "error"}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.evaluate(x, LABELS, verbose=0, return_dict=True)
    np.testing.assert_allclose([again[k] for k in results], list(results.values()), rtol=1e-6)
    model.fit(x, LABELS, class_weight={0: 1.0, 1: 3.0}, verbose=0)


def test_a_target_passes_the_public_checks():
    tfgen.testing.check_model(Labelled(2, num_classes=2), X, LABELS)

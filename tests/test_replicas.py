"""Two replicas train as one does on the same global batches, noise included."""

import contextlib
import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.utils.random import fold_in


def build(entry, strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = entry.build()
        # Not Adam, which makes whole steps of gradients that are zero but for rounding.
        critics = (
            {"critic_optimizer": keras.optimizers.SGD(1e-2)} if hasattr(model, "critic") else {}
        )
        model.compile(keras.optimizers.SGD(1e-2), **critics)
    return model


def assert_equal(one, two, history, other_history):
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5, err_msg=a.path)
    for term in history:
        np.testing.assert_allclose(
            # Scores may be near 0, where they are differences.
            history[term],
            other_history[term],
            rtol=1e-5,
            atol=1e-7,
            err_msg=term,
        )


@pytest.mark.parametrize("sizes", [(17,), *zoo.slow((20, 19, 17))])
def test_two_replicas_train_as_one(strategy, sizes):
    """Labels, dequantisation noise, an initialisation from data, a new order each epoch."""
    entry = zoo.MODELS["glow_classes"]
    models = [build(entry, None), build(entry, strategy)]
    x, y = zoo.make_data(models[0])
    # Last batches of 4, which divide evenly, of 3, and of 1, which leaves nothing for a replica.
    for num_rows in sizes:
        data, arguments = (x[:num_rows], y[:num_rows]), {"batch_size": zoo.BATCH_SIZE, "epochs": 2}
        histories = [model.fit(*data, **arguments, verbose=0).history for model in models]
        assert_equal(*models, *histories)


# Last batches of one row are fed above.
@pytest.mark.slow
def test_a_last_batch_of_one_row_with_batch_normalisation(strategy):
    """Maps of one pixel, whose statistics are of that row alone: it has no gradient through them,
    and must have none by rounding."""
    models = []
    for scope in (None, strategy):
        keras.utils.set_random_seed(0)
        with scope.scope() if scope else contextlib.nullcontext():
            networks = {
                "encoder": tfgen.networks.ConvEncoder((4, 4, 4), (2, 2, 1)),
                "decoder": tfgen.networks.ConvDecoder((4, 4), (4, 4, 4), (1, 2, 2)),
            }
            models.append(tfgen.Autoencoder((4, 4, 1), 2, **networks))
            models[-1].compile("sgd")
    x = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), np.uint8)
    settings = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}
    histories = [model.fit(x, **settings).history for model in models]
    assert "skipped_steps" not in histories[1]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)


@pytest.mark.parametrize(
    # Two players are on replicas below, and in `test_own_family`.
    "name",
    ["injective_flow_images", *zoo.slow("cqf", "gan_images", "autoencoder_images")],
)
def test_two_replicas_train_images_as_one(strategy, name):
    entry = exact(name)
    models = [build(entry, None), build(entry, strategy)]
    x, y = zoo.make_data(models[0])
    for num_rows in (20, 19):
        y_some = None if y is None else y[:num_rows]
        arguments = {"batch_size": zoo.BATCH_SIZE, "epochs": 2, "verbose": 0}
        histories = [model.fit(x[:num_rows], y_some, **arguments).history for model in models]
        assert_equal(*models, *histories)


# Arrays are fed above, and datasets in `test_feeds`.
@pytest.mark.slow
def test_two_replicas_train_as_one_on_a_dataset(strategy):
    entry = zoo.MODELS["realnvp_bits"]
    models = [build(entry, None), build(entry, strategy)]
    x, _ = zoo.make_data(models[0])
    # Also a last batch of 1, which leaves a replica without rows.
    for num_rows in (20, 19, 17):
        data = tf.data.Dataset.from_tensor_slices(x[:num_rows]).batch(zoo.BATCH_SIZE)
        histories = [m.fit(data, validation_data=data, verbose=0).history for m in models]
        assert_equal(*models, *histories)


UNEVEN = [0, 5, 13, 16, 17]


def uneven(x, y):
    """Batches of 5, 8, 3 and 1 rows."""
    given = (x,) if y is None else (x, y)
    return [tuple(a[i:j] for a in given) for i, j in itertools.pairwise(UNEVEN)]


class Uneven(keras.utils.PyDataset):
    """Batches of 3, 3 and 1 rows: of one size, but for the last."""

    def __init__(self, x, y):
        super().__init__()
        self.given = (x,) if y is None else (x, y)

    @property
    def num_batches(self):
        return 3

    def __getitem__(self, i):
        return tuple(a[3 * i : min(3 * i + 3, 7)] for a in self.given)


def feeds(x, y):
    """`fit`'s arguments, for each kind of stream."""
    batches = uneven(x, y)
    specs = tuple(tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in batches[0])
    return {
        "generator": lambda: (itertools.cycle(batches), {"steps_per_epoch": len(batches)}),
        "dataset": lambda: (
            # Of unknown size Keras warns, in the epoch after the first, that the data have ended.
            tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=specs).apply(
                tf.data.experimental.assert_cardinality(len(batches))
            ),
            {},
        ),
        "pydataset": lambda: (Uneven(x, y), {}),
    }


def aligned(array):
    """A copy at an address from which TensorFlow takes arrays as they lie in memory."""
    memory = np.zeros(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    view = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


class Given(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    @property
    def num_batches(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pydataset", *zoo.slow("generator", "dataset")])
def test_the_users_arrays_are_not_written_to(strategy, kind):
    model = build(zoo.MODELS["realnvp_condition"], strategy)
    x, y = zoo.make_data(model, 32)
    batches = [(aligned(x[i : i + 16]), aligned(y[i : i + 16])) for i in (0, 16)]
    specs = tuple(tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in batches[0])
    data = {
        "pydataset": lambda: Given(batches),
        "generator": lambda: itertools.cycle(batches),
        "dataset": lambda: tf.data.Dataset.from_generator(
            lambda: itertools.cycle(batches), output_signature=specs
        ),
    }
    model.fit(data[kind](), steps_per_epoch=2, epochs=3, verbose=0)
    np.testing.assert_array_equal(np.concatenate([b[0] for b in batches]), x)
    np.testing.assert_array_equal(np.concatenate([b[1] for b in batches]), y)


# One of each family, each fed in one way.
FED = {"vae": "pydataset", "glow_classes": "dataset", "pixelcnn": "generator", "gan": "generator"}
FED |= {"vlae": "pydataset", "autoencoder": "dataset"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("realnvp_bits", "generator"),
        *(
            pytest.param("realnvp_bits", kind, marks=pytest.mark.slow)
            for kind in ("pydataset", "dataset")
        ),
        *(pytest.param(*fed, marks=pytest.mark.slow) for fed in FED.items()),
    ],
)
def test_odd_batches_on_two_replicas(strategy, name, kind):
    """A first batch of odd size, a last one of one row, and a second epoch."""
    entry = zoo.MODELS[name]
    models = [build(entry, None), build(entry, strategy)]
    x, y = zoo.make_data(models[0])
    histories = []
    for model in models:
        data, arguments = feeds(x, y)[kind]()
        histories.append(model.fit(data, epochs=2, verbose=0, **arguments).history)
    assert_equal(*models, *histories)
    assert int(models[1].steps_taken.numpy()) == (6 if kind == "pydataset" else 8)
    one_row = (x[:1], None if y is None else y[:1])
    predicted = [model.predict(one_row if y is not None else x[:1], verbose=0) for model in models]
    assert len(predicted[1]) == 1
    np.testing.assert_allclose(*predicted, rtol=1e-5, atol=1e-5)


# Equal in exact arithmetic only: batch normalisation, and rounding divided by steps of 0.03.
EXACT = {"injective_flow_images": {"jacobian": "finite_difference", "dtype": "float64"}}


def exact(name):
    """An entry, computed such that rounding does not hide that replicas agree."""
    entry = zoo.MODELS[name]
    return dataclasses.replace(entry, build=functools.partial(entry.build, **EXACT.get(name, {})))


# All but those whose one player has, as another's here, an exact likelihood without a state.
ALIKE = {"maf", "nsf", "flow", "realnvp_2", "fvsbn", "made", "deep_nade", "pixelrnn"}
ALIKE |= {"boltzmann", "gan_binary", "convrbm_real", "discrete_vae"}


@pytest.mark.parametrize("name", zoo.but_slow(["gan"], zoo.KINDS.keys() - ALIKE))
def test_gradients_of_two_replicas_are_those_of_one(strategy, name):
    """Gradients of one batch, with the same noise: by a step of 1 along them."""
    models = []
    for scope in (None, strategy):
        model = build(exact(name), scope)
        with scope.scope() if scope else contextlib.nullcontext():
            # As plain as can be: the change of a weight is its gradient.
            names = ["optimizer", *(player.argument_names[0] for player in model.players[1:])]
            model.compile(**{name: keras.optimizers.SGD(1.0) for name in names})
        models.append(model)
    x, y = zoo.make_data(models[0])
    size = zoo.BATCH_SIZE
    x, y = x[:size], None if y is None else y[:size]
    models[0].adapt(x, y, batch_size=size) if models[0]._needs_adapt() else None
    before = models[0].get_weights()
    gradients = []
    for model in models:
        model.set_weights(before)
        model.fit(x, y, batch_size=size, shuffle=False, verbose=0)
        moved = [v for player in model.players for v in player.variables]
        places = {id(v): i for i, v in enumerate(model.weights)}
        gradients.append([before[places[id(v)]] - v.numpy() for v in moved])
    total = np.sqrt(sum((g**2).sum() for g in gradients[0]))
    for variable, one, two in zip(moved, *gradients, strict=True):
        # Weights of order 1 have rounded what was taken from them.
        atol = 1e-5 * total + 2e-7
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=atol, err_msg=variable.path)


@pytest.mark.parametrize(
    ("clipping", "scaled"),
    [
        ({"global_clipnorm": 0.05}, True),
        pytest.param({"global_clipnorm": 0.05}, False, marks=pytest.mark.slow),
        pytest.param({"clipnorm": 0.05}, False, marks=pytest.mark.slow),
        pytest.param({"clipvalue": 0.005}, True, marks=pytest.mark.slow),
    ],
)
def test_clipped_gradients_are_of_the_whole_batch(strategy, clipping, scaled):
    models = []
    for scope in (None, strategy):
        model = build(zoo.MODELS["realnvp_2"], scope)
        optimizer = keras.optimizers.SGD(1.0, **clipping)
        with scope.scope() if scope else contextlib.nullcontext():
            model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
        models.append(model)
    x, _ = zoo.make_data(models[0])
    # Such that the gradients of the two shares point in different ways.
    x[:4], x[4:8] = 1 + x[:4], -1 - x[4:8]
    before = [w.numpy() for w in models[0].trainable_variables]
    histories = [m.fit(x[:8], batch_size=8, shuffle=False, verbose=0).history for m in models]
    assert_equal(*models, *histories)
    changes = [w - b for w, b in zip(models[0].trainable_variables, before, strict=True)]
    if "global_clipnorm" in clipping:
        np.testing.assert_allclose(tf.linalg.global_norm(changes), 0.05, rtol=1e-4)


def test_accumulated_gradients_are_refused(strategy):
    with strategy.scope():
        model = zoo.MODELS["realnvp_2"].build()
        optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
        with pytest.raises(ValueError, match="`gradient_accumulation_steps` must be None on 2"):
            model.compile(optimizer)


def test_steps_in_one_execution_are_refused_on_cpus(strategy):
    with strategy.scope():
        model = zoo.MODELS["realnvp_2"].build()
        with pytest.raises(ValueError, match="`steps_per_execution` must be 1 on several CPU"):
            model.compile(steps_per_execution=2)


@pytest.mark.parametrize("ends", [(min,), *zoo.slow((min, max))])
def test_free_bits_are_of_the_whole_batch(strategy, ends):
    """The divergence of the batch is above what is free, and that of a replica below; and the
    reverse."""
    case = zoo.case("vae")
    models = []
    for scope in (None, strategy):
        models.append(build(case.entry, scope))
        models[-1].set_weights(case.model.get_weights())
    x = case.x[: zoo.BATCH_SIZE]
    seed = fold_in(models[0].noise_seed, models[0].steps_taken)
    noise = models[0]._log_prob_noise(seed, tf.constant(0, tf.int64), len(x))
    kl = models[0]._terms(tf.constant(x), None, noise, True)["kl"].numpy()
    halves = kl[: len(x) // 2].mean(), kl[len(x) // 2 :].mean()
    for end in ends:
        free_bits = (kl.mean() + end(halves)) / 2
        histories = []
        for model in models:
            model.set_weights(case.model.get_weights())
            model.free_bits = float(free_bits)
            model.make_train_function(force=True)
            settings = {"batch_size": len(x), "shuffle": False, "verbose": 0}
            histories.append(model.fit(x, **settings).history)
        assert_equal(*models, *histories)


def test_eager_methods_beside_a_strategy(strategy):
    """A model made under a strategy scores and samples as any other."""
    case = zoo.case("realnvp_condition")
    with strategy.scope():
        model = case.entry.build()
    model.set_weights(case.model.get_weights())
    np.testing.assert_allclose(
        model.log_prob(case.x, case.y), case.model.log_prob(case.x, case.y), rtol=1e-6
    )
    np.testing.assert_allclose(
        model.sample(4, case.y[0], seed=1), case.model.sample(4, case.y[0], seed=1), rtol=1e-5
    )
    inputs = (case.x, case.y)
    predicted = model.predict(inputs, batch_size=zoo.BATCH_SIZE, verbose=0)
    np.testing.assert_allclose(predicted, model.log_prob(*inputs), rtol=1e-5)


def test_samples_are_scored_once_for_all_replicas(strategy):
    """Under a strategy the callback's scores are those of the same samples without one."""
    with strategy.scope():
        model = tfgen.VAE((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp")
        model.compile()
    net = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()])
    extractor = tfgen.metrics.KerasExtractor(net)
    x = np.random.default_rng(0).integers(0, 2, [19, 4, 4, 1], dtype=np.uint8)
    callback = tfgen.callbacks.SampleQuality(x, extractor, num_samples=15)
    history = model.fit(x, batch_size=8, verbose=0, callbacks=[callback]).history
    real, drawn = (extractor(z, "binary") for z in (x, model.sample(15, seed=0)))
    expected = tfgen.metrics.frechet_distance(real, drawn)
    assert callback.reports[1].num_samples == 15
    np.testing.assert_allclose(history["frechet"], [expected], rtol=1e-5)

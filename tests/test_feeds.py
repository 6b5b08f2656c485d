"""Forms of data that `fit` takes, the rows it trains on, and their order."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import bijectors as tfg
from tfgen.data.feed import array_batches
from tfgen.data.feed import dataset_batches
from tfgen.models import Flow
from tfgen.networks import MLP

X = np.arange(10, dtype="float32")[:, None]
Y = (np.arange(10) % 3).astype("int64")


def watched(adaptive=False, **arguments):
    """A model and the list of the batches that its steps train on."""
    seen = []

    class Watched(Flow):
        def _terms(self, x, condition, noise, training):
            if training and tf.executing_eagerly():
                seen.append(x.numpy()[:, 0].astype(int).tolist())
            return super()._terms(x, condition, noise, training)

    parts = [tfg.ActNorm()] * adaptive + [tfg.Coupling(network=MLP((2,)))]
    model = Watched((1,), tfg.Chain(parts), **arguments)
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    return model, seen


def epochs_of(seen, per_epoch=3):
    """The rows of each epoch, in the order they came."""
    rows = [sum(seen[i : i + per_epoch], []) for i in range(0, len(seen), per_epoch)]
    return rows


def train(model, x=X, y=None, **arguments):
    model.fit(x, y, verbose=0, **{"batch_size": 4, **arguments})


# -------------------------------------------------------------------------------------- order


def test_every_epoch_is_a_new_order_of_all_rows():
    model, seen = watched()
    train(model, epochs=3)
    orders = epochs_of(seen)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_order_follows_the_seed():
    orders = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        model, seen = watched()
        train(model)
        orders.append(seen)
    assert orders[0] == orders[1] != orders[2]


def test_a_second_fit_goes_on():
    keras.utils.set_random_seed(0)
    model, seen = watched()
    train(model, epochs=3)
    keras.utils.set_random_seed(0)
    other, parts = watched()
    train(other, epochs=1)
    train(other, epochs=2)
    assert seen == parts


def test_order_as_given():
    model, seen = watched()
    train(model, epochs=2, shuffle=False)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2


def test_order_is_that_of_the_step_the_epoch_starts_at():
    """Batches are fetched beside the steps that count the optimizer on: nothing may depend on
    which of the two is first."""
    orders = []
    for steps_per_execution in (1, 3):
        keras.utils.set_random_seed(0)
        model = Flow((1,), tfg.Coupling(network=MLP((2,))))
        seen = []

        def keep(x, seen=seen):
            seen.append(x[:, 0].astype(int).tolist())
            return x

        step = model._terms

        def terms(x, condition, noise, training, step=step, keep=keep):
            x = tf.ensure_shape(tf.numpy_function(keep, [x], x.dtype), x.shape)
            return step(x, condition, noise, training)

        model._terms = terms
        model.compile(keras.optimizers.SGD(0.0), steps_per_execution=steps_per_execution)
        train(model, epochs=3)
        orders.append(seen)
    keras.utils.set_random_seed(0)
    model, seen = watched()
    train(model, epochs=3)
    assert orders[0] == seen
    assert orders[1] == seen


@pytest.mark.parametrize("shuffle", [True, False])
def test_steps_per_epoch_go_through_all_rows(shuffle):
    model, seen = watched()
    train(model, epochs=3, steps_per_epoch=2, shuffle=shuffle)
    passes = epochs_of(seen)
    assert len(seen) == 6
    assert all(sorted(order) == list(range(10)) for order in passes)
    assert (passes[0] == passes[1]) == (not shuffle)


@pytest.mark.parametrize("shuffle", [True, *zoo.slow(False)])
def test_resumed_steps_per_epoch_follow_the_unbroken_run(shuffle):
    arguments = {"steps_per_epoch": 2, "shuffle": shuffle}
    keras.utils.set_random_seed(0)
    model, seen = watched()
    train(model, epochs=3, **arguments)
    keras.utils.set_random_seed(0)
    model, parts = watched()
    train(model, epochs=1, **arguments)
    train(model, epochs=3, initial_epoch=1, **arguments)
    assert parts == seen


# -------------------------------------------------------------------------------------- kinds


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


def generator():
    for i in range(3):
        yield X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays or (X, Y)).batch(4)


KINDS = {
    "dataset": dataset,
    "dataset_of_x": lambda: dataset(X).map(lambda x: x),
    "dataset_of_tuples": lambda: dataset(X),
    "weighted_dataset": lambda: dataset(X, Y, np.ones(10, "float32")),
    "pydataset": Batches,
    "generator": generator,
    "generator_of_x": lambda: (x for x, _ in generator()),
    "iterator_of_dataset": lambda: iter(dataset()),
}


def steps(kind, name="steps_per_epoch"):
    """Returns the number of steps, which Keras must know of data that can be read only once."""
    return {name: 3} if kind.startswith(("generator", "iterator")) else {}


# Streams of each of Keras's adapters; the others are the same with other elements.
FEW = {"dataset", "pydataset", "generator", "iterator_of_dataset"}


@pytest.mark.parametrize("kind", zoo.but_slow(FEW, KINDS))
@pytest.mark.parametrize("num_init_batches", [2, *zoo.slow(0)])
def test_every_batch_is_trained_on_once(kind, num_init_batches):
    """Every batch counts, those among them that the initialisation read from an iterator."""
    adaptive = bool(num_init_batches)
    model, seen = watched(adaptive, num_init_batches=max(1, num_init_batches))
    train(model, KINDS[kind](), batch_size=None, **steps(kind))
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert int(model.adapted.numpy()) == adaptive


@pytest.mark.parametrize("kind", ["dataset", *zoo.slow("pydataset", "generator")])
def test_kinds_carry_conditions(kind):
    model, seen = watched(num_classes=3)
    train(model, KINDS[kind](), batch_size=None, **steps(kind))
    assert sum(seen, []) == list(range(10))


def test_endless_generator():
    def endless():
        while True:
            yield from generator()

    model, seen = watched(adaptive=True)
    train(model, endless(), batch_size=None, steps_per_epoch=3, epochs=2)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2


def test_repeated_dataset():
    model, seen = watched()
    train(model, dataset().repeat(), batch_size=None, steps_per_epoch=2, epochs=3)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2


def test_an_unconditional_model_ignores_y():
    model, seen = watched()
    train(model, X, Y)
    assert sorted(sum(seen, [])) == list(range(10))
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()


@pytest.mark.parametrize("kinds", [("dataset", "generator"), *zoo.slow((*KINDS,))])
def test_streams_evaluate_and_predict_as_arrays(kinds):
    model, _ = watched()
    model.compile()
    expected = model.evaluate(X, batch_size=4, verbose=0)
    for kind in kinds:
        got = model.evaluate(KINDS[kind](), verbose=0, **steps(kind, "steps"))
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(dataset(X), verbose=0), model.log_prob(X), rtol=1e-6)


OF_NOISE = ("dataset_of_x", "generator", "generator_of_x", "iterator_of_dataset")


@pytest.mark.parametrize("kinds", [("dataset_of_x", "generator"), *zoo.slow(OF_NOISE)])
def test_streams_evaluate_with_the_noise_of_arrays(kinds):
    model = Flow((1,), tfg.Coupling(network=MLP((2,))), data_kind="uint8")
    model.compile()
    expected = model.evaluate(X, None, 4, 0)
    np.testing.assert_allclose(expected[0], model.bits_per_dim(X).numpy().mean(), rtol=1e-6)
    for kind in kinds:
        got = model.evaluate(KINDS[kind](), verbose=0, **steps(kind, "steps"))
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        got = model.predict(KINDS[kind](), verbose=0, **steps(kind, "steps"))
        np.testing.assert_allclose(got, model.log_prob(X), rtol=1e-6)


# -------------------------------------------------------------------------------- initialising


def test_fit_adapts_once():
    model, _ = watched(adaptive=True)
    model.compile(run_eagerly=True)
    train(model, shuffle=False, batch_size=10)
    layer = model.bijector.bijectors[0].bijectors[0]
    start = layer.log_scale.numpy()
    assert abs(start + np.log(X.std())) < 0.1  # one step of Adam away from 1 / deviation
    train(model, 100 * X, shuffle=False, batch_size=10)
    assert abs(layer.log_scale.numpy() - start) < 0.1


def test_adapt_takes_arrays_and_streams():
    for data in (X, dataset(), Batches(), generator()):
        model, _ = watched(adaptive=True)
        model.adapt(data, num_batches=2, batch_size=4)
        layer = model.bijector.bijectors[0].bijectors[0]
        assert int(model.adapted.numpy()) == 1
        np.testing.assert_allclose(np.exp(-layer.log_scale), X[:8].std(), rtol=1e-5)


# ------------------------------------------------------------------------------- what weighs


def test_validation_split_holds_the_last_rows_out():
    model, seen = watched()
    history = model.fit(X, validation_split=0.4, batch_size=4, verbose=0).history
    assert sorted(sum(seen, [])) == list(range(6))
    np.testing.assert_allclose(history["val_nll"], -np.mean(model.log_prob(X[6:])), rtol=1e-5)


@pytest.mark.parametrize("streams", [(dataset,), *zoo.slow((dataset, Batches))])
def test_validation_data_of_every_kind(streams):
    model, _ = watched()
    expected = None
    model.compile(keras.optimizers.SGD(0.0))
    for data in (X, (X,), (X, Y), *(stream() for stream in streams)):
        history = model.fit(X, validation_data=data, batch_size=4, verbose=0).history
        expected = expected or history["val_loss"]
        np.testing.assert_allclose(history["val_loss"], expected, rtol=1e-6)


def test_sample_weights():
    model, _ = watched()
    model.compile()
    weights = np.linspace(0, 2, 10)
    nll = -model.log_prob(X).numpy()
    got = model.evaluate(X, sample_weight=weights, batch_size=4, verbose=0, return_dict=True)
    # Keras's reduction: the weighted sum by the number of rows; metrics by the weights.
    np.testing.assert_allclose(got["loss"], np.mean(weights * nll), rtol=1e-5)
    np.testing.assert_allclose(got["nll"], np.average(nll, weights=weights), rtol=1e-5)
    in_dataset = model.evaluate(dataset(X, Y, weights), verbose=0, return_dict=True)
    np.testing.assert_allclose(in_dataset["loss"], got["loss"], rtol=1e-6)


def weights_after(x, y=None, **arguments):
    keras.utils.set_random_seed(0)
    model, _ = watched(num_classes=3)
    train(model, x, y, shuffle=False, **arguments)
    return np.concatenate([w.numpy().ravel() for w in model.trainable_variables])


@pytest.mark.parametrize("kind", ["dataset", *zoo.slow("generator")])
def test_class_weights_are_sample_weights(kind):
    weight = {0: 0.5, 2: 3.0}
    plain = weights_after(X, Y)
    expected = weights_after(X, Y, sample_weight=np.array([0.5, 1.0, 3.0])[Y])
    np.testing.assert_allclose(weights_after(X, Y, class_weight=weight), expected, rtol=1e-6)
    got = weights_after(KINDS[kind](), class_weight=weight, batch_size=None, **steps(kind))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert np.abs(plain - expected).max() > 1e-6


def test_rows_of_weight_zero_do_not_train():
    weights = (np.arange(10) < 5).astype("float32")
    spoilt = np.where(weights[:, None] > 0, X, 50.0)
    for x in (X, spoilt):
        got = weights_after(x, Y, sample_weight=weights)
        np.testing.assert_allclose(got, weights_after(X, Y, sample_weight=weights), rtol=1e-6)


def test_steps_per_execution_train_the_same():
    results = []
    for steps in (1, 2):
        keras.utils.set_random_seed(0)
        model, _ = watched()
        model.compile(steps_per_execution=steps)
        train(model, batch_size=2, epochs=2)
        results.append([w.numpy() for w in model.weights])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["dataset", *zoo.slow("generator")])
def test_checks_of_later_batches_can_be_left_out(kind):
    """A label out of range, in the second batch: refused by its number, or a step without end."""
    x, y = np.zeros([8, 2], "float32"), np.array([0, 1, 1, 0, 0, 7, 1, 0])
    x += np.random.default_rng(0).normal(size=x.shape)
    keras.utils.set_random_seed(0)
    model = tfgen.RealNVP(2, num_layers=1, num_classes=2)

    def batches():
        if kind == "dataset":
            return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
        return iter([(x[:4], y[:4]), (x[4:], y[4:])])

    model.compile()
    with pytest.raises(Exception, match=r"labels in 0\.\.1; got values from 0 to 7.*batch 1"):
        model.fit(batches(), steps_per_epoch=2, verbose=0)
    model.compile(check_streams=False)
    history = model.fit(batches(), steps_per_epoch=2, verbose=0).history
    assert history["skipped_steps"] == [1]
    # Files keep it.
    model.compile_from_config(model.get_compile_config())
    assert model.get_compile_config()["check_streams"] is False


@pytest.mark.parametrize("stream", [False, True])
def test_rows_are_there_again_for_each_replica(stream):
    """The number of rows is known in the graph alone; with negative numbers."""
    x = {"x": np.float32([0, 1, 2])}
    data = array_batches(x, 2, least_rows=2)
    if stream:
        given = tf.data.Dataset.from_tensor_slices(x).batch(2)
        data = dataset_batches(given, lambda batch, _: batch, number_on=True, least_rows=2)
    batches = [(batch["x"].numpy().tolist(), batch["row"].numpy().tolist()) for batch in data]
    assert batches == [([0, 1], [0, 1]), ([2, 2], [-3, -3])]

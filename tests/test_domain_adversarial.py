"""DomainAdversarial: the reversed gradient, both losses, and what it is good for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import MLP
from tfgen.networks import GradientReversal


def small(**arguments):
    settings = {"data_kind": "real", "head_units": 8, "warm_up_steps": 0, **arguments}
    return tfgen.DomainAdversarial(3, 2, **{"features": MLP((8,), "elu"), **settings})


def two_domains(num_rows=300, shift=1.5, seed=0):
    """Two classes in each domain, and all of the target's examples moved along."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=2 * num_rows)
    x = rng.normal(scale=0.4, size=(2 * num_rows, 3))
    x[:, 0] += 2 * y
    x[num_rows:, :2] += shift
    return x.astype("float32"), y, np.where(np.arange(2 * num_rows) < num_rows, y, -1)


def test_gradients_are_turned_round():
    layer, x = GradientReversal(0.5), tf.Variable([1.0, -2.0])
    for scale in (1.0, tf.constant(3.0)):
        with tf.GradientTape() as tape:
            y = layer(x, scale=scale)
            total = tf.reduce_sum(y**2)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_allclose(tape.gradient(total, x), -0.5 * scale * 2 * x)
    copy = GradientReversal.from_config(layer.get_config())
    assert copy.weight == 0.5
    with pytest.raises(ValueError, match="`weight` must be"):
        GradientReversal(-1.0)


def test_the_losses_by_hand():
    model = zoo.perturb(small(domain_weight=0.7))
    x, _, y = two_domains(4)
    y[1] = -1
    batch = {"x": tf.constant(x), "target": tf.constant(y), "row": tf.range(8, dtype=tf.int64)}
    with tf.GradientTape(persistent=True) as tape:
        terms = model._batch_terms(batch, tf.constant([1, 2]), training=True)
        means = {name: tf.reduce_mean(value) for name, value in terms.items()}
    known = y >= 0
    log_probs = model.class_log_probs(x).numpy()
    expected = -log_probs[known, y[known]].mean()
    np.testing.assert_allclose(means["classification"], expected, rtol=1e-4)
    logit = model.domain_head(model.features(x)).numpy()[:, 0]
    cross = np.log1p(np.exp(np.where(known, -logit, logit)))
    expected = (cross[known].mean() + cross[~known].mean()) / 2
    np.testing.assert_allclose(means["domain_loss"], expected, rtol=1e-4)
    right = (logit > 0) == known
    expected = (right[known].mean() + right[~known].mean()) / 2
    np.testing.assert_allclose(means["domain_accuracy"], expected, rtol=1e-5)
    # Features go against the domains' head, the head goes with it.
    weights = model.features.trainable_variables
    with tf.GradientTape() as plain:
        logit = model.domain_head(model.features(x))[:, 0]
        cross = tf.nn.sigmoid_cross_entropy_with_logits(known.astype("float32"), logit)
        counts = known.sum(), (~known).sum()
        loss = tf.reduce_sum(cross * np.where(known, 0.5 / counts[0], 0.5 / counts[1]))
    got, wanted = tape.gradient(means["domain_loss"], weights), plain.gradient(loss, weights)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, -0.7 * b, rtol=1e-3, atol=1e-6)


def test_the_reversed_gradient_grows():
    model = small(warm_up_steps=10)
    found = []
    for step in (0, 5, 10, 1000):
        model.steps_taken.assign(step)
        found.append(float(model._warmth()))
    expected = [0, 2 / (1 + np.exp(-5.0)) - 1, 2 / (1 + np.exp(-10.0)) - 1, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_it_carries_over():
    """Classes of the target by features that do not tell the domains; of the source alone they
    would be told where the source's are."""
    x, y, known = two_domains(1000)
    accuracies = []
    for weight in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = small(domain_weight=weight, features=MLP((32,), "elu"), warm_up_steps=200)
        model.compile()
        model.fit(x, known, batch_size=100, epochs=40, verbose=0)
        accuracies.append(np.mean(model.classify(x[1000:]).numpy() == y[1000:]))
        assert np.mean(model.classify(x[:1000]).numpy() == y[:1000]) > 0.95
    assert accuracies[1] > (1 + accuracies[0]) / 2


def test_files_and_predictions(tmp_path):
    model = small()
    model.compile(run_eagerly=True)
    x, _, y = two_domains(10)
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert {"classification", "domain_loss", "val_domain_accuracy"} <= set(history)
    assert (model.x_scale.numpy() != 1).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.class_log_probs(x).numpy()
    np.testing.assert_allclose(loaded.class_log_probs(x), expected, rtol=1e-6)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(loaded(x), expected, rtol=1e-5)
    np.testing.assert_array_equal(loaded.classify(x, batch_size=3), expected.argmax(-1))
    np.testing.assert_allclose(np.exp(expected).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("labels", [-1, 0])
def test_batches_of_one_domain(labels):
    model = tfgen.DomainAdversarial((8, 8, 1), 2, features="mlp")
    model.compile(run_eagerly=True)
    x = np.zeros((2, 8, 8, 1), "uint8")
    history = model.fit(x, np.full(2, labels), batch_size=1, epochs=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"domain_weight": -1.0}, "`domain_weight` must be"),
        ({"warm_up_steps": -1}, "`warm_up_steps` must be"),
        ({"data_kind": "binary"}, "`data_kind` must be one of ..real', 'uint8'"),
        ({"features": "conv"}, "`features` must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


def test_bad_labels():
    model = small()
    model.compile(run_eagerly=True)
    for wrong in (-2, 2):
        with pytest.raises(ValueError, match=r"`y` must hold labels in -1..1; got"):
            model.fit(np.zeros((4, 3)), np.full(4, wrong), verbose=0)

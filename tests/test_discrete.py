"""Discrete latents beside sums over all their states: bounds, estimators, the two phases."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.metrics import gradient_variance
from tfgen.models import GumbelSoftmax
from tfgen.models import Reinforce
from tfgen.models import StraightThrough
from tfgen.models import Vimco


def all_states(size):
    return np.array(list(itertools.product(range(2), repeat=size)), "uint8")


def perturbed(model, scale=0.5, seed=0):
    """The model with weights away from their start."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return model


def sbn(hidden_units=(2, 2), size=3, **arguments):
    keras.utils.set_random_seed(0)
    return perturbed(tfgen.SigmoidBeliefNet(size, hidden_units, **arguments))


DATA = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]], "uint8")


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def mass(values, logits):
    p = sigmoid(logits)
    return np.where(values, p, 1 - p).prod(-1)


# ------------------------------------------------------------------------------------ bounds


def test_enumeration_is_the_sum_that_the_model_means():
    model = sbn((2, 2))
    (first, below), top = (
        [(w.kernel.numpy(), w.bias.numpy()) for w in model.generation.maps],
        model.top_bias.numpy(),
    )
    total = np.zeros(len(DATA))
    for high, low in itertools.product(all_states(2), repeat=2):
        prior = mass(high, top) * mass(low, (2.0 * high - 1) @ first[0] + first[1])
        total += prior * mass(DATA, (2.0 * low - 1) @ below[0] + below[1])
    np.testing.assert_allclose(np.exp(model.exact_log_prob(DATA)), total, rtol=1e-5)
    every = np.exp(model.exact_log_prob(all_states(3)).numpy().astype("float64"))
    np.testing.assert_allclose(every.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "arguments", [{}, *zoo.slow({"num_classes": 3}, {"condition_shape": (2,)})]
)
def test_bounds_are_below_the_likelihood_and_rise_to_it(arguments):
    model = sbn(**arguments)
    y = None
    if arguments:
        y = np.array([0, 2, 1]) if model.num_classes else np.eye(3, 2, dtype="float32")
    exact = model.exact_log_prob(DATA, y).numpy()
    bound = -model.exact_loss(tf.constant(DATA), y).numpy()
    many = np.mean([model.log_prob(DATA, y, seed=i) for i in range(300)], 0)
    assert (bound < exact).all()
    np.testing.assert_allclose(many, bound, atol=0.25)
    np.testing.assert_allclose(model.estimate_log_prob(DATA, 3000, y, seed=1), exact, atol=0.1)


def test_samples_follow_the_density():
    model = sbn()
    x = model.sample(20_000, seed=0).numpy()
    places = x.astype(int) @ [4, 2, 1]
    found = np.bincount(places, minlength=8) / len(x)
    exact = np.exp(model.exact_log_prob(all_states(3)).numpy())
    assert (abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / len(x))).all()


# -------------------------------------------------------------------------------- estimators

UNBIASED = {
    "reinforce": (Reinforce, {}, (2, 2)),
    "mean": (Reinforce, {"baseline": "mean", "num_samples": 2}, (3,)),
    "no_baseline": (Reinforce, {"baseline": None}, (2, 2)),
    "vimco": (Vimco, {"num_samples": 2}, (2, 1)),
    "vimco_3": (Vimco, {"num_samples": 3}, (3,)),
}


@pytest.mark.parametrize("name", zoo.but_slow({"reinforce", "vimco"}, UNBIASED))
def test_estimators_are_unbiased(name):
    """The mean over 20,000 draws is within 4 standard errors of the gradient by enumeration."""
    cls, arguments, hidden = UNBIASED[name]
    model = sbn(hidden, estimator=cls(**arguments))
    drawn = gradient_variance(model, np.repeat(DATA, 500, 0), num_draws=40)
    error = np.sqrt(drawn.variances / drawn.num_draws)
    assert (abs(drawn.mean - drawn.exact) <= 4 * error + 1e-6).all()
    assert drawn.norm > 10 * drawn.bias


@pytest.mark.slow
def test_biased_estimators_are_told_by_enumeration():
    found = {}
    for name, estimator in {
        "straight_through": StraightThrough(),
        "warm": GumbelSoftmax(1.0),
        "cold": GumbelSoftmax(0.1),
        "reinforce": Reinforce(None),
    }.items():
        x = np.repeat(DATA, 500, 0)
        drawn = gradient_variance(sbn(estimator=estimator), x, num_draws=40)
        found[name] = drawn
    assert found["warm"].bias > 5 * found["warm"].bias_error
    assert found["straight_through"].bias > 5 * found["straight_through"].bias_error
    assert found["cold"].bias < found["warm"].bias
    assert found["cold"].variance > found["warm"].variance
    assert found["straight_through"].variance < found["reinforce"].variance


@pytest.mark.slow
def test_baselines_lessen_the_variance_and_are_put_back():
    x = np.repeat(DATA, 30, 0)
    model = sbn(estimator=Reinforce(hidden_units=8, momentum=0.0))
    model.compile(keras.optimizers.SGD(0.0))
    plain = gradient_variance(sbn(estimator=Reinforce(None)), x, num_draws=30)
    before = model.estimator.means.numpy()
    drawn = gradient_variance(model, x, num_draws=30)
    np.testing.assert_array_equal(model.estimator.means.numpy(), before)
    assert drawn.variance < plain.variance


@pytest.mark.slow
def test_running_means_are_of_the_signals():
    model = sbn(estimator=Reinforce("mean", momentum=0.5))
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(np.repeat(DATA, 200, 0), batch_size=600, epochs=8, verbose=0)
    signal = -tf.reduce_mean(model.exact_loss(tf.constant(DATA))).numpy()
    np.testing.assert_allclose(model.estimator.means.numpy()[0], signal, atol=0.1)


def test_the_bound_reported_is_of_the_discrete_model():
    x = np.repeat(DATA, 3000, 0)
    for name in ("gumbel", "straight_through", "reinforce"):
        model = sbn(estimator=name)
        terms = model.loss(x, return_dict=True, seed=1)
        reported = tf.reduce_mean(terms["negative_elbo"]).numpy()
        np.testing.assert_allclose(terms["loss"], terms["negative_elbo"], rtol=1e-5)
        exact = tf.reduce_mean(model.exact_loss(tf.constant(DATA))).numpy()
        np.testing.assert_allclose(reported, exact, atol=0.05)


@pytest.mark.slow
def test_normalised_signals_are_shorter():
    x = np.repeat(DATA, 100, 0)
    plain, divided = sbn(estimator=Reinforce("mean")), sbn(estimator=Reinforce("mean", True))
    for model in (plain, divided):
        model.estimator.variances.assign([9.0, 9.0])
    found = [gradient_variance(model, x, num_draws=5) for model in (plain, divided)]
    # Those of the model itself stay: recognition comes after the bias of the top.
    size = sum(int(np.prod(w.shape)) for w in plain.recognition.weights)
    up, plain = (slice(2, 2 + size), found[0].mean)
    assert np.linalg.norm(found[1].mean[up]) < 0.6 * np.linalg.norm(plain[up])
    np.testing.assert_allclose(np.delete(found[1].mean, up), np.delete(plain, up), rtol=1e-5)


# ---------------------------------------------------------------------------- two phases


def machine(**arguments):
    keras.utils.set_random_seed(0)
    model = tfgen.HelmholtzMachine(3, (2, 2), **arguments)
    perturbed(model)
    for i, weight in enumerate(model.recognition.weights):
        weight.assign_add(0.5 * np.random.default_rng(i).normal(size=weight.shape))
    return model


def gradient(loss, weights):
    with tf.GradientTape() as tape:
        value = loss()
    found = tape.gradient(value, weights, unconnected_gradients="zero")
    return np.concatenate([np.ravel(g) for g in found])


def drawn_gradients(model, loss, weights, num_draws=40):
    """Mean and standard error of the gradient of a loss of a seed."""
    with tf.device("CPU"):
        compiled = tf.function(
            lambda seed: [tf.reshape(g, [-1]) for g in _gradient_of(loss, weights, seed)],
            autograph=False,
        )
        found = np.array(
            [np.concatenate(compiled(tf.constant([i, 7]))) for i in range(num_draws)], "float64"
        )
    return found.mean(0), found.std(0, ddof=1) / np.sqrt(num_draws)


def _gradient_of(loss, weights, seed):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(seed))
    return tape.gradient(value, [w.value for w in weights], unconnected_gradients="zero")


def enumerated(model, x, generation):
    """The gradients of the two phases by sums over all states."""
    states = model._states(tf.constant(x), None)
    log_q, log_p = tf.add_n(states.log_q), tf.add_n(states.log_p)
    weights = tf.stop_gradient(tf.exp(log_q if generation else log_p))
    return -tf.reduce_sum(weights * (log_p if generation else log_q), -1)


def test_the_wake_phase_is_the_enumerated_one():
    model = machine(algorithm="wake_sleep")
    weights = model.trainable_variables
    x = np.repeat(DATA, 500, 0)
    exact = gradient(lambda: tf.reduce_mean(enumerated(model, DATA, True)), weights)
    mean, error = drawn_gradients(model, lambda seed: model.loss(x, seed=seed), weights)
    assert (abs(mean - exact) <= 4 * error + 1e-6).all()
    assert np.linalg.norm(exact) > 10 * np.linalg.norm(error)


def test_the_sleep_phase_is_the_enumerated_one():
    model = machine(algorithm="wake_sleep")
    weights = model.recognition.trainable_variables
    every = all_states(3)
    exact = gradient(lambda: tf.reduce_sum(enumerated(model, every, False)), weights)
    batch = model.data_spec.batch((tf.constant(np.zeros((1500, 3), "uint8")), None))
    player = model.players[1]
    mean, error = drawn_gradients(
        model, lambda seed: player.terms(batch, seed, True)["loss"], weights
    )
    assert (abs(mean - exact) <= 4 * error + 1e-6).all()
    assert np.linalg.norm(exact) > 10 * np.linalg.norm(error)


@pytest.mark.slow
def test_many_weights_follow_the_likelihood_and_the_posterior():
    """Of many draws the wake phases are those of the true posterior (arXiv:1406.2751)."""
    model = machine(num_samples=400, phases="wake")
    x = np.repeat(DATA, 10, 0)
    weights = model.trainable_variables
    exact = gradient(lambda: -tf.reduce_mean(model._exact_log_prob(DATA, None)), weights)
    mean, _ = drawn_gradients(model, lambda seed: model.loss(x, seed=seed), weights)
    assert np.linalg.norm(mean - exact) < 0.05 * np.linalg.norm(exact)

    def posterior():
        states = model._states(tf.constant(DATA), None)
        weights = tf.nn.softmax(tf.stop_gradient(tf.add_n(states.log_p)))
        return -tf.reduce_mean(tf.reduce_sum(weights * tf.add_n(states.log_q), -1))

    weights, player = model.recognition.trainable_variables, model.players[1]
    batch = model.data_spec.batch((tf.constant(x), None))
    mean, _ = drawn_gradients(model, lambda seed: player.terms(batch, seed, True)["loss"], weights)
    exact = gradient(posterior, weights)
    assert np.linalg.norm(mean - exact) < 0.05 * np.linalg.norm(exact)


def test_phases_are_told_apart():
    losses = {}
    for phases in ("sleep", "wake", "both"):
        model = machine(phases=phases)
        batch = model.data_spec.batch((tf.constant(DATA), None))
        terms = model.players[1].terms(batch, tf.constant([1, 2]), True)
        losses[phases] = terms["loss"].numpy()
    np.testing.assert_allclose(losses["both"], losses["sleep"] + losses["wake"], rtol=1e-5)


# ------------------------------------------------------------------------------------ refused

FALLING = keras.optimizers.schedules.PolynomialDecay(1.0, 1000, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfgen.SigmoidBeliefNet(4, ()), "`hidden_units` must be 1 to 4 widths"),
        (lambda: tfgen.SigmoidBeliefNet(4, 5), "`hidden_units` must be 1 to 4 widths; got 5"),
        (lambda: tfgen.SigmoidBeliefNet(4, (3,) * 5), "`hidden_units` must be 1 to 4 widths"),
        (lambda: tfgen.SigmoidBeliefNet(4, (0,)), "`hidden_units`"),
        (
            lambda: tfgen.SigmoidBeliefNet(4, data_kind="real"),
            "`data_kind` must be one of ..binary",
        ),
        (lambda: tfgen.SigmoidBeliefNet(4, estimator="em"), "`estimator` must be one of"),
        (lambda: tfgen.SigmoidBeliefNet(4, condition_shape=(2, 2)), "`condition_shape` must be"),
        (lambda: sbn((9, 9)).exact_log_prob(DATA), "enumeration is of up to 2 .. 16 states"),
        (lambda: sbn(estimator="vimco").exact_loss(DATA), "16 states in 10 draws"),
        (lambda: GumbelSoftmax(0.0), "`temperature` must stay above 0.*got 0$"),
        (lambda: GumbelSoftmax(FALLING), "`temperature` must stay above 0.*got 0 at step 1000"),
        (lambda: GumbelSoftmax("hot"), "`temperature` must be a number"),
        (lambda: Vimco(1), "`num_samples` must be a whole number from 2"),
        (lambda: Reinforce("median"), "`baseline` must be one of"),
        (lambda: Reinforce(momentum=1.0), "`momentum` must be within"),
        (lambda: tfgen.HelmholtzMachine(4, algorithm="em"), "`algorithm` must be one of"),
        (
            lambda: tfgen.HelmholtzMachine(4, algorithm="wake_sleep", phases="wake"),
            '`phases` of "wake_sleep" must be one of',
        ),
        (lambda: gradient_variance(sbn(), DATA, num_draws=1), "`num_draws` must be"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""FVSBN, NADE and MADE: densities that sum to 1, what conditionals see, draws."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import MADE

MODELS = {
    "fvsbn": functools.partial(tfgen.FVSBN, order="random"),
    "nade": functools.partial(tfgen.NADE, hidden_units=4, order=[3, 0, 5, 1, 4, 2]),
    "made": functools.partial(tfgen.MADE, hidden_units=(8, 8), ordering="reverse", direct=True),
    "made_masks": functools.partial(
        tfgen.MADE, hidden_units=(8,), num_masks=3, ordering="random", direct=True
    ),
    "made_residual": functools.partial(tfgen.MADE, hidden_units=(8, 8), num_masks=2, residual=True),
}
STATES = np.array(list(itertools.product([0, 1], repeat=6)), "uint8").reshape(-1, 2, 3, 1)
CONDITION = np.array([0.5, -1.0], "float32")


@functools.cache
def small(name):
    return zoo.perturb(MODELS[name]((2, 3, 1), condition_shape=(2,)), scale=1.0)


def features_of(model, num_rows):
    condition = tf.constant(np.broadcast_to(CONDITION, (num_rows, 2)))
    return model._features(condition)


@pytest.mark.parametrize("name", MODELS)
def test_binary_states_sum_to_one(name):
    log_prob = zoo.eager_outputs(small(name), STATES, np.broadcast_to(CONDITION, (64, 2)))
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-5)
    assert np.std(log_prob) > 0.1


def test_levels_of_colours_sum_to_one():
    for build in (tfgen.NADE, tfgen.MADE):
        model = build((1, 1, 3), 4, data_kind="uint8", num_bits=2, num_mixtures=2)
        zoo.perturb(model, scale=1.0)
        levels = 64 * np.array(list(itertools.product(range(4), repeat=3))).reshape(-1, 1, 1, 3)
        np.testing.assert_allclose(np.exp(zoo.eager_outputs(model, levels)).sum(), 1, rtol=1e-5)


def test_a_real_density_integrates_to_one_in_the_units_of_the_data():
    model = zoo.perturb(tfgen.NADE(2, 8, order="reverse", data_kind="real", num_mixtures=2))
    model.x_loc.assign([3.0, -1.0])
    model.x_scale.assign([0.5, 3.0])
    axes = [loc + scale * np.linspace(-9, 9, 181) for loc, scale in ((3, 0.5), (-1, 3))]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2).astype("float32")
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    total = np.exp(zoo.eager_outputs(model, x)).sum() * cell
    np.testing.assert_allclose(total, 1, atol=2e-3)
    drawn = zoo.eager_samples(model, 4000).numpy()
    mean = np.exp(zoo.eager_outputs(model, x)) @ x * cell
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.1)


# ------------------------------------------------------------------------- the conditionals


def test_a_logit_of_fvsbn_is_a_regression_on_what_is_before_it():
    model = small("fvsbn")
    order, kernel, bias = (w.numpy() for w in (model._order, model.kernel, model.bias))
    x = STATES.reshape(64, 6)[:, order]
    bias = bias + CONDITION @ model.condition_layer.kernel.numpy()
    total = np.zeros(64)
    for i in range(6):
        logit = bias[i] + (2.0 * x[:, :i] - 1) @ kernel[:i, i]
        total -= np.logaddexp(0, np.where(x[:, i] == 1, -logit, logit))
    found = zoo.eager_outputs(model, STATES, np.broadcast_to(CONDITION, (64, 2)))
    np.testing.assert_allclose(found, total, rtol=1e-4)


def test_one_pass_of_nade_is_a_loop_over_its_units():
    model = small("nade")
    x = 2.0 * STATES.reshape(64, 6)[:, model.order] - 1
    kernel, bias, out, out_bias, from_condition = (
        w.numpy().astype("float64")
        for w in (
            *(model.kernel, model.bias, model.output_kernel, model.output_bias),
            model.condition_layer.kernel,
        )
    )
    total = np.zeros(64)
    for i in range(6):
        hidden = 1 / (1 + np.exp(-(bias + CONDITION @ from_condition + x[:, :i] @ kernel[:i])))
        logit = hidden @ out[i, :, 0] + out_bias[i, 0]
        total -= np.logaddexp(0, -x[:, i] * logit)
    found = zoo.eager_outputs(model, STATES, np.broadcast_to(CONDITION, (64, 2)))
    np.testing.assert_allclose(found, total, rtol=1e-4)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("ordering", ["natural", "random"])
def test_an_output_of_a_mask_sees_what_is_before_it_and_nothing_else(residual, ordering):
    network = MADE(2, (32, 32), ordering, residual, "tanh", num_masks=3, direct=True)
    network.build((None, 5))
    zoo.perturb(network)
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 5)), tf.float32)
    each = {network.given(mask=mask)(x).numpy().tobytes() for mask in range(3)}
    assert len(each) == 3, "masks that are alike"
    for mask in range(3):
        with tf.GradientTape() as tape:
            tape.watch(x)
            params = network.given(mask=mask)(x)
        seen = (tape.jacobian(params, x).numpy()[0, :, :, 0] != 0).any(1)
        order = np.arange(5) if ordering == "natural" else network._order.numpy()[mask]
        place = np.argsort(order)
        np.testing.assert_array_equal(seen, place[:, None] > place)


def test_masks_differ_and_a_model_averages_their_probabilities():
    model = small("made_masks")
    assert len({tuple(row) for row in model.network._order.numpy()}) > 1
    degrees = model.network._hidden_degrees[0].numpy()
    assert (np.sort(degrees) == np.sort(degrees[0])).all() and (degrees[1] != degrees[0]).any()
    condition = np.broadcast_to(CONDITION, (64, 2))
    each = [model._log_weight(STATES, tf.constant(condition), mask) for mask in range(3)]
    # Each is a distribution of its own, and not that of another one.
    np.testing.assert_allclose(np.exp(each).sum(1), 1, rtol=1e-5)
    assert np.abs(each[1] - each[0]).max() > 0.1
    mean = np.log(np.mean(np.exp(each), 0))
    np.testing.assert_allclose(zoo.eager_outputs(model, STATES, condition), mean, rtol=1e-4)


def test_a_step_of_training_takes_one_mask_and_steps_take_all():
    model = small("made_masks")
    condition = tf.constant(np.broadcast_to(CONDITION, (64, 2)))
    each = np.array([model._log_weight(STATES, condition, mask) for mask in range(3)])
    taken = set()
    for seed in range(8):
        loss = -model.loss(STATES, condition, seed=seed).numpy()
        distances = np.abs(each - loss).max(1)
        assert distances.min() < 1e-5
        taken.add(int(distances.argmin()))
    assert taken == {0, 1, 2}


# ----------------------------------------------------------------------------------- draws


def naive(model, noise, features, order, temperature, params):
    """Draws by the outputs for all values, computed anew for each value in turn."""
    real = model.data_kind == "real"
    x = np.zeros(noise.shape[:2], "float32" if real else "uint8")
    for dim in order:
        outputs = params(model.element.inputs(x))
        x[:, dim] = model.element.sample(noise, outputs, temperature).numpy()[:, dim, 0]
    return x


def orders(model):
    """For each mask the order, and the outputs as a function of values."""
    if isinstance(model, tfgen.MADE):
        network = model.network
        for mask in range(model.num_masks):
            order = network._order
            if model.ordering == "random" and model.num_masks > 1:
                order = order[mask]
            yield keras.ops.convert_to_numpy(order), functools.partial(model._params, mask=mask)
        return
    order = keras.ops.convert_to_numpy(model._order)

    def params(x, features):
        # Of values in the order, as the model has them.
        found = model._params(tf.gather(x, order, axis=1), features)
        return tf.gather(found, np.argsort(order), axis=1)

    yield order, params


@pytest.mark.parametrize("temperature", [1.0, 0.0])
@pytest.mark.parametrize("name", [*MODELS, "nade_colour", "nade_real", "made_colour"])
def test_draws_are_those_of_one_value_after_the_other(name, temperature):
    model, condition = None, None
    if name in MODELS:
        model, condition = small(name), tf.constant(np.broadcast_to(CONDITION, (30, 2)))
    else:
        model = zoo.perturb(zoo.MODELS[name].build(), scale=1.0)
        if model.condition_shape:
            condition = tf.constant(np.broadcast_to(CONDITION, (30, 2)))
    noise = model._sample_noise(tf.constant([1, 2]), 0, 30)
    found = model._generate(noise, condition, tf.constant(temperature)).numpy()
    masks = np.zeros(30, int)
    if isinstance(model, tfgen.MADE):
        noise, masks = noise[0], (model.num_masks * noise[1].numpy()).astype(int)
        assert len(set(masks)) == model.num_masks
        masks = masks if temperature else np.zeros(30, int)
    features = model._features(condition)
    for mask, (order, params) in enumerate(orders(model)):
        x = naive(model, noise, features, order, temperature, lambda x, p=params: p(x, features))
        rows = masks == mask
        # Reals by sums in another order.
        rtol = 1e-4 if model.data_kind == "real" else 0
        np.testing.assert_allclose(found.reshape(30, -1)[rows], x[rows], rtol=rtol, atol=rtol)
    assert temperature == 0 or len(np.unique(found.reshape(30, -1), axis=0)) > 5


@pytest.mark.parametrize("name", ["fvsbn", "nade", "made_masks"])
def test_draws_follow_the_density(name):
    model = small(name)
    condition = np.broadcast_to(CONDITION, (4000, 2))
    x = zoo.eager_samples(model, 4000, condition).numpy().reshape(4000, 6)
    found = np.bincount(x @ 2 ** np.arange(6)[::-1], minlength=64) / 4000
    expected = np.exp(zoo.eager_outputs(model, STATES, condition[:64]))
    # Five standard errors.
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(found - expected) <= 5 * error + 1e-3).all()


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "build, arguments, message",
    [
        (tfgen.FVSBN, {"data_kind": "uint8"}, "`data_kind` must be one of ..binary..; got 'uint8'"),
        (tfgen.MADE, {"data_kind": "real"}, "`data_kind` must be one of"),
        (tfgen.NADE, {"order": [0, 0, 1]}, "`order` must be one of"),
        (tfgen.NADE, {"order": [1, 0]}, "`order` has 2 indices, the last axis has 3"),
        (tfgen.NADE, {"hidden_units": 0}, "`hidden_units` must be a whole number"),
        (tfgen.MADE, {"num_masks": 0}, "`num_masks` must be a whole number"),
        (tfgen.MADE, {"direct": 1}, "`direct` must be True or False"),
        (tfgen.MADE, {"condition_shape": (2, 2, 1)}, "`condition_shape` must be .features."),
    ],
)
def test_arguments_are_refused_by_name(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(3, **arguments)

"""FVSBN, NADE, deep NADE and MADE: densities that sum to 1, what conditionals see, draws."""

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
    "deep_nade": functools.partial(tfgen.DeepNADE, hidden_units=(8, 8), num_orders=3),
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
    for build in (tfgen.NADE, tfgen.MADE, tfgen.DeepNADE):
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
@pytest.mark.parametrize(
    "name", [*sorted(MODELS.keys() - {"deep_nade"}), "nade_colour", "nade_real", "made_colour"]
)
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


@pytest.mark.parametrize("name", ["fvsbn", "nade", "deep_nade", "made_masks"])
def test_draws_follow_the_density(name):
    model = small(name)
    condition = np.broadcast_to(CONDITION, (4000, 2))
    x = zoo.eager_samples(model, 4000, condition).numpy().reshape(4000, 6)
    found = np.bincount(x @ 2 ** np.arange(6)[::-1], minlength=64) / 4000
    expected = np.exp(zoo.eager_outputs(model, STATES, condition[:64]))
    # Five standard errors.
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(found - expected) <= 5 * error + 1e-3).all()


# ---------------------------------------------------------------------------------- any order


def chained(model, x, features, order, known=()):
    """Log-probability of binary rows, `[n]`, but for the known values, by one pass for each."""
    total, seen = 0.0, np.zeros(x.shape, "float32")
    seen[:, list(known)] = 1
    for dim in order:
        if dim in known:
            continue
        params = model._params(model.element.inputs(x), features, tf.constant(seen))
        total = total + model.element.log_prob(x[:, dim, None], params[:, dim]).numpy()
        seen[:, dim] = 1
    return total


def test_a_deep_nade_is_the_mixture_of_its_orders():
    model, x = small("deep_nade"), STATES.reshape(64, 6)
    features = features_of(model, 64)
    orders = model._orders.numpy()
    assert (np.sort(orders) == np.arange(6)).all() and len(np.unique(orders, axis=0)) == 3
    each = [chained(model, x, features, order) for order in orders]
    np.testing.assert_allclose(np.exp(each).sum(1), 1, rtol=1e-5)
    assert np.abs(each[1] - each[0]).max() > 0.01
    found = zoo.eager_outputs(model, STATES, np.broadcast_to(CONDITION, (64, 2)))
    np.testing.assert_allclose(found, np.log(np.mean(np.exp(each), 0)), rtol=1e-4)


def test_what_training_lowers_is_the_mean_over_all_orders():
    model = zoo.perturb(tfgen.DeepNADE(3, (8, 8)), scale=1.0)
    x = np.array([[0, 1, 1], [1, 0, 1]], "uint8")
    orders = list(itertools.permutations(range(3)))
    expected = np.mean([chained(model, x, None, order) for order in orders], 0)
    # Each order is a rank of the noise, each cut as likely.
    ranks = [np.argsort(order) / 3 for order in orders for _ in range(3)]
    cuts = [cut for _ in orders for cut in (0.1, 0.5, 0.9)]
    noise = [tf.constant(v, tf.float32) for v in (np.repeat(ranks, 2, 0), np.repeat(cuts, 2))]
    found = model._log_weight(np.tile(x, (18, 1)), None, noise).numpy().reshape(18, 2)
    np.testing.assert_allclose(found.mean(0), expected, rtol=1e-5)
    assert found.std(0).min() > 0.01
    # Noise of rows: as many values known as not, on average, and not the same ones.
    places, cuts = model._terms_noise(tf.constant([1, 2]), 0, 2000)
    assert abs(np.mean(np.floor(3 * cuts)) - 1) < 0.1 and np.std(places.numpy(), 0).min() > 0.2


@pytest.mark.parametrize("name", ["deep_nade", "deep_nade_colour", "deep_nade_real"])
@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_completions_are_those_of_one_value_after_the_other(name, temperature):
    """With the values that are known as they are, and with none known, as samples are drawn."""
    model = zoo.perturb(zoo.MODELS[name].build(), scale=1.0)
    rng, size = np.random.default_rng(0), model.num_dims
    x, condition = zoo.make_data(model, 30)
    condition = None if condition is None else tf.constant(condition)
    features = model._features(condition)
    chosen = rng.random(30).astype("float32")
    noise = model._sample_noise(tf.constant([1, 2]), 0, 30)[0], tf.constant(chosen)
    orders = model._orders.numpy()[(chosen * model.num_orders * bool(temperature)).astype(int)]
    temperature = tf.constant(temperature)
    for known in (np.zeros((30, size), bool), rng.random((30, size)) < 0.5):
        values = model._values(tf.constant(x)).numpy()
        found = model._drawn(noise, condition, temperature, tf.constant(values), known)
        if not known.any():
            fresh = model._drawn(noise, condition, temperature)
            np.testing.assert_array_equal(found, fresh)
        drawn, seen = np.where(known, values, 0), known.copy()
        for place in range(size):
            dims = orders[:, place]
            inputs = model.element.inputs(drawn)
            params = model._params(inputs, features, tf.constant(seen, tf.float32))
            new = model.element.sample(noise[0], params, temperature).numpy()[..., 0]
            rows = np.flatnonzero(~known[np.arange(30), dims])
            drawn[rows, dims[rows]] = new[rows, dims[rows]]
            seen[np.arange(30), dims] = True
        rtol = 1e-4 if model.data_kind == "real" else 0
        np.testing.assert_allclose(found, drawn, rtol=rtol, atol=rtol)


def test_complete_keeps_what_is_known_in_the_units_of_the_data():
    model = zoo.perturb(tfgen.DeepNADE((2, 1), (8,), 2, data_kind="real"))
    model.x_loc.assign([3.0])
    model.x_scale.assign([0.5])
    x = np.random.default_rng(0).normal(3, 1, (40, 2, 1)).astype("float32")
    known = np.array([[True], [False]])
    drawn = model.complete(x, known, seed=0).numpy()
    np.testing.assert_array_equal(drawn[:, 0], x[:, 0])
    assert (drawn[:, 1] != x[:, 1]).all() and abs(drawn[:, 1].mean() - 3) < 1
    with pytest.raises(ValueError, match=r"`known` must have shape \[40, 2, 1\] or \[2, 1\]"):
        model.complete(x, known[:1])
    with pytest.raises(ValueError, match="`known` must hold True and False"):
        model.complete(x, known.astype(int))


def test_completions_follow_the_conditionals():
    model, x, known = small("deep_nade"), STATES[:1], np.zeros((2, 3, 1), bool)
    known.flat[[0, 4]] = True
    x = x.copy()
    x.flat[0] = 1
    flat = STATES.reshape(64, 6)
    rows = flat[(flat[:, 0] == 1) & (flat[:, 4] == 0)]
    features = features_of(model, len(rows))
    each = [chained(model, rows, features, order, {0, 4}) for order in model._orders.numpy()]
    expected = np.mean(np.exp(each), 0)
    np.testing.assert_allclose(expected.sum(), 1, rtol=1e-5)
    many = np.repeat(x, 4000, 0)
    drawn = model.complete(
        many, known, np.broadcast_to(CONDITION, (4000, 2)), seed=0, batch_size=4000
    )
    drawn = drawn.numpy().reshape(4000, 6)
    found = [(drawn == row).all(1).mean() for row in rows]
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(found - expected) <= 5 * error + 1e-3).all()


@pytest.mark.slow
def test_trained_conditionals_agree_with_the_trained_density():
    """The paper's sense: no order is the model's own, so conditionals that one pass gives are near
    those of the density by enumeration, once it is trained."""
    rng = np.random.default_rng(0)
    # Noisy copies of two hidden bits.
    hidden = rng.integers(2, size=(4000, 2))
    x = np.repeat(hidden, 4, 1) ^ (rng.random((4000, 8)) < 0.15)
    keras.utils.set_random_seed(0)
    model = tfgen.DeepNADE(8, (64, 64), num_orders=8)
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(x.astype("uint8"), batch_size=100, epochs=40, verbose=0)
    states = np.array(list(itertools.product([0, 1], repeat=8)), "uint8")
    joint = np.exp(model.log_prob(states))
    np.testing.assert_allclose(joint.sum(), 1, rtol=1e-4)
    apart, spread = [], []
    for dim in range(8):
        seen = np.ones((256, 8), "float32")
        seen[:, dim] = 0
        inputs = model.element.inputs(states)
        logits = model._params(inputs, None, tf.constant(seen)).numpy()[:, dim, 0]
        pairs = joint.reshape([2] * 8)
        by_enumeration = np.take(pairs, 1, dim) / pairs.sum(dim)
        weight = pairs.sum(dim)
        direct = np.take(1 / (1 + np.exp(-logits)).reshape([2] * 8), 0, dim)
        apart.append((weight * np.abs(direct - by_enumeration)).sum())
        spread.append((weight * np.abs(by_enumeration - 0.5)).sum())
    assert max(apart) < 0.06 and min(spread) > 0.25


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
        (tfgen.DeepNADE, {"hidden_units": ()}, "`hidden_units` must hold positive whole numbers"),
        (tfgen.DeepNADE, {"num_orders": 0}, "`num_orders` must be a whole number"),
        (tfgen.MADE, {"direct": 1}, "`direct` must be True or False"),
        (tfgen.MADE, {"condition_shape": (2, 2, 1)}, "`condition_shape` must be .features."),
    ],
)
def test_arguments_are_refused_by_name(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(3, **arguments)

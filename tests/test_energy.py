"""Energy models beside sums over all states: densities, gradients, chains, partition functions.

Slow are those of further machines, whose layers and estimators are the same ones.
"""

import itertools
import types
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.app import evaluation
from tfgen.metrics import ais
from tfgen.models.energy import units
from tfgen.models.energy.layers_in_turn import layer_contrast
from tfgen.utils.random import as_seed
from tfgen.utils.random import row_uniform


def all_states(size, num_states=2):
    return np.array(list(itertools.product(range(num_states), repeat=size)), "uint8")


def perturbed(model, scale=0.7, seed=0):
    """The model with weights away from their start."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(scale * rng.normal(size=weight.shape))
    model.base_field.assign(0.5 * rng.normal(size=model.base_field.shape))
    return model


def rbm(size=6, num_hidden=4, scale=0.7, seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    return perturbed(tfgen.RBM(size, num_hidden, **arguments), scale, seed)


def probabilities(model, x=None):
    """Those of all states, by their sum."""
    x = all_states(model.num_dims) if x is None else x
    logs = model.log_prob_unnormalised(x).numpy().astype("float64")
    logs -= np.logaddexp.reduce(logs)
    return np.exp(logs)


def gradient(model, loss):
    """The gradient of a loss as one vector."""
    with tf.GradientTape() as tape:
        value = loss()
    weights = model.trainable_variables
    found = zip(tape.gradient(value, weights), weights, strict=True)
    return np.concatenate([np.ravel(np.zeros(w.shape) if g is None else g) for g, w in found])


def true_gradient(model, x, weights=None):
    """That of the negative log-likelihood, whose partition function is a sum over all states."""
    states = all_states(model.num_dims)
    weights = np.full(len(x), 1 / len(x)) if weights is None else weights

    def loss():
        log_partition = tf.reduce_logsumexp(model._log_unnormalised(states, None, None))
        logs = model._log_unnormalised(x, None, None) - log_partition
        return -tf.reduce_sum(tf.cast(weights, logs.dtype) * logs)

    return gradient(model, loss)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


DATA = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 1]], "uint8")


# --------------------------------------------------------------------------------- densities


@pytest.mark.parametrize(
    "arguments",
    [{}, {"hidden": "relu", "scale": 0.2}, {"num_classes": 3}],
    ids=lambda arguments: "_".join(arguments) or "bernoulli",
)
def test_densities_sum_to_one(arguments):
    model, x = rbm(**arguments), all_states(6)
    totals = model.estimate_partition(method="enumeration")
    assert model.likelihood == "exact"
    for label in range(model.num_classes or 1):
        log_prob = model.log_prob(x, label if model.num_classes else None)
        np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-5)
    assert not model.num_classes or len({t.log_partition for t in totals}) == 3


def test_densities_of_levels_sum_to_one():
    model = rbm(3, data_kind="uint8", num_bits=2)
    model.estimate_partition(method="enumeration")
    np.testing.assert_allclose(np.exp(model.log_prob(64 * all_states(3, 4))).sum(), 1, rtol=1e-5)
    # The levels that the model does not see are all alike.
    np.testing.assert_array_equal(model.log_prob([[70, 3, 200]]), model.log_prob([[64, 0, 192]]))


@pytest.mark.parametrize("size", [1, 2])
def test_densities_of_reals_integrate_to_one(size):
    model = rbm(size, data_kind="real")
    model.x_loc.assign(np.full(size, 3.0))
    model.x_scale.assign(np.full(size, 0.5))
    model.estimate_partition(method="enumeration")
    line = np.linspace(-7, 13, 401)
    points = np.stack(np.meshgrid(*[line] * size), -1).reshape(-1, size).astype("float32")
    density = np.exp(model.log_prob(points, batch_size=len(points)))
    np.testing.assert_allclose(density.sum() * (line[1] - line[0]) ** size, 1, rtol=1e-4)


@pytest.mark.parametrize("kind", ["binary", "real", "uint8"])
def test_the_free_energy_sums_the_hidden_units_out(kind):
    model = rbm(4, 3, data_kind=kind, num_bits=8)
    x = np.random.default_rng(0).integers(2, size=(5, 4)) * (100 if kind == "uint8" else 1)
    hidden = all_states(3)
    energies = [model.energy(x, np.tile(h, (5, 1)).astype("float32")).numpy() for h in hidden]
    summed = -np.logaddexp.reduce(-np.array(energies, "float64"), 0)
    free = model.free_energy(x).numpy()
    np.testing.assert_allclose(free, summed, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model(x), -free)
    # What hidden units are given an example, and the other way round.
    log_hidden = -np.array(energies) + free
    np.testing.assert_allclose(
        np.exp(log_hidden).T @ hidden, model.encode(x).numpy(), rtol=1e-4, atol=1e-5
    )


def test_rectified_units_are_integrated_out():
    model = rbm(3, 1, hidden="relu")
    x, line = all_states(3)[[1, 6]], np.arange(0, 12, 1e-3)
    for row, free in zip(x, model.free_energy(x).numpy(), strict=True):
        rows = np.tile(row, (len(line), 1))
        energies = model.energy(rows, line[:, None].astype("float32")).numpy()
        np.testing.assert_allclose(np.log(np.exp(-energies).sum() * 1e-3), -free, atol=2e-3)


# --------------------------------------------------------------------------------- gradients


def chain_gradient(model, many=4000):
    rows = np.repeat(DATA, many, axis=0)
    return gradient(model, lambda: tf.reduce_mean(model.loss(rows, seed=1)))


def test_contrastive_divergence_has_a_bias_that_longer_chains_lose():
    """Hinton 2002: the direction is right for one step, and all of it for many."""
    short, long = rbm(gibbs_steps=1), rbm(gibbs_steps=40)
    expected = true_gradient(short, DATA)
    off = [np.linalg.norm(chain_gradient(m) - expected) for m in (short, long)]
    size = np.linalg.norm(expected)
    assert cosine(chain_gradient(short), expected) > 0.85
    assert off[0] > 0.1 * size
    assert off[1] < 0.03 * size


@pytest.mark.parametrize("estimator", zoo.slow("pcd", "fpcd"))
def test_persistent_chains_have_no_bias_once_they_have_come_far(estimator):
    model = rbm(estimator=estimator, num_chains=20_000, gibbs_steps=5, fast_rate=0.0)
    loss = tf.function(lambda seed: tf.reduce_mean(model.loss(DATA, seed=seed)))
    for seed in range(8):
        loss(tf.constant([seed, 0]))
    expected = true_gradient(model, DATA)
    got = gradient(model, lambda: tf.reduce_mean(model.loss(DATA, seed=99)))
    assert np.linalg.norm(got - expected) < 0.03 * np.linalg.norm(expected)


def test_fast_weights_move_the_chains_away_from_where_they_are():
    """They take the free energy of the chains' own states up."""
    model = rbm(estimator="fpcd", num_chains=50, fast_rate=0.1, scale=0.3)
    before = [s.numpy() for s in model.chains.states]
    free = tf.reduce_mean(model._free_energy(before[0], None))
    model.loss(DATA, seed=0)
    fast = [w.numpy() for w in model.chains.fast]
    assert all(np.any(w) for w in fast)
    with model._shifted(model._fast_weights(), fast):
        raised = tf.reduce_mean(model._free_energy(before[0], None))
        data = tf.reduce_mean(model._free_energy(tf.constant(DATA, tf.float32), None))
    lowered = data - tf.reduce_mean(model._free_energy(tf.constant(DATA, tf.float32), None))
    assert raised - free > lowered


def test_pseudo_likelihood_is_that_of_each_value_given_the_others():
    model = rbm(estimator="pseudo_likelihood")
    total = 0.0
    for i in range(6):
        flipped = DATA.copy()
        flipped[:, i] = 1 - flipped[:, i]
        both = [model.log_prob_unnormalised(x).numpy() for x in (DATA, flipped)]
        total += both[0] - np.logaddexp(*both)
    np.testing.assert_allclose(-model.loss(DATA), total, rtol=1e-5)
    # Of long examples some values stand for all.
    wide = rbm(50, estimator="pseudo_likelihood", scale=0.2)
    x = np.random.default_rng(0).integers(2, size=(2, 50)).astype("float32")
    some = tf.function(lambda seed: wide._pseudo_likelihood(x, None, seed, 0, 10))
    found = [some(as_seed(s)).numpy() for s in range(300)]
    exact = wide._pseudo_likelihood(x, None, as_seed(0), 0, 50).numpy()
    np.testing.assert_allclose(np.mean(found, 0), exact, atol=4 * np.std(found) / 300**0.5)


def test_pseudo_likelihood_is_highest_where_the_model_is_the_data():
    """Besag 1975: it names the right model, though its gradient elsewhere is another one."""
    model, x = rbm(estimator="pseudo_likelihood"), all_states(6)
    weights = probabilities(model).astype("float32")
    here = gradient(model, lambda: tf.reduce_sum(weights * model.loss(x)))
    assert np.abs(here).max() < 1e-5
    elsewhere = gradient(model, lambda: tf.reduce_mean(model.loss(DATA)))
    assert 0.5 < cosine(elsewhere, true_gradient(model, DATA)) < 0.999


def test_noise_contrastive_estimation_is_lowest_where_the_model_is_the_data():
    """Gutmann and Hyvarinen 2010, theorem 1: the partition function is found, too."""
    model, x = rbm(estimator="nce"), all_states(6)
    weights = np.tile(probabilities(model), 1000).astype("float32")
    weights *= 64  # The noise is drawn for each row alike, so on average by weight 1.
    rows = np.tile(x, (1000, 1))
    logs = np.logaddexp.reduce(model.log_prob_unnormalised(x).numpy().astype("float64"))
    model.nce_log_partition.assign(logs - float(model._log_base_partition()))

    def loss(weights):
        values = tf.constant(rows, tf.float32)
        log_odds = model._log_odds(values, None)
        noise = model._start_states(as_seed(3), 0, len(rows))[0]
        return tf.reduce_mean(
            weights * tf.nn.softplus(-log_odds) + tf.nn.softplus(model._log_odds(noise, None))
        )

    here = gradient(model, lambda: loss(weights))
    # Data without a structure, beside.
    elsewhere = gradient(model, lambda: loss(np.ones_like(weights)))
    assert np.linalg.norm(here) < 0.05 * np.linalg.norm(elsewhere)


@pytest.mark.parametrize("estimator", ["nce", *zoo.slow("cd", "pcd", "fpcd", "pseudo_likelihood")])
def test_training_raises_the_likelihood(estimator):
    keras.utils.set_random_seed(0)
    model = tfgen.RBM(6, 4, estimator=estimator, num_chains=30)
    model.compile(keras.optimizers.Adam(0.02))
    x = np.repeat(DATA, 30, axis=0)
    found = []
    for epochs in (1, 40):
        model.fit(x, batch_size=30, epochs=epochs, verbose=0)
        model.estimate_partition(method="enumeration")
        found.append(float(tf.reduce_mean(model.log_prob(DATA))))
    # Independent values of the data's means: -3.8 nats.
    assert found[0] < found[1] and found[1] > -3.2, found


# ------------------------------------------------------------------------------------ chains


def counts_of(samples):
    numbers = samples.numpy() @ (2 ** np.arange(samples.shape[1])[::-1])
    return np.bincount(numbers, minlength=2 ** samples.shape[1])


def assert_drawn_from(samples, expected):
    """Pearson's test, of far less than one in a million."""
    counts, size = counts_of(samples), len(samples)
    statistic = np.sum((counts - size * expected) ** 2 / (size * expected))
    freedom = len(expected) - 1
    assert statistic < freedom + 6 * (2 * freedom) ** 0.5, statistic


def draws_of(expected, many):
    """Exact draws: the states by their shares."""
    rng = np.random.default_rng(0)
    size = int(np.log2(len(expected)))
    return all_states(size)[rng.choice(len(expected), many, p=expected)]


def test_chains_end_in_the_distribution_and_stay_there():
    model, many = rbm(scale=1.0), 20_000
    expected = probabilities(model)
    settings = {"seed": 1, "batch_size": many}
    assert_drawn_from(model.sample(many, num_steps=50, **settings), expected)
    kept = model.sample(many, from_data=draws_of(expected, many), num_steps=1, **settings)
    assert_drawn_from(kept, expected)
    kept = model.sample(many, num_steps=60, num_temperatures=3, **settings)
    assert_drawn_from(kept, expected)


def test_chains_of_50_000_steps_have_the_enumerated_marginals():
    model = rbm(scale=1.0)
    expected = probabilities(model) @ all_states(6)
    # 500 chains of 100 steps after 20 in which they forget their start.
    x, total = model.sample(500, num_steps=20, seed=0, batch_size=500), 0.0
    for seed in range(100):
        x = model.sample(500, from_data=x, num_steps=1, seed=seed, batch_size=500)
        total += x.numpy().mean(0)
    np.testing.assert_allclose(total / 100, expected, atol=0.015)


def test_tempered_chains_come_from_both_modes():
    """Between two modes of equal weight single chains stay where they are."""
    model = rbm(8, 2, scale=0.0)
    model.kernels[0].assign(np.array([[9.0, -9.0]] * 4 + [[-9.0, 9.0]] * 4))
    # Hidden units balance the two, and the visible ones are pushed apart.
    model.biases[1].assign([-18.0, -18.0])
    model.estimate_partition(method="enumeration")
    start = np.tile([1, 1, 1, 1, 0, 0, 0, 0], (200, 1)).astype("uint8")
    stuck = model.sample(200, from_data=start, num_steps=100, seed=0).numpy()
    assert (stuck == start).mean() > 0.95
    exchanged = model.sample(400, num_steps=100, num_temperatures=12, seed=0, batch_size=400)
    share = exchanged.numpy()[:, :4].mean()
    assert 0.4 < share < 0.6


@pytest.mark.parametrize("arguments", [{}, {"num_steps": 7, "num_temperatures": 3}])
def test_samples_do_not_depend_on_the_chunks(arguments):
    model = rbm(sample_steps=7, num_classes=2)
    labels = np.arange(10) % 2
    one, other = (model.sample(10, labels, seed=3, batch_size=n, **arguments) for n in (4, 10))
    np.testing.assert_array_equal(one, other)


def test_samples_by_row_are_those_of_one_call():
    model = rbm(sample_steps=5)
    expected = model.sample(6, seed=3)
    sample = model.graph_function("sample", by_row=True)
    rows = {"seed": tf.tile(as_seed(3)[None], [6, 1]), "num_rows": tf.constant(6)}
    start = tf.range(6, dtype=tf.int64)
    same = sample(start=start, temperature=tf.constant(1.0), **rows)
    np.testing.assert_array_equal(same, expected)
    # Of several callers, in another order.
    rows["seed"] = tf.tensor_scatter_nd_update(rows["seed"], [[0]], [as_seed(9)])
    mixed = sample(start=start, temperature=tf.constant(1.0), **rows)
    np.testing.assert_array_equal(mixed[1:], expected[1:])
    np.testing.assert_array_equal(mixed[0], model.sample(1, seed=9)[0])


def test_a_cold_chain_goes_to_a_mode():
    model = rbm(scale=2.0)
    x = model.sample(3, temperature=0, seed=0).numpy()
    assert (x == x[0]).all()
    # No change of one value and the hidden units after it makes it likelier.
    np.testing.assert_array_equal(model.sample(3, temperature=0, seed=5, num_steps=1001), x)


# -------------------------------------------------------------------------- deep machines


def dbm(sizes=(4, 3), scale=0.7, **arguments):
    keras.utils.set_random_seed(0)
    return perturbed(tfgen.DBM(6, sizes, **arguments), scale)


def exact_log_prob(model, x, condition=None):
    """By the energies of all states of all units."""
    hidden = all_states(model.latent_shape[0]).astype("float32")

    def unnormalised(rows):
        rows = np.asarray(rows)
        energies = model.energy(
            np.repeat(rows, len(hidden), 0),
            np.tile(hidden, (len(rows), 1)),
            condition,
            batch_size=100_000,
        )
        return np.logaddexp.reduce(-energies.numpy().reshape(len(rows), -1).astype("float64"), 1)

    return unnormalised(x) - np.logaddexp.reduce(unnormalised(all_states(6)))


@pytest.mark.parametrize("sizes", [(4, 3), pytest.param((3, 2, 4), marks=pytest.mark.slow)])
def test_deep_machines_beside_all_their_states(sizes):
    model, x = dbm(sizes, mean_field_steps=50), all_states(6)
    exact = exact_log_prob(model, x)
    np.testing.assert_allclose(np.exp(exact).sum(), 1, rtol=1e-6)
    total = model.estimate_partition(method="enumeration")
    assert model.likelihood == "bound"
    # The variational bound, section 2.2; and one that draws of it tighten.
    bound = model.log_prob(x).numpy()
    assert (bound < exact + 1e-4).all() and (exact - bound).mean() < 0.5
    tight = model.estimate_log_prob(x, 2000).numpy()
    np.testing.assert_allclose(tight, exact, atol=0.05)
    annealed = model.estimate_partition(num_chains=200, num_steps=300)
    assert annealed.low <= total.log_partition <= annealed.high
    drawn = model.sample(20_000, num_steps=60, seed=1, batch_size=20_000)
    assert_drawn_from(drawn, np.exp(exact) / np.exp(exact).sum())


def conv_rbm(shape=(3, 4, 1), filters=2, kernel_size=2, pool_size=1, **arguments):
    keras.utils.set_random_seed(0)
    return perturbed(tfgen.ConvRBM(shape, filters, kernel_size, pool_size, **arguments))


def test_maps_without_pooling_are_an_rbm_with_links_that_are_shared():
    model = conv_rbm()
    plain = tfgen.RBM(12, model.units[1].size)
    unit = np.eye(12, dtype="float32")
    plain.kernels[0].assign(model._product(unit, model.kernels[0]))
    plain.biases[0].assign(model.biases[0])
    plain.biases[1].assign(model._biases(None)[1][0])
    x = np.random.default_rng(0).integers(2, size=(5, 12))
    images = x.reshape(5, 3, 4, 1)
    np.testing.assert_allclose(model(images), plain(x), rtol=1e-5)
    np.testing.assert_allclose(model.encode(images), plain.encode(x), rtol=1e-5)
    np.testing.assert_array_equal(
        tf.reshape(model.reconstruct(images), [5, 12]), plain.reconstruct(x)
    )


def test_of_a_block_one_unit_at_most_is_on():
    model = conv_rbm((3, 5, 1), pool_size=2)
    x = np.random.default_rng(0).integers(2, size=(4, 3, 5, 1))
    means = model.encode(x).numpy().reshape(4, 2, 4, 2)
    # Each unit against the others of its block and none, section 3.3.
    fields = (model._up(0, model._values(x)) + model._biases(None)[1]).numpy().reshape(means.shape)
    blocks = np.exp(fields).reshape(4, 2, 2, 2, 2)
    expected = blocks / (1 + blocks.sum((1, 3), keepdims=True))
    np.testing.assert_allclose(means, expected.reshape(means.shape), rtol=1e-5)
    np.testing.assert_allclose(model.pooled(x)[:, 0], expected.sum((1, 3)), rtol=1e-5)
    drawn = model.units[1].sample(as_seed(0), 0, tf.tile(fields[:1].reshape(1, 16), [20_000, 1]))
    drawn = drawn.numpy().reshape(-1, 2, 2, 2, 2)
    assert drawn.sum((1, 3)).max() == 1
    np.testing.assert_allclose(drawn.mean(0), expected[0], atol=0.02)


@pytest.mark.slow
def test_pooled_machines_beside_all_their_states():
    model, x = conv_rbm((3, 3, 1), pool_size=2, sample_steps=40), all_states(9)
    images = x.reshape(-1, 3, 3, 1)
    total = model.estimate_partition(method="enumeration").log_partition
    expected = np.exp(model.log_prob(images))
    np.testing.assert_allclose(expected.sum(), 1, rtol=1e-5)
    annealed = model.estimate_partition(num_chains=200, num_steps=200)
    assert annealed.low <= total <= annealed.high
    drawn = model.sample(20_000, seed=1, batch_size=20_000).numpy().reshape(-1, 9)
    np.testing.assert_allclose(drawn.mean(0), expected @ x, atol=0.02)
    # The energy, where a block's units are not both on, and the free energy.
    blocks = np.eye(5)[:, 1:]
    hidden = [np.stack([a, b], -1).ravel() for a in blocks for b in blocks]
    energies = [model.energy(images, np.tile(h, (512, 1)).astype("float32")) for h in hidden]
    free = -np.logaddexp.reduce(-np.array(energies, "float64"), 0)
    np.testing.assert_allclose(model.free_energy(images), free, rtol=1e-5, atol=1e-5)
    rises = model._flip_rises(model._values(images[:2]), None, tf.constant([[0, 4], [8, 1]]))
    flipped = images[0].copy()
    flipped[0, 0] = 1 - flipped[0, 0]
    both = model.free_energy([images[0], flipped]).numpy()
    np.testing.assert_allclose(rises[0, 0], both[1] - both[0], rtol=1e-4)


def test_images_that_do_not_fit_filters_are_refused():
    for shape, message in [
        ((6, 6), r"`event_shape` must be \[height"),
        ((6, 6, 1), "must leave sides that `pool_size` 2 divides.*\\[5, 5\\]"),
        ((1, 6, 1), "must leave sides"),
    ]:
        with pytest.raises(ValueError, match=message):
            tfgen.ConvRBM(shape, 2, 2)


def boltzmann(num_hidden=3, scale=0.5, **arguments):
    keras.utils.set_random_seed(0)
    return perturbed(tfgen.BoltzmannMachine(6, num_hidden, **arguments), scale)


@pytest.mark.slow
def test_general_machines_beside_all_their_states():
    model, x = boltzmann(), all_states(6)
    hidden = all_states(3).astype("float32")
    energies = [model.energy(x, np.tile(h, (64, 1))) for h in hidden]
    exact = np.logaddexp.reduce(-np.array(energies, "float64"), 0)
    total = model.estimate_partition(method="enumeration").log_partition
    np.testing.assert_allclose(total, np.logaddexp.reduce(exact), rtol=1e-6)
    exact -= total
    bound = model.log_prob(x).numpy()
    assert model.likelihood == "bound"
    assert (bound < exact + 1e-4).all() and (exact - bound).mean() < 0.2
    np.testing.assert_allclose(model.estimate_log_prob(x, 1000), exact, atol=0.1)
    drawn = model.sample(20_000, num_steps=30, seed=1, batch_size=20_000)
    assert_drawn_from(drawn, np.exp(exact) / np.exp(exact).sum())
    annealed = model.estimate_partition(num_chains=200, num_steps=200)
    assert annealed.low <= total <= annealed.high


def test_visible_machines_are_exact():
    model, x = boltzmann(0, estimator="pseudo_likelihood"), all_states(6)
    model.estimate_partition(method="enumeration")
    assert model.likelihood == "exact"
    expected = np.exp(model.log_prob(x))
    np.testing.assert_allclose(expected.sum(), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.energy(x), model.free_energy(x))
    # Besag 1975: the pseudo-likelihood is highest where the model is the data.
    here = gradient(model, lambda: tf.reduce_sum(expected * model.loss(x)))
    assert np.abs(here).max() < 1e-5
    total = 0.0
    for i in range(6):
        flipped = DATA.copy()
        flipped[:, i] = 1 - flipped[:, i]
        both = [model.log_prob(rows).numpy() for rows in (DATA, flipped)]
        total += both[0] - np.logaddexp(*both)
    np.testing.assert_allclose(-model.loss(DATA), total, rtol=1e-4)
    with pytest.raises(ValueError, match="`hidden` must be None"):
        model.energy(x, x)
    with pytest.raises(ValueError, match='"pseudo_likelihood" is of a machine without hidden'):
        tfgen.BoltzmannMachine(6, 2, "pseudo_likelihood")


@pytest.mark.slow
@pytest.mark.parametrize("num_hidden", [0, 3])
def test_gradients_of_general_machines_are_those_of_all_states(num_hidden):
    model = boltzmann(num_hidden, gibbs_steps=5, num_chains=20_000, mean_field_steps=60)
    loss = tf.function(lambda seed: tf.reduce_mean(model.loss(DATA, seed=seed)))
    for seed in range(6):
        loss(tf.constant([seed, 0]))
    got = gradient(model, lambda: tf.reduce_mean(model.loss(DATA, seed=99)))
    states = all_states(6 + num_hidden).astype("float32")

    def expected():
        logs = model._log_density((states,), None, 1.0)
        free = model._free_energy(tf.constant(DATA, tf.float32), None)
        return tf.reduce_mean(free) + tf.reduce_logsumexp(logs)

    expected = gradient(model, expected)
    assert np.linalg.norm(got - expected) < 0.03 * np.linalg.norm(expected)


def dbn(sizes=(4, 3), scale=0.7, **arguments):
    keras.utils.set_random_seed(0)
    model = perturbed(tfgen.DBN(6, sizes, **arguments), scale)
    model._tie(model._bottom)
    for weight in model.recognition.weights:
        weight.assign_add(0.1 * np.random.default_rng(5).normal(size=weight.shape))
    return model


@pytest.mark.parametrize("sizes", [(4, 3), pytest.param((3, 4, 4), marks=pytest.mark.slow)])
def test_belief_networks_beside_all_their_states(sizes):
    model, x = dbn(sizes), all_states(6)
    total = model.estimate_partition(method="enumeration")
    hidden = all_states(sum(sizes)).astype("float32")
    # The partition function of the top is that of the whole.
    energies = [model.energy(np.tile(r, (len(hidden), 1)), hidden, batch_size=5000) for r in x]
    exact = np.logaddexp.reduce(-np.array(energies, "float64"), 1) - total.log_partition
    np.testing.assert_allclose(np.exp(exact).sum(), 1, rtol=1e-5)
    assert model.likelihood == "bound"
    bounds = np.mean([model.log_prob(x, seed=seed).numpy() for seed in range(20)], 0)
    tight = model.estimate_log_prob(x, 1000).numpy()
    assert np.mean(bounds) < np.mean(tight)
    np.testing.assert_allclose(tight, exact, atol=0.25)
    np.testing.assert_allclose(np.mean(tight), np.mean(exact), atol=0.02)
    drawn = model.sample(20_000, num_steps=60, seed=1, batch_size=20_000)
    assert_drawn_from(drawn, np.exp(exact) / np.exp(exact).sum())


@pytest.mark.slow
def test_belief_networks_learn_in_turn_and_then_both_ways():
    keras.utils.set_random_seed(0)
    model = tfgen.DBN(6, (8, 5), layer_steps=50)
    model.compile(keras.optimizers.SGD(0.1), recognition_optimizer=keras.optimizers.SGD(0.1))
    x = np.repeat(DATA, 10, axis=0)
    layers, scores = [], []
    for epochs in (25, 25, 200):
        history = model.fit(x, batch_size=15, epochs=epochs, verbose=0).history
        model.estimate_partition(method="enumeration")
        scores.append(float(tf.reduce_mean(model.estimate_log_prob(DATA, 300))))
        layers.append((history["layer"][0], history["layer"][-1]))
        tied = np.array_equal(model.recognition.kernels[0], model.kernels[0])
        # In the last step of a layer its weights go on.
        assert tied == (len(scores) == 2)
    assert layers == [(1, 1), (2, 2), (0, 0)], layers
    # Independent values of the data's means: -3.8 nats.
    assert scores[1] < scores[2] and scores[2] > -3.4, scores


def test_a_classifier_begins_with_what_the_way_up_finds():
    model = dbn((5, 4))
    network = model.classifier(3)
    hidden = keras.Model(network.input, network.get_layer("hidden_2").output)
    np.testing.assert_allclose(hidden(DATA), model.encode(DATA), rtol=1e-5)
    real = dbn((5, 4), data_kind="real")
    real.x_loc.assign(np.full(6, 3.0))
    real.x_scale.assign(np.full(6, 0.5))
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    network = real.classifier(3)
    hidden = keras.Model(network.input, network.get_layer("hidden_2").output)
    np.testing.assert_allclose(hidden(x), real.encode(x), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="`classifier` is of a model without conditions"):
        tfgen.DBN(6, (5, 4), num_classes=2).classifier(2)


@pytest.mark.slow
def test_gradients_of_deep_machines_are_those_of_the_bound_and_the_chains():
    model = dbm(gibbs_steps=5, num_chains=20_000, mean_field_steps=60)
    loss = tf.function(lambda seed: tf.reduce_mean(model.loss(DATA, seed=seed)))
    for seed in range(8):
        loss(tf.constant([seed, 0]))
    got = gradient(model, lambda: tf.reduce_mean(model.loss(DATA, seed=99)))
    even = all_states(9).astype("float32")

    def expected():
        logs = model._log_density((even[:, :6], even[:, 6:]), None, 1.0)
        free = model._free_energy(DATA.astype("float32"), None)
        return tf.reduce_mean(free) + tf.reduce_logsumexp(logs)

    expected = gradient(model, expected)
    assert np.linalg.norm(got - expected) < 0.03 * np.linalg.norm(expected)


@pytest.mark.slow
def test_layers_of_a_deep_machine_are_trained_in_turn_and_then_together():
    keras.utils.set_random_seed(0)
    model = tfgen.DBM(6, (4, 3), layer_steps=6, num_chains=30)
    model.compile(keras.optimizers.SGD(0.1))
    x, moved = np.repeat(DATA, 10, axis=0), []
    chains = model.chains.states[0].numpy()
    for _ in range(3):
        before = [w.numpy() for w in (*model.kernels, *model.chains.states)]
        history = model.fit(x, batch_size=10, epochs=2, verbose=0).history
        after = [w.numpy() for w in (*model.kernels, *model.chains.states)]
        moved.append([np.any(a != b) for a, b in zip(after, before, strict=True)][:3])
        assert history["layer"] == [[1, 1], [2, 2], [0, 0]][len(moved) - 1]
    assert moved == [[True, False, False], [False, True, False], [True, True, True]]
    assert np.any(model.chains.states[0].numpy() != chains)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layer_by_itself_has_the_gradient_of_its_own_machine(layer):
    """That of a machine in which what is on one side is there twice, by its states."""
    model = dbm((4, 3, 4))
    copies, factor = [((2, 1), 1.0), ((1, 1), 2.0), ((1, 2), 1.0)][layer]
    below, above = (all_states(model.units[layer + i].size).astype("float32") for i in (0, 1))
    rows = below[[1, 5, 7]]

    def logs(seen):
        biases = model._biases(None)
        field = factor * model._up(layer, seen) + biases[layer + 1]
        of_copy = tf.reduce_logsumexp(field @ tf.transpose(above), 1)
        return tf.reduce_sum(seen * biases[layer], -1) + copies[1] * of_copy

    def likelihood():
        # Of the copies below the data are the same, but those of the machine need not be.
        states = below
        for _ in range(copies[0] - 1):
            states = (states[:, None] + below).reshape(-1, below.shape[1])
        return tf.reduce_logsumexp(logs(states)) - tf.reduce_mean(logs(copies[0] * rows))

    many = np.repeat(rows, 6000, 0)

    def contrast():
        return tf.reduce_mean(
            layer_contrast(
                model,
                layer,
                many,
                many,
                model._biases(None),
                as_seed(1),
                0,
                copies,
                factor,
                num_steps=40,
            )
        )

    expected, got = gradient(model, likelihood), gradient(model, contrast)
    assert np.linalg.norm(got - expected) < 0.05 * np.linalg.norm(expected)


def test_a_mean_field_that_has_not_settled_is_warned_of():
    model = dbm(scale=3.0, mean_field_steps=1)
    with pytest.warns(RuntimeWarning, match="mean field of a DBM has not settled.*mean_field_st"):
        model.log_prob_unnormalised(all_states(6))


# --------------------------------------------------------------------- partition functions


def interval_holds(seed):
    model = rbm(12, 8, scale=0.6, seed=seed)
    exact = model.estimate_partition(method="enumeration").log_partition
    found = model.estimate_partition(num_chains=100, num_steps=300, seed=seed)
    assert model.likelihood == "estimate"
    np.testing.assert_allclose(float(model.log_partition[0]), found.log_partition)
    return found.low <= exact <= found.high


@pytest.mark.parametrize("num_seeds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_annealed_intervals_hold_the_enumerated_partition_function(num_seeds):
    assert sum(interval_holds(seed) for seed in range(num_seeds)) >= min(num_seeds, 19)


def test_annealing_too_fast_is_warned_of():
    model = rbm(12, 8, scale=4.0)
    with pytest.warns(RuntimeWarning, match="effective chains|has not converged"):
        ais(model, num_chains=20, num_steps=2)


def test_partition_functions_are_of_the_weights_they_were_estimated_for(tmp_path):
    model = rbm(num_classes=2)
    model.compile()
    y = np.array([0, 1, 0])
    with pytest.raises(ValueError, match="is not known: call `estimate_partition"):
        model.log_prob(DATA, y)
    assert "log_prob" not in model.signatures()
    model.estimate_partition(method="enumeration")
    expected = model.log_prob(DATA, y).numpy()
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.likelihood == "exact" and "log_prob" in copy.signatures()
    np.testing.assert_array_equal(copy.log_prob(DATA, y), expected)
    copy.train_on_batch(DATA, y)
    assert copy.likelihood == "unnormalised"
    with pytest.raises(ValueError, match="was estimated for other weights"):
        copy.log_prob(DATA, y)
    with pytest.raises(ValueError, match="was estimated for other weights"):
        copy.bits_per_dim(DATA, y)


def test_an_evaluation_estimates_what_is_not_known(monkeypatch, capsys):
    estimate = tfgen.RBM.estimate_partition
    monkeypatch.setattr(tfgen.RBM, "estimate_partition", lambda m: estimate(m, "enumeration"))
    model, data = rbm(num_classes=2), types.SimpleNamespace(binarised=None)
    for expected in ("Estimating the partition function ...\n", ""):
        rows = evaluation.likelihood_rows(model, data, DATA, np.array([0, 1, 1]))
        assert capsys.readouterr().out == expected
    names = [row["name"] for row in rows]
    assert names[:2] == [f"log of the partition function of label {i}" for i in (0, 1)]
    assert names[2] == "RBM (exact, 3 held-out examples)"
    # Of vectors each has one, and there is no figure.
    vectors = rbm(condition_shape=(2,))
    assert evaluation.likelihood_rows(vectors, data, DATA, np.zeros((3, 2), "float32")) == []


# ---------------------------------------------------------------------------------- training


def train(model, epochs, **arguments):
    x = np.random.default_rng(0).integers(2, size=(24, 6))
    model.fit(x, batch_size=8, epochs=epochs, verbose=0, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["fpcd", *zoo.slow("pcd")])
def test_chains_go_on_where_a_saved_model_left_them(estimator, tmp_path):
    whole, halved = rbm(estimator=estimator), rbm(estimator=estimator)
    for model in (whole, halved):
        model.compile()
    train(whole, 4)
    train(halved, 2)
    halved.save(tmp_path / "model.keras")
    halved = keras.models.load_model(tmp_path / "model.keras")
    train(halved, 4, initial_epoch=2)
    for one, other in zip(whole.weights, halved.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["fpcd", *zoo.slow("pcd")])
def test_chains_are_the_same_on_two_replicas(strategy, estimator):
    models = [rbm(estimator=estimator)]
    with strategy.scope():
        models.append(rbm(estimator=estimator))
    for model in models:
        with model.distribute_strategy.scope():
            model.compile(keras.optimizers.SGD(0.1))
        train(model, 2)
    for one, two in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-5, err_msg=one.path)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "mcmc"}, "`estimator` must be one of .*; got 'mcmc'"),
        ({"hidden": "tanh"}, "`hidden` must be one of .*; got 'tanh'"),
        ({"hidden": "relu", "data_kind": "real"}, '`hidden` "relu" is for binary and uint8'),
        ({"estimator": "pcd", "num_classes": 2}, "`estimator` 'pcd' has chains that no condition"),
        ({"estimator": "pseudo_likelihood", "data_kind": "real"}, "needs binary data; got 'real'"),
        ({"num_hidden": 0}, "`hidden_units` must|`num_hidden` must"),
        ({"gibbs_steps": 0}, "`gibbs_steps` must"),
        ({"num_chains": 0}, "`num_chains` must"),
        ({"sample_steps": -1}, "`sample_steps` must"),
        ({"fast_rate": -1.0}, "`fast_rate` must"),
        ({"data_kind": "columns"}, "`data_kind` must be one of"),
        ({"condition_shape": (2, 2, 1)}, r"`condition_shape` must be \[features\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfgen.RBM(6, **arguments)


def test_bad_calls():
    model = rbm()
    for call, message in [
        (lambda: model.log_prob_unnormalised([[0.5] * 6]), "binary"),
        (lambda: model.energy(DATA, np.zeros((2, 4))), "rows|3"),
        (lambda: model.sample(2, num_steps=0), "`num_steps` must"),
        (lambda: model.sample(2, num_temperatures=0), "`num_temperatures` must"),
        (lambda: model.sample(2, from_data=DATA), "`from_data` must hold .* 2 chains; got 3"),
        (lambda: model.sample(3, from_data=DATA + 2), "binary"),
        (lambda: model.sample(3, from_data=DATA, num_temperatures=2), "`num_temperatures` must"),
        (lambda: model.sample(3, temperature=2.0, num_temperatures=2), "`num_temperatures` must"),
        (lambda: model.sample(3, temperature=-1.0), "`temperature` must"),
        (lambda: model.estimate_partition("exact"), "`method` must be one of"),
        (lambda: model.estimate_partition(num_chains=0), "`num_chains` must"),
        (lambda: ais(tfgen.VAE(4, 2)), "`model` must be a model of energies"),
        (lambda: rbm(21, 21).estimate_partition("enumeration"), "at most 20 units"),
        (lambda: rbm(condition_shape=(2,)).estimate_partition(), "needs no vectors"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_good_estimate_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rbm(scale=0.3).estimate_partition(num_chains=50, num_steps=200)


def test_draws_of_units_have_the_densities_means():
    """Of the noise of many rows, the mean of each kind of unit."""
    noise = row_uniform(as_seed(1), 0, 100_000, (1,), "float32")
    noise = tf.clip_by_value(noise, 1e-7, 1 - 1e-7)
    precision = tf.constant([4.0])
    for made, fields in [
        (units.Bernoulli(1), [[-1.0], [2.0]]),
        (units.Rectified(1), [[-20.0], [-3.0], [0.0], [4.0]]),
        (units.Normal(1), [[3.0]]),
        (units.Categorical(1, 3), [[0.0, 1.0, -1.0]]),
    ]:
        for field in tf.constant(fields):
            rows = tf.tile(field[None], [len(noise), 1])
            drawn = made.inputs(made.draw(noise, rows, precision)).numpy()
            expected = made.mean(field[None], precision)[0].numpy()
            error = 6 * drawn.std(0) / len(noise) ** 0.5 + 1e-6
            assert (np.abs(drawn.mean(0) - expected) < error).all(), (type(made), field)
            # As the gradient of the normaliser says.
            with tf.GradientTape() as tape:
                tape.watch(field)
                total = made.log_normaliser(field[None], precision)
            np.testing.assert_allclose(tape.gradient(total, field), expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["dbn", "dbm"])
def test_layers_in_turn_are_not_for_xla(name):
    """Neither by choice nor by itself, as on a GPU, where TensorFlow would end the process."""
    model = zoo.MODELS[name].build()
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile(jit_compile=True)
    assert not model.jit_compile
    assert tfgen.DBM(4, hidden_units=(3, 2)).supports_jit

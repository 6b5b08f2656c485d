"""The relatives of the GAN: how its critic sees conditions, and steps ahead of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import MLP
from tfgen.networks import Critic

ROWS = tf.constant([1, 2]), tf.constant(0, tf.int64), zoo.NUM_ROWS


def small(recipe, shape=4, **arguments):
    """A model of dense networks, of reals."""
    networks = {"decoder": MLP((8,), "elu"), "critic": MLP((8,), "elu"), "data_kind": "real"}
    return recipe(shape, **{"latent_dim": 2, **networks, **arguments})


# ------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("shape", [(4,), (4, 5, 1)])
def test_a_condition_stands_beside_the_inputs(shape):
    network = keras.Sequential([keras.layers.Flatten(), MLP((8,))])
    critic = Critic(network, conditioning="concatenation")
    critic.build((None, *shape), condition_shape=(None, 3))
    zoo.perturb(critic)
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(6, *shape)), rng.normal(size=(6, 3))
    planes = np.broadcast_to(c.reshape(6, *[1] * (len(shape) - 1), 3), (6, *shape[:-1], 3))
    expected = critic.head(network(np.concatenate([x, planes], -1)))[:, 0]
    np.testing.assert_allclose(critic(x, condition=c), expected, rtol=1e-5)


def test_a_condition_stands_beside_the_features():
    critic = Critic(MLP((8,)), conditioning="joint")
    critic.build((None, 4), condition_shape=(None, 3))
    zoo.perturb(critic)
    rng = np.random.default_rng(0)
    x, c = (rng.normal(size=(6, n)).astype("float32") for n in (4, 3))
    h = np.concatenate([critic.network(x), c], -1)
    for layer in critic.joint:
        h = h @ layer.kernel.numpy() + layer.bias.numpy()
        h = np.where(h > 0, h, 0.2 * h)
    expected = h @ critic.head.kernel.numpy()[:, 0] + critic.head.bias.numpy()
    np.testing.assert_allclose(critic(x, condition=c), expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", ["concatenation", "projection", "joint"])
def test_samples_follow_their_class(conditioning):
    """Three classes, apart by far more than their spread."""
    rng, centres = np.random.default_rng(0), np.array([[-2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    y = rng.integers(3, size=600)
    x = (centres[y] + 0.1 * rng.normal(size=(600, 2))).astype("float32")
    networks = {name: MLP((32, 32), "leaky_relu") for name in ("decoder", "critic")}
    model = small(tfgen.GAN, 2, num_classes=3, conditioning=conditioning, **networks)
    players = [keras.optimizers.Adam(2e-3, beta_1=0.5) for _ in range(2)]
    model.compile(players[0], critic_optimizer=players[1])
    model.fit(x, y, batch_size=60, epochs=30, verbose=0)
    samples = model.sample(60, np.arange(60) % 3, seed=0).numpy()
    nearest = np.linalg.norm(samples[:, None] - centres, axis=-1).argmin(-1)
    assert np.mean(nearest == np.arange(60) % 3) > 0.9


def test_bad_conditioning():
    with pytest.raises(ValueError, match="`conditioning` must be one of .* got 'film'"):
        small(tfgen.GAN, num_classes=2, conditioning="film")
    with pytest.raises(ValueError, match="`conditioning` needs a conditional model"):
        small(tfgen.GAN, conditioning="joint")
    with pytest.raises(ValueError, match="`conditioning` is the critic's own"):
        small(tfgen.GAN, num_classes=2, conditioning="joint", critic=Critic(MLP((4,))))
    model = small(tfgen.GAN, num_classes=3)
    with pytest.raises(ValueError, match=r"`y` must hold labels in 0..2; got values from -1 to 1"):
        model.compile()
        model.fit(np.zeros((3, 4)), [-1, 0, 1], verbose=0)


# ------------------------------------------------------------------------------- steps ahead


@keras.saving.register_keras_serializable(package="tests")
class Same(keras.layers.Layer):
    """Features that are the inputs."""

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_generator_looks_ahead(steps):
    """A linear critic of the Wasserstein game: `w' = w + rate * steps * (mean x - mean G)`, so the
    generator's loss ahead is `w' (mean x - mean G)`, a parabola in the mean of its samples."""
    model = small(
        tfgen.GAN, 1, critic=Same(), loss="wasserstein", unrolled_steps=steps, unrolled_rate=0.1
    )
    # Not standardised, or their mean would be 0.
    x, _ = zoo.make_data(model)
    zoo.perturb(model)
    noise = model._terms_noise(*ROWS)
    x = tf.constant(x)
    reals = tf.reduce_mean((x - model.x_loc) / model.x_scale)
    w = model.critic.head.kernel.numpy()[0, 0]
    weights = model.decoder.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_mean(model._terms(x, None, noise, training=True)["loss"])
        fakes = tf.reduce_mean(model._fakes(noise[1], None, training=True))
        ahead = w + 0.1 * steps * (reals - fakes)
        expected = -ahead * fakes + (ahead * reals if steps else 0)
    bias = 0 if steps else model.critic.head.bias.numpy()[0]
    np.testing.assert_allclose(loss, expected - bias, rtol=1e-4)
    pairs = zip(tape.gradient(loss, weights), tape.gradient(expected, weights), strict=True)
    for got, wanted in pairs:
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-6)
    # The steps are undone.
    np.testing.assert_array_equal(model.critic.head.kernel.numpy()[0, 0], w)


@pytest.mark.parametrize(
    "arguments", [{"loss": "wasserstein", "gradient_penalty": 1.0}, *zoo.slow({"weight_clip": 0.1})]
)
def test_steps_ahead_with_bounds_of_the_slope(arguments):
    model = small(tfgen.GAN, unrolled_steps=2, **arguments)
    x, _ = zoo.make_data(model)
    model.compile(jit_compile="weight_clip" in arguments)
    history = model.fit(x, batch_size=10, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    copy = tfgen.GAN.from_config(model.get_config())
    assert (copy.unrolled_steps, copy.unrolled_rate) == (2, 0.01)


def test_steps_ahead_of_a_critic_with_spectral_normalisation_leave_it():
    critic = Critic(tfgen.networks.ConvEncoder((4, 4), (2, 1), 3, False, True), spectral_norm=True)
    model = tfgen.GAN((8, 8, 1), 2, decoder="mlp", critic=critic, unrolled_steps=2)
    x, _ = zoo.make_data(model)
    before = [w.numpy() for w in model.critic.weights]
    terms = model._terms(tf.constant(x), None, model._terms_noise(*ROWS), training=True)
    assert np.isfinite(terms["loss"]).all()
    for weight, value in zip(model.critic.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)


@pytest.mark.parametrize("value", [-1, 1.5])
def test_bad_numbers_of_steps_ahead(value):
    with pytest.raises(ValueError, match="`unrolled_steps` must be"):
        small(tfgen.GAN, unrolled_steps=value)


# --------------------------------------------------------------------------- semi-supervised


def semi(**arguments):
    return small(tfgen.SemiSupervisedGAN, num_classes=3, **arguments)


def test_scores_are_those_of_any_class():
    """Salimans et al.: `D = Z / (Z + 1)`, the exponentials of the logits summed in `Z`."""
    model = zoo.perturb(semi())
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    logits, features = model.critic.logits_and_features(x)
    np.testing.assert_allclose(features, model.critic.network(x), rtol=1e-6)
    z = np.exp(logits).sum(-1)
    np.testing.assert_allclose(tf.sigmoid(model.critic_score(x)), z / (z + 1), rtol=1e-5)
    expected = np.exp(logits) / z[:, None]
    np.testing.assert_allclose(np.exp(model.class_log_probs(x)), expected, rtol=1e-4)
    np.testing.assert_array_equal(model.classify(x), expected.argmax(-1))


def test_only_labelled_examples_are_classified():
    model = zoo.perturb(semi(label_weight=3.0))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    y = np.array([-1, 2, -1, 0, 1, -1], np.int32)
    batch = {"x": tf.constant(x), "row": tf.range(6, dtype=tf.int64), "target": tf.constant(y)}
    terms = model._critic_terms(batch, tf.constant([1, 2]), training=True)
    expected = -model.class_log_probs(x).numpy()[[1, 3, 4], y[[1, 3, 4]]]
    np.testing.assert_allclose(terms["classification"].numpy()[[1, 3, 4]], 2 * expected, rtol=1e-4)
    np.testing.assert_array_equal(terms["classification"].numpy()[[0, 2, 5]], 0)
    total = terms["critic_loss"] + 3 * terms["classification"]
    np.testing.assert_allclose(terms["loss"], total, rtol=1e-5)
    # None of a batch.
    batch["target"] = tf.fill([6], -1)
    terms = model._critic_terms(batch, tf.constant([1, 2]), training=True)
    np.testing.assert_array_equal(terms["classification"], np.zeros(6))


def test_features_are_matched_by_their_means():
    model = zoo.perturb(semi(critic=Critic(Same(), num_classes=3)))
    # Not standardised, or their mean would be 0.
    x, _ = zoo.make_data(model)
    noise = model._terms_noise(*ROWS)
    terms = model._terms(tf.constant(x), None, noise, training=True)
    fakes = model._fakes(noise[1], None, training=True).numpy()
    reals = (x - model.x_loc.numpy()) / model.x_scale.numpy()
    expected = np.sum((fakes.mean(0) - reals.mean(0)) ** 2)
    np.testing.assert_allclose(terms["loss"], expected, rtol=1e-4)


@pytest.mark.slow
def test_classes_are_told_from_few_labels():
    """Three clusters, of which two examples each have a label."""
    rng, centres = np.random.default_rng(0), np.array([[-2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    y = rng.integers(3, size=600)
    x = (centres[y] + 0.3 * rng.normal(size=(600, 2))).astype("float32")
    few = np.full(len(y), -1)
    for label in range(3):
        few[np.flatnonzero(y == label)[:2]] = label
    networks = {name: MLP((32, 32), "leaky_relu") for name in ("decoder", "critic")}
    model = small(tfgen.SemiSupervisedGAN, 2, num_classes=3, **networks)
    model.compile(critic_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5))
    data = tfgen.data.repeat_labelled(x, few)
    model.fit(*data, batch_size=100, epochs=20, verbose=0)
    assert np.mean(model.classify(x).numpy() == y) > 0.95


def test_labels_of_a_semi_supervised_model():
    model, (x, _) = semi(), zoo.make_data(semi())
    model.compile(run_eagerly=True)
    y = np.resize([-1, 0, 2], len(x))
    for data in ((x, y), (tf.data.Dataset.from_tensor_slices((x, y)).batch(10),), (x,)):
        history = model.fit(*data, verbose=0).history
        assert (history["classification"][0] > 0) == (data[0] is not x or len(data) == 2)
    for wrong in (-2, 3):
        with pytest.raises(ValueError, match=r"`y` must hold labels in -1..2; got"):
            model.fit(x, np.full(len(x), wrong), verbose=0)
    with pytest.raises(ValueError, match="`condition` was given"):
        model.sample(3, condition=1)
    # Labels weigh, and what has none counts as it is.
    spec = model.data_spec
    weighed = spec.weigh(spec.batch((x[:3], y[:3])), {0: 5.0})
    assert weighed["sample_weight"].numpy().tolist() == [1.0, 5.0, 1.0]
    other = small(tfgen.GAN, num_classes=3)
    other.compile()
    with pytest.raises(ValueError, match="-1 to 2: leave rows .* as SemiSupervisedGAN does"):
        other.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"condition_shape": 2}, "`condition_shape` must be None"),
        ({"unrolled_steps": 2}, "`unrolled_steps` go with `feature_matching=False`"),
        ({"critic": Critic(MLP((4,)))}, "`critic` must have num_classes=3 .* got None"),
        ({"label_weight": -1.0}, "`label_weight` must be"),
    ],
)
def test_bad_arguments_of_a_semi_supervised_model(arguments, message):
    with pytest.raises(ValueError, match=message):
        semi(**arguments)


def test_repeated_labels():
    x, y = np.arange(100), np.full(100, -1)
    y[[3, 50]] = 7, 8
    for share in (0.2, 0.5):
        more, labels = tfgen.data.repeat_labelled(x, y, share)
        np.testing.assert_allclose(np.mean(labels >= 0), share, atol=0.01)
        assert set(more) == set(x) and (y[more] == labels).all()
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="`share` must lie in"):
            tfgen.data.repeat_labelled(x, y, share)
    with pytest.raises(ValueError, match="`y` must have some label"):
        tfgen.data.repeat_labelled(x, np.full(100, -1))


# ------------------------------------------------------------------------------------ BiGAN


def bigan(shape=4, **arguments):
    return small(tfgen.BiGAN, shape, **{"encoder": MLP((8,), "elu"), **arguments})


def test_the_critic_sees_latents_beside_examples():
    case = zoo.untrained("bigan")
    model, (x, y, (_, for_fakes, (for_reals, _))) = case.model, case.tensors()
    reals = model._reals(x, y, for_reals, training=False).numpy()
    size = model.num_dims
    dequantised = model._observed.dequantised(x, for_reals[0]).numpy().reshape(-1, size)
    np.testing.assert_allclose(reals[:, :size], dequantised)
    z, _ = model.posterior.sample(for_reals[1], model._encoded(x, y))
    np.testing.assert_allclose(reals[:, size:], z)
    fakes = model._fakes(for_fakes, y, training=False).numpy()
    np.testing.assert_allclose(fakes[:, size:], model.prior.sample(for_fakes[0]))
    decoded = model.decode(fakes[:, size:], y).numpy().reshape(-1, size)
    np.testing.assert_allclose((fakes[:, :size] + 1) * 128, decoded, atol=1.01)
    # Latents count, as do classes.
    score = model._score(tf.constant(reals), y, training=False)
    for other in (np.concatenate([reals[:, :size], reals[::-1, size:]], 1), reals):
        labels = y if other is not reals else (y + 1) % 2
        assert not np.allclose(model._score(tf.constant(other), labels, training=False), score)


@pytest.mark.parametrize("posterior", ["deterministic", "normal"])
def test_both_sides_of_the_game_of_pairs(posterior):
    """`-ln D(fake) - ln(1 - D(real))`, with gradients of encoder and generator."""
    model = zoo.perturb(bigan(posterior=posterior))
    x = tf.constant(zoo.make_data(model)[0])
    noise = model._terms_noise(*ROWS)
    with tf.GradientTape() as tape:
        loss = model._terms(x, None, noise, training=True)["loss"]
    seen = model._reals(x, None, noise[2][0], True), model._fakes(noise[1], None, True)
    real, fake = (model._score(pairs, None, False).numpy() for pairs in seen)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-fake)) + np.log1p(np.exp(real)), rtol=1e-4)
    weights = model.encoder.trainable_variables + model.decoder.trainable_variables
    assert all(np.any(g != 0) for g in tape.gradient(loss, weights))


@pytest.mark.slow
@pytest.mark.parametrize("posterior", ["deterministic", "normal"])
def test_encoder_and_generator_invert_each_other(posterior):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 2)).astype("float32") * [1.0, 0.3]
    x = x @ np.array([[0.8, 0.6], [-0.6, 0.8]], "float32")
    networks = {name: MLP((64, 64), "leaky_relu") for name in ("encoder", "decoder", "critic")}
    model = bigan(2, posterior=posterior, **networks)
    model.compile(
        keras.optimizers.Adam(1e-3, beta_1=0.5),
        critic_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
    )
    before = np.mean((model.reconstruct(x) - x) ** 2)
    model.fit(x, batch_size=100, epochs=40, verbose=0)
    error = np.mean((model.reconstruct(x) - x) ** 2)
    assert error < 0.25 * min(before, np.mean((x - x.mean(0)) ** 2))
    z = model.encode(x).numpy()
    assert abs(z.std(0) - 1).max() < 0.5 or posterior == "normal"


@pytest.mark.parametrize("arguments", [{"gradient_penalty": 1.0}, {"unrolled_steps": 1}])
def test_pairs_in_the_other_games(arguments):
    model = bigan(**arguments)
    x, _ = zoo.make_data(model)
    model.compile(run_eagerly=True)
    history = model.fit(x, batch_size=10, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


def test_draws_of_an_encoder():
    model = zoo.untrained("bigan").model
    x, y = zoo.untrained("bigan").some(3)
    np.testing.assert_array_equal(model.encode(x, y), model.encode(x, y))
    first, again, other = (model.encode(x, y, sample=True, seed=s).numpy() for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    with pytest.raises(ValueError, match="`posterior` must be"):
        bigan(posterior="uniform")


# ------------------------------------------------------------------------------- hard data


@pytest.mark.parametrize("data", ["one row", *zoo.slow("black")])
@pytest.mark.parametrize("name", ["bigan", *zoo.slow("unrolled", "semi_supervised_gan")])
def test_hard_data(name, data):
    """200 steps with a critic that wins outright."""
    more = {"unrolled": {"unrolled_steps": 2}}.get(name, {})
    if name == "semi_supervised_gan":
        model = zoo.adversarial(tfgen.SemiSupervisedGAN, (4, 4, 1), conv=True, num_classes=2)
    else:
        recipe = tfgen.BiGAN if name == "bigan" else tfgen.GAN
        model = zoo.adversarial(recipe, (4, 4, 1), conv=recipe is tfgen.GAN, **more)
    model.compile(critic_optimizer=keras.optimizers.Adam(1e-2), steps_per_execution=50)
    x, _ = zoo.make_data(model, num_rows=8)
    size = 1 if data == "one row" else 8
    x = x[:size] if data == "one row" else np.zeros_like(x)
    history = model.fit(x, batch_size=size, epochs=2, steps_per_epoch=100, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(w.numpy()).all() for w in model.weights)

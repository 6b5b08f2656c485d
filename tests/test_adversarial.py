"""Adversarial training: both players, what each one's gradients reach, and what is hard on them."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import MLP
from tfgen.networks import Critic
from tfgen.networks import MinibatchFeatures
from tfgen.objectives import critic_loss
from tfgen.objectives import generator_loss
from tfgen.objectives import gradient_penalty

ROWS = tf.constant([1, 2]), tf.constant(0, tf.int64), zoo.NUM_ROWS


def small(recipe, shape=(4, 4, 1), **arguments):
    """A model of dense networks."""
    networks = {"decoder": "mlp", "critic": "mlp"}
    if issubclass(recipe, tfgen.VAE):
        networks["encoder"] = "mlp"
    return recipe(shape, latent_dim=2, **{**networks, **arguments})


# --------------------------------------------------------------------------------- objectives


def test_losses_are_the_papers():
    real, fake = tf.constant([0.3, -2.0]), tf.constant([1.5, -0.7])
    d_real, d_fake = (1 / (1 + np.exp(-s)) for s in (real, fake))
    expected = -np.log(d_real) - np.log(1 - d_fake)
    for loss in ("log_ratio", "non_saturating"):
        np.testing.assert_allclose(critic_loss(real, fake, loss), expected, rtol=1e-5)
    np.testing.assert_allclose(critic_loss(real, fake, "wasserstein"), fake - real)
    np.testing.assert_allclose(generator_loss(fake), -np.log(d_fake / (1 - d_fake)), rtol=1e-5)
    np.testing.assert_allclose(generator_loss(fake, "non_saturating"), -np.log(d_fake), rtol=1e-5)
    np.testing.assert_allclose(generator_loss(fake, "wasserstein"), -fake)


def test_the_best_critic_gives_the_reverse_divergence():
    """Lucas et al.: `L_Q = KL(p_model | p_data)`, at the score `ln p_data - ln p_model`."""
    rng = np.random.default_rng(0)
    model, data = (0.5, 0.8), (0.0, 1.0)

    def log_prob(x, of):
        return -0.5 * ((x - of[0]) / of[1]) ** 2 - np.log(of[1])

    x = rng.normal(*model, size=400_000)
    score = tf.constant(log_prob(x, data) - log_prob(x, model))
    expected = np.log(1 / 0.8) + (0.8**2 + 0.5**2) / 2 - 0.5
    np.testing.assert_allclose(np.mean(generator_loss(score)), expected, atol=5e-3)


def test_gradient_penalty_is_between_the_pairs():
    real, fake = tf.constant([[1.0, 0.0], [2.0, 2.0]]), tf.constant([[0.0, 0.0], [0.0, 0.0]])
    # The gradient of |x|^2 is 2 x.
    penalty = gradient_penalty(
        lambda x: tf.reduce_sum(x**2, 1), real, fake, tf.constant([0.25, 0.5])
    )
    expected = [(2 * 0.25 - 1) ** 2, (2 * np.sqrt(2.0) - 1) ** 2]
    np.testing.assert_allclose(penalty, expected, rtol=1e-6)
    slope = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        total = gradient_penalty(lambda x: slope * x[:, 0], real, fake, tf.constant([0.5, 0.5]))
    np.testing.assert_allclose(total, [1.0, 1.0], rtol=1e-5)
    assert np.isfinite(tape.gradient(total, slope))


# ------------------------------------------------------------------------------------ networks


def test_minibatch_features_by_hand():
    layer = MinibatchFeatures(2, num_values=3)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    got = layer(x).numpy()
    values = (x @ layer.compared.kernel.numpy()).reshape(5, 2, 3)
    for i in range(5):
        expected = sum(np.exp(-np.abs(values[i] - values[j]).sum(-1)) for j in range(5))
        np.testing.assert_allclose(got[i], [*x[i], *expected], rtol=1e-4)


def test_minibatch_features_reach_the_score():
    model = small(tfgen.GAN, minibatch_features=3)
    x, _ = zoo.make_data(model)
    alone = model.critic_score(x[:1]).numpy()
    assert (model.critic_score(x).numpy()[:1] != alone).all()
    copy = tfgen.GAN.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.critic_score(x), model.critic_score(x))


def test_a_condition_moves_the_score_by_the_features():
    critic = Critic(MLP((8,)))
    critic.build((None, 4), condition_shape=(None, 3))
    zoo.perturb(critic)
    rng = np.random.default_rng(0)
    x, condition = (rng.normal(size=(5, n)).astype("float32") for n in (4, 3))
    features = critic.network(x).numpy()
    weights = condition @ critic.of_condition.kernel.numpy()
    expected = critic.head(features).numpy()[:, 0] + (weights * features).sum(1)
    np.testing.assert_allclose(critic(x, condition=condition), expected, rtol=1e-4)


SMALL_CRITICS = {
    "conv": lambda: tfgen.networks.ConvEncoder((4, 4), (2, 1), 3, False, True),
    "resnet": lambda: tfgen.networks.ResNetEncoder((4, 4), 1, 8, True, False),
}


@pytest.mark.parametrize(
    "network, trained",
    [("conv", True), ("resnet", False), pytest.param("resnet", True, marks=pytest.mark.slow)],
)
def test_critics_of_images_have_spectral_normalisation(network, trained):
    for critic in (network, Critic(SMALL_CRITICS[network](), spectral_norm=True)):
        model = small(tfgen.GAN, (8, 8, 1), critic=critic)
        normed = [
            part
            for part in model.critic._flatten_layers()
            if isinstance(part, keras.layers.SpectralNormalization)
        ]
        kernels = [w for w in model.critic.trainable_variables if w.path.endswith("kernel")]
        assert {id(part.kernel) for part in normed} == {id(kernel) for kernel in kernels}
    if trained:
        # The small one.
        model.compile()
        model.fit(zoo.make_data(model)[0], batch_size=10, epochs=10, verbose=0)
        for kernel in kernels:
            largest = np.linalg.norm(kernel.numpy().reshape(-1, kernel.shape[-1]), 2)
            assert 0.8 < largest < 1.3
    plain = small(tfgen.WGAN, (8, 8, 1), critic=network)
    assert not any(
        isinstance(part, keras.layers.SpectralNormalization)
        for part in plain.critic._flatten_layers()
    )


# -------------------------------------------------------------------------------- the two players


@pytest.mark.parametrize(
    "recipe, without, observation",
    [
        pytest.param(tfgen.CQ, tfgen.VAE, lambda: "normal", marks=pytest.mark.slow),
        (tfgen.CQF, tfgen.VAEF, zoo.pixel_flow),
    ],
)
def test_without_the_adversarial_weight_it_is_the_vae_step_for_step(recipe, without, observation):
    models, histories = [], []
    for build in (functools.partial(recipe, critic="mlp", adversarial_weight=0.0), without):
        keras.utils.set_random_seed(0)
        parts = {"encoder": "mlp", "decoder": "mlp", "observation": observation()}
        models.append(build((4, 4, 1), latent_dim=2, data_kind="uint8", **parts))
        x, _ = zoo.make_data(models[0])
        # A graph is rounded as what else it holds makes it.
        models[-1].compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
        histories.append(models[-1].fit(x, batch_size=8, verbose=0).history)
    for a, b in zip(models[0].trainable_variables, models[1].trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    for term, values in histories[1].items():
        np.testing.assert_array_equal(histories[0][term], values)


def test_without_the_adversarial_weight_samples_leave_no_trace():
    """Averages, seeds and losses that the decoder's layers keep are as without samples."""
    models, critic = [], regularised_critic()
    for recipe in (tfgen.CQ, tfgen.VAE):
        keras.utils.set_random_seed(0)
        decoder = [
            keras.layers.Dense(8, activity_regularizer=keras.regularizers.L2(0.1)),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=0),
        ]
        arguments = {"decoder": keras.Sequential(decoder), "encoder": MLP((8,))}
        if recipe is tfgen.CQ:
            arguments |= {"adversarial_weight": 0.0, "critic": critic}
        models.append(recipe(2, 2, observation="normal", data_kind="real", **arguments))
        models[-1].compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        x, _ = zoo.make_data(models[-1])
        history = models[-1].fit(x, batch_size=8, verbose=0).history
    ours, theirs = models
    for name in ("encoder", "decoder", "observation"):
        weights = zip(getattr(ours, name).weights, getattr(theirs, name).weights, strict=True)
        for a, b in weights:
            np.testing.assert_array_equal(a, b, err_msg=a.path)
    np.testing.assert_array_equal(ours.history.history["loss"], history["loss"])


def regularised_critic():
    return keras.Sequential(
        [keras.layers.Dense(8, "elu", activity_regularizer=keras.regularizers.L2(100.0))]
    )


@pytest.mark.parametrize("gradient_penalty", [0.0, 1e-6])
def test_losses_of_the_critics_layers_are_the_critics(gradient_penalty):
    arguments = {"critic": regularised_critic(), "gradient_penalty": gradient_penalty}
    model = small(tfgen.GAN, 2, data_kind="real", **arguments)
    model.compile(critic_optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    history = model.fit(zoo.make_data(model)[0], verbose=0).history
    np.testing.assert_allclose(history["loss"], history["adversarial"], rtol=1e-6)
    x, seed = tf.constant(zoo.make_data(model)[0], tf.float32), tf.constant([1, 2])
    batch = {"x": x, "row": tf.range(len(x), dtype=tf.int64)}
    total = model._loss(model.players[1], batch, seed, training=True)
    found = sum(model.critic.losses)
    noise = model._fake_noise(seed, tf.constant(0, tf.int64), len(x))
    fakes = model._fakes(noise, None, training=True)
    reals = (x - model.x_loc) / model.x_scale
    logged = critic_loss(model.critic(reals), model.critic(fakes))
    np.testing.assert_allclose(found, sum(model.critic.losses), rtol=1e-5)
    np.testing.assert_allclose(total, np.mean(logged) + found, rtol=1e-4)
    assert total > 2 * np.mean(logged)


@pytest.mark.parametrize("critic", ["conv", "resnet"])
def test_a_frozen_critic_stays(critic):
    model = small(tfgen.GAN, (8, 8, 1), critic=critic)
    model.critic.trainable = False
    model.compile(run_eagerly=True)
    before = [w.numpy() for w in model.critic.weights]
    model.fit(zoo.make_data(model)[0], verbose=0)
    for weight, value in zip(model.critic.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)


def test_every_weight_is_counted():
    model = small(tfgen.CQ, (8, 8, 1), critic="conv")
    for kind in ("weights", "variables"):
        own = getattr(model, f"trainable_{kind}"), getattr(model, f"non_trainable_{kind}")
        found = [id(weight) for weights in own for weight in weights]
        assert len(found) == len(set(found))
        assert set(found) >= {id(weight) for weight in model.weights}
    lines = []
    model.summary(print_fn=lines.append)
    assert f"{model.count_params():,}" in next(s for s in lines if "Total" in s or "params" in s)


def test_what_each_players_gradients_reach():
    case = zoo.untrained("cqf")
    model = case.model
    x, y, noise = case.tensors()
    with tf.GradientTape(persistent=True) as tape:
        adversarial = model._terms(x, y, noise, training=True)["adversarial"]
        batch = {"x": x, "row": tf.range(len(x), dtype=tf.int64)}
        of_critic = model._loss(model.players[1], batch, tf.constant([1, 2]), training=True)
    inference = model.encoder.trainable_variables + model.posterior.trainable_variables
    generation = model.decoder.trainable_variables + model.observation.trainable_variables
    assert inference and all(g is None for g in tape.gradient(adversarial, inference))
    for weight, gradient in zip(generation, tape.gradient(adversarial, generation), strict=True):
        assert gradient is not None and np.any(gradient != 0), weight.path
    assert all(g is None for g in tape.gradient(of_critic, model.trainable_variables))
    critic = model.critic.trainable_variables
    assert critic and all(np.any(g != 0) for g in tape.gradient(of_critic, critic))


def test_a_generators_features_of_labels_do_not_learn_from_the_critic():
    case = zoo.untrained("cq")
    with tf.GradientTape() as tape:
        score = case.model._score(tf.cast(case.x, tf.float32), tf.constant(case.y), training=False)
    assert tape.gradient(score, case.model.embedding.kernel) is None


def test_the_critic_is_no_part_of_what_the_optimizer_trains():
    model = small(tfgen.GAN)
    own = {id(v) for v in model.trainable_variables}
    critics = {id(v) for v in model.critic.trainable_variables}
    assert own and critics and not own & critics
    assert own | critics <= {id(v) for v in model.weights}
    still, moved = keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1)
    model.compile(still, critic_optimizer=moved, run_eagerly=True)
    before = [[v.numpy() for v in vs] for vs in (model.trainable_variables, model.critic.weights)]
    model.fit(zoo.make_data(model)[0], verbose=0)
    for a, b in zip(model.trainable_variables, before[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a.numpy() != b).any() for a, b in zip(model.critic.weights, before[1], strict=True))


def test_steps_of_the_critic(monkeypatch):
    """Steps of the critic come before the generator's."""
    model, moves = small(tfgen.GAN), []
    model.compile(critic_steps=3, run_eagerly=True)

    def recorded(name, apply):
        return lambda *args: (moves.append(name), apply(*args))

    for name in ("optimizer", "critic_optimizer"):
        optimizer = getattr(model, name)
        monkeypatch.setattr(optimizer, "apply", recorded(name, optimizer.apply))
    model.fit(zoo.make_data(model)[0], batch_size=10, verbose=0)
    assert moves == 2 * [*3 * ["critic_optimizer"], "optimizer"]
    assert int(model.critic_optimizer.iterations) == 6
    assert int(model.optimizer.iterations) == int(model.steps_taken) == 2


def test_the_critic_sees_no_grid():
    """Dequantised examples, in the range of samples that are not rounded."""
    for name in ("gan_images", "cqf"):
        case = zoo.untrained(name)
        model, x = case.model, case.x
        noise, _ = model._game_noise(*ROWS)
        reals = model._reals(tf.constant(x), None, noise, training=False).numpy()
        levels = (reals + 1) * 2 ** (model.num_bits - 1)
        step = 256 >> model.num_bits
        np.testing.assert_array_equal(np.floor(levels + 1e-4) * step, x // step * step)
        assert len(np.unique(levels % 1)) > 0.5 * levels.size
        fakes = model._fakes(model._fake_noise(*ROWS), case.tensors()[1], training=False)
        assert len(np.unique(fakes)) > 0.5 * fakes.numpy().size
    # Rounded, they are the samples.
    case = zoo.untrained("gan_images")
    y = case.tensors()[1]
    noise = case.model._sample_noise(*ROWS)
    fakes = (case.model._fakes(noise, y, training=False) + 1) * 16
    samples = case.model._generate(noise, y, 1.0)
    np.testing.assert_array_equal(samples, np.clip(np.floor(fakes), 0, 31) * 8)


def test_clipped_weights_stay_in_their_range():
    model = zoo.MODELS["wgan_clipped"].build()
    model.compile(critic_optimizer=keras.optimizers.SGD(10.0), critic_steps=1)
    model.fit(zoo.make_data(model)[0], batch_size=zoo.BATCH_SIZE, epochs=zoo.EPOCHS, verbose=0)
    largest = max(np.abs(v.numpy()).max() for v in model.critic.trainable_variables)
    np.testing.assert_allclose(largest, 0.1)


# ------------------------------------------------------------------------------- how it is trained


# By default `test_training` trains under XLA, and `test_contract` compiles a critic.
@pytest.mark.parametrize("name", zoo.slow("gan_images", "cqf"))
def test_trains_under_xla(name):
    case = zoo.case(name)
    model = case.entry.build()
    # Of one shape only, and with as few steps of the critic as show that there are several.
    model.compile(jit_compile=True, critic_steps=2)
    x, y = case.some(zoo.BATCH_SIZE)
    history = model.fit(x, y, batch_size=zoo.BATCH_SIZE, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["critic_loss"]).all()


def test_both_optimizers_are_saved(tmp_path):
    case = zoo.untrained("cq")
    model = case.entry.build()
    model.compile(keras.optimizers.Adam(2e-3, use_ema=True), critic_steps=2, run_eagerly=True)
    case.fit(model, callbacks=[keras.callbacks.SwapEMAWeights()], epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.critic_steps == 2
    for name in ("optimizer", "critic_optimizer"):
        own, other = getattr(model, name), getattr(loaded, name)
        assert own.get_config() == other.get_config()
        for a, b in zip(own.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_a_preset_keeps_both_optimizers(tmp_path):
    model = small(tfgen.WGAN)
    model.compile("sgd", critic_optimizer=keras.optimizers.Adam(0.3), critic_steps=4)
    model.save_to_preset(tmp_path)
    copy = tfgen.GenerativeModel.from_preset(tmp_path)
    assert copy.critic_steps == 4
    assert float(copy.critic_optimizer.learning_rate) == np.float32(0.3)


@pytest.mark.parametrize(
    "recipe, data",
    [(tfgen.GAN, "one row")]
    + [
        pytest.param(tfgen.CQF, "black", marks=pytest.mark.slow),
        pytest.param(tfgen.WGAN, "black", marks=pytest.mark.slow),
        pytest.param(tfgen.CQ, "black", marks=pytest.mark.slow),
        pytest.param(tfgen.GAN, "black", marks=pytest.mark.slow),
        pytest.param(tfgen.WGAN, "one row", marks=pytest.mark.slow),
        pytest.param(tfgen.CQ, "one row", marks=pytest.mark.slow),
        pytest.param(tfgen.CQF, "one row", marks=pytest.mark.slow),
    ],
)
def test_hard_data(recipe, data):
    """200 steps with a critic that wins outright."""
    parts = {"observation": zoo.pixel_flow} if recipe is tfgen.CQF else {}
    parts["conv"] = recipe is not tfgen.WGAN
    model = zoo.adversarial(recipe, (4, 4, 1), **parts)
    model.compile(critic_optimizer=keras.optimizers.Adam(1e-2), steps_per_execution=50)
    x, _ = zoo.make_data(model, num_rows=8)
    size = 1 if data == "one row" else 8
    x = x[:size] if data == "one row" else np.zeros_like(x)
    history = model.fit(x, batch_size=size, epochs=2, steps_per_epoch=100, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(w.numpy()).all() for w in model.weights)


# ----------------------------------------------------------------------------------- combinations

OBSERVATIONS = {
    "normal": {"observation": "normal", "data_kind": "real"},
    "pixels": {"observation": "normal"},
    "flow": {"observation": zoo.pixel_flow},
}


@pytest.mark.parametrize("posterior", ["iaf", *zoo.slow("normal")])
@pytest.mark.parametrize("prior", ["af", *zoo.slow("normal")])
# The entry `cqf` has the flow over pixels.
@pytest.mark.parametrize("observation", ["pixels", *zoo.slow("normal", "flow")])
def test_every_combination(posterior, prior, observation, tmp_path):
    parts = {"posterior": zoo.iaf_posterior if posterior == "iaf" else "normal"}
    parts["prior"] = zoo.af_prior if prior == "af" else "normal"
    model = zoo.adversarial(tfgen.CQ, (4, 4, 1), **parts, **OBSERVATIONS[observation])
    model.compile(run_eagerly=True)
    x, _ = zoo.make_data(model)
    history = model.fit(x, batch_size=10, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert np.isfinite(model.log_prob(x)).all()
    assert model.sample(3).shape == (3, 4, 4, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(zoo.eager_outputs(loaded, x), zoo.eager_outputs(model, x))


# --------------------------------------------------------------------------------- from_generator


def test_a_generator_of_vectors_of_bytes_and_the_recipes_posterior():
    gan = small(tfgen.GAN, 5)
    model = tfgen.IAFVAE.from_generator(gan, encoder="mlp")
    assert isinstance(model.posterior, tfgen.distributions.IAFPosterior)
    assert np.isfinite(model.log_prob(zoo.make_data(model)[0])).all()
    z = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_array_equal(model.decode(z), gan.decode(z))
    for name, value in (("prior", "af"), ("fitted_latents", "student_t")):
        with pytest.raises(ValueError, match=f"`{name}` is the generator's; got '{value}'"):
            tfgen.VAE.from_generator(gan, **{name: value})


@pytest.mark.parametrize("name", ["gan", *zoo.slow("gan_images")])
def test_an_encoder_is_trained_to_a_generator_that_stays(name, tmp_path):
    case = zoo.case(name)
    gan = case.model
    model = tfgen.VAE.from_generator(gan, encoder="mlp")
    z = np.random.default_rng(0).normal(size=(len(case.x), 2))
    decoded = gan.decode(z, case.y)
    np.testing.assert_array_equal(model.decode(z, case.y), decoded)
    model.compile(keras.optimizers.Adam(1e-2))
    before = np.mean(model.log_prob(case.x, case.y))
    model.fit(case.x, case.y, epochs=30, verbose=0)
    assert np.mean(model.log_prob(case.x, case.y)) > before
    np.testing.assert_array_equal(model.decode(z, case.y), decoded)
    assert (model.observation.element.log_scale.numpy() != 0).all()
    assert not set(map(id, model.trainable_variables)) & set(map(id, model.decoder.weights))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        zoo.eager_outputs(loaded, case.x, case.y), zoo.eager_outputs(model, case.x, case.y)
    )
    paths = len(model.trainable_variables), len(loaded.trainable_variables)
    assert paths[0] == paths[1]


def test_a_frozen_generator_is_not_initialised_again():
    sizes = {"num_blocks": 1, "units": 8}
    decoder = tfgen.networks.ResNetDecoder((8, 8), (4, 4), **sizes)
    gan = small(tfgen.GAN, (8, 8, 1), decoder=decoder)
    x, _ = zoo.make_data(gan)
    before = [w.numpy() for w in gan.decoder.weights]
    gan.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    gan.fit(x, verbose=0)
    gains = [w for w in gan.decoder.weights if w.path.endswith("gain")]
    assert gains
    changed = [(a.numpy() != b).any() for a, b in zip(gan.decoder.weights, before, strict=True)]
    assert sum(changed) >= len(gains)
    z = np.zeros((2, 2))
    encoder = tfgen.networks.ResNetEncoder((4, 4), **sizes)
    model = tfgen.VAEF.from_generator(gan, encoder=encoder, name="of_gan")
    model.compile(run_eagerly=True)
    model.fit(x, verbose=0)
    np.testing.assert_array_equal(model.decode(z), gan.decode(z))


def test_a_generator_must_generate_one_example():
    with pytest.raises(ValueError, match="`generator` must make one example .* got a Autoencoder"):
        tfgen.VAE.from_generator(tfgen.Autoencoder(3, 2))
    with pytest.raises(ValueError, match="`generator` must make one example .* got a CQ"):
        tfgen.VAE.from_generator(small(tfgen.CQ))
    with pytest.raises(ValueError, match="`generator`"):
        tfgen.VAE.from_generator("gan")


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight_clip": 0.0}, "`weight_clip` must be .*; got 0"),
        ({"loss": "hinge"}, "`loss` must be one of .*'log_ratio'.* got 'hinge'"),
        ({"critic": "transformer"}, "`critic` must be one of .* or a Keras layer; got 'transf"),
        ({"critic": keras.layers.Conv2D(3, 3)}, r"`critic` must give features \[batch, size\]"),
        ({"gradient_penalty": -1.0}, "`gradient_penalty` must be .*; got -1.0"),
        ({"weight_clip": -0.1}, "`weight_clip` must be .*; got -0.1"),
        ({"minibatch_features": -1}, "`minibatch_features` must be .*; got -1"),
        (
            {"critic": Critic(MLP((4,))), "minibatch_features": 2},
            "`minibatch_features` is the critic's own",
        ),
        (
            {
                "critic": keras.Sequential(
                    [keras.layers.Flatten(), keras.layers.Dense(4, kernel_constraint="non_neg")]
                ),
                "weight_clip": 0.1,
            },
            "`critic` must have no constraints where `weight_clip` is given",
        ),
        ({"prior": "mixture"}, "`prior` must be one whose samples have a gradient.*GaussianMix"),
        ({"data_kind": "text"}, '`data_kind` must be "uint8", "real" or "binary"; got \'text\''),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(tfgen.GAN, **arguments)


def test_players_share_no_layer():
    network = MLP((8,))
    with pytest.raises(ValueError, match="`encoder` and `critic` must share no layer"):
        small(tfgen.CQ, 4, encoder=network, critic=network, data_kind="real")


def test_a_prior_that_is_not_trained_needs_no_gradient():
    prior = tfgen.distributions.GaussianMixture(3)
    prior.trainable = False
    model = small(tfgen.GAN, prior=prior)
    model.compile(run_eagerly=True)
    history = model.fit(zoo.make_data(model)[0], verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_bad_observations():
    with pytest.raises(ValueError, match="`observation` must be one whose samples have a gradient"):
        small(tfgen.CQ, observation="logistic")
    pixels = tfgen.distributions.PixelFlow(
        tfgen.bijectors.Chain([]), element=tfgen.distributions.Deterministic()
    )
    with pytest.raises(ValueError, match="`observation` must have a density; got a PixelFlow of"):
        small(tfgen.CQ, observation=pixels)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"critic_steps": 0}, "`critic_steps` must be .*; got 0"),
        ({"critic_optimizer": "descent"}, "`critic_optimizer` .*descent"),
        ({"critic_optimizer": 3}, "`critic_optimizer`"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(tfgen.GAN).compile(**arguments)


def test_one_optimizer_is_not_for_both():
    for policy in ("float32", "mixed_float16"):
        optimizer = keras.optimizers.Adam()
        with pytest.raises(ValueError, match="`critic_optimizer` must be another one"):
            small(tfgen.GAN, dtype=policy).compile(optimizer, critic_optimizer=optimizer)


def test_no_likelihood():
    model = small(tfgen.GAN)
    with pytest.raises(NotImplementedError, match="GAN has no likelihood: judge it by its samples"):
        model.log_prob(np.zeros((1, 4, 4, 1)))

"""Latent-variable models: closed forms, the objective, every combination of parts."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
import zoo

import tfgen
from tfgen import bijectors
from tfgen import distributions
from tfgen import objectives
from tfgen.models.latent.standardised import Standardised
from tfgen.utils.random import as_seed
from tfgen.utils.random import fold_in

ROWS = tf.constant([1, 2]), tf.constant(0, tf.int64)


# -------------------------------------------------------------------------------- closed forms

LOADINGS, SCALE = np.array([[2.0, 0.0], [0.0, 1.5], [1.0, 0.0], [0.0, -0.5]]), 0.7


def linear_gaussian(error=0.0):
    """`x = W z + noise` with orthogonal columns, whose true posterior a dense layer gives; `error`
    is what the posterior's mean is off by."""
    model = tfgen.VAE(
        4,
        latent_dim=2,
        encoder=keras.layers.Identity(),
        decoder=keras.layers.Identity(),
        observation=distributions.Normal(SCALE),
    )
    precision = 1 + (LOADINGS**2).sum(0) / SCALE**2
    to_mean = LOADINGS / SCALE**2 / precision
    raw = np.log(np.expm1(precision**-0.5 - 1e-4)) - np.log(np.e - 1)
    model.posterior.head.kernel.assign(np.concatenate([to_mean, np.zeros((4, 2))], 1))
    model.posterior.head.bias.assign(np.concatenate([np.full(2, error), raw]))
    model.observation.head.layer.kernel.assign(LOADINGS.T)
    covariance = LOADINGS @ LOADINGS.T + SCALE**2 * np.eye(4)
    return model, scipy.stats.multivariate_normal(np.zeros(4), covariance)


def test_the_true_posterior_gives_the_likelihood():
    model, marginal = linear_gaussian()
    x = marginal.rvs(50, random_state=0)
    for seed in (0, 1):
        np.testing.assert_allclose(model.log_prob(x, seed=seed), marginal.logpdf(x), atol=1e-3)


def test_bounds_of_a_wrong_posterior():
    model, marginal = linear_gaussian(error=0.3)
    x = marginal.rvs(40, random_state=0)
    exact = marginal.logpdf(x)
    elbo = np.mean([model.log_prob(x, seed=s) for s in range(200)], 0)
    few = np.mean([model.estimate_log_prob(x, 5, seed=s) for s in range(40)], 0)
    many = model.estimate_log_prob(x, 20_000)
    assert elbo.mean() < few.mean() - 0.02 < exact.mean() - 0.02
    np.testing.assert_allclose(many, exact, atol=0.1)
    np.testing.assert_allclose(np.mean(many), exact.mean(), atol=0.01)
    # Each draw counts once.
    draws = [model.log_prob(x, seed=fold_in(as_seed(3), i)) for i in range(2)]
    two = model.estimate_log_prob(x, 2, seed=3)
    np.testing.assert_allclose(two, np.logaddexp(*draws) - np.log(2), rtol=1e-4)
    # The gap is the divergence from the true posterior (Chen et al. 2017, eq. 9).
    precision = 1 + (LOADINGS**2).sum(0) / SCALE**2
    gap = 0.5 * (0.3**2 * precision).sum()
    np.testing.assert_allclose(exact.mean() - elbo.mean(), gap, rtol=0.1)


def test_an_af_prior_is_an_iaf_posterior():
    """Chen et al. 2017, eq. 12 to 14: `z = f(e)`, with the noise `e` as the latent."""
    prior = distributions.autoregressive_flow(2, (8,), transform="affine")
    model = zoo.perturb(zoo.vae(tfgen.VAE, prior=prior, observation="bernoulli"), scale=0.5)
    posterior = distributions.IAFPosterior(
        bijector=bijectors.Invert(prior.bijector), context_size=0
    )
    x = tf.constant(np.random.default_rng(0).integers(2, size=(20, 4)))
    noise = model._log_prob_noise(*ROWS, 20)
    features = model._encoded(x, None)
    # By the noise's own density, that of its posterior, and a decoder that begins with the flow.
    posterior.build((None, features.shape[-1]), 2)
    posterior.head.set_weights(model.posterior.head.get_weights())
    e, log_posterior = posterior.sample(noise[0], features)
    z, _ = prior.bijector.forward_and_log_det(e)
    log_likelihood = model.observation.log_prob(x, model.decoder(z))
    got = log_likelihood + prior.base.log_prob(e) - log_posterior
    np.testing.assert_allclose(got, model._log_weight(x, None, noise), rtol=1e-5, atol=1e-5)


# -------------------------------------------------------------------------------- objective


def test_free_bits_by_hand():
    log_likelihood, zeros = tf.constant([-3.0, -5.0]), tf.zeros([2])
    for kl, free_bits, paid in (
        ([1.0, 4.0], 2.0, [1.0, 4.0]),  # the mean, 2.5, is above
        ([1.0, 2.0], 2.0, [2.0, 2.0]),
        ([-1.0, 0.5], 0.0, [-1.0, 0.5]),  # nothing is free
        ([-1.0, 0.5], 0.1, [0.1, 0.1]),
    ):
        terms = objectives.elbo_terms(log_likelihood, zeros, tf.constant(kl), 0.5, free_bits)
        np.testing.assert_allclose(terms["loss"], 0.5 * np.array(paid) + [3, 5])
        np.testing.assert_allclose(terms["negative_elbo"], np.array(kl) + [3, 5])
        np.testing.assert_allclose(terms["kl_bits"], np.array(kl) / np.log(2))


def test_latents_that_are_free_have_no_gradient():
    case = zoo.case("vae")
    x, y, noise = case.tensors()
    for free_bits, expected in ((1e6, True), (0.0, False)):
        model = case.entry.build()
        model.set_weights(case.model.get_weights())
        model.free_bits, model.beta = free_bits, 1.0
        with tf.GradientTape() as tape:
            terms = model._terms(x, y, noise, training=True)
            penalty = tf.reduce_sum(terms["loss"] - terms["reconstruction"])
        gradient = tape.gradient(penalty, model.posterior.head.kernel.value)
        assert (gradient is None or not np.any(gradient)) == expected


def test_beta_by_a_schedule(tmp_path):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)
    case = zoo.case("vae")
    model = zoo.vae(tfgen.VAE, beta=schedule)
    model.set_weights(case.model.get_weights())
    x, y, noise = case.tensors()
    for step, beta in ((0, 0.0), (5, 0.5), (10, 1.0), (20, 1.0)):
        model.steps_taken.assign(step)
        terms = model._terms(x, y, noise, training=True)
        expected = terms["reconstruction"] + beta * terms["kl"]
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy._terms(x, y, noise, True)["loss"], terms["loss"], rtol=1e-6)


def test_averaged_weights():
    """Polyak averaging is Keras's: after `fit` the weights are the averages."""
    case = zoo.case("vae")
    model = case.entry.build()
    model.compile(keras.optimizers.Adamax(0.05, use_ema=True, ema_momentum=0.9))
    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: seen.append(model.posterior.head.kernel.numpy())
    )
    start = model.posterior.head.kernel.numpy()
    model.fit(case.x, batch_size=5, epochs=2, verbose=0, callbacks=[keep])
    assert (seen[0] != start).any()
    average = seen[0]
    for value in seen[1:]:
        average = 0.9 * average + 0.1 * value
    np.testing.assert_allclose(model.posterior.head.kernel, average, rtol=1e-4, atol=1e-5)


def test_validation_of_averaged_weights():
    case = zoo.case("vae")
    model = case.entry.build()
    model.compile(keras.optimizers.Adamax(0.05, use_ema=True, ema_momentum=0.9))
    swap = keras.callbacks.SwapEMAWeights()
    history = model.fit(case.x, epochs=3, verbose=0, validation_data=case.x, callbacks=[swap])
    got = model.evaluate(case.x, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        history.history["val_negative_elbo"][-1], got["negative_elbo"], rtol=1e-4
    )
    assert abs(history.history["val_negative_elbo"][0] - got["negative_elbo"]) > 1e-3


# -------------------------------------------------------------------------------- every combination

SHAPE = (4, 4, 1)
OBSERVATIONS = {
    "bernoulli": "bernoulli",
    "normal": "normal",
    "logistic": "logistic",
    "pixelcnn": zoo.local_pixelcnn,
    "flow": zoo.pixel_flow,
}
POSTERIORS = {"normal": "normal", "iaf": zoo.iaf_posterior}
PRIORS = {"normal": "normal", "af": zoo.af_prior}


# Each two of them together; the entries `afvae` and `iafvae` have the Bernoulli observation, `vlae`
# has the pixels in turn.
TOGETHER = [
    ("normal", "normal", "bernoulli"),
    ("normal", "af", "logistic"),
    ("iaf", "normal", "logistic"),
    ("iaf", "normal", "pixelcnn"),
    ("normal", "af", "pixelcnn"),
    ("iaf", "af", "flow"),
    ("normal", "normal", "flow"),
]


@pytest.mark.parametrize(
    ("posterior", "prior", "observation"),
    [
        ("iaf", "af", "normal"),
        *(pytest.param(*parts, marks=pytest.mark.slow) for parts in TOGETHER),
    ],
)
def test_parts_go_together(posterior, prior, observation, tmp_path):
    model = zoo.vae(
        tfgen.VAE,
        SHAPE,
        posterior=POSTERIORS[posterior],
        prior=PRIORS[prior],
        observation=OBSERVATIONS[observation],
    )
    x, _ = zoo.make_data(model)
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(x, epochs=6, batch_size=10, verbose=0, validation_data=x).history
    # With the same noise in every epoch.
    assert history["val_loss"][-1] < history["val_loss"][0]
    bound, estimate = model.log_prob(x), model.estimate_log_prob(x, 50)
    several = [bound, *(model.log_prob(x, seed=s) for s in range(1, 20))]
    assert np.isfinite(several).all() and np.mean(several) < np.mean(estimate)
    samples = model.sample(3, seed=0)
    assert samples.shape == (3, *SHAPE) and samples.dtype == model.decompress(x[:1]).dtype
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(zoo.eager_outputs(copy, x), zoo.eager_outputs(model, x))
    np.testing.assert_array_equal(
        zoo.eager_samples(copy, 3, seed=0), zoo.eager_samples(model, 3, seed=0)
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"posterior": "flow"}, "`posterior` must be one of .* got 'flow'"),
        ({"prior": "uniform"}, "`prior` must be one of .*'af'.* got 'uniform'"),
        ({"observation": "poisson"}, "`observation` must be one of .* got 'poisson'"),
        ({"encoder": "resnet"}, r"`encoder` must be one of \['mlp'\] or a Keras layer"),
        ({"decoder": 3}, "`decoder` must be one of"),
        ({"latent_dim": 0}, "`latent_dim` must .* got 0"),
        ({"beta": -1}, "`beta` must .* got -1"),
        ({"free_bits": "few"}, "`free_bits` must .* got 'few'"),
        ({"data_kind": "text"}, "`data_kind` must be one of .* got 'text'"),
        (
            {"data_kind": "real", "observation": "bernoulli"},
            "`observation` must be of 'real' data, .* got a Factorised of 'binary' data",
        ),
        ({"condition_shape": (2, 2, 1)}, r"`condition_shape` must be \[features\]"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        tfgen.VAE(**{"event_shape": (4,), **arguments})


def test_drawn_latents():
    case = zoo.case("vae")
    draws = np.stack([case.model.encode(case.x, sample=True, seed=s) for s in range(300)])
    np.testing.assert_allclose(draws.mean(0), case.model.encode(case.x), atol=0.3)
    assert (draws.std(0) > 0).all()
    again = case.model.encode(case.x, sample=True, seed=7, batch_size=3)
    np.testing.assert_allclose(again, draws[7], rtol=1e-5)


# -------------------------------------------------------------------------------- codes and reports


def test_the_code_is_the_bound_in_bits(latent_case):
    model, x, y = latent_case.model, latent_case.x, latent_case.y
    code = model.code_length(x, y, seed=3)
    total = -np.log(2) * (code["latents"] + code["data"])
    np.testing.assert_allclose(total, model.log_prob(x, y, seed=3), rtol=1e-4, atol=1e-4)
    z = model.encode(x, y, sample=True, seed=1)
    got = model.log_likelihood(x, z.numpy(), y, seed=1, batch_size=3)
    np.testing.assert_allclose(got, model.log_likelihood(x, z, y, seed=1), rtol=1e-4, atol=1e-4)


def test_decompressed_is_drawn_from_the_posteriors_draw(latent_case):
    model, x, y = latent_case.model, latent_case.x, latent_case.y
    drawn = model.decompress(x, y, seed=1)
    assert (
        drawn.shape == x.shape and drawn.dtype == model.sample(1, None if y is None else y[0]).dtype
    )
    again = model.decompress(x, y, seed=1, batch_size=3)
    np.testing.assert_allclose(again, drawn, rtol=1e-5, atol=1e-5)
    assert (drawn.numpy() != model.decompress(x, y, seed=2).numpy()).any()


def test_a_decoder_that_draws_takes_a_seed():
    case = zoo.case("vlae")
    z = case.model.encode(case.x)
    draws = [
        case.model.decode(z, seed=s, batch_size=n).numpy() for s, n in ((0, 256), (0, 3), (1, 3))
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    assert (draws[0][:-1] != draws[0][1:]).any()


def test_latents_in_use_and_not(capsys):
    model, marginal = linear_gaussian()
    x = marginal.rvs(500, random_state=0)
    usage = tfgen.metrics.latent_usage(model, x)
    assert usage.in_use and usage.active_units == 2 and usage.latent_dim == 2
    assert "UNUSED" not in str(usage)
    # By hand: the divergence, and the reconstruction, under the true posterior.
    variance = 1 / (1 + (LOADINGS**2).sum(0) / SCALE**2)
    np.testing.assert_allclose(usage.kl, -0.5 * np.log(variance).sum(), rtol=0.1)
    model.observation.head.layer.kernel.assign(np.zeros((2, 4)))
    usage = tfgen.metrics.latent_usage(model, x)
    assert usage.active_units == 2 and abs(usage.gain) < 1e-3
    assert not usage.in_use and "THE LATENTS ARE UNUSED" in str(usage)
    with pytest.raises(ValueError, match="`x` must have at least two examples; got 1"):
        tfgen.metrics.latent_usage(model, x[:1])


def test_collapse_is_told(capsys):
    """A weight on the divergence that nothing is worth."""
    model = zoo.vae(tfgen.VAE, beta=1000.0)
    x, _ = zoo.make_data(model)
    model.compile(keras.optimizers.Adam(0.05))
    report = tfgen.callbacks.LatentReport(x, every=15)
    model.fit(x, epochs=30, verbose=0, callbacks=[report])
    assert sorted(report.reports) == [15, 30]
    assert not report.reports[30].in_use and report.reports[30].kl < 0.3
    assert "epoch 30, latents: KL 0." in capsys.readouterr().out
    model = zoo.MODELS["pixelcnn"].build()
    model.compile()
    with pytest.raises(ValueError, match="`model` must be a latent-variable model; got a PixelCNN"):
        model.fit(zoo.make_data(model)[0], verbose=0, callbacks=[report])


# -------------------------------------------------------------------------------- binarisation


@pytest.mark.slow
def test_probabilities_are_drawn_afresh_in_each_step():
    """The likelihood of one pixel that is 1 in a third of the draws is that of a coin."""
    model = tfgen.PixelCNN((1, 1, 1), filters=1, num_layers=1)
    x = np.full((500, 1, 1, 1), 1 / 3, "float32")
    model.compile(keras.optimizers.Adam(0.1))
    history = model.fit(x, epochs=10, batch_size=50, verbose=0).history["nll"]
    assert len(set(history)) == 10
    np.testing.assert_allclose(np.exp(model.log_prob(np.ones((1, 1, 1, 1)))), 1 / 3, atol=0.05)
    # Evaluation draws the same ones each time, by row.
    values = [model.evaluate(x, verbose=0, batch_size=n, return_dict=True) for n in (50, 64)]
    np.testing.assert_allclose(values[0]["nll"], values[1]["nll"], rtol=1e-5)
    possible = model.log_prob([[[[0]]], [[[1]]]]).numpy().round(4)
    assert np.isin(model.predict(x, verbose=0).round(4), possible).all()
    with pytest.raises(ValueError, match="`x` must hold 0 or 1 .*: only `fit` and `evaluate` draw"):
        model.log_prob(x)
    with pytest.raises(ValueError, match="`x` must hold 0 or 1"):
        model.fit(255 * x)


@pytest.mark.usefixtures("eager_training")
def test_streams_of_probabilities_are_drawn_alike():
    x = np.random.default_rng(0).random((20, 2, 2, 1)).astype("float32")
    weights = []
    for data in (x, tf.data.Dataset.from_tensor_slices(x).batch(20)):
        keras.utils.set_random_seed(1)
        model = tfgen.PixelCNN((2, 2, 1), 2, 1)
        model.compile()
        model.fit(data, batch_size=20, shuffle=False, verbose=0)
        weights.append(np.concatenate([w.numpy().ravel() for w in model.trainable_variables]))
    np.testing.assert_array_equal(*weights)


# -------------------------------------------------------------------------------- noise, parts


def test_samples_are_scored_with_noise_of_its_own():
    """A posterior that is the prior: with the noise that made a sample, it would be too likely."""
    model, _ = linear_gaussian()
    model.posterior.head.kernel.assign(np.zeros((4, 4)))
    raw = np.full(2, np.log(np.expm1(1 - 1e-4)) - np.log(np.e - 1))
    model.posterior.head.bias.assign(np.concatenate([np.zeros(2), raw]))
    samples = model.sample(4000, seed=0).numpy()
    means = [np.mean(model.log_prob(samples, seed=s)) for s in (0, 1)]
    np.testing.assert_allclose(*means, rtol=0.1)
    # And what is drawn from latents has other noise than these.
    x = samples[:2000, :2]
    model = tfgen.VAE(2, latent_dim=2, encoder="mlp", decoder="mlp", data_kind="real")
    drawn, z = model.decompress(x, seed=0).numpy(), model.encode(x, sample=True, seed=0).numpy()
    noise = drawn - model.decode(z).numpy(), z - model.encode(x).numpy()
    for column in range(2):
        correlation = np.corrcoef(noise[0][:, column], noise[1][:, column])[0, 1]
        assert abs(correlation) < 0.1
        assert noise[0][:, column].std() > 0.5 * np.exp(model.observation.element.log_scale[0])


@pytest.mark.usefixtures("eager_training")
def test_parts_that_differ_in_training():
    norm = keras.layers.BatchNormalization()
    encoder = keras.Sequential([norm, keras.layers.Dense(8)])
    model = tfgen.VAE(4, latent_dim=2, encoder=encoder, decoder="mlp", data_kind="real")
    x = 5 + np.random.default_rng(0).normal(size=(40, 4))
    model.compile()
    model.log_prob(x)
    assert not np.any(norm.moving_mean) and np.all(norm.moving_variance.numpy() == 1)
    model.fit(x, verbose=0)
    # Of data that the model has standardised.
    assert np.all(norm.moving_mean.numpy() != 0) and np.all(norm.moving_variance.numpy() != 1)
    assert np.all(np.abs(norm.moving_mean) < 0.1)


def test_standardised_reals_are_scored_and_drawn_in_their_units():
    """Values have their units at each position and channel; what networks see is standardised."""
    shape, loc, scale = (2, 3, 2), np.float32([5.0, -3.0]), np.float32([2.0, 0.1])
    plain = distributions.get_observation("normal", None, "real", "shared")
    plain.build((None, 4), shape)
    zoo.perturb(plain)
    observed = Standardised(plain, tf.constant(loc), tf.constant(scale))
    rng = np.random.default_rng(0)
    seen, features = (rng.normal(size=(5, *s)).astype("float32") for s in (shape, (4,)))
    x, noise = loc + scale * seen, observed.noise(*ROWS, 5)
    expected = plain.log_prob(seen, features) - 2 * 3 * np.sum(np.log(scale))
    np.testing.assert_allclose(observed.log_prob(x, features), expected, rtol=1e-4)
    for inputs in (observed.inputs(x), observed.dequantised(x, None)):
        np.testing.assert_allclose(inputs, plain.inputs(seen), rtol=1e-4, atol=1e-4)
    for name, given in (("sample", [noise]), ("decode", [noise]), ("mean", [])):
        expected = loc + scale * getattr(plain, name)(*given, features)
        got = getattr(observed, name)(*given, features)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_prior_without_temperature():
    prior = tfp.distributions.Sample(tfp.distributions.Laplace(0.0, 1.0), 2)
    model = tfgen.VAE(4, latent_dim=2, prior=prior)
    assert model.sample(3).shape == (3, 4)
    with pytest.raises(ValueError, match="`temperature` must be 1: `prior` is a FromTFD"):
        model.sample(3, temperature=0.5)


def test_parts_that_do_not_fit():
    actnorm, dense = bijectors.ActNorm(), keras.layers.Dense(4)
    with pytest.raises(ValueError, match="`bijector` of a posterior must not be initialised"):
        distributions.IAFPosterior(bijector=actnorm)
    with pytest.raises(ValueError, match="`encoder` and `decoder` must share no layer"):
        tfgen.VAE(4, latent_dim=4, encoder=dense, decoder=dense)
    with pytest.raises(ValueError, match="`prior` must have the model's dtype, float64"):
        tfgen.VAE(4, latent_dim=2, prior=actnorm, dtype="float64")
    with pytest.raises(ValueError, match="`encoder` must have the model's dtype.* in its MLP"):
        encoder = keras.Sequential([tfgen.networks.MLP((4,))])
        tfgen.VAE(4, latent_dim=2, encoder=encoder, dtype="float64")
    posterior = distributions.NormalPosterior()
    tfgen.VAE(4, latent_dim=2, posterior=posterior)
    with pytest.raises(ValueError, match="a NormalPosterior must be given to one model only"):
        tfgen.VAE(4, latent_dim=3, posterior=posterior)
    with pytest.raises(ValueError, match=r"`event_shape` must be \[size\] or \[height"):
        tfgen.VAE((4, 4))
    for shape in ((4,), (5, 4, 1)):
        with pytest.raises(ValueError, match='with even sides for the observation "flow"'):
            tfgen.VAE(shape, latent_dim=2, observation="flow")

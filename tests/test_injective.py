"""Autoencoders, relaxed injective flow, and latents fitted after training."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import zoo

import tfgen
from tfgen import distributions
from tfgen.objectives import injective_flow_terms

# A linear injective map, and one whose singular values are equal.
MAP = np.array([[1.0, 0.2], [0.0, 0.5], [-0.7, 0.3], [0.1, 0.1]])
CONFORMAL = 0.6 * np.linalg.qr(MAP)[0]


def linear(matrix=MAP, **arguments):
    """`g(z) = matrix z`, `h` its pseudo-inverse."""
    size, dim = matrix.shape
    model = tfgen.InjectiveFlow(
        size,
        latent_dim=dim,
        encoder=identity(size),
        decoder=identity(dim),
        data_kind="real",
        **arguments,
    )
    model.posterior.head.set_weights([np.linalg.pinv(matrix).T, np.zeros(dim)])
    model.observation.head.layer.set_weights([matrix.T, np.zeros(size)])
    return model


def identity(size):
    return keras.layers.Dense(size, use_bias=False, kernel_initializer="identity")


def draws(matrix=MAP, scale=1.0, num_rows=50):
    return scale * np.random.default_rng(0).normal(size=(num_rows, matrix.shape[1])) @ matrix.T


# ------------------------------------------------------------------------ density on the manifold


@pytest.mark.parametrize("prior_weight", [0.5, 0.02])
def test_a_linear_maps_density_is_the_degenerate_gaussians(prior_weight):
    model, x = linear(prior_weight=prior_weight), draws()
    covariance = MAP @ MAP.T / (2 * prior_weight)
    expected = scipy.stats.multivariate_normal(cov=covariance, allow_singular=True).logpdf(x)
    np.testing.assert_allclose(model.log_prob(x), expected, atol=1e-4)
    np.testing.assert_allclose(model.estimate_log_prob(x, 3), expected, atol=1e-4)


def test_bounds_lie_below_the_density():
    model, x = linear(lambda_=0.3), draws()
    bounds = model.log_prob_bounds(x)
    np.testing.assert_array_equal(bounds["exact"], model.log_prob(x))
    values = np.linalg.svd(MAP, compute_uv=False)
    log_prior = model.prior.log_prob(model.encode(x))
    for name, volume in (
        ("exact", np.log(values).sum()),
        ("log_frobenius", np.log((values**2).mean())),
        ("frobenius", (values**2 / 0.6 + 0.5 * np.log(0.3) - 0.5).sum()),
    ):
        np.testing.assert_allclose(bounds[name], log_prior - volume, rtol=1e-5)
    assert (bounds["exact"] > bounds["log_frobenius"] + 0.1).numpy().all()
    assert (bounds["log_frobenius"] > bounds["frobenius"] + 0.01).numpy().all()


def test_bounds_touch_where_singular_values_are_equal():
    model, x = linear(CONFORMAL, lambda_=0.36), draws(CONFORMAL)
    bounds = model.log_prob_bounds(x)
    np.testing.assert_allclose(bounds["log_frobenius"], bounds["exact"], atol=1e-5)
    np.testing.assert_allclose(bounds["frobenius"], bounds["exact"], atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Curve(keras.layers.Layer):
    """The curve `(z, sin 2 z)` in the plane."""

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2)

    def call(self, z):
        return tf.concat([z, tf.sin(2 * z)], -1)


def test_density_integrates_to_one_along_a_curve_and_samples_follow_it():
    model = tfgen.InjectiveFlow(
        2, 1, encoder=identity(2), decoder=Curve(), data_kind="real", prior_weight=0.5
    )
    model.posterior.head.set_weights([np.eye(2, 1), np.zeros(1)])
    model.observation.head.layer.set_weights([np.eye(2), np.zeros(2)])
    z = np.linspace(-6, 6, 2001)
    curve = np.stack([z, np.sin(2 * z)], 1)
    middle = np.stack([z[:-1] + 0.003, np.sin(2 * (z[:-1] + 0.003))], 1)
    masses = np.exp(model.log_prob(middle)) * np.linalg.norm(np.diff(curve, axis=0), axis=1)
    np.testing.assert_allclose(masses.sum(), 1, atol=1e-3)
    samples = np.sort(model.sample(20_000, seed=0).numpy()[:, 0])
    expected = (np.arange(20_000) + 0.5) / 20_000
    got = np.interp(samples, z[1:], np.cumsum(masses))
    assert np.abs(got - expected).max() < 1.95 / np.sqrt(20_000)


def test_pixels_density_is_of_their_own_units():
    """A model of values by 255 is the same model in other units."""
    case = zoo.untrained("injective_flow_images")
    x, z = case.x, case.model.encode(case.x).numpy()
    bounds = case.model.log_prob_bounds(x)
    with tf.GradientTape() as tape:
        latents = tf.constant(z)
        tape.watch(latents)
        values = 255 * case.model.observation.head(case.model.decoder(latents))
        values = tf.reshape(values, [len(x), -1])
    jacobians = tape.batch_jacobian(values, latents).numpy().astype("float64")
    gram = np.einsum("nij,nik->njk", jacobians, jacobians)
    expected = case.model.prior.log_prob(z) - 0.5 * np.linalg.slogdet(gram)[1]
    np.testing.assert_allclose(bounds["exact"], expected, rtol=1e-4)
    assert (bounds["exact"] >= bounds["log_frobenius"]).numpy().all()
    assert (bounds["exact"] >= bounds["frobenius"]).numpy().all()


def test_mixture_with_a_background():
    """Across a flat manifold the blurred density is a normal distribution's."""
    model = linear(CONFORMAL, prior_weight=0.5)
    x = np.concatenate([draws(CONFORMAL), np.random.default_rng(1).normal(size=(50, 4))])
    background = scipy.stats.multivariate_normal(np.zeros(4), 4.0)
    background.log_prob = background.logpdf
    onto = CONFORMAL @ CONFORMAL.T / 0.36
    blurred = scipy.stats.multivariate_normal(cov=0.36 * onto + 0.01 * (np.eye(4) - onto))
    expected = np.logaddexp(np.log(0.2) + blurred.logpdf(x), np.log(0.8) + background.logpdf(x))
    got = model.mixture_log_prob(x, background, noise_scale=0.1, weight=0.2, batch_size=7)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    flow = tfgen.RealNVP(4, num_layers=2)
    far = model.mixture_log_prob(100 * x, flow, noise_scale=0.1)
    assert np.isfinite(far).all()
    for arguments, words in (
        ({"background": None}, "`background` must have a `log_prob`; got None"),
        ({"noise_scale": 0}, "`noise_scale` must be greater than 0"),
        ({"weight": 1.0}, r"`weight` must lie in \(0, 1\); got 1.0"),
        ({"background": tfgen.RealNVP(3)}, r"`x` must have shape \[n, 3\]"),
    ):
        with pytest.raises(ValueError, match=words):
            model.mixture_log_prob(x, **{"background": flow, "noise_scale": 0.1, **arguments})


# ----------------------------------------------------------------------------------- objectives


@pytest.mark.parametrize(
    "objective, volume",
    [
        # Two probes; the second is shorter than eta times its length: max(2, 1) and max(1, 4).
        ("log_frobenius", 1.5 * np.log((2 + 4) / 2 / 3)),
        ("frobenius", (2 + 4) / 2 / 4 + 1.5 * np.log(2) - 1.5),
    ],
)
def test_objective_by_hand(objective, volume):
    norms, probes = tf.constant([[2.0], [1.0]]), tf.constant([[4.0], [16.0]])
    terms = injective_flow_terms(
        tf.constant([-3.0]),
        tf.constant([5.0]),
        norms,
        probes,
        latent_dim=3,
        objective=objective,
        mu=2.0,
        mu_in=10.0,
        eta=0.5,
        lambda_=2.0,
    )
    # |J v| / |v| is above 0.5 for the first, 0.25 below it for the second.
    hinge = (0 + 0.25**2) / 2
    np.testing.assert_allclose(terms["log_volume"], [volume], rtol=1e-6)
    np.testing.assert_allclose(terms["injectivity"], [hinge], rtol=1e-6)
    np.testing.assert_allclose(terms["neg_log_prior"], [3])
    np.testing.assert_allclose(terms["loss"], [3 + 2 * 5 + volume + 10 * hinge], rtol=1e-6)


def test_a_collapsed_decoder_has_finite_gradients():
    norms = tf.Variable(tf.zeros([1, 4]))
    with tf.GradientTape() as tape:
        zeros = tf.zeros([4])
        terms = injective_flow_terms(zeros, zeros, norms, tf.ones([1, 4]), 2)
    assert np.isfinite(terms["loss"]).all()
    assert np.isfinite(tape.gradient(terms["loss"], norms)).all()


@pytest.mark.parametrize("jacobian", ["finite_difference", "jvp"])
def test_terms_are_of_the_jacobian(jacobian):
    model, x = linear(jacobian=jacobian, num_probes=3, eta=1e-6), draws()
    noise = model._terms_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), len(x))
    assert noise.shape == (3, 50, 2)
    terms = model._terms(tf.constant(x, tf.float32), None, noise, training=True)
    stretch = (np.einsum("ij,pnj->pni", MAP, noise) ** 2).sum(-1).mean(0)
    np.testing.assert_allclose(terms["log_volume"], np.log(stretch / 2), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(terms["squared_error"], 0, atol=1e-6)


def test_jacobians_of_networks_agree():
    """Jacobians agree with several probes, and with conditions."""
    for name in ("injective_flow_fitted", "injective_flow_images"):
        case = zoo.untrained(name)
        x, y, noise = case.tensors()
        with case.restored():
            terms = {}
            # Of a step so small that what is left of it is rounding.
            given, case.model.epsilon = case.model.epsilon, 0.01
            for case.model.jacobian in ("finite_difference", "jvp"):
                terms[case.model.jacobian] = case.model._terms(x, y, noise, training=False)
            case.model.jacobian = case.entry.build().jacobian
            case.model.epsilon = given
        for term in ("log_volume", "squared_error", "loss"):
            np.testing.assert_allclose(
                terms["finite_difference"][term], terms["jvp"][term], rtol=0.02, atol=0.02
            )


def test_penalties_grow():
    growth = tfgen.optimizers.PenaltyGrowth(power=1.3)
    np.testing.assert_allclose(growth(1000), 1 + 1000**0.3, rtol=1e-5)
    assert float(growth(0)) == 1
    model = linear(mu=growth, mu_in=3.0)
    model.compile()
    history = model.fit(draws(), batch_size=25, epochs=2, verbose=0).history
    # Steps 0 and 1; 2 and 3.
    expected = [1 + sum(i**1.3 for i in steps) / 2000 for steps in ((0, 1), (2, 3))]
    np.testing.assert_allclose(history["mu"], expected, rtol=1e-6)
    np.testing.assert_allclose(history["mu_in"], 3)


def test_decoder_penalty():
    case = zoo.untrained("autoencoder_images")
    model = case.model
    weights = model.decoder.trainable_variables + model.observation.trainable_variables
    total = 1e-3 * sum(np.sum(w.numpy() ** 2) for w in weights)
    x, y, noise = case.tensors()
    terms = model._terms(x, y, noise, training=False)
    np.testing.assert_allclose(terms["decoder_l2"], total, rtol=1e-5)
    loss = model.loss(x, y, seed=0, return_dict=True)
    np.testing.assert_allclose(loss["loss"], loss["squared_error"] + total, rtol=1e-5)


def test_squared_error_of_pixels_is_by_255():
    case = zoo.untrained("injective_flow_images")
    model, x = case.model, case.x
    values = 255 * model.observation.head(model.decoder(model.encode(x)))
    error = ((x - values.numpy()) ** 2).sum((1, 2, 3)) / 255**2
    results = model.evaluate(x, verbose=0, return_dict=True)
    np.testing.assert_allclose(results["squared_error"], error.mean(), rtol=1e-4)
    np.testing.assert_array_equal(
        model.reconstruct(x), np.clip(np.round(values), 0, 255).astype("uint8")
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"objective": "mse"}, "`objective` must be one of .* got 'mse'"),
        ({"jacobian": "exact"}, "`jacobian` must be one of .* got 'exact'"),
        (
            {"jacobian": "finite_difference", "dtype": "mixed_bfloat16"},
            r"`jacobian` must be one of \['jvp'\] with a decoder in half precision",
        ),
        ({"prior_weight": -1}, "`prior_weight` must be a number of at least 0; got -1"),
        ({"latent_dim": 5}, "`latent_dim` must be at most 4, the values of an example; got 5"),
        ({"mu": "1"}, "`mu` must be a number of at least 0 or a Keras learning-rate schedule"),
        ({"eta": 0}, "`eta` must be greater than 0"),
        ({"data_kind": "binary"}, '`data_kind` must be "real" or "uint8"; got \'binary\''),
        ({"decoder_l2": -1}, "`decoder_l2` must be a number of at least 0"),
        ({"encoder": "conv"}, r"`encoder` must be one of \['mlp'\] or a Keras layer; got 'conv'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        tfgen.InjectiveFlow(**{"event_shape": 4, "latent_dim": 2, **arguments})


# -------------------------------------------------------------------------------- fitted latents


def bimodal(num_rows=400):
    rng = np.random.default_rng(0)
    side = rng.choice([-2.0, 2.0], (num_rows, 1))
    return (side + 0.3 * rng.normal(size=(num_rows, 2))) @ MAP.T


def test_a_gaussian_has_the_moments_of_the_codes():
    model, x = linear(), bimodal()
    latents = model.fit_latents(x, "gaussian")
    z = model.encode(x).numpy().astype("float64")
    tfd = latents.to_tfd()
    np.testing.assert_allclose(tfd.mean(), z.mean(0), atol=1e-4)
    np.testing.assert_allclose(tfd.covariance(), np.cov(z.T, bias=True), rtol=1e-3)
    samples = np.linalg.lstsq(MAP, model.sample(20_000, seed=0).numpy().T, rcond=None)[0]
    np.testing.assert_allclose(np.cov(samples), np.cov(z.T), rtol=0.05)


@pytest.mark.slow
def test_fits_order_by_what_they_can_say():
    """A normal distribution, a mixture of two and a flow are fitted to two clusters; the density
    of the model is that of the fit."""
    model, x = linear(), bimodal()
    before = np.mean(model.log_prob(x))
    keras.utils.set_random_seed(0)
    scores = {}
    for kind, arguments in (
        ("gaussian", {}),
        ("gmm", {"num_components": 2}),
        ("flow", {"epochs": 40, "batch_size": 50, "verbose": 0}),
    ):
        model.fit_latents(x, kind, **arguments)
        scores[kind] = np.mean(model.log_prob(x))
    assert before < scores["gaussian"] < scores["flow"]
    assert scores["gaussian"] + 0.5 < scores["gmm"]
    model.set_latents(None)
    np.testing.assert_allclose(np.mean(model.log_prob(x)), before)


def test_a_mixture_is_scikit_learns():
    import sklearn.mixture

    z = bimodal()[:, :2].astype("float64")
    base = distributions.fit_gaussian_mixture(z, 2, seed=1)
    expected = sklearn.mixture.GaussianMixture(2, random_state=1).fit(z)
    np.testing.assert_allclose(base.log_prob(z), expected.score_samples(z), rtol=1e-3, atol=1e-3)
    # In any units, where scikit-learn's own floor of variances would be felt.
    small = distributions.fit_gaussian_mixture(1e-4 * z, 2, seed=1)
    np.testing.assert_allclose(
        small.log_prob(1e-4 * z), base.log_prob(z) - 2 * np.log(1e-4), rtol=1e-3
    )


def test_constant_codes_can_be_fitted():
    z = np.random.default_rng(0).normal(size=(50, 3))
    z[:, 1] = 4
    for base in (distributions.fit_gaussian(z), distributions.fit_gaussian_mixture(z, 2)):
        noise = base.noise([0, 0], 0, 10)
        np.testing.assert_allclose(base.sample(noise)[:, 1], 4, atol=0.05)


def trained_autoencoder():
    model = zoo.autoencoder(tfgen.Autoencoder, data_kind="real")
    model.compile()
    x = bimodal()
    model.fit(x, epochs=3, verbose=0)
    return model, x.astype("float32")


def flow_of_codes():
    return tfgen.RealNVP(2, num_layers=1, hidden_units=(4,))


def test_without_a_distribution_of_latents(tmp_path):
    model = zoo.autoencoder(tfgen.Autoencoder, data_kind="real")
    assert model.latents is None
    for method in (lambda: model.sample(2), lambda: model.sample(2, temperature=0.5)):
        with pytest.raises(ValueError, match="no distribution of latents: call `fit_latents`"):
            method()
    model.export(tmp_path / "without", verbose=False)
    served = tf.saved_model.load(tmp_path / "without").signatures
    assert sorted(served) == ["decode", "encode", "serving_default"]


# The entry `autoencoder` has a mixture that is saved and exported;
# `test_what_is_given_stays_the_givers` saves a flow.
@pytest.mark.parametrize("kind", zoo.slow("flow", "gaussian", "gmm", flow_of_codes))
def test_fitted_latents_are_saved_and_exported(kind, tmp_path):
    model, x = trained_autoencoder()
    arguments = {} if kind in ("gaussian", "gmm") else {"epochs": 1, "verbose": 0}
    model.fit_latents(x, kind if isinstance(kind, str) else kind(), **arguments)
    samples = model.sample(5, seed=3)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy.sample(5, seed=3), samples)
    assert not copy._needs_adapt()
    model.export(tmp_path / "with", verbose=False)
    served = tf.saved_model.load(tmp_path / "with").signatures
    got = served["sample"](
        num_samples=tf.constant(5), seed=tf.constant([3, 0]), temperature=tf.constant(1.0)
    )
    np.testing.assert_allclose(got["samples"], samples, rtol=1e-5, atol=1e-5)


def test_training_goes_on_beside_fitted_latents():
    """The fit stays as it was, the optimizer keeps to what it had."""
    model, x = trained_autoencoder()
    trained = len(model.trainable_variables)
    for kind in ("gmm", "gaussian"):
        latents = model.fit_latents(x, kind)
        assert len(model.trainable_variables) == trained
    before = [w.numpy() for w in latents.weights]
    model.trainable = False
    model.trainable = True
    assert len(model.trainable_variables) == trained
    assert sum(w is v for w in latents.weights for v in model.weights) == len(before)
    model.fit(x, verbose=0)
    for weight, kept in zip(latents.weights, before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    num_weights = len(model.weights)
    model.set_latents(None)
    assert len(model.weights) == num_weights - len(before)
    with pytest.raises(ValueError, match="call `fit_latents` first"):
        model.sample(1)


def test_what_is_given_stays_the_givers(tmp_path):
    """A flow, or a prior, can be trained further where it came from; it is, in its own batches."""
    model, flow = linear(), flow_of_codes()
    trained = len(flow.trainable_variables)
    arguments = {"batch_size": 30, "epochs": 2, "verbose": 0}
    model.fit_latents(bimodal(300), flow, **arguments)
    assert int(flow.steps_taken) == 200
    model.fit_latents(bimodal(300), flow, steps_per_epoch=10, **arguments)
    assert int(flow.steps_taken) == 220
    assert len(flow.trainable_variables) == trained
    np.testing.assert_allclose(
        model.fitted_latents.log_prob(np.eye(2, dtype="float32")),
        flow.log_prob(np.eye(2)),
        rtol=1e-5,
    )
    model.save_to_preset(tmp_path)
    again = tfgen.InjectiveFlow.from_preset(tmp_path)
    np.testing.assert_array_equal(again.sample(3, seed=0), model.sample(3, seed=0))


def normalised(**arguments):
    """A small model with batch normalisation in its decoder, compiled."""
    keras.utils.set_random_seed(0)
    model = zoo.autoencoder(tfgen.InjectiveFlow, (4, 4, 1), conv=True, **arguments)
    model.compile()
    return model, zoo.make_data(model, 25)[0]


@pytest.mark.parametrize(
    "num_rows, arguments, words",
    [
        (25, {"batch_size": 8}, "no batch of one row: statistics .* got 8 for 25 rows .take 7."),
        (25, {"batch_size": 1}, r"got 1 for 25 rows \(take 5\)"),
        # Keras's own 32; what is held out is not in the batches.
        (33, {}, r"got 32 for 33 rows \(take 31\)"),
        (20, {"batch_size": 3, "validation_split": 0.2}, r"got 3 for 16 rows \(take 2\)"),
        (3, {"batch_size": 2}, r"got 2 for 3 rows \(take 3\)"),
        (1, {}, "`x` must have at least two rows .* got one"),
    ],
)
def test_a_last_batch_of_one_row_is_refused(num_rows, arguments, words):
    """Batch normalisation leaves nothing but its own difference to a finite one of a single row."""
    model, x = normalised()
    x = np.repeat(x, 2, 0)[:num_rows]
    for rows in (x, x.tolist()):
        with pytest.raises(ValueError, match=words):
            model.fit(rows, verbose=0, **arguments)
    assert int(model.steps_taken) == 0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_on_one_row_is_refused(jit_compile):
    """A stream's step on one row is an error, for nobody knows its batches before; under XLA, where
    there are no assertions, the loss says so."""
    decoder = keras.Sequential([identity(2), keras.layers.BatchNormalization()])
    model = tfgen.InjectiveFlow(4, 2, encoder=identity(4), decoder=decoder, data_kind="real")
    model.compile(keras.optimizers.SGD(), run_eagerly=False, jit_compile=jit_compile)
    x, kernel = draws().astype("float32"), decoder.layers[0].kernel
    before = kernel.numpy()
    stream = tf.data.Dataset.from_tensors(x[:1])
    if jit_compile:
        history = model.fit(stream, verbose=0).history
        assert np.isnan(history["loss"] + history["log_volume"]).all()
        assert history["skipped_steps"] == [1]
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match="must have at least two rows"):
            model.fit(stream, verbose=0)
    np.testing.assert_array_equal(kernel, before)


@pytest.mark.parametrize("frozen", [False, True])
def test_one_row_has_its_volume(frozen):
    """The terms of a row are its own without statistics of the batch, whoever is beside it."""
    if frozen:
        model, x = normalised()
        model.encoder.trainable = model.decoder.trainable = False
    else:
        model, x = linear(), draws(num_rows=25).astype("float32")
    noise = model._terms_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 2)
    with_another = model._terms(tf.constant(x[:2]), None, noise, training=True)
    alone = model._terms(tf.constant(x[:1]), None, noise[:, :1], training=True)
    for name in ("loss", "log_volume"):
        np.testing.assert_allclose(alone[name][0], with_another[name][0], rtol=1e-3)
    model.compile()
    assert np.isfinite(model.fit(x, batch_size=8, verbose=0).history["loss"]).all()


def test_probabilities_are_drawn_from_before_a_fit():
    model = zoo.vae(tfgen.VAE)
    x = np.random.default_rng(0).random((50, 4)).astype("float32")
    model.fit_latents(x, "gaussian", seed=3)
    bits = tfgen.data.binarise.draw_bits(x, 3)
    z = model.encode(bits, sample=True, seed=3)
    np.testing.assert_allclose(model.latents.to_tfd().mean(), np.mean(z, 0), atol=1e-4)


def test_no_prior_without_weight():
    model, x = linear(prior_weight=0.0), draws()
    for method in (model.log_prob, model.log_prob_bounds, model, model.predict):
        with pytest.raises(ValueError, match="no distribution of latents: call `fit_latents`"):
            method(x)
    model.compile()
    history = model.fit(x, verbose=0, validation_data=x).history
    assert history["neg_log_prior"] == [0]
    model.fit_latents(x, "gaussian")
    assert np.isfinite(model.log_prob(x)).all()
    np.testing.assert_allclose(model.predict(x, verbose=0), model.log_prob(x), rtol=1e-5)


def test_a_vaes_bound_is_of_what_was_fitted():
    """The aggregate posterior is a better prior than the one that was trained against."""
    case = zoo.case("vae_real")
    model = case.entry.build()
    model.set_weights(case.trained)
    model.compile()
    x, y = zoo.make_data(model, 500)
    before = np.mean(model.log_prob(x, y))
    evaluated = model.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(evaluated["negative_elbo"], -before, rtol=1e-5)
    model.fit_latents(x, "gaussian", y)
    after = np.mean(model.log_prob(x, y))
    assert after > before
    # What is trained and validated is the model with its prior.
    assert model.evaluate(x, y, verbose=0, return_dict=True) == evaluated
    assert not np.array_equal(model.sample(3, y[:3], seed=0), case.model.sample(3, y[:3], seed=0))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"kind": "kde"}, "`kind` must be one of .* or a tfgen.Flow; got 'kde'"),
        ({"kind": 3}, "`kind` must be one of"),
        ({"kind": "gmm", "epochs": 3}, "`epochs` goes with the kind \"flow\"; got 'gmm'"),
        ({"num_components": 0}, "`num_components` must .* got 0"),
        ({"num_components": 500}, "`x` must have more than 500 examples, to fit; got 400"),
        (
            {"kind": lambda: tfgen.RealNVP(3)},
            r"`kind` must be .* real events \[2\]; got a RealNVP of real",
        ),
        ({"kind": lambda: tfgen.RealNVP(2, num_classes=2)}, "`kind` must be an unconditional flow"),
        ({"x": np.full((5, 4), np.nan)}, "`x` must be finite; row 0"),
        ({"seed": -1}, "`seed` must be a whole number"),
    ],
)
def test_bad_fits(arguments, words):
    arguments = {k: v() if callable(v) else v for k, v in arguments.items()}
    with pytest.raises(ValueError, match=words):
        linear().fit_latents(**{"x": bimodal(), **arguments})


def test_set_latents_checks_what_it_gets():
    model = linear()
    for latents, words in (
        ("uniform", "`latents` must be one of"),
        (distributions.StandardNormal(dtype="float64"), "`latents` must have the model's dtype"),
        (
            distributions.fit_gaussian(
                np.random.default_rng(0).normal(size=(9, 3)).astype("float32")
            ),
            "`latents` must be over vectors of 2 values; got one over 3",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            model.set_latents(latents)
    model.set_latents("normal")
    assert isinstance(model.latents, distributions.StandardNormal)

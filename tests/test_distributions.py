"""Bases of flows: densities against scipy and TFP, draws, temperature, saving."""

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

tfd = tfp.distributions
ROWS = 20_000


def built(base, size=2):
    base.build((None, size))
    return zoo.perturb(base)


def draws(base, temperature=1.0, num_rows=ROWS, starts=(0,)):
    """Draws of rows from each of some numbers on, in a graph; one array of those of one start."""

    @tf.function
    def graph(start):
        noise = base.noise(tf.constant([3, 4]), start, num_rows)
        return base.sample(noise, None, temperature)

    found = [graph(tf.constant(start, tf.int64)).numpy() for start in starts]
    return found if len(found) > 1 else found[0]


BASES = {
    "normal": distributions.StandardNormal,
    "diagonal_normal": distributions.DiagonalNormal,
    "isotropic": lambda **kwargs: distributions.IsotropicNormal(2.0, **kwargs),
    "mixture": lambda **kwargs: distributions.GaussianMixture(3, **kwargs),
    "full_mixture": lambda **kwargs: distributions.GaussianMixture(2, "full", **kwargs),
    "student_t": lambda **kwargs: distributions.StudentT(3.0, **kwargs),
    "tfd": lambda **kwargs: distributions.FromTFD(tfd.Sample(tfd.Laplace(1.0, 2.0), 2), **kwargs),
    "af": lambda **kwargs: distributions.autoregressive_flow(2, (8,), **kwargs),
    "spline": lambda **kwargs: distributions.Transformed(
        bijectors.Elementwise("spline", dtype=kwargs.get("dtype")), **kwargs
    ),
}
every = pytest.mark.parametrize("name", BASES)


def test_every_base_is_tested():
    classes = {getattr(distributions, name) for name in distributions.__all__}
    bases = {c for c in classes if isinstance(c, type) and issubclass(c, distributions.Base)}
    # Those of categories have no scale and no `to_tfd` of reals: `test_codes` has them.
    bases -= {distributions.Base, distributions.IndependentCodes, distributions.AutoregressiveCodes}
    assert bases == {type(make()) for make in BASES.values()}


@every
def test_density_is_the_tfp_ones(name):
    base = built(BASES[name]())
    z = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
    np.testing.assert_allclose(base.log_prob(z), base.to_tfd().log_prob(z), rtol=1e-5, atol=1e-5)
    assert base.to_tfd().batch_shape == () and base.to_tfd().event_shape == (2,)


@every
def test_draws_follow_the_density(name):
    base = built(BASES[name]())
    ours = draws(base)
    theirs = base.to_tfd().sample(ROWS, seed=0).numpy()
    for direction in ([1, 0], [0, 1], [1, 1], [1, -1]):
        assert scipy.stats.ks_2samp(ours @ direction, theirs @ direction).pvalue > 1e-3


@every
def test_draws_are_of_the_row(name):
    base = built(BASES[name]())
    seed = tf.constant([3, 4])
    noise = base.noise(seed, tf.constant(5, tf.int64), 3)
    np.testing.assert_allclose(base.sample(noise), draws(base, num_rows=10)[5:8], rtol=1e-5)


@every
def test_a_far_row_is_like_any_other(name):
    """Training numbers its rows far out."""
    near, far = draws(built(BASES[name]()), num_rows=500, starts=(0, 2**40))
    assert (near != far).all()
    assert scipy.stats.ks_2samp(near[:, 0], far[:, 0]).pvalue > 1e-3


@pytest.mark.parametrize("name", ["normal", "diagonal_normal", "student_t"])
def test_temperature_multiplies_the_scale(name):
    base = built(BASES[name]())
    mode = draws(base, 0.0, 1)
    np.testing.assert_allclose(
        draws(base, 0.5) - mode, 0.5 * (draws(base) - mode), rtol=1e-4, atol=1e-5
    )
    # At 0 it is the mode.
    around = mode + 0.1 * np.random.default_rng(0).normal(size=(50, 2)).astype("float32")
    assert np.all(base.log_prob(around) < base.log_prob(mode))


def test_temperature_of_a_mixture():
    base = built(BASES["mixture"]())
    base.logits.assign([0.0, 1.0, 0.0])
    base.loc.assign([[-50.0, 0.0], [0.0, 0.0], [50.0, 0.0]])
    np.testing.assert_array_equal(draws(base, 0.0, 9), np.zeros((9, 2)))
    # The logits are divided: at 0.5 they are twice as far apart.
    for temperature in (1.0, 0.5):
        z = draws(base, temperature)
        shares = [(abs(z[:, 0] - place) < 25).mean() for place in (-50, 0, 50)]
        expected = np.exp(np.array([0.0, 1.0, 0.0]) / temperature)
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.015)
    spread = draws(base, 0.5)
    middle = spread[abs(spread[:, 0]) < 25]
    np.testing.assert_allclose(middle.std(0), 0.5 * np.exp(base.log_scale[1]), rtol=0.03)


@pytest.mark.parametrize("df", [0.7, 3.0, 200.0])
def test_student_t_is_scipys(df):
    base = distributions.StudentT(df)
    base.build((None, 1))
    z = np.array([[-50.0], [0.0], [1.5], [1e6]], "float32")
    np.testing.assert_allclose(base.log_prob(z), scipy.stats.t(df).logpdf(z[:, 0]), rtol=2e-4)
    assert scipy.stats.kstest(draws(base)[:, 0], scipy.stats.t(df).cdf).pvalue > 1e-3


def test_student_t_learns_its_tails():
    keras.utils.set_random_seed(0)
    x = scipy.stats.t(2.5).rvs((4000, 1), random_state=0)
    model = tfgen.Flow((1,), tfgen.bijectors.ActNorm(), base=distributions.StudentT(30.0))
    model.compile(keras.optimizers.Adam(2e-2))
    model.fit(x, epochs=15, batch_size=200, verbose=0)
    assert 2 < float(tf.exp(model.base.log_df)[0]) < 3.2


@every
# Not the default, which a base that forgets its dtype would have.
@pytest.mark.parametrize("dtype", ["float64", *zoo.slow("float32")])
def test_a_model_keeps_its_base(name, dtype, tmp_path):
    keras.utils.set_random_seed(0)
    if name == "tfd":
        base = tfd.Sample(tfd.Laplace(tf.constant(1.0, dtype), 2.0), 2)
    else:
        base = BASES[name](dtype=dtype)
    model = zoo.perturb(tfgen.Flow((2,), tfgen.bijectors.ActNorm(dtype=dtype), base, dtype=dtype))
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert type(copy.base) is type(model.base)
    x = np.random.default_rng(0).normal(size=(5, 2))
    log_prob = zoo.eager_outputs(copy, x)
    np.testing.assert_array_equal(log_prob, zoo.eager_outputs(model, x))
    np.testing.assert_array_equal(zoo.eager_samples(copy, 5), zoo.eager_samples(model, 5))
    assert log_prob.dtype == dtype


@pytest.mark.parametrize("name", ["normal", "diagonal_normal", "mixture", "student_t"])
def test_names(name):
    model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,), base=name)
    assert type(model.base) is distributions.NAMED[name]


def shifted():
    uniform = tfd.Independent(tfd.Uniform(np.zeros(2, "float32"), [1.0, 2.0]), 1)
    return tfd.TransformedDistribution(uniform, tfp.bijectors.Shift([3.0, 4.0]))


def mixed():
    locs = np.array([[0.0, 1.0], [3.0, 5.0]], "float32")
    weights = tfd.Categorical(probs=np.array([0.3, 0.7], "float32"))
    return tfd.MixtureSameFamily(weights, tfd.MultivariateNormalDiag(locs, np.ones_like(locs)))


@pytest.mark.parametrize("nested", [shifted, mixed])
def test_nested_tfp_distributions_are_saved(nested):
    base = distributions.FromTFD(nested())
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(base))
    z = np.array([[3.5, 5.0]], "float32")
    np.testing.assert_array_equal(copy.log_prob(z), base.log_prob(z))


@pytest.mark.parametrize(
    "base, words",
    [
        (lambda: "gaussian", "`base` must be one of .*'normal'.* got 'gaussian'"),
        (lambda: 3, "`base` must be one of .* got 3"),
        (lambda: tfd.Normal(np.zeros(2, "float32"), 1.0), r"batch shape \[\] .* `tfd.Independent`"),
        (lambda: tfd.Sample(tfd.Normal(0.0, 1.0), 3), r"`base` must have event shape \[2\]"),
        (
            lambda: tfd.Sample(tfd.Normal(tf.Variable(0.0), 1.0), 2),
            "`base` must be made of .* numbers and arrays.* got ResourceVariable",
        ),
        (
            lambda: distributions.StandardNormal(dtype="float64"),
            "`base` must have the model's dtype, float32; got float64",
        ),
        (
            lambda: tfd.Sample(tfd.Normal(np.float64(0), 1.0), 2),
            "`base` must be of the model's dtype, float32; got float64",
        ),
        (lambda: tfd.Sample(tfd.Poisson(3.0), 2), "`base` must be continuous; got .*Poisson"),
        (
            lambda: tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]),
            r"`base` must have batch shape \[\] and event shape \[size\]",
        ),
        (lambda: distributions.GaussianMixture(0), "`num_components` must .* got 0"),
        (lambda: distributions.StudentT(0), "`df` must be greater than 0"),
    ],
)
def test_bad_bases(base, words):
    with pytest.raises(ValueError, match=words):
        tfgen.RealNVP(2, num_layers=1, hidden_units=(4,), base=base())


def test_a_base_of_another_model():
    base = distributions.StandardNormal()
    tfgen.RealNVP(2, num_layers=1, hidden_units=(4,), base=base)
    with pytest.raises(ValueError, match="`base` must be over vectors of 3 values, .* built for 2"):
        tfgen.RealNVP(3, num_layers=1, hidden_units=(4,), base=base)


def test_temperature_is_refused_by_a_served_base_without_one(tmp_path):
    zoo.case("realnvp_tfd").model.export(tmp_path, verbose=False)
    serve = tf.saved_model.load(tmp_path).signatures["sample"]
    arguments = {"num_samples": tf.constant(3), "seed": tf.constant([0, 0])}
    assert serve(temperature=tf.constant(1.0), **arguments)["samples"].shape == (3, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`temperature` must be 1"):
        serve(temperature=tf.constant(0.5), **arguments)


def test_temperature_is_refused_by_a_base_without_one():
    model = zoo.case("realnvp_tfd").model
    for temperature in (0.0, 0.5, 2.0):
        with pytest.raises(ValueError, match="`temperature` must be 1: `base` is a FromTFD"):
            model.sample(3, temperature=temperature)
    assert model.sample(3, temperature=1.0).shape == (3, 2)


# ---------------------------------------------------------- flows as posteriors, without context


def step():
    return bijectors.Invert(bijectors.Autoregressive("gated", tfgen.networks.MADE(2, (8,))))


def built_without(latent_dim=2):
    bijector = step()
    bijector.build((None, latent_dim))
    return bijector


POSTERIORS = {
    "steps, no context": lambda: distributions.IAFPosterior(2, (8,), context_size=0),
    "given, no context": lambda: distributions.IAFPosterior(bijector=step(), context_size=None),
    "built": lambda: distributions.IAFPosterior(bijector=built_without()),
    "with a context": lambda: distributions.IAFPosterior(2, (8,), context_size=3),
}


@pytest.mark.parametrize("name", POSTERIORS)
def test_density_of_a_posterior_is_by_change_of_variables(name):
    posterior = POSTERIORS[name]()
    posterior.build((None, 5), 2)
    zoo.perturb(posterior, scale=0.5)
    features = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    noise = posterior.noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 6)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        z, log_prob = posterior.sample(noise, features)
    log_det = np.linalg.slogdet(tape.batch_jacobian(z, noise))[1]
    expected = scipy.stats.norm.logpdf(noise).sum(1) - log_det
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-4)
    # The flow itself sees the features only as its context.
    y = tf.zeros([6, 2])
    moved = np.ptp(posterior._flow(y, features)[0], axis=0).max()
    assert (moved > 1e-3) == (name == "with a context")
    assert hasattr(posterior, "to_context") == (name == "with a context")
    np.testing.assert_allclose(posterior.mean(features).shape, (6, 2))


@pytest.mark.parametrize("name", list(POSTERIORS)[:3])
def test_a_model_keeps_its_posterior_without_a_context(name, tmp_path):
    model = zoo.vae(tfgen.VAE, posterior=POSTERIORS[name]())
    x, _ = zoo.make_data(model)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.posterior.context_size == 0
    # Of codes that are drawn.
    np.testing.assert_array_equal(zoo.eager_outputs(copy, x), zoo.eager_outputs(model, x))


def built_with(size):
    bijector = step()
    bijector.build((None, 2), (None, size))
    return bijector


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: built_without(3), r"`bijector` must be over the 2 latents; got .* events \[3\]"),
        (lambda: built_with(4), r"`context_size` must be .* built for conditions \[4\]; got 64"),
    ],
)
def test_a_posteriors_bijector_of_other_shapes(make, words):
    with pytest.raises(ValueError, match=words):
        tfgen.VAE(4, latent_dim=2, posterior=distributions.IAFPosterior(bijector=make()))
    posterior = distributions.IAFPosterior(bijector=built_with(4), context_size=4)
    tfgen.VAE(4, latent_dim=2, posterior=posterior)

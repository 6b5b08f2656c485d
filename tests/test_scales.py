"""The ranges of standard deviations that docs/scales.md gives are those of the code."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import bijectors
from tfgen import distributions
from tfgen.bijectors.spline import LEAST_SIZE
from tfgen.bijectors.transforms import NAMED as TRANSFORMS
from tfgen.bijectors.transforms import as_prior
from tfgen.bijectors.transforms import get_transform
from tfgen.distributions import NAMED as BASES
from tfgen.distributions import OBSERVATIONS
from tfgen.distributions import POSTERIORS

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "scales.md"
# What weights and outputs of networks may be.
ENDS = np.array([-1e25, 0.0, 1e25], "float32")


# Each of these gives the scales at `ENDS`.


def of_base(make, name="log_scale", ends=ENDS):
    """Standard deviations of a base of which one weight is at its ends."""
    scales = []
    for end in ends:
        base = make()
        base.build((None, 1))
        if hasattr(base, name):
            weight = getattr(base, name)
            weight.assign(np.full(weight.shape, end))
        if hasattr(base, "loc"):
            base.loc.assign(tf.zeros_like(base.loc))
        scales.append(base.to_tfd().stddev().numpy().ravel()[0])
    return scales


def of_transform(transform, times=1, inverse=False):
    """`dx/dz` of steps, with each parameter at its ends; `dz/dx` with `inverse`."""
    if isinstance(transform, bijectors.Spline):
        return of_spline(transform)
    params = np.zeros((3, transform.num_params), "float32")
    if transform.num_params > 1:
        # The first is the location.
        params[:, 1] = ENDS
    one, zero = (transform(tf.constant(params)).forward(tf.fill([3], v)) for v in (1.0, 0.0))
    slopes = (one - zero).numpy().astype("float64") ** times
    return 1 / slopes if inverse else slopes


def of_spline(spline):
    """`dx/dz` in the mean of a bin: the last, as wide and as low as it gets, and the reverse."""
    bins, slopes = spline.num_bins, []
    for sign in (-1, 1):
        params = np.zeros((2, spline.num_params), "float64")
        params[:, bins - 1], params[:, 2 * bins - 1] = 60 * sign, -60 * sign
        # The bin ends at the bound, where value and argument are the same.
        width = (1 - (bins - 1) * LEAST_SIZE) if sign > 0 else LEAST_SIZE
        x = np.array([1 - 2 * width, 1]) * spline.bound
        z = spline(tf.constant(params)).inverse(x).numpy()
        slopes.append(np.diff(x) / np.diff(z))
    return slopes


def of_element(element):
    """Standard deviations of a normal distribution, its weight or its outputs at their ends."""
    element.build((None, 1))
    scales = []
    for end in ENDS:
        if element.scale == "shared":
            element.log_scale.assign([end])
        params = np.zeros((1, element.num_params(1)), "float32")
        params[:, 1:] = end
        scales.append(np.exp(np.ravel(element._loc_and_log_scale(params)[1])))
    return scales


def of_mixture():
    """Standard deviations of a component, its outputs at their ends."""
    element = distributions.NormalMixture(1)
    params = np.zeros((3, 3), "float32")
    params[:, 2] = ENDS
    return np.exp(element._split(tf.constant(params))[2])


def of_levels():
    """Standard deviations of the logistic distribution behind the levels, in levels."""
    element = distributions.DiscretisedLogistic()
    params = np.zeros((3, 3), "float32")
    params[:, 2] = ENDS
    scale = np.exp(element._split(tf.constant(params))[2])
    return 127.5 * scale * np.pi / np.sqrt(3)


def of_bernoulli():
    p = distributions.Bernoulli().mean(ENDS[:, None])
    return np.sqrt(p * (1 - p))


def of_posterior(posterior):
    """Standard deviations of `q(z|x)` before a flow."""
    posterior.build((None, 1), 1)
    posterior.head.kernel.assign([[0.0, 1.0]])
    return posterior._loc_and_scale(ENDS[:, None])[1]


def of_flow_posterior(num_steps):
    """The product of the steps' gates and of the scales before the flow."""
    before = np.ravel(of_posterior(distributions.IAFPosterior(1, (4,))))
    gates = np.ravel(of_transform(get_transform("gated"), num_steps, inverse=True))
    return [before.min() * gates.min(), before.max() * gates.max()]


def of_fit(fit):
    """The scale across two latents that are one and the same, in units of their own."""
    z = np.random.default_rng(0).normal(size=(500, 1)) @ np.ones((1, 2))
    covariance = fit(z / z.std()).to_tfd().covariance().numpy()
    return np.sqrt(np.linalg.eigvalsh(covariance)[:1])


def of_affine_prior(num_steps):
    prior = distributions.autoregressive_flow(num_steps, (4,), transform="affine")
    return of_transform(prior.bijector.step.bijectors[0].transform, num_steps)


def of_injective_flow(prior_weight):
    model = tfgen.InjectiveFlow(2, latent_dim=1, data_kind="real", prior_weight=prior_weight)
    return model.prior.to_tfd().stddev()


def of_actnorm():
    layer, scales = bijectors.ActNorm(), []
    layer.build((None, 1))
    for end in ENDS:
        layer.log_scale.assign([end])
        scales.append(np.exp(layer.forward_and_log_det(np.zeros((1, 1), "float32"))[1]))
    return scales


def by_kind(name, kind, scale=None):
    return of_element(distributions.get_observation(name, None, kind, scale).element)


ROWS = {
    '`StandardNormal`, `"normal"`': lambda: of_base(BASES["normal"]),
    "`IsotropicNormal(2.0)`": lambda: of_base(lambda: distributions.IsotropicNormal(2.0)),
    "`InjectiveFlow(prior_weight=1)`": lambda: of_injective_flow(1),
    "`InjectiveFlow(prior_weight=1e-4)`": lambda: of_injective_flow(1e-4),
    '`DiagonalNormal`, `"diagonal_normal"`': lambda: of_base(BASES["diagonal_normal"]),
    '`GaussianMixture`, `"mixture"`, of a component': lambda: of_base(
        lambda: distributions.GaussianMixture(1)
    ),
    '`GaussianMixture(covariance="full")`, of a component': lambda: of_base(
        lambda: distributions.GaussianMixture(1, "full")
    ),
    '`StudentT`, `"student_t"`, by the degrees of freedom': lambda: of_base(
        BASES["student_t"], "log_df", np.log([1.5, 1e6])
    ),
    "`fit_gaussian`": lambda: of_fit(distributions.fit_gaussian),
    "`fit_gaussian_mixture`": lambda: of_fit(lambda z: distributions.fit_gaussian_mixture(z, 2)),
    '`autoregressive_flow()`, `"af"`': lambda: of_transform(get_transform("additive"), 4),
    '`autoregressive_flow(1, transform="affine")`': lambda: of_affine_prior(1),
    '`autoregressive_flow(4, transform="affine")`': lambda: of_affine_prior(4),
    **{f'prior `"{name}"`': lambda name=name: of_transform(as_prior(name)) for name in TRANSFORMS},
    **{
        f'step `"{name}"`': lambda name=name: of_transform(get_transform(name))
        for name in TRANSFORMS
    },
    "`ActNorm`": of_actnorm,
    '`NormalPosterior`, `"normal"`': lambda: of_posterior(POSTERIORS["normal"]()),
    '`IAFPosterior`, `"iaf"`': lambda: of_flow_posterior(POSTERIORS["iaf"]().num_steps),
    "`Normal(0.1)`": lambda: of_element(distributions.Normal(0.1)),
    '`Normal("shared")`': lambda: of_element(distributions.Normal("shared")),
    '`Normal("per_value")`': lambda: of_element(distributions.Normal("per_value")),
    '`Normal("per_value", least_scale=1e-6)`': lambda: of_element(
        distributions.Normal("per_value", least_scale=1e-6)
    ),
    "`NormalMixture`, of a component": of_mixture,
    '`"normal"` of reals': lambda: by_kind("normal", "real"),
    '`"normal"` of uint8': lambda: by_kind("normal", "uint8"),
    '`"normal"` of uint8, `observation_scale="shared"`': lambda: by_kind(
        "normal", "uint8", "shared"
    ),
    '`"normal"` of uint8, `observation_scale=1.0`': lambda: by_kind("normal", "uint8", 1.0),
    '`"flow"`': lambda: by_kind("flow", "uint8"),
    '`"pixelcnn"` of reals': lambda: by_kind("pixelcnn", "real"),
    '`DiscretisedLogistic`, `"logistic"`, `"pixelcnn"` of uint8': of_levels,
    '`Bernoulli`, `"bernoulli"`, `"pixelcnn"` of binary data': of_bernoulli,
}


def written(value):
    if value > 1e20:
        return "any"
    return "0" if value < 1e-20 else f"{value:.3g}"


def ends(name):
    with np.errstate(over="ignore"):
        scales = np.ravel(np.array(ROWS[name](), "float64"))
    return [written(scales.min()), written(scales.max())]


def table():
    """The page's rows: least and largest scale by name."""
    rows = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {name: found[:2] for name, *found in cells if name in ROWS or found[0][:1].isdigit()}


@pytest.mark.parametrize("name", ROWS)
def test_the_page_has_the_ranges_of_the_code(name):
    assert table()[name] == ends(name)


def test_every_part_has_a_row():
    page, named = PAGE.read_text(), [*BASES, *POSTERIORS, *OBSERVATIONS, *TRANSFORMS]
    missing = [name for name in named if f'"{name}"' not in page]
    public = [getattr(distributions, name) for name in distributions.__all__]
    kinds = (
        distributions.Base,
        distributions.Posterior,
        distributions.Observation,
        distributions.OutputDistribution,
    )
    classes = {c for c in public if isinstance(c, type) and issubclass(c, kinds)} - {*kinds}
    missing += [c.__name__ for c in classes if f"`{c.__name__}" not in page]
    assert not missing
    assert set(table()) == set(ROWS)


# The second shows that the first is no accident.
@pytest.mark.parametrize("prior", ["exp_affine", *zoo.slow("sigmoid_affine")])
def test_a_prior_of_labels_has_any_scale(prior):
    """Labels whose deviations are 1 and 0.05: a gate, which ends at 0.3, cannot tell the second."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=2000)
    x = rng.normal(size=(2000, 2)) * np.where(y, 0.05, 1.0)[:, None]
    keras.utils.set_random_seed(0)
    model = tfgen.Flow((2,), tfgen.bijectors.Elementwise(prior), num_classes=2)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(x[:1000], y[:1000], batch_size=100, epochs=30, verbose=0)
    entropy = np.log(2 * np.pi * np.e) + np.log(0.05)
    lost = -np.mean(model.log_prob(x[1000:], y[1000:])) - entropy
    assert (abs(lost) < 0.15) if prior == "exp_affine" else lost > 1

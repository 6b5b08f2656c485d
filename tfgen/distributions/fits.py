"""Distributions fitted to draws, not trained."""

import numpy as np

from tfgen.distributions.mixture import GaussianMixture
from tfgen.utils import checks


def fit_gaussian(z):
    """Normal distribution with the mean and the covariance of draws.

    Args:
        z: `[n, size]`, more rows than columns.

    Returns:
        A `GaussianMixture` of one component, in the dtype of `z`.

    Raises:
        ValueError: another shape, or values that are not finite.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.fit_gaussian(np.random.default_rng(0).normal(size=(99, 2)))
    >>> base.num_components, base.covariance
    (1, 'full')
    """
    z = _as_draws(z)
    covariance = np.cov(z.T.astype("float64"), bias=True).reshape(z.shape[1], -1)
    return _made(z, [z.mean(0)], [covariance], [1.0])


def fit_gaussian_mixture(z, num_components=10, seed=0):
    """Mixture of normal distributions with full covariances, fitted by expectation maximisation.

    The fit is scikit-learn's `GaussianMixture`.

    Args:
        z: `[n, size]`, more rows than columns and than components.
        num_components: number of components.
        seed: integer, for the start of the fit.

    Returns:
        A `GaussianMixture`, in the dtype of `z`.

    Raises:
        ValueError: another shape, or values that are not finite.

    >>> import numpy as np, tfgen
    >>> draws = np.random.default_rng(0).normal(size=(99, 2)) + [[0, 9]] * np.eye(99, 1)
    >>> tfgen.distributions.fit_gaussian_mixture(draws, 2).num_components
    2
    """
    from sklearn.mixture import GaussianMixture as ScikitLearns

    z = _as_draws(z, num_components)
    # In float64, and in units of the draws: scikit-learn adds 1e-6 to variances.
    centre, unit = z.mean(0), z.std(0) + 1e-12
    standard = (z.astype("float64") - centre) / unit
    fit = ScikitLearns(num_components, random_state=seed, max_iter=500).fit(standard)
    return _made(
        z, centre + unit * fit.means_, fit.covariances_ * np.outer(unit, unit), fit.weights_
    )


def _as_draws(z, num_components=1):
    z = checks.as_numeric(z, "z")
    if z.ndim != 2 or len(z) <= max(z.shape[1], num_components):
        raise ValueError(
            f"`z` must be [n, size] with more rows than columns and components "
            f"({num_components}); got {list(z.shape)}"
        )
    return checks.as_events(z, "z", z.shape[1:], "real", np.result_type(z, np.float32))


def _made(z, locs, covariances, weights):
    # A latent may be constant.
    variances = np.var(z, axis=0, dtype="float64")
    floor = 1e-6 * variances + 1e-12 * variances.max() + 1e-30
    covariances = covariances + np.diag(floor)
    base = GaussianMixture(len(weights), covariance="full", dtype=z.dtype.name)
    base.build((None, z.shape[1]))
    base.assign(locs, covariances, weights)
    return base

"""Frechet distance between features of real and of generated examples."""

import dataclasses

import numpy as np

from tfgen.metrics.inputs import as_features

_ROWS = 4096  # rows in float64 at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Moments of features that the Frechet distance needs, in float64.

    Attributes:
        count: number of examples: int.
        mean: `[d]`.
        covariance: `[d, d]`, unbiased.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.

    >>> import numpy as np, tfgen
    >>> real = tfgen.metrics.Moments(count=100, mean=[0.0, 0.0], covariance=np.eye(2))
    >>> generated = tfgen.metrics.Moments(count=100, mean=[3.0, 4.0], covariance=np.eye(2))
    >>> tfgen.metrics.frechet_distance(real, generated)
    25.0
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray

    def __post_init__(self):
        for name in ("mean", "covariance"):
            value = np.asarray(getattr(self, name), np.float64)
            if not np.isfinite(value).all():
                raise ValueError(f"`{name}` must be finite")
            object.__setattr__(self, name, value)
        mean, covariance = self.mean.shape, self.covariance.shape
        if len(mean) != 1 or covariance != 2 * mean:
            raise ValueError(
                f"`mean` and `covariance` must have shapes [d] and [d, d]; got {list(mean)} and "
                f"{list(covariance)}"
            )


def moments(features):
    """Computes the mean and the unbiased covariance of features, summed in float64.

    Args:
        features: floats `[n, d]`, n at least 2.

    Returns:
        `Moments(count, mean, covariance)`.

    Raises:
        ValueError: another shape, or values that are not finite.

    >>> import numpy as np
    >>> moments(np.array([[0.0, 1.0], [2.0, 1.0]], "float32")).covariance
    array([[2., 0.],
           [0., 0.]])
    """
    features = as_features(features, "features")
    count, width = features.shape
    mean = features.mean(0, dtype=np.float64)
    products = np.zeros([width, width])
    for start in range(0, count, _ROWS):
        centred = features[start : start + _ROWS] - mean
        products += centred.T @ centred
    return Moments(count, mean, products / (count - 1))


def frechet_distance(real, generated):
    """Computes the squared Frechet distance between two sets of features.

    It is the squared 2-Wasserstein distance of the normal distributions with their moments,
    `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2))` (Heusel et al. 2017, eq. 6). It is
    biased: fewer examples give a larger distance, so figures compare at equal numbers of examples,
    and only where they are of one extractor's features.

    Args:
        real: features of real examples, floats `[n, d]`, n at least 2, or their `Moments`.
        generated: features of generated examples, floats `[m, d]`, m at least 2, or their
            `Moments`. The distance is symmetric in the two.

    Returns:
        A float of at least 0.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.

    References:
        Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
        Equilibrium, 2017, arXiv:1706.08500.
        Dowson and Landau, The Frechet distance between multivariate normal distributions, Journal
        of Multivariate Analysis 12, 1982.

    >>> import numpy as np
    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    9.0
    """
    a, b = (
        x if isinstance(x, Moments) else moments(as_features(x, name))
        for x, name in ((real, "real"), (generated, "generated"))
    )
    if len(a.mean) != len(b.mean):
        raise ValueError(
            f"`generated` must have as many features as `real`, {len(a.mean)}; got {len(b.mean)}"
        )
    # The trace of the last root is the sum of the singular values of the product of the roots,
    # which keep the digits that eigenvalues near 0 lose when their root is taken.
    overlap = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return float(max(0.0, np.sum((a.mean - b.mean) ** 2) + spread))


def _root(covariance):
    """Returns the symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    # Below this, eigenvalues are rounding of 0.
    floor = len(values) * np.finfo(np.float64).eps * values[-1]
    return vectors * np.sqrt(np.where(values > floor, values, 0.0)) @ vectors.T

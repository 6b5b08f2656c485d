"""Kernel distance between features of real and of generated examples."""

from typing import NamedTuple

import numpy as np

from tfgen.metrics.inputs import as_feature_pair
from tfgen.utils import checks


class KernelDistance(NamedTuple):
    """Result of `kernel_distance`.

    Attributes:
        value: the estimate: float.
        standard_error: its standard error: float.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).normal(size=[100, 8])
    >>> found = tfgen.metrics.kernel_distance(x[:50], x[50:] + 1)
    >>> type(found).__name__, found.value > found.standard_error
    ('KernelDistance', True)
    """

    value: float
    standard_error: float


def kernel_distance(real, generated, subset_size=1000, seed=0):
    """Estimates the kernel distance between two sets of features.

    It is the squared maximum mean discrepancy with the kernel `(x.y / d + 1)^3` (Binkowski et al.
    2018, section 4), estimated without bias: its mean does not depend on the number of examples,
    and it may be below 0.

    Both sets are divided at random into disjoint subsets; the estimate is the mean over them. Of
    the larger set only as many examples as the smaller has are used.

    Args:
        real: features of real examples, floats `[n, d]`, n at least 2.
        generated: features of generated examples, floats `[m, d]`, m at least 2.
        subset_size: examples in a subset: int of at least 2; rows that are left over are spread
            over the subsets. Larger ones take more time and give a smaller error.
        seed: non-negative int, of the division.

    Returns:
        `KernelDistance(value, standard_error)`. The error is that of the estimate's linear part,
        too large by a factor of up to 1.5 where both distributions are equal.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.

    References:
        Binkowski et al., Demystifying MMD GANs, 2018, arXiv:1801.01401.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=[500, 8])
    >>> near, far = kernel_distance(x[:250], x[250:]), kernel_distance(x[:250], x[250:] + 1)
    >>> abs(near.value) < 3 * near.standard_error, far.value > 5 * far.standard_error
    (True, True)
    """
    real, generated = as_feature_pair(real, generated)
    subset_size = checks.check_int(subset_size, "subset_size", 2, 2**31)
    count = min(len(real), len(generated))
    num_subsets = max(1, count // subset_size)
    rng = np.random.default_rng(seed)
    # Sizes that differ by one at most, so that no row is left over.
    rows = [np.array_split(rng.permutation(len(x))[:count], num_subsets) for x in (real, generated)]
    values, variances = zip(
        *(_estimate(real[i], generated[j]) for i, j in zip(*rows, strict=True)), strict=True
    )
    return KernelDistance(float(np.mean(values)), float(np.sqrt(np.sum(variances)) / num_subsets))


def _estimate(x, y):
    """Returns the unbiased estimate from all pairs, and its variance to first order."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    across = _kernel(x, y)
    within_x, within_y = _mean_of_others(x), _mean_of_others(y)
    value = within_x.mean() + within_y.mean() - 2 * across.mean()
    # Each example's own part in the estimate (Hoeffding's projection).
    parts = within_x - across.mean(1), within_y - across.mean(0)
    return value, sum(4 * part.var(ddof=1) / len(part) for part in parts)


def _mean_of_others(x):
    """Returns the mean kernel of each row with all others, `[n]`."""
    kernel = _kernel(x, x)
    return (kernel.sum(1) - kernel.diagonal()) / (len(x) - 1)


def _kernel(x, y):
    base = x @ y.T / x.shape[1] + 1
    return base * base * base

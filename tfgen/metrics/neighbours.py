"""Precision and recall of generated examples by nearest neighbours."""

from typing import NamedTuple

import numpy as np

from tfgen.metrics.inputs import as_feature_pair
from tfgen.utils import checks

_BYTES = 2**26  # of distances at a time
# Rows that differ by less than a millionth of their size are the same: features of one image
# differ as much from batch to batch.
_SAME = 1e-12


class PrecisionRecall(NamedTuple):
    """Result of `precision_recall`.

    Attributes:
        precision: fraction of generated examples that the real ones cover: float.
        recall: fraction of real examples that the generated ones cover: float.

    >>> import numpy as np, tfgen
    >>> x = np.arange(10.0)[:, None]
    >>> tfgen.metrics.precision_recall(x, x)
    PrecisionRecall(precision=1.0, recall=1.0)
    """

    precision: float
    recall: float


def precision_recall(real, generated, k=3):
    """Computes improved precision and recall (Kynkaanniemi et al. 2019, eq. 1 and 2).

    A set covers a point that is no further from one of its own points than the k-th nearest
    neighbour of that one is; a point is not its own neighbour, but a duplicate of it is.

    Args:
        real: features of real examples, floats `[n, d]`, n > k.
        generated: features of generated examples, floats `[m, d]`, m > k; figures compare where
            the numbers are equal.
        k: rank of the neighbour, 1 for the nearest: positive int.

    Returns:
        `PrecisionRecall(precision, recall)`: the fraction of generated examples that the real
        ones cover, and of real examples that the generated ones cover.

    Raises:
        ValueError: shapes that do not fit, too few rows, or values that are not finite.

    References:
        Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models,
        2019, arXiv:1904.06991.

    >>> import numpy as np
    >>> real = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> precision_recall(real, np.array([[0.2], [0.5], [0.9]]), k=1)  # one of two modes
    PrecisionRecall(precision=1.0, recall=0.5)
    """
    k = checks.check_count(k, "k")
    real, generated = as_feature_pair(real, generated, k + 1)
    # Of features far from 0 the distances would lose digits.
    centre = real.mean(0, dtype=np.float64)
    real, generated = real - centre, generated - centre
    of_real, of_generated = _squared_radii(real, k), _squared_radii(generated, k)
    precise = np.zeros(len(generated), bool)
    recalled = []
    for rows, squares in squared_distances(real, generated):
        precise |= (squares <= of_real[rows, None]).any(0)
        recalled.append((squares <= of_generated).any(1))
    return PrecisionRecall(float(precise.mean()), float(np.concatenate(recalled).mean()))


def _squared_radii(x, k):
    """Returns the squared distance of each row to its k-th nearest other one, `[n]`."""
    radii = []
    for rows, squares in squared_distances(x, x):
        squares[np.arange(len(squares)), np.arange(rows.start, rows.stop)] = np.inf
        radii.append(np.partition(squares, k - 1, axis=1)[:, k - 1])
    return np.concatenate(radii)


def squared_distances(x, y):
    """Yields slices of the rows of x and their squared distances to all rows of y.

    Args:
        x: floats `[n, d]`.
        y: floats `[m, d]`.

    Yields:
        A slice of some rows of `x`, and their squared distances, `[rows, m]`.
    """
    x_squares, y_squares = (np.einsum("nd,nd->n", a, a) for a in (x, y))
    step = max(1, _BYTES // (8 * len(y)))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        squares = x_squares[rows, None] + y_squares
        squares -= 2 * (x[rows] @ y.T)
        squares[squares <= _SAME * x_squares[rows, None]] = 0
        yield rows, squares

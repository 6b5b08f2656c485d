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
    """Fractions from 0 to 1."""

    precision: float
    recall: float


def precision_recall(real, generated, k=3):
    """Improved precision and recall (Kynkaanniemi et al. 2019, equations 1 and 2).

    A set covers what is no further from one of its points than the point's k-th nearest
    neighbour in the set is; a point is not its own neighbour, but a duplicate of it is.

    Args:
        real: features `[n, d]`, n > k.
        generated: features `[m, d]`, m > k; figures compare where the numbers are equal.
        k: which neighbour.

    Returns:
        `PrecisionRecall(precision, recall)`: the fraction of generated examples that the real
        ones cover, and of real examples that the generated ones cover.

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
    """`[n]`: the squared distance of each row to its k-th nearest other one."""
    radii = []
    for rows, squares in squared_distances(x, x):
        squares[np.arange(len(squares)), np.arange(rows.start, rows.stop)] = np.inf
        radii.append(np.partition(squares, k - 1, axis=1)[:, k - 1])
    return np.concatenate(radii)


def squared_distances(x, y):
    """Yields slices of the rows of x and their squared distances to all of y."""
    x_squares, y_squares = (np.einsum("nd,nd->n", a, a) for a in (x, y))
    step = max(1, _BYTES // (8 * len(y)))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        squares = x_squares[rows, None] + y_squares
        squares -= 2 * (x[rows] @ y.T)
        squares[squares <= _SAME * x_squares[rows, None]] = 0
        yield rows, squares

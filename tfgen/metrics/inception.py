"""The inception score of generated examples."""

from typing import NamedTuple

import numpy as np

from tfgen.metrics.inputs import as_features
from tfgen.utils import checks


class InceptionScore(NamedTuple):
    """Result of `inception_score`.

    Attributes:
        mean: mean of the score over the splits: float.
        deviation: standard deviation over the splits: float.

    >>> import tfgen
    >>> tfgen.metrics.inception_score([[0.5, 0.5], [0.5, 0.5]], num_splits=2)
    InceptionScore(mean=1.0, deviation=0.0)
    """

    mean: float
    deviation: float


def inception_score(probabilities, num_splits=10, seed=0):
    """Computes the inception score `exp(E KL(p(y|x) || p(y)))` of generated examples.

    It lies between 1 and the number of classes, and is the larger, the surer and the more varied
    a classifier's answers are (Salimans et al. 2016, section 4). Scores compare only where they
    are of one classifier.

    Args:
        probabilities: class probabilities of the examples, `[n, classes]`; each row sums to 1.
        num_splits: number of parts, which differ by one row at most, that the score is computed
            on: positive int, at most n.
        seed: non-negative int; rows are divided at random, for those of a conditional model
            often come in the order of their classes.

    Returns:
        `InceptionScore(mean, deviation)` over the splits.

    Raises:
        ValueError: another shape, or rows that are no probabilities.

    References:
        Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498.

    >>> import numpy as np
    >>> round(inception_score(np.eye(4), num_splits=1).mean, 6)
    4.0
    """
    num_splits = checks.check_count(num_splits, "num_splits")
    p = as_features(probabilities, "probabilities", num_splits).astype(np.float64)
    sums = p.sum(1, keepdims=True)
    # As loose as half precision needs.
    if p.min() < 0 or np.abs(sums - 1).max() > 1e-2:
        raise ValueError(
            "`probabilities` must be at least 0 and sum to 1 in each row; got values from "
            f"{p.min():g} and sums from {sums.min():g} to {sums.max():g}"
        )
    p = np.random.default_rng(seed).permutation(p / sums)
    scores = [_score(part) for part in np.array_split(p, num_splits)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _score(p):
    # Where p is 0, so is p log p.
    ratio = np.divide(p, p.mean(0), out=np.ones_like(p), where=p > 0)
    return np.exp(np.sum(p * np.log(ratio), 1).mean())

"""All scores of generated images at once, with the name of their extractor."""

import dataclasses
from collections.abc import Collection

import numpy as np

from tfgen.metrics.extractors import FeatureExtractor
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.frechet import moments
from tfgen.metrics.inception import inception_score
from tfgen.metrics.kernel import kernel_distance
from tfgen.metrics.neighbours import precision_recall
from tfgen.metrics.references import Reference
from tfgen.utils import checks

# The scores, each with the fewest examples that it needs.
_LEAST = {"frechet": 2, "kernel": 2, "precision_recall": 4, "inception_score": 10}


@dataclasses.dataclass(frozen=True)
class Quality:
    """Result of `sample_quality`; `str` says it in a line.

    Attributes:
        extractor: name and hash of the extractor: str.
        num_samples: number of images that were scored: int.
        num_real: number of real images that they were compared with: int.
        scores: dict from name to float. Lower is better of `frechet` and `kernel`, higher of
            `precision`, `recall` and `inception_score`; `kernel_error` is the standard error,
            `inception_score_deviation` the standard deviation over the splits.

    >>> import tfgen
    >>> print(tfgen.metrics.Quality("net (0123456789ab)", 100, 200, {"frechet": 1.5}))
    100 samples against 200 real images by net (0123456789ab): frechet 1.5
    """

    extractor: str
    num_samples: int
    num_real: int
    scores: dict

    def __str__(self):
        scores = ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        return (
            f"{self.num_samples} samples against {self.num_real} real images by "
            f"{self.extractor}: {scores}"
        )


def sample_quality(
    extractor, reference, images, scores=None, data_kind=None, seed=0, batch_size=256
):
    """Scores generated images against real ones; one pass of the extractor serves all scores.

    Args:
        extractor: a `FeatureExtractor`.
        reference: the `Reference` of real images, made with this extractor.
        images: generated images `[n, h, w, c]`: uint8, floats in 0..1, bool or 0 and 1. If
            `data_kind` is `"real"`, they are cut to 0..1, and values that are not finite become
            black, as in pictures.
        scores: collection of `"frechet"`, `"kernel"`, `"precision_recall"` (k = 3, as many real
            images as generated ones, at random) and `"inception_score"` (10 splits, classifiers
            only); None for all that the extractor can give.
        data_kind: `"uint8"`, `"real"` or `"binary"`, see `FeatureExtractor.extract`.
        seed: non-negative int, of random subsets.
        batch_size: images computed at a time.

    Returns:
        A `Quality`.

    Raises:
        ValueError: bad arguments, or a reference of another extractor.

    >>> import keras, numpy as np
    >>> from tfgen.metrics import KerasExtractor, reference
    >>> model = keras.Sequential([keras.Input([2, 2, 1]), keras.layers.Flatten()], name="pixels")
    >>> extractor, x = KerasExtractor(model), np.random.default_rng(0).random([50, 2, 2, 1])
    >>> print(sample_quality(extractor, reference(extractor, x), x, ["precision_recall"]))
    50 samples against 50 real images by pixels (...): precision 1, recall 1
    """
    images = checks.as_numeric(images, "images")
    seed = checks.check_int(seed, "seed", 0, 2**31)
    scores = check_scores(extractor, reference, len(images), scores)
    if data_kind == "real":
        images = np.clip(np.nan_to_num(images, posinf=0, neginf=0), 0, 1)
    features, probabilities = extractor.extract(images, data_kind, batch_size)
    found = {}
    if "frechet" in scores:
        found["frechet"] = frechet_distance(reference.moments, moments(features))
    if "kernel" in scores:
        found["kernel"], found["kernel_error"] = kernel_distance(
            reference.features, features, seed=seed
        )
    if "precision_recall" in scores:
        rng, count = np.random.default_rng(seed), min(len(reference.features), len(features))
        found["precision"], found["recall"] = precision_recall(
            *(x[rng.permutation(len(x))[:count]] for x in (reference.features, features))
        )
    if "inception_score" in scores:
        found["inception_score"], found["inception_score_deviation"] = inception_score(
            probabilities, seed=seed
        )
    return Quality(str(extractor), len(features), len(reference.features), found)


def check_scores(extractor, reference, num_samples, scores):
    """Checks that scores can be computed.

    Args:
        extractor: a `FeatureExtractor`.
        reference: the `Reference` of real images, made with this extractor.
        num_samples: number of generated images.
        scores: collection of names, see `sample_quality`; None for all that the extractor gives.

    Returns:
        List of the names of the scores.

    Raises:
        ValueError: a reference of another extractor, other names, or too few images.
    """
    checks.check_instance(extractor, FeatureExtractor, "extractor")
    checks.check_instance(reference, Reference, "reference")
    if reference.hash != extractor.hash:
        raise ValueError(
            f"`reference` must be of the extractor {extractor}; got one of {reference.extractor} "
            f"({reference.hash})"
        )
    if scores is None:
        scores = [name for name in _LEAST if name != "inception_score" or extractor.is_classifier]
    several = isinstance(scores, Collection) and not isinstance(scores, str) and scores
    if not several or any(name not in list(_LEAST) for name in scores):
        raise ValueError(f"`scores` must be some of {list(_LEAST)}; got {scores!r}")
    if "inception_score" in scores and not extractor.is_classifier:
        raise ValueError(f"`scores` may hold inception_score of classifiers only; got {extractor}")
    least = max(_LEAST[name] for name in scores)
    if min(num_samples, len(reference.features)) < least:
        raise ValueError(
            f"{', '.join(scores)} need at least {least} samples and real images; got "
            f"{num_samples} and {len(reference.features)}"
        )
    return list(scores)

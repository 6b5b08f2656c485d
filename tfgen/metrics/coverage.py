"""Coverage of the modes of the data, and the training examples nearest to samples."""

from typing import NamedTuple

import numpy as np

from tfgen.metrics.extractors import FeatureExtractor
from tfgen.metrics.inputs import as_features
from tfgen.metrics.inputs import as_images
from tfgen.metrics.neighbours import squared_distances
from tfgen.utils import checks

_BLOCK = 4096


class ModeCoverage(NamedTuple):
    """Result of `mode_coverage`.

    Attributes:
        num_covered: number of modes that have a sample: int.
        kl: `KL(samples | data)` over the modes, nats: float.
        on_modes: fraction of samples that belong to a mode: float.

    >>> import tfgen
    >>> tfgen.metrics.mode_coverage([0, 1, 1, 0], num_modes=2)
    ModeCoverage(num_covered=2, kl=0.0, on_modes=1.0)
    """

    num_covered: int
    kl: float
    on_modes: float


def mode_coverage(modes, num_modes, probabilities=None):
    """Counts the modes of the data that samples reach, and measures how evenly they do.

    These are the figures of Lin et al. 2018, section 4.1.

    Args:
        modes: the mode of each sample, integers `[n]`, as from `nearest_mode` or a classifier; -1
            for a sample of no mode.
        num_modes: number of modes that the data have: positive int.
        probabilities: probabilities of the modes in the data, or weights in proportion to them,
            `[num_modes]`; by default they are equal.

    Returns:
        `ModeCoverage(num_covered, kl, on_modes)`; `kl`, in nats, is not a number where no sample
        is of a mode, and infinite where samples are of a mode that the data have not.

    Raises:
        ValueError: modes or probabilities of another shape or range.

    References:
        Lin et al., PacGAN: The Power of Two Samples in Generative Adversarial Networks, 2018,
        arXiv:1712.04086.

    >>> import tfgen
    >>> tfgen.metrics.mode_coverage([0, 0, 1, 1, -1], num_modes=4)
    ModeCoverage(num_covered=2, kl=0.6931471805599453, on_modes=0.8)
    """
    num_modes = checks.check_count(num_modes, "num_modes")
    modes = checks.as_numeric(modes, "modes")
    if modes.ndim != 1 or not len(modes) or modes.dtype.kind not in "iu":
        raise ValueError(
            f"`modes` must be integers [n], n > 0; got {modes.dtype} of shape {list(modes.shape)}"
        )
    if modes.min() < -1 or modes.max() >= num_modes:
        raise ValueError(
            f"`modes` must lie in -1..{num_modes - 1}; got {modes.min()}..{modes.max()}"
        )
    if probabilities is None:
        probabilities = np.full(num_modes, 1 / num_modes)
    probabilities = checks.as_weights(probabilities, "probabilities", num_modes, "modes")
    if not probabilities.any():
        raise ValueError("`probabilities` must not all be 0")
    probabilities = np.asarray(probabilities, "float64") / np.sum(probabilities, dtype="float64")
    counts = np.bincount(modes[modes >= 0], minlength=num_modes)
    if not counts.sum():
        return ModeCoverage(0, float("nan"), 0.0)
    hit = counts > 0
    share = counts[hit] / counts.sum()
    with np.errstate(divide="ignore"):
        kl = np.sum(share * np.log(share / probabilities[hit]))
    return ModeCoverage(int(hit.sum()), float(kl), float(counts.sum() / len(modes)))


def nearest_mode(x, centres, radius):
    """Finds the nearest centre of each point.

    Args:
        x: points, `[n, d]`.
        centres: centres of the modes, `[k, d]`.
        radius: the largest distance from a centre within its mode: positive float. For normal
            distributions, three standard deviations are the custom.

    Returns:
        Integers `[n]` in 0..k-1, or -1 for a point that is further than `radius` from all centres.

    Raises:
        ValueError: shapes that do not fit, or `radius` not positive.

    >>> import tfgen
    >>> tfgen.metrics.nearest_mode([[0.1], [2.4]], [[0.0], [2.0]], radius=0.3).tolist()
    [0, -1]
    """
    radius = checks.check_positive(radius, "radius")
    nearest = _nearest(x, centres, "centres")
    differences = np.asarray(x, "float64") - np.asarray(centres, "float64")[nearest]
    distances = np.linalg.norm(differences.reshape(len(nearest), -1), axis=1)
    return np.where(distances <= radius, nearest, -1)


def stacked_modes(extractor, images, data_kind=None, batch_size=256):
    """Classifies images whose channels are images of their own, as of `data.stack_channels`.

    Args:
        extractor: a `FeatureExtractor` that is a classifier of images with one channel, such as
            the `classifier` of the data that were stacked.
        images: `[n, height, width, 3]`: uint8, floats in 0..1, bool or 0 and 1.
        data_kind: `"uint8"`, `"real"` or `"binary"`, see `FeatureExtractor.extract`.
        batch_size: images computed at a time.

    Returns:
        Integers `[n]`, the modes of `mode_coverage` out of `k ** 3` for `k` classes.

    Raises:
        ValueError: the extractor is no classifier, or the images have other channels.

    References:
        Metz et al., Unrolled Generative Adversarial Networks, 2017, arXiv:1611.02163, section
        3.3.1.

    >>> import keras, numpy as np, tfgen
    >>> layers = [keras.layers.Flatten(), keras.layers.Softmax()]
    >>> brightest = keras.Sequential([keras.Input([1, 4, 1]), *layers])  # of four pixels
    >>> images = np.eye(4)[[[0, 1, 3]]].transpose(0, 2, 1)[:, None]
    >>> tfgen.metrics.stacked_modes(tfgen.metrics.KerasExtractor(brightest), images).tolist()
    [7]
    """
    images = checks.as_numeric(images, "images")
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            f"`images` must have shape [n, height, width, 3]; got {list(images.shape)}"
        )
    checks.check_instance(extractor, FeatureExtractor, "extractor")
    as_images(images, data_kind)  # its errors count in these rows
    # All at once: which kind of data they are may show in one channel only.
    channels = np.concatenate(np.split(images, 3, axis=-1))
    _, probabilities = extractor.extract(channels, data_kind, batch_size)
    if probabilities is None:
        raise ValueError(f"`extractor` must give probabilities of classes; {extractor} does not")
    first, second, third = np.split(probabilities.argmax(1), 3)
    k = probabilities.shape[1]
    return (first * k + second) * k + third


def nearest_examples(x, examples):
    """Finds the training example that is nearest to each sample, in squared distance.

    Beside each other they show whether a model generalises, or has learned examples by heart.

    Args:
        x: samples, `[n, *event_shape]`.
        examples: training examples, `[m, *event_shape]`.

    Returns:
        Indices of the examples, integers `[n]`.

    Raises:
        ValueError: shapes that do not fit, no rows, or values that are not finite.

    >>> import tfgen
    >>> tfgen.metrics.nearest_examples([[4.0]], [[0.0], [5.0]]).tolist()
    [1]
    """
    return _nearest(x, examples, "examples")


def _nearest(x, points, name):
    x, points = checks.as_numeric(x, "x"), checks.as_numeric(points, name)
    if x.ndim < 2 or x.shape[1:] != points.shape[1:] or not (len(x) and len(points)):
        raise ValueError(
            f"`{name}` must have shape [m, ...] for an `x` of shape [n, ...], n and m above 0; "
            f"got {list(points.shape)} for {list(x.shape)}"
        )
    x = as_features(x.reshape(len(x), -1).astype("float64"), "x", least=1)
    nearest, squares = np.zeros(len(x), int), np.full(len(x), np.inf)
    centre = None
    # Some points at a time, as reals: there may be many.
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        block = as_features(block.reshape(len(block), -1).astype("float64"), name, least=1)
        if centre is None:
            # Of points far from 0 the distances would lose digits.
            centre = block.mean(0)
            x = x - centre
        for rows, distances in squared_distances(x, block - centre):
            least = distances.min(1)
            closer = least < squares[rows]
            nearest[rows] = np.where(closer, start + distances.argmin(1), nearest[rows])
            squares[rows] = np.where(closer, least, squares[rows])
    return nearest

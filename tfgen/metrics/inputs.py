"""Checks of the features and images that users give the metrics."""

import numpy as np

from tfgen.utils import checks

# The divisor that brings images of a kind to 0..1.
_HIGHEST = {"binary": 1, "real": 1, "uint8": 255}


def as_features(x, name, least=2):
    """Checks features of examples.

    Args:
        x: array `[n, d]`.
        name: name of the argument in an error.
        least: the least n.

    Returns:
        Floats `[n, d]`, of at least float32's width.

    Raises:
        ValueError: another shape, fewer rows, or values that are not finite.
    """
    x = checks.as_numeric(x, name)
    if x.ndim != 2 or len(x) < least:
        raise ValueError(
            f"`{name}` must have shape [n, d] with n at least {least}; got {list(x.shape)}"
        )
    return checks.as_events(x, name, x.shape[1:], "real", np.result_type(x, np.float32))


def as_feature_pair(real, generated, least=2):
    """Checks features of real and of generated examples, `[n, d]` and `[m, d]`.

    Args:
        real: array `[n, d]`.
        generated: array `[m, d]`.
        least: the least n and m.

    Returns:
        The two as floats.

    Raises:
        ValueError: other shapes, fewer rows, or values that are not finite.
    """
    real, generated = as_features(real, "real", least), as_features(generated, "generated", least)
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"`generated` must have as many features as `real`, {real.shape[1]}; "
            f"got {generated.shape[1]}"
        )
    return real, generated


def as_images(images, data_kind=None):
    """Checks images of any kind.

    Args:
        images: `[n, h, w, c]`: uint8 0..255, floats in 0..1, bool or 0 and 1.
        data_kind: `"uint8"`, `"real"` or `"binary"`, the kind of a model or a data set. By default
            the dtype tells, but for integers that are all 0 or 1, which may be bits or near black.

    Returns:
        The images as an array `[n, h, w, c]`, and the number that divides them to lie in 0..1.

    Raises:
        ValueError: another shape or range, or the kind is in doubt.
    """
    images = checks.as_numeric(images, "images")
    if images.ndim != 4:
        raise ValueError(f"`images` must have shape [n, h, w, c]; got {list(images.shape)}")
    if data_kind is None:
        data_kind = {"b": "binary", "f": "real"}.get(images.dtype.kind, "uint8")
        if data_kind == "uint8" and images.size and images.max() <= 1:
            raise ValueError(
                "`data_kind` is missing: `images` are integers 0 and 1, which may be bits "
                '("binary") or grey levels that are near black ("uint8")'
            )
    if data_kind not in _HIGHEST:
        raise ValueError(f"`data_kind` must be one of {list(_HIGHEST)} or None; got {data_kind!r}")
    images = checks.as_events(images, "images", images.shape[1:], data_kind, np.float32)
    if data_kind == "real" and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "`images` of real numbers must lie in 0..1; got values from "
            f"{images.min():g} to {images.max():g}"
        )
    return images, _HIGHEST[data_kind]

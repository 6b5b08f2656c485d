"""What users give the metrics: features and images."""

import numpy as np

from tfgen.utils import checks

# What divides images of a kind to bring them to 0..1.
_HIGHEST = {"binary": 1, "real": 1, "uint8": 255}


def as_features(x, name, least=2):
    """Features of examples, `[n, d]` floats, at least so many rows."""
    x = checks.as_numeric(x, name)
    if x.ndim != 2 or len(x) < least:
        raise ValueError(
            f"`{name}` must have shape [n, d] with n at least {least}; got {list(x.shape)}"
        )
    return checks.as_events(x, name, x.shape[1:], "real", np.result_type(x, np.float32))


def as_feature_pair(real, generated, least=2):
    """Features of real and of generated examples, as many for each."""
    real, generated = as_features(real, "real", least), as_features(generated, "generated", least)
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"`generated` must have as many features as `real`, {real.shape[1]}; "
            f"got {generated.shape[1]}"
        )
    return real, generated


def as_images(images, data_kind=None):
    """Images of any kind as an array `[n, h, w, c]`, and what divides them to lie in 0..1.

    Args:
        images: uint8 0..255, floats in 0..1, bool or 0 and 1.
        data_kind: `"uint8"`, `"real"` or `"binary"`, as of a model or a data set. By default the
            type tells, but for integers that are all 0 or 1, which may be bits or near black.

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

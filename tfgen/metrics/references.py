"""References that samples are compared with: features of real images, kept in a file."""

import dataclasses
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfgen.metrics.frechet import Moments
from tfgen.metrics.frechet import moments
from tfgen.metrics.inputs import as_images
from tfgen.utils.files import fingerprint
from tfgen.utils.files import replacing


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """Features of real images.

    Attributes:
        extractor: name of the extractor that computed them: str.
        hash: hash of the extractor: 12 hex digits.
        data: fingerprint of the images: 12 hex digits.
        features: float32 `[n, d]`.
        moments: `Moments` of the features.

    >>> import keras, numpy as np, tfgen
    >>> network = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()], name="pixels")
    >>> images = np.ones([5, 4, 4, 1])
    >>> reference = tfgen.metrics.reference(tfgen.metrics.KerasExtractor(network), images)
    >>> reference.extractor, reference.features.shape, reference.moments.count
    ('pixels', (5, 16), 5)
    """

    extractor: str
    hash: str
    data: str
    features: np.ndarray
    moments: Moments


def reference(extractor, images, cache=None, data_kind=None, batch_size=256):
    """Computes the `Reference` of real images, or reads it from a file that holds just this one.

    Args:
        extractor: a `FeatureExtractor`.
        images: real images `[n, h, w, c]`: uint8, floats in 0..1, bool or 0 and 1.
        cache: npz file to read, or to write; a reference of another extractor or of other images
            in it is replaced. None keeps no file.
        data_kind: `"uint8"`, `"real"` or `"binary"`, see `FeatureExtractor.extract`.
        batch_size: images computed at a time.

    Returns:
        A `Reference`.

    Raises:
        ValueError: bad images, or a `cache` that something else wrote.

    >>> import keras, numpy as np
    >>> from tfgen.metrics import KerasExtractor
    >>> model = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()])
    >>> reference(KerasExtractor(model), np.ones([5, 4, 4, 1])).moments.mean.shape
    (16,)
    """
    images, highest = as_images(images, data_kind)
    source = {"hash": extractor.hash, "data": fingerprint(images, str(highest))}
    if cache is not None and Path(cache).exists():
        found = _load(cache)
        if source == {"hash": found.hash, "data": found.data}:
            return found
    features = extractor(images, data_kind, batch_size)
    made = Reference(extractor.name, **source, features=features, moments=moments(features))
    if cache is not None:
        with replacing(cache) as path, open(path, "wb") as file:
            np.savez(file, **_as_arrays(made))
    return made


def _as_arrays(made):
    arrays = {**vars(made), **vars(made.moments)}
    del arrays["moments"]
    return arrays


def _load(path):
    names = [field.name for cls in (Reference, Moments) for field in dataclasses.fields(cls)]
    names.remove("moments")
    arrays = {}
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in names if name in file}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError):
        # Told below, as a file of another kind is.
        pass
    if len(arrays) < len(names):
        raise ValueError(f"`cache` must be a file that `reference` wrote, or none; got {path!r}")
    found = Moments(int(arrays["count"]), arrays["mean"], arrays["covariance"])
    texts = {name: str(arrays[name]) for name in ("extractor", "hash", "data")}
    return Reference(**texts, features=arrays["features"], moments=found)

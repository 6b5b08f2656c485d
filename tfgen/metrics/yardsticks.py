"""Yardsticks: simple codes of the same images, which a model that has learnt anything beats.

PNG looks at each image's own neighbouring pixels; the histogram looks at each pixel position
over all training images. Both are in bits per dimension, like a model's likelihood.
"""

import io

import numpy as np

_ROWS = 1024  # images counted at a time, so that the index array stays small


def png_bits_per_dim(images, optimize=True):
    """Computes the size of images as one PNG file each, in bits per dimension.

    File headers count too: they are some 0.6 bits per dimension of it for 28x28 grey images, next
    to nothing for large ones.

    Args:
        images: uint8 [n, h, w, c] with 1 to 4 channels.
        optimize: bool; True lets Pillow search for the smallest coding.

    Returns:
        A float: 8 times the number of bytes over the number of values.

    Raises:
        ValueError: Another type or shape.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).integers(0, 256, [2, 64, 64, 3], dtype="uint8")
    >>> round(png_bits_per_dim(noise), 2)  # noise does not compress
    8.09
    """
    from PIL import Image

    images = _check_images("images", images)
    if images.ndim != 4 or images.shape[-1] > 4:
        raise ValueError(
            f"images: expected [n, h, w, c] with 1 to 4 channels, got {list(images.shape)}"
        )
    num_bytes = 0
    for image in images:
        file = io.BytesIO()
        # Pillow takes grey images without a channel axis.
        Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image).save(
            file, format="png", optimize=optimize
        )
        num_bytes += file.tell()
    return 8 * num_bytes / images.size


def histogram_bits_per_dim(train, test, pseudo_count=1):
    """Computes the cross-entropy of images under one histogram per pixel position and channel.

    Each position has 256 bins with probability
    (count in training images + pseudo_count) / (n + 256 * pseudo_count).

    Args:
        train: Images that are counted, uint8 [n, ...].
        test: Images that are scored, uint8 [m, ...].
        pseudo_count: Number added to the count of every bin: positive float.

    Returns:
        A float: mean over the test values of -log2 probability.

    Raises:
        ValueError: Another type, empty or different shapes, or `pseudo_count` not positive.

    >>> import numpy as np
    >>> always_7 = np.full([256, 4, 4, 1], 7, "uint8")
    >>> histogram_bits_per_dim(always_7, always_7[:2])  # log2 of 512 / 257
    0.9943...
    """
    train, test = _check_images("train", train), _check_images("test", test)
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"test: expected images {list(train.shape[1:])} as in train, got {list(test.shape[1:])}"
        )
    if not pseudo_count > 0:
        raise ValueError(f"pseudo_count: expected a positive number, got {pseudo_count!r}")
    num_bins = 256 * train[0].size
    counts = np.zeros(num_bins, np.int64)
    for bins in _bins(train):
        counts += np.bincount(bins.ravel(), minlength=num_bins)
    bits = np.log2(len(train) + 256 * pseudo_count) - np.log2(counts + pseudo_count)
    return float(sum(bits[bins].sum() for bins in _bins(test)) / test.size)


def _check_images(name, images):
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim < 2 or images.size == 0:
        raise ValueError(
            f"{name}: expected uint8 images [n, ...], got {images.dtype} {list(images.shape)}"
        )
    return images


def _bins(images):
    """Yields [rows, dims] indices into a flat [dims * 256] table, some rows at a time."""
    flat = images.reshape(len(images), -1)
    first_bin = 256 * np.arange(flat.shape[1])
    for start in range(0, len(flat), _ROWS):
        yield first_bin + flat[start : start + _ROWS]

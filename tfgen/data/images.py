"""Cropping and resizing of images, and their collection into one uint8 array."""

import math

import numpy as np

# Above this, a data set belongs in a tf.data pipeline and not in memory.
MAX_BYTES = 8 * 10**9
# Of a side, in pixels: one image of so many takes 200 MB already.
MAX_SIDE = 8192


def parse_image_size(image_size):
    """Converts an `image_size` argument to a pair.

    Args:
        image_size: Positive int of at most 8192, pair of them, or None.

    Returns:
        `(height, width)` in pixels, or None for None.

    Raises:
        ValueError: It is neither such an int nor a pair of them.

    >>> parse_image_size(32)
    (32, 32)
    """
    if image_size is None:
        return None
    try:
        size = tuple(image_size)
    except TypeError:
        size = (image_size, image_size)
    whole = all(isinstance(side, int | np.integer) and side > 0 for side in size)
    if len(size) != 2 or not whole:
        raise ValueError(
            f"image_size: expected a positive int or (height, width), got {image_size!r}"
        )
    if max(size) > MAX_SIDE:
        raise ValueError(f"image_size: expected at most {MAX_SIDE} pixels, got {image_size!r}")
    return size


def crop_and_resize(image, size):
    """Cuts the largest centred rectangle of the target's shape out and resizes it.

    Args:
        image: uint8 [h, w, c].
        size: `(height, width)` in pixels.

    Returns:
        uint8 [height, width, c]; the image itself where it has that size already.
    """
    from PIL import Image

    old, new = np.array(image.shape[:2]), np.array(size)
    if (old == new).all():
        return image
    # By rounding it may come out above the image itself.
    crop = np.minimum(new * (old / new).min(), old)
    top, left = (old - crop) / 2
    box = (left, top, left + crop[1], top + crop[0])
    # Channel by channel, so that any number of channels works. Pillow's bicubic filter widens
    # its support when it shrinks an image, so there is no aliasing.
    channels = [
        Image.fromarray(image[:, :, i]).resize(size[::-1], Image.Resampling.BICUBIC, box=box)
        for i in range(image.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def stack_images(images, count, image_size=None):
    """Collects images into one array, cropping and resizing where `image_size` is given.

    Args:
        images: Iterable of `(name, image)`; image is uint8 [h, w, c], name is for messages.
        count: Number of images: int.
        image_size: int or `(height, width)`; may be None where all images have one size.

    Returns:
        uint8 [count, height, width, c].

    Raises:
        ValueError: The images differ in size (and `image_size` is None) or in channels, one is
            not uint8 [h, w, c], there are none or fewer than `count`, or the array would be
            larger than 8 GB.

    >>> import numpy as np
    >>> image = np.zeros([20, 30, 3], "uint8")
    >>> stack_images([("a", image), ("b", image)], count=2, image_size=8).shape
    (2, 8, 8, 3)
    """
    size = parse_image_size(image_size)
    stacked = None
    for i, (name, image) in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                f"{name}: expected an image uint8 [h, w, c], got {image.dtype} {list(image.shape)}"
            )
        if stacked is None:
            check_memory(count, (*(size or image.shape[:2]), image.shape[-1]))
        if size is not None:
            image = crop_and_resize(image, size)
        if stacked is None:
            stacked = np.empty((count, *image.shape), np.uint8)
        if image.shape != stacked.shape[1:]:
            raise ValueError(
                f"the images differ: {name} is {list(image.shape)}, those before it are "
                f"{list(stacked.shape[1:])}. Pass image_size (one side in pixels, or "
                "(height, width)): every image is then cropped at its centre and resized"
            )
        stacked[i] = image
    if stacked is None or i + 1 < count:
        raise ValueError(f"expected {count} images, got {0 if stacked is None else i + 1}")
    return stacked


def check_memory(count, shape):
    """Checks that images fit into memory.

    Args:
        count: Number of images.
        shape: Shape of one uint8 image, `(height, width, channels)`.

    Raises:
        ValueError: They would take more than 8 GB.
    """
    what = f"{count} images of {list(shape)}"
    check_bytes(count * math.prod(shape), what, "pass a smaller image_size, or ")


def check_bytes(needed, what, hint=""):
    """Checks that so many bytes are few enough to be held in memory.

    Args:
        needed: Number of bytes: int.
        what: What takes them, for the error.
        hint: What else to do about it, for the error.

    Raises:
        ValueError: They are more than 8 GB.
    """
    if needed > MAX_BYTES:
        raise ValueError(
            f"{what} would take {needed / 1e9:.1f} GB of memory, more than the limit of "
            f"{MAX_BYTES / 1e9:.1f} GB: {hint}pass a tf.data pipeline to `model.fit` instead"
        )

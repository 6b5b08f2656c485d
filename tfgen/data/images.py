"""Cropping and resizing of images, and their collection into one uint8 array."""

import numpy as np

# Above this, a data set belongs in a tf.data pipeline and not in memory.
MAX_BYTES = 8 * 10**9


def parse_image_size(image_size):
    """Converts an `image_size` argument to a pair.

    Args:
        image_size: Positive int, pair of them, or None.

    Returns:
        `(height, width)` in pixels, or None for None.

    Raises:
        ValueError: It is neither a positive int nor a pair of them.

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
    crop = new * (old / new).min()
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
        if size is not None:
            image = crop_and_resize(image, size)
        if stacked is None:
            check_memory(count, image.shape)
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
    needed = count * np.prod(shape, dtype=np.int64)
    if needed > MAX_BYTES:
        raise ValueError(
            f"{count} images of {list(shape)} would take {needed / 1e9:.1f} GB of memory, more "
            f"than the limit of {MAX_BYTES / 1e9:.1f} GB: pass a smaller image_size, or pass a "
            "tf.data pipeline to `model.fit` instead"
        )

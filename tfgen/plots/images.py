"""Grids of images, and images as files."""

import math

import numpy as np

from tfgen.plots.figures import make_folder
from tfgen.utils import scalars

# Small images are enlarged to about this height, in pixels, to be comfortable to look at.
_COMFORTABLE_HEIGHT = 84

# The colour between images: mid-grey shows against black and against white ones.
_GREY = 128

# Pixels between images: more are a mistake.
_WIDEST = 1000


def image_grid(images, columns=None, padding=1):
    """Lays images out in rows, separated by grey lines.

    Args:
        images: [n, height, width, channels] with 1 or 3 channels: integers 0..255, floats 0..1
            or bool.
        columns: images in a row; by default a number that makes the picture nearly square.
        padding: pixels between images.

    Returns:
        uint8 [grid height, grid width, channels]. Places left over in the last row are grey.

    Raises:
        ValueError: the shape is another one, there are no images, a value is out of range or
            not finite, `columns` < 1 or `padding` < 0.

    Example:

        >>> import numpy as np
        >>> from tfgen.plots import image_grid
        >>> image_grid(np.zeros([6, 28, 28, 1], np.uint8)).shape
        (57, 86, 1)
        >>> image_grid(np.zeros([6, 28, 28, 1], np.uint8), columns=6, padding=0).shape
        (28, 168, 1)
    """
    images = _as_uint8(images)
    num_images, height, width, channels = images.shape
    if columns is None:
        # The tolerance keeps a rounding error from adding a column.
        columns = max(1, math.ceil(math.sqrt(num_images * height / width) - 1e-9))
    columns = scalars.check_count(columns, "columns")
    padding = scalars.check_int(padding, "padding", 0, _WIDEST)

    rows = -(-num_images // columns)
    cell_shape = (height + padding, width + padding, channels)
    cells = np.full([rows * columns, *cell_shape], _GREY, np.uint8)
    cells[:num_images, :height, :width] = images
    cells = cells.reshape(rows, columns, *cell_shape).swapaxes(1, 2)
    grid = cells.reshape(rows * (height + padding), columns * (width + padding), channels)
    # The lines after the last row and column separate nothing.
    return grid[: grid.shape[0] - padding, : grid.shape[1] - padding]


def paired_grid(left, right, columns=None, padding=1):
    """Lays out pairs of images, such as originals beside their reconstructions.

    Args:
        left: [n, height, width, channels] with 1 or 3 channels: integers 0..255, floats 0..1
            or bool.
        right: images of the same shape and range, each beside the one of `left`.
        columns: pairs in a row; by default a number that makes the picture nearly square.
        padding: pixels between the two of a pair; pairs are four times as far apart, and at
            least four pixels.

    Returns:
        uint8 [grid height, grid width, channels].

    Raises:
        ValueError: the shapes differ, or `image_grid` refuses the images.

    Example:

        >>> import numpy as np
        >>> from tfgen.plots import paired_grid
        >>> originals = np.zeros([4, 8, 8, 1], np.uint8)
        >>> paired_grid(originals, 255 - originals, columns=2).shape
        (20, 38, 1)
    """
    left, right = _as_uint8(left, "left"), _as_uint8(right, "right")
    if left.shape != right.shape:
        raise ValueError(
            f"`left` and `right` must have the same shape; got {left.shape} and {right.shape}"
        )
    padding = scalars.check_int(padding, "padding", 0, _WIDEST)
    num_images, height, _, channels = left.shape
    line = np.full([num_images, height, padding, channels], _GREY, np.uint8)
    return image_grid(np.concatenate([left, line, right], axis=2), columns, max(4, 4 * padding))


def comfortable_scale(height):
    """Returns the `scale` of `save_image` that enlarges small images to a comfortable size.

    Args:
        height: height of one image in pixels.

    Returns:
        An int of at least 1.

    Example:

        >>> from tfgen.plots import comfortable_scale
        >>> comfortable_scale(28), comfortable_scale(200)
        (3, 1)
    """
    return max(1, round(_COMFORTABLE_HEIGHT / height))


def save_image(path, image, scale=1, caption=None):
    """Writes one image to a file; folders that are missing are made.

    Args:
        path: the file; its suffix names the format (`.png`, `.jpg`, ...).
        image: [height, width] or [height, width, 1 or 3]: integers 0..255, floats 0..1 or bool.
        scale: side in pixels of the square that every pixel becomes: positive int.
        caption: a line of text above the image; None for none.

    Raises:
        ValueError: the shape or a value is out of range, or `scale` is not an integer >= 1.

    Example:

        >>> import os, tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from tfgen.plots import save_image
        >>> path = os.path.join(tempfile.mkdtemp(), "new", "black.png")
        >>> save_image(path, np.zeros([28, 28, 1], np.uint8), scale=3)
        >>> with Image.open(path) as image:
        ...     print(image.size)
        (84, 84)
    """
    from PIL import Image

    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.ndim != 3:
        raise ValueError(
            f"`image` must have shape [height, width] or [height, width, 1 or 3]; got {image.shape}"
        )
    scale = scalars.check_count(scale, "scale")
    image = _as_uint8(image[np.newaxis], "image")[0]
    image = image.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    make_folder(path)
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    (_captioned(picture, caption) if caption else picture).save(path)


def _captioned(picture, caption):
    """The picture below a white strip with a line of text, as wide as the wider of both."""
    from PIL import Image
    from PIL import ImageDraw
    from PIL import ImageFont

    font = ImageFont.load_default(14)
    left, top, right, bottom = font.getbbox(caption)
    strip = bottom + 12
    size = max(picture.width, right - left + 12), picture.height + strip
    whole = Image.new(picture.mode, size, "white")
    ImageDraw.Draw(whole).text((6, 6), caption, font=font, fill="black")
    whole.paste(picture, (0, strip))
    return whole


def _as_uint8(images, name="images"):
    """Checks [n, height, width, 1 or 3] images and brings them to 0..255."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"`{name}` must have shape [n, height, width, 1 or 3] and not be empty; "
            f"got {images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype == bool:
        return images * np.uint8(255)
    if np.issubdtype(images.dtype, np.integer):
        highest = 255
    elif np.issubdtype(images.dtype, np.floating):
        highest = 1
    else:
        raise ValueError(f"`{name}` must be integers, floats or bool; got {images.dtype}")
    # Asked this way round, NaN fails too.
    if not (images.min() >= 0 and images.max() <= highest):
        raise ValueError(
            f"`{name}` of type {images.dtype} must lie in 0..{highest}; "
            f"got {images.min()}..{images.max()}"
        )
    return np.rint(images.astype(np.float64) * (255 / highest)).astype(np.uint8)

"""Pictures of samples: images as a grid, points of the plane as a scatter plot."""

import numpy as np

from tfgen.plots.images import comfortable_scale
from tfgen.plots.images import image_grid
from tfgen.plots.images import save_image
from tfgen.plots.plane import save_scatter


def can_draw(event_shape):
    """Returns True for the events that `save_samples` draws: images and points of the plane.

    Args:
        event_shape: shape of one event: tuple without the batch axis.

    Returns:
        A bool.

    Example:

        >>> from tfgen.plots import can_draw
        >>> can_draw((28, 28, 1)), can_draw((2,)), can_draw((64,))
        (True, True, False)
    """
    event_shape = tuple(event_shape)
    return event_shape == (2,) or (len(event_shape) == 3 and event_shape[-1] in (1, 3))


def as_drawn(model, x):
    """Converts examples of a model to an array that pictures are made of.

    Args:
        model: the model whose `data_kind` tells what 0 and 1 mean.
        x: array or tensor `[n, *event_shape]`.

    Returns:
        A numpy array of the shape of `x`: bool of binary data, else in the dtype of `x`.

    Example:

        >>> import tfgen
        >>> model = tfgen.PixelCNN((4, 4, 1))
        >>> tfgen.plots.as_drawn(model, model.sample(2)).dtype
        dtype('bool')
    """
    x = np.asarray(x)
    return x.astype(bool) if getattr(model, "data_kind", None) == "binary" else x


def save_samples(path, samples):
    """Draws samples into a file: images as a grid, points of the plane as a scatter plot.

    Floats are cut to 0..1 in images, and values that are not finite are drawn black: a diverged
    model has a picture, too.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
        samples: images [n, height, width, 1 or 3], of integers 0..255, floats or bool, or points
            [n, 2].

    Raises:
        ValueError: the shape is another one.

    Example:

        >>> import os, tempfile
        >>> import numpy as np
        >>> from tfgen.plots import save_samples
        >>> path = os.path.join(tempfile.mkdtemp(), "samples.png")
        >>> save_samples(path, np.zeros([4, 8, 8, 1], np.uint8))
        >>> os.path.exists(path)
        True
    """
    samples = np.asarray(samples)
    if not can_draw(samples.shape[1:]):
        raise ValueError(
            "`samples` must be images [n, height, width, 1 or 3] or points [n, 2]; "
            f"got {samples.shape}"
        )
    if samples.ndim == 2:
        save_scatter(path, samples)
        return
    if np.issubdtype(samples.dtype, np.floating):
        samples = np.clip(np.nan_to_num(samples, posinf=0, neginf=0), 0, 1)
    save_image(path, image_grid(samples), comfortable_scale(samples.shape[1]))

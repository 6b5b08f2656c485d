"""Pictures of latents: images between two, and what each latent does."""

import numpy as np

from tfgen.plots.images import comfortable_scale
from tfgen.plots.images import image_grid
from tfgen.plots.images import save_image
from tfgen.plots.samples import as_drawn
from tfgen.utils import scalars

# Images in a row: more cannot be told apart.
_MOST = 1000


def save_interpolations(path, model, x_from, x_to, num_steps=9, condition=None):
    """Draws images on the way from some to others: a row for each pair, ends included.

    Latents are mixed by their angle, `(sin((1-t) a) z_0 + sin(t a) z_1) / sin(a)` with the angle
    `a` between them, so that what is between has a length that the ends have, too.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
        model: a model of images with `encode` and `decode`.
        x_from: images `[n, *event_shape]`.
        x_to: as many others.
        num_steps: images in a row: int of at least 2.
        condition: one condition for each pair, for a conditional model.

    Raises:
        ValueError: the numbers of images differ, or `num_steps` < 2.

    Example:

        >>> import os, tempfile
        >>> import tfgen
        >>> x = tfgen.data.load("digits").test[0]
        >>> model = tfgen.VAE((8, 8, 1), latent_dim=2, data_kind="uint8")
        >>> path = os.path.join(tempfile.mkdtemp(), "between.png")
        >>> tfgen.plots.save_interpolations(path, model, x[:2], x[2:4], num_steps=3)
        >>> os.path.exists(path)
        True
    """
    if len(x_from) != len(x_to):
        raise ValueError(
            f"`x_to` must have as many images as `x_from`, {len(x_from)}; got {len(x_to)}"
        )
    num_steps = scalars.check_int(num_steps, "num_steps", 2, _MOST)
    start, end = (np.asarray(model.encode(x, condition)) for x in (x_from, x_to))
    length = np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1)
    cosine = (start * end).sum(1) / np.maximum(length, 1e-12)
    angle = np.arccos(np.clip(cosine, -1 + 1e-6, 1 - 1e-6))[:, None, None]
    t = np.linspace(0, 1, num_steps)[None, :, None]
    mixed = np.sin((1 - t) * angle) * start[:, None] + np.sin(t * angle) * end[:, None]
    _save(path, model, mixed / np.sin(angle), condition)


def save_traversals(path, model, x, latents=None, num_steps=9, extent=2.5, condition=None):
    """Draws what single latents do: a row for each, in which it goes from low to high.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
        model: a model of images with `encode` and `decode`.
        x: the image `[*event_shape]` whose other latents are kept.
        latents: numbers of the latents: int or list of int; by default the first ten.
        num_steps: images in a row: int of at least 2.
        extent: the latent goes from minus to plus this.
        condition: the condition of `x`, for a conditional model.

    Raises:
        ValueError: `num_steps` < 2, or a latent that the model has not.

    Example:

        >>> import os, tempfile
        >>> import tfgen
        >>> x = tfgen.data.load("digits").test[0]
        >>> model = tfgen.VAE((8, 8, 1), latent_dim=2, data_kind="uint8")
        >>> path = os.path.join(tempfile.mkdtemp(), "latents.png")
        >>> tfgen.plots.save_traversals(path, model, x[0], num_steps=3)
        >>> os.path.exists(path)
        True
    """
    num_steps = scalars.check_int(num_steps, "num_steps", 2, _MOST)
    extent = scalars.check_positive(extent, "extent")
    one = None if condition is None else np.asarray(condition)[None]
    z = np.asarray(model.encode(np.asarray(x)[None], one))[0]
    latents = range(min(10, len(z))) if latents is None else np.atleast_1d(latents).tolist()
    latents = [scalars.check_int(i, "latents", 0, len(z) - 1) for i in latents]
    moved = np.tile(z, (len(latents), num_steps, 1))
    for row, latent in enumerate(latents):
        moved[row, :, latent] = np.linspace(-extent, extent, num_steps)
    _save(path, model, moved, None if one is None else np.repeat(one, len(latents), axis=0))


def _save(path, model, z, condition):
    """Draws the images of latents `[rows, columns, dims]`."""
    rows, columns, dims = z.shape
    if condition is not None:
        condition = np.repeat(np.asarray(condition), columns, axis=0)
    images = model.decode(z.reshape(rows * columns, dims).astype("float32"), condition)
    grid = image_grid(as_drawn(model, images), columns)
    save_image(path, grid, comfortable_scale(images.shape[1]))

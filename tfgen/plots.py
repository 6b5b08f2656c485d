"""Pictures: grids of images, scatter plots of points, curves of a training run.

Matplotlib and Pillow are imported where they are used, so that `import tfgen` stays quick, and
matplotlib is used without pyplot: no window, no global figure, the user's backend untouched.
"""

import math
from pathlib import Path

import numpy as np

# The units of the logged terms that have one, by the name without `val_`.
_UNITS = {
    "bpd": "bits per dimension",
    "nll": "nats",
    "reconstruction": "nats",
    "kl": "nats",
    "kl_bits": "bits",
    "neg_log_prior": "nats",
    "log_volume": "nats",
}

# Small images are enlarged to about this height, in pixels, to be comfortable to look at.
_COMFORTABLE_HEIGHT = 84

# What separates images: mid-grey shows against black and against white ones.
_GREY = 128


def image_grid(images, columns=None, padding=1):
    """Lays images out in rows, separated by grey lines.

    Args:
        images: [n, height, width, channels] with 1 or 3 channels: integers 0..255, floats 0..1
            or bool.
        columns: images in a row; by default what makes the picture nearly square.
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
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: columns={columns}")
    if padding < 0:
        raise ValueError(f"`padding` must be at least 0. Received: padding={padding}")

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
        left, right: [n, height, width, channels] each, as for `image_grid`.
        columns: pairs in a row; by default what makes the picture nearly square.
        padding: pixels between the two of a pair; pairs are four times as far apart, and at
            least four pixels.

    Returns:
        uint8 [grid height, grid width, channels].

    Raises:
        ValueError: the shapes differ, or as for `image_grid`.

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
            f"`left` and `right` must have the same shape. Received: {left.shape} and {right.shape}"
        )
    if padding < 0:
        raise ValueError(f"`padding` must be at least 0. Received: padding={padding}")
    num_images, height, _, channels = left.shape
    line = np.full([num_images, height, padding, channels], _GREY, np.uint8)
    return image_grid(np.concatenate([left, line, right], axis=2), columns, max(4, 4 * padding))


def comfortable_scale(height):
    """The `scale` of `save_image` that enlarges small images to a comfortable size.

    Args:
        height: of one image, in pixels.

    Example:

        >>> from tfgen.plots import comfortable_scale
        >>> comfortable_scale(28), comfortable_scale(200)
        (3, 1)
    """
    return max(1, round(_COMFORTABLE_HEIGHT / height))


def can_draw(event_shape):
    """Whether `save_samples` draws events of this shape: images and points of the plane.

    Args:
        event_shape: shape of one event.

    Example:

        >>> from tfgen.plots import can_draw
        >>> can_draw((28, 28, 1)), can_draw((2,)), can_draw((64,))
        (True, True, False)
    """
    event_shape = tuple(event_shape)
    return event_shape == (2,) or (len(event_shape) == 3 and event_shape[-1] in (1, 3))


def as_drawn(model, x):
    """Examples of a model as pictures are made of them: binary ones as bool.

    Args:
        model: whose `data_kind` it is.
        x: array or tensor.

    Example:

        >>> import tfgen
        >>> model = tfgen.PixelCNN((4, 4, 1))
        >>> tfgen.plots.as_drawn(model, model.sample(2)).dtype
        dtype('bool')
    """
    x = np.asarray(x)
    return x.astype(bool) if getattr(model, "data_kind", None) == "binary" else x


def save_samples(path, samples):
    """Draws images as a grid, points of the plane as a scatter plot.

    Floats are cut to 0..1 in images, and values that are not finite are drawn black: a diverged
    model has a picture, too.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
        samples: [n, height, width, 1 or 3] or [n, 2].

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
            "`samples` must be images [n, height, width, 1 or 3] or points [n, 2]. "
            f"Received: {samples.shape}"
        )
    if samples.ndim == 2:
        save_scatter(path, samples)
        return
    if np.issubdtype(samples.dtype, np.floating):
        samples = np.clip(np.nan_to_num(samples, posinf=0, neginf=0), 0, 1)
    save_image(path, image_grid(samples), comfortable_scale(samples.shape[1]))


def save_image(path, image, scale=1):
    """Writes one image to a file; folders that are missing are made.

    Args:
        path: the file; its suffix names the format (`.png`, `.jpg`, ...).
        image: [height, width] or [height, width, 1 or 3]: integers 0..255, floats 0..1 or bool.
        scale: every pixel becomes a square of this many pixels.

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
            "`image` must have shape [height, width] or [height, width, 1 or 3]. "
            f"Received: {image.shape}"
        )
    if int(scale) != scale or scale < 1:
        raise ValueError(f"`scale` must be an integer of at least 1. Received: scale={scale}")
    image = _as_uint8(image[np.newaxis], "image")[0]
    image = image.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    _make_folder(path)
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path)


def save_scatter(path, points):
    """Draws points of the plane; folders that are missing are made.

    Args:
        path: the file; its suffix names the format.
        points: floats [n, 2]; rows that are not finite are left out.

    Raises:
        ValueError: the shape is another one.

    Example:

        >>> import os, tempfile
        >>> import numpy as np
        >>> from tfgen.plots import save_scatter
        >>> path = os.path.join(tempfile.mkdtemp(), "noise.png")
        >>> save_scatter(path, np.random.default_rng(0).normal(size=[500, 2]))
        >>> os.path.exists(path)
        True
    """
    points = _finite_points(points)
    figure = _figure(6, 6)
    axes = figure.subplots()
    # Small dots for many points, so that dense regions do not run together.
    axes.scatter(*points.T, s=np.clip(3000 / max(1, len(points)), 2, 30), linewidths=0, alpha=0.7)
    axes.set(xlabel="x[0]", ylabel="x[1]", aspect=_aspect(_extent(points)))
    _make_folder(path)
    figure.savefig(path)


def save_density(path, model, points=None, condition=None, num_samples=2000, extent=None):
    """Draws a density of the plane: the data, samples of the model, and the density.

    The density is drawn by its square root, which shows where it is low, too.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
        model: a model with `event_shape` [2], a `sample` and a `log_prob`.
        points: floats [n, 2]: the data, for the first of the panels; None leaves it out. Rows that
            are not finite are left out.
        condition: one condition, for a conditional model.
        num_samples: how many samples are drawn, with seed 0.
        extent: `(low x, high x, low y, high y)`; by default what the data (without them, the
            samples) take, with a margin.

    Raises:
        ValueError: events of another shape.

    Example:

        >>> import os, tempfile
        >>> import tfgen
        >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
        >>> path = os.path.join(tempfile.mkdtemp(), "density.png")
        >>> tfgen.plots.save_density(path, model, num_samples=100)
        >>> os.path.exists(path)
        True
    """
    if tuple(model.event_shape) != (2,):
        raise ValueError(
            "`model` must have events of shape [2], points of the plane. "
            f"Received: {list(model.event_shape)}"
        )
    samples = model.sample(num_samples, condition, seed=0)
    panels = {"samples": _finite_points(samples)}
    if points is not None:
        panels = {"data": _finite_points(points)[:num_samples], **panels}
    if extent is None:
        extent = _extent(next(iter(panels.values())))
    low_x, high_x, low_y, high_y = extent
    side = 200
    x, y = np.linspace(low_x, high_x, side), np.linspace(low_y, high_y, side)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    log_prob = np.asarray(model.log_prob(grid, condition, batch_size=10_000), np.float64)
    # Against the highest: a density may be beyond the largest number.
    root = np.exp((log_prob - np.nanmax(log_prob)) / 2).reshape(side, side)

    figure = _figure(5 * (len(panels) + 1), 5)
    axes = figure.subplots(1, len(panels) + 1)
    for panel, (name, values) in zip(axes, panels.items(), strict=False):
        panel.scatter(*values.T, s=3, linewidths=0, alpha=0.7)
        panel.set(title=name)
    aspect = _aspect(extent)
    axes[-1].imshow(root, origin="lower", extent=extent, cmap="magma", aspect=aspect)
    axes[-1].set(title="density")
    for panel in axes:
        panel.set(xlim=(low_x, high_x), ylim=(low_y, high_y), aspect=aspect)
        panel.set(xlabel="x[0]", ylabel="x[1]")
    _make_folder(path)
    figure.savefig(path)


def _finite_points(points):
    """Checks [n, 2] points and leaves out the rows that are not finite."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"`points` must have shape [n, 2]. Received: {points.shape}")
    return points[np.isfinite(points).all(axis=1)]


def _extent(points):
    """A box about most of the points, with a margin."""
    if not len(points):
        return -1.0, 1.0, -1.0, 1.0
    low, high = np.quantile(points, [0.005, 0.995], axis=0)
    margin = np.maximum(0.25 * (high - low), 1e-6 * (1 + np.abs(low)))
    low, high = low - margin, high + margin
    return low[0], high[0], low[1], high[1]


def _aspect(extent):
    """Equal axes, unless one is so much longer that the other would be a line."""
    low_x, high_x, low_y, high_y = extent
    ratio = (high_x - low_x) / (high_y - low_y)
    return "equal" if 0.2 < ratio < 5 else "auto"


def plot_history(history, path):
    """Draws how every logged term went, epoch by epoch.

    One panel for each term, with its `val_` counterpart in the same panel. Values that are not
    finite leave a gap. A list shorter than the longest one is taken as measured at every second,
    third, ... epoch, as `validation_freq` gives it.

    Args:
        history: the `history` of what `fit` returns: from a term's name to its value at every
            epoch.
        path: the file; its suffix names the format. Folders that are missing are made.

    Raises:
        ValueError: there is nothing to draw.

    Example:

        >>> import os, tempfile
        >>> from tfgen.plots import plot_history
        >>> path = os.path.join(tempfile.mkdtemp(), "history.png")
        >>> plot_history({"bpd": [5.0, 4.1, 3.8], "val_bpd": [4.9, 4.2, 4.0]}, path)
        >>> os.path.exists(path)
        True
    """
    history = {name: np.asarray(values, float) for name, values in history.items() if len(values)}
    if not history:
        raise ValueError("`history` must hold at least one term with one epoch. It is empty.")
    num_epochs = max(len(values) for values in history.values())
    # A dict, not a set, keeps the order in which the terms were logged.
    terms = list(dict.fromkeys(name.removeprefix("val_") for name in history))

    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    figure = _figure(5 * columns, 3.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(terms) :]:
        panel.remove()
    for panel, term in zip(panels, terms, strict=False):
        for name, label, color in ((term, "training", "C0"), (f"val_{term}", "validation", "C1")):
            if name in history:
                values = history[name]
                every = num_epochs // len(values)
                epochs = every * np.arange(1, len(values) + 1)
                finite = np.where(np.isfinite(values), values, np.nan)
                # Few points carry a mark: a single one would draw no line at all.
                marker = "o" if len(values) <= 30 else None
                panel.plot(epochs, finite, label=label, color=color, marker=marker, markersize=3)
        panel.set(title=term, xlabel="epoch", ylabel=_UNITS.get(term, term))
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        panel.grid(alpha=0.3)
        panel.legend()
    _make_folder(path)
    figure.savefig(path)


def _figure(width, height):
    """An empty figure of so many inches that draws into memory, outside pyplot's registry."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _make_folder(path):
    Path(path).parent.mkdir(parents=True, exist_ok=True)


def _as_uint8(images, name="images"):
    """Checks [n, height, width, 1 or 3] images and brings them to 0..255."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"`{name}` must have shape [n, height, width, 1 or 3] and not be empty. "
            f"Received: {images.shape}"
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
        raise ValueError(f"`{name}` must be integers, floats or bool. Received: {images.dtype}")
    # Asked this way round, NaN fails too.
    if not (images.min() >= 0 and images.max() <= highest):
        raise ValueError(
            f"`{name}` of type {images.dtype} must lie in 0..{highest}. "
            f"Received: {images.min()}..{images.max()}"
        )
    return np.rint(images.astype(np.float64) * (255 / highest)).astype(np.uint8)

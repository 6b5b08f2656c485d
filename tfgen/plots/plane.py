"""Scatter plots of points of the plane, and densities of the plane."""

import numpy as np

from tfgen.plots import figures


def save_scatter(path, points):
    """Draws points of the plane as a scatter plot.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
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
    figure = figures.new_figure(6, 6)
    axes = figure.subplots()
    # Small dots for many points, so that dense regions do not run together.
    axes.scatter(*points.T, s=np.clip(3000 / max(1, len(points)), 2, 30), linewidths=0, alpha=0.7)
    axes.set(xlabel="x[0]", ylabel="x[1]", aspect=_aspect(_extent(points)))
    figures.make_folder(path)
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
        num_samples: number of samples, drawn with seed 0, and the most points of the data.
        extent: `(low x, high x, low y, high y)`; by default a box about most of the data and of
            the samples, with a margin.

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
            "`model` must have events of shape [2], points of the plane; "
            f"got {list(model.event_shape)}"
        )
    samples = model.sample(num_samples, condition, seed=0)
    panels = {"samples": _finite_points(samples)}
    if points is not None:
        panels = {"data": _finite_points(points)[:num_samples], **panels}
    if extent is None:
        # About both: what the model draws beside the data is to be seen.
        extent = _extent(np.concatenate(list(panels.values())))
    low_x, high_x, low_y, high_y = extent
    side = 200
    x, y = np.linspace(low_x, high_x, side), np.linspace(low_y, high_y, side)
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    log_prob = np.asarray(model.log_prob(grid, condition, batch_size=10_000), np.float64)
    # Against the highest: a density may be beyond the largest number.
    root = np.exp((log_prob - np.nanmax(log_prob)) / 2).reshape(side, side)

    figure = figures.new_figure(5 * (len(panels) + 1), 5)
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
    figures.make_folder(path)
    figure.savefig(path)


def _finite_points(points):
    """Returns points [n, 2] without the rows that are not finite."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"`points` must have shape [n, 2]; got {points.shape}")
    return points[np.isfinite(points).all(axis=1)]


def _extent(points):
    """Returns a box about most of the points, with a margin."""
    if not len(points):
        return -1.0, 1.0, -1.0, 1.0
    low, high = np.quantile(points, [0.005, 0.995], axis=0)
    margin = np.maximum(0.25 * (high - low), 1e-6 * (1 + np.abs(low)))
    low, high = low - margin, high + margin
    return low[0], high[0], low[1], high[1]


def _aspect(extent):
    """Returns "equal", unless one axis is so much longer that the other would be a line."""
    low_x, high_x, low_y, high_y = extent
    ratio = (high_x - low_x) / (high_y - low_y)
    return "equal" if 0.2 < ratio < 5 else "auto"

"""Figures of matplotlib without pyplot: no window, no global figure, the user's backend untouched.

Matplotlib is imported where it is used, so that `import tfgen` stays quick.
"""

from pathlib import Path


def new_figure(width, height):
    """Creates an empty figure that draws into memory, outside pyplot's registry.

    Args:
        width: in inches, of 100 pixels each.
        height: in inches.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def make_folder(path):
    """Makes the folder of a file, and those above it, where they are missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)

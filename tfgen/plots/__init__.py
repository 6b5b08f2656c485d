"""Pictures: grids of images, scatter plots of points, curves of a training run.

Matplotlib and Pillow are imported where they are used, so that `import tfgen` stays quick, and
matplotlib is used without pyplot: no window, no global figure, the user's backend untouched.
"""

from tfgen.plots.animation import save_animation
from tfgen.plots.history import plot_history
from tfgen.plots.images import comfortable_scale
from tfgen.plots.images import image_grid
from tfgen.plots.images import paired_grid
from tfgen.plots.images import save_image
from tfgen.plots.latents import save_interpolations
from tfgen.plots.latents import save_traversals
from tfgen.plots.pairs import save_pairs
from tfgen.plots.plane import save_density
from tfgen.plots.plane import save_scatter
from tfgen.plots.samples import as_drawn
from tfgen.plots.samples import can_draw
from tfgen.plots.samples import save_samples

__all__ = [
    "as_drawn",
    "can_draw",
    "comfortable_scale",
    "image_grid",
    "paired_grid",
    "plot_history",
    "save_animation",
    "save_density",
    "save_image",
    "save_interpolations",
    "save_pairs",
    "save_samples",
    "save_scatter",
    "save_traversals",
]


def __dir__():
    return sorted(__all__)

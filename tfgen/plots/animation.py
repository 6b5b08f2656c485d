"""Moving pictures: sequences of images as files."""

import numpy as np

from tfgen.plots.figures import make_folder
from tfgen.plots.images import comfortable_scale
from tfgen.plots.images import image_grid
from tfgen.utils import scalars


def save_animation(path, sequences, columns=None, scale=None, duration=150):
    """Writes sequences of images side by side as an animated GIF, which begins again and again.

    Args:
        path: the file, which ends in .gif.
        sequences: `[n, steps, height, width, channels]` with 1 or 3 channels: integers 0..255,
            floats 0..1 or bool, such as `DRAW.canvases` gives.
        columns: sequences in a row; by default a number that makes the picture nearly square.
        scale: side in pixels of the square that every pixel becomes; by default a comfortable one.
        duration: milliseconds of each step; the last one stays for eight times as long.

    Raises:
        ValueError: another suffix or shape, values that are out of range.

    Example:

        >>> import os, tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from tfgen.plots import save_animation
        >>> path = os.path.join(tempfile.mkdtemp(), "canvases.gif")
        >>> steps = np.linspace(0, 1, 3)[None, :, None, None, None]
        >>> save_animation(path, np.ones([4, 3, 8, 8, 1]) * steps, scale=2)
        >>> with Image.open(path) as image:
        ...     print(image.size, image.n_frames)
        (34, 34) 3
    """
    from PIL import Image

    if not str(path).endswith(".gif"):
        raise ValueError(f"`path` must end in .gif; got {str(path)!r}")
    sequences = np.asarray(sequences)
    if sequences.ndim != 5 or not sequences.size:
        raise ValueError(
            "`sequences` must have shape [n, steps, height, width, 1 or 3] and not be empty; got "
            f"{sequences.shape}"
        )
    num_steps, height = sequences.shape[1:3]
    scale = comfortable_scale(height) if scale is None else scalars.check_count(scale, "scale")
    duration = scalars.check_count(duration, "duration")
    frames = []
    for t in range(num_steps):
        grid = image_grid(sequences[:, t], columns)
        grid = grid.repeat(scale, 0).repeat(scale, 1)
        frames.append(Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid))
    times = [duration] * (num_steps - 1) + [8 * duration]
    make_folder(path)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, loop=0)

"""Picture of samples of the trained presets side by side: the README's.

    python benchmarks/gallery.py --out docs/images/gallery.png
    python benchmarks/gallery.py --of rbm_mnist --data-dir DIR --out runs/pictures

Draws from the presets with seed 0, and writes each one's samples below its name; flows over images
draw at temperature 0.7. With `--of` all pictures that a run of such a preset has: of an energy the
chains over time and the filters.
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from tfgen.app import pictures
from tfgen.app.opened import data_settings
from tfgen.app.opened import open_model
from tfgen.app.settings import load_data

PRESETS = [
    *("glow_mnist", "vlae_mnist", "pixelcnn_mnist_gated"),
    *("gan_fashion_mnist", "cqf_fashion_mnist", "vae_mnist"),
]


def grid(name, rows=4, columns=7, temperature=0.7):
    """A picture of samples of a preset."""
    model = tfgen.GenerativeModel.from_preset(name)
    temperature = temperature if isinstance(model, tfgen.Flow) else 1.0
    samples = model.sample(rows * columns, temperature=temperature, seed=0)
    return tfgen.plots.image_grid(tfgen.plots.as_drawn(model, samples), columns)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="docs/images/gallery.png")
    parser.add_argument("--presets", nargs="+", default=PRESETS, metavar="NAME")
    parser.add_argument("--of", metavar="NAME", help="all pictures of one, into the folder --out")
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets, for --of")
    arguments = parser.parse_args()
    if arguments.of:
        opened, out = open_model(arguments.of, arguments.data_dir), Path(arguments.out)
        out.mkdir(parents=True, exist_ok=True)
        pictures.of_run(out, opened.net, load_data(data_settings(opened)))
        return
    columns = min(3, len(arguments.presets))
    rows = math.ceil(len(arguments.presets) / columns)
    size = (3.6 * columns, 2.3 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for panel in axes.flat:
        panel.axis("off")
    for panel, name in zip(axes.flat, arguments.presets, strict=False):
        picture = np.asarray(grid(name))
        panel.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set_title(name, fontsize=10, family="monospace")
    figure.savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()

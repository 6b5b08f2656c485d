"""Mode dropping and over-generalisation, the figures in the slides of Lucas et al.: likelihood
spreads over what lies between the modes, a critic drops modes. What do both together?

python examples/mode_dropping.py --out runs/mode_dropping

One dimension, data of two modes: a single normal distribution, which can cover both only with what
lies between them, and a small network, which can hold both. Two dimensions: a small network for
eight modes. Each is trained by the likelihood alone, by the critic alone, and by both.
"""

import argparse
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import tfgen
from tfgen.data import toy
from tfgen.networks import MLP

WEIGHTS = {
    "likelihood": {"adversarial_weight": 0.0},
    "critic": {"likelihood_weight": 0.0},
    "both": {},
}


def two_modes(num_samples, seed=0):
    """Normal distributions at 0, where the models start, and at 4."""
    rng = np.random.default_rng(seed)
    centre = 4.0 * rng.integers(2, size=num_samples)
    return (centre + 0.5 * rng.normal(size=num_samples))[:, None].astype("float32")


_ANGLES = np.arange(8) * np.pi / 4
CIRCLE = np.sqrt(8) * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
# The data, their modes and the standard deviation of each.
DATA = {
    1: (two_modes, np.array([[0.0], [4.0]]), 0.5),
    2: (toy.eight_gaussians, CIRCLE, 0.5 / np.sqrt(2)),
}


def network():
    return MLP((64, 64), "elu")


# Rows of the picture: dimensions of the data, and the decoder. With the identity the model is a
# single normal distribution, `x = a z + b + noise`.
ROWS = {
    "1-D, one normal": (1, keras.layers.Identity),
    "1-D, a network": (1, network),
    "2-D, a network": (2, network),
}


def build(num_dims, decoder, **weights):
    model = tfgen.CQ(
        num_dims,
        latent_dim=num_dims,
        encoder=network(),
        decoder=decoder,
        critic=MLP((128, 128), "leaky_relu"),
        data_kind="real",
        **weights,
    )
    model.compile(
        keras.optimizers.Adam(1e-3, beta_1=0.5),
        critic_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        steps_per_execution=50,
    )
    return model


def fit(row, kind, steps):
    """Samples of a row's model trained one way, and their coverage of the modes."""
    keras.utils.set_random_seed(0)
    num_dims, decoder = ROWS[row]
    data, centres, scale = DATA[num_dims]
    model = build(num_dims, decoder(), **WEIGHTS[kind])
    x = data(20_000)
    model.adapt(x)
    # Samples start at 0, where the one-dimensional data have a mode, and not at the data's mean.
    model.observation.head.layer.bias.assign(-model.x_loc / model.x_scale)
    model.fit(x, batch_size=128, steps_per_epoch=steps, verbose=0)
    samples = model.sample(5000, seed=0).numpy()
    modes = tfgen.metrics.nearest_mode(samples, centres, 3 * scale)
    return samples, tfgen.metrics.mode_coverage(modes, len(centres))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path("runs/mode_dropping"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    shape = len(ROWS), len(WEIGHTS)
    figure, axes = plt.subplots(*shape, figsize=(3 * shape[1], 3 * shape[0]), squeeze=False)
    for row, panels in zip(ROWS, axes, strict=True):
        num_dims, _ = ROWS[row]
        data = DATA[num_dims][0](5000, seed=1)
        panels[0].set_ylabel(row)
        for kind, axis in zip(WEIGHTS, panels, strict=True):
            samples, found = fit(row, kind, args.steps)
            title = (
                f"{kind}: {found.num_covered} modes, {100 * (1 - found.on_modes):.1f} % off them"
            )
            print(f"{row}, {title}", flush=True)
            axis.set_title(title, fontsize=9)
            if num_dims == 1:
                for x in (data, samples):
                    axis.hist(x[:, 0], np.linspace(-6, 10, 81), density=True, alpha=0.6)
            else:
                for x in (data, samples):
                    axis.plot(*x[:2000].T, ".", markersize=2, alpha=0.5)
    figure.tight_layout()
    figure.savefig(args.out / "modes.png", dpi=100)
    print(f"The picture is {args.out / 'modes.png'}")


if __name__ == "__main__":
    main()

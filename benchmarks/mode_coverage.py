"""Modes that adversarial models reach: 25 Gaussians, a thousand classes of stacked digits.

    python benchmarks/mode_coverage.py --out runs/mode_coverage

Prints how many modes have a sample (of 25 or 1,000), KL(samples | data) over them in nats, and
the share of the samples that lie on a mode (of the 25; a classifier puts each of the digits
somewhere), of ten samples for a mode or more, for each seed. A line of the data's own examples, as
many, says what could be had. Given again, the command goes on with what is missing.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import tfgen
from tfgen import plots
from tfgen.data import toy
from tfgen.networks import MLP
from tfgen.networks import ConvDecoder
from tfgen.networks import ConvEncoder
from tfgen.utils.files import replacing

MODELS = {
    "GAN": (tfgen.GAN, {}),
    "GAN, minibatch features": (tfgen.GAN, {"minibatch_features": 8}),
    "GAN, 5 steps ahead": (tfgen.GAN, {"unrolled_steps": 5}),
    "WGAN": (tfgen.WGAN, {}),
    "CQ": (tfgen.CQ, {}),
}


class Grid:
    """25 narrow normal distributions in the plane."""

    num_modes, batch_size, num_samples = 25, 128, 2500

    def __init__(self, folder):
        self.train, self.test = toy.gaussian_grid(20_000, 0), toy.gaussian_grid(2500, 1)

    def compile(self, model):
        # At the rates for images the networks are far from done after as many steps.
        players = [keras.optimizers.Adam(1e-3, beta_1=0.5) for _ in range(2)]
        model.compile(players[0], critic_optimizer=players[1], steps_per_execution=50)

    def model(self, recipe, settings):
        units = (128, 128, 128)
        arguments = {"latent_dim": 2, "data_kind": "real", "decoder": MLP(units, "relu")}
        if issubclass(recipe, tfgen.VAE):
            arguments["encoder"] = MLP(units, "relu")
        return recipe(2, critic=MLP(units, "leaky_relu"), **arguments, **settings)

    def modes(self, x):
        return tfgen.metrics.nearest_mode(x, toy.GRID_CENTRES, 3 * toy.GRID_SCALE)

    def picture(self, path, samples):
        plots.save_scatter(path, samples)


class StackedDigits:
    """Three digits as the channels of an image."""

    num_modes, batch_size, num_samples = 1000, 64, 10_000

    def __init__(self, folder):
        digits = tfgen.data.load("digits")
        data = tfgen.data.stack_channels(digits, 10_000, 10_000)
        self.train, self.test = data.train[0], data.test[0]
        self.classifier = tfgen.metrics.classifier(digits, folder, verbose=True)

    def compile(self, model):
        model.compile(steps_per_execution=50)

    def model(self, recipe, settings):
        shape = self.train.shape[1:]
        arguments = {"latent_dim": 32, "decoder": ConvDecoder((8, 8), (64, 32), (2, 2))}
        if issubclass(recipe, tfgen.VAE):
            arguments["encoder"] = ConvEncoder((32, 64), (2, 2))
        critic = ConvEncoder((32, 64), (2, 2), batch_norm=False, activation="leaky_relu")
        return recipe(shape, critic=critic, **arguments, **settings)

    def modes(self, x):
        return tfgen.metrics.stacked_modes(self.classifier, x, "uint8")

    def picture(self, path, samples):
        plots.save_image(path, plots.image_grid(samples[:100], columns=10), 4)


def show(chosen, label, samples):
    found = tfgen.metrics.mode_coverage(chosen.modes(samples), chosen.num_modes)
    print(label, *(f"{k} {v:.4g}" for k, v in found._asdict().items()), sep=", ", flush=True)


SETS = {"grid": Grid, "digits": StackedDigits}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--steps", type=int, default=10_000, help="of the generator")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/mode_coverage"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.data:
        chosen = SETS[name](args.out)
        show(chosen, f"{name}, data", chosen.test)
        for label, (recipe, settings) in MODELS.items():
            for seed in args.seeds:
                stem = f"{name}_{args.steps}_{label.replace(', ', '_').replace(' ', '_')}_{seed}"
                samples_path = args.out / f"{stem}.npy"
                if not samples_path.is_file():
                    keras.utils.set_random_seed(seed)
                    model = chosen.model(recipe, settings)
                    chosen.compile(model)
                    model.fit(
                        chosen.train,
                        batch_size=chosen.batch_size,
                        steps_per_epoch=args.steps,
                        verbose=0,
                    )
                    samples = model.sample(chosen.num_samples, seed=0).numpy()
                    chosen.picture(args.out / f"{stem}.png", samples)
                    with replacing(samples_path) as path:
                        np.save(path, samples)
                show(chosen, f"{name}, {label}, seed {seed}", np.load(samples_path))


if __name__ == "__main__":
    main()

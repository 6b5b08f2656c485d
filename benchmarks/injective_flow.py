"""Table 1 and Figures 1 and 2 of Kumar et al. 2019, in small: autoencoders judged by samples.

    python benchmarks/injective_flow.py --data-dir DIR --out runs/injective_flow

Trains all models of the thinned grid on images in 0..1, with one architecture and as many steps,
and prints for each kind of model the one with the best samples from a mixture fitted to its
latents: Frechet distances, in features of a classifier of the data set's own, from test images.
Given again, the command goes on with the models that are missing.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

import tfgen
from tfgen import plots
from tfgen.app import evaluation
from tfgen.distributions import Normal
from tfgen.networks import ConvDecoder
from tfgen.networks import ConvEncoder
from tfgen.optimizers import PenaltyGrowth
from tfgen.utils.files import replacing

FILTERS, STRIDES = (16, 32, 32, 64, 64), (2, 2, 2, 1, 1)
LATENT_DIM, BATCH_SIZE = 32, 128


COLUMNS = ("training images", "reconstructions", "prior", "gaussian", "gmm")


def injective(objective):
    """The grid of prior weights, the paper's thinned.

    Of its powers of the penalties' growth, 1 and 1.3, only the larger: in so few steps the other
    would leave the penalties near 1, where the paper's end at 100 or more.
    """
    return {
        f"prior_weight {weight:g}": lambda weight=weight: (
            tfgen.InjectiveFlow,
            {
                "objective": objective,
                "prior_weight": weight,
                "mu": PenaltyGrowth(1.3),
                "mu_in": PenaltyGrowth(1.3),
            },
        )
        for weight in (0.0, 1e-3, 1e-1)
    }


# Kind, setting, recipe and arguments.
GRID = {
    "VAE": {"": lambda: (tfgen.VAE, {"observation": Normal(1.0)})},
    "AE": {"": lambda: (tfgen.Autoencoder, {})},
    "AE+L2": {
        f"decoder_l2 {weight:g}": lambda weight=weight: (
            tfgen.Autoencoder,
            {"decoder_l2": weight},
        )
        for weight in (1e-3, 1e-2, 1e-1)
    },
    "InjFlow-ln": injective("log_frobenius"),
    "InjFlow": injective("frobenius"),
}


def build(make, event_shape, seed):
    keras.utils.set_random_seed(seed)
    recipe, arguments = make()
    encoder = ConvEncoder(FILTERS, STRIDES)
    decoder = ConvDecoder(event_shape[:2], FILTERS[::-1], STRIDES[::-1])
    model = recipe(
        event_shape,
        LATENT_DIM,
        encoder=encoder,
        decoder=decoder,
        data_kind="real",
        **arguments,
    )
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def draw(path, model, x):
    """Draws the figures: decoded samples of a Gaussian, of a mixture, reconstructions."""
    rows = []
    for kind in ("gaussian", "gmm"):
        model.fit_latents(x[0], kind)
        rows.append(evaluation.decoded_samples(model, 30))
    images = np.clip([*rows, model.reconstruct(x[1][:30]).numpy()], 0, 1)
    grid = plots.image_grid(images.reshape(-1, *model.event_shape), columns=15)
    plots.save_image(path, grid, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--kinds", nargs="+", default=list(GRID), choices=list(GRID))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/injective_flow"))
    args = parser.parse_args()
    data = tfgen.data.load(args.data, data_dir=args.data_dir)
    extractor = tfgen.metrics.classifier(data, args.out)
    (train, labels), (test, test_labels) = data.train, data.test
    train, test = (x.astype("float32") / 255 for x in (train, test))
    data = dataclasses.replace(data, kind="real", train=(train, labels), test=(test, test_labels))
    print("kind", "setting", *COLUMNS, sep=" | ")
    for kind in args.kinds:
        found = {}
        for setting, make in GRID[kind].items():
            name = "_".join([kind, *setting.replace(",", "").split()])
            out = args.out / f"{args.data}_{args.steps}_{args.seed}" / name
            if not (out / "figures.json").is_file():
                model = build(make, data.event_shape, args.seed)
                model.fit(
                    train,
                    batch_size=BATCH_SIZE,
                    steps_per_epoch=args.steps,
                    verbose=2,
                )
                draw_to = out / "figure.png"
                draw(draw_to, model, (train, test))
                cache = args.out / f"{args.data}_reference.npz"
                rows = evaluation.quality_rows(model, data, test, None, extractor, cache=cache)
                # Named by how the rows' names end.
                figures = {
                    name: row["value"]
                    for row in rows
                    for name in COLUMNS
                    if row["name"].endswith(name)
                }
                with replacing(out / "figures.json") as path:
                    path.write_text(json.dumps(figures))
            found[setting] = json.loads((out / "figures.json").read_text())
            print(kind, setting, *in_columns(found[setting]), sep=" | ", flush=True)
        best = min(found, key=lambda setting: found[setting]["gmm"])
        print("best", kind, best, *in_columns(found[best]), sep=" | ", flush=True)


def in_columns(figures):
    return [f"{figures[name]:.2f}" if name in figures else "" for name in COLUMNS]


if __name__ == "__main__":
    main()

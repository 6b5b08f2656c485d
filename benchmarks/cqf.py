"""The tables of Lucas et al. 2018 in small: likelihood, critic and flow, alone and together.

    python benchmarks/cqf.py --data fashion_mnist --data-dir DIR --out runs/cqf

Trains the models with the same networks and as many steps, and prints bits per dimension of
training and test images, and inception score and Frechet distance of samples, in features of a
classifier of the data set's own. Of the GAN the bits per dimension are those of an encoder trained
to its frozen generator. `--table architectures` takes the steps from CQ-F to larger models,
`--table batch_norm` normalises the batches in encoder and decoder. Given again, the command goes on
where it was interrupted.
"""

import argparse
import json
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import tfgen
from tfgen import plots
from tfgen.distributions import PixelFlow
from tfgen.distributions import real_nvp
from tfgen.networks import ConvDecoder
from tfgen.networks import ConvEncoder
from tfgen.networks import ResNetDecoder
from tfgen.networks import ResNetEncoder
from tfgen.utils.files import replacing

LATENT_DIM, BATCH_SIZE = 64, 64
RESIDUAL = {"residual": True}
BATCH_NORM = {"batch_norm": True}


def flow(num_scales=1):
    return PixelFlow(real_nvp(filters=16, num_blocks=1, num_scales=num_scales))


def networks(shape, residual=False, critic_filters=(32, 64, 128), batch_norm=False):
    """Encoder, decoder and critic, plain or residual."""
    if residual:
        critic = ResNetEncoder(critic_filters, units=256, weight_norm=False, spectral_norm=True)
        sizes = {"num_blocks": 1, "units": 256}
        encoder = ResNetEncoder((32, 64, 64), **sizes)
        return encoder, ResNetDecoder(shape[:2], (64, 64, 32), **sizes), critic
    strides = (2, 2, 2)
    critic = ConvEncoder(
        critic_filters, strides, batch_norm=False, spectral_norm=True, activation="leaky_relu"
    )
    decoder = ConvDecoder(shape[:2], (64, 64, 32), strides, batch_norm=batch_norm)
    return ConvEncoder((32, 64, 64), strides, batch_norm=batch_norm), decoder, critic


def model(recipe, sizes=(), num_scales=1, **settings):
    """A function from a shape to a compiled model."""

    def make(shape):
        encoder, decoder, critic = networks(shape, **dict(sizes))
        arguments = {"latent_dim": LATENT_DIM, "decoder": decoder}
        if issubclass(recipe, tfgen.VAE):
            arguments["encoder"] = encoder
        if recipe in (tfgen.GAN, tfgen.CQ, tfgen.CQF):
            arguments["critic"] = critic
        if recipe in (tfgen.VAEF, tfgen.CQF):
            arguments["observation"] = flow(num_scales)
        net = recipe(shape, **arguments, **settings)
        net.compile()
        return net

    return make


def nvp(shape):
    net = tfgen.RealNVP(shape, data_kind="uint8", num_levels=2, filters=16, num_blocks=1)
    net.compile()
    return net


TABLES = {
    "objectives": {
        "VAE": model(tfgen.VAE, observation="normal", data_kind="uint8"),
        "VAE-F": model(tfgen.VAEF),
        "CQ": model(tfgen.CQ),
        "CQ-F": model(tfgen.CQF),
        "GAN": model(tfgen.GAN),
        "NVP": nvp,
    },
    "batch_norm": {
        "VAE": model(tfgen.VAE, BATCH_NORM, observation="normal", data_kind="uint8"),
        "CQ": model(tfgen.CQ, BATCH_NORM),
        "CQ-F": model(tfgen.CQF, BATCH_NORM),
        "GAN": model(tfgen.GAN, BATCH_NORM),
    },
    "architectures": {
        "CQ-F": model(tfgen.CQF),
        "residual": model(tfgen.CQF, RESIDUAL),
        "residual, IAF": model(tfgen.CQF, RESIDUAL, posterior="iaf"),
        "residual, IAF, larger critic": model(
            tfgen.CQF, {**RESIDUAL, "critic_filters": (64, 128, 256)}, posterior="iaf"
        ),
        "residual, IAF, two scales": model(tfgen.CQF, RESIDUAL, num_scales=2, posterior="iaf"),
    },
}


def fit(net, train, steps, backup):
    """Trains in ten parts, of which those that were done before are not done again."""
    net.fit(
        train,
        batch_size=BATCH_SIZE,
        epochs=10,
        steps_per_epoch=max(1, steps // 10),
        verbose=2,
        callbacks=[keras.callbacks.BackupAndRestore(backup, delete_checkpoint=False)],
    )


def measure(net, train, test, extractor, real, steps, folder):
    """The table's columns, and some samples."""
    samples = net.sample(len(test), seed=0).numpy()
    quality = tfgen.metrics.sample_quality(
        extractor, real, samples, ["frechet", "inception_score"], "uint8"
    )
    if net.likelihood == "none":
        net = tfgen.VAE.from_generator(net, ConvEncoder((32, 64, 64), (2, 2, 2), batch_norm=False))
        net.compile()
        fit(net, train, steps, folder / "encoder")
    bits = [float(np.mean(net.bits_per_dim(x[:2000]))) for x in (train, test)]
    scores = quality.scores
    return {
        "train bpd": bits[0],
        "test bpd": bits[1],
        "inception score": scores["inception_score"],
        "frechet": scores["frechet"],
    }, samples[:60]


def draw(folder, names, path):
    """The models' samples side by side."""
    rows = -(-len(names) // 3)
    figure, axes = plt.subplots(rows, 3, figsize=(12, 2.8 * rows), layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for name, axis in zip(names, axes.flat, strict=False):
        axis.imshow(plt.imread(folder / as_folder(name) / "samples.png"), cmap="gray")
        axis.set_title(name)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def as_folder(name):
    return name.replace(", ", "_")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion_mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--table", default="objectives", choices=list(TABLES))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/cqf"))
    args = parser.parse_args()
    makes = TABLES[args.table]
    if set(args.models or ()) - set(makes):
        parser.error(f"--models must be among {list(makes)}; got {args.models}")
    data = tfgen.data.load(args.data, data_dir=args.data_dir)
    (train, _), (test, _) = data.train, data.test
    extractor = tfgen.metrics.classifier(data, args.out)
    real = tfgen.metrics.reference(
        extractor, test, args.out / f"{args.data}_reference.npz", data.kind
    )
    of_norm = "_batch_norm" if args.table == "batch_norm" else ""
    runs = args.out / f"{args.data}_{args.steps}_{args.seed}{of_norm}"
    for name in args.models or makes:
        folder = runs / as_folder(name)
        if not (folder / "figures.json").is_file():
            keras.utils.set_random_seed(args.seed)
            net = makes[name](data.event_shape)
            fit(net, train, args.steps, folder / "backup")
            figures, samples = measure(net, train, test, extractor, real, args.steps, folder)
            plots.save_image(folder / "samples.png", plots.image_grid(samples, columns=10), 2)
            with replacing(folder / "figures.json") as path:
                path.write_text(json.dumps(figures))
        figures = json.loads((folder / "figures.json").read_text())
        print(name, *(f"{k} {v:.2f}" for k, v in figures.items()), sep=", ", flush=True)
    if not args.models:
        draw(runs, list(makes), runs / f"{args.table}.png")


if __name__ == "__main__":
    main()

"""Training of the presets with weights: each run, and the preset that is made of it.

    python benchmarks/train_zoo.py --data-dir DIR --out runs/zoo

Trains the presets of `tfgen/zoo` that are named below as their own `config.json` says, and writes
weights, figures, samples and a card into their folders. Given again, the command goes on where it
was interrupted; `--only` takes some of them.
"""

import argparse
import importlib.resources
from pathlib import Path

from tfgen.app import runs

BINARY = {"binarise": "dynamic"}
# The model, the data and settings of the run beside those of the preset.
ZOO = {
    "nsf_pinwheel": ("NSF", "pinwheel", {}),
    "gan_fashion_mnist": ("GAN", "fashion_mnist", {}),
    "pixelcnn_mnist_gated": ("PixelCNN", "mnist", BINARY),
    "glow_mnist": ("Glow", "mnist", {}),
    "vlae_mnist": ("VLAE", "mnist", BINARY),
    "cqf_fashion_mnist": ("CQF", "fashion_mnist", {}),
    "vae_mnist": ("VAE", "mnist", BINARY),
    "realnvp_mnist": ("RealNVP", "mnist", {}),
    "afvae_mnist": ("AFVAE", "mnist", BINARY),
    "autoencoder_fashion_mnist": ("Autoencoder", "fashion_mnist", {}),
    "injective_flow_fashion_mnist": ("InjectiveFlow", "fashion_mnist", {}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets")
    parser.add_argument("--out", default="runs/zoo", help="folder of the runs")
    parser.add_argument("--only", nargs="+", default=list(ZOO), choices=ZOO, metavar="NAME")
    arguments = parser.parse_args()
    zoo = Path(str(importlib.resources.files("tfgen.zoo")))
    for name in arguments.only:
        model, data, settings = ZOO[name]
        run = Path(arguments.out) / name
        print(f"{name}: {model} of {data}", flush=True)
        runs.train(
            run,
            model,
            data,
            preset=name,
            data_dir=arguments.data_dir,
            num_validation=500,
            export=False,
            **settings,
        )
        # Of models whose samples are what they are for.
        extractor = "classifier" if model in ("GAN", "CQF") else None
        runs.make_preset(
            run,
            zoo / name,
            weights_dtype="float16",
            extractor=extractor,
            cache_dir=Path(arguments.out) / "classifiers",
            data_dir=arguments.data_dir,
        )


if __name__ == "__main__":
    main()

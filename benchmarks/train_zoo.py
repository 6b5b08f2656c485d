"""Training of the presets with weights: each run, and the preset that is made of it.

    python benchmarks/train_zoo.py --data-dir DIR --out runs/zoo

Trains the presets of `tfgen/zoo` that are named below as their own `config.json` says, and writes
weights, figures, samples and a card into their folders. Given again, the command goes on where it
was interrupted; `--only` takes some of them.
"""

import argparse
import importlib.resources
import json
from pathlib import Path

from tfgen.app import runs

BINARY = {"binarise": "dynamic"}
# The model, the data and settings of the run beside those of the preset.
ZOO = {
    "nsf_pinwheel": ("NSF", "pinwheel", {}),
    "nsf_diabetes": ("NSF", "diabetes", {}),
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
    "fvsbn_mnist": ("FVSBN", "mnist", BINARY),
    "made_mnist": ("MADE", "mnist", BINARY),
    "nade_mnist": ("NADE", "mnist", BINARY),
    "deep_nade_mnist": ("DeepNADE", "mnist", BINARY),
    "pixelrnn_mnist": ("PixelRNN", "mnist", BINARY),
    "rbm_mnist": ("RBM", "mnist", BINARY),
    "dbn_mnist": ("DBN", "mnist", BINARY),
    "dbm_mnist": ("DBM", "mnist", BINARY),
    "sbn_mnist_nvil": ("SigmoidBeliefNet", "mnist", BINARY),
    "sbn_mnist_vimco": ("SigmoidBeliefNet", "mnist", BINARY),
    "helmholtz_mnist": ("HelmholtzMachine", "mnist", BINARY),
    "helmholtz_mnist_wake_sleep": ("HelmholtzMachine", "mnist", BINARY),
    "discrete_vae_mnist": ("DiscreteVAE", "mnist", BINARY),
    "vqvae_mnist": ("VQVAE", "mnist", BINARY),
    "draw_mnist": ("DRAW", "mnist", BINARY),
    "draw_mnist_attention": ("DRAW", "mnist", BINARY),
    "gsn_mnist": ("GSN", "mnist", BINARY),
    "bigan_mnist": ("BiGAN", "mnist", {}),
}


# Whose figures stay with weights of 8 significant bits: those of `realnvp_mnist` are then 0.07 bits
# per dimension worse, and stay with the 11 of float16.
COARSE = {"fvsbn_mnist", "made_mnist", "nade_mnist"}

# Yardsticks and parts, which are in the cards.
LEFT_OUT = ("PNG", "histogram", "code of", "Frechet distance of 10000 training")


def table(zoo):
    """Lines of a table of the presets that have weights."""
    yield "| preset | parameters | data | epochs | minutes | figures, of held-out examples |"
    yield "|---|---|---|---|---|---|"
    for name in ZOO:
        if not (zoo / name / "model.weights.h5").is_file():
            continue
        about = json.loads((zoo / name / "metadata.json").read_text())
        run, rows = about["run"], about["figures"]
        data = f"{run['data']}{', binarised' if 'binarise' in run else ''}"
        shown = "; ".join(
            f"{row['name'].split(' (')[0]}: {row['value']:.3f} {row['unit'].split(' (')[0]}"
            for row in rows
            if not row["name"].startswith(LEFT_OUT)
        )
        size, minutes = about["parameter_count"], about["training_minutes"]
        yield f"| `{name}` | {size:,} | {data} | {about['epochs']} | {minutes} | {shown} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets")
    parser.add_argument("--out", default="runs/zoo", help="folder of the runs")
    parser.add_argument("--only", nargs="+", default=list(ZOO), choices=ZOO, metavar="NAME")
    parser.add_argument("--table", action="store_true", help="print the cards' figures")
    arguments = parser.parse_args()
    zoo = Path(str(importlib.resources.files("tfgen.zoo")))
    if arguments.table:
        print("\n".join(table(zoo)))
        return
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
        extractor = "classifier" if model in ("GAN", "CQF", "BiGAN") else None
        runs.make_preset(
            run,
            zoo / name,
            weights_dtype="bfloat16" if name in COARSE else "float16",
            extractor=extractor,
            cache_dir=Path(arguments.out) / "classifiers",
            data_dir=arguments.data_dir,
        )


if __name__ == "__main__":
    main()

"""Models of binarised images side by side: with latents (Chen et al. 2017, tables 1 to 3), of one
value after another, and of energies.

    python benchmarks/latents.py --data mnist --data-dir DIR --epochs 10
    python benchmarks/latents.py --data mnist --data-dir DIR --models FVSBN NADE MADE_8

Those with latents have the same encoder, decoder, optimizer and epochs. Given again, the command
goes on where it was interrupted. Prints, for held-out images, the negative log-likelihood: exact,
by importance samples, or by an estimated partition function. Of latents also the bound, the gap
between the two, both parts of the code, and active units; of partition functions the interval.
"""

import argparse
import json
import pathlib

import numpy as np

import tfgen
from tfgen.app import runs

# Recipe, preset, arguments in the preset's place.
MODELS = {
    "VAE": ("VAE", "vae_mnist", {}),
    "IAFVAE": ("IAFVAE", "iafvae_mnist", {}),
    "AFVAE": ("AFVAE", "afvae_mnist", {}),
    "PixelCNN": ("PixelCNN", "pixelcnn_mnist", {}),
    "VLAE": ("VLAE", "vlae_mnist", {}),
    "VLAE_IAF": ("VLAE", "vlae_mnist", {"posterior": "iaf", "prior": "normal"}),
}
_ENDLESS = 10_000
OTHERS = {
    "FVSBN": ("FVSBN", "fvsbn_mnist", {}),
    "NADE": ("NADE", "nade_mnist", {}),
    "DeepNADE": ("DeepNADE", "deep_nade_mnist", {}),
    "MADE": ("MADE", "made_mnist", {"num_masks": 1, "ordering": "natural"}),
    "MADE_8": ("MADE", "made_mnist", {}),
    "PixelRNN_row": ("PixelRNN", "pixelrnn_mnist", {"kind": "row"}),
    "PixelRNN_diagonal": ("PixelRNN", "pixelrnn_mnist", {"kind": "diagonal"}),
    "RBM_CD1": ("RBM", "rbm_mnist", {"estimator": "cd"}),
    "RBM_CD25": ("RBM", "rbm_mnist", {"estimator": "cd", "gibbs_steps": 25}),
    "RBM_PCD": ("RBM", "rbm_mnist", {}),
    "DBN": ("DBN", "dbn_mnist", {}),
    "DBM": ("DBM", "dbm_mnist", {}),
    "SBN_NVIL": ("SigmoidBeliefNet", "sbn_mnist_nvil", {}),
    "SBN_VIMCO": ("SigmoidBeliefNet", "sbn_mnist_vimco", {}),
    "wake_sleep": ("HelmholtzMachine", "helmholtz_mnist_wake_sleep", {}),
    "reweighted": ("HelmholtzMachine", "helmholtz_mnist", {}),
    "DiscreteVAE": ("DiscreteVAE", "discrete_vae_mnist", {}),
    "VQVAE": ("VQVAE", "vqvae_mnist", {}),
    "DRAW": ("DRAW", "draw_mnist", {}),
    "DRAW_attention": ("DRAW", "draw_mnist_attention", {}),
}


def measure(model, x, num_samples):
    figures = {}
    if model.likelihood == "unnormalised":
        found = model.estimate_partition()
        figures["log Z, from"], figures["to"] = float(found.low), float(found.high)
        if found.reverse is not None:
            figures["log Z in reverse"] = float(found.reverse)
    nll = bound = float(-np.mean(model.log_prob(x)))
    if model.likelihood == "bound":
        nll = float(-np.mean(model.estimate_log_prob(x, num_samples)))
        figures = {"bound": bound, "gap": bound - nll, **figures}
    if hasattr(model, "code_length"):
        code = {part: float(np.mean(bits)) for part, bits in model.code_length(x).items()}
        figures["code of the latents, bits"] = code["latents"]
        figures["code of the data, bits"] = code["data"]
        figures["active units"] = tfgen.metrics.latent_usage(model, x).active_units
    return {"nll": nll, **figures}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--epochs", type=int, help="the presets' own by default")
    parser.add_argument("--minutes", type=float, help="of training each, in the place of epochs")
    parser.add_argument("--binarise", default="dynamic", choices=["static", "dynamic"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=[*MODELS, *OTHERS])
    parser.add_argument("--free-bits", type=float, help="nats; the presets' own by default")
    parser.add_argument("--num-samples", type=int, default=256)
    parser.add_argument("--num-images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/latents"))
    args = parser.parse_args()
    source = {"data_dir": args.data_dir, "binarise": args.binarise, "seed": args.seed}
    x = tfgen.data.load(args.data, **source).test[0][: args.num_images]
    for name in args.models:
        recipe, preset, overrides = {**MODELS, **OTHERS}[name]
        folder = f"{args.data}_{args.binarise}_{args.seed}"
        if args.free_bits is not None and name in MODELS and recipe != "PixelCNN":
            folder += f"_free_{args.free_bits:g}"
            overrides = {**overrides, "free_bits": args.free_bits}
        out = args.out / folder / name
        result = out / "figures.json"
        if not result.is_file():
            runs.train(
                out,
                recipe,
                args.data,
                preset=preset,
                overrides=overrides,
                epochs=args.epochs or (None if args.minutes is None else _ENDLESS),
                max_minutes=args.minutes,
                num_validation=500,
                verbose=2,
                **source,
            )
            figures = measure(runs.load_model(out), x, args.num_samples)
            figures["minutes"] = runs.read_history(out)["seconds"][-1] / 60
            result.write_text(json.dumps(figures))
        print(name, *(f"{k} {v:.2f}" for k, v in json.loads(result.read_text()).items()), sep=", ")


if __name__ == "__main__":
    main()

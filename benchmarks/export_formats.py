"""Which signatures of which models go to ONNX and LiteRT, with the largest difference found there.

python benchmarks/export_formats.py

Prints the table of docs/guides/serving.md: of each recipe a small model with weights shifted by
noise, and of each signature the largest difference of its figures in onnxruntime and in the LiteRT
interpreter from those of the model's method, relative to the largest figure. A difference above
1e-5 is marked.
"""

import argparse
import os
import tempfile
import warnings

import keras
import numpy as np

import tfgen
from tfgen.core.export_signatures import draws

SMALL = {"num_layers": 2, "hidden_units": (8,)}
IMAGE = (8, 8, 1)
MODELS = {
    "RealNVP": lambda: tfgen.RealNVP(3, **SMALL),
    "RealNVP, images": lambda: tfgen.RealNVP(
        IMAGE, data_kind="uint8", num_levels=1, filters=4, num_blocks=1
    ),
    "Glow": lambda: tfgen.Glow(IMAGE, num_levels=2, num_steps=2, filters=4),
    "MAF": lambda: tfgen.MAF(3, **SMALL),
    "IAF": lambda: tfgen.IAF(3, **SMALL),
    "NSF": lambda: tfgen.NSF(3, **SMALL),
    "NSF, autoregressive": lambda: tfgen.NSF(3, autoregressive=True, **SMALL),
    "VAE": lambda: tfgen.VAE(IMAGE, latent_dim=2),
    "IAFVAE": lambda: tfgen.IAFVAE(IMAGE, latent_dim=2),
    "AFVAE": lambda: tfgen.AFVAE(IMAGE, latent_dim=2),
    "VLAE": lambda: tfgen.VLAE(IMAGE, latent_dim=2),
    "VAEF": lambda: tfgen.VAEF(IMAGE, latent_dim=2),
    "CQ": lambda: tfgen.CQ(IMAGE, latent_dim=2),
    "CQF": lambda: tfgen.CQF(IMAGE, latent_dim=2),
    "PixelCNN": lambda: tfgen.PixelCNN(IMAGE),
    "Autoencoder": lambda: tfgen.Autoencoder(IMAGE, latent_dim=2),
    "InjectiveFlow": lambda: tfgen.InjectiveFlow(IMAGE, latent_dim=2),
    "GAN": lambda: tfgen.GAN(IMAGE, latent_dim=2),
    "WGAN": lambda: tfgen.WGAN(IMAGE, latent_dim=2),
}
SIGNATURES = ("log_prob", "sample", "encode", "decode")


def run_onnx(file, given):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options).run(None, given)[0]


def run_litert(file, given):
    from ai_edge_litert.interpreter import Interpreter

    (figures,) = Interpreter(model_path=file).get_signature_runner()(**given).values()
    return figures


RUN = {"onnx": run_onnx, "litert": run_litert}


def perturb(model):
    """Shifts the weights: layers that start at zero would hide differences."""
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        deviation = 0.1 / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        weight.assign_add(deviation * rng.normal(size=weight.shape))


def examples(model, rng):
    shape = (4, *model.event_shape)
    if model.data_kind == "real":
        return rng.normal(size=shape).astype("float32")
    return rng.integers(0, 2 if model.data_kind == "binary" else 256, shape).astype("uint8")


def outcome(model, name, format):
    """A cell of the table: the difference, or why there is none."""
    if name not in model.signatures():
        return ""
    if draws(model, name):
        return "noise"
    rng = np.random.default_rng(0)
    given = {"x": examples(model, rng)}
    if name == "decode":
        given = {"z": rng.normal(size=(4, *model.latent_shape)).astype("float32")}
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "file")
        try:
            model.export(file, format=format, signature=name, verbose=False)
            got = RUN[format](file, given).astype("float64")
        except Exception as error:  # whatever the format's tools raise
            print(f"# {type(model).__name__} {name} {format}: {str(error)[:300]!r}", flush=True)
            return "no"
    expected = getattr(model, name)(*given.values()).numpy().astype("float64")
    difference = np.abs(got - expected).max() / max(1, np.abs(expected).max())
    return f"{difference:.0e}" + (" (!)" if not difference <= 1e-5 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"| model | {' | '.join(f'`{name}`' for name in SIGNATURES)} |")
    print(f"|{'---|' * (len(SIGNATURES) + 1)}")
    for label in args.models:
        keras.utils.set_random_seed(0)
        model = MODELS[label]()
        perturb(model)
        cells = []
        for name in SIGNATURES:
            found = [outcome(model, name, format) for format in RUN]
            cells.append(found[0] if found[0] in ("", "noise") else ", ".join(found))
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

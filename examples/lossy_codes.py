"""Latents keep this of an image: a VAE beside a VLAE, whose decoder sees the pixels around one.

python examples/lossy_codes.py --out runs/lossy_codes
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import tfgen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--filters", type=int, nargs="+", default=[16, 32, 32])
    parser.add_argument("--out", type=Path, default=Path("runs/lossy_codes"))
    args = parser.parse_args()

    data = tfgen.data.load("fashion_mnist_small", binarise="dynamic")
    (x, _), (x_test, _) = data.train, data.test
    for recipe in (tfgen.VAE, tfgen.VLAE):
        keras.utils.set_random_seed(0)
        model = recipe(
            data.event_shape,
            latent_dim=32,
            encoder=tfgen.networks.ResNetEncoder(args.filters),
            decoder=tfgen.networks.ResNetDecoder(data.event_shape[:2], args.filters[::-1]),
            prior=tfgen.distributions.autoregressive_flow(hidden_units=(128, 128)),
            free_bits=7.84,
        )
        # Polyak averaging: the callback lets validation see the averaged weights, as `fit` leaves
        # them in the end.
        model.compile(keras.optimizers.Adamax(2e-3, use_ema=True, ema_momentum=0.99))
        callbacks = [
            keras.callbacks.SwapEMAWeights(),
            tfgen.callbacks.LatentReport(x_test, every=max(1, args.epochs // 4)),
        ]
        model.fit(
            x,
            batch_size=100,
            epochs=args.epochs,
            validation_data=x_test,
            callbacks=callbacks,
            verbose=2,
        )
        code = {part: np.mean(bits) for part, bits in model.code_length(x_test).items()}
        print(
            f"{recipe.__name__}: {code['latents']:.1f} bits of latents, {code['data']:.1f} of data"
        )
        again = model.decompress(x_test[:32], seed=0)
        left, right = (tfgen.plots.as_drawn(model, images) for images in (x_test[:32], again))
        pairs = tfgen.plots.paired_grid(left, right)
        tfgen.plots.save_image(args.out / f"{recipe.__name__.lower()}.png", pairs, 3)
    print(f"Pictures are in {args.out}")


if __name__ == "__main__":
    main()

"""A density of the plane: train a RealNVP on two moons, check that it integrates to 1, draw.

python examples/two_moons.py --out runs/two_moons_example
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import tfgen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/two_moons_example"))
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    data = tfgen.data.load("two_moons")
    model = tfgen.RealNVP(2, num_layers=8, hidden_units=(64, 64))
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(data.train[0], epochs=args.epochs, batch_size=256, validation_data=data.test[0])

    side = np.linspace(-8, 8, 401)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    density = np.exp(model.log_prob(grid, batch_size=65536))
    print(f"The density integrates to {density.sum() * (side[1] - side[0]) ** 2:.4f}")

    tfgen.plots.save_density(args.out / "density.png", model, data.test[0])
    model.save(args.out / "model.keras")
    print(f"Pictures and model are in {args.out}")


if __name__ == "__main__":
    main()

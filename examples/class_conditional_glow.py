"""A Glow that knows its classes: one row of samples for each, and pairs of images morphed.

python examples/class_conditional_glow.py --out runs/classes_example
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import tfgen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--num-steps", type=int, default=8, help="K")
    parser.add_argument("--out", type=Path, default=Path("runs/classes_example"))
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    data = tfgen.data.load("fashion_mnist_small")
    model = tfgen.Glow(
        data.event_shape, num_levels=2, num_steps=args.num_steps, filters=64, num_classes=10
    )
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=50.0))
    # The labels are the condition.
    model.fit(*data.train, epochs=args.epochs, validation_data=data.test)

    labels = np.repeat(np.arange(10), 8)
    samples = model.sample(80, labels, temperature=0.8, seed=0)
    tfgen.plots.save_image(args.out / "classes.png", tfgen.plots.image_grid(samples, 8), 2)

    x, y = data.test
    of_one_class = x[y == y[0]][:8]
    morphs = model.interpolate(of_one_class[:4], of_one_class[4:], num_steps=8, condition=y[0])
    morphs = np.reshape(morphs, (-1, *data.event_shape))
    tfgen.plots.save_image(args.out / "morphs.png", tfgen.plots.image_grid(morphs, 8), 2)
    print(f"Pictures are in {args.out}")


if __name__ == "__main__":
    main()

"""Tuning of a trained preset on a few images of another kind, beside training from the start.

    python benchmarks/tuning.py --data-dir DIR --out docs/images/tuning.png

Both models see the same 300 images in the same batches, with the same optimizer, for as many steps;
the figure shows bits per dimension of held-out images after each epoch, up to 8.
"""

import argparse

import keras
import matplotlib.pyplot as plt

import tfgen

EPOCHS, BATCH_SIZE, NUM_TRAIN, NUM_TEST = 20, 30, 300, 500


def course(preset, data, load_weights):
    """Held-out bits per dimension before training and after each epoch."""
    keras.utils.set_random_seed(0)
    model = tfgen.GenerativeModel.from_preset(preset, load_weights=load_weights)
    model.compile()
    x, x_test = data.train[0][:NUM_TRAIN], data.test[0][:NUM_TEST]
    found = [float(model.bits_per_dim(x_test).numpy().mean())] if load_weights else []
    history = model.fit(
        x, batch_size=BATCH_SIZE, epochs=EPOCHS, validation_data=x_test, verbose=0
    ).history
    return found + history["val_bpd"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="glow_mnist")
    parser.add_argument("--data", default="omniglot_small")
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets")
    parser.add_argument("--out", default="docs/images/tuning.png")
    arguments = parser.parse_args()
    data = tfgen.data.load(arguments.data, data_dir=arguments.data_dir, image_size=28)
    figure, panel = plt.subplots(figsize=(6, 3.6), layout="constrained")
    steps = NUM_TRAIN // BATCH_SIZE
    for load_weights, label in ((True, f"from {arguments.preset}"), (False, "from the start")):
        found = course(arguments.preset, data, load_weights)
        at = [steps * (i + (not load_weights)) for i in range(len(found))]
        panel.plot(at, found, label=label)
        print(label, " ".join(f"{step}: {bits:.3f}" for step, bits in zip(at, found, strict=True)))
    title = f"{NUM_TRAIN} images of {arguments.data}"
    panel.set(xlabel="steps", ylabel="bits per dimension, held out", title=title, ylim=(1, 8))
    panel.grid(alpha=0.3)
    panel.legend()
    figure.savefig(arguments.out, dpi=100)


if __name__ == "__main__":
    main()

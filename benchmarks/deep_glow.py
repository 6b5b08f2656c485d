"""A deep Glow: seconds to the first training step beside the same model unrolled, and whether
the loss stays finite.

    python benchmarks/deep_glow.py --data-dir DIR     # DIR with the TFDS set cifar10_jpeg

K=32, L=3, 128 filters, 32x32x3, batch 32, Adam 1e-3. The clock starts when `fit` is called;
its one initialisation batch is included.
"""

import argparse
import time

import keras
import numpy as np

import tfgen
from tfgen import bijectors as tfg

SHAPE, LEVELS, FILTERS, BATCH = (32, 32, 3), 3, 128, 32


class Watch(keras.callbacks.Callback):
    """Seconds to the first step, and every loss."""

    def __init__(self):
        super().__init__()
        self.losses = []
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if not self.losses:
            self.first = time.perf_counter() - self.start
        self.losses.append(float(logs["loss"]))
        # Keras logs means since the epoch's start: let each be of one step.
        self.model.reset_metrics()


def looped(num_steps):
    return tfgen.Glow(SHAPE, num_levels=LEVELS, num_steps=num_steps, filters=FILTERS)


def unrolled(num_steps):
    """Layers of a Glow without a loop, each copy a layer of its own."""
    bijector = tfg.Flatten()
    for level in reversed(range(LEVELS)):
        steps = [tfgen.models.GlowStep(FILTERS) for _ in range(num_steps)]
        end = [tfg.Split(bijector)] if level < LEVELS - 1 else [tfg.Elementwise(), bijector]
        bijector = tfg.Chain([tfg.Squeeze(), *steps, *end])
    return tfgen.models.Flow(SHAPE, bijector, data_kind="uint8")


def train(build, x, num_steps, steps):
    keras.utils.set_random_seed(0)
    start = time.perf_counter()
    model = build(num_steps)
    model.compile(keras.optimizers.Adam(1e-3))
    built = time.perf_counter() - start
    watch = Watch()
    callbacks = [watch, tfgen.callbacks.NaNGuard()]
    model.fit(x, batch_size=BATCH, steps_per_epoch=steps, verbose=0, callbacks=callbacks)
    seconds = time.perf_counter() - watch.start
    print(
        f"{build.__name__}: first step {watch.first:.1f} s after fit was called (built in "
        f"{built:.1f} s, {model.count_params()} parameters); {len(watch.losses)} steps in "
        f"{seconds:.0f} s",
        flush=True,
    )
    return watch


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(".\n")[0])
    parser.add_argument("--data", default="cifar10_jpeg")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--num-steps", type=int, default=32, help="K")
    args = parser.parse_args()
    x = tfgen.data.load(args.data, data_dir=args.data_dir).train[0]
    loop = train(looped, x, args.num_steps, args.steps)
    print(
        f"  every loss finite: {np.isfinite(loop.losses).all()}; first {loop.losses[0]:.2f}, "
        f"largest {max(loop.losses):.3g}, mean of the last 50 {np.mean(loop.losses[-50:]):.2f}"
    )
    chain = train(unrolled, x, args.num_steps, 1)
    print(f"ratio of the first steps, unrolled to looped: {chain.first / loop.first:.1f}")


if __name__ == "__main__":
    main()

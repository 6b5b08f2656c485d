"""A deep Glow: seconds to the first training step, and whether the loss stays finite.

    python benchmarks/deep_glow.py --data-dir DIR     # DIR with the TFDS set cifar10_jpeg

K=32, L=3, 128 filters, 32x32x3, batch 32, Adam 1e-3. The clock starts when `fit` is called;
its one initialisation batch is included.
"""

import argparse
import time

import keras
import numpy as np

import tfgen


class Watch(keras.callbacks.Callback):
    """Seconds to the first step, and every loss."""

    def __init__(self):
        super().__init__()
        self.losses = []
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if not self.losses:
            print(f"first step done {time.perf_counter() - self.start:.1f} s after fit was called")
        self.losses.append(float(logs["loss"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10_jpeg")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--num-steps", type=int, default=32, help="K")
    args = parser.parse_args()
    x = tfgen.data.load(args.data, data_dir=args.data_dir).train[0]
    keras.utils.set_random_seed(0)
    start = time.perf_counter()
    model = tfgen.Glow((32, 32, 3), num_levels=3, num_steps=args.num_steps, filters=128)
    model.compile(keras.optimizers.Adam(1e-3))
    print(f"built in {time.perf_counter() - start:.1f} s, {model.count_params()} parameters")
    watch = Watch()
    callbacks = [watch, tfgen.callbacks.NaNGuard()]
    model.fit(x, batch_size=32, steps_per_epoch=args.steps, verbose=0, callbacks=callbacks)
    seconds = time.perf_counter() - watch.start
    finite = np.isfinite(watch.losses).all()
    print(
        f"{len(watch.losses)} steps in {seconds:.0f} s; every loss finite: {finite}; "
        f"mean loss, logged from the start: {watch.losses[0]:.2f} -> {watch.losses[-1]:.2f}"
    )


if __name__ == "__main__":
    main()

"""What `tfgen cost` predicts of a training step, beside the step as measured.

    python benchmarks/costs.py
    python benchmarks/costs.py --threads 2 --models maf glow

In one process and in turns: the operations of a step are timed one by one, as `tfgen cost` does,
and about twice a second two steps are run, of which the second counts, so that both are under the
same load. Times are medians, in milliseconds. The processor's is of all threads of this process,
which other processes lengthen little; the wall's is what a user waits for, and of a busy machine
it is not the same for short operations and for long steps.
"""

import argparse
import gc
import platform

import numpy as np
import tensorflow as tf

import tfgen
from tfgen.app.calibration import Clocks
from tfgen.app.calibration import calibrate
from tfgen.utils.step_cost import count_step
from tfgen.utils.step_cost import traced_step

# Model, its preset or None, and its batch sizes.
MODELS = {
    "maf": (tfgen.MAF, None, (64, 256)),
    "glow": (tfgen.Glow, "glow_fashion_mnist_small", (32, 64)),
    "vae": (tfgen.VAE, "vae_mnist", (32, 128)),
    "vlae": (tfgen.VLAE, "vlae_mnist", (16, 32)),
    "cqf": (tfgen.CQF, "cqf_fashion_mnist", (16, 32)),
}
MAF_SIZE = 64


def made(name):
    cls, preset, _ = MODELS[name]
    if preset is not None:
        return cls.from_preset(preset, load_weights=False)
    model = cls(MAF_SIZE)
    model.compile()
    return model


def batch_of(specs):
    """A batch of random data, of normal numbers or of 0 and 1, with numbered rows."""
    random = np.random.default_rng(0)

    def filled(spec):
        if spec.dtype.is_floating:
            return tf.constant(random.normal(size=spec.shape), spec.dtype)
        if spec.dtype == tf.int64:
            return tf.range(spec.shape[0], dtype=tf.int64)
        return tf.constant(random.integers(0, 2, spec.shape), spec.dtype)

    return tf.nest.map_structure(filled, specs)


def compared(model, batch_size):
    """Counted operations, what was `Calibrated`, measured `Clocks` and the number of steps that
    they are the medians of."""
    step, batch = traced_step(model, batch_size), batch_of(model.data_spec.batch_spec(batch_size))
    measured = []

    def run():
        # As in training, where the step before has left the caches.
        step(batch)["loss"].numpy()
        begin = Clocks.now()
        step(batch)["loss"].numpy()
        measured.append(Clocks.now() - begin)

    for _ in range(3):
        run()
    # The first ones wait for memory.
    measured.clear()
    cost = count_step(step)
    calibrated = calibrate(cost, between=run)
    while len(measured) < 5:
        run()
    return cost, calibrated, Clocks(*np.median(measured, 0)), len(measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    print(
        f"TensorFlow {tf.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, threads: {arguments.threads}"
    )
    print("                               processor, ms               wall, ms")
    print("model  rows    GFLOP   predicted measured ratio   predicted measured ratio   steps")
    for name in arguments.models:
        for batch_size in MODELS[name][2]:
            cost, calibrated, measured, number = compared(made(name), batch_size)
            times = "   ".join(
                f"{1000 * p:9.1f} {1000 * m:8.1f} {p / m:5.2f}"
                for p, m in zip(reversed(calibrated.total()), reversed(measured), strict=True)
            )
            flops = cost.flops_of() / 1e9
            print(f"{name:5} {batch_size:5} {flops:8.2f}   {times} {number:7}", flush=True)
            gc.collect()


if __name__ == "__main__":
    main()

"""Memory and time of a Glow's training steps, by what is kept of a pass for its gradient.

    python benchmarks/memory.py --num-steps 8 32 64

L=3, 32x32x3 images of noise, Adam 1e-3. Each row is a process of its own: peak memory from the
first step on above what the process held before the model was made (a small Glow has been trained
in it by then), of which weights, gradients and optimizer are four times the parameters; seconds
until the first step was done; and the medians of the later steps' seconds by the clock and by the
processors, which other programs disturb less.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np

import tfgen
from tfgen.bijectors.pull_back import MEMORY

SHAPE, LEVELS = (32, 32, 3), 3
HEAD = "| memory | K | filters | batch | MB | of weights | first step | a step | processors |"


class Watch(keras.callbacks.Callback):
    """When each step was done, by the clock and by the processors."""

    def on_train_begin(self, logs=None):
        self.times = [(time.perf_counter(), time.process_time())]

    def on_train_batch_end(self, batch, logs=None):
        self.times.append((time.perf_counter(), time.process_time()))


def kilobytes(field):
    """A field of this process's memory, as Linux has it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def trained(x, num_steps, filters, memory, batch):
    keras.utils.set_random_seed(0)
    model = tfgen.Glow(SHAPE, LEVELS, num_steps, filters, memory=memory)
    model.compile(keras.optimizers.Adam(1e-3))
    watch = Watch()
    model.fit(x, batch_size=batch, verbose=0, callbacks=[watch])
    return model, np.diff(watch.times, axis=0)


def measure(memory, num_steps, filters, batch, count):
    """Prints a row of the table; in a process of its own."""
    x = np.random.default_rng(0).integers(0, 256, (count * batch, *SHAPE), np.uint8)
    trained(x[:2], 1, 4, memory, 1)
    before = kilobytes("VmRSS")
    # The peak counts from here on.
    Path("/proc/self/clear_refs").write_text("5")
    model, times = trained(x, num_steps, filters, memory, batch)
    held = 4 * 4 * model.count_params() / 1e6
    clock, processors = np.median(times[1:], 0)
    peak = (kilobytes("VmHWM") - before) / 1e3
    print(
        f"| {memory} | {num_steps} | {filters} | {batch} | {peak:.0f} | {held:.0f} "
        f"| {times[0, 0]:.1f} s | {clock:.2f} s | {processors:.2f} s |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num-steps", type=int, nargs="+", default=[8, 32, 64], help="K")
    parser.add_argument("--filters", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=6, help="of training, in each process")
    parser.add_argument("--memory", nargs="+", default=list(MEMORY), choices=MEMORY)
    parser.add_argument("--one", action="store_true", help="measure in this process")
    args = parser.parse_args()
    if args.one:
        measure(args.memory[0], args.num_steps[0], args.filters, args.batch, args.steps)
        return
    print(HEAD + "\n|" + "---|" * 9, flush=True)
    for num_steps in args.num_steps:
        for memory in args.memory:
            sizes = {"num-steps": num_steps, "filters": args.filters, "batch": args.batch}
            given = [f"--{k}={v}" for k, v in {**sizes, "steps": args.steps}.items()]
            command = [sys.executable, __file__, "--one", "--memory", memory, *given]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

"""Samples of a trained MAF beside zuko's and nflows's, and sweeps beside the sequential inverse.

    python benchmarks/maf_sampling.py    # needs the extra: pip install -e .[benchmarks]

All in one run, in turns, with the same architecture: times are medians over rounds, in
milliseconds, and ratios are to the fastest peer. First a MAF of each library is trained on the 64
pixels of the digits; then the sweeps are compared with the sequential inverse.
"""

import argparse
import time

import keras
import numpy as np
import peers
import tensorflow as tf
import torch
from digits import digits

import tfgen

SIZE, LAYERS, HIDDEN, BATCH, RATE = 64, 5, (512, 512), 256, 1e-3
SIZES = (SIZE, LAYERS, HIDDEN)


def report(name, runs, rounds):
    """Runs in turns; prints the medians, and those of tfgen beside the fastest of the others."""
    seconds = {library: [] for library in runs}
    for _ in range(rounds):
        for library, run in runs.items():
            # Threads that another library left spinning go to sleep.
            time.sleep(0.5)
            seconds[library].append(np.median(run()))
    median = {library: 1000 * np.median(s) for library, s in seconds.items()}
    fastest = min(ms for library, ms in median.items() if not library.startswith("tfgen"))
    told = (
        f"{library} {ms:.1f}" + f" (ratio {ms / fastest:.2f})" * library.startswith("tfgen")
        for library, ms in median.items()
    )
    print(f"  {name:20} {', '.join(told)}", flush=True)


@keras.saving.register_keras_serializable(package="benchmarks")
class Sequential(tfgen.bijectors.Autoregressive):
    """Inverse by as many sweeps as dimensions, whatever moves: the sequential inverse."""

    def _solve(self, map_, z):
        def sweep(i, x):
            return i + 1, map_(z, x, inverse=False)[0]

        most = self.event_shape[0] - 1
        state = (tf.constant(0), tf.zeros_like(z))
        return tf.while_loop(lambda i, x: i < most, sweep, state)[1]


def sequential_copy(model, dtype="float32"):
    """A copy of a model with the sequential inverse."""
    bijectors, kind = tfgen.bijectors, {"dtype": dtype}
    network = tfgen.networks.MADE(2, HIDDEN, **kind)
    map_ = Sequential(bijectors.ExpAffine(), network, **kind)
    step = bijectors.Chain([map_, bijectors.Permutation("reverse", **kind)], **kind)
    parts = [bijectors.Standardise(**kind), bijectors.Repeat(step, LAYERS, **kind)]
    copy = tfgen.Flow(SIZE, bijectors.Chain(parts, **kind), **kind)
    copy.set_weights(model.get_weights())
    return copy


def adversarial_flow():
    """In every layer each value is the one before plus noise: no sweep gets more than one right."""
    width, units = HIDDEN[0], np.arange(SIZE - 1)
    # Two units for each dimension, one for either sign; those see this dimension and those before.
    up = np.searchsorted(np.arange(width) * (SIZE - 1) // width, units)
    down = up + 1
    first, between = np.zeros((SIZE, width)), np.zeros((width, width))
    last = np.zeros((width, SIZE, 2))
    first[units, up], first[units, down] = 1, -1
    between[up, up] = between[down, down] = 1
    last[up, units + 1, 0], last[down, units + 1, 0] = 1, -1
    kernels = {"0": first, "1": between, "2": last.reshape(width, 2 * SIZE)}
    model = tfgen.MAF(*SIZES)
    model.build()
    for weight in model.trainable_variables:
        if "kernel_" in weight.name:
            weight.assign(np.broadcast_to(kernels[weight.name[-1]], weight.shape))
    return model


def timed(function):
    def run():
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        return seconds

    # Not the call that makes the graph.
    function()
    return run


def sample(rounds, steps):
    print(f"samples of a MAF, D={SIZE}, {LAYERS} layers, width {HIDDEN}, batch {BATCH}, ms")
    x = digits()
    batches = x[np.random.default_rng(0).integers(len(x), size=(steps, BATCH))]
    keras.utils.set_random_seed(0)
    model = tfgen.MAF(*SIZES)
    model.compile(keras.optimizers.Adam(RATE))
    model.fit(tf.data.Dataset.from_tensor_slices(batches), verbose=0)
    zuko_model, zuko_log_prob = peers.zuko_flow("MAF", *SIZES)
    nflows_model, nflows_log_prob = peers.nflows_maf(*SIZES)
    for peer, log_prob in ((zuko_model, zuko_log_prob), (nflows_model, nflows_log_prob)):
        optimizer = torch.optim.Adam(peer.parameters(), lr=RATE)
        for _ in peers.torch_steps(log_prob, optimizer, torch.from_numpy(batches)):
            pass
    with torch.no_grad():
        runs = {
            "tfgen": timed(lambda: model.sample(BATCH, seed=0).numpy()),
            "zuko": timed(lambda: zuko_model().sample((BATCH,)).numpy()),
            "nflows": timed(lambda: nflows_model.sample(BATCH).numpy()),
        }
        report(f"trained {steps} steps", runs, rounds)
    beside_sequential("trained", model, rounds)
    beside_sequential("adversarial", adversarial_flow(), rounds)


def beside_sequential(name, model, rounds):
    sequential, exact = sequential_copy(model), sequential_copy(model, "float64")
    z = np.random.default_rng(1).normal(size=(BATCH, SIZE)).astype("float32")
    exact, _ = exact.bijector.forward_and_log_det(z.astype("float64"))
    ours, theirs = model.decode(z), sequential.decode(z)
    runs = {
        "tfgen": timed(lambda: model.sample(BATCH, seed=0).numpy()),
        "sequential": timed(lambda: sequential.sample(BATCH, seed=0).numpy()),
    }
    report(name, runs, rounds)
    print(f"  tfgen from sequential: {distances(ours, theirs)}")
    print(f"  tfgen from float64: {distances(ours, exact)}")
    print(f"  sequential from float64: {distances(theirs, exact)}")


def distances(x, y):
    """Largest error of samples, relative above 1."""
    x, y = x.numpy(), y.numpy()
    far = (np.abs(x - y) / np.maximum(1, np.abs(y))).max(1)
    return f"at most {far.max():.1e}, {(far > 1e-5).sum()} of {len(far)} by more than 1e-5"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=500, help="of training")
    args = parser.parse_args()
    sample(args.rounds, args.steps)


if __name__ == "__main__":
    main()

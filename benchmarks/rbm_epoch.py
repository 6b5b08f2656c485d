"""An epoch of contrastive divergence beside scikit-learn's `BernoulliRBM`.

    python benchmarks/rbm_epoch.py

Both train by persistent chains, as scikit-learn does, or, `--estimator cd`, ours from the data; of
the same binarised images, in the same batches. Prints seconds of the clock and of all processors
for an epoch after the first, their ratio, and the pseudo-likelihood of held-out images.
"""

import argparse
import time
import warnings

import keras
import numpy as np
from sklearn.neural_network import BernoulliRBM

import tfgen


def timed(function):
    """Seconds of the clock and of the processors."""
    clock, processors = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - processors


def pseudo_likelihood(weights, biases, x):
    """Mean over rows of the sum over values of their log-probability given all others."""
    visible, hidden = biases
    fields = x @ weights + hidden
    now = np.logaddexp(0, fields).sum(1)
    total = 0.0
    for i in range(x.shape[1]):
        change = 1 - 2 * x[:, i]
        then = np.logaddexp(0, fields + change[:, None] * weights[i]).sum(1)
        total -= np.logaddexp(0, then - now + change * visible[i])
    return total.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--estimator", default="pcd", choices=["cd", "pcd"])
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets, for MNIST")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    keras.utils.set_random_seed(0)
    name = "mnist" if args.data_dir else "fashion_mnist_small"
    settings = {"data_dir": args.data_dir} if args.data_dir else {}
    data = tfgen.data.load(name, binarise="static", **settings)
    x, held_out = (part[0].reshape(len(part[0]), -1) for part in (data.train, data.test))
    x, held_out = x[: args.rows].astype("float32"), held_out[:200].astype("float64")
    print(f"{name}: {len(x)} rows of {x.shape[1]} values, {args.units} units")

    model = tfgen.RBM(x.shape[1], args.units, estimator=args.estimator, num_chains=args.batch)
    model.compile(keras.optimizers.SGD(args.rate))
    rows = x.astype("uint8")

    def epochs(count):
        model.fit(rows, batch_size=args.batch, epochs=count, verbose=0)

    epochs(1)
    ours = [s / (args.epochs - 1) for s in timed(lambda: epochs(args.epochs - 1))]
    found = [w.numpy().astype("float64") for w in (model.kernels[0], *model.biases)]
    ours.append(pseudo_likelihood(found[0], found[1:], held_out))

    peer = BernoulliRBM(args.units, learning_rate=args.rate, batch_size=args.batch, random_state=0)

    def peers(count):
        peer.n_iter = count
        peer.fit(x)

    one, all_of_them = timed(lambda: peers(1)), timed(lambda: peers(args.epochs))
    theirs = [(a - o) / (args.epochs - 1) for a, o in zip(all_of_them, one, strict=True)]
    biases = peer.intercept_visible_, peer.intercept_hidden_
    theirs.append(pseudo_likelihood(peer.components_.T.astype("float64"), biases, held_out))
    print(f"{len(x) // args.batch} steps an epoch, {args.epochs} epochs, rate {args.rate}")
    for label, row in ((f"RBM ({args.estimator})", ours), ("BernoulliRBM", theirs)):
        print(
            f"{label}: {row[0]:.2f} s an epoch, {row[1]:.2f} s of the processors, "
            f"pseudo-likelihood {row[2]:.1f}"
        )
    clock, processors = (a / b for a, b in zip(ours[:2], theirs[:2], strict=True))
    print(f"ratio of processors' time: {processors:.2f}, of the clock {clock:.2f}")


if __name__ == "__main__":
    main()

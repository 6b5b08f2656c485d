"""Test likelihoods of flows over vectors beside the same flows of zuko and normflows.

    python benchmarks/densities.py            # needs the extra: pip install -e .[benchmarks]

The six sets of the plane and the digits' 64 pixels; same layers, widths, minibatches, optimizer and
steps, several seeds. Prints the mean test negative log-likelihood in nats and, in brackets, the
lowest and highest of the seeds; of the RealNVP also what its density on two moons integrates to.
"""

import argparse

import keras
import numpy as np
import peers
import tensorflow as tf
import torch
from digits import digits

import tfgen

BATCH, RATE = 256, 1e-3


def load(name):
    if name == "digits":
        return digits(), digits("test")
    data = tfgen.data.load(name)
    return data.train[0], data.test[0]


def of_tfgen(name, sizes, batches, test, seed):
    keras.utils.set_random_seed(seed)
    options = {"num_bins": peers.BINS} if name == "NSF" else {}
    model = getattr(tfgen, name)(*sizes, **options)
    model.compile(keras.optimizers.Adam(RATE))
    model.fit(tf.data.Dataset.from_tensor_slices(batches), verbose=0)
    return -model.log_prob(test, batch_size=2048).numpy().mean(), model


def of_torch(make, name, sizes, batches, test, seed):
    model, log_prob = make(name, *sizes, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in peers.torch_steps(log_prob, optimizer, torch.from_numpy(batches)):
        pass
    with torch.no_grad():
        return -log_prob(torch.from_numpy(test)).mean().item()


def integral(model):
    side = np.linspace(-8, 8, 801)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    density = np.exp(model.log_prob(grid, batch_size=65536).numpy())
    return density.sum() * (side[1] - side[0]) ** 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--flows", nargs="+", default=["RealNVP", "MAF", "NSF"])
    parser.add_argument("--sets", nargs="+", default=[*tfgen.data.toy.GENERATORS, "digits"])
    args = parser.parse_args()
    for set_name in args.sets:
        x, test = load(set_name)
        in_plane = x.shape[1] == 2
        layers, hidden = (8, (64, 64)) if in_plane else (5, (128, 128))
        steps = args.steps if in_plane else args.steps // 4
        sizes = (x.shape[1], layers, hidden)
        print(f"{set_name}: {layers} layers, {hidden}, {steps} steps of {BATCH}", flush=True)
        for name in args.flows:
            found = {"tfgen": [], "zuko": []} | ({"normflows": []} if name == "RealNVP" else {})
            for seed in range(args.seeds):
                order = np.random.default_rng(seed).integers(len(x), size=(steps, BATCH))
                nll, model = of_tfgen(name, sizes, x[order], test, seed)
                found["tfgen"].append(nll)
                makers = {"zuko": peers.zuko_flow, "normflows": peers.normflows_flow}
                for library in list(found)[1:]:
                    run = (makers[library], name, sizes, x[order], test, seed)
                    found[library].append(of_torch(*run))
                if name == "RealNVP" and set_name == "two_moons":
                    print(f"  seed {seed}: the density integrates to {integral(model):.4f}")
            told = (
                f"{k} {np.mean(v):.3f} ({min(v):.3f} to {max(v):.3f})" for k, v in found.items()
            )
            print(f"  {name:20} {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()

"""RealNVP on two moons beside zuko's and normflows's: same layers, widths, data, steps.

    python benchmarks/two_moons.py            # needs the extra: pip install -e .[benchmarks]

Prints the test negative log-likelihood (nats) of each at the end of training and the number
of its parameters, and for tfgen the integral of the density over a grid.
"""

import argparse

import keras
import normflows
import numpy as np
import tensorflow as tf
import torch
import zuko

import tfgen

LAYERS, WIDTH, BATCH, RATE = 8, 64, 256, 1e-3


def batches(x, steps, seed):
    """The minibatches that all models see."""
    rng = np.random.default_rng(seed)
    return x[rng.integers(len(x), size=(steps, BATCH))]


def train_tfgen(data, test, seed):
    keras.utils.set_random_seed(seed)
    model = tfgen.RealNVP(2, num_layers=LAYERS, hidden_units=(WIDTH, WIDTH))
    model.compile(keras.optimizers.Adam(RATE))
    model.fit(tf.data.Dataset.from_tensor_slices(data), verbose=0)
    side = np.linspace(-8, 8, 801)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    density = np.exp(model.log_prob(grid, batch_size=65536).numpy())
    integral = density.sum() * (side[1] - side[0]) ** 2
    print(f"  tfgen: the density integrates to {integral:.4f}")
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    return -model.log_prob(test, batch_size=2048).numpy().mean(), trained


def train_torch(model, log_prob, data, test):
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for batch in torch.from_numpy(data):
        optimizer.zero_grad()
        loss = -log_prob(batch).mean()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        nll = -log_prob(torch.from_numpy(test)).mean().item()
    return nll, sum(p.numel() for p in model.parameters())


def train_zuko(data, test, seed):
    torch.manual_seed(seed)
    model = zuko.flows.RealNVP(2, transforms=LAYERS, hidden_features=(WIDTH, WIDTH))
    return train_torch(model, lambda x: model().log_prob(x), data, test)


def train_normflows(data, test, seed):
    torch.manual_seed(seed)
    flows = []
    for _ in range(LAYERS):
        net = normflows.nets.MLP([1, WIDTH, WIDTH, 2], init_zeros=True)
        flows += [normflows.flows.AffineCouplingBlock(net), normflows.flows.Permute(2, "swap")]
    model = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(2), flows)
    return train_torch(model, model.log_prob, data, test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    examples = tfgen.data.load("two_moons")
    x, test = examples.train[0], examples.test[0]
    print(f"{LAYERS} couplings, width {WIDTH}, batch {BATCH}, Adam {RATE}, {args.steps} steps")
    for seed in range(args.seeds):
        data = batches(x, args.steps, seed)
        for name, train in (
            ("tfgen", train_tfgen),
            ("zuko", train_zuko),
            ("normflows", train_normflows),
        ):
            nll, size = train(data, test, seed)
            print(f"seed {seed}  {name:10} {nll:.4f} nats  {size} parameters", flush=True)


if __name__ == "__main__":
    main()

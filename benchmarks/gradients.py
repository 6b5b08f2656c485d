"""Bias and variance of estimated gradients of discrete latents, against a sum over all states.

    python benchmarks/gradients.py

One sigmoid belief net with the same weights for all estimators, of 9 values below 4 and 3 latents,
trained a little; the gradient is of a batch of 10 examples. The bias of an unbiased estimator is
about its error.
"""

import argparse

import keras
import numpy as np

import tfgen
from tfgen.metrics import gradient_variance
from tfgen.models import GumbelSoftmax
from tfgen.models import Reinforce
from tfgen.models import StraightThrough
from tfgen.models import Vimco


def estimators():
    """Those that are compared, by name."""
    return {
        "REINFORCE": Reinforce(None),
        "running mean": Reinforce("mean"),
        "NVIL": Reinforce(),
        "NVIL, 5 draws": Reinforce(num_samples=5),
        "VIMCO, 2 draws": Vimco(2),
        "straight-through": StraightThrough(),
        "Gumbel, 1": GumbelSoftmax(1.0),
        "Gumbel, 0.5": GumbelSoftmax(0.5),
        "Gumbel, 0.1": GumbelSoftmax(0.1),
    }


def trained(estimator, x, weights, steps):
    """A model whose estimator has seen the data, with weights that are the same for all."""
    keras.utils.set_random_seed(0)
    model = tfgen.SigmoidBeliefNet(9, hidden_units=(4, 3), estimator=estimator)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, batch_size=50, steps_per_epoch=steps, epochs=1, verbose=0)
    layers = [model.recognition, model.generation]
    own = [model.top_bias, *(w for layer in layers for w in layer.weights)]
    for weight, value in zip(own, weights or (), strict=bool(weights)):
        weight.assign(value)
    return model, [weight.numpy() for weight in own]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.integers(2, size=(4, 9))
    x = centres[rng.integers(4, size=500)] ^ (rng.random((500, 9)) < 0.05)
    weights = None
    print("| estimator | bias | its error | variance of a draw | length of the gradient |")
    print("|---|---|---|---|---|")
    for name, estimator in estimators().items():
        model, kept = trained(estimator, x, weights, arguments.steps)
        weights = weights or kept
        drawn = gradient_variance(model, x[:10], num_draws=arguments.draws)
        figures = drawn.bias, drawn.bias_error, drawn.variance, drawn.norm
        print(f"| {name} | {' | '.join(f'{value:.3g}' for value in figures)} |", flush=True)


if __name__ == "__main__":
    main()

"""Variational inference: an inverse autoregressive flow as the posterior of a linear regression.

The exact posterior is known there, so the script can say how near the flow has come.

python examples/variational_inference.py --out runs/inference_example
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen

tfd = tfp.distributions
NOISE = 0.5


def regression(num_rows=20):
    """Inputs [n, 2], that go nearly together, and outputs [n]."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(num_rows, 2))
    inputs[:, 1] = 0.9 * inputs[:, 0] + 0.3 * inputs[:, 1]
    outputs = inputs @ [1.0, -1.0] + NOISE * rng.normal(size=num_rows)
    return inputs.astype("float32"), outputs.astype("float32")


def exact(inputs, outputs):
    """Mean and covariance of the posterior, and the log of the evidence."""
    precision = np.eye(2) + inputs.T @ inputs / NOISE**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ inputs.T @ outputs / NOISE**2
    total = inputs @ inputs.T + NOISE**2 * np.eye(len(outputs))
    evidence = tfd.MultivariateNormalTriL(scale_tril=np.linalg.cholesky(total))
    return mean, covariance, float(evidence.log_prob(outputs.astype("float64")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/inference_example"))
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    inputs, outputs = regression()
    joint = tfd.JointDistributionNamed(
        {
            "weights": tfd.Sample(tfd.Normal(0.0, 1.0), 2),
            "outputs": lambda weights: tfd.Independent(
                tfd.Normal(tf.linalg.matvec(inputs, weights), NOISE), 1
            ),
        }
    )
    target = joint.experimental_pin(outputs=outputs)
    # It samples, and scores its own samples, in one pass.
    posterior = tfgen.IAF(2, num_layers=3, hidden_units=(32,), transform="gated")
    surrogate = posterior.distribution()
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, args.steps))
    # Before the graph of all steps, which can make no variables.
    optimizer.build(surrogate.trainable_variables)

    @tf.function(autograph=False)
    def fit():
        return tfp.vi.fit_surrogate_posterior(
            lambda weights: target.unnormalized_log_prob(weights=weights),
            surrogate,
            optimizer,
            args.steps,
            sample_size=64,
            seed=(0, 0),
        )

    losses = fit().numpy()
    print(f"negative bound {losses[0]:.3f} at first, {losses[-1]:.3f} after {len(losses)} steps")
    mean, covariance, evidence = exact(inputs, outputs)
    samples = posterior.sample(20_000, seed=0).numpy()
    scores = target.unnormalized_log_prob(weights=samples) - surrogate.log_prob(samples)
    print(f"evidence lower bound {np.mean(scores):.4f}, log of the evidence {evidence:.4f} nats")
    print(f"mean {samples.mean(0).round(3)}, exactly {mean.round(3)}")
    got = np.cov(samples.T)
    print(f"covariance {got.round(4).tolist()}, exactly {covariance.round(4).tolist()}")
    drawn = np.random.default_rng(1).multivariate_normal(mean, covariance, 2000)
    # In the first panel, draws from the exact posterior.
    tfgen.plots.save_density(args.out / "posterior.png", posterior, drawn)
    print(f"The picture is in {args.out}")


if __name__ == "__main__":
    main()

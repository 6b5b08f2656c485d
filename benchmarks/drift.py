"""Errors of gradients of rebuilt activations: Glow steps with `memory="reversible"`, by depth.

    python benchmarks/drift.py

Steps on random images of 16x16, weights away from their start; figures are the largest difference
to the gradients of stored activations in float64, in parts of each weight's largest one, and what
`Flow.inversion_error` says of the same batch.
"""

import keras
import numpy as np
import tensorflow as tf

import tfgen

DEPTHS = 8, 32, 96
TRANSFORMS = "additive", "sigmoid_affine", "affine"
SPREADS = 0.02, 0.05


def glow(transform, depth, spread, memory, dtype):
    keras.utils.set_random_seed(0)
    arguments = {"num_levels": 1, "num_steps": depth, "filters": 32, "data_kind": "real"}
    model = tfgen.Glow((16, 16, 3), coupling=transform, memory=memory, dtype=dtype, **arguments)
    rng = np.random.default_rng(1)
    for weight in model.bijector.trainable_variables:
        weight.assign_add(spread * rng.normal(size=weight.shape))
    return model


def gradients(model, x):
    @tf.function(autograph=False)
    def of(x):
        with tf.GradientTape() as tape:
            z, log_det = model.bijector(x, inverse=True)
            loss = tf.reduce_mean(z**2) - tf.reduce_mean(log_det)
        return tape.gradient(loss, model.bijector.trainable_variables)

    return [g.numpy().astype("float64") for g in of(tf.cast(x, model.variable_dtype))]


def main():
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (8, 16, 16, 3))
    print("transform       spread depth   stored  reversible  inversion_error")
    for transform in TRANSFORMS:
        for spread in SPREADS:
            for depth in DEPTHS:
                models = {
                    memory: glow(transform, depth, spread, memory, "float32")
                    for memory in ("stored", "reversible")
                }
                exact = glow(transform, depth, spread, "stored", "float64")
                exact.set_weights(models["stored"].get_weights())
                right, off = gradients(exact, x), []
                for model in models.values():
                    pairs = zip(gradients(model, x), right, strict=True)
                    off.append(max(np.abs(g - r).max() / np.abs(r).max() for g, r in pairs))
                off.append(np.max(model.inversion_error(x.astype("float32"))))
                figures = "  ".join(f"{value:9.1e}" for value in off)
                print(f"{transform:14} {spread:7} {depth:5} {figures}", flush=True)


if __name__ == "__main__":
    main()

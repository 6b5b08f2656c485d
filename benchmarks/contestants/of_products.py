"""The matrix products of a RealNVP's networks and nothing else, by library."""

import itertools

import numpy as np

from contestants import Contestant


class Products(Contestant):
    """Products `[batch, half] [half, width] [width, width] [width, size]`, one layer after the
    other, with a ReLU after the first two of each."""

    def make(self):
        rng, half = np.random.default_rng(0), self.size // 2
        sides = half, self.width, self.width, self.size
        kernels = [
            [rng.normal(0, a**-0.5, (a, b)).astype("float32") for a, b in itertools.pairwise(sides)]
            for _ in range(self.layers)
        ]
        x = rng.normal(size=(self.batch, half)).astype("float32")
        self.products = getattr(self, self.library)(x, kernels)

    def passed(self, x, kernels, relu):
        for first, second, third in kernels:
            x = (relu(relu(x @ first) @ second) @ third)[:, : self.size // 2]
        return x

    def tensorflow(self, x, kernels):
        import tensorflow as tf

        x, kernels = tf.constant(x), tf.nest.map_structure(tf.constant, kernels)
        function = tf.function(lambda x, kernels: self.passed(x, kernels, tf.nn.relu))
        return lambda: function(x, kernels).numpy()

    def torch(self, x, kernels):
        import torch

        x = torch.from_numpy(x)
        kernels = [[torch.from_numpy(kernel) for kernel in layer] for layer in kernels]

        def run():
            with torch.no_grad():
                return self.passed(x, kernels, torch.relu).numpy()

        return run

    def jax(self, x, kernels):
        import jax

        x, kernels = jax.numpy.asarray(x), jax.tree.map(jax.numpy.asarray, kernels)
        function = jax.jit(lambda x, kernels: self.passed(x, kernels, jax.nn.relu))
        return lambda: np.asarray(function(x, kernels))

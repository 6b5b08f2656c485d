"""Base distributions of flows."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.utils.random import row_normal


class Base(keras.layers.Layer):
    """A distribution of the latents of a flow, vectors of `[size]`.

    A subclass implements the four methods. `build` gets `(None, size)`.

    Args:
        **kwargs: `keras.layers.Layer` arguments.
    """

    def log_prob(self, z, condition=None):
        """`[batch, size]` -> `[batch]`, nats; `condition` is `[batch, features]` or None."""
        raise NotImplementedError(f"{type(self).__name__} must implement log_prob")

    def noise(self, seed, start, num_rows):
        """What `sample` turns into draws for rows `start` to `start + num_rows`."""
        raise NotImplementedError(f"{type(self).__name__} must implement noise")

    def sample(self, noise, condition=None, temperature=1.0):
        """Draws `[batch, size]` with every standard deviation times `temperature`."""
        raise NotImplementedError(f"{type(self).__name__} must implement sample")

    def to_tfd(self, condition=None):
        """The same as a `tfd.Distribution`; its batch shape is `[]` or that of the conditions,
        `[features]` or `[n, features]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement to_tfd")


@keras.saving.register_keras_serializable(package="tfgen")
class StandardNormal(Base):
    """N(0, I) over vectors.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.StandardNormal()
    >>> base.build((None, 2))
    >>> [round(float(v), 4) for v in base.log_prob(np.zeros((1, 2), "float32"))]
    [-1.8379]
    """

    def build(self, input_shape):
        self.size = int(input_shape[-1])

    def log_prob(self, z, condition=None):
        z = tf.convert_to_tensor(z)
        return -0.5 * tf.reduce_sum(z**2, -1) - 0.5 * self.size * np.log(2 * np.pi)

    def noise(self, seed, start, num_rows):
        return row_normal(seed, start, num_rows, (self.size,), self.variable_dtype)

    def sample(self, noise, condition=None, temperature=1.0):
        return noise * tf.cast(temperature, noise.dtype)

    def to_tfd(self, condition=None):
        zeros = tf.zeros([self.size], self.variable_dtype)
        return tfp.distributions.MultivariateNormalDiag(zeros, tf.ones_like(zeros))

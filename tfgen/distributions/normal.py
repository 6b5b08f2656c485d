"""Normal distributions."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors.view import current
from tfgen.bijectors.view import deferred
from tfgen.distributions.base import Base
from tfgen.utils import checks
from tfgen.utils.random import row_normal


@keras.saving.register_keras_serializable(package="tfgen")
class StandardNormal(Base):
    """Standard normal distribution N(0, I) over vectors.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.StandardNormal()
    >>> base.build((None, 2))
    >>> [round(float(v), 4) for v in base.log_prob(np.zeros((1, 2), "float32"))]
    [-1.8379]
    """

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


@keras.saving.register_keras_serializable(package="tfgen")
class IsotropicNormal(StandardNormal):
    """Normal distribution N(0, scale^2 I) over vectors, with a fixed scale.

    Args:
        scale: standard deviation, above 0.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a `scale` that is not above 0.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.IsotropicNormal(2.0)
    >>> base.build((None, 1))
    >>> [round(float(v), 4) for v in base.log_prob(np.zeros((1, 1), "float32"))]
    [-1.6121]
    """

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = checks.check_positive(scale, "scale")

    def log_prob(self, z, condition=None):
        standard = tf.convert_to_tensor(z) / self.scale
        return super().log_prob(standard) - self.size * np.log(self.scale)

    def sample(self, noise, condition=None, temperature=1.0):
        return self.scale * super().sample(noise, None, temperature)

    def to_tfd(self, condition=None):
        zeros = tf.zeros([self.size], self.variable_dtype)
        return tfp.distributions.MultivariateNormalDiag(zeros, self.scale * tf.ones_like(zeros))


@keras.saving.register_keras_serializable(package="tfgen")
class DiagonalNormal(StandardNormal):
    """Normal distribution N(loc, diag(scale^2)) over vectors, with learned location and scale.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.DiagonalNormal()
    >>> base.build((None, 2))
    >>> len(base.trainable_variables)
    2
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.loc = self.add_weight(name="loc", shape=(self.size,), initializer="zeros")
        self.log_scale = self.add_weight(name="log_scale", shape=(self.size,), initializer="zeros")

    def log_prob(self, z, condition=None):
        log_scale = tf.convert_to_tensor(self.log_scale)
        standard = (tf.convert_to_tensor(z) - self.loc) * tf.exp(-log_scale)
        return super().log_prob(standard) - tf.reduce_sum(log_scale)

    def sample(self, noise, condition=None, temperature=1.0):
        return self.loc + tf.exp(self.log_scale) * super().sample(noise, None, temperature)

    def to_tfd(self, condition=None):
        scale = deferred(tf.exp, self.log_scale)
        return tfp.distributions.MultivariateNormalDiag(current(self.loc), scale)

"""Student's t distribution."""

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors.view import deferred
from tfgen.distributions.base import Base
from tfgen.utils import checks
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class StudentT(Base):
    """Independent Student's t distributions over vectors, for data with heavy tails.

    The degrees of freedom are learned, one number for each dimension; `trainable=False` keeps them
    as they are. `temperature` multiplies the scale.

    Args:
        df: degrees of freedom at the start, above 0.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: `df` is not above 0.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.StudentT(df=3.0)
    >>> base.build((None, 1))
    >>> [round(float(v), 4) for v in base.log_prob(np.zeros((1, 1), "float32"))]
    [-1.0009]
    """

    def __init__(self, df=5.0, **kwargs):
        super().__init__(**kwargs)
        self.df = checks.check_positive(df, "df")

    def build(self, input_shape):
        super().build(input_shape)
        start = keras.initializers.Constant(math.log(self.df))
        self.log_df = self.add_weight(name="log_df", shape=(self.size,), initializer=start)

    def log_prob(self, z, condition=None):
        return self.to_tfd().log_prob(z)

    def noise(self, seed, start, num_rows):
        return row_uniform(seed, start, num_rows, (2, self.size), self.variable_dtype)

    def sample(self, noise, condition=None, temperature=1.0):
        # Bailey 1994, "Polar generation of random variates with the t-distribution".
        u, v = tf.unstack(noise, axis=1)
        df = tf.exp(self.log_df)
        radius = tf.sqrt(df * tf.math.expm1(-2 / df * tf.math.log1p(-u)))
        return tf.cast(temperature, u.dtype) * radius * tf.cos(2 * np.pi * v)

    def to_tfd(self, condition=None):
        zero = tf.zeros([self.size], self.variable_dtype)
        values = tfp.distributions.StudentT(deferred(tf.exp, self.log_df), zero, zero + 1)
        return tfp.distributions.Independent(values, 1)

"""Mixtures of normal distributions."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.base import Base
from tfgen.utils import checks
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_normal
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class GaussianMixture(Base):
    """A mixture of diagonal normal distributions over vectors, all of it learned.

    `temperature` multiplies the components' standard deviations and divides their logits: at 0
    samples are at the location of the likeliest component.

    Args:
        num_components: number of components.
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.GaussianMixture(3)
    >>> base.build((None, 2))
    >>> base.log_prob(np.zeros((4, 2), "float32")).shape
    TensorShape([4])
    """

    def __init__(self, num_components=8, **kwargs):
        super().__init__(**kwargs)
        self.num_components = checks.check_count(num_components, "num_components")

    def build(self, input_shape):
        super().build(input_shape)
        shape = (self.num_components, self.size)
        # Apart from each other, or they would all learn the same.
        spread = keras.initializers.RandomNormal(stddev=1.0)
        self.loc = self.add_weight(name="loc", shape=shape, initializer=spread)
        self.log_scale = self.add_weight(name="log_scale", shape=shape, initializer="zeros")
        self.logits = self.add_weight(name="logits", shape=shape[:1], initializer="zeros")

    def log_prob(self, z, condition=None):
        log_scale = tf.convert_to_tensor(self.log_scale)
        standard = (tf.convert_to_tensor(z)[:, None] - self.loc) * tf.exp(-log_scale)
        constant = 0.5 * self.size * np.log(2 * np.pi)
        parts = -0.5 * tf.reduce_sum(standard**2, -1) - tf.reduce_sum(log_scale, -1) - constant
        return tf.reduce_logsumexp(parts + tf.nn.log_softmax(self.logits), -1)

    def noise(self, seed, start, num_rows):
        # Of the choice, and of the chosen component.
        uniform = row_uniform(
            fold_in(seed, 1), start, num_rows, (self.num_components,), self.variable_dtype
        )
        normal = row_normal(fold_in(seed, 2), start, num_rows, (self.size,), self.variable_dtype)
        return uniform, normal

    def sample(self, noise, condition=None, temperature=1.0):
        uniform, normal = noise
        temperature = tf.cast(temperature, normal.dtype)
        gumbel = -tf.math.log(-tf.math.log(uniform + np.finfo("float32").tiny))
        chosen = tf.argmax(self.logits + temperature * gumbel, -1)
        loc, log_scale = tf.gather(self.loc, chosen), tf.gather(self.log_scale, chosen)
        return loc + temperature * tf.exp(log_scale) * normal

    def to_tfd(self, condition=None):
        loc, log_scale = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.log_scale)
        return tfp.distributions.MixtureSameFamily(
            tfp.distributions.Categorical(logits=tf.convert_to_tensor(self.logits)),
            tfp.distributions.MultivariateNormalDiag(loc, tf.exp(log_scale)),
        )

    def get_config(self):
        return {**super().get_config(), "num_components": self.num_components}

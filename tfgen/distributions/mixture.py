"""Mixtures of normal distributions."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors.view import current
from tfgen.bijectors.view import deferred
from tfgen.distributions.base import Base
from tfgen.utils import checks
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_normal
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class GaussianMixture(Base):
    """Mixture of normal distributions over vectors, all of it learned.

    `temperature` multiplies the components' standard deviations and divides their logits: at 0
    samples are at the location of the likeliest component.

    Args:
        num_components: number of components; one is a normal distribution.
        covariance: `"diagonal"` or `"full"`.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `covariance`.

    >>> import numpy as np, tfgen
    >>> base = tfgen.distributions.GaussianMixture(3)
    >>> base.build((None, 2))
    >>> base.log_prob(np.zeros((4, 2), "float32")).shape
    TensorShape([4])
    """

    # The choice of the component has none.
    reparameterized = False

    def __init__(self, num_components=8, covariance="diagonal", **kwargs):
        super().__init__(**kwargs)
        self.num_components = checks.check_count(num_components, "num_components")
        if covariance not in ("diagonal", "full"):
            raise ValueError(f'`covariance` must be "diagonal" or "full"; got {covariance!r}')
        self.covariance = covariance

    def build(self, input_shape):
        super().build(input_shape)
        shape = (self.num_components, self.size)
        # Apart from each other, or they would all learn the same.
        spread = keras.initializers.RandomNormal(stddev=1.0)
        self.loc = self.add_weight(name="loc", shape=shape, initializer=spread)
        self.log_scale = self.add_weight(name="log_scale", shape=shape, initializer="zeros")
        self.logits = self.add_weight(name="logits", shape=shape[:1], initializer="zeros")
        if self.covariance == "full":
            # Below the diagonal of the scales, in units of the diagonal.
            self.lower = self.add_weight(
                name="lower", shape=(*shape, self.size), initializer="zeros"
            )

    def assign(self, locs, covariances, weights):
        """Sets the components of a mixture with full covariances.

        Args:
            locs: `[num_components, size]`.
            covariances: `[num_components, size, size]`.
            weights: `[num_components]`, which sum to 1.

        >>> import numpy as np, tfgen
        >>> base = tfgen.distributions.GaussianMixture(2, covariance="full")
        >>> base.build((None, 1))
        >>> base.assign([[-5.0], [5.0]], [[[1.0]], [[4.0]]], [0.5, 0.5])
        >>> base.to_tfd().mean().numpy().round(3).tolist()
        [0.0]
        """
        scales = np.linalg.cholesky(np.asarray(covariances, "float64"))
        diagonal = np.diagonal(scales, axis1=1, axis2=2)
        self.loc.assign(locs)
        self.log_scale.assign(np.log(diagonal))
        self.lower.assign(np.tril(scales / diagonal[..., None], -1))
        self.logits.assign(np.log(weights))

    def _components(self, read=lambda function, *weights: function(*weights)):
        """Components as a batch of `tfd` distributions.

        Args:
            read: function of a function and of weights, that says when it is of their values.
        """
        loc = read(tf.convert_to_tensor, self.loc)
        if self.covariance == "diagonal":
            return tfp.distributions.MultivariateNormalDiag(loc, read(tf.exp, self.log_scale))
        scales = read(self._scales, self.lower, self.log_scale)
        return tfp.distributions.MultivariateNormalTriL(loc, scales)

    def _scales(self, lower, log_scale):
        lower, log_scale = tf.convert_to_tensor(lower), tf.convert_to_tensor(log_scale)
        below = lower - tf.linalg.band_part(lower, 0, -1)
        return tf.exp(log_scale)[..., None] * (below + tf.eye(self.size, dtype=lower.dtype))

    def log_prob(self, z, condition=None):
        parts = self._components().log_prob(tf.convert_to_tensor(z)[:, None])
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
        # The noise through every component's scales: there are few of them.
        shifts = self._components().scale.matvec(normal[:, None])
        moved = tf.convert_to_tensor(self.loc) + temperature * shifts
        return tf.gather(moved, chosen, axis=1, batch_dims=1)

    def to_tfd(self, condition=None):
        return tfp.distributions.MixtureSameFamily(
            tfp.distributions.Categorical(logits=current(self.logits)),
            self._components(deferred),
        )

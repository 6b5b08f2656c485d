"""Activation normalisation with data-dependent initialisation."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class ActNorm(Bijector):
    """Activation normalisation, `z = x * exp(log_scale) + shift` per channel.

    From Kingma and Dhariwal 2018, "Glow: Generative Flow with Invertible 1x1 Convolutions",
    arXiv:1807.03039, section 3.1. `adapt` sets scale and shift such that the given minibatches
    come out with mean 0 and variance 1 (but for `epsilon`) per channel: with one minibatch it is
    Glow's own initialisation, with M of them the cumulative one of Tatsunami and Taki
    (Algorithm 1), the mean and the mean square of each minibatch, over batch
    and positions, averaged over the minibatches. A channel that is constant but for rounding keeps
    its scale.

    Args:
        epsilon: number at least 0 that is added to the variance, so that a channel of nearly no
            variance is not blown up.
        **kwargs: `Bijector` arguments.

    Shapes: events `[..., channels]` on both sides.

    Raises:
        ValueError: `epsilon` is negative.

    >>> import numpy as np, tfgen
    >>> actnorm = tfgen.bijectors.ActNorm()
    >>> z = actnorm.adapt([np.array([[1.0], [3.0]], "float32")])[0]
    >>> z.numpy().round(3).tolist()
    [[-1.0], [1.0]]
    """

    adaptive = True
    # True if the weights are trained after `adapt`.
    _trained = True

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = checks.check_weight(epsilon, "epsilon")

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        channels = (self.event_shape[-1],)
        settings = {"shape": channels, "initializer": "zeros", "trainable": self._trained}
        self.log_scale = self.add_weight(name="log_scale", **settings)
        self.shift = self.add_weight(name="shift", **settings)
        # Every position of an image shares the channel's scale.
        self._positions = math.prod(self.event_shape[:-1])

    def _forward(self, z, condition):
        scale = tf.convert_to_tensor(self.log_scale)
        return (z - self.shift) * tf.exp(-scale), self._log_det(z, -scale)

    def _inverse(self, x, condition):
        scale = tf.convert_to_tensor(self.log_scale)
        return x * tf.exp(scale) + self.shift, self._log_det(x, scale)

    def _log_det(self, x, log_scale):
        return tf.fill(tf.shape(x)[:1], self._positions * tf.reduce_sum(log_scale))

    def adapt(self, batches, conditions=None):
        batches = [tf.convert_to_tensor(x, self.compute_dtype) for x in batches]
        self._build_for(batches, conditions)
        # float64, and from an origin among the data, so that E[x^2] - E[x]^2 does not cancel.
        axes = list(range(batches[0].shape.rank - 1))
        origin = tf.reduce_mean(tf.cast(batches[0], tf.float64), axes)
        mean = mean_square = tf.zeros([], tf.float64)
        for x in batches:
            x = tf.cast(x, tf.float64) - origin
            mean += tf.reduce_mean(x, axes) / len(batches)
            mean_square += tf.reduce_mean(x**2, axes) / len(batches)
        variance = mean_square - mean**2
        mean += origin
        rounding = 8 * np.finfo(self.variable_dtype).eps
        constant = variance <= rounding**2 * (variance + mean**2)
        variance = tf.where(constant, tf.ones_like(variance), variance + self.epsilon)
        log_scale = -0.5 * tf.math.log(variance)
        self.log_scale.assign(log_scale)
        self.shift.assign(-tf.exp(log_scale) * mean)
        # Three operations, not worth the compilation of `_carry`.
        return [self._inverse(x, None)[0] for x in batches]


@keras.saving.register_keras_serializable(package="tfgen")
class Standardise(ActNorm):
    """`ActNorm` for data in units of their own: set once by `adapt`, and not trained.

    The densities stay those of the data as given. Channels of any size come out with variance 1;
    those that are constant keep their scale.

    Args:
        epsilon: number at least 0 that is added to the variance.
        **kwargs: `Bijector` arguments.

    >>> import numpy as np, tfgen
    >>> standardise = tfgen.bijectors.Standardise()
    >>> z = standardise.adapt([np.array([[1e-9, 7.0], [3e-9, 7.0]], "float32")])[0]
    >>> z.numpy().round(3).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    _trained = False

    def __init__(self, epsilon=0.0, **kwargs):
        super().__init__(epsilon, **kwargs)

"""Elementwise maps that see the condition alone."""

import keras
import tensorflow as tf

from tfgen.bijectors.base import sum_event
from tfgen.bijectors.base import value_and_log_det
from tfgen.bijectors.conditions import features_of
from tfgen.bijectors.conditions import features_shape
from tfgen.bijectors.transforms import Transforming
from tfgen.bijectors.transforms import as_prior
from tfgen.networks.conditioners import Head


@keras.saving.register_keras_serializable(package="tfgen")
class Elementwise(Transforming):
    """Elementwise map with one set of parameters per channel, learned or from the condition.

    On the latent side of a flow it is the learned, class-conditional prior of Glow (Kingma and
    Dhariwal 2018, arXiv:1807.03039): a standard normal base seen through a learned location and
    scale.

    Args:
        transform: `"affine"` (here `ExpAffine(limit=10.0)`, standard deviations within `exp(-10)`
            and `exp(10)`), `"additive"`, `"sigmoid_affine"`, `"gated"`, `"spline"` or a
            `Transform`.
        **kwargs: `Bijector` arguments.

    Shapes: events `[size]` or `[height, width, channels]`; condition
    `[batch, features]`, for images also `[batch, height, width, channels]`.

    >>> import numpy as np, tfgen
    >>> top = tfgen.bijectors.Elementwise()
    >>> top.inverse_and_log_det(np.ones((2, 4, 4, 3), "float32"))[0].shape
    TensorShape([2, 4, 4, 3])
    """

    _read = staticmethod(lambda transform: as_prior(transform, "transform"))

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self._conditional = condition_shape is not None
        count = self.transform.num_params
        self.head = Head(self.event_shape[-1] * count, dtype=self.network_dtype)
        self.head.build(features_shape(condition_shape, self.event_shape) or (None, 1))

    def _forward(self, z, condition):
        return self._apply(z, condition, inverse=False)

    def _inverse(self, x, condition):
        return self._apply(x, condition, inverse=True)

    def _apply(self, x, condition, inverse):
        if condition is None:
            features = tf.zeros([1, 1], x.dtype)
        else:
            features = features_of(condition, self.event_shape)
        params = tf.cast(self.head(features), self.compute_dtype)
        sides = params.shape[1:-1] if params.shape.rank == 4 else [1] * (len(self.event_shape) - 1)
        shape = [tf.shape(params)[0], *sides, self.event_shape[-1], self.transform.num_params]
        bijector = self.transform(tf.reshape(params, shape))
        value, log_det = value_and_log_det(bijector, x, inverse)
        return value, sum_event(log_det)

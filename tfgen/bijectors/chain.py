"""Composition and inversion of bijectors."""

import math

import keras
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import zeros_log_det
from tfgen.bijectors.pull_back import added
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class Chain(Bijector):
    """Composition, in TFP's order: `Chain([f, g])` maps latent to data by `f(g(z))`.

    Read from left to right it is the way of the data to the latent: `f` is
    the map nearest to the data.

    Args:
        bijectors: list of bijectors, the one nearest to the data first; of none it is the identity.
        **kwargs: `Bijector` arguments.

    Shapes: those of the bijectors; a condition goes to each of them.

    Raises:
        ValueError: one that is no `Bijector`.

    >>> import keras, numpy as np, tfgen
    >>> chain = tfgen.bijectors.Chain([tfgen.bijectors.Squeeze(), tfgen.bijectors.Flatten()])
    >>> z, log_det = chain.inverse_and_log_det(np.zeros((2, 4, 4, 1), "float32"))
    >>> z.shape, log_det.shape
    (TensorShape([2, 16]), TensorShape([2]))
    """

    def __init__(self, bijectors, **kwargs):
        super().__init__(**kwargs)
        checks.check_instance(bijectors, (list, tuple), "bijectors")
        self.bijectors = list(bijectors)
        for i, b in enumerate(self.bijectors):
            checks.check_instance(b, Bijector, f"bijectors[{i}]")

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = shape = tuple(inputs_shape[1:])
        for b in self.bijectors:
            if not b.built:
                b.build((None, *shape), condition_shape)
            shape = b.inverse_event_shape(shape)

    def _forward(self, z, condition):
        log_det = zeros_log_det(z)
        for b in reversed(self.bijectors):
            z, change = b.forward_and_log_det(z, condition=condition)
            log_det += change
        return z, log_det

    def _inverse(self, x, condition):
        log_det = zeros_log_det(x)
        for b in self.bijectors:
            x, change = b.inverse_and_log_det(x, condition=condition)
            log_det += change
        return x, log_det

    def pull_back(self, y, upstream, condition, inverse, sources):
        in_y, in_log_det = upstream
        found = [None] * len(sources)
        # From the last that was applied to the first.
        for b in reversed(self.bijectors) if inverse else self.bijectors:
            given = (y, (in_y, in_log_det), condition, inverse, sources)
            y, in_y, others = b.pull_back(*given)
            found = added(found, others)
        return y, in_y, found

    def forward_event_shape(self, latent_shape):
        for b in reversed(self.bijectors):
            latent_shape = b.forward_event_shape(latent_shape)
        return tuple(latent_shape)

    def inverse_event_shape(self, event_shape):
        for b in self.bijectors:
            event_shape = b.inverse_event_shape(event_shape)
        return tuple(event_shape)

    def adapt(self, batches, conditions=None):
        self._build_for(batches, conditions)
        for b in self.bijectors:
            batches = b.adapt(batches, conditions)
        return batches

    def adapt_only(self, batches, conditions=None):
        """`adapt` without the latents of the batches, for which many rows take long.

        Args:
            batches: as for `adapt`.
            conditions: as for `adapt`.

        >>> import numpy as np, tfgen
        >>> chain = tfgen.bijectors.Chain([tfgen.bijectors.ActNorm(), tfgen.bijectors.Flatten()])
        >>> x = np.array([[1.0], [3.0]], "float32")
        >>> chain.adapt_only([x])
        >>> chain.inverse_and_log_det(x)[0].numpy().round(3).tolist()
        [[-1.0], [1.0]]
        """
        self._build_for(batches, conditions)
        adaptive = [i for i, b in enumerate(self.bijectors) if b.adaptive]
        for i in range(max(adaptive, default=-1) + 1):
            b = self.bijectors[i]
            if i == max(adaptive) and isinstance(b, Chain):
                return b.adapt_only(batches, conditions)
            batches = b.adapt(batches, conditions)

    def _parts(self):
        return self.bijectors


@keras.saving.register_keras_serializable(package="tfgen")
class Invert(Bijector):
    """Inverse of a bijector: its forward is `bijector`'s inverse, and its inverse the forward.

    Args:
        bijector: the `Bijector` to turn round.
        **kwargs: `Bijector` arguments.

    Shapes: those of the bijector, the other way round.

    Raises:
        ValueError: no `Bijector`.

    >>> import numpy as np, tfgen
    >>> z = np.zeros((2, 16), "float32")
    >>> squeeze = tfgen.bijectors.Invert(tfgen.bijectors.Squeeze())
    >>> squeeze.inverse_and_log_det(np.zeros((2, 2, 2, 4), "float32"))[0].shape
    TensorShape([2, 4, 4, 1])
    """

    def __init__(self, bijector, **kwargs):
        super().__init__(**kwargs)
        self.bijector = checks.check_instance(bijector, Bijector, "bijector")

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        if not self.bijector.built:
            shape = self.bijector.forward_event_shape(self.event_shape)
            self.bijector.build((None, *shape), condition_shape)

    def _forward(self, z, condition):
        return self.bijector.inverse_and_log_det(z, condition=condition)

    def _inverse(self, x, condition):
        return self.bijector.forward_and_log_det(x, condition=condition)

    def pull_back(self, y, upstream, condition, inverse, sources):
        return self.bijector.pull_back(y, upstream, condition, not inverse, sources)

    def forward_event_shape(self, latent_shape):
        return self.bijector.inverse_event_shape(latent_shape)

    def inverse_event_shape(self, event_shape):
        return self.bijector.forward_event_shape(event_shape)

    @property
    def adaptive(self):
        # The data-dependent weights inside are set from their own data side,
        # which an inverted map never sees: they keep their neutral start.
        return False

    def mixing_log_dets(self):
        return -self.bijector.mixing_log_dets()


@keras.saving.register_keras_serializable(package="tfgen")
class Flatten(Bijector):
    """Reshape of data of any shape into a latent vector, in row-major order.

    Args:
        **kwargs: `Bijector` arguments.

    Shapes: `[...]` -> `[size]`, data -> latent.

    >>> import numpy as np, tfgen
    >>> flatten = tfgen.bijectors.Flatten()
    >>> flatten.inverse_and_log_det(np.zeros((2, 4, 4, 3), "float32"))[0].shape
    TensorShape([2, 48])
    """

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self._size = math.prod(self.event_shape)

    def _forward(self, z, condition):
        return tf.reshape(z, [-1, *self.event_shape]), zeros_log_det(z)

    def _inverse(self, x, condition):
        return tf.reshape(x, [-1, self._size]), zeros_log_det(x)

    def forward_event_shape(self, latent_shape):
        if not self.built:
            raise ValueError("Flatten knows its data shape only once built: `build` it first.")
        return self.event_shape

    def inverse_event_shape(self, event_shape):
        return (math.prod(event_shape),)

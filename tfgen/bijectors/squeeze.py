"""Shape-changing maps of multi-scale image flows."""

import math

import keras
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import zeros_log_det
from tfgen.bijectors.coupling import Coupling
from tfgen.bijectors.transforms import as_prior
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class Squeeze(Bijector):
    """Trade of space for channels: `[h, w, c]` -> `[h/2, w/2, 4c]`, data -> latent.

    From Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, section 3.6.

    Args:
        **kwargs: `Bijector` arguments.

    Raises:
        ValueError: events that are no images of even height and width.

    >>> import numpy as np, tfgen
    >>> tfgen.bijectors.Squeeze().inverse_and_log_det(np.zeros((1, 4, 4, 3), "float32"))[0].shape
    TensorShape([1, 2, 2, 12])
    """

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self.inverse_event_shape(self.event_shape)

    def _forward(self, z, condition):
        return tf.nn.depth_to_space(z, 2), zeros_log_det(z)

    def _inverse(self, x, condition):
        return tf.nn.space_to_depth(x, 2), zeros_log_det(x)

    def forward_event_shape(self, latent_shape):
        height, width, channels = latent_shape
        return (2 * height, 2 * width, channels // 4)

    def inverse_event_shape(self, event_shape):
        if len(event_shape) != 3 or event_shape[0] % 2 or event_shape[1] % 2:
            raise ValueError(
                "Squeeze takes [height, width, channels] with even height and width; "
                f"got {list(event_shape)}"
            )
        height, width, channels = event_shape
        return (height // 2, width // 2, 4 * channels)


@keras.saving.register_keras_serializable(package="tfgen")
class Split(Bijector):
    """Multi-scale factoring: half of the channels become latents, the others go through `rest`.

    From Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, eq. 14 to 16.
    The factored half is standardised by location and scale that are computed
    from the half that goes on (`prior`, a coupling: Glow's learned split prior),
    so that the whole latent is one vector with one simple base. Its entries
    come first, then those of `rest`: finest level first.

    Args:
        rest: bijector from `[h, w, c // 2]` to a vector.
        prior: `Coupling` that keeps the first half of the channels, or the `Transform` of one whose
            network is the output layer alone, as in Glow: by default `"affine"`, here
            `ExpAffine(limit=10.0)`, whose standard deviations lie within `exp(-10)` and `exp(10)`.
            None leaves the factored half as it is.
        **kwargs: `Bijector` arguments.

    Shapes: `[height, width, channels]` -> `[size]`, data -> latent.

    Raises:
        ValueError: on `build`, a single channel.

    >>> import numpy as np, tfgen
    >>> split = tfgen.bijectors.Split(tfgen.bijectors.Flatten())
    >>> split.inverse_and_log_det(np.zeros((2, 4, 4, 6), "float32"))[0].shape
    TensorShape([2, 96])
    """

    _saved_apart = ("prior",)

    def __init__(self, rest, prior="affine", **kwargs):
        super().__init__(**kwargs)
        self.rest = checks.check_instance(rest, Bijector, "rest")
        if prior is not None and not isinstance(prior, Coupling):
            network = keras.layers.Identity(dtype=self.network_dtype.name)
            transform = as_prior(prior)
            prior = Coupling(transform, "channel", network=network, dtype=self.network_dtype)
        self.prior = prior

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        *sides, channels = self.event_shape
        if channels < 2:
            raise ValueError(f"Split needs at least 2 channels; got {list(self.event_shape)}")
        self._kept = channels // 2
        self._factored_shape = (*sides, channels - self._kept)
        self._factored_size = math.prod(self._factored_shape)
        if self.prior is not None and not self.prior.built:
            self.prior.build(inputs_shape, condition_shape)
        if not self.rest.built:
            self.rest.build((None, *sides, self._kept), condition_shape)

    def _inverse(self, x, condition):
        log_det = zeros_log_det(x)
        if self.prior is not None:
            x, log_det = self.prior.inverse_and_log_det(x, condition=condition)
        kept, factored = x[..., : self._kept], x[..., self._kept :]
        z, change = self.rest.inverse_and_log_det(kept, condition=condition)
        factored = tf.reshape(factored, [-1, self._factored_size])
        return tf.concat([factored, z], -1), log_det + change

    def _forward(self, z, condition):
        factored = tf.reshape(z[:, : self._factored_size], [-1, *self._factored_shape])
        kept, log_det = self.rest.forward_and_log_det(
            z[:, self._factored_size :], condition=condition
        )
        x = tf.concat([kept, factored], -1)
        if self.prior is None:
            return x, log_det
        x, change = self.prior.forward_and_log_det(x, condition=condition)
        return x, log_det + change

    def adapt(self, batches, conditions=None):
        self._build_for(batches, conditions)
        if self.prior is not None:
            batches = self.prior.adapt(batches, conditions)
        rest = self.rest.adapt([x[..., : self._kept] for x in batches], conditions)
        factored = [tf.reshape(x[..., self._kept :], [-1, self._factored_size]) for x in batches]
        return [tf.concat(parts, -1) for parts in zip(factored, rest, strict=True)]

    def forward_event_shape(self, latent_shape):
        if not self.built:
            raise ValueError("Split knows its data shape only once built: `build` it first.")
        return self.event_shape

    def inverse_event_shape(self, event_shape):
        return (math.prod(event_shape),)

    def _parts(self):
        return [self.rest] if self.prior is None else [self.prior, self.rest]

    def get_config(self):
        # The coupling itself: which one a name means depends on who reads it.
        prior = self.prior and keras.saving.serialize_keras_object(self.prior)
        return {**super().get_config(), "prior": prior}

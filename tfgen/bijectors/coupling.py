"""Coupling layers."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.bijectors.base import sum_event
from tfgen.bijectors.base import value_and_log_det
from tfgen.bijectors.conditions import features_of
from tfgen.bijectors.conditions import features_shape
from tfgen.bijectors.pull_back import added
from tfgen.bijectors.transforms import Transforming
from tfgen.networks.conditioners import MLP
from tfgen.networks.conditioners import ConvNet
from tfgen.networks.conditioners import Head
from tfgen.utils import checks
from tfgen.utils.recorded import set_default

MASKS = ("halves", "channel", "checkerboard")


@keras.saving.register_keras_serializable(package="tfgen")
class Coupling(Transforming):
    """Elementwise map of one part of the event, with parameters computed from the other part.

    From Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, eq. 4 to 8. The
    network runs once per pass, in either direction.

    Args:
        transform: `"additive"`, `"affine"` (`ExpAffine`), `"sigmoid_affine"`, `"gated"`,
            `"spline"` or a `Transform` (any TFP scalar bijector).
        mask: `"halves"` of the last axis (`"channel"` is another word for it, that of image
            flows) or `"checkerboard"` (elements of a vector or
            pixels of an image in turn). Odd sizes are fine; of a single
            element, the one part is empty and the map is unconditional.
        flip: True to keep the part that is changed otherwise, and the reverse.
        network: Keras layer from the kept part (for `"checkerboard"`: the event
            with the changed part zeroed), joined with the condition, to
            features. By default `MLP()` for vectors, `ConvNet()` for images. An
            output layer (`Head`) follows it, so that the coupling starts at the transform's own
            start: of images there, of vectors within the transform's `output_spread`.
        **kwargs: `Bijector` arguments.

    Shapes: events `[size]` or `[height, width, channels]`; condition
    `[batch, features]`, for images also `[batch, height, width, channels]`.

    Raises:
        ValueError: another `mask` or `transform`, or a `network` that is no layer; on `build`,
            events of another shape.

    >>> import numpy as np, tfgen
    >>> coupling = tfgen.bijectors.Coupling(mask="checkerboard")
    >>> z, log_det = coupling.inverse_and_log_det(np.ones((2, 5), "float32"))
    >>> z.shape, log_det.shape
    (TensorShape([2, 5]), TensorShape([2]))
    """

    def __init__(self, transform="affine", mask="halves", flip=False, network=None, **kwargs):
        super().__init__(transform, **kwargs)
        if mask not in MASKS:
            raise ValueError(f"`mask` must be one of {list(MASKS)}; got {mask!r}")
        self.mask = mask
        self.flip = bool(flip)
        self.network = network and checks.check_instance(network, keras.layers.Layer, "network")

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self._conditional = condition_shape is not None
        if len(self.event_shape) not in (1, 3):
            raise ValueError(
                "Coupling takes events of shape [size] or [height, width, channels]; "
                f"got {list(self.event_shape)}"
            )
        channels = self.event_shape[-1]
        if self.mask == "checkerboard":
            parity = np.indices(
                self.event_shape[:-1] if len(self.event_shape) == 3 else (channels,)
            )
            kept = (parity.sum(0) + self.flip) % 2 == 0
            if kept.all():
                kept = ~kept
            kept = kept[..., None] if len(self.event_shape) == 3 else kept
            self._kept = np.broadcast_to(kept, self.event_shape)
            in_channels = changed = channels
        else:
            # The part [low, high) is kept.
            low, high = (channels // 2, channels) if self.flip else (0, channels // 2)
            if high - low == channels:
                low = high = 0
            self._low, self._high = low, high
            in_channels, changed = high - low, channels - (high - low)
        # An unconditional coupling without a kept part still has an input: a zero.
        if condition_shape is not None:
            in_channels += features_shape(condition_shape, self.event_shape)[-1]
        self._no_input = in_channels == 0
        shape = (None, *self.event_shape[:-1], max(in_channels, 1))
        if self.network is None:
            image = len(shape) == 4
            set_default(self, "network", (ConvNet if image else MLP)(dtype=self.network_dtype))
        # A network that came from a saved config is built already.
        if not self.network.built:
            self.network.build(shape)
        features = self.network.compute_output_shape(shape)
        spread = 0.0 if len(shape) == 4 else self.transform.output_spread
        self.head = Head(changed * self.transform.num_params, spread, dtype=self.network_dtype)
        self.head.build(features)

    def _forward(self, z, condition):
        return self._apply(z, condition, inverse=False)

    def _inverse(self, x, condition):
        return self._apply(x, condition, inverse=True)

    def pull_back(self, y, upstream, condition, inverse, sources):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # What the network reads is in `y` as it was in `x`: it runs once, for the input as for
            # its gradient.
            read = tf.identity(y)
            tape.watch([read, *sources])
            bijector = self._bijector(read, self._kept_part(read), condition)
            with tape.stop_recording():
                x = tf.identity(self._through(bijector, y, not inverse)[0])
            tape.watch(x)
            outputs = self._through(bijector, x, inverse)
        in_x, in_read, *others = tape.gradient(outputs, [x, read, *sources], upstream)
        return x, added([in_x], [in_read])[0], others

    def _apply(self, x, condition, inverse):
        bijector = self._bijector(x, self._kept_part(x), condition)
        return self._through(bijector, x, inverse)

    def _kept_part(self, x):
        """The part that is not changed, of which the network makes the parameters."""
        if self.mask == "checkerboard":
            return x * tf.constant(self._kept, x.dtype)
        return x[..., self._low : self._high]

    def _through(self, bijector, x, inverse):
        """The other part through a scalar bijector."""
        if self.mask == "checkerboard":
            y, log_det = value_and_log_det(bijector, x, inverse)
            # The unused branch is as finite as the used one: it sees the same x.
            y = tf.where(self._kept, x, y)
            return y, sum_event(tf.where(self._kept, tf.zeros_like(log_det), log_det))
        before, kept, after = (
            x[..., : self._low],
            x[..., self._low : self._high],
            x[..., self._high :],
        )
        # One of the outer parts is empty.
        changed = after if self._low == 0 else before
        y, log_det = value_and_log_det(bijector, changed, inverse)
        parts = [kept, y] if self._low == 0 else [y, kept]
        return tf.concat(parts, -1), sum_event(log_det)

    def _bijector(self, x, kept, condition):
        zero = tf.zeros_like(x[..., :1])
        if self._no_input:
            kept = zero
        if condition is not None:
            features = tf.cast(features_of(condition, self.event_shape), kept.dtype)
            if features.shape.rank < kept.shape.rank:
                features = features[:, None, None]
            kept = tf.concat([kept, features + zero], -1)
        params = tf.cast(self.head(self.network(kept)), self.compute_dtype)
        count = self.transform.num_params
        shape = [*self.event_shape[:-1], params.shape[-1] // count, count]
        return self.transform(tf.reshape(params, [-1, *shape]))

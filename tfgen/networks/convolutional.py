"""Plain convolutional encoders and decoders, with batch normalisation."""

import math

import keras
import tensorflow as tf

from tfgen.networks.spectral_norm import spectrally_normalised
from tfgen.utils import checks
from tfgen.utils.part import Configured


class _Convolutional(Configured):
    """Convolutions, each with batch normalisation and an activation."""

    def __init__(
        self,
        filters,
        strides,
        kernel_size,
        batch_norm,
        spectral_norm,
        activation,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = checks.as_shape(filters, "filters")
        self.strides = checks.as_shape(strides, "strides")
        if len(self.filters) != len(self.strides):
            raise ValueError(
                f"`strides` must have one for each of the {len(self.filters)} `filters`; got "
                f"{list(self.strides)}"
            )
        self.kernel_size = checks.check_count(kernel_size, "kernel_size")
        self.batch_norm = checks.check_bool(batch_norm, "batch_norm")
        self.spectral_norm = checks.check_bool(spectral_norm, "spectral_norm")
        self.activation = keras.activations.get(activation)

    def _normalised(self, layer, shape):
        """Pair of a layer, built here, and of the normalisation of its outputs or None."""
        if self.spectral_norm:
            layer = spectrally_normalised(layer)
        layer.build(shape)
        if not self.batch_norm:
            return layer, None
        # Over all replicas; with a memory of some tens of steps, for trainings that are short.
        norm = keras.layers.BatchNormalization(
            momentum=0.9, synchronized=True, dtype=self.dtype_policy
        )
        norm.build(layer.compute_output_shape(shape))
        return layer, norm

    def _apply(self, pair, x, training):
        layer, norm = pair
        x = layer(x, training=training)
        return self.activation(x if norm is None else norm(x, training=training))


@keras.saving.register_keras_serializable(package="tfgen")
class ConvEncoder(_Convolutional):
    """Convolutional encoder of images; the features are the values of the last maps in a row.

    After Kumar et al. 2020, "Regularized Autoencoders via Relaxed Injective Probability Flow",
    arXiv:2002.08927, section 4.

    Shapes: `[batch, height, width, channels]` -> `[batch, size]`.

    Args:
        filters: channels of each convolution.
        strides: stride of each, as many as `filters`.
        kernel_size: side of the kernels.
        batch_norm: True for batch normalisation, over all replicas.
        spectral_norm: True for `keras.layers.SpectralNormalization` of the kernels.
        activation: name of an activation, or one.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: not as many `strides` as `filters`.

    >>> import numpy as np, tfgen
    >>> encoder = tfgen.networks.ConvEncoder((4, 8), (2, 2))
    >>> encoder(np.zeros((2, 28, 28, 1), "float32")).shape
    TensorShape([2, 392])
    """

    def __init__(
        self,
        filters=(32, 64, 64, 128, 128),
        strides=(2, 2, 2, 1, 1),
        kernel_size=4,
        batch_norm=True,
        spectral_norm=False,
        activation="elu",
        **kwargs,
    ):
        super().__init__(
            filters, strides, kernel_size, batch_norm, spectral_norm, activation, **kwargs
        )

    def build(self, input_shape):
        self.convs, shape = [], tuple(input_shape)
        for filters, stride in zip(self.filters, self.strides, strict=True):
            conv = keras.layers.Conv2D(
                filters, self.kernel_size, stride, padding="same", dtype=self.dtype_policy
            )
            self.convs.append(self._normalised(conv, shape))
            shape = conv.compute_output_shape(shape)

    def call(self, inputs, training=False):
        x = inputs
        for pair in self.convs:
            x = self._apply(pair, x, training)
        return tf.reshape(x, [-1, math.prod(x.shape[1:])])

    def compute_output_shape(self, input_shape):
        sides = input_shape[1:3]
        for stride in self.strides:
            sides = [math.ceil(side / stride) for side in sides]
        return (input_shape[0], math.prod(sides) * self.filters[-1])


@keras.saving.register_keras_serializable(package="tfgen")
class ConvDecoder(_Convolutional):
    """Convolutional decoder of latents to feature maps, the mirror of `ConvEncoder`.

    It is of transposed convolutions. Maps are cut where the encoder had rounded up.

    Shapes: `[batch, size]` -> `[batch, height, width, filters[-1]]`.

    Args:
        sides: height and width of the maps, those of the images.
        filters: channels of each transposed convolution.
        strides: stride of each, as many as `filters`.
        kernel_size: side of the kernels.
        batch_norm: True for batch normalisation, over all replicas.
        spectral_norm: True for `keras.layers.SpectralNormalization` of the kernels.
        activation: name of an activation, or one.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: `sides` that are not two, or not as many `strides` as `filters`.

    >>> import numpy as np, tfgen
    >>> decoder = tfgen.networks.ConvDecoder((28, 28), (8, 4), (2, 2))
    >>> decoder(np.zeros((2, 3), "float32")).shape
    TensorShape([2, 28, 28, 4])
    """

    def __init__(
        self,
        sides,
        filters=(128, 64, 64, 32, 32),
        strides=(1, 1, 2, 2, 2),
        kernel_size=4,
        batch_norm=True,
        spectral_norm=False,
        activation="elu",
        **kwargs,
    ):
        super().__init__(
            filters, strides, kernel_size, batch_norm, spectral_norm, activation, **kwargs
        )
        self.sides = checks.as_shape(sides, "sides")
        if len(self.sides) != 2:
            raise ValueError(f"`sides` must be [height, width]; got {sides!r}")

    def build(self, input_shape):
        # Sides of each layer's result, and of what the first one gets.
        self._sizes = [self.sides]
        for stride in reversed(self.strides):
            self._sizes.insert(0, tuple(math.ceil(side / stride) for side in self._sizes[0]))
        channels = self.filters[0]
        units = math.prod(self._sizes[0]) * channels
        dense = keras.layers.Dense(units, dtype=self.dtype_policy)
        self.dense = self._normalised(dense, input_shape)
        self.convs = []
        for filters, stride, sides in zip(
            self.filters, self.strides, self._sizes[:-1], strict=True
        ):
            conv = keras.layers.Conv2DTranspose(
                filters, self.kernel_size, stride, padding="same", dtype=self.dtype_policy
            )
            self.convs.append(self._normalised(conv, (None, *sides, channels)))
            channels = filters

    def call(self, inputs, training=False):
        x = self._apply(self.dense, inputs, training)
        x = tf.reshape(x, [-1, *self._sizes[0], self.filters[0]])
        for pair, (height, width) in zip(self.convs, self._sizes[1:], strict=True):
            x = self._apply(pair, x, training)[:, :height, :width]
        return x

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.sides, self.filters[-1])

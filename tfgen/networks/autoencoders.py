"""Encoders and decoders of images."""

import math

import keras
import tensorflow as tf

from tfgen.networks.spectral_norm import spectrally_normalised
from tfgen.networks.weight_norm import WeightNormed
from tfgen.utils import checks


class _ResidualNetwork(WeightNormed):
    """Base of the encoder and the decoder: stages of residual blocks, a dense layer."""

    def __init__(self, filters, num_blocks, units, spectral_norm, weight_norm, **kwargs):
        super().__init__(weight_norm, **kwargs)
        self.spectral_norm = checks.check_bool(spectral_norm, "spectral_norm")
        if self.spectral_norm and self.weight_norm:
            raise ValueError("`weight_norm` must be False where `spectral_norm` is True")
        self.filters = checks.as_shape(filters, "filters")
        self.num_blocks = checks.check_count(num_blocks, "num_blocks")
        self.units = checks.check_count(units, "units")

    def _new(self, layer, *args, **kwargs):
        made = super()._new(layer, *args, **kwargs)
        return spectrally_normalised(made) if self.spectral_norm else made

    def _conv(self, filters, strides=1, init_scale=1.0):
        settings = {"padding": "same", "init_scale": init_scale}
        return self._new(keras.layers.Conv2D, filters, 3, strides, **settings)

    def _blocks(self, filters):
        """Residual blocks, each two convolutions; the second starts small."""
        return [
            [self._conv(filters), self._conv(filters, init_scale=0.1)]
            for _ in range(self.num_blocks)
        ]

    @staticmethod
    def _residual(x, blocks, training):
        for first, second in blocks:
            y = first(tf.nn.elu(x), training=training)
            x += second(tf.nn.elu(y), training=training)
        return x


@keras.saving.register_keras_serializable(package="tfgen")
class ResNetEncoder(_ResidualNetwork):
    """Residual encoder of images: stages that halve the sides, residual blocks, a dense layer.

    It has exponential linear units and weight normalisation, after Kingma et al. 2016, "Improving
    Variational Inference with Inverse Autoregressive Flow", arXiv:1606.04934, appendix C.1.

    Shapes: `[batch, height, width, channels]` -> `[batch, units]`.

    Args:
        filters: channels of each stage.
        num_blocks: residual blocks of a stage.
        units: size of the dense layer.
        spectral_norm: True for `keras.layers.SpectralNormalization` of every layer.
        weight_norm: True for `WeightNorm` of every layer.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: both normalisations.

    >>> import numpy as np, tfgen
    >>> encoder = tfgen.networks.ResNetEncoder(filters=(4, 8), units=16)
    >>> encoder(np.zeros((2, 28, 28, 1), "float32")).shape
    TensorShape([2, 16])
    """

    def __init__(
        self,
        filters=(16, 32, 32),
        num_blocks=1,
        units=450,
        spectral_norm=False,
        weight_norm=True,
        **kwargs,
    ):
        super().__init__(filters, num_blocks, units, spectral_norm, weight_norm, **kwargs)

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self.down, self.blocks = [], []
        for filters in self.filters:
            self.down.append(self._conv(filters, strides=2))
            self.down[-1].build((None, height, width, channels))
            height, width, channels = math.ceil(height / 2), math.ceil(width / 2), filters
            self.blocks.append(self._blocks(filters))
            for layer in sum(self.blocks[-1], []):
                layer.build((None, height, width, channels))
        self.dense = self._dense(self.units)
        self.dense.build((None, height * width * channels))

    def call(self, inputs, training=False):
        x = inputs
        for down, blocks in zip(self.down, self.blocks, strict=True):
            x = self._residual(down(x, training=training), blocks, training)
        x = tf.reshape(tf.nn.elu(x), [-1, math.prod(x.shape[1:])])
        return tf.nn.elu(self.dense(x, training=training))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)


@keras.saving.register_keras_serializable(package="tfgen")
class ResNetDecoder(_ResidualNetwork):
    """Residual decoder of latents to feature maps, the mirror of `ResNetEncoder`.

    Sides are doubled by convolutions whose channels go to places (`tf.nn.depth_to_space`), and cut
    where the encoder had rounded up.

    Shapes: `[batch, size]` -> `[batch, height, width, filters[-1]]`.

    Args:
        sides: height and width of the maps, those of the images.
        filters: channels of each stage.
        num_blocks: residual blocks of a stage.
        units: size of the dense layer.
        spectral_norm: True for `keras.layers.SpectralNormalization` of every layer.
        weight_norm: True for `WeightNorm` of every layer.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: both normalisations, or `sides` that are not two.

    >>> import numpy as np, tfgen
    >>> decoder = tfgen.networks.ResNetDecoder((28, 28), filters=(8, 4), units=16)
    >>> decoder(np.zeros((2, 3), "float32")).shape
    TensorShape([2, 28, 28, 4])
    """

    def __init__(
        self,
        sides,
        filters=(32, 32, 16),
        num_blocks=1,
        units=450,
        spectral_norm=False,
        weight_norm=True,
        **kwargs,
    ):
        super().__init__(filters, num_blocks, units, spectral_norm, weight_norm, **kwargs)
        self.sides = checks.as_shape(sides, "sides")
        if len(self.sides) != 2:
            raise ValueError(f"`sides` must be [height, width]; got {sides!r}")

    def build(self, input_shape):
        # Sides of each stage's result, and of what the first one gets.
        self._sizes = [self.sides]
        for _ in self.filters:
            height, width = self._sizes[0]
            self._sizes.insert(0, (math.ceil(height / 2), math.ceil(width / 2)))
        (height, width), channels = self._sizes[0], self.filters[0]
        self.dense = [self._dense(self.units), self._dense(height * width * channels)]
        self.dense[0].build(input_shape)
        self.dense[1].build((None, self.units))
        self.up, self.blocks = [], []
        for filters, before in zip(self.filters, self._sizes[:-1], strict=True):
            self.blocks.append(self._blocks(channels))
            for layer in sum(self.blocks[-1], []):
                layer.build((None, *before, channels))
            self.up.append(self._conv(4 * filters))
            self.up[-1].build((None, *before, channels))
            channels = filters

    def call(self, inputs, training=False):
        x = inputs
        for dense in self.dense:
            x = tf.nn.elu(dense(x, training=training))
        x = tf.reshape(x, [-1, *self._sizes[0], self.filters[0]])
        for blocks, up, (height, width) in zip(self.blocks, self.up, self._sizes[1:], strict=True):
            x = tf.nn.elu(self._residual(x, blocks, training))
            x = up(x, training=training)
            x = tf.nn.depth_to_space(x, 2)[:, :height, :width]
        return tf.nn.elu(x)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.sides, self.filters[-1])

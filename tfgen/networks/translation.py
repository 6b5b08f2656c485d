"""Networks from images to images, and critics of their patches."""

import keras
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.part import Configured


class _ImageNetwork(Configured):
    """Base of networks of convolutions with instance normalisation."""

    def _conv(self, shape, filters, size, strides=1, normed=True, up=False, padding="same"):
        """A convolution, built here, and its normalisation or None; its output's shape is added to
        the end."""
        layer = keras.layers.Conv2DTranspose if up else keras.layers.Conv2D
        start = keras.initializers.RandomNormal(stddev=0.02)
        conv = layer(
            filters,
            size,
            strides,
            padding=padding,
            kernel_initializer=start,
            # A bias would be taken off again.
            use_bias=not normed,
            dtype=self.dtype_policy,
        )
        conv.build(shape)
        shape, norm = conv.compute_output_shape(shape), None
        if normed:
            # A group for each channel: instance normalisation.
            norm = keras.layers.GroupNormalization(-1, epsilon=1e-5, dtype=self.dtype_policy)
            norm.build(shape)
        return (conv, norm), shape

    @staticmethod
    def _apply(pair, x):
        conv, norm = pair
        x = conv(x)
        return x if norm is None else norm(x)


def _reflected(x, size):
    return tf.pad(x, [[0, 0], [size, size], [size, size], [0, 0]], "REFLECT")


@keras.saving.register_keras_serializable(package="tfgen")
class ResNetTranslator(_ImageNetwork):
    """Generator of images from images: sides are halved, residual blocks, and sides are doubled.

    After Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer", arXiv:1603.08155,
    as in Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", arXiv:1703.10593, appendix 7.2, with instance normalisation and reflected edges.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, num_channels]`.

    Args:
        num_channels: channels of the images that it gives.
        filters: channels of the first convolution.
        num_blocks: number of residual blocks; None for the paper's, 6, or 9 of images with sides
            of 256 and more.
        num_halvings: how often sides are halved.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: on `build`, images whose sides cannot be halved so often, or are too small.

    >>> import numpy as np, tfgen
    >>> network = tfgen.networks.ResNetTranslator(3, filters=4, num_blocks=1)
    >>> network(np.zeros((2, 28, 28, 1), "float32")).shape
    TensorShape([2, 28, 28, 3])
    """

    def __init__(self, num_channels, filters=64, num_blocks=None, num_halvings=2, **kwargs):
        super().__init__(**kwargs)
        self.num_channels = checks.check_count(num_channels, "num_channels")
        self.filters = checks.check_count(filters, "filters")
        if num_blocks is not None:
            num_blocks = checks.check_count(num_blocks, "num_blocks")
        self.num_blocks = num_blocks
        self.num_halvings = checks.check_int(num_halvings, "num_halvings", 0, 8)

    def build(self, input_shape):
        sides, step = tuple(input_shape[1:3]), 2**self.num_halvings
        least = max(4, 2 * step)
        if min(sides) < least or any(side % step for side in sides):
            raise ValueError(
                f"a ResNetTranslator with num_halvings={self.num_halvings} takes images with sides "
                f"of {least} at least that {step} divides; got {list(sides)}: pad or resize the "
                "images, or halve them less often"
            )
        filters = self.filters
        padded = (None, sides[0] + 6, sides[1] + 6, input_shape[-1])
        self.first, shape = self._conv(padded, filters, 7, padding="valid")
        self.down, self.up, self.blocks = [], [], []
        for _ in range(self.num_halvings):
            filters *= 2
            pair, shape = self._conv(shape, filters, 3, 2)
            self.down.append(pair)
        for _ in range(self.num_blocks or (9 if min(sides) >= 256 else 6)):
            padded = (None, shape[1] + 2, shape[2] + 2, filters)
            pairs = [self._conv(padded, filters, 3, padding="valid")[0] for _ in range(2)]
            self.blocks.append(pairs)
        for _ in range(self.num_halvings):
            filters //= 2
            pair, shape = self._conv(shape, filters, 3, 2, up=True)
            self.up.append(pair)
        padded = (None, sides[0] + 6, sides[1] + 6, filters)
        self.last, _ = self._conv(padded, self.num_channels, 7, normed=False, padding="valid")

    def call(self, inputs):
        x = tf.nn.relu(self._apply(self.first, _reflected(inputs, 3)))
        for pair in self.down:
            x = tf.nn.relu(self._apply(pair, x))
        for first, second in self.blocks:
            y = tf.nn.relu(self._apply(first, _reflected(x, 1)))
            x += self._apply(second, _reflected(y, 1))
        for pair in self.up:
            x = tf.nn.relu(self._apply(pair, x))
        return self._apply(self.last, _reflected(x, 3))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_channels)


@keras.saving.register_keras_serializable(package="tfgen")
class PatchCritic(_ImageNetwork):
    """Critic of images that scores patches, each by itself ("PatchGAN").

    After Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
    arXiv:1611.07004, appendix 6.1.2: of three halvings it sees patches of 70 pixels.

    Shapes: `[batch, height, width, channels]` -> `[batch, rows, columns]`.

    Args:
        filters: channels of the first convolution.
        num_halvings: how often sides are halved; None for three, or for as many as leave four
            pixels of a side.
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.PatchCritic(filters=4)(np.zeros((2, 64, 64, 3), "float32")).shape
    TensorShape([2, 8, 8])
    """

    def __init__(self, filters=64, num_halvings=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = checks.check_count(filters, "filters")
        if num_halvings is not None:
            num_halvings = checks.check_int(num_halvings, "num_halvings", 0, 8)
        self.num_halvings = num_halvings

    def build(self, input_shape):
        halvings, side = self.num_halvings, min(input_shape[1:3])
        if halvings is None:
            halvings = next((n for n in (3, 2, 1) if side >= 4 * 2**n), 0)
        shape, filters, self.convs = tuple(input_shape), self.filters, []
        for i in range(halvings):
            pair, shape = self._conv(shape, filters, 4, 2, normed=i > 0)
            self.convs.append(pair)
            filters = min(2 * filters, 8 * self.filters)
        pair, shape = self._conv(shape, filters, 4, normed=halvings > 0)
        self.convs.append(pair)
        self.last, _ = self._conv(shape, 1, 4, normed=False)

    def call(self, inputs):
        x = inputs
        for pair in self.convs:
            x = tf.nn.leaky_relu(self._apply(pair, x))
        return self._apply(self.last, x)[..., 0]

    def compute_output_shape(self, input_shape):
        sides = input_shape[1:3]
        for conv, _ in self.convs:
            sides = [-(-side // stride) for side, stride in zip(sides, conv.strides, strict=True)]
        return (input_shape[0], *sides)

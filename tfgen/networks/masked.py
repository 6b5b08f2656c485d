"""Causal convolutions over images in raster order, whole or one diagonal at a time."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.networks.weight_norm import WeightNormed
from tfgen.utils import checks
from tfgen.utils.part import Configured


@keras.saving.register_keras_serializable(package="tfgen")
class MaskedConv2D(Configured, keras.layers.Conv2D):
    """Convolution that sees no position after its own in raster order.

    From van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759, section 3.4.

    Args:
        filters: number of output channels.
        kernel_size: odd side of the kernel.
        mask: `"A"` to see only the positions before its own, `"B"` to see that itself, too.
        **kwargs: `keras.layers.Conv2D` arguments.

    Raises:
        ValueError: another `mask`, or an even `kernel_size`.

    >>> import numpy as np, tfgen
    >>> layer = tfgen.networks.MaskedConv2D(1, 3, "A", kernel_initializer="ones")
    >>> layer(np.ones((1, 3, 3, 1), "float32"))[0, :, :, 0].numpy().tolist()
    [[0.0, 1.0, 1.0], [2.0, 4.0, 3.0], [2.0, 4.0, 3.0]]
    """

    def __init__(self, filters, kernel_size=3, mask="B", **kwargs):
        fixed = {"padding": "same", "strides": 1, "data_format": "channels_last", "groups": 1}
        checks.pop_fixed(kwargs, fixed, "a masked convolution")
        super().__init__(
            filters, kernel_size, padding="same", data_format="channels_last", **kwargs
        )
        if mask not in ("A", "B"):
            raise ValueError(f'`mask` must be "A" or "B"; got {mask!r}')
        if len(set(self.kernel_size)) > 1 or not self.kernel_size[0] % 2:
            raise ValueError(f"`kernel_size` must be one odd number; got {kernel_size!r}")
        self.mask = mask

    def build(self, input_shape):
        super().build(input_shape)
        mask = np.zeros((*self.kernel_size, 1, 1), "float32")
        middle = self.kernel_size[0] // 2
        mask[:middle] = 1
        mask[middle, : middle + (self.mask == "B")] = 1
        self._mask = mask
        # Zero from the start, and so for ever: they take no part in norms of the kernel.
        self.kernel.assign(self.kernel * mask)

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel * tf.cast(self._mask, kernel.dtype))


@keras.saving.register_keras_serializable(package="tfgen")
class PixelCNNStack(WeightNormed):
    """Network of a PixelCNN: features of each position from the pixels before it.

    It has residual blocks of masked convolutions, between them residual blocks of 1x1 convolutions,
    and exponential linear units (Chen et al. 2017, "Variational Lossy Autoencoder",
    arXiv:1611.02731, appendix A). With `num_layers` convolutions of
    3x3, a position sees those at offsets `(-r, c)` with `0 <= r <= num_layers` and
    `-num_layers <= c <= r` that come before it in raster order.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`. The context,
    `[batch, height, width, any]`, is seen whole.

    Attributes:
        reach: rows above, and columns to each side, that a position sees at most.

    Args:
        filters: number of channels.
        num_layers: number of masked convolutions.
        kernel_size: odd side of their kernels, at least 3.
        num_mixers: number of 1x1 blocks: one after the first masked convolution and every other one
            after that, those left over after the last.
        tied: True for masked convolutions after the first that share their weights.
        weight_norm: True for `WeightNorm` of every layer.
        deep_context: True for a context that is added after every masked convolution, and not
            after the first alone.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: an even `kernel_size`, or one of 1; another number that is out of its range.

    >>> import numpy as np, tfgen
    >>> stack = tfgen.networks.PixelCNNStack(filters=8)
    >>> stack(np.zeros((2, 5, 7, 1), "float32")).shape
    TensorShape([2, 5, 7, 8])
    """

    def __init__(
        self,
        filters=12,
        num_layers=6,
        kernel_size=3,
        num_mixers=4,
        tied=False,
        weight_norm=True,
        deep_context=False,
        **kwargs,
    ):
        super().__init__(weight_norm, **kwargs)
        self.filters = checks.check_count(filters, "filters")
        self.num_layers = checks.check_count(num_layers, "num_layers")
        self.kernel_size = checks.check_count(kernel_size, "kernel_size")
        self.deep_context = checks.check_bool(deep_context, "deep_context")
        if self.kernel_size == 1:
            raise ValueError("`kernel_size` must be 3, 5, ...; got 1")
        self.reach = self.num_layers * (self.kernel_size // 2)
        self.num_mixers = checks.check_int(num_mixers, "num_mixers", 0, 1000)
        self.tied = checks.check_bool(tied, "tied")
        others = self.num_layers - 1
        self.masked = [self._masked("A")]
        self.masked += [self._masked("B") for _ in range(min(others, 1) if tied else others)]
        self.mixers = [
            [self._dense(self.filters), self._dense(self.filters)] for _ in range(self.num_mixers)
        ]

    def _masked(self, mask):
        return self._new(MaskedConv2D, self.filters, self.kernel_size, mask)

    def build(self, inputs_shape, context_shape=None):
        shape = self.compute_output_shape(inputs_shape)
        self.masked[0].build(inputs_shape)
        for layer in (*self.masked[1:], *(part for pair in self.mixers for part in pair)):
            layer.build(shape)
        self.context_layer = None
        if context_shape is not None:
            size, filters = self.kernel_size, self.filters
            filters *= self.num_layers if self.deep_context else 1
            self.context_layer = self._new(keras.layers.Conv2D, filters, size, padding="same")
            self.context_layer.build(context_shape)

    def call(self, inputs, context=None):
        return self._run(inputs, self.read_context(context), lambda i, x: self._layer(i)(x))

    def read_context(self, context):
        """Addition of the context to each position, or None.

        Args:
            context: `[batch, height, width, any]`, or None.

        Returns:
            `[batch, height, width, filters]`, with `deep_context` `num_layers` times as many, or
            None.

        >>> import numpy as np, tfgen
        >>> stack = tfgen.networks.PixelCNNStack(filters=8, num_layers=2, num_mixers=0)
        >>> stack.build((None, 5, 7, 1), (None, 5, 7, 3))
        >>> stack.read_context(np.zeros((2, 5, 7, 3), "float32")).shape
        TensorShape([2, 5, 7, 8])
        """
        return None if context is None else self.context_layer(context)

    def _layer(self, i):
        return self.masked[min(i, len(self.masked) - 1)]

    def _run(self, x, context, convolve):
        """Network over any positions.

        `convolve(i, x)` is masked convolution `i`; all else acts on each position by itself.
        """
        added = [] if context is None else tf.split(context, context.shape[-1] // self.filters, -1)
        x = convolve(0, x)
        if added:
            x += added[0]
        left = list(self.mixers)
        for i in range(self.num_layers):
            if i:
                x += convolve(i, tf.nn.elu(x))
                if len(added) > 1:
                    x += added[i]
            last = i == self.num_layers - 1
            for _ in range(len(left) if last else min(len(left), 1 - i % 2)):
                first, second = left.pop(0)
                x += second(tf.nn.elu(first(tf.nn.elu(x))))
        return tf.nn.elu(x)

    def compute_output_shape(self, inputs_shape, context_shape=None):
        return (*inputs_shape[:-1], self.filters)

"""Gated network of a PixelCNN: two stacks without a blind spot."""

import keras
import tensorflow as tf

from tfgen.networks.weight_norm import WeightNormed
from tfgen.utils import checks
from tfgen.utils.part import Configured


@keras.saving.register_keras_serializable(package="tfgen")
class CausalConv2D(Configured, keras.layers.Conv2D):
    """Convolution whose kernel ends at a position, or just before it.

    Args:
        filters: number of output channels.
        kernel_size: `(rows, columns)`.
        axis: 1 to see whole rows, up to the position's own, or 2 to see the columns of its row, up
            to its own.
        strict: True for a kernel that ends before the row, or the column, of the position.
        **kwargs: `keras.layers.Conv2D` arguments.

    Raises:
        ValueError: another `axis`, or an argument of `Conv2D` that would undo what it sees.

    >>> import numpy as np, tfgen
    >>> layer = tfgen.networks.CausalConv2D(1, (1, 2), axis=2, kernel_initializer="ones")
    >>> layer(np.ones((1, 1, 4, 1), "float32"))[0, 0, :, 0].numpy().tolist()
    [0.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, filters, kernel_size, axis, strict=True, **kwargs):
        fixed = {"padding": "valid", "strides": 1, "data_format": "channels_last", "groups": 1}
        checks.pop_fixed(kwargs, {**fixed, "dilation_rate": 1}, "a causal convolution")
        super().__init__(filters, kernel_size, data_format="channels_last", **kwargs)
        if axis not in (1, 2):
            raise ValueError(f"`axis` must be 1 or 2; got {axis!r}")
        self.axis = axis
        self.strict = checks.check_bool(strict, "strict")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def convolution_op(self, inputs, kernel):
        # Zeros in the place of what is not there; a strict one is moved by one.
        pads = [[0, 0], [0, 0], [0, 0], [0, 0]]
        pads[self.axis] = [self.kernel_size[self.axis - 1] - 1 + self.strict, 0]
        if self.axis == 1:
            columns = self.kernel_size[1]
            pads[2] = [(columns - 1) // 2, columns // 2]
        if self.strict:
            inputs = inputs[:, :-1] if self.axis == 1 else inputs[:, :, :-1]
        return super().convolution_op(tf.pad(inputs, pads), kernel)


@keras.saving.register_keras_serializable(package="tfgen")
class GatedPixelCNNStack(WeightNormed):
    """Network of the gated PixelCNN: a vertical and a horizontal stack.

    From van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders",
    arXiv:1606.05328, section 2.1 to 2.3: the vertical stack sees the rows above, the horizontal
    one the row so far and the vertical one, through gates `tanh(a) * sigmoid(b)`.
    With `num_layers` convolutions of side `2 r + 1`, a position sees every pixel before it in
    raster order that is at most `num_layers * r` rows and columns away, without a blind spot.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`. The context,
    `[batch, height, width, any]`, is seen whole.

    Attributes:
        reach: rows above, and columns to each side, that a position sees at most.

    Args:
        filters: number of channels.
        num_layers: layers, each of a vertical and a horizontal convolution.
        kernel_size: odd side of the kernels, at least 3.
        weight_norm: True for `WeightNorm` of every layer.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: an even `kernel_size`.

    >>> import numpy as np, tfgen
    >>> stack = tfgen.networks.GatedPixelCNNStack(filters=8, num_layers=2)
    >>> stack(np.zeros((2, 5, 7, 1), "float32")).shape
    TensorShape([2, 5, 7, 8])
    """

    def __init__(self, filters=12, num_layers=6, kernel_size=3, weight_norm=True, **kwargs):
        super().__init__(weight_norm, **kwargs)
        self.filters = checks.check_count(filters, "filters")
        self.num_layers = checks.check_count(num_layers, "num_layers")
        self.kernel_size = checks.check_count(kernel_size, "kernel_size")
        if self.kernel_size < 3 or not self.kernel_size % 2:
            raise ValueError(f"`kernel_size` must be 3, 5, ...; got {kernel_size!r}")
        self.reach = self.num_layers * (self.kernel_size // 2)
        self.layers = [self._layer(first=not i) for i in range(self.num_layers)]

    def _layer(self, first):
        gates = 2 * self.filters
        # The first ones do not see the row, or the pixel, itself.
        sees = self.kernel_size // 2 + (not first)
        return {
            "vertical": self._conv(gates, (sees, self.kernel_size), axis=1, strict=first),
            "horizontal": self._conv(gates, (1, sees), axis=2, strict=first),
            "across": self._dense(gates),
            "out": self._dense(self.filters),
        }

    def _conv(self, filters, kernel_size, axis, strict):
        return self._new(CausalConv2D, filters, kernel_size, axis, strict)

    def build(self, inputs_shape, context_shape=None):
        inputs = inputs_shape
        features = self.compute_output_shape(inputs_shape)
        for layer in self.layers:
            layer["vertical"].build(inputs)
            layer["horizontal"].build(inputs)
            layer["across"].build((*features[:-1], 2 * self.filters))
            layer["out"].build(features)
            inputs = features
        self.context_layers = []
        if context_shape is not None:
            for _ in self.layers:
                self.context_layers.append(self._dense(4 * self.filters))
                self.context_layers[-1].build(context_shape)

    def call(self, inputs, context=None):
        vertical, horizontal = inputs, inputs
        for i, layer in enumerate(self.layers):
            above = layer["vertical"](vertical)
            before = layer["horizontal"](horizontal) + layer["across"](above)
            if context is not None:
                for_above, for_before = tf.split(self.context_layers[i](context), 2, -1)
                above, before = above + for_above, before + for_before
            vertical, out = _gated(above), layer["out"](_gated(before))
            horizontal = horizontal + out if i else out
        return tf.nn.elu(horizontal)

    def compute_output_shape(self, inputs_shape, context_shape=None):
        return (*inputs_shape[:-1], self.filters)


def _gated(x):
    value, gate = tf.split(x, 2, -1)
    return tf.tanh(value) * tf.sigmoid(gate)

"""Network of a PixelRNN, and its draws row by row."""

import keras
import tensorflow as tf

from tfgen.networks.masked import MaskedConv2D
from tfgen.networks.pixel_lstm import DiagonalBiLSTM
from tfgen.networks.pixel_lstm import RowLSTM
from tfgen.utils import checks
from tfgen.utils.part import Configured

KINDS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


@keras.saving.register_keras_serializable(package="tfgen")
class PixelRNNStack(Configured, keras.layers.Layer):
    """Network of a PixelRNN: features of each position from the pixels before it.

    From van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759, sections 3
    and 5.1, Table 1: a masked convolution, LSTMs with residual links around them, and 1x1
    convolutions.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, 2 filters]`. The context,
    `[batch, height, width, any]`, is seen at its own position by the gates of every LSTM.

    Args:
        kind: `"diagonal"` (`DiagonalBiLSTM`, which sees all pixels before, but for the last one of
            the row above where that is further than the first convolution) or `"row"` (`RowLSTM`,
            which sees a triangle above).
        filters: units of the LSTMs; between them there are twice as many.
        num_layers: number of LSTMs.
        kernel_size: odd side of the first convolution, at least 3.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `kind`; an even `kernel_size`, or one of 1.

    >>> import numpy as np, tfgen
    >>> stack = tfgen.networks.PixelRNNStack("row", filters=4, num_layers=2)
    >>> stack(np.zeros((2, 5, 7, 1), "float32")).shape
    TensorShape([2, 5, 7, 8])
    """

    def __init__(self, kind="diagonal", filters=16, num_layers=7, kernel_size=7, **kwargs):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {list(KINDS)}; got {kind!r}")
        self.kind = kind
        self.filters = checks.check_count(filters, "filters")
        self.num_layers = checks.check_count(num_layers, "num_layers")
        self.kernel_size = checks.check_count(kernel_size, "kernel_size")
        if self.kernel_size < 3 or not self.kernel_size % 2:
            raise ValueError(f"`kernel_size` must be 3, 5, ...; got {kernel_size!r}")
        policy = {"dtype": self.dtype_policy}
        self.first = MaskedConv2D(2 * self.filters, self.kernel_size, "A", **policy)
        self.lstms = [KINDS[kind](self.filters, **policy) for _ in range(self.num_layers)]
        self.outs = [keras.layers.Dense(2 * self.filters, **policy) for _ in self.lstms]
        self.mixers = [keras.layers.Dense(2 * self.filters, **policy) for _ in range(2)]

    def build(self, inputs_shape, context_shape=None):
        self.first.build(inputs_shape)
        shape = self.compute_output_shape(inputs_shape)
        for layer in (*self.lstms, *self.mixers):
            layer.build(shape)
        for layer in self.outs:
            layer.build((*shape[:-1], self.filters))
        self.context_layer = None
        if context_shape is not None:
            size = sum(lstm.num_gates for lstm in self.lstms)
            self.context_layer = keras.layers.Dense(size, dtype=self.dtype_policy)
            self.context_layer.build(context_shape)

    def call(self, inputs, context=None):
        if context is not None:
            context = tf.transpose(self.read_context(context), [1, 2, 0, 3])
        # Positions first, as the loops over them have it.
        x = tf.transpose(self.first(inputs), [1, 2, 0, 3])
        for lstm, out, more in zip(self.lstms, self.outs, self._added(context), strict=True):
            x += out(lstm._scan(x, more))
        return tf.transpose(self._mixed(x), [2, 0, 1, 3])

    def read_context(self, context):
        """Addition of the context to the gates of each position, or None.

        Args:
            context: `[batch, height, width, any]`, or None.

        Returns:
            `[batch, height, width, any]`, or None.

        >>> import numpy as np, tfgen
        >>> stack = tfgen.networks.PixelRNNStack("row", filters=4, num_layers=2)
        >>> stack.build((None, 5, 7, 1), (None, 5, 7, 3))
        >>> stack.read_context(np.zeros((2, 5, 7, 3), "float32")).shape
        TensorShape([2, 5, 7, 32])
        """
        return None if context is None else self.context_layer(context)

    def _added(self, context):
        """The part of the context that each LSTM reads."""
        return (
            [None] * self.num_layers if context is None else tf.split(context, self.num_layers, -1)
        )

    def _mixed(self, x):
        """Features of the last LSTM's."""
        for layer in self.mixers:
            x = layer(tf.nn.relu(x))
        return tf.nn.relu(x)

    def compute_output_shape(self, inputs_shape, context_shape=None):
        return (*inputs_shape[:-1], 2 * self.filters)


class Raster:
    """Runner of a `PixelRNNStack` over the pixels of an image one by one.

    It has the methods of `Wavefront`, with waves of one pixel. What all columns of a row take of
    the row above is computed at once, and what a row leaves, too.

    Args:
        stack: built `PixelRNNStack`.
        height: height of the images.
        width: width of the images.
    """

    def __init__(self, stack, height, width):
        self.stack, self.height, self.width = stack, height, width

    def skew(self, image):
        """`[batch, height, width, ...]` -> `[height * width, batch, 1, ...]`."""
        size, rest = self.height * self.width, image.shape[3:]
        flat = tf.reshape(image, tf.concat([tf.shape(image)[:1], [size, 1], rest], 0))
        return tf.transpose(flat, [1, 0, *range(2, flat.shape.rank)])

    def run(self, batch, channels, context, draw, dtype):
        """Draws images, one pixel after the other. Arguments and result as of `Wavefront.run`."""
        stack, width = self.stack, self.width
        reach, real = stack.kernel_size // 2, stack.compute_dtype
        added = None if context is None else tf.transpose(context, [1, 2, 0, 3])
        weights = stack.first.kernel, stack.first.bias
        kernel, bias = (tf.cast(tf.convert_to_tensor(w), real) for w in weights)
        beside = tf.reshape(kernel[reach, :reach], [reach * channels, -1])

        def row(i, seen, left, drawn):
            above = tf.transpose(tf.nn.conv2d(seen, kernel[:reach], 1, "VALID")[:, 0], [1, 0, 2])
            parts = [lstm._above(part) for lstm, part in zip(stack.lstms, left, strict=True)]
            here = stack._added(None if added is None else added[i])
            kept = [lstm._carried(batch) for lstm in stack.lstms]
            records = [
                tuple(tf.TensorArray(real, width, element_shape=[None, n]) for n in sizes)
                for sizes in (lstm._record_sizes for lstm in stack.lstms)
            ]
            inputs = tf.TensorArray(real, width, element_shape=[None, channels])

            def column(j, before, kept, records, inputs, drawn):
                x = above[j] + bias + tf.matmul(tf.reshape(before, [-1, reach * channels]), beside)
                carried, written = [], []
                for n, (lstm, out) in enumerate(zip(stack.lstms, stack.outs, strict=True)):
                    more = None if here[n] is None else here[n][j]
                    output, carry, record = lstm._step(x, kept[n], [p[j] for p in parts[n]], more)
                    carried.append(carry)
                    written.append(record)
                    x += out(output)
                pixels, new = draw(i * width + j, stack._mixed(x)[:, None])
                new = tf.cast(new, real)
                before = tf.concat([before[:, 1:], new], 1)
                records = tf.nest.map_structure(lambda a, v: a.write(j, v), records, written)
                drawn = drawn.write(i * width + j, pixels[:, 0])
                return j + 1, before, carried, records, inputs.write(j, new[:, 0]), drawn

            start = tf.zeros([batch, reach, channels], real)
            start = (tf.constant(0), start, kept, records, inputs, drawn)
            _, _, _, records, inputs, drawn = tf.while_loop(
                lambda j, *_: j < width, column, start, maximum_iterations=width
            )
            records = [
                tuple(tf.ensure_shape(v.stack(), [width, None, None]) for v in record)
                for record in records
            ]
            ends = zip(stack.lstms, left, records, here, strict=True)
            left = [lstm._below(*arguments) for lstm, *arguments in ends]
            new = tf.ensure_shape(inputs.stack(), [width, None, channels])
            new = tf.transpose(new, [1, 0, 2])[:, None]
            new = tf.pad(new, [[0, 0], [0, 0], [reach, reach], [0, 0]])
            return i + 1, tf.concat([seen[:, 1:], new], 1), left, drawn

        size = self.height * width
        drawn = tf.TensorArray(dtype, size, element_shape=[None, channels])
        seen = tf.zeros([batch, reach, width + 2 * reach, channels], real)
        left = [lstm._before(width, batch) for lstm in stack.lstms]
        start = (tf.constant(0), seen, left, drawn)
        *_, drawn = tf.while_loop(
            lambda i, *_: i < self.height, row, start, maximum_iterations=self.height
        )
        pixels = tf.transpose(tf.ensure_shape(drawn.stack(), [size, None, channels]), [1, 0, 2])
        return tf.reshape(pixels, [-1, self.height, width, channels])

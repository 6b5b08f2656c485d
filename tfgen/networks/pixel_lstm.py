"""LSTMs over images: each position from the rows above it, and its own row so far."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.networks.gated import CausalConv2D
from tfgen.utils import checks
from tfgen.utils.part import Configured
from tfgen.utils.run_through import run_through


class PixelLSTM(Configured, keras.layers.Layer):
    """LSTM over the positions of an image.

    A pass goes through the image in one loop (`_scan`). A draw goes row by row and, in a row, from
    left to right: a subclass says what a row takes of the one above (`_above`), what happens at a
    position (`_step`), and what it leaves for the next row (`_below`). Positions come first in
    all of these: `[height, width, batch, ...]`, and `[width, batch, ...]` in a row.

    Args:
        filters: units at each position.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`.
    """

    # A subclass has `read`, the layer from inputs to gates.
    num_directions = 1

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = checks.check_count(filters, "filters")
        self.num_gates = 4 * self.filters * self.num_directions

    def build(self, inputs_shape, added_shape=None):
        self.channels = inputs_shape[-1]
        self.read.build(inputs_shape)

    def call(self, inputs, added=None):
        """Outputs for a whole image.

        Args:
            inputs: `[batch, height, width, channels]`.
            added: `[batch, height, width, num_gates]`, for the gates, or None.
        """
        given = (tf.transpose(v, [1, 2, 0, 3]) for v in (inputs, added) if v is not None)
        return tf.transpose(self._scan(*given), [2, 0, 1, 3])

    def compute_output_shape(self, inputs_shape, added_shape=None):
        return (*inputs_shape[:-1], self.filters)

    def _zeros(self, *shape):
        return tf.zeros([*shape, self.filters], self.compute_dtype)

    def _weight(self, weight):
        return tf.cast(tf.convert_to_tensor(weight), self.compute_dtype)


def cell(gates, memory):
    """Output and memory of an LSTM, given its gates and the memory before."""
    size = memory.shape[-1]
    opened, value = tf.split(gates, [3 * size, size], -1)
    write, keep, show = tf.split(tf.sigmoid(opened), 3, -1)
    memory = keep * memory + write * tf.tanh(value)
    return show * tf.tanh(memory), memory


@keras.saving.register_keras_serializable(package="tfgen")
class RowLSTM(PixelLSTM):
    """LSTM that goes through an image row by row, all positions of a row at once.

    From van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759, section 3.1
    and eq. 3. A position sees of the layer below itself and what is to the left of it
    in its row, and of this layer a triangle above it.

    Args:
        filters: units at each position.
        kernel_size: odd width of the convolutions along a row.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`.

    Raises:
        ValueError: an even `kernel_size`.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.RowLSTM(8)(np.zeros((2, 5, 7, 1), "float32")).shape
    TensorShape([2, 5, 7, 8])
    """

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(filters, **kwargs)
        self.kernel_size = checks.check_count(kernel_size, "kernel_size")
        if not self.kernel_size % 2:
            raise ValueError(f"`kernel_size` must be an odd number; got {kernel_size!r}")
        seen = (1, self.kernel_size // 2 + 1)
        self.read = CausalConv2D(
            self.num_gates, seen, axis=2, strict=False, dtype=self.dtype_policy
        )

    def build(self, inputs_shape, added_shape=None):
        super().build(inputs_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=(self.kernel_size * self.filters, 4 * self.filters)
        )

    def _scan(self, inputs, added=None):
        width, batch, reach = inputs.shape[1], tf.shape(inputs)[2], self.kernel_size // 2

        def step(state, inputs, weights):
            (output, memory), (x, *added), (kernel, bias) = state, inputs, weights
            seen = tf.concat([*_taps(x, reach, 0), *_taps(output, reach, reach)], -1)
            gates = _product(seen, kernel) + bias
            output, memory = cell(gates + added[0] if added else gates, memory)
            return (output, memory), output

        kernel, bias = self._read_weights()
        weights = tf.concat([kernel, self._weight(self.kernel)], 0), bias
        inputs = (inputs,) if added is None else (inputs, added)
        shape = [width, None, self.filters]
        return run_through(step, inputs, (self._zeros(width, batch),) * 2, shape, weights)

    def _read_weights(self):
        """Kernel of a position's inputs and those to its left, `[n, gates]`, and bias."""
        kernel = self._weight(self.read.kernel)
        return tf.reshape(kernel, [-1, self.num_gates]), self._weight(self.read.bias)

    def _across(self, row, kernel):
        """The part of a row's gates that is of the outputs above, both `[width, batch, ...]`."""
        reach = self.kernel_size // 2
        return _product(tf.concat(_taps(row, reach, reach), -1), kernel)

    # --- draws ----------------------------------------------------------------

    def _before(self, width, batch):
        """Outputs and memory that a row above the image would leave."""
        return (self._zeros(width, batch),) * 2

    def _above(self, left):
        """Parts of the columns that a row takes of the one above."""
        outputs, memory = left
        return self._across(outputs, self._weight(self.kernel)), memory

    def _carried(self, batch):
        """The inputs before the first position of a row, which are carried to it."""
        return tf.zeros([batch, self.kernel_size // 2, self.channels], self.compute_dtype)

    def _step(self, x, carried, above, added):
        """Output of a position, what it carries on, and what is recorded of it."""
        seen = tf.concat([carried, x[:, None]], 1)
        kernel, bias = self._read_weights()
        gates = tf.matmul(tf.reshape(seen, [-1, kernel.shape[0]]), kernel) + bias
        gates += above[0] if added is None else above[0] + added
        output, memory = cell(gates, above[1])
        return output, seen[:, 1:], (output, memory)

    @property
    def _record_sizes(self):
        """Sizes of what `_step` records: outputs and memory."""
        return self.filters, self.filters

    def _below(self, left, recorded, added):
        """The state that a row leaves for the next one."""
        return recorded


@keras.saving.register_keras_serializable(package="tfgen")
class DiagonalBiLSTM(PixelLSTM):
    """LSTMs that go through an image along its diagonals, from both upper corners.

    From van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759, section 3.2.
    The one from the left sees all that is above a position and to the left of it. The one from the
    right sees all above and to the right; it is moved down by a row, so that together they see what
    comes before in raster order, all of it.

    Args:
        filters: units at each position, of each of the two, whose outputs are added.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.DiagonalBiLSTM(8)(np.zeros((2, 5, 7, 1), "float32")).shape
    TensorShape([2, 5, 7, 8])
    """

    num_directions = 2

    def __init__(self, filters, **kwargs):
        super().__init__(filters, **kwargs)
        self.read = keras.layers.Dense(self.num_gates, dtype=self.dtype_policy)

    def build(self, inputs_shape, added_shape=None):
        super().build(inputs_shape)
        # Of the position beside, then of that above.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(2, 2 * self.filters, 4 * self.filters),
            initializer=keras.initializers.VarianceScaling(1 / 2, "fan_out", "uniform"),
        )

    def _scan(self, inputs, added=None):
        added = (None, None) if added is None else tf.split(added, 2, -1)
        left, right = (self._scan_from(n, inputs, more) for n, more in enumerate(added))
        return left + right

    def _scan_from(self, direction, inputs, added):
        """Outputs of the LSTM from the left (0) or from the right (1), which is a row below."""
        (height, width), batch = inputs.shape[:2], tf.shape(inputs)[2]
        kernel, bias = self._read_weights(direction)
        there, back = _diagonals(height, width, direction)
        inside = tf.constant(there < height * width, inputs.dtype)[..., None, None]

        def diagonals(image):
            image = tf.reshape(image, [height * width, -1, image.shape[-1]])
            return tf.reshape(_moved(image, there, back), [*there.shape, -1, image.shape[-1]])

        def step(state, inputs, weights):
            (output, memory), (inside, x, *added), (kernel, bias) = state, inputs, weights
            above, _ = tf.split(output, [height - 1, 1])
            above = tf.concat([tf.zeros_like(output[:1]), above], 0)
            # Outside of the image gates are zero, which leaves zero outputs at zero.
            gates = _product(tf.concat([x, output, above], -1), kernel) + inside * bias
            output, memory = cell(gates + added[0] if added else gates, memory)
            return (output, memory), output

        weights = tf.concat([kernel, self._weight(self.kernel)[direction]], 0), bias
        given = [inside, *(diagonals(v) for v in (inputs, added) if v is not None)]
        shape = [height, None, self.filters]
        outputs = run_through(step, given, (self._zeros(height, batch),) * 2, shape, weights)
        there, back = _diagonals(height, width, direction, down=direction)
        outputs = tf.reshape(outputs, [there.size, -1, self.filters])
        return tf.reshape(_moved(outputs, back, there), [height, width, -1, self.filters])

    def _kernels(self, direction):
        """Kernels of the position beside and of that above."""
        return tf.split(self._weight(self.kernel)[direction], 2)

    def _read_weights(self, direction):
        weights = (self._weight(w) for w in (self.read.kernel, self.read.bias))
        return [tf.split(w, 2, -1)[direction] for w in weights]

    def _read_one(self, x, direction):
        kernel, bias = self._read_weights(direction)
        return tf.tensordot(x, kernel, 1) + bias

    # --- draws ----------------------------------------------------------------

    def _before(self, width, batch):
        """Outputs from the left and from the right that a row above the image would leave."""
        return (self._zeros(width, batch),) * 2

    def _above(self, left):
        """Parts of the columns that a row takes of the one above."""
        from_left, from_right = left
        return tf.matmul(from_left, self._kernels(0)[1][None]), from_right

    def _carried(self, batch):
        """Output and memory before the first position of a row, which are carried to it."""
        return (self._zeros(batch),) * 2

    def _step(self, x, carried, above, added):
        """Output of a position, what it carries on, and what is recorded of it."""
        gates = self._read_one(x, 0) + above[0] + tf.matmul(carried[0], self._kernels(0)[0])
        if added is not None:
            gates += tf.split(added, 2, -1)[0]
        carried = cell(gates, carried[1])
        return carried[0] + above[1], carried, (carried[0], x)

    @property
    def _record_sizes(self):
        """Sizes of what `_step` records: outputs and inputs."""
        return self.filters, self.channels

    def _below(self, left, recorded, added):
        """The state that a row leaves for the next one, with outputs from the right."""
        outputs, inputs = recorded
        beside, up = self._kernels(1)
        gates = self._read_one(inputs, 1) + tf.matmul(left[1], up[None])
        if added is not None:
            gates += tf.split(added, 2, -1)[1]

        def step(state, gates, _):
            output, memory = cell(gates[0] + tf.matmul(state[0], beside), state[1])
            return (output, memory), output

        state = self._carried(tf.shape(gates)[1])
        shape = [None, self.filters]
        return outputs, run_through(step, (gates,), state, shape, backwards=True)


def _product(values, kernel):
    """`[positions, batch, n]` times a kernel, as one product of matrices."""
    flat = tf.matmul(tf.reshape(values, [-1, kernel.shape[0]]), kernel)
    return tf.reshape(flat, [values.shape[0], -1, kernel.shape[1]])


def _taps(row, before, after):
    """What a convolution sees of a row, `[width, ...]`: it and its neighbours, from the left."""
    wide = tf.pad(row, [[before, after], [0, 0], [0, 0]])
    # Their gradient is a padding; that of slices by brackets takes six times as long.
    return [tf.slice(wide, [n, 0, 0], [row.shape[0], -1, -1]) for n in range(before + after + 1)]


def _diagonals(height, width, mirrored, down=0):
    """Places in an image of the positions of diagonals, `[height + width - 1, height]`, and those
    in the diagonals of the positions of an image, `[height * width]`.

    Each row is one later than that above. Places that are not there are one after the last.

    Args:
        height: height of the image.
        width: width of the image.
        mirrored: True for diagonals from the right.
        down: number of rows that the image is lower.
    """
    steps = height + width - 1
    step, row = np.indices([steps, height])
    column, below = step - row, row + down
    inside = (column >= 0) & (column < width) & (below < height)
    column = width - 1 - column if mirrored else column
    there = np.where(inside, below * width + column, height * width)
    back = np.full(height * width + 1, there.size)
    back[there] = np.arange(there.size).reshape(there.shape)
    return there, back[:-1]


def _moved(values, there, back):
    """`values[there]` along the first axis, with zeros for places one after the last.

    The gradient is a gather, too: `back` are the places of values in the result.
    """

    @tf.custom_gradient
    def moved(values):
        wide = tf.concat([values, tf.zeros_like(values[:1])], 0)
        return tf.gather(wide, there.ravel()), lambda upstream: _moved(upstream, back, there)

    return moved(values)

"""LSTMs over images: each position from the rows above it, and its own row so far."""

import keras
import tensorflow as tf

from tfgen.networks.gated import CausalConv2D
from tfgen.utils import checks
from tfgen.utils.part import Configured


class PixelLSTM(Configured, keras.layers.Layer):
    """LSTM over the positions of an image.

    A pass computes what the gates take of the inputs everywhere at once (`read`), and then goes
    through the image (`_scan`). A draw goes row by row and, in a row, from left to right: a
    subclass says what a row takes of the one above (`_above`), what happens at a position
    (`_step`), and what it leaves for the next row (`_below`). Columns come first there:
    `[width, batch, ...]`.

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
        gates = self.read(inputs)
        return self._scan(gates if added is None else gates + added)

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


def run_through(step, inputs, state, backwards=False):
    """Outputs `[n, ...]` of a loop over the first axis of a tensor.

    Args:
        step: function of a state and of the inputs at a place, to the next state, whose first
            tensor is the output.
        inputs: `[n, ...]`, whose n is known.
        state: tuple of tensors.
        backwards: True to begin at the end.
    """
    size, shape = inputs.shape[0], state[0].shape.as_list()
    # Read from an array: slices would have gradients as large as the whole.
    inputs = tf.TensorArray(inputs.dtype, size, element_shape=inputs.shape[1:]).unstack(inputs)
    outputs = tf.TensorArray(state[0].dtype, size, element_shape=shape)

    def at(i, state, outputs):
        place = size - 1 - i if backwards else i
        state = step(state, inputs.read(place))
        return i + 1, state, outputs.write(place, state[0])

    start = (tf.constant(0), state, outputs)
    _, _, outputs = tf.while_loop(lambda i, *_: i < size, at, start, maximum_iterations=size)
    return tf.ensure_shape(outputs.stack(), [size, *shape])


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

    def _scan(self, gates):
        """Outputs for gates that lack what comes from the row above."""
        gates = tf.transpose(gates, [1, 2, 0, 3])
        width, batch = gates.shape[1], tf.shape(gates)[2]
        kernel = self._weight(self.kernel)

        def step(state, gates):
            return cell(gates + self._across(state[0], kernel), state[1])

        zeros = self._zeros(width, batch)
        return tf.transpose(run_through(step, gates, (zeros, zeros)), [2, 0, 1, 3])

    def _across(self, row, kernel):
        """The part of a row's gates that is of the outputs above, both `[width, batch, ...]`."""
        width, reach = row.shape[0], self.kernel_size // 2
        wide = tf.pad(row, [[reach, reach], [0, 0], [0, 0]])
        taps = tf.concat([wide[n : n + width] for n in range(self.kernel_size)], -1)
        # One product: the gradient of a broadcast one is of the kernel at each column.
        flat = tf.matmul(tf.reshape(taps, [-1, kernel.shape[0]]), kernel)
        return tf.reshape(flat, [width, -1, kernel.shape[1]])

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
        kernel, bias = self._weight(self.read.kernel)[0], self._weight(self.read.bias)
        size = kernel.shape[0] * kernel.shape[1]
        gates = tf.matmul(tf.reshape(seen, [-1, size]), tf.reshape(kernel, [size, -1])) + bias
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

    def _scan(self, gates):
        """Outputs for gates that lack what comes from the positions beside and above."""
        height, width = gates.shape[1:3]
        left, right = tf.split(gates, 2, -1)
        gates = _skewed(tf.concat([left, right[:, :, ::-1]], 0))
        batch, kernel = tf.shape(gates)[1] // 2, self._weight(self.kernel)

        def step(state, gates):
            beside, memory = state
            up = tf.pad(beside, [[0, 0], [1, 0], [0, 0]])[:, :-1]
            seen = tf.reshape(tf.concat([beside, up], -1), [2, -1, 2 * self.filters])
            return cell(gates + tf.reshape(tf.matmul(seen, kernel), tf.shape(gates)), memory)

        zeros = self._zeros(2 * batch, height)
        outputs = _unskewed(run_through(step, gates, (zeros, zeros)), width)
        left, right = tf.split(outputs, 2, 0)
        return left + tf.pad(right[:, :-1, ::-1], [[0, 0], [1, 0], [0, 0], [0, 0]])

    def _kernels(self, direction):
        """Kernels of the position beside and of that above."""
        return tf.split(self._weight(self.kernel)[direction], 2)

    def _read_one(self, x, direction):
        kernel, bias = (self._weight(w) for w in (self.read.kernel, self.read.bias))
        kernel, bias = (tf.split(w, 2, -1)[direction] for w in (kernel, bias))
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

        def step(state, gates):
            return cell(gates + tf.matmul(state[0], beside), state[1])

        state = self._carried(tf.shape(gates)[1])
        return outputs, run_through(step, gates, state, backwards=True)


def _skewed(image):
    """`[batch, height, width, n]` -> `[width + height - 1, batch, height, n]`, each row one later
    than that above. Outside of the image gates are zero, which leaves zero outputs at zero."""
    height, width, size = image.shape[1:]
    wide = tf.pad(image, [[0, 0], [0, 0], [0, height], [0, 0]])
    flat = tf.reshape(wide, [-1, height * (width + height), size])[:, :-height]
    return tf.transpose(tf.reshape(flat, [-1, height, width + height - 1, size]), [2, 0, 1, 3])


def _unskewed(diagonals, width):
    """`[width + height - 1, batch, height, n]` -> `[batch, height, width, n]`."""
    height, size = diagonals.shape[2:]
    flat = tf.reshape(
        tf.transpose(diagonals, [1, 2, 0, 3]), [-1, height * (width + height - 1), size]
    )
    wide = tf.pad(flat, [[0, 0], [0, height], [0, 0]])
    return tf.reshape(wide, [-1, height, width + height, size])[:, :, :width]

"""Masked networks whose outputs depend on earlier inputs only."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tfgen.networks.conditioners import uniform_start
from tfgen.utils import checks
from tfgen.utils.layers import add_order
from tfgen.utils.part import Configured

# Columns of a wide kernel that are multiplied at a time.
_BLOCK = 64


@keras.saving.register_keras_serializable(package="tfgen")
class MADE(Configured):
    """Masked autoencoder for distribution estimation.

    From Germain et al. 2015, "MADE: Masked Autoencoder for Distribution Estimation",
    arXiv:1502.03509. The outputs for a dimension depend on the dimensions before it in `ordering`
    and, all of them, on the condition.

    Shapes: `[batch, size]`, and a condition `[batch, features]` if it has one, ->
    `[batch, size, num_params]`.

    Args:
        num_params: outputs for each dimension.
        hidden_units: width of each hidden layer.
        ordering: `"natural"`, `"reverse"`, `"random"` (drawn once when the layer is built and
            saved with it) or the list of the dimensions from the first to the last.
        residual: True for hidden layers after the first that are residual blocks of two masked
            layers (as in Durkan et al. 2019, arXiv:1906.04032, appendix B.1); needs hidden layers
            of one width.
        activation: name of the activation of the hidden layers, or one.
        num_masks: number of masks. Those after the first are drawn once, and saved with the layer:
            in each the hidden units see other dimensions, and a random `ordering` is another one.
        direct: True for links from the inputs to the outputs, beside the hidden layers.
        output_spread: of the output layer before training, as a part of that of the hidden layers:
            0 for outputs that are zero.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: bad `ordering`, or `residual` with hidden layers of different widths.

    >>> import numpy as np, tfgen
    >>> made = tfgen.networks.MADE(num_params=2, hidden_units=(16, 16))
    >>> made(np.zeros((5, 3), "float32")).shape
    TensorShape([5, 3, 2])
    """

    def __init__(
        self,
        num_params=2,
        hidden_units=(256, 256),
        ordering="natural",
        residual=False,
        activation="relu",
        num_masks=1,
        direct=False,
        output_spread=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_params = checks.check_count(num_params, "num_params")
        self.hidden_units = checks.as_shape(hidden_units, "hidden_units")
        self.ordering = checks.as_order(ordering, "ordering", ("natural", "reverse", "random"))
        self.residual = checks.check_bool(residual, "residual")
        if self.residual and len(set(self.hidden_units)) > 1:
            raise ValueError(
                "`hidden_units` must be of one width in a residual network; got "
                f"{list(self.hidden_units)}"
            )
        self.activation = keras.activations.get(activation)
        self.num_masks = checks.check_count(num_masks, "num_masks")
        self.direct = checks.check_bool(direct, "direct")
        self.output_spread = checks.check_weight(output_spread, "output_spread")

    def build(self, inputs_shape, condition_shape=None):
        size, widths = inputs_shape[-1], self.hidden_units
        if self.num_masks > 1 and self.ordering == "random":
            self._order = self._add_shuffled(np.random.permutation(size), "ordering")
        else:
            self._order = add_order(self, self.ordering, "ordering", size)
        # A hidden unit of degree m sees the first m dimensions. Those of degree 0 see the
        # condition only: without one they would be wasted.
        low = 0 if condition_shape is not None or size == 1 else 1
        self._hidden_degrees = [_degrees(u, low, size) for u in widths]
        if self.num_masks > 1:
            # Blocks of a residual network are between units of the same degrees.
            made = self._hidden_degrees[: 1 if self.residual else None]
            self._hidden_degrees = [
                self._add_shuffled(degrees, f"degrees_{i}") for i, degrees in enumerate(made)
            ]
        if self.residual:
            # Two layers in a block.
            widths = [widths[0]] * (2 * len(widths) - 1)
        shapes = list(itertools.pairwise([size, *widths, size * self.num_params]))
        self.kernels, self.biases = [], []
        for i, shape in enumerate(shapes):
            # Residual blocks are the identity at the start.
            identity = self.residual and i and i % 2 == 0
            spread = self.output_spread if i == len(shapes) - 1 else float(not identity)
            kernel, bias = (uniform_start(shape[0], spread) for _ in range(2))
            self.kernels.append(
                self.add_weight(name=f"kernel_{i}", shape=shape, initializer=kernel)
            )
            self.biases.append(self.add_weight(name=f"bias_{i}", shape=shape[1:], initializer=bias))
        self.direct_kernel = None
        if self.direct:
            self.direct_kernel = self.add_weight(
                name="direct_kernel", shape=(size, size * self.num_params), initializer="zeros"
            )
        self.condition_kernel = None
        if condition_shape is not None:
            self.condition_kernel = self.add_weight(
                name="condition_kernel",
                shape=(condition_shape[-1], widths[0]),
                initializer=uniform_start(condition_shape[-1]),
            )

    def _add_shuffled(self, values, name):
        """Weight `[num_masks, len(values)]` of the values as they are, then in random orders."""
        rows = [values, *(np.random.permutation(values) for _ in range(self.num_masks - 1))]
        return self.add_weight(
            name=name,
            shape=(self.num_masks, len(values)),
            dtype="int32",
            trainable=False,
            initializer=lambda shape, dtype: tf.constant(np.stack(rows), dtype),
        )

    def _masks(self, mask):
        """Masks of the kernels in turn, `[from, to]`: 1 where a unit sees the other, else 0."""
        order, hidden = self._order, self._hidden_degrees
        if self.num_masks > 1:
            hidden = [tf.gather(degrees, mask) for degrees in hidden]
            order = tf.gather(order, mask) if self.ordering == "random" else order
        # The first dimension has degree 1.
        drawn = self.ordering == "random"
        degrees = 1 + (tf.argsort(order) if drawn else np.argsort(order))
        yield degrees[:, None] <= hidden[0]
        if self.residual:
            yield from [hidden[0][:, None] <= hidden[0]] * (len(self.kernels) - 2)
        else:
            for before, after in itertools.pairwise(hidden):
                yield before[:, None] <= after
        yield self._to_outputs(hidden[-1][:, None] < degrees)
        if self.direct:
            yield self._to_outputs(degrees[:, None] < degrees)

    def _to_outputs(self, seen):
        """Mask with the columns of the dimensions repeated for each of their outputs."""
        return (tf if tf.is_tensor(seen) else np).repeat(seen, self.num_params, axis=1)

    def given(self, condition=None, in_blocks=False, mask=0):
        """Network as a function of the inputs alone, for use in a loop.

        All that does not depend on the inputs is computed once.

        Args:
            condition: `[batch, features]` or None.
            in_blocks: True for products with wide kernels that leave out zeros: quicker, but for a
                gradient, which is slower.
            mask: number of the mask, from 0 to `num_masks - 1`: an int or a scalar tensor.

        Returns:
            A function from `[batch, size]` to `[batch, size, num_params]`.

        >>> import numpy as np, tfgen
        >>> made = tfgen.networks.MADE(num_params=2, hidden_units=(16,))
        >>> made.build((None, 3), (None, 4))
        >>> network = made.given(condition=np.ones((5, 4), "float32"))
        >>> network(np.zeros((5, 3), "float32")).shape
        TensorShape([5, 3, 2])
        """
        dtype = tf.as_dtype(self.compute_dtype)

        def read(weight):
            return tf.cast(tf.convert_to_tensor(weight), dtype)

        kernels = self.kernels + [self.direct_kernel] * self.direct
        pairs = zip(kernels, self._masks(mask), strict=True)
        product = _product_in_blocks if in_blocks else _product
        products = [product(read(kernel), mask) for kernel, mask in pairs]
        biases = [read(bias) for bias in self.biases]
        if condition is not None:
            biases[0] += tf.matmul(tf.cast(condition, dtype), read(self.condition_kernel))

        def layer(i, x):
            if dtype == tf.float16:
                # Sums overflow early, and what is masked must be finite to count as nothing.
                x = tf.clip_by_value(x, dtype.min, dtype.max)
            x = products[i](x)
            return x + biases[i] if biases[i].shape.rank > 1 else tf.nn.bias_add(x, biases[i])

        def network(inputs):
            inputs = tf.cast(inputs, dtype)
            x = layer(0, inputs)
            last = len(self.kernels) - 1
            if self.residual:
                for i in range(1, last, 2):
                    x += layer(i + 1, self.activation(layer(i, self.activation(x))))
            else:
                for i in range(1, last):
                    x = layer(i, self.activation(x))
            params = layer(last, self.activation(x))
            if self.direct:
                params += products[-1](inputs)
            return tf.reshape(params, [-1, inputs.shape[-1], self.num_params])

        return network

    @property
    def largest_input(self):
        """Largest inputs that let no hidden layer overflow, for all that is known.

        >>> import tfgen
        >>> float(tfgen.networks.MADE(dtype="float16").largest_input)
        65504.0
        """
        dtype = tf.as_dtype(self.compute_dtype)
        return dtype.max if dtype == tf.float16 else dtype.max**0.5

    def call(self, inputs, condition=None):
        return self.given(condition)(inputs)

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return (*inputs_shape, self.num_params)


def _product(kernel, mask):
    """Product with a masked kernel as a function."""
    kernel *= tf.cast(mask, kernel.dtype)
    return lambda x: tf.matmul(x, kernel)


def _product_in_blocks(kernel, mask):
    """Product by blocks of columns, each without the rows below the last that it sees."""
    rows, columns = kernel.shape
    if min(rows, columns) < 2 * _BLOCK or not isinstance(mask, np.ndarray):
        return _product(kernel, mask)
    kernel *= tf.cast(mask, kernel.dtype)
    blocks = []
    for first in range(0, columns, _BLOCK):
        seen = np.flatnonzero(mask[:, first : first + _BLOCK].any(1))
        num_rows = int(seen[-1]) + 1 if len(seen) else 0
        blocks.append((num_rows, kernel[:num_rows, first : first + _BLOCK]))
    return lambda x: tf.concat([tf.matmul(x[:, :n], block) for n, block in blocks], 1)


def _degrees(units, low, size):
    """Degrees of the units of a hidden layer, in order.

    Each degree from `low` to `size - 1` comes as often, or, where there are fewer units, evenly
    spread ones do, the highest among them.
    """
    count = max(size - low, 1)
    if units >= count:
        return low + np.arange(units) * count // units
    return low + count - 1 - np.arange(units)[::-1] * count // units

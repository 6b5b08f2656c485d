"""NADE: one hidden layer for all conditionals, with shared weights."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.autoregressive.value_by_value import Remembering
from tfgen.networks.conditioners import uniform_start
from tfgen.utils import checks
from tfgen.utils.run_through import run_through

# Places of which densities compute the hidden units together.
_BLOCK = 16


@keras.saving.register_keras_serializable(package="tfgen")
class NADE(Remembering):
    """Neural autoregressive distribution estimator.

    From Larochelle and Murray 2011, "The Neural Autoregressive Distribution Estimator" (AISTATS),
    as in Uria et al. 2016, "Neural Autoregressive Distribution Estimation", arXiv:1605.02226,
    section 2. The hidden layer of a conditional sees the values before it through the same weights
    as that of every other, so its input is a running sum: densities take one pass of O(D H)
    operations, which goes through blocks of values and keeps the sums at their starts alone. Draws,
    one value after the other, take as many.

    Args:
        event_shape: shape of one example.
        hidden_units: units H of the hidden layer.
        order: of the values, flattened: `"natural"`, `"reverse"`, `"random"` (drawn once and saved
            with the model) or the list of their indices from the first to the last.
        activation: name of the activation of the hidden layer, or one.
        num_mixtures: components of the mixture of each value: of discretised logistic distributions
            (uint8 data), of normal ones (reals: RNADE, Uria et al. 2013, arXiv:1306.0186).
        num_bits: bits of a value that the model sees of uint8 data.
        data_kind: `"binary"`, `"uint8"` or `"real"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: another `data_kind` or `order`, or conditions that are no vectors.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.NADE((8, 8, 1), hidden_units=16)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]))
    """

    _kinds = ("binary", "uint8", "real")

    def __init__(
        self,
        event_shape,
        hidden_units=500,
        order="natural",
        activation="sigmoid",
        num_mixtures=10,
        num_bits=8,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        super().__init__(
            event_shape, order=order, data_kind=data_kind, num_bits=num_bits, dtype=dtype, **kwargs
        )
        self.hidden_units = checks.check_count(hidden_units, "hidden_units")
        self.activation = keras.activations.get(activation)
        self.num_mixtures = checks.check_count(num_mixtures, "num_mixtures")
        self.element = self._element(num_mixtures)

    def _build_parts(self):
        super()._build_parts()
        size, units = self.num_dims, self.hidden_units
        self._build_state(units, uniform_start(size), uniform_start(size))
        num_params = self.element.num_params(1)
        self.output_kernel = self.add_weight(
            name="output_kernel", shape=(size, units, num_params), initializer=uniform_start(units)
        )
        self.output_bias = self.add_weight(
            name="output_bias", shape=(size, num_params), initializer=uniform_start(units)
        )

    def _params(self, x, features):
        # In blocks of places, whose states stay in the cache; those of all do not.
        num_blocks = -(-self.num_dims // _BLOCK)
        block = -(-self.num_dims // num_blocks)
        more = num_blocks * block - self.num_dims

        def in_blocks(values):
            """`[D, ...]` -> `[blocks, block, ...]`, with zeros after the last place."""
            values = tf.pad(values, [[0, more]] + [[0, 0]] * (values.shape.rank - 1))
            return tf.reshape(values, [num_blocks, block, -1, *values.shape[2:]])

        before = tf.constant(np.tri(block, k=-1)[:, None], self.variable_dtype)

        def step(states, inputs, _):
            (state,), (x, kernel, output_kernel) = states, inputs
            # The sums of the block's own terms before each place are one product: the columns of
            # `seen`, `[place, batch, place]`, are the values of earlier places.
            seen = tf.reshape(before * tf.transpose(x), [-1, block])
            sums = tf.reshape(tf.matmul(seen, kernel), [block, -1, self.hidden_units])
            params = self._product(self.activation(state + sums), output_kernel)
            return (state + tf.matmul(x, kernel, transpose_a=True),), params

        x = tf.transpose(x)
        state = self._start(features) + tf.zeros([tf.shape(x)[1], 1], self.variable_dtype)
        weights = (tf.convert_to_tensor(w) for w in (self.kernel, self.output_kernel))
        blocks = tuple(in_blocks(values) for values in (x, *weights))
        num_params = self.output_bias.shape[1]
        params = run_through(step, blocks, (state,), [block, None, num_params])
        params = tf.reshape(params, [num_blocks * block, -1, num_params])
        return tf.transpose(params[: self.num_dims], [1, 0, 2]) + self.output_bias

    def _params_at(self, state, i):
        kernel, bias = (tf.convert_to_tensor(w)[i] for w in (self.output_kernel, self.output_bias))
        return self._product(self.activation(state), kernel) + bias

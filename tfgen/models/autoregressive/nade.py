"""NADE: one hidden layer for all conditionals, with shared weights."""

import keras
import tensorflow as tf

from tfgen.models.autoregressive.value_by_value import Remembering
from tfgen.networks.conditioners import uniform_start
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class NADE(Remembering):
    """Neural autoregressive distribution estimator.

    From Larochelle and Murray 2011, "The Neural Autoregressive Distribution Estimator" (AISTATS),
    as in Uria et al. 2016, "Neural Autoregressive Distribution Estimation", arXiv:1605.02226,
    section 2. The hidden layer of a conditional sees the values before it through the same weights
    as that of every other, so its input is a running sum: densities take one pass of
    O(D H) operations, which holds `[D, batch, H]` numbers, and so do draws, one value after the
    other.

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
        # Places first, so that the outputs of each are one product.
        kernel = tf.convert_to_tensor(self.kernel)
        terms = tf.transpose(x)[..., None] * kernel[:, None]
        state = self._start(features) + tf.cumsum(terms, axis=0, exclusive=True)
        kernel, bias = (tf.convert_to_tensor(w) for w in (self.output_kernel, self.output_bias))
        params = self._product(self.activation(state), kernel) + bias[:, None]
        return tf.transpose(params, [1, 0, 2])

    def _params_at(self, state, i):
        kernel, bias = (tf.convert_to_tensor(w)[i] for w in (self.output_kernel, self.output_bias))
        return self._product(self.activation(state), kernel) + bias

"""Deep NADE: one network for the conditionals of all orders."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.autoregressive.value_by_value import Summing
from tfgen.networks.conditioners import uniform_start
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class DeepNADE(Summing):
    """Orderless NADE, with any number of hidden layers.

    From Uria et al. 2014, "A Deep and Tractable Density Estimator", arXiv:1310.1757. One network
    is told which values are known, and gives the conditionals of the others. A step of training
    takes, for each row, an order and a place in it at random: the loss is the negative
    log-likelihood of all values from that place on, each as if it were the next, times `D` over
    their number (eq. 8 and section 3.1), whose mean is that of the loss of a random order.

    The model is the mixture of `num_orders` orders, drawn once and saved with it: `log_prob` and
    `evaluate` average their probabilities, which is exact and takes a step of all hidden layers for
    each value and order, and each sample is drawn in one of them (at temperature 0 in the first).
    Validation in `fit` is such an evaluation. `complete` draws any values given any others.

    Args:
        event_shape: shape of one example.
        hidden_units: width of each hidden layer.
        num_orders: orders in the mixture.
        activation: name of the activation of the hidden layers, or one.
        num_mixtures: components of the mixture of each value: of discretised logistic distributions
            (uint8 data), of normal ones (reals).
        num_bits: bits of a value that the model sees of uint8 data.
        data_kind: `"binary"`, `"uint8"` or `"real"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: another `data_kind`, or conditions that are no vectors.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 4, 4, 1))
    >>> model = tfgen.DeepNADE((4, 4, 1), hidden_units=(16, 16), num_orders=2)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape
    (TensorShape([32]), TensorShape([3, 4, 4, 1]))
    """

    _kinds = ("binary", "uint8", "real")

    def __init__(
        self,
        event_shape,
        hidden_units=(500, 500),
        num_orders=8,
        activation="relu",
        num_mixtures=10,
        num_bits=8,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=data_kind, num_bits=num_bits, dtype=dtype, **kwargs)
        self.hidden_units = checks.as_shape(hidden_units, "hidden_units")
        self.num_orders = checks.check_count(num_orders, "num_orders")
        self.activation = keras.activations.get(activation)
        self.num_mixtures = checks.check_count(num_mixtures, "num_mixtures")
        self.element = self._element(num_mixtures)

    def _build_parts(self):
        super()._build_parts()
        size, widths = self.num_dims, self.hidden_units
        start = uniform_start(size)
        self._build_state(widths[0], start, start)
        # What it adds to the state that a value is known, whichever it is.
        self.known_kernel = self.add_weight(
            name="known_kernel", shape=(size, widths[0]), initializer=start
        )
        self.hidden_kernels, self.hidden_biases = [], []
        for i, shape in enumerate(itertools.pairwise(widths), 1):
            start = uniform_start(shape[0])
            kernel = self.add_weight(name=f"hidden_kernel_{i}", shape=shape, initializer=start)
            bias = self.add_weight(name=f"hidden_bias_{i}", shape=shape[1:], initializer=start)
            self.hidden_kernels.append(kernel)
            self.hidden_biases.append(bias)
        num_params, start = self.element.num_params(1), uniform_start(widths[-1])
        self.output_kernel = self.add_weight(
            name="output_kernel", shape=(size, widths[-1], num_params), initializer=start
        )
        self.output_bias = self.add_weight(
            name="output_bias", shape=(size, num_params), initializer=start
        )
        drawn = np.stack([np.random.permutation(size) for _ in range(self.num_orders)])
        self._orders = self.add_weight(
            name="orders",
            shape=drawn.shape,
            dtype="int32",
            trainable=False,
            initializer=lambda shape, dtype: tf.constant(drawn, dtype),
        )

    def complete(self, x, known, condition=None, temperature=1.0, seed=None, batch_size=256):
        """`x` with the values that are not known drawn anew, given all that are.

        The draws follow the mixture of the model's orders, in each of which the known values come
        first. What `x` holds where it is not known does not matter.

        Args:
            x: `[n, *event_shape]`.
            known: True for the values of `x` to keep: `[n, *event_shape]` or `event_shape`.
            condition: as in `log_prob`.
            temperature: as in `sample`.
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.

        Returns:
            `[n, *event_shape]` tensor in the data's type.

        Raises:
            ValueError: a `known` of another shape, or that is not of booleans.

        >>> import numpy as np, tfgen
        >>> model = tfgen.DeepNADE((4, 4, 1), hidden_units=(8, 8))
        >>> x, known = np.ones((2, 4, 4, 1)), np.zeros((4, 4, 1), bool)
        >>> known[2:] = True  # the lower half
        >>> drawn = model.complete(x, known, seed=0).numpy()
        >>> drawn.shape, bool(drawn[:, 2:].all()), bool(drawn[:, :2].all())
        ((2, 4, 4, 1), True, False)
        """
        return self._map_known("complete", x, known, condition, temperature, seed, batch_size)

    def _known_state(self, x, known, features):
        """State of values of which some are known; both are reals, `[batch, D]`."""
        kernels = tf.concat([tf.convert_to_tensor(w) for w in (self.kernel, self.known_kernel)], 0)
        return self._start(features) + self._product(tf.concat([x * known, known], 1), kernels)

    def _hidden(self, state):
        """Last hidden layer of states `[..., hidden_units[0]]`."""
        hidden = self.activation(state)
        for kernel, bias in zip(self.hidden_kernels, self.hidden_biases, strict=True):
            hidden = self.activation(self._product(hidden, tf.convert_to_tensor(kernel)) + bias)
        return hidden

    def _params(self, x, features, known):
        """Outputs for all values, of which those not known are conditionals."""
        hidden = self._hidden(self._known_state(x, known, features))
        size, units, num_params = self.output_kernel.shape
        kernel = tf.transpose(tf.convert_to_tensor(self.output_kernel), [1, 0, 2])
        params = self._product(hidden, tf.reshape(kernel, [units, size * num_params]))
        return tf.reshape(params, [-1, size, num_params]) + self.output_bias

    def _params_at(self, state, dims):
        """Outputs for one value of each group of states: `[groups, batch, num_params]`.

        Args:
            state: `[groups, batch, hidden_units[0]]`.
            dims: the values' indices, `[groups]`.
        """
        weights = self.output_kernel, self.output_bias
        kernel, bias = (tf.gather(tf.convert_to_tensor(w), dims) for w in weights)
        return self._product(self._hidden(state), kernel) + bias[:, None]

    def _added(self, values, dims):
        """Addition to the state of values, `[groups, batch, 1]`, that are known from now on."""
        weights = self.kernel, self.known_kernel
        kernel, known = (tf.gather(tf.convert_to_tensor(w), dims)[:, None] for w in weights)
        return self.element.inputs(values) * kernel + known

    # --- hooks ----------------------------------------------------------------

    def _log_weight(self, x, condition, noise):
        x, features = self._values(x), self._features(condition)
        if noise is not None:
            return self._estimate(x, features, *noise)
        orders = tf.transpose(tf.convert_to_tensor(self._orders))
        shape = [self.num_orders, tf.shape(x)[0], self.hidden_units[0]]
        state = self._start(features) + tf.zeros(shape, self.variable_dtype)

        def step(i, state, total):
            values = tf.transpose(tf.gather(x, orders[i], axis=1))[..., None]
            total += self.element.log_prob(values, self._params_at(state, orders[i]))
            return i + 1, state + self._added(values, orders[i]), total

        size = self.num_dims
        start = (tf.constant(0), state, tf.zeros(shape[:2], self.variable_dtype))
        _, _, each = tf.while_loop(lambda i, *_: i < size, step, start, maximum_iterations=size)
        return self._in_units(tf.reduce_logsumexp(each, 0) - np.log(self.num_orders))

    def _estimate(self, x, features, places, cuts):
        """Estimate of the mean over all orders of the log-density, `[batch]`."""
        size = self.num_dims
        # Values of the least noise are known, as many as the cut says, from none to all but one.
        cut = tf.gather(tf.sort(places, 1), tf.cast(size * cuts, tf.int32)[:, None], batch_dims=1)
        known = tf.cast(places < cut, self.variable_dtype)
        params = self._params(self.element.inputs(x), features, known)
        each = self.element.log_prob(x[..., None], params) * (1 - known)
        return self._in_units(tf.reduce_sum(each, 1) * size / tf.reduce_sum(1 - known, 1))

    def _terms(self, x, condition, noise, training):
        return super()._terms(x, condition, noise if training else None, training)

    def _terms_noise(self, seed, start, num_rows):
        noise = row_uniform(seed, start, num_rows, (self.num_dims + 1,), self.variable_dtype)
        return noise[:, :-1], noise[:, -1]

    def _sample_noise(self, seed, start, num_rows):
        values = super()._sample_noise(fold_in(seed, Stream.DATA), start, num_rows)
        seed = fold_in(seed, Stream.LATENTS)
        return values, row_uniform(seed, start, num_rows, (), self.variable_dtype)

    def _generate(self, noise, condition, temperature):
        return self._events(self._drawn(noise, condition, temperature))

    def _complete(self, x, known, condition, seed, start, temperature):
        noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, tf.shape(x)[0])
        known = tf.reshape(known, [-1, self.num_dims])
        values = self._drawn(noise, condition, temperature, self._values(x), known)
        # Reals as they came, not as scaling there and back leaves them.
        return tf.where(tf.reshape(known, tf.shape(x)), x, self._events(values))

    def _drawn(self, noise, condition, temperature, given=None, known=None):
        """Values `[batch, D]`, each row in one of the orders."""
        noise, chosen = noise
        # All orders are as likely: at temperature 0 it is the first, whatever the noise.
        chosen = tf.where(temperature > 0, tf.cast(self.num_orders * chosen, tf.int32), 0)
        orders = tf.gather(tf.convert_to_tensor(self._orders), chosen)
        if known is not None:
            later = tf.cast(~tf.gather(known, orders, batch_dims=1), tf.int32)
            # Known ones first, the others as they were.
            first = tf.argsort(later, stable=True)
            orders = tf.gather(orders, first, batch_dims=1)

        def in_order(values):
            values = tf.gather(values, orders, batch_dims=1)
            return tf.transpose(values, [1, 0, *range(2, values.shape.rank)])

        noise, dims = in_order(noise)[:, :, None], tf.transpose(orders)
        if known is not None:
            given, known = (in_order(v)[..., None, None] for v in (given, known))
        shape = [tf.shape(orders)[0], 1, self.hidden_units[0]]
        features = self._features(condition)
        state = tf.zeros(shape, self.variable_dtype) + self._start(features)[:, None]
        dtype = self.variable_dtype if self.data_kind == "real" else tf.uint8
        drawn = tf.TensorArray(dtype, self.num_dims, element_shape=[None, 1, 1])

        def step(i, state, drawn):
            params = self._params_at(state, dims[i])
            value = self.element.sample(noise[i], params, temperature)
            if known is not None:
                value = tf.where(known[i], given[i], value)
            return i + 1, state + self._added(value, dims[i]), drawn.write(i, value)

        start = (tf.constant(0), state, drawn)
        _, _, drawn = tf.while_loop(lambda i, *_: i < self.num_dims, step, start)
        values = tf.transpose(drawn.stack()[..., 0, 0])
        return tf.gather(values, tf.argsort(orders), batch_dims=1)

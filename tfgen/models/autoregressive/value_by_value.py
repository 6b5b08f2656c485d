"""The chain rule over single values: what its models share."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions import Bernoulli
from tfgen.distributions import DiscretisedLogistic
from tfgen.distributions import NormalMixture
from tfgen.models.autoregressive.completing import Completing
from tfgen.utils import checks
from tfgen.utils.layers import add_order
from tfgen.utils.layers import build_once


class ValueByValue(Completing):
    """Model of each value of an example given those before it in an order.

    Values of images, channels among them, count as those of one long vector. Reals are standardised
    by the mean and deviation of the data. A subclass implements `_params`, and sets `element` in
    its constructor.

    Args:
        event_shape: shape of one example.
        data_kind: one of the `_kinds` of the class.
        **kwargs: `GenerativeModel` arguments; conditions are labels, vectors or both.

    Raises:
        ValueError: another `data_kind`, or conditions that are no vectors.
    """

    _kinds = ("binary", "uint8")
    _y_kinds = ("label", "vector")
    _sampling = "one value after the other"

    def __init__(self, event_shape, data_kind="binary", **kwargs):
        super().__init__(event_shape, data_kind=data_kind, **kwargs)

    def _element(self, num_mixtures):
        """The distribution of one value."""
        kind = {"dtype": self.dtype_policy}
        if self.data_kind == "uint8":
            return DiscretisedLogistic(num_mixtures, self.num_bits, **kind)
        if self.data_kind == "real":
            return NormalMixture(num_mixtures, **kind)
        return Bernoulli(**kind)

    def _build_parts(self):
        build_once(self.element, (None, self.num_dims, 1))

    @property
    def _scales_x(self):
        return self.data_kind == "real"

    def _values(self, x):
        """Values as `[batch, D]`, reals standardised."""
        if self._scales_x:
            x = (tf.cast(x, self.variable_dtype) - self.x_loc) / self.x_scale
        return tf.reshape(x, [-1, self.num_dims])

    def _events(self, values):
        """Examples of values: the inverse of `_values`."""
        x = tf.reshape(values, [-1, *self.event_shape])
        return x * self.x_scale + self.x_loc if self._scales_x else x

    def _params(self, x, features):
        """Outputs for the conditionals, `[batch, D, num_params]`.

        Args:
            x: values as a network sees them, `[batch, D]`.
            features: `[batch, features]`, or None.
        """
        raise NotImplementedError

    def _log_prob_of_values(self, x, params):
        """Sum of the conditionals' log-probabilities, `[batch]`, in the data's units."""
        return self._in_units(tf.reduce_sum(self.element.log_prob(x[..., None], params), 1))

    def _in_units(self, total):
        """Log-densities of examples in the data's units, of those of their values as they are."""
        if not self._scales_x:
            return total
        scales = tf.broadcast_to(self.x_scale, self.event_shape)
        return total - tf.reduce_sum(tf.math.log(scales))

    # --- hooks ----------------------------------------------------------------

    def _log_weight(self, x, condition, noise):
        x = self._values(x)
        params = self._params(self.element.inputs(x), self._features(condition))
        return self._log_prob_of_values(x, params)

    def _sample_noise(self, seed, start, num_rows):
        return self.element.noise(seed, start, num_rows, (self.num_dims, 1))


class Summing(ValueByValue):
    """`ValueByValue` in which all that later values take of earlier ones is a sum, the state.

    Value `i` adds `value * kernel[i]` to it. So a draw costs no more than a density: each step adds
    one term, where a loop over the density would add them all once more. A subclass makes `kernel`,
    `[D, state_size]`, and `bias`, `[state_size]`, by `_build_state`.

    Arguments as for `ValueByValue`.
    """

    def _build_state(self, size, kernel_initializer, bias_initializer="zeros"):
        self.kernel = self.add_weight(
            name="kernel", shape=(self.num_dims, size), initializer=kernel_initializer
        )
        self.bias = self.add_weight(name="bias", shape=(size,), initializer=bias_initializer)
        self.condition_layer = None
        if self.features_shape is not None:
            self.condition_layer = keras.layers.Dense(
                size, use_bias=False, name="condition", dtype=self.variable_dtype
            )
            self.condition_layer.build(self.features_shape)

    def _start(self, features):
        """State before the first value: `[batch, size]`, or `[1, size]` without a condition."""
        bias = tf.convert_to_tensor(self.bias)[None]
        return bias if features is None else bias + self.condition_layer(features)

    def _product(self, hidden, kernel):
        """Product with a kernel in the networks' dtype. Sums are kept in the weights'."""
        product = tf.matmul(*(tf.cast(value, self.compute_dtype) for value in (hidden, kernel)))
        return tf.cast(product, self.variable_dtype)


class Remembering(Summing):
    """`Summing` in one fixed order. A subclass implements `_params` and `_params_at`, both of
    values in the order.

    Args:
        event_shape: shape of one example.
        order: of the values, flattened: `"natural"`, `"reverse"`, `"random"` (drawn once and saved
            with the model) or the list of their indices from the first to the last.
        **kwargs: `ValueByValue` arguments.
    """

    def __init__(self, event_shape, order="natural", **kwargs):
        super().__init__(event_shape, **kwargs)
        self.order = checks.as_order(order, "order", ("natural", "reverse", "random"))

    def _build_state(self, size, kernel_initializer, bias_initializer="zeros"):
        self._order = add_order(self, self.order, "order", self.num_dims)
        super()._build_state(size, kernel_initializer, bias_initializer)

    def _params_at(self, state, i):
        """Outputs for the value at place `i`, `[batch, num_params]`, given the state there."""
        raise NotImplementedError

    def _in_order(self, values):
        """Values, `[batch, D, ...]`, as the order has them."""
        return values if self.order == "natural" else tf.gather(values, self._order, axis=1)

    def _out_of_order(self, values):
        if self.order == "natural":
            return values
        drawn = self.order == "random"
        places = tf.argsort(self._order) if drawn else np.argsort(self._order)
        return tf.gather(values, places, axis=1)

    def _values(self, x):
        """`ValueByValue`'s values, in the order."""
        return self._in_order(super()._values(x))

    def _events(self, values):
        return super()._events(self._out_of_order(values))

    # --- hooks ----------------------------------------------------------------

    def _generate(self, noise, condition, temperature):
        noise = tf.transpose(self._in_order(noise), [1, 0, 2])
        kernel = tf.convert_to_tensor(self.kernel)
        num_rows, size = tf.shape(noise)[1], kernel.shape[-1]
        state = self._start(self._features(condition))
        state += tf.zeros([num_rows, size], state.dtype)
        dtype = self.variable_dtype if self.data_kind == "real" else tf.uint8
        drawn = tf.TensorArray(dtype, self.num_dims, element_shape=[None, 1])

        def step(i, state, drawn):
            value = self.element.sample(noise[i], self._params_at(state, i), temperature)
            # The value, for each row, times the row of the kernel.
            state += self.element.inputs(value) * kernel[i]
            return i + 1, state, drawn.write(i, value)

        start = (tf.constant(0), state, drawn)
        _, _, drawn = tf.while_loop(lambda i, *_: i < self.num_dims, step, start)
        return self._events(tf.transpose(drawn.stack()[..., 0]))

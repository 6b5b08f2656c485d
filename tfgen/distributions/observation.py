"""Observation models: the distribution of an example given features from a decoder."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions.elements import Bernoulli
from tfgen.distributions.elements import OutputDistribution
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.part import Configured
from tfgen.utils.part import Part


class Observation(Part):
    """Observation model `p(x|z)`, of examples given a decoder's features.

    `build` gets the shape of the features, `[None, size]` or `[None, height, width, channels]`
    (None without a decoder), and that of an example. A subclass implements `inputs`, `log_prob`,
    `noise` and `sample`. Arguments of the constructor are saved with the model; `get_config` need
    not be written.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        data_kind: `"real"`, `"binary"` or `"uint8"`.
        num_bits: bits of a value of uint8 data.
        dequantises: True if `log_prob` takes noise that dequantises the data, and is then a lower
            bound.
        reparameterized: True if there is `rsample`, whose draws have a gradient.
        in_units: True if it has numbers in the units of real data, such as a standard deviation
            that was given; others see data standardised, by the model that has them.
        event_shape: shape of an example, once built.

    Raises:
        NotImplementedError: a call of a method that a subclass lacks.

    >>> import numpy as np, tensorflow as tf, tfgen
    >>> from tfgen.utils.random import row_normal
    >>> class UnitNormal(tfgen.distributions.Observation):
    ...     def inputs(self, x):
    ...         return tf.cast(x, self.variable_dtype)
    ...     def log_prob(self, x, features, noise=None):
    ...         return -0.5 * tf.reduce_sum((x - features) ** 2 + np.log(2 * np.pi), -1)
    ...     def noise(self, seed, start, num_rows):
    ...         return row_normal(seed, start, num_rows, self.event_shape, self.variable_dtype)
    ...     def sample(self, noise, features, temperature=1.0):
    ...         return features + temperature * noise
    >>> observation = UnitNormal()
    >>> observation.build((None, 2), (2,))
    >>> x = observation.inputs([[0, 0]])
    >>> [round(float(v), 4) for v in observation.log_prob(x, features=x)]
    [-1.8379]
    >>> observation.sample(observation.noise([0, 0], 0, 3), tf.zeros([3, 2])).shape
    TensorShape([3, 2])
    """

    data_kind = "real"
    num_bits = 8
    dequantises = False
    reparameterized = False
    in_units = True

    def build(self, features_shape, event_shape):
        self.event_shape = tuple(event_shape)

    def compute_output_shape(self, features_shape, event_shape):
        return (None, *event_shape)

    def inputs(self, x):
        """Examples as an encoder sees them: real, of order 1."""
        raise NotImplementedError

    def log_prob_noise(self, seed, start, num_rows):
        """Noise that `log_prob` takes for rows `start` to `start + num_rows`, or None.

        Args:
            seed: two integers.
            start: number of the first row.
            num_rows: number of rows.
        """
        return None

    def log_prob(self, x, features, noise=None):
        """Log-probabilities `[batch]`, nats, or a lower bound of them.

        Args:
            x: examples in the data's type, `[batch, *event_shape]`.
            features: `[batch, size]` or `[batch, height, width, channels]`; None where there is no
                decoder.
            noise: as `log_prob_noise` gives it.
        """
        raise NotImplementedError

    def noise(self, seed, start, num_rows):
        """Noise that `sample` turns into draws of rows `start` to `start + num_rows`.

        Args:
            seed: two integers.
            start: number of the first row.
            num_rows: number of rows.
        """
        raise NotImplementedError

    def sample(self, noise, features, temperature=1.0):
        """Draws `[batch, *event_shape]` in the data's type.

        Args:
            noise: as `noise` gives it.
            features: as for `log_prob`.
            temperature: factor of the standard deviation of a value, or what comes nearest to that.
        """
        raise NotImplementedError

    def dequantised(self, x, noise):
        """Examples as a critic sees them: reals of order 1, `[batch, *event_shape]`.

        Args:
            x: examples in the data's type.
            noise: as `log_prob_noise` gives it, which dequantises integers.
        """
        return self.inputs(x)

    def rsample(self, noise, features, temperature=1.0):
        """Draws on the scale of `dequantised`, not rounded, with a gradient of the features.

        Args:
            noise: as `noise` gives it.
            features: as for `log_prob`.
            temperature: as for `sample`.

        Raises:
            NotImplementedError: draws have no gradient (`reparameterized` is False).
        """
        raise NotImplementedError(f"draws of a {type(self).__name__} have no gradient")

    def decode(self, noise, features):
        """Mean of `p(x|z)` in the data's type, or near it; a draw where that is not known.

        Args:
            noise: as `noise` gives it.
            features: as for `log_prob`.
        """
        return self.sample(noise, features)

    def adapt(self, x, noise):
        """Initialises bijectors from data: one batch and its `log_prob_noise`.

        Args:
            x: examples in the data's type, `[batch, *event_shape]`.
            noise: as `log_prob_noise` gives it.
        """


@keras.saving.register_keras_serializable(package="tfgen")
class Factorised(Observation):
    """Observation model of values that are independent given the features, but within a pixel.

    Args:
        element: `OutputDistribution`, of the values at one position; by default `Bernoulli`.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: a vector has one value at each position, an image its channels.

    Raises:
        ValueError: an `element` that is no `OutputDistribution`; on `build`, features of another
            shape.

    >>> import numpy as np, tfgen
    >>> observation = tfgen.distributions.Factorised(tfgen.distributions.Bernoulli())
    >>> observation.build((None, 4), (8, 8, 1))
    >>> x = np.zeros((2, 8, 8, 1), "uint8")
    >>> observation.log_prob(x, np.zeros((2, 4), "float32")).shape
    TensorShape([2])
    """

    def __init__(self, element=None, **kwargs):
        super().__init__(**kwargs)
        if element is None:
            element = Bernoulli(dtype=self.dtype_policy)
        self.element = checks.check_instance(element, OutputDistribution, "element")
        self.data_kind = self.element.data_kind
        self.num_bits = self.element.num_bits
        self.reparameterized = self.element.reparameterized
        self.in_units = self.element.in_units

    def build(self, features_shape, event_shape):
        super().build(features_shape, event_shape)
        self._shape = positions_shape(self.event_shape)
        build_once(self.element, (None, *self._shape))
        self.head = PositionHead(
            self._shape[:-1], self.element.num_params(self._shape[-1]), dtype=self.dtype_policy
        )
        self.head.build(features_shape)

    def inputs(self, x):
        return self.element.inputs(x)

    def _params(self, features):
        return tf.cast(self.head(features), self.variable_dtype)

    def _positions(self, x):
        return tf.reshape(x, [-1, *self._shape])

    def _events(self, x):
        return tf.reshape(x, [-1, *self.event_shape])

    def log_prob(self, x, features, noise=None):
        value = self.element.log_prob(self._positions(x), self._params(features))
        return tf.reduce_sum(value, list(range(1, value.shape.rank)))

    def noise(self, seed, start, num_rows):
        return self.element.noise(seed, start, num_rows, self._shape)

    def sample(self, noise, features, temperature=1.0):
        return self._events(self.element.sample(noise, self._params(features), temperature))

    def rsample(self, noise, features, temperature=1.0):
        if not self.reparameterized:
            return super().rsample(noise, features, temperature)
        return self.sample(noise, features, temperature)

    def mean(self, features):
        """Means `[batch, *event_shape]`, reals in the data's units, or near them.

        Args:
            features: as for `log_prob`.

        >>> import numpy as np, tfgen
        >>> observation = tfgen.distributions.Factorised(tfgen.distributions.Bernoulli())
        >>> observation.build((None, 4), (3,))
        >>> observation.mean(np.zeros((1, 4), "float32")).numpy().tolist()
        [[0.5, 0.5, 0.5]]
        """
        return self._events(self.element.mean(self._params(features)))

    def decode(self, noise, features):
        return self.element.to_data(self.mean(features))


@keras.saving.register_keras_serializable(package="tfgen")
class PositionHead(Configured):
    """Output layer from features to parameters at each position.

    Of an image of features it is a 1x1 convolution, of a vector of them a dense layer. It starts at
    small weights.

    Args:
        positions: sides of the positions, such as `[height, width]`.
        num_params: number of parameters at each.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: `[batch, size]` or `[batch, *positions, channels]` ->
    `[batch, *positions, num_params]`.

    Raises:
        ValueError: on `build`, features of another shape.
    """

    def __init__(self, positions, num_params, **kwargs):
        super().__init__(**kwargs)
        self.positions, self.num_params = tuple(positions), num_params

    def build(self, input_shape):
        everywhere = tuple(input_shape[1:-1]) == self.positions
        if not everywhere and len(input_shape) != 2:
            raise ValueError(
                f"`decoder` must give features [batch, size] or [batch, "
                f"{', '.join(map(str, self.positions))}, channels]; got {list(input_shape)}"
            )
        units = self.num_params if everywhere else self.num_params * int(np.prod(self.positions))
        small = keras.initializers.VarianceScaling(0.1)
        self.layer = keras.layers.Dense(units, kernel_initializer=small, dtype=self.dtype_policy)
        self.layer.build(input_shape)

    def call(self, inputs):
        return tf.reshape(self.layer(inputs), [-1, *self.positions, self.num_params])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.positions, self.num_params)


def positions_shape(event_shape):
    """Shape of an event with an axis of channels: a vector has one value at each position."""
    return (*event_shape, 1) if len(event_shape) == 1 else tuple(event_shape)

"""Observation models: the distribution of an example given features from a decoder."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions.elements import Bernoulli
from tfgen.distributions.elements import Element
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.part import Part


class Observation(Part):
    """`p(x|z)`, of examples given a decoder's features.

    `build` gets the shape of the features, `[None, size]` or `[None, height, width, channels]`, and
    that of an example. A subclass implements the methods.

    Attributes:
        data_kind: `"real"`, `"binary"` or `"uint8"`.
        num_bits: of a value of uint8 data.
        bounds: whether `log_prob` is a lower bound that takes noise (dequantised data).
        reparametrised: whether there is `draw`, which has a gradient.
    """

    data_kind = "real"
    num_bits = 8
    bounds = False
    reparametrised = False

    def build(self, features_shape, event_shape):
        self.event_shape = tuple(event_shape)

    def inputs(self, x):
        """Examples as an encoder sees them: real, of order 1."""
        raise NotImplementedError

    def log_prob_noise(self, seed, start, num_rows):
        """What `log_prob` takes for rows `start` to `start + num_rows`, or None."""
        return None

    def log_prob(self, x, features, noise=None):
        """`[batch]`, nats; features may be None where there is no decoder."""
        raise NotImplementedError

    def noise(self, seed, start, num_rows):
        """What `sample` turns into draws for rows `start` to `start + num_rows`."""
        raise NotImplementedError

    def sample(self, noise, features, temperature=1.0):
        """Draws `[batch, *event_shape]` in the data's type."""
        raise NotImplementedError

    def reals(self, x, noise):
        """Examples as a critic sees them: reals of order 1; integers dequantised with the noise
        of `log_prob_noise`."""
        return self.inputs(x)

    def draw(self, noise, features, temperature=1.0):
        """Draws as of `reals`, not rounded, with a gradient of the features."""
        raise NotImplementedError(f"draws of a {type(self).__name__} have no gradient")

    def decode(self, noise, features):
        """What is shown of `p(x|z)`: its mean in the data's type, or near it; a draw where that is
        not known."""
        return self.sample(noise, features)

    def adapt(self, x, noise):
        """Data-dependent initialisation of bijectors, from one batch and its `log_prob_noise`."""


@keras.saving.register_keras_serializable(package="tfgen")
class Factorised(Observation):
    """Values that are independent given the features, but for those of one pixel.

    Args:
        element: `Element`, the distribution of the values at one position.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: a vector has one value at each position, an image its channels.

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
        self.element = checks.check_instance(element, Element, "element")
        self.data_kind = self.element.data_kind
        self.num_bits = self.element.num_bits
        self.reparametrised = self.element.reparametrised

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

    def draw(self, noise, features, temperature=1.0):
        if not self.reparametrised:
            return super().draw(noise, features, temperature)
        return self.sample(noise, features, temperature)

    def mean(self, features):
        """`[batch, *event_shape]`, in the data's units: as of the element."""
        return self._events(self.element.mean(self._params(features)))

    def decode(self, noise, features):
        return self.element.to_data(self.mean(features))

    def get_config(self):
        element = keras.saving.serialize_keras_object(self.element)
        return {**super().get_config(), "element": element}


@keras.saving.register_keras_serializable(package="tfgen")
class PositionHead(keras.layers.Layer):
    """Output layer from features to parameters at each position.

    From an image of features a 1x1 convolution, from a vector of them a dense layer. It starts at
    small weights.
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


def positions_shape(event_shape):
    """The event with an axis of channels: a vector has one value at each position."""
    return (*event_shape, 1) if len(event_shape) == 1 else tuple(event_shape)

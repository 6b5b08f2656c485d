"""Units of energy models: distributions of single values given a linear field.

All are exponential families: the density of a value `v` is proportional to
`exp(field * inputs(v) - precision * v^2 / 2)`, with a precision of normal units alone.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.utils.random import row_uniform


class Units:
    """Units of one layer.

    Args:
        size: number of values.

    Attributes:
        num_fields: number of fields, those of a value one after the other.
        num_states: number of states of a value; None for reals.
    """

    num_states = 2

    def __init__(self, size):
        self.size = self.num_fields = size

    def inputs(self, values):
        """Statistics that the fields are multiplied by, `[..., num_fields]`."""
        return values

    def log_normaliser(self, field, precision=None):
        """The logarithm of the sum or integral over all values, `[...]`."""
        return tf.reduce_sum(tf.nn.softplus(field), -1)

    def quadratic(self, values, precision=None):
        """The quadratic term that their log-density loses, `[...]`."""
        return 0.0

    def log_prob(self, values, field, precision=None):
        """Log-density of values, `[...]`."""
        linear = tf.reduce_sum(self.inputs(values) * field, -1)
        own = linear - self.quadratic(values, precision)
        return own - self.log_normaliser(field, precision)

    def mean(self, field, precision=None):
        """Mean of `inputs`."""
        return tf.sigmoid(field)

    def draw(self, uniform, field, precision=None, temperature=1.0):
        """Values of uniform noise, `[..., size]`; of `exp(field)` to the inverse temperature."""
        # Not a division: 0 is a temperature.
        odds = tf.math.log(uniform) - tf.math.log1p(-uniform)
        return tf.cast(field > temperature * odds, field.dtype)

    def sample(self, seed, start, field, precision=None, temperature=1.0):
        """Values for rows `start` and on, with noise of their own."""
        tiny = 1e-7
        noise = row_uniform(seed, start, tf.shape(field)[0], (self.size,), field.dtype)
        noise = tf.clip_by_value(noise, tiny, 1 - tiny)
        return self.draw(noise, field, precision, temperature)


class Bernoulli(Units):
    """Units that are 0 or 1."""


class Rectified(Units):
    """Non-negative units, normal with variance 1 about their field and truncated at 0.

    Su et al. 2017, "Unsupervised Learning with Truncated Gaussian Graphical Models",
    arXiv:1611.04920: their mean is a smooth rectified linear function of the field, and unlike the
    noisy units of Nair and Hinton 2010 they have an energy.
    """

    num_states = None

    def quadratic(self, values, precision=None):
        return 0.5 * tf.reduce_sum(values**2, -1)

    def log_normaliser(self, field, precision=None):
        # The integral of exp(field v - v^2 / 2) over v > 0.
        log_cdf = _log_ndtr(field)
        return tf.reduce_sum(0.5 * field**2 + log_cdf + 0.5 * math.log(2 * math.pi), -1)

    def mean(self, field, precision=None):
        log_density = -0.5 * field**2 - 0.5 * math.log(2 * math.pi)
        return tf.maximum(field + tf.exp(log_density - _log_ndtr(field)), 0.0)

    def draw(self, uniform, field, precision=None, temperature=1.0):
        # A temperature widens the normal distribution by its square root; its peak stays.
        deviation = tf.sqrt(tf.cast(temperature, field.dtype))
        scaled = field / tf.maximum(deviation, 1e-6)
        # By the upper tail, which keeps its digits where nearly all mass is cut off.
        tail = _log_ndtr(scaled) + tf.math.log(uniform)
        near = -tf.math.ndtri(tf.clip_by_value(tf.exp(tail), 1e-37, 1 - 1e-7))
        far = tf.sqrt(tf.maximum(scaled**2 - 2 * tf.math.log(uniform), 0.0))
        noise = tf.where(scaled < -10.0, far, near)
        drawn = tf.maximum(field + deviation * noise, 0.0)
        return tf.where(deviation > 0, drawn, tf.maximum(field, 0.0))


class Normal(Units):
    """Normal units, of a precision for each value."""

    num_states = None

    def quadratic(self, values, precision=None):
        return 0.5 * tf.reduce_sum(precision * values**2, -1)

    def log_normaliser(self, field, precision=None):
        logs = tf.math.log(precision / (2 * math.pi))
        return 0.5 * tf.reduce_sum(field**2 / precision - logs, -1)

    def mean(self, field, precision=None):
        return field / precision

    def draw(self, uniform, field, precision=None, temperature=1.0):
        deviation = tf.sqrt(tf.cast(temperature, field.dtype) / precision)
        return field / precision + deviation * tf.math.ndtri(uniform)


class Categorical(Units):
    """Units of several states, `0` to `num_states - 1`, with a field for each.

    Args:
        size: number of values.
        num_states: number of states of each.
    """

    def __init__(self, size, num_states):
        super().__init__(size)
        self.num_states, self.num_fields = num_states, size * num_states

    def inputs(self, values):
        hot = tf.one_hot(tf.cast(values, tf.int32), self.num_states, dtype=values.dtype)
        return self._flat(hot)

    def log_normaliser(self, field, precision=None):
        return tf.reduce_sum(tf.reduce_logsumexp(self._by_value(field), -1), -1)

    def mean(self, field, precision=None):
        return self._flat(tf.nn.softmax(self._by_value(field), -1))

    def draw(self, uniform, field, precision=None, temperature=1.0):
        return tf.cast(categories(uniform, self._by_value(field), temperature), field.dtype)

    def _by_value(self, field):
        return tf.reshape(field, [*tf.unstack(tf.shape(field)[:-1]), self.size, self.num_states])

    def _flat(self, values):
        return tf.reshape(values, [*tf.unstack(tf.shape(values)[:-2]), self.num_fields])


class Pooled(Units):
    """Units of maps in blocks, of which one at most is 1: probabilistic max-pooling (Lee et al.
    2009, section 3.3).

    Args:
        shape: height, width and number of the maps.
        pool_size: side of a block.
    """

    # Those of a unit hang on its block's.
    num_states = None

    def __init__(self, shape, pool_size):
        super().__init__(math.prod(shape))
        self.shape, self.pool_size = tuple(shape), pool_size

    def log_normaliser(self, field, precision=None):
        return tf.reduce_sum(tf.reduce_logsumexp(self._states(field), -1), -1)

    def mean(self, field, precision=None):
        return self._flat(tf.nn.softmax(self._states(field), -1)[..., 1:])

    def pooled(self, field):
        """Probabilities that a block has a unit that is 1, `[batch, height, width, maps]`."""
        height, width, maps = self.shape
        on = 1 - tf.nn.softmax(self._states(field), -1)[..., 0]
        return tf.reshape(on, [-1, height // self.pool_size, width // self.pool_size, maps])

    def draw(self, uniform, field, precision=None, temperature=1.0):
        drawn = categories(uniform, self._states(field), temperature)
        one_hot = tf.one_hot(drawn, self.pool_size**2 + 1, dtype=field.dtype)
        return self._flat(one_hot[..., 1:])

    def sample(self, seed, start, field, precision=None, temperature=1.0):
        blocks = self.size // self.pool_size**2
        noise = row_uniform(seed, start, tf.shape(field)[0], (blocks,), field.dtype)
        return self.draw(noise, field, precision, temperature)

    def _states(self, field):
        """Fields of the states of each block: none is 1, or one of them."""
        (height, width, maps), side = self.shape, self.pool_size
        field = tf.reshape(field, [-1, height // side, side, width // side, side, maps])
        field = tf.transpose(field, [0, 1, 3, 5, 2, 4])
        field = tf.reshape(field, [-1, self.size // side**2, side**2])
        return tf.pad(field, [[0, 0], [0, 0], [1, 0]])

    def _flat(self, values):
        (height, width, maps), side = self.shape, self.pool_size
        values = tf.reshape(values, [-1, height // side, width // side, maps, side, side])
        return tf.reshape(tf.transpose(values, [0, 1, 4, 2, 5, 3]), [-1, self.size])


def categories(uniform, fields, temperature=1.0):
    """Numbers of categories drawn by uniform noise, of `softmax(fields / temperature)`.

    Args:
        uniform: `[...]`.
        fields: `[..., categories]`.
        temperature: 0 for the likeliest.

    Returns:
        int32 tensor `[...]`.
    """
    cold = tf.cast(temperature, fields.dtype) <= 0
    scaled = fields / tf.where(cold, tf.ones([], fields.dtype), temperature)
    # The one at which the distribution function passes the noise.
    below = tf.cumsum(tf.nn.softmax(scaled, -1), -1)[..., :-1] < uniform[..., None]
    drawn = tf.reduce_sum(tf.cast(below, tf.int32), -1)
    return tf.where(cold, tf.argmax(fields, -1, output_type=tf.int32), drawn)


def _log_ndtr(x):
    """Logarithm of the normal distribution function."""
    return tfp.math.logerfc(-x * math.sqrt(0.5)) - math.log(2.0)

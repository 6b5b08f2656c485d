"""Discrete units: values of 0 and 1, and one-hot vectors, their draws and their relaxations."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions.elements import OutputDistribution


def _open(noise):
    """Noise within (0, 1)."""
    return tf.clip_by_value(noise, 1e-7, 1 - 1e-7)


def _logistic(noise):
    noise = _open(noise)
    return tf.math.log(noise) - tf.math.log1p(-noise)


def _gumbel(noise):
    return -tf.math.log(-tf.math.log(_open(noise)))


class BinaryUnits:
    """Independent values 0 and 1, whose parameters are the logits of 1.

    Noise is uniform, of the shape of the values, and a draw and its relaxation are of the same
    logistic noise: the former is what the latter rounds to.

    Args:
        size: number of values.

    >>> import tensorflow as tf
    >>> units, logits = BinaryUnits(2), tf.constant([[0.0, 3.0]])
    >>> noise = tf.constant([[0.9, 0.5]])
    >>> value = units.sample(noise, logits)
    >>> value.numpy().tolist(), units.relaxed(noise, logits, 0.1).numpy().round(3).tolist()
    ([[1.0, 1.0]], [[1.0, 1.0]])
    >>> round(float(units.log_prob(value, logits)[0]), 3), units.states().shape
    (-0.742, (4, 2))
    """

    def __init__(self, size):
        self.size = self.num_choices = size

    def sample(self, noise, logits, temperature=1.0):
        """Draws, of which a temperature of 0 gives the likeliest."""
        moved = logits + tf.cast(temperature, logits.dtype) * _logistic(noise)
        return tf.cast(moved > 0, logits.dtype)

    def relaxed(self, noise, logits, temperature):
        """Draws within (0, 1), that have a gradient of the logits (Maddison et al. 2017, "The
        Concrete Distribution", arXiv:1611.00712, eq. 16)."""
        return tf.sigmoid((logits + _logistic(noise)) / tf.cast(temperature, logits.dtype))

    def mean(self, logits):
        """Probabilities of 1."""
        return tf.sigmoid(logits)

    def log_prob(self, values, logits):
        """Log-probability of all values, `[batch]`; of relaxed ones the same formula."""
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(values, logits), -1)

    def inputs(self, values):
        """Values as a network sees them."""
        return 2 * values - 1

    def states(self):
        """All states, `[2 ** size, size]`."""
        return np.array(list(itertools.product((0.0, 1.0), repeat=self.size)))


class OneHotUnits:
    """Independent categories, as one-hot vectors side by side.

    Args:
        groups: number of categories that are drawn.
        categories: number of values of each.

    >>> import tensorflow as tf
    >>> units, logits = OneHotUnits(1, 3), tf.constant([[0.0, 0.0, 3.0]])
    >>> noise = tf.constant([[0.5, 0.5, 0.5]])
    >>> value = units.sample(noise, logits)
    >>> value.numpy().tolist(), units.relaxed(noise, logits, 0.1).numpy().round(3).tolist()
    ([[0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]])
    >>> round(float(units.log_prob(value, logits)[0]), 3), units.states().shape
    (-0.095, (3, 3))
    """

    def __init__(self, groups, categories):
        self.groups, self.categories = groups, categories
        self.size, self.num_choices = groups * categories, groups * np.log2(categories)

    def _apart(self, values):
        return tf.reshape(values, [-1, self.groups, self.categories])

    def _joined(self, values):
        return tf.reshape(values, [-1, self.size])

    def sample(self, noise, logits, temperature=1.0):
        """Draws, of which a temperature of 0 gives the likeliest."""
        moved = logits + tf.cast(temperature, logits.dtype) * _gumbel(noise)
        chosen = tf.argmax(self._apart(moved), -1)
        return self._joined(tf.one_hot(chosen, self.categories, dtype=logits.dtype))

    def relaxed(self, noise, logits, temperature):
        """Draws within the simplex, that have a gradient of the logits (Jang et al. 2017,
        "Categorical Reparameterization with Gumbel-Softmax", arXiv:1611.01144, eq. 2)."""
        moved = (logits + _gumbel(noise)) / tf.cast(temperature, logits.dtype)
        return self._joined(tf.nn.softmax(self._apart(moved)))

    def mean(self, logits):
        """Probabilities of the categories."""
        return self._joined(tf.nn.softmax(self._apart(logits)))

    def log_prob(self, values, logits):
        """Log-probability of all categories, `[batch]`; of relaxed ones the same formula."""
        logs = tf.nn.log_softmax(self._apart(logits))
        return tf.reduce_sum(self._apart(values) * logs, [-2, -1])

    def inputs(self, values):
        """Values as a network sees them."""
        return values

    def states(self):
        """All states, `[categories ** groups, size]`."""
        each = itertools.product(np.eye(self.categories), repeat=self.groups)
        return np.array([np.concatenate(state) for state in each])


@keras.saving.register_keras_serializable(package="tfgen")
class OneHot(OutputDistribution):
    """One category at each position, as a one-hot vector over the channels; the outputs are logits.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> element = tfgen.distributions.OneHot()
    >>> logits = np.log([[0.25, 0.75]]).astype("float32")
    >>> element.mean(logits).numpy().round(3).tolist()
    [[0.25, 0.75]]
    >>> [round(float(v), 4) for v in element.log_prob(np.array([[1, 0]]), logits)]
    [-1.3863]
    >>> element.to_data(np.array([[0.2, 0.8]])).numpy().tolist()
    [[0, 1]]
    """

    data_kind = "binary"

    def num_params(self, channels):
        return channels

    def log_prob(self, x, params):
        return tf.reduce_sum(tf.cast(x, params.dtype) * tf.nn.log_softmax(params), -1)

    def sample(self, noise, params, temperature=1.0):
        return self.to_data(params + tf.cast(temperature, params.dtype) * _gumbel(noise))

    def mean(self, params):
        return tf.nn.softmax(params)

    def to_data(self, mean):
        mean = tf.convert_to_tensor(mean)
        return tf.one_hot(tf.argmax(mean, -1), mean.shape[-1], dtype=tf.uint8)


def all_states(units):
    """All states of several units together, `[states, sizes]`.

    Raises:
        ValueError: there are more than 2 ** 16.

    >>> all_states([BinaryUnits(1), OneHotUnits(1, 3)]).shape
    (6, 4)
    """
    choices = sum(unit.num_choices for unit in units)
    if choices > 16 + 1e-6:
        raise ValueError(
            f"enumeration is of up to 2 ** 16 states of the latents; got 2 ** {choices:.6g}"
        )
    each = itertools.product(*(unit.states() for unit in units))
    return np.array([np.concatenate(state) for state in each])

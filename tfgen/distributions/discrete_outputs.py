"""Binary and categorical values whose draws have a gradient."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions.observation import Observation
from tfgen.distributions.observation import PositionHead
from tfgen.distributions.observation import positions_shape
from tfgen.utils import checks
from tfgen.utils.random import row_uniform

ESTIMATORS = ("straight_through", "gumbel")


@keras.saving.register_keras_serializable(package="tfgen")
class DiscreteOutputs(Observation):
    """Observation model of independent values 0 and 1, or of categories as one-hot vectors, whose
    draws have a gradient for a critic's to pass through.

    A draw is the sign of logit plus noise, or the place of the largest such sum; relaxed, it is
    their sigmoid or softmax by a temperature (Jang et al. 2017, "Categorical Reparameterization
    with Gumbel-Softmax", arXiv:1611.01144, eq. 2; Maddison et al. 2017, "The Concrete
    Distribution", arXiv:1611.00712).

    Args:
        estimator: `"straight_through"`: `rsample` gives draws, with the gradient of relaxed ones
            (Jang et al., section 2.2); `"gumbel"`: it gives the relaxed ones themselves, between 0
            and 1, which a critic can tell from data the better the higher the temperature.
        relaxation: the temperature, above 0.
        num_categories: size of the one-hot vectors that the last axis of an example is divided
            into; None for values 0 and 1.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `estimator`, a temperature of 0; on `build`, examples whose last axis is
            no multiple of `num_categories`.

    >>> import numpy as np, tfgen
    >>> outputs = tfgen.distributions.DiscreteOutputs(num_categories=3)
    >>> outputs.build((None, 4), (6,))
    >>> features = np.zeros((2, 4), "float32")
    >>> x = outputs.sample(outputs.noise([0, 0], 0, 2), features)
    >>> x.numpy().reshape(2, 2, 3).sum(-1).tolist()
    [[1, 1], [1, 1]]
    >>> [round(float(v), 4) for v in outputs.log_prob(x, features)]  # two of three categories
    [-2.1972, -2.1972]
    """

    data_kind = "binary"
    reparameterized = True

    def __init__(
        self, estimator="straight_through", relaxation=2 / 3, num_categories=None, **kwargs
    ):
        super().__init__(**kwargs)
        if estimator not in ESTIMATORS:
            raise ValueError(f"`estimator` must be one of {list(ESTIMATORS)}; got {estimator!r}")
        self.estimator = estimator
        self.relaxation = checks.check_positive(relaxation, "relaxation")
        if num_categories is not None:
            num_categories = checks.check_int(num_categories, "num_categories", 2, 2**31 - 1)
        self.num_categories = num_categories

    def build(self, features_shape, event_shape):
        super().build(features_shape, event_shape)
        if self.num_categories and self.event_shape[-1] % self.num_categories:
            raise ValueError(
                f"`event_shape` must end in a multiple of num_categories={self.num_categories}; "
                f"got {list(self.event_shape)}"
            )
        *positions, channels = positions_shape(self.event_shape)
        self.head = PositionHead(positions, channels, dtype=self.dtype_policy)
        self.head.build(features_shape)

    def inputs(self, x):
        return 2 * tf.cast(x, self.variable_dtype) - 1

    def _grouped(self, values):
        """Values `[batch, ..., groups, categories]`."""
        last = self.event_shape[-1] // self.num_categories
        return tf.reshape(values, [-1, *self.event_shape[:-1], last, self.num_categories])

    def _events(self, values):
        return tf.reshape(values, [-1, *self.event_shape])

    def _logits(self, features):
        return self._events(tf.cast(self.head(features), self.variable_dtype))

    def log_prob(self, x, features, noise=None):
        x, logits = tf.cast(x, self.variable_dtype), self._logits(features)
        if self.num_categories:
            x = self._grouped(x)
            value = tf.reduce_sum(x * tf.nn.log_softmax(self._grouped(logits)), -1)
            value = tf.where(tf.reduce_sum(x, -1) == 1, value, -np.inf)
        else:
            value = -tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
        return tf.reduce_sum(value, list(range(1, value.shape.rank)))

    def noise(self, seed, start, num_rows):
        return row_uniform(seed, start, num_rows, self.event_shape, self.variable_dtype)

    def _perturbed(self, noise, features, temperature):
        """Logits plus noise, whose signs or largest ones are draws."""
        least = np.finfo("float32").tiny
        noise = tf.math.log(noise + least), tf.math.log1p(-noise)
        gumbel = -tf.math.log(-noise[0] + least)
        added = gumbel if self.num_categories else noise[1] - noise[0]
        return self._logits(features) + tf.cast(temperature, added.dtype) * added

    def _drawn(self, perturbed):
        if not self.num_categories:
            return tf.cast(perturbed > 0, tf.uint8)
        largest = tf.argmax(self._grouped(perturbed), -1)
        return self._events(tf.one_hot(largest, self.num_categories, dtype=tf.uint8))

    def sample(self, noise, features, temperature=1.0):
        return self._drawn(self._perturbed(noise, features, temperature))

    def rsample(self, noise, features, temperature=1.0):
        perturbed = self._perturbed(noise, features, temperature)
        relaxed = perturbed / self.relaxation
        if self.num_categories:
            relaxed = self._events(tf.nn.softmax(self._grouped(relaxed)))
        else:
            relaxed = tf.sigmoid(relaxed)
        if self.estimator == "straight_through":
            drawn = tf.cast(self._drawn(perturbed), relaxed.dtype)
            relaxed += tf.stop_gradient(drawn - relaxed)
        return 2 * relaxed - 1

    def decode(self, noise, features):
        return self._drawn(self._logits(features))

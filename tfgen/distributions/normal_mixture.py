"""Mixture of normal distributions of the values at one position."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions.elements import OutputDistribution
from tfgen.utils import checks
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_normal
from tfgen.utils.random import row_uniform

# The least log-scale, as `Normal` has it.
_LEAST = -5.0


@keras.saving.register_keras_serializable(package="tfgen")
class NormalMixture(OutputDistribution):
    """Mixture of normal distributions of reals, whose weights, locations and scales are outputs.

    From Uria et al. 2013, "RNADE: The real-valued neural autoregressive density-estimator",
    arXiv:1306.0186. A component is chosen for a position; its channels are independent. Outputs of
    0 are locations that are spread from -1 to 1, so that components do not start alike.

    Args:
        num_mixtures: number of components.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a number that is not positive.

    >>> import numpy as np, tfgen
    >>> element = tfgen.distributions.NormalMixture(num_mixtures=2)
    >>> element.num_params(1), element.num_noise(1)
    (6, 3)
    >>> element.mean(np.zeros((1, 6), "float32")).numpy().tolist()
    [[0.0]]
    """

    in_units = False

    def __init__(self, num_mixtures=10, **kwargs):
        super().__init__(**kwargs)
        self.num_mixtures = checks.check_count(num_mixtures, "num_mixtures")

    def num_params(self, channels):
        # Logits; locations, log-scales.
        return self.num_mixtures * (1 + 2 * channels)

    def num_noise(self, channels):
        return self.num_mixtures + channels

    def noise(self, seed, start, num_rows, shape):
        *positions, channels = shape
        choice = row_uniform(
            seed, start, num_rows, (*positions, self.num_mixtures), self.variable_dtype
        )
        normal = row_normal(fold_in(seed, 1000), start, num_rows, shape, self.variable_dtype)
        return tf.concat([choice, normal], -1)

    def _split(self, params):
        """Logits `[..., k]`, locations and log-scales `[..., channels, k]`, for k components."""
        k = self.num_mixtures
        logits, rest = params[..., :k], params[..., k:]
        rest = tf.reshape(rest, [*tf.unstack(tf.shape(rest))[:-1], rest.shape[-1] // k, k])
        loc, log_scale = tf.split(rest, 2, -2)
        spread = np.linspace(-1, 1, k) if k > 1 else np.zeros(1)
        loc += tf.constant(spread, loc.dtype)
        return logits, loc, _LEAST + tf.nn.softplus(log_scale - _LEAST)

    def log_prob(self, x, params):
        logits, loc, log_scale = self._split(params)
        standard = (tf.cast(x, params.dtype)[..., None] - loc) * tf.exp(-log_scale)
        each = -0.5 * standard**2 - log_scale - 0.5 * np.log(2 * np.pi)
        return tf.reduce_logsumexp(tf.reduce_sum(each, -2) + tf.nn.log_softmax(logits), -1)

    def sample(self, noise, params, temperature=1.0):
        logits, loc, log_scale = self._split(params)
        temperature = tf.cast(temperature, loc.dtype)
        choice, normal = noise[..., : self.num_mixtures], noise[..., self.num_mixtures :]
        choice = tf.clip_by_value(choice, 1e-7, 1 - 1e-7)
        chosen = tf.argmax(logits - temperature * tf.math.log(-tf.math.log(choice)), -1)
        chosen = tf.one_hot(chosen, self.num_mixtures, dtype=loc.dtype)[..., None, :]
        loc, log_scale = (tf.reduce_sum(v * chosen, -1) for v in (loc, log_scale))
        return loc + temperature * tf.exp(log_scale) * normal

    def mean(self, params):
        logits, loc, _ = self._split(params)
        return tf.reduce_sum(loc * tf.nn.softmax(logits)[..., None, :], -1)

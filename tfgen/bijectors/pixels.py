"""Between integer pixel values and the real line."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import sum_event
from tfgen.utils import checks
from tfgen.utils.part import Configured


@keras.saving.register_keras_serializable(package="tfgen")
class Dequantise(Configured):
    """Uniform dequantisation of `num_bits`-bit values.

    From Uria et al. 2013, "RNADE: The real-valued neural autoregressive density-estimator",
    arXiv:1306.0186. Data 0..255 are floored to `num_bits` bits; noise in [0, 1) makes them
    reals in [0, 2^num_bits). No Jacobian is involved: the density of the reals,
    averaged over the noise, bounds the probability of the integers from below
    in the logarithm (Theis et al. 2016, "A note on the evaluation of generative models",
    arXiv:1511.01844, eq. 3).

    Args:
        num_bits: bits of a value, 1 to 8.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: any, kept.

    Raises:
        ValueError: `num_bits` out of 1..8.

    >>> import numpy as np, tfgen
    >>> dequantise = tfgen.bijectors.Dequantise(num_bits=5)
    >>> dequantise(np.array([255, 8, 7]), noise=0.5).numpy().tolist()
    [31.5, 1.5, 0.5]
    >>> dequantise.quantise(np.array([31.7, 1.2, -3.0])).numpy().tolist()
    [248, 8, 0]
    >>> dequantise.log_noise(np.array([[31.7]])).numpy().tolist()
    [0.0]
    """

    def __init__(self, num_bits=8, **kwargs):
        super().__init__(**kwargs)
        self.num_bits = checks.check_int(num_bits, "num_bits", 1, 8)

    def call(self, inputs, noise):
        """Reals in [0, 2^num_bits).

        Args:
            inputs: values 0..255.
            noise: numbers in [0, 1), of the shape of the inputs or broadcast to it.
        """
        x = tf.cast(inputs, self.variable_dtype)
        return tf.floor(x / 2 ** (8 - self.num_bits)) + tf.cast(noise, x.dtype)

    def log_noise(self, values):
        """Log-density of the noise, `[batch]`, in nats: 0, as it is uniform.

        Args:
            values: what `call` gives.
        """
        return tf.zeros(tf.shape(values)[:1], values.dtype)

    def quantise(self, x):
        """Pixels, uint8 multiples of 2^(8 - num_bits), of reals, clipped to the range.

        >>> import numpy as np, tfgen
        >>> tfgen.bijectors.Dequantise(num_bits=5).quantise(np.array([31.7])).numpy().tolist()
        [248]
        """
        x = tf.clip_by_value(tf.floor(x), 0, 2**self.num_bits - 1)
        return tf.cast(x * 2 ** (8 - self.num_bits), tf.uint8)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package="tfgen")
class Centre(Bijector):
    """Affine map of reals in [0, 2^num_bits) to [-0.5, 0.5), data -> latent, as in Glow.

    Args:
        num_bits: bits of a value, 0 to 8.
        **kwargs: `Bijector` arguments.

    Shapes: any, kept.

    Raises:
        ValueError: `num_bits` out of 0..8.

    >>> import numpy as np, tfgen
    >>> centre = tfgen.bijectors.Centre(8)
    >>> centre.inverse_and_log_det(np.array([[64.0]], "float32"))[0].numpy().tolist()
    [[-0.25]]
    """

    def __init__(self, num_bits=8, **kwargs):
        super().__init__(**kwargs)
        self.num_bits = checks.check_int(num_bits, "num_bits", 0, 8)

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self._size = math.prod(self.event_shape)

    def _forward(self, z, condition):
        return (z + 0.5) * 2**self.num_bits, -self._log_det(z)

    def _inverse(self, x, condition):
        return x / 2**self.num_bits - 0.5, self._log_det(x)

    def _log_det(self, x):
        value = -self._size * self.num_bits * np.log(2.0)
        return tf.fill(tf.shape(x)[:1], tf.constant(value, x.dtype))


@keras.saving.register_keras_serializable(package="tfgen")
class Logit(Bijector):
    """Logit of pixels, `z = logit(alpha + (1 - 2 alpha) x / 2^num_bits)`, data -> latent.

    After Dinh et al. 2017, arXiv:1605.08803, section 4.1, whose `alpha + (1 - alpha) x / 256` has a
    margin on one side only.

    Args:
        num_bits: bits of a value, 1 to 8; 0 for data in [0, 1].
        alpha: margin in (0, 0.5) that keeps the ends finite.
        **kwargs: `Bijector` arguments.

    Shapes: any, kept.

    Raises:
        ValueError: `num_bits` or `alpha` out of range.

    >>> import numpy as np, tfgen
    >>> logit = tfgen.bijectors.Logit(8)
    >>> logit.inverse_and_log_det(np.array([[128.0]], "float32"))[0].numpy().tolist()
    [[0.0]]
    """

    def __init__(self, num_bits=8, alpha=0.05, **kwargs):
        super().__init__(**kwargs)
        if not 0 < alpha < 0.5:
            raise ValueError(f"`alpha` must lie in (0, 0.5); got {alpha}")
        self.num_bits, self.alpha = checks.check_int(num_bits, "num_bits", 0, 8), float(alpha)

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])

    def _slope(self):
        return (1 - 2 * self.alpha) / 2**self.num_bits

    def _forward(self, z, condition):
        # log sigmoid'(z) = -softplus(z) - softplus(-z)
        log_det = -tf.nn.softplus(z) - tf.nn.softplus(-z) - np.log(self._slope())
        return (tf.sigmoid(z) - self.alpha) / self._slope(), sum_event(log_det)

    def _inverse(self, x, condition):
        p = self.alpha + self._slope() * x
        # Values outside the data's range have no logit: they are treated as the
        # nearest that has one.
        least = np.finfo(self.compute_dtype).eps
        p = tf.clip_by_value(p, least, 1 - least)
        log_det = np.log(self._slope()) - tf.math.log(p) - tf.math.log1p(-p)
        return tf.math.log(p) - tf.math.log1p(-p), sum_event(log_det)

"""Distributions of the values at one position, given a network's outputs."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.part import Part
from tfgen.utils.random import row_normal
from tfgen.utils.random import row_uniform


class OutputDistribution(Part):
    """Distribution of the values at one position, given a network's outputs.

    A subclass says how many outputs (`num_params`) and random numbers (`num_noise`) `channels`
    values at a position take, and implements `log_prob`, `sample` and `mean`; a method that it
    lacks raises NotImplementedError. Values and outputs have any leading axes. Arguments of the
    constructor are saved with the model; `get_config` need not be written.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        data_kind: `"real"`, `"binary"` or `"uint8"`.
        num_bits: bits of a value of uint8 data.
        reparameterized: True if draws are reals with a gradient of the outputs.
        in_units: True if it has numbers in the units of real data; others see them standardised.

    >>> import numpy as np, tensorflow as tf, tfgen
    >>> class Laplace(tfgen.distributions.OutputDistribution):
    ...     def num_params(self, channels):
    ...         return channels
    ...     def log_prob(self, x, params):
    ...         return -tf.reduce_sum(tf.abs(x - params) + np.log(2.0), -1)
    ...     def sample(self, noise, params, temperature=1.0):
    ...         size = -tf.math.log1p(-tf.abs(2 * noise - 1))
    ...         return params + temperature * tf.sign(noise - 0.5) * size
    ...     def mean(self, params):
    ...         return params
    >>> element = Laplace()
    >>> element.sample(element.noise([0, 0], 0, 4, (3, 1)), tf.zeros([4, 3, 1])).shape
    TensorShape([4, 3, 1])
    """

    data_kind = "real"
    num_bits = 8
    reparameterized = False
    in_units = True

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def num_params(self, channels):
        """Number of a network's outputs for a position of `channels` values."""
        raise NotImplementedError

    def num_noise(self, channels):
        """Number of random numbers of a draw of `channels` values."""
        return channels

    def noise(self, seed, start, num_rows, shape):
        """Noise of draws, `[num_rows, *shape[:-1], num_noise]`.

        Args:
            seed: two integers.
            start: number of the first row.
            num_rows: number of rows.
            shape: of one row's values; the last axis is the channels.
        """
        shape = (*shape[:-1], self.num_noise(shape[-1]))
        return row_uniform(seed, start, num_rows, shape, self.variable_dtype)

    def inputs(self, x):
        """Values as a network sees them: real, of order 1."""
        return tf.cast(x, self.variable_dtype)

    def log_prob(self, x, params):
        """Log-probabilities `[...]`, nats.

        Args:
            x: values in the data's type, `[..., channels]`.
            params: a network's outputs, `[..., num_params]`.
        """
        raise NotImplementedError

    def sample(self, noise, params, temperature=1.0):
        """Draws `[..., channels]` in the data's type.

        Args:
            noise: as `noise` gives it, `[..., num_noise]`.
            params: a network's outputs, `[..., num_params]`.
            temperature: factor of the standard deviation, or what comes nearest to that.
        """
        raise NotImplementedError

    def mean(self, params):
        """Means `[..., channels]`, reals in the data's units.

        Near it where the mean has no simple form: of discretised logistics, the components' mean
        location.

        Args:
            params: a network's outputs, `[..., num_params]`.
        """
        raise NotImplementedError

    def to_data(self, mean):
        """Value in the data's type that is nearest to a mean."""
        return mean


@keras.saving.register_keras_serializable(package="tfgen")
class Bernoulli(OutputDistribution):
    """Bernoulli distribution of values 0 and 1; the output is the logit of 1.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> element = tfgen.distributions.Bernoulli()
    >>> element.mean(np.zeros((2, 1), "float32")).numpy().tolist()
    [[0.5], [0.5]]
    >>> element.inputs(np.array([[0], [1]])).numpy().tolist()
    [[-1.0], [1.0]]
    >>> element.to_data(np.array([[0.2], [0.7]])).numpy().tolist()
    [[0], [1]]
    """

    data_kind = "binary"

    def num_params(self, channels):
        return channels

    def inputs(self, x):
        return 2 * tf.cast(x, self.variable_dtype) - 1

    def log_prob(self, x, params):
        x = tf.cast(x, params.dtype)
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, params), -1)

    def sample(self, noise, params, temperature=1.0):
        # sigmoid(params / temperature) > noise, which at 0 is the mode.
        least = np.finfo("float32").tiny
        logit = tf.math.log(noise + least) - tf.math.log1p(-noise)
        return tf.cast(params > tf.cast(temperature, params.dtype) * logit, tf.uint8)

    def mean(self, params):
        return tf.sigmoid(params)

    def to_data(self, mean):
        return tf.cast(mean > 0.5, tf.uint8)


@keras.saving.register_keras_serializable(package="tfgen")
class Normal(OutputDistribution):
    """Normal distribution of reals.

    Args:
        scale: standard deviation: a number, `"shared"` (one learned for each channel, at all
            positions and for all examples) or `"per_value"` (from the network, as the locations).
        bound: locations lie within `-bound` and `bound`, by a hyperbolic tangent; with None they
            lie anywhere.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `scale`.

    >>> import numpy as np, tfgen
    >>> element = tfgen.distributions.Normal(1.0)
    >>> zeros = np.zeros((1, 2), "float32")
    >>> [round(float(v), 4) for v in element.log_prob(zeros, zeros)]
    [-1.8379]
    """

    reparameterized = True

    def __init__(self, scale="shared", bound=None, least_scale=None, **kwargs):
        super().__init__(**kwargs)
        self.bound = None if bound is None else checks.check_positive(bound, "bound")
        self.scale = check_scale(scale, "scale")
        self.in_units = not isinstance(scale, str) or bound is not None or least_scale is not None
        self._least = -5.0
        if least_scale is not None:
            if self.scale != "per_value":
                raise ValueError(
                    f'`least_scale` goes with the scale "per_value"; got {self.scale!r}'
                )
            self._least = math.log(checks.check_positive(least_scale, "least_scale"))

    def build(self, input_shape):
        if self.scale == "shared":
            self.log_scale = self.add_weight(
                name="log_scale",
                shape=(input_shape[-1],),
                # Below the spread of the data, which models standardise: with that of the data
                # itself a decoder would have nothing to tell, and latents would stay unused.
                initializer=keras.initializers.Constant(math.log(0.3)),
            )

    def num_params(self, channels):
        return 2 * channels if self.scale == "per_value" else channels

    def noise(self, seed, start, num_rows, shape):
        return row_normal(seed, start, num_rows, shape, self.variable_dtype)

    def _loc_and_log_scale(self, params):
        if self.scale == "per_value":
            loc, log_scale = tf.split(params, 2, -1)
            return _within(loc, self.bound), self._least + tf.nn.softplus(log_scale - self._least)
        loc = _within(params, self.bound)
        if self.scale == "shared":
            return loc, tf.convert_to_tensor(self.log_scale)
        return loc, tf.constant(np.log(self.scale), params.dtype)

    def log_prob(self, x, params):
        loc, log_scale = self._loc_and_log_scale(params)
        standard = (tf.cast(x, params.dtype) - loc) * tf.exp(-log_scale)
        return tf.reduce_sum(-0.5 * standard**2 - log_scale - 0.5 * np.log(2 * np.pi), -1)

    def sample(self, noise, params, temperature=1.0):
        loc, log_scale = self._loc_and_log_scale(params)
        return loc + tf.cast(temperature, loc.dtype) * tf.exp(log_scale) * noise

    def mean(self, params):
        return self._loc_and_log_scale(params)[0]


@keras.saving.register_keras_serializable(package="tfgen")
class Deterministic(OutputDistribution):
    """Single value that the output is; there is no density.

    Args:
        data_kind: `"real"`, or `"uint8"`: the output is the value by 255, and data are rounded.
        bound: outputs lie within `-bound` and `bound`, by a hyperbolic tangent; with None they lie
            anywhere.
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        unit: the data's value of an output of 1.

    Raises:
        ValueError: another `data_kind`, or a `bound` that is not above 0.

    >>> import numpy as np, tfgen
    >>> element = tfgen.distributions.Deterministic("uint8")
    >>> element.sample(None, np.array([[0.5], [2.0]])).numpy().tolist()
    [[128], [255]]
    """

    def __init__(self, data_kind="real", bound=None, **kwargs):
        super().__init__(**kwargs)
        self.bound = None if bound is None else checks.check_positive(bound, "bound")
        if data_kind not in ("real", "uint8"):
            raise ValueError(f'`data_kind` must be "real" or "uint8"; got {data_kind!r}')
        self.data_kind = data_kind
        self.in_units = bound is not None
        self.reparameterized = data_kind == "real"
        self.unit = 255.0 if data_kind == "uint8" else 1.0

    def num_params(self, channels):
        return channels

    def noise(self, seed, start, num_rows, shape):
        return None

    def inputs(self, x):
        return super().inputs(x) / self.unit

    def sample(self, noise, params, temperature=1.0):
        return self.to_data(self.mean(params))

    def mean(self, params):
        return self.unit * _within(params, self.bound)

    def to_data(self, mean):
        if self.data_kind == "real":
            return mean
        return tf.cast(tf.clip_by_value(tf.round(mean), 0, 255), tf.uint8)


def check_scale(scale, name):
    """Returns the scale of a `Normal`: a number above 0 as a float, `"shared"` or `"per_value"`."""
    if not isinstance(scale, str):
        return checks.check_positive(scale, name)
    if scale not in ("shared", "per_value"):
        raise ValueError(
            f'`{name}` must be a number above 0, "shared" or "per_value"; got {scale!r}'
        )
    return scale


def _within(loc, bound):
    return loc if bound is None else bound * tf.tanh(loc)


@keras.saving.register_keras_serializable(package="tfgen")
class DiscretisedLogistic(OutputDistribution):
    """Mixture of logistic distributions, rounded to the levels of pixels.

    From Salimans et al. 2017, "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications", arXiv:1701.05517, section 2.1 and 2.2.
    A component is chosen for a pixel; the location of a channel depends linearly on the channels
    before it. Values are 0..255, floored to `num_bits` bits.

    Args:
        num_mixtures: number of components; 1 is the discretised logistic distribution.
        num_bits: bits of a value, 1 to 8.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a number that is not positive, or `num_bits` above 8.

    >>> import numpy as np, tfgen
    >>> element = tfgen.distributions.DiscretisedLogistic()
    >>> levels = np.arange(256)[:, None]
    >>> log_prob = element.log_prob(levels, np.zeros((256, element.num_params(1)), "float32"))
    >>> round(float(np.exp(log_prob).sum()), 4)
    1.0
    >>> element.num_params(3), element.num_noise(3)
    (10, 4)
    """

    data_kind = "uint8"

    def __init__(self, num_mixtures=1, num_bits=8, **kwargs):
        super().__init__(**kwargs)
        self.num_mixtures = checks.check_count(num_mixtures, "num_mixtures")
        self.num_bits = checks.check_int(num_bits, "num_bits", 1, 8)

    def num_params(self, channels):
        # Logits; locations, log-scales; what each channel takes of those before it.
        pairs = channels * (channels - 1) // 2
        return self.num_mixtures * (1 + 2 * channels + pairs)

    def num_noise(self, channels):
        return self.num_mixtures + channels

    def inputs(self, x):
        return 2 * self._levels(x) / (2**self.num_bits - 1) - 1

    def _levels(self, x):
        return tf.floor(tf.cast(x, self.variable_dtype) / 2 ** (8 - self.num_bits))

    def _split(self, params):
        """Outputs by what they are, for k components.

        Returns:
            Logits `[..., k]`, locations and log-scales `[..., channels, k]`, weights of the
            channels before `[..., pairs, k]`.
        """
        k = self.num_mixtures
        logits, rest = params[..., :k], params[..., k:]
        rest = tf.reshape(rest, [*tf.unstack(tf.shape(rest))[:-1], rest.shape[-1] // k, k])
        # channels = c, where 2 c + c (c - 1) / 2 are left.
        channels = int((np.sqrt(9 + 8 * rest.shape[-2]) - 3) // 2)
        loc, log_scale, weights = tf.split(rest, [channels, channels, -1], -2)
        # Of values in [-1, 1]: beyond these scales nothing changes, and numbers overflow.
        return logits, loc, tf.clip_by_value(log_scale, -7.0, 7.0), tf.tanh(weights)

    @staticmethod
    def _shift(weights, before, channel):
        """Shift of channel number `channel` by the channels `before` it, `[..., k]`."""
        first = channel * (channel - 1) // 2
        terms = (weights[..., first + i, :] * before[i] for i in range(channel))
        return sum(terms, tf.zeros([], weights.dtype))

    def log_prob(self, x, params):
        logits, loc, log_scale, weights = self._split(params)
        x = self.inputs(x)[..., None]
        channels = tf.unstack(x, axis=-2)
        loc = tf.stack(
            [m + self._shift(weights, channels, c) for c, m in enumerate(tf.unstack(loc, axis=-2))],
            -2,
        )
        half, rate = 1 / (2**self.num_bits - 1), tf.exp(-log_scale)
        upper, lower = rate * (x - loc + half), rate * (x - loc - half)
        # Of the bin: log(sigmoid(upper) - sigmoid(lower)), whole tails for the first and the last.
        inside = (
            tf.math.log_sigmoid(upper)
            + tf.math.log_sigmoid(-lower)
            + tf.math.log(-tf.math.expm1(-2 * half * rate))
        )
        value = tf.where(x < -1 + half, tf.math.log_sigmoid(upper), inside)
        value = tf.where(x > 1 - half, tf.math.log_sigmoid(-lower), value)
        return tf.reduce_logsumexp(tf.reduce_sum(value, -2) + tf.nn.log_softmax(logits), -1)

    def sample(self, noise, params, temperature=1.0):
        logits, loc, log_scale, weights = self._split(params)
        temperature = tf.cast(temperature, loc.dtype)
        noise = tf.clip_by_value(noise, 1e-7, 1 - 1e-7)
        choice, noise = noise[..., : self.num_mixtures], noise[..., self.num_mixtures :]
        chosen = tf.argmax(logits - temperature * tf.math.log(-tf.math.log(choice)), -1)
        chosen = tf.one_hot(chosen, self.num_mixtures, dtype=loc.dtype)[..., None, :]
        loc, log_scale, weights = (
            tf.reduce_sum(v * chosen, -1, keepdims=True) for v in (loc, log_scale, weights)
        )
        logistic = (
            temperature
            * tf.exp(log_scale)
            * (tf.math.log(noise) - tf.math.log1p(-noise))[..., None]
        )
        values = self._channels(loc + logistic, weights, self._rounded)
        return self.to_data(self._to_units(values[..., 0]))

    def _channels(self, values, weights, limit):
        """Values, each shifted by the channels before its own, and limited."""
        done = []
        for c, value in enumerate(tf.unstack(values, axis=-2)):
            done.append(limit(value + self._shift(weights, done, c)))
        return tf.stack(done, -2)

    def mean(self, params):
        logits, loc, _, weights = self._split(params)
        means = self._channels(loc, weights, lambda v: tf.clip_by_value(v, -1.0, 1.0))
        return self._to_units(tf.reduce_sum(means * tf.nn.softmax(logits)[..., None, :], -1))

    def _rounded(self, values):
        return self.inputs(self.to_data(self._to_units(values)))

    def _to_units(self, values):
        """Values of [-1, 1] in 0..255."""
        return (values + 1) * (2**self.num_bits - 1) / 2 * 2 ** (8 - self.num_bits)

    def to_data(self, mean):
        levels = tf.round(mean / 2 ** (8 - self.num_bits))
        levels = tf.clip_by_value(levels, 0, 2**self.num_bits - 1)
        return tf.cast(levels * 2 ** (8 - self.num_bits), tf.uint8)

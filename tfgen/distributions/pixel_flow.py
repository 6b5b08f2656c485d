"""Flows between pixels and the values whose distribution a decoder gives."""

import keras
import tensorflow as tf

from tfgen.bijectors import Bijector
from tfgen.bijectors import Centre
from tfgen.bijectors import Chain
from tfgen.bijectors import Dequantise
from tfgen.bijectors import Invert
from tfgen.bijectors import Squeeze
from tfgen.bijectors.stacks import image_couplings
from tfgen.distributions.elements import Normal
from tfgen.distributions.elements import OutputDistribution
from tfgen.distributions.observation import Factorised
from tfgen.distributions.observation import Observation
from tfgen.networks import ResNet
from tfgen.utils import checks
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class PixelFlow(Observation):
    """Observation model that is not factorised over pixels: a flow of the pixels is.

    `y = f(x)`, `p(y|z) = N(y; mu(z), diag(sigma(z)))`, from Lucas et al. 2019, "Adaptive Density
    Estimation for Generative Models", arXiv:1901.01091, eq. 6 to 8.
    With a bijector that mixes no values, such as the `Standardise()` of the observation `"normal"`
    of uint8 data, it is a factorised distribution of dequantised pixels.

    Args:
        bijector: tfgen bijector that keeps the shape of examples, `x` (of uint8 data in
            [-0.5, 0.5)) to `y`; by default couplings over images at two scales, `real_nvp`.
        data_kind: `"uint8"`, dequantised with uniform noise, or `"real"`.
        num_bits: bits of a value that the model sees of uint8 data.
        element: `OutputDistribution` of reals, that of `y`; by default `Normal("per_value")`.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `data_kind`, an `element` of other data; on `build`, a bijector that
            changes the shape, or images of odd sides without a `bijector`.

    >>> import numpy as np, tfgen
    >>> flow = tfgen.distributions.real_nvp(filters=4, num_blocks=1, num_scales=1)
    >>> observation = tfgen.distributions.PixelFlow(flow)
    >>> observation.build((None, 16), (8, 8, 1))
    >>> noise = observation.noise([0, 0], 0, 2)
    >>> observation.sample(noise, np.zeros((2, 16), "float32")).shape
    TensorShape([2, 8, 8, 1])
    >>> x = np.full((2, 8, 8, 1), 255, "uint8")
    >>> dequantising = observation.log_prob_noise([0, 0], 0, 2)
    >>> observation.adapt(x, dequantising)
    >>> reals = observation.dequantised(x, dequantising).numpy()
    >>> bool(0.992 < reals.min() < reals.max() < 1)  # the last of 256 parts of [-1, 1)
    True
    >>> features = np.zeros((2, 16), "float32")
    >>> observation.rsample(noise, features).dtype, observation.decode(noise, features).dtype
    (tf.float32, tf.uint8)
    """

    def __init__(self, bijector=None, data_kind="uint8", num_bits=8, element=None, **kwargs):
        super().__init__(**kwargs)
        if data_kind not in ("uint8", "real"):
            raise ValueError(f'`data_kind` must be "uint8" or "real"; got {data_kind!r}')
        self._own_bijector = bijector is None
        if bijector is None:
            bijector = real_nvp(dtype=self.dtype_policy)
        self.bijector = checks.check_instance(bijector, Bijector, "bijector")
        self.data_kind = data_kind
        self.num_bits = checks.check_int(num_bits, "num_bits", 1, 8)
        self.dequantises = data_kind == "uint8"
        kind = {"dtype": self.dtype_policy}
        parts = [self.bijector]
        if data_kind == "uint8":
            self._dequantise = Dequantise(num_bits, dtype=self.variable_dtype)
            parts = [Centre(num_bits, **kind), self.bijector]
        self._chain = Chain(parts, **kind)
        if element is None:
            element = Normal("per_value", **kind)
        self.element = checks.check_instance(element, OutputDistribution, "element")
        if element.data_kind != "real":
            raise ValueError(f"`element` must be of reals; got one of {element.data_kind} values")
        self.features = Factorised(element, **kind)
        self.reparameterized = element.reparameterized
        # A bijector that was given may be one of values in some range.
        free = self._own_bijector or isinstance(bijector, Chain) and not bijector.bijectors
        self.in_units = element.in_units or not free

    def build(self, features_shape, event_shape):
        super().build(features_shape, event_shape)
        images = len(self.event_shape) == 3
        if self._own_bijector and (not images or any(s % 2 for s in self.event_shape[:2])):
            raise ValueError(
                "`event_shape` must be [height, width, channels] with even sides for the "
                f'observation "flow" without a `bijector`; got {list(self.event_shape)}'
            )
        shape = (None, *self.event_shape)
        self._chain.build(shape)
        if self.dequantises:
            self._dequantise.build(shape)
        if tuple(self._chain.inverse_event_shape(self.event_shape)) != self.event_shape:
            raise ValueError("`bijector` must keep the shape of its input")
        self.features.build(features_shape, self.event_shape)

    def inputs(self, x):
        return self.dequantised(x, tf.constant(0.5, self.variable_dtype))

    def dequantised(self, x, noise):
        if self.data_kind == "real":
            return tf.cast(x, self.variable_dtype)
        return self._dequantise(x, noise) / 2 ** (self.num_bits - 1) - 1

    def log_prob_noise(self, seed, start, num_rows):
        if not self.dequantises:
            return None
        return row_uniform(seed, start, num_rows, self.event_shape, self.variable_dtype)

    def _values(self, x, noise):
        return tf.cast(x, self.variable_dtype) if noise is None else self._dequantise(x, noise)

    def adapt(self, x, noise):
        self._chain.adapt([self._values(x, noise)])

    def log_prob(self, x, features, noise=None):
        y, log_det = self._chain.inverse_and_log_det(self._values(x, noise))
        return self.features.log_prob(y, features) + log_det

    def noise(self, seed, start, num_rows):
        return self.features.noise(seed, start, num_rows)

    def sample(self, noise, features, temperature=1.0):
        return self._data(self.features.sample(noise, features, temperature))

    def rsample(self, noise, features, temperature=1.0):
        y = self.features.rsample(noise, features, temperature)
        x = self.bijector.forward_and_log_det(y)[0]
        return 2 * x if self.dequantises else x

    def decode(self, noise, features):
        # The flow's value at the mean of `y`: that of `x` is not known.
        return self._data(self.features.decode(noise, features))

    def _data(self, y):
        x = self._chain.forward_and_log_det(y)[0]
        return self._dequantise.quantise(x) if self.dequantises else x

    def _shown_layers(self):
        return [self.bijector, self.features]


def real_nvp(filters=32, num_blocks=2, num_scales=2, dtype=None):
    """Couplings over images that keep the shape, at one or two scales.

    They change checkerboards at the first scale and channels of squeezed images at the second, as
    in Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, section 3.6.

    Args:
        filters: channels of the networks at the first scale, half of those at the second.
        num_blocks: number of residual blocks of a network.
        num_scales: 1 or 2.
        dtype: dtype policy.

    Returns:
        A bijector of images, at two scales of such with even sides.

    Raises:
        ValueError: `num_scales` is neither 1 nor 2.

    >>> import numpy as np, tfgen
    >>> bijector = tfgen.distributions.real_nvp(filters=4, num_blocks=1, num_scales=1)
    >>> bijector.inverse_and_log_det(np.zeros((2, 3, 5, 1), "float32"))[0].shape
    TensorShape([2, 3, 5, 1])
    """
    num_scales = checks.check_int(num_scales, "num_scales", 1, 2)
    kind = {"dtype": dtype}

    def couplings(mask, filters):
        return image_couplings(mask, 4, lambda: ResNet(filters, num_blocks, **kind), **kind)

    parts = couplings("checkerboard", filters)
    if num_scales == 2:
        squeeze, back = Squeeze(**kind), Invert(Squeeze(**kind), **kind)
        parts += [squeeze, *couplings("channel", 2 * filters), back]
    return Chain(parts, **kind)

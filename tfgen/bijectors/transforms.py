"""Elementwise maps for couplings: network outputs turned into TFP scalar bijectors."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.spline import LEAST_SIZE
from tfgen.bijectors.spline import RationalQuadratic
from tfgen.utils import checks
from tfgen.utils.recorded import Recorded
from tfgen.utils.recorded import deserialized
from tfgen.utils.recorded import recorded_config

tfb = tfp.bijectors


class Transform(metaclass=Recorded):
    """Function from parameters `[..., num_params]` to a scalar `tfb.Bijector` (latent -> data).

    Subclass it and register the subclass with
    `keras.saving.register_keras_serializable` to use any TFP scalar bijector in
    a coupling. Parameters are all zero at the start of training: let that be
    the identity, or near it. Arguments of the constructor are saved.

    Attributes:
        num_params: number of parameters of one value.
        rescales: True if the map amplifies as readily as it contracts. Between maps that do not,
            flows over vectors have an `ActNorm`.
        output_spread: of the layer that makes the parameters of vectors, before training, as a part
            of that of the layers before it: 0 for parameters that are zero.

    Raises:
        NotImplementedError: a call of a subclass without `__call__`.

    >>> import keras, tensorflow as tf, tensorflow_probability as tfp, tfgen
    >>> @keras.saving.register_keras_serializable(package="docs")
    ... class SinhArcsinh(tfgen.bijectors.Transform):
    ...     num_params = 2
    ...     def __call__(self, params):
    ...         skewness, log_tail = tf.unstack(params, axis=-1)
    ...         return tfp.bijectors.SinhArcsinh(skewness, tf.exp(log_tail))
    >>> coupling = tfgen.bijectors.Coupling(transform=SinhArcsinh())
    """

    num_params = None
    rescales = False
    output_spread = 0.0

    def _after_init(self):
        """Runs once the outermost constructor is done."""

    def __call__(self, params):
        """Scalar `tfb.Bijector` of parameters `[..., num_params]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(params)")

    def get_config(self):
        """Arguments of the constructor, by name.

        >>> import tfgen
        >>> tfgen.bijectors.ExpAffine(limit=2.0).get_config()
        {'limit': 2.0}
        """
        return recorded_config(self)

    @classmethod
    def from_config(cls, config):
        """The transform that a configuration describes.

        >>> import tfgen
        >>> tfgen.bijectors.ExpAffine.from_config({"limit": 2.0}).limit
        2.0
        """
        return cls(**deserialized(config))


@keras.saving.register_keras_serializable(package="tfgen")
class Additive(Transform):
    """Shift, `x = z + shift`, which keeps volumes.

    From Dinh et al. 2014, "NICE: Non-linear Independent Components Estimation", arXiv:1410.8516.

    >>> import tfgen
    >>> float(tfgen.bijectors.Additive()([[2.0]]).forward(1.0)[0])
    3.0
    """

    num_params = 1

    def __call__(self, params):
        return tfb.Shift(tf.convert_to_tensor(params)[..., 0])


# Files hold the names of version 0.1, here and below.
@keras.saving.register_keras_serializable(package="tfgen", name="Affine")
class SigmoidAffine(Transform):
    """Gated affine map, `x = z / gate + shift`, `gate = floor + (1 - floor) * sigmoid(raw + 2)`.

    This is the coupling of RealNVP (Dinh et al. 2017, arXiv:1605.08803, eq. 4) with the gate of
    Glow's code in the place of `exp(s)` (`ExpAffine`). A gate in (floor, 1) never amplifies on the
    way from the data to the latent, however far an input lies from those trained on, and by at
    most 1 / floor on the way back; amplification is left to weights that do not depend on the
    input (`ActNorm`).

    Args:
        floor: the least gate, in (0, 1).

    Raises:
        ValueError: `floor` is not in (0, 1).

    >>> import tfgen
    >>> float(tfgen.bijectors.SigmoidAffine(floor=0.5)([[1.0, -100.0]]).forward(3.0)[0])
    7.0
    """

    num_params = 2

    def __init__(self, floor=0.3):
        self.floor = _check_floor(floor)

    def __call__(self, params):
        shift, raw = tf.unstack(params, axis=-1)
        return tfb.Invert(tfb.Scale(_gate(raw, self.floor))(tfb.Shift(-shift)))


@keras.saving.register_keras_serializable(package="tfgen", name="LogScale")
class ExpAffine(Transform):
    """Affine map with a free scale, `z = x * exp(s) + shift`, `s = raw / (1 + |raw| / limit)`.

    This is the coupling of RealNVP (Dinh et al. 2017, arXiv:1605.08803, eq. 4), with a soft limit
    of the logarithm of its scale: `s` keeps its slope at 0 and its sign, and stays within `limit`,
    as the paper's own hyperbolic tangent does. It amplifies as readily as it contracts.

    Args:
        limit: the largest size of `s`, above 0.

    Raises:
        ValueError: `limit` is not above 0.

    >>> import tfgen
    >>> float(tfgen.bijectors.ExpAffine()([[1.0, 0.0]]).inverse(3.0)[0])
    4.0
    """

    num_params = 2
    rescales = True
    # Maps that all start at the identity learn alike for a while; a start as wide as that of hidden
    # layers is worse in many dimensions.
    output_spread = 0.3

    def __init__(self, limit=3.0):
        self.limit = checks.check_positive(limit, "limit")

    def __call__(self, params):
        shift, raw = tf.unstack(params, axis=-1)
        log_scale = raw / (1 + tf.abs(raw) / self.limit)
        return tfb.Invert(tfb.Shift(shift)(tfb.Scale(log_scale=log_scale)))


@keras.saving.register_keras_serializable(package="tfgen")
class Gated(Transform):
    """Convex update, `z = gate * x + (1 - gate) * value`.

    The gate is `floor + (1 - floor) * sigmoid(raw + 2)`. It is the update of inverse autoregressive
    flows (Kingma et al. 2016, arXiv:1606.04934, eq. 13 and 14), where
    `Invert(Autoregressive("gated"))` takes the latent this way.

    Args:
        floor: the least gate, in (0, 1).

    Raises:
        ValueError: `floor` is not in (0, 1).

    >>> import tfgen
    >>> gated = tfgen.bijectors.Gated(floor=0.5)
    >>> float(gated([[4.0, -100.0]]).inverse(2.0)[0])
    3.0
    """

    num_params = 2

    def __init__(self, floor=1e-3):
        self.floor = _check_floor(floor)

    def __call__(self, params):
        value, raw = tf.unstack(params, axis=-1)
        gate = _gate(raw, self.floor)
        return tfb.Invert(tfb.Shift((1 - gate) * value)(tfb.Scale(gate)))


@keras.saving.register_keras_serializable(package="tfgen")
class Spline(Transform):
    """Monotonic rational-quadratic spline on [-bound, bound], the identity outside.

    From Durkan et al. 2019, "Neural Spline Flows", arXiv:1906.04032, section 3.1. Data -> latent
    evaluates the spline, latent -> data solves a quadratic equation for each
    value. Training goes the first way.

    Args:
        num_bins: number of bins, at least 2.
        bound: half the width of the interval.

    Raises:
        ValueError: `num_bins` or `bound` out of range.

    >>> import numpy as np, tfgen
    >>> spline = tfgen.bijectors.Spline(num_bins=4)
    >>> params = np.zeros((3, spline.num_params), "float32")
    >>> spline(params).inverse(np.array([-9.0, 0.5, 3.0], "float32")).numpy().round(4).tolist()
    [-9.0, 0.5, 3.0]
    """

    rescales = True

    def __init__(self, num_bins=8, bound=5.0):
        self.num_bins = checks.check_count(num_bins, "num_bins")
        if not 2 <= num_bins < 1 / LEAST_SIZE:
            # One bin between slopes of 1 is the identity.
            raise ValueError(f"`num_bins` must lie in 2..{1 / LEAST_SIZE - 1:.0f}; got {num_bins}")
        self.bound = checks.check_positive(bound, "bound")

    @property
    def num_params(self):
        return 3 * self.num_bins - 1

    def __call__(self, params):
        return RationalQuadratic(params, self.num_bins, self.bound)


class Transforming(Bijector):
    """Bijector with an elementwise map inside, whose configuration names that without doubt.

    Args:
        transform: name or `Transform`, as `get_transform` takes it.
        **kwargs: `Bijector` arguments.
    """

    _saved_apart = ("transform",)

    def __init__(self, transform="affine", **kwargs):
        super().__init__(**kwargs)
        self.transform = self._read(transform)

    # What names mean: given the name, a `Transform`.
    _read = staticmethod(lambda transform: get_transform(transform))

    def get_config(self):
        saved = serialize_transform(self.transform, self._read)
        return {**super().get_config(), "transform": saved}

    @classmethod
    def from_config(cls, config):
        return super().from_config(as_written(config))


def _check_floor(floor):
    if not 0 < checks.check_weight(floor, "floor") < 1:
        raise ValueError(f"`floor` must lie in (0, 1); got {floor}")
    return float(floor)


def _gate(raw, floor):
    return floor + (1 - floor) * tf.sigmoid(raw + 2)


NAMED = {
    "additive": Additive,
    "affine": ExpAffine,
    "exp_affine": ExpAffine,
    "gated": Gated,
    "sigmoid_affine": SigmoidAffine,
    "spline": Spline,
}


def get_transform(transform, name="transform"):
    """`Transform` for a name, a configuration or a `Transform`.

    Args:
        transform: a name of `NAMED`, of which `"affine"` and `"exp_affine"` are one; a
            configuration of Keras; or a callable with an integer `num_params`.
        name: the argument's name, for errors.

    Raises:
        ValueError: anything else.

    >>> from tfgen.bijectors.transforms import get_transform
    >>> get_transform("exp_affine").limit
    3.0
    """
    if isinstance(transform, str) and transform in NAMED:
        return NAMED[transform]()
    if isinstance(transform, dict):
        transform = keras.saving.deserialize_keras_object(transform)
    count = not isinstance(transform, type) and getattr(transform, "num_params", None)
    if callable(transform) and isinstance(count, int) and count:
        return transform
    raise ValueError(
        f"`{name}` must be one of {sorted(NAMED)} or a callable from parameters to a scalar "
        f"tfb.Bijector with an integer `num_params`; got {transform!r}"
    )


def vector_transform(transform):
    """`Transform` of a recipe for vectors, whose `"spline"` is one over standardised data,
    `Spline(bound=3.0)`.

    Args:
        transform: as `get_transform` takes it.
    """
    return Spline(bound=3.0) if transform == "spline" else get_transform(transform)


def serialize_transform(transform, read=get_transform):
    """Name of a transform where there is one, else its configuration.

    Args:
        transform: `Transform`.
        read: function that a name is read by: `get_transform`, or `vector_transform` in recipes
            for vectors.
    """
    # In files "affine" is what it was in version 0.1: see `as_written`.
    for name in NAMED.keys() - {"affine"}:
        named = read(name)
        if type(named) is type(transform) and named.get_config() == transform.get_config():
            return name
    return keras.saving.serialize_keras_object(transform)


def as_written(config, name="transform"):
    """A configuration with today's name for what `"affine"` was in files of version 0.1: a gate.

    Args:
        config: dict that `get_config` gave, then or now.
        name: of the entry that holds a transform.

    >>> from tfgen.bijectors.transforms import as_written
    >>> as_written({"transform": "affine"})
    {'transform': 'sigmoid_affine'}
    """
    return {**config, name: "sigmoid_affine"} if config.get(name) == "affine" else config


def as_prior(transform, name="prior"):
    """`Transform` of a learned prior, a location and a scale.

    `"affine"` is `ExpAffine(limit=10.0)`, whose standard deviations lie within `exp(-10)` and
    `exp(10)`: a prior is no step of a deep stack, which must not amplify, and data may be of any
    scale.

    Args:
        transform: as `get_transform` takes it.
        name: the argument's name, for errors.
    """
    if transform in ("affine", "exp_affine"):
        return ExpAffine(limit=10.0)
    return get_transform(transform, name)

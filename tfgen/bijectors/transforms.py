"""Elementwise maps for couplings: network outputs turned into TFP scalar bijectors."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors.spline import LEAST_SIZE
from tfgen.bijectors.spline import RationalQuadratic
from tfgen.utils import checks

tfb = tfp.bijectors


class Transform:
    """Turns parameters `[..., num_params]` into a scalar `tfb.Bijector` (latent -> data).

    Subclass it and register the subclass with
    `keras.saving.register_keras_serializable` to use any TFP scalar bijector in
    a coupling. Parameters are all zero at the start of training: let that be
    the identity, or near it.

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
    # Whether it amplifies as readily as it contracts. Between maps that do not, flows over vectors
    # have an ActNorm.
    rescales = False

    def __call__(self, params):
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(params)")

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="tfgen")
class Additive(Transform):
    """`x = z + shift`: volume-preserving (NICE, Dinh et al. 2014).

    >>> import tfgen
    >>> float(tfgen.bijectors.Additive()([[2.0]]).forward(1.0)[0])
    3.0
    """

    num_params = 1

    def __call__(self, params):
        return tfb.Shift(tf.convert_to_tensor(params)[..., 0])


@keras.saving.register_keras_serializable(package="tfgen")
class Affine(Transform):
    """`x = z / gate + shift`, `gate = floor + (1 - floor) * sigmoid(raw + 2)`.

    The coupling of RealNVP (Dinh et al. 2017, eq. 4) with Glow's gate. A gate
    in (floor, 1) never amplifies on the way from the data to the latent, however
    far an input lies from those trained on, and by at most 1 / floor on the way
    back; amplification is left to weights that do not depend on the input
    (`ActNorm`). With a scale that is free in both directions deep flows
    diverged at the learning rates that train best.

    Args:
        floor: the least gate.

    Raises:
        ValueError: `floor` is not in (0, 1).

    >>> import tfgen
    >>> float(tfgen.bijectors.Affine(floor=0.5)([[1.0, -100.0]]).forward(3.0)[0])
    7.0
    """

    num_params = 2

    def __init__(self, floor=0.3):
        self.floor = _check_floor(floor)

    def __call__(self, params):
        shift, raw = tf.unstack(params, axis=-1)
        return tfb.Invert(tfb.Scale(_gate(raw, self.floor))(tfb.Shift(-shift)))

    def get_config(self):
        return {"floor": self.floor}


@keras.saving.register_keras_serializable(package="tfgen")
class LogScale(Transform):
    """`z = x * exp(s) + shift`, `s = raw / (1 + |raw| / limit)`: the coupling of RealNVP (Dinh et
    al. 2017, eq. 4), with a soft limit of the logarithm of its scale.

    It amplifies as readily as it contracts. That suits vectors; over images, deep flows of it
    diverged (see `Affine`).

    Args:
        limit: the largest size of `s`.

    Raises:
        ValueError: `limit` is not above 0.

    >>> import tfgen
    >>> float(tfgen.bijectors.LogScale()([[1.0, 0.0]]).inverse(3.0)[0])
    4.0
    """

    num_params = 2
    rescales = True

    def __init__(self, limit=3.0):
        self.limit = checks.check_positive(limit, "limit")

    def __call__(self, params):
        shift, raw = tf.unstack(params, axis=-1)
        log_scale = raw / (1 + tf.abs(raw) / self.limit)
        return tfb.Invert(tfb.Shift(shift)(tfb.Scale(log_scale=log_scale)))

    def get_config(self):
        return {"limit": self.limit}


@keras.saving.register_keras_serializable(package="tfgen")
class Gated(Transform):
    """`z = gate * x + (1 - gate) * value`, `gate = floor + (1 - floor) * sigmoid(raw + 2)`: the
    update of inverse autoregressive flows (Kingma et al. 2016, eq. 13 and 14), where
    `Invert(Autoregressive("gated"))` takes the latent this way.

    Args:
        floor: the least gate.

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

    def get_config(self):
        return {"floor": self.floor}


@keras.saving.register_keras_serializable(package="tfgen")
class Spline(Transform):
    """A monotonic rational-quadratic spline on [-bound, bound], the identity outside
    (Durkan et al. 2019, section 3.1).

    Data -> latent evaluates the spline, latent -> data solves a quadratic equation for each
    value. Training goes the first way.

    Args:
        num_bins: number of bins.
        bound: half the width of the interval.

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

    def get_config(self):
        return {"num_bins": self.num_bins, "bound": self.bound}


def _check_floor(floor):
    if not 0 < checks.check_weight(floor, "floor") < 1:
        raise ValueError(f"`floor` must lie in (0, 1); got {floor}")
    return float(floor)


def _gate(raw, floor):
    return floor + (1 - floor) * tf.sigmoid(raw + 2)


NAMED = {"additive": Additive, "affine": Affine, "gated": Gated, "spline": Spline}


def get_transform(transform, name="transform"):
    """The `Transform` for a name, a config or a Transform; `name` is the argument's, for errors."""
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
    """The `Transform` of a recipe for vectors: `"affine"` is `LogScale`, and `"spline"` is one over
    standardised data."""
    if transform == "affine":
        return LogScale()
    return Spline(bound=3.0) if transform == "spline" else get_transform(transform)


def given_transform(transform):
    """What a recipe keeps of its argument: a name may mean something else to it than to a
    coupling."""
    if isinstance(transform, str):
        return transform
    return keras.saving.serialize_keras_object(get_transform(transform))


def serialize_transform(transform):
    """The name where there is one with these settings, else a Keras config."""
    for name, cls in NAMED.items():
        if type(transform) is cls and transform.get_config() == cls().get_config():
            return name
    return keras.saving.serialize_keras_object(transform)

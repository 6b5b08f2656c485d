"""Bases, priors, posteriors and observation models."""

import tensorflow_probability as tfp

from tfgen.bijectors import Bijector
from tfgen.bijectors import Chain
from tfgen.bijectors import Standardise
from tfgen.distributions.base import Base
from tfgen.distributions.codes import AutoregressiveCodes
from tfgen.distributions.codes import CodebookPosterior
from tfgen.distributions.codes import IndependentCodes
from tfgen.distributions.codes import OneHotPosterior
from tfgen.distributions.discrete import OneHot
from tfgen.distributions.discrete_outputs import DiscreteOutputs
from tfgen.distributions.elements import Bernoulli
from tfgen.distributions.elements import Deterministic
from tfgen.distributions.elements import DiscretisedLogistic
from tfgen.distributions.elements import Normal
from tfgen.distributions.elements import OutputDistribution
from tfgen.distributions.elements import check_scale
from tfgen.distributions.fits import fit_gaussian
from tfgen.distributions.fits import fit_gaussian_mixture
from tfgen.distributions.from_tfd import FromTFD
from tfgen.distributions.mixture import GaussianMixture
from tfgen.distributions.normal import DiagonalNormal
from tfgen.distributions.normal import IsotropicNormal
from tfgen.distributions.normal import StandardNormal
from tfgen.distributions.normal_mixture import NormalMixture
from tfgen.distributions.observation import Factorised
from tfgen.distributions.observation import Observation
from tfgen.distributions.pixel_flow import PixelFlow
from tfgen.distributions.pixel_flow import real_nvp
from tfgen.distributions.pixelcnn import AutoregressivePixels
from tfgen.distributions.posterior import DeterministicPosterior
from tfgen.distributions.posterior import IAFPosterior
from tfgen.distributions.posterior import NormalPosterior
from tfgen.distributions.posterior import Posterior
from tfgen.distributions.student_t import StudentT
from tfgen.distributions.transformed import Transformed
from tfgen.distributions.transformed import autoregressive_flow

__all__ = [
    "AutoregressiveCodes",
    "AutoregressivePixels",
    "Base",
    "Bernoulli",
    "CodebookPosterior",
    "Deterministic",
    "DeterministicPosterior",
    "DiagonalNormal",
    "DiscreteOutputs",
    "DiscretisedLogistic",
    "Factorised",
    "FromTFD",
    "GaussianMixture",
    "IAFPosterior",
    "IndependentCodes",
    "IsotropicNormal",
    "Normal",
    "NormalMixture",
    "NormalPosterior",
    "Observation",
    "OneHot",
    "OneHotPosterior",
    "OutputDistribution",
    "PixelFlow",
    "Posterior",
    "StandardNormal",
    "StudentT",
    "Transformed",
    "autoregressive_flow",
    "fit_gaussian",
    "fit_gaussian_mixture",
    "get_base",
    "get_observation",
    "get_posterior",
    "real_nvp",
]

# Name of version 0.1.
Element = OutputDistribution


def __dir__():
    return sorted(__all__)


NAMED = {
    "normal": StandardNormal,
    "diagonal_normal": DiagonalNormal,
    "mixture": GaussianMixture,
    "student_t": StudentT,
    "af": autoregressive_flow,
}

POSTERIORS = {"normal": NormalPosterior, "iaf": IAFPosterior}


# The distribution of a value that goes with a kind of data.
_ELEMENTS = {"binary": Bernoulli, "real": Normal, "uint8": DiscretisedLogistic}


def _normal(dtype, data_kind, scale=None):
    if data_kind != "uint8":
        return Factorised(Normal("shared" if scale is None else scale, dtype=dtype), dtype=dtype)
    if scale is None or isinstance(scale, str):
        # A scale that is learned is one of pixels in units of their own.
        element = None if scale is None else Normal(scale, dtype=dtype)
        return PixelFlow(Standardise(dtype=dtype), element=element, dtype=dtype)
    return _of_pixels(Normal(scale, dtype=dtype), dtype)


def _of_pixels(element, dtype):
    """An `OutputDistribution` of reals as one of uint8 data, dequantised: all levels span 1."""
    return PixelFlow(Chain([], dtype=dtype), element=element, dtype=dtype)


OBSERVATIONS = {
    "bernoulli": lambda dtype, data_kind: Factorised(Bernoulli(dtype=dtype), dtype=dtype),
    "normal": _normal,
    "logistic": lambda dtype, data_kind: Factorised(DiscretisedLogistic(dtype=dtype), dtype=dtype),
    "pixelcnn": lambda dtype, data_kind: AutoregressivePixels.of_kind(data_kind, dtype=dtype),
    "flow": lambda dtype, data_kind: PixelFlow(data_kind=data_kind or "uint8", dtype=dtype),
}


def get_base(base, dtype=None, name="base"):
    """`Base` for a name, a `tfd.Distribution`, a bijector or None; a `Base` comes back as it is.

    Args:
        base: one of `"normal"`, `"diagonal_normal"`, `"mixture"`, `"student_t"`, `"af"`
            (`autoregressive_flow`), or an object; a bijector is one over a standard normal, and
            None the standard normal.
        dtype: dtype policy of a base made here.
        name: the argument's name, for errors.

    Raises:
        ValueError: anything else.

    >>> import tfgen
    >>> tfgen.distributions.get_base("student_t").df
    5.0
    """
    if base is None:
        base = "normal"
    if isinstance(base, str) and base in NAMED:
        return NAMED[base](dtype=dtype)
    if isinstance(base, tfp.distributions.Distribution):
        return FromTFD(base, dtype=dtype)
    if isinstance(base, Bijector):
        return Transformed(base, dtype=dtype)
    if isinstance(base, Base):
        return base
    raise ValueError(
        f"`{name}` must be one of {list(NAMED)}, a tfd.Distribution, a bijector or a "
        f"tfgen.distributions.Base; got {base!r}"
    )


def get_posterior(posterior, dtype=None):
    """`Posterior` for a name; a `Posterior` comes back as it is.

    Args:
        posterior: `"normal"`, `"iaf"` or a `Posterior`.
        dtype: dtype policy of one made here.

    Raises:
        ValueError: anything else.

    >>> import tfgen
    >>> type(tfgen.distributions.get_posterior("iaf")).__name__
    'IAFPosterior'
    """
    if isinstance(posterior, str) and posterior in POSTERIORS:
        return POSTERIORS[posterior](dtype=dtype)
    if isinstance(posterior, Posterior):
        return posterior
    raise ValueError(
        f"`posterior` must be one of {list(POSTERIORS)} or a Posterior; got {posterior!r}"
    )


def get_observation(observation, dtype=None, data_kind=None, scale=None):
    """`Observation` for a name or an `OutputDistribution`; an `Observation` comes back as it is.

    Args:
        observation: `"bernoulli"`, `"normal"`, `"logistic"`, `"pixelcnn"`, `"flow"` or an object;
            an `OutputDistribution` is factorised over the positions, and None is the factorised
            one that goes with the kind of data. One of reals is for uint8 data one of dequantised
            pixels in [-0.5, 0.5): in its units all levels span 1.
        dtype: dtype policy of one made here.
        data_kind: `"real"`, `"binary"` or `"uint8"`, for those made here that there are for several
            kinds (`"normal"`, `"pixelcnn"`, `"flow"`, an `OutputDistribution` of reals).
        scale: of `"normal"`: a number (in the units of real data; of uint8 data all levels span 1),
            `"shared"` or `"per_value"`, as of `Normal`; None is `"shared"` for reals and
            `"per_value"` for uint8 data.

    Raises:
        ValueError: anything else, or a `scale` of another observation than `"normal"`.

    >>> import tfgen
    >>> tfgen.distributions.get_observation("logistic").data_kind
    'uint8'
    """
    if scale is not None:
        scale = check_scale(scale, "observation_scale")
        if observation is None and data_kind == "real":
            observation = "normal"
        if not isinstance(observation, str) or observation != "normal":
            raise ValueError(
                f'`observation_scale` goes with the observation "normal"; got {observation!r}'
            )
        return _normal(dtype, data_kind, scale)
    if observation is None:
        observation = _ELEMENTS[data_kind or "binary"](dtype=dtype)
    if isinstance(observation, OutputDistribution):
        if observation.data_kind == "real" and data_kind == "uint8":
            return _of_pixels(observation, dtype)
        return Factorised(observation, dtype=dtype)
    if isinstance(observation, str) and observation in OBSERVATIONS:
        return OBSERVATIONS[observation](dtype, data_kind)
    if isinstance(observation, Observation):
        return observation
    raise ValueError(
        f"`observation` must be one of {list(OBSERVATIONS)}, an OutputDistribution or an "
        f"Observation; got {observation!r}"
    )

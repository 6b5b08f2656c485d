"""Invertible Keras layers."""

from tfgen.bijectors.actnorm import ActNorm
from tfgen.bijectors.actnorm import Standardise
from tfgen.bijectors.autoregressive import Autoregressive
from tfgen.bijectors.base import Bijector
from tfgen.bijectors.chain import Chain
from tfgen.bijectors.chain import Flatten
from tfgen.bijectors.chain import Invert
from tfgen.bijectors.coupling import Coupling
from tfgen.bijectors.elementwise import Elementwise
from tfgen.bijectors.mixing import InvertibleConv
from tfgen.bijectors.mixing import Permutation
from tfgen.bijectors.pixels import Centre
from tfgen.bijectors.pixels import Dequantise
from tfgen.bijectors.pixels import Logit
from tfgen.bijectors.repeat import Repeat
from tfgen.bijectors.squeeze import Split
from tfgen.bijectors.squeeze import Squeeze
from tfgen.bijectors.transforms import Additive
from tfgen.bijectors.transforms import Affine
from tfgen.bijectors.transforms import Gated
from tfgen.bijectors.transforms import LogScale
from tfgen.bijectors.transforms import Spline
from tfgen.bijectors.transforms import Transform

__all__ = [
    "ActNorm",
    "Additive",
    "Affine",
    "Autoregressive",
    "Bijector",
    "Centre",
    "Chain",
    "Coupling",
    "Dequantise",
    "Elementwise",
    "Flatten",
    "Gated",
    "Invert",
    "InvertibleConv",
    "LogScale",
    "Logit",
    "Permutation",
    "Repeat",
    "Spline",
    "Split",
    "Squeeze",
    "Standardise",
    "Transform",
]

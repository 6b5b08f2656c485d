"""Invertible Keras layers."""

from tfgen.bijectors.actnorm import ActNorm
from tfgen.bijectors.actnorm import Standardise
from tfgen.bijectors.autoregressive import Autoregressive
from tfgen.bijectors.base import Bijector
from tfgen.bijectors.chain import Chain
from tfgen.bijectors.chain import Flatten
from tfgen.bijectors.chain import Invert
from tfgen.bijectors.columns import DequantiseColumns
from tfgen.bijectors.columns import ToLine
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
from tfgen.bijectors.stacks import image_couplings
from tfgen.bijectors.stacks import vector_couplings
from tfgen.bijectors.transforms import Additive
from tfgen.bijectors.transforms import ExpAffine
from tfgen.bijectors.transforms import Gated
from tfgen.bijectors.transforms import SigmoidAffine
from tfgen.bijectors.transforms import Spline
from tfgen.bijectors.transforms import Transform

# Names of version 0.1.
Affine, LogScale = SigmoidAffine, ExpAffine

__all__ = [
    "ActNorm",
    "Additive",
    "Autoregressive",
    "Bijector",
    "Centre",
    "Chain",
    "Coupling",
    "Dequantise",
    "DequantiseColumns",
    "Elementwise",
    "ExpAffine",
    "Flatten",
    "Gated",
    "Invert",
    "InvertibleConv",
    "Logit",
    "Permutation",
    "Repeat",
    "SigmoidAffine",
    "Spline",
    "Split",
    "Squeeze",
    "Standardise",
    "ToLine",
    "Transform",
    "image_couplings",
    "vector_couplings",
]


def __dir__():
    return sorted(__all__)

"""Normalizing flows: a bijector over a base distribution."""

from tfgen.models.flows.flow import Flow
from tfgen.models.flows.glow import Glow
from tfgen.models.flows.glow import GlowStep
from tfgen.models.flows.maf import IAF
from tfgen.models.flows.maf import MAF
from tfgen.models.flows.nsf import NSF
from tfgen.models.flows.realnvp import RealNVP
from tfgen.models.flows.vector_flow import VectorFlow

__all__ = [
    "Flow",
    "Glow",
    "GlowStep",
    "IAF",
    "MAF",
    "NSF",
    "RealNVP",
    "VectorFlow",
]


def __dir__():
    return sorted(__all__)

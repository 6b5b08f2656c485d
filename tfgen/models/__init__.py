"""The zoo: the contract, and one file per family."""

from tfgen.models.base import GenerativeModel
from tfgen.models.flow import Flow
from tfgen.models.glow import Glow
from tfgen.models.glow import GlowStep
from tfgen.models.maf import IAF
from tfgen.models.maf import MAF
from tfgen.models.nsf import NSF
from tfgen.models.realnvp import RealNVP

__all__ = ["IAF", "MAF", "NSF", "Flow", "GenerativeModel", "Glow", "GlowStep", "RealNVP"]

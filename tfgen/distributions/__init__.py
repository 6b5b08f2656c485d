"""Bases, priors, posteriors and observation models."""

from tfgen.distributions.base import Base
from tfgen.distributions.base import StandardNormal

__all__ = ["Base", "StandardNormal"]

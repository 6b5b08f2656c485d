"""Optimizers and schedules that Keras lacks."""

from tfgen.optimizers.radam import RAdam
from tfgen.optimizers.schedules import PenaltyGrowth

__all__ = ["PenaltyGrowth", "RAdam"]


def __dir__():
    return sorted(__all__)

"""Optimizers and schedules that Keras lacks."""

from tfgen.optimizers.fused_adam import FusedAdam
from tfgen.optimizers.radam import RAdam
from tfgen.optimizers.schedules import PenaltyGrowth
from tfgen.optimizers.warm_up import WarmUpAdam

__all__ = ["FusedAdam", "PenaltyGrowth", "RAdam", "WarmUpAdam"]


def __dir__():
    return sorted(__all__)

"""Callbacks for the training of generative models."""

from tfgen.callbacks.backup import Backup
from tfgen.callbacks.cost_report import CostReport
from tfgen.callbacks.latent_report import LatentReport
from tfgen.callbacks.nan_guard import NaNGuard
from tfgen.callbacks.sample_grid import SampleGrid
from tfgen.callbacks.sample_quality import SampleQuality
from tfgen.callbacks.time_limit import TimeLimit

__all__ = [
    "Backup",
    "CostReport",
    "LatentReport",
    "NaNGuard",
    "SampleGrid",
    "SampleQuality",
    "TimeLimit",
]


def __dir__():
    return sorted(__all__)

"""The contract of every model, its data, its players, its compiled functions."""

from tfgen.core.data_spec import DataSpec
from tfgen.core.model import GenerativeModel
from tfgen.core.players import Player

__all__ = ["DataSpec", "GenerativeModel", "Player"]


def __dir__():
    return sorted(__all__)

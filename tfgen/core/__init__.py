"""The contract of every model, its data, its players, what its exports say."""

from tfgen.core.data_spec import DataSpec
from tfgen.core.export_metadata import ExportMetadata
from tfgen.core.export_metadata import read_metadata
from tfgen.core.model import GenerativeModel
from tfgen.core.players import Player

__all__ = ["DataSpec", "ExportMetadata", "GenerativeModel", "Player", "read_metadata"]


def __dir__():
    return sorted(__all__)

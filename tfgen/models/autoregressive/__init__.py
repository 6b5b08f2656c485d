"""Models of each value given those before it."""

from tfgen.models.autoregressive.deep_nade import DeepNADE
from tfgen.models.autoregressive.fvsbn import FVSBN
from tfgen.models.autoregressive.made import MADE
from tfgen.models.autoregressive.nade import NADE
from tfgen.models.autoregressive.pixelcnn import PixelCNN
from tfgen.models.autoregressive.pixelrnn import PixelRNN

__all__ = [
    "DeepNADE",
    "FVSBN",
    "MADE",
    "NADE",
    "PixelCNN",
    "PixelRNN",
]


def __dir__():
    return sorted(__all__)

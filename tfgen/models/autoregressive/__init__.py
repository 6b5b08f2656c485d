"""Models of each value given those before it."""

from tfgen.models.autoregressive.pixelcnn import PixelCNN

__all__ = [
    "PixelCNN",
]


def __dir__():
    return sorted(__all__)

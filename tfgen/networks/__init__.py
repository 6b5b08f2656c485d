"""Ordinary Keras layers: the networks inside the maps."""

from tfgen.networks.conditioners import MLP
from tfgen.networks.conditioners import ConvNet
from tfgen.networks.conditioners import Head
from tfgen.networks.conditioners import ResNet
from tfgen.networks.made import MADE

__all__ = ["MADE", "MLP", "ConvNet", "Head", "ResNet"]

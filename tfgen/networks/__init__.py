"""Networks inside the maps and models, as ordinary Keras layers."""

from tfgen.networks.autoencoders import ResNetDecoder
from tfgen.networks.autoencoders import ResNetEncoder
from tfgen.networks.conditioners import MLP
from tfgen.networks.conditioners import ConvNet
from tfgen.networks.conditioners import Head
from tfgen.networks.conditioners import ResNet
from tfgen.networks.convolutional import ConvDecoder
from tfgen.networks.convolutional import ConvEncoder
from tfgen.networks.critic import Critic
from tfgen.networks.critic import MinibatchFeatures
from tfgen.networks.critic import WeightClip
from tfgen.networks.gated import CausalConv2D
from tfgen.networks.gated import GatedPixelCNNStack
from tfgen.networks.made import MADE
from tfgen.networks.masked import MaskedConv2D
from tfgen.networks.masked import PixelCNNStack
from tfgen.networks.named import get_network
from tfgen.networks.pixel_lstm import DiagonalBiLSTM
from tfgen.networks.pixel_lstm import RowLSTM
from tfgen.networks.pixel_rnn import PixelRNNStack
from tfgen.networks.reversal import GradientReversal
from tfgen.networks.translation import PatchCritic
from tfgen.networks.translation import ResNetTranslator
from tfgen.networks.weight_norm import WeightNorm
from tfgen.networks.weight_norm import data_dependent_init

__all__ = [
    "MADE",
    "MLP",
    "CausalConv2D",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "Critic",
    "DiagonalBiLSTM",
    "GatedPixelCNNStack",
    "GradientReversal",
    "Head",
    "MaskedConv2D",
    "MinibatchFeatures",
    "PatchCritic",
    "PixelCNNStack",
    "PixelRNNStack",
    "ResNet",
    "ResNetDecoder",
    "ResNetEncoder",
    "ResNetTranslator",
    "RowLSTM",
    "WeightClip",
    "WeightNorm",
    "data_dependent_init",
    "get_network",
]


def __dir__():
    return sorted(__all__)

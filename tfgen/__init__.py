"""tfgen: deep generative models for people who live in Keras."""

import importlib

from tfgen import _backend  # noqa: F401  first: what follows imports Keras
from tfgen import bijectors
from tfgen import callbacks
from tfgen import core
from tfgen import data
from tfgen import distributions
from tfgen import metrics
from tfgen import models
from tfgen import networks
from tfgen import objectives
from tfgen import optimizers
from tfgen import plots
from tfgen._version import __version__  # noqa: F401  an attribute, as other packages have it
from tfgen.models import AFVAE
from tfgen.models import CQ
from tfgen.models import CQF
from tfgen.models import DBM
from tfgen.models import DBN
from tfgen.models import DRAW
from tfgen.models import FVSBN
from tfgen.models import GAN
from tfgen.models import GSN
from tfgen.models import IAF
from tfgen.models import IAFVAE
from tfgen.models import MADE
from tfgen.models import MAF
from tfgen.models import NADE
from tfgen.models import NSF
from tfgen.models import RBM
from tfgen.models import VAE
from tfgen.models import VAEF
from tfgen.models import VLAE
from tfgen.models import VQVAE
from tfgen.models import WGAN
from tfgen.models import Autoencoder
from tfgen.models import BiGAN
from tfgen.models import BoltzmannMachine
from tfgen.models import ConvRBM
from tfgen.models import CycleGAN
from tfgen.models import DeepNADE
from tfgen.models import DiscreteVAE
from tfgen.models import DomainAdversarial
from tfgen.models import Flow
from tfgen.models import GenerativeModel
from tfgen.models import Glow
from tfgen.models import HelmholtzMachine
from tfgen.models import InjectiveFlow
from tfgen.models import PixelCNN
from tfgen.models import PixelRNN
from tfgen.models import RealNVP
from tfgen.models import SemiSupervisedGAN
from tfgen.models import SigmoidBeliefNet

__all__ = [
    "AFVAE",
    "CQ",
    "CQF",
    "FVSBN",
    "GAN",
    "IAF",
    "IAFVAE",
    "MADE",
    "MAF",
    "NADE",
    "NSF",
    "BoltzmannMachine",
    "ConvRBM",
    "DBM",
    "DBN",
    "RBM",
    "VAE",
    "VAEF",
    "VLAE",
    "GSN",
    "DRAW",
    "VQVAE",
    "DiscreteVAE",
    "HelmholtzMachine",
    "SigmoidBeliefNet",
    "WGAN",
    "Autoencoder",
    "DeepNADE",
    "Flow",
    "GenerativeModel",
    "Glow",
    "InjectiveFlow",
    "PixelCNN",
    "PixelRNN",
    "RealNVP",
    "bijectors",
    "callbacks",
    "core",
    "data",
    "distributions",
    "metrics",
    "models",
    "networks",
    "objectives",
    "optimizers",
    "plots",
    "testing",
    "SemiSupervisedGAN",
    "BiGAN",
    "CycleGAN",
    "DomainAdversarial",
]


def __getattr__(name):
    # Only those who test parts of their own need it.
    if name == "testing":
        return importlib.import_module("tfgen.testing")
    raise AttributeError(f"module 'tfgen' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, "__version__"])

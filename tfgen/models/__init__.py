"""The zoo: recipes, by family."""

from tfgen.core import GenerativeModel
from tfgen.models.adversarial import CQ
from tfgen.models.adversarial import CQF
from tfgen.models.adversarial import GAN
from tfgen.models.adversarial import VAEF
from tfgen.models.adversarial import WGAN
from tfgen.models.adversarial import Adversarial
from tfgen.models.adversarial import BiGAN
from tfgen.models.adversarial import CycleGAN
from tfgen.models.adversarial import DomainAdversarial
from tfgen.models.adversarial import Mapping
from tfgen.models.adversarial import SemiSupervisedGAN
from tfgen.models.autoregressive import FVSBN
from tfgen.models.autoregressive import MADE
from tfgen.models.autoregressive import NADE
from tfgen.models.autoregressive import DeepNADE
from tfgen.models.autoregressive import PixelCNN
from tfgen.models.autoregressive import PixelRNN
from tfgen.models.energy import DBM
from tfgen.models.energy import DBN
from tfgen.models.energy import RBM
from tfgen.models.energy import BoltzmannMachine
from tfgen.models.energy import ConvRBM
from tfgen.models.flows import IAF
from tfgen.models.flows import MAF
from tfgen.models.flows import NSF
from tfgen.models.flows import Flow
from tfgen.models.flows import Glow
from tfgen.models.flows import GlowStep
from tfgen.models.flows import RealNVP
from tfgen.models.latent import AFVAE
from tfgen.models.latent import DRAW
from tfgen.models.latent import GSN
from tfgen.models.latent import IAFVAE
from tfgen.models.latent import VAE
from tfgen.models.latent import VLAE
from tfgen.models.latent import VQVAE
from tfgen.models.latent import Autoencoder
from tfgen.models.latent import DecoderModel
from tfgen.models.latent import DiscreteVAE
from tfgen.models.latent import EncoderDecoder
from tfgen.models.latent import Estimator
from tfgen.models.latent import GumbelSoftmax
from tfgen.models.latent import HelmholtzMachine
from tfgen.models.latent import InjectiveFlow
from tfgen.models.latent import Reinforce
from tfgen.models.latent import SigmoidBeliefNet
from tfgen.models.latent import StraightThrough
from tfgen.models.latent import Vimco

# Its name in version 0.1.
Generator = DecoderModel

__all__ = [
    "AFVAE",
    "CQ",
    "CQF",
    "DBM",
    "DBN",
    "DRAW",
    "FVSBN",
    "GAN",
    "GSN",
    "IAF",
    "IAFVAE",
    "MADE",
    "MAF",
    "NADE",
    "NSF",
    "RBM",
    "VAE",
    "VAEF",
    "VLAE",
    "VQVAE",
    "WGAN",
    "Adversarial",
    "Autoencoder",
    "BiGAN",
    "BoltzmannMachine",
    "ConvRBM",
    "CycleGAN",
    "DecoderModel",
    "DeepNADE",
    "DiscreteVAE",
    "DomainAdversarial",
    "EncoderDecoder",
    "Estimator",
    "Flow",
    "GenerativeModel",
    "Glow",
    "GlowStep",
    "GumbelSoftmax",
    "HelmholtzMachine",
    "InjectiveFlow",
    "Mapping",
    "PixelCNN",
    "PixelRNN",
    "RealNVP",
    "Reinforce",
    "SemiSupervisedGAN",
    "SigmoidBeliefNet",
    "StraightThrough",
    "Vimco",
]


def __dir__():
    return sorted(__all__)

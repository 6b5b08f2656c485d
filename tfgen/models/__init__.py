"""The zoo: the contract, and one file per family."""

from tfgen.models.adversarial import Adversarial
from tfgen.models.autoencoder import Autoencoder
from tfgen.models.base import GenerativeModel
from tfgen.models.cqf import CQ
from tfgen.models.cqf import CQF
from tfgen.models.cqf import VAEF
from tfgen.models.encoder_decoder import EncoderDecoder
from tfgen.models.flow import Flow
from tfgen.models.gan import GAN
from tfgen.models.gan import WGAN
from tfgen.models.generator import Generator
from tfgen.models.glow import Glow
from tfgen.models.glow import GlowStep
from tfgen.models.injective_flow import InjectiveFlow
from tfgen.models.maf import IAF
from tfgen.models.maf import MAF
from tfgen.models.nsf import NSF
from tfgen.models.pixelcnn import PixelCNN
from tfgen.models.realnvp import RealNVP
from tfgen.models.vae import VAE
from tfgen.models.vlae import AFVAE
from tfgen.models.vlae import IAFVAE
from tfgen.models.vlae import VLAE

__all__ = [
    "AFVAE",
    "Adversarial",
    "CQ",
    "CQF",
    "GAN",
    "IAF",
    "IAFVAE",
    "MAF",
    "NSF",
    "VAE",
    "VAEF",
    "VLAE",
    "WGAN",
    "Autoencoder",
    "EncoderDecoder",
    "Flow",
    "Generator",
    "GenerativeModel",
    "Glow",
    "GlowStep",
    "InjectiveFlow",
    "PixelCNN",
    "RealNVP",
]

"""The zoo: the contract, and one file per family."""

from tfgen.models.autoencoder import Autoencoder
from tfgen.models.base import GenerativeModel
from tfgen.models.encoder_decoder import EncoderDecoder
from tfgen.models.flow import Flow
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
    "IAF",
    "IAFVAE",
    "MAF",
    "NSF",
    "VAE",
    "VLAE",
    "Autoencoder",
    "EncoderDecoder",
    "Flow",
    "GenerativeModel",
    "Glow",
    "GlowStep",
    "InjectiveFlow",
    "PixelCNN",
    "RealNVP",
]

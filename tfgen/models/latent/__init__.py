"""Models of examples and latents: variational and other autoencoders."""

from tfgen.models.latent.autoencoder import Autoencoder
from tfgen.models.latent.decoder_model import DecoderModel
from tfgen.models.latent.encoder_decoder import EncoderDecoder
from tfgen.models.latent.injective_flow import InjectiveFlow
from tfgen.models.latent.vae import VAE
from tfgen.models.latent.vlae import AFVAE
from tfgen.models.latent.vlae import IAFVAE
from tfgen.models.latent.vlae import VLAE

__all__ = [
    "AFVAE",
    "Autoencoder",
    "DecoderModel",
    "EncoderDecoder",
    "IAFVAE",
    "InjectiveFlow",
    "VAE",
    "VLAE",
]


def __dir__():
    return sorted(__all__)

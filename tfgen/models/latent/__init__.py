"""Models of examples and latents: variational and other autoencoders, and belief nets."""

from tfgen.models.latent.autoencoder import Autoencoder
from tfgen.models.latent.belief_net import SigmoidBeliefNet
from tfgen.models.latent.decoder_model import DecoderModel
from tfgen.models.latent.discrete_vae import DiscreteVAE
from tfgen.models.latent.draw import DRAW
from tfgen.models.latent.encoder_decoder import EncoderDecoder
from tfgen.models.latent.estimators import Estimator
from tfgen.models.latent.estimators import GumbelSoftmax
from tfgen.models.latent.estimators import Reinforce
from tfgen.models.latent.estimators import StraightThrough
from tfgen.models.latent.estimators import Vimco
from tfgen.models.latent.gsn import GSN
from tfgen.models.latent.helmholtz import HelmholtzMachine
from tfgen.models.latent.injective_flow import InjectiveFlow
from tfgen.models.latent.vae import VAE
from tfgen.models.latent.vlae import AFVAE
from tfgen.models.latent.vlae import IAFVAE
from tfgen.models.latent.vlae import VLAE
from tfgen.models.latent.vqvae import VQVAE

__all__ = [
    "DRAW",
    "VQVAE",
    "DiscreteVAE",
    "AFVAE",
    "Autoencoder",
    "DecoderModel",
    "EncoderDecoder",
    "Estimator",
    "GSN",
    "GumbelSoftmax",
    "HelmholtzMachine",
    "IAFVAE",
    "InjectiveFlow",
    "Reinforce",
    "SigmoidBeliefNet",
    "StraightThrough",
    "VAE",
    "VLAE",
    "Vimco",
]


def __dir__():
    return sorted(__all__)

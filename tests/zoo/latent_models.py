"""The models with an encoder and a decoder of the registry."""

import functools

import keras

import tfgen
from tfgen import bijectors as tfg
from tfgen.networks import MLP
from tfgen.networks import ConvNet

from .entries import made
from .entries import model
from .helpers import perturb


def iaf_posterior(dtype=None):
    return tfgen.distributions.IAFPosterior(2, (8,), 4, dtype=dtype)


def af_prior(dtype=None):
    return tfgen.distributions.autoregressive_flow(2, (8,), dtype=dtype)


def factorised(element, *args, dtype=None):
    return tfgen.distributions.Factorised(element(*args, dtype=dtype), dtype=dtype)


def local_pixelcnn(dtype=None):
    network = tfgen.networks.PixelCNNStack(4, 2, num_mixers=1, dtype=dtype)
    return tfgen.distributions.AutoregressivePixels(network=network, dtype=dtype)


def pixel_flow(dtype=None):
    """An observation with one coupling, and with an initialisation from data."""
    network = ConvNet(4, dtype=dtype)
    parts = [
        tfg.ActNorm(dtype=dtype),
        tfg.Coupling("affine", "checkerboard", network=network, dtype=dtype),
    ]
    return tfgen.distributions.PixelFlow(tfg.Chain(parts, dtype=dtype), dtype=dtype)


def vae(recipe, shape=(4,), resnet=False, dtype=None, **parts):
    """A latent-variable model with small networks; parts that are functions are made here."""
    parts = made(parts, dtype)
    networks = {"encoder": MLP((8,), "elu", dtype=dtype), "decoder": MLP((8,), "elu", dtype=dtype)}
    if resnet:
        sizes = {"num_blocks": 1, "units": 8, "dtype": dtype}
        networks["encoder"] = tfgen.networks.ResNetEncoder((4, 4), **sizes)
        networks["decoder"] = tfgen.networks.ResNetDecoder(shape[:2], (4, 4), **sizes)
    elif len(shape) > 1:
        flat = keras.layers.Flatten(dtype=dtype)
        networks["encoder"] = keras.Sequential([flat, networks["encoder"]])
    return recipe(shape, 2, dtype=dtype, **networks, **parts)


ELBO = {
    "likelihood": "bound",
    "terms": ("negative_elbo", "reconstruction", "kl", "kl_bits", "active_units"),
    "summed": ("reconstruction", "kl"),
}
PIXEL_ELBO = {**ELBO, "terms": ("bpd", *ELBO["terms"])}

# A decoder that draws pixel by pixel.
LOCAL_DECODER = {
    "prior": af_prior,
    "decoder_layers": 2,
    "filters": 4,
    "free_bits": 0.0,
    "draws": True,
    **ELBO,
}

LATENT_VARIABLE_MODELS = {
    "vae": model(vae, tfgen.VAE, costly=True, **ELBO),
    "vae_real": model(vae, tfgen.VAE, observation="normal", condition_shape=(3,), **ELBO),
    "vae_images": model(vae, tfgen.VAE, (5, 6, 1), resnet=True, num_classes=2, **ELBO),
    "vae_colour": model(
        vae,
        tfgen.VAE,
        (4, 2, 3),
        observation=functools.partial(factorised, tfgen.distributions.DiscretisedLogistic, 2, 5),
        **PIXEL_ELBO,
    ),
    "vae_pixel_flow": model(vae, tfgen.VAE, (4, 4, 1), observation=pixel_flow, **PIXEL_ELBO),
    "iafvae": model(vae, tfgen.IAFVAE, (12,), posterior=iaf_posterior, **ELBO),
    "afvae": model(vae, tfgen.AFVAE, (12,), prior=af_prior, **ELBO),
    "vlae": model(
        vae,
        tfgen.VLAE,
        (4, 3, 1),
        costly=True,
        **LOCAL_DECODER,
    ),
    "vlae_downsampled": model(
        vae,
        tfgen.VLAE,
        (4, 2, 1),
        gated=True,
        downsample=2,
        **LOCAL_DECODER,
    ),
}


def fitted(num_components, size, dtype=None):
    """A distribution of latents, as `fit_latents` leaves one."""
    base = tfgen.distributions.GaussianMixture(num_components, "full", dtype=dtype)
    base.build((None, size))
    return perturb(base)


def autoencoder(recipe, shape=(4,), conv=False, num_fitted=0, dtype=None, **arguments):
    networks = {"encoder": MLP((8,), "elu", dtype=dtype), "decoder": MLP((8,), "elu", dtype=dtype)}
    if conv:
        networks["encoder"] = tfgen.networks.ConvEncoder((4, 4), (2, 1), kernel_size=3, dtype=dtype)
        networks["decoder"] = tfgen.networks.ConvDecoder(
            shape[:2], (4, 4), (1, 2), kernel_size=3, dtype=dtype
        )
    if num_fitted:
        arguments["fitted_latents"] = fitted(num_fitted, 2, dtype)
    return recipe(shape, 2, dtype=dtype, **networks, **arguments)


INJECTIVE = {
    "likelihood": "manifold",
    "terms": ("squared_error", "neg_log_prior", "log_volume", "injectivity", "mu", "mu_in"),
    "summed": ("squared_error", "neg_log_prior", "log_volume", "injectivity"),
    "weights": {"squared_error": "mu", "injectivity": "mu_in"},
}

AUTOENCODERS = {
    "autoencoder": model(
        autoencoder,
        tfgen.Autoencoder,
        data_kind="real",
        num_fitted=3,
        likelihood="none",
        reconstructs=True,
        terms=("squared_error",),
        costly=True,
    ),
    "autoencoder_images": model(
        autoencoder,
        tfgen.Autoencoder,
        (5, 4, 3),
        conv=True,
        num_fitted=1,
        num_classes=2,
        decoder_l2=1e-3,
        likelihood="none",
        reconstructs=True,
        terms=("squared_error", "decoder_l2"),
    ),
    "injective_flow": model(
        autoencoder, tfgen.InjectiveFlow, data_kind="real", costly=True, **INJECTIVE
    ),
    "injective_flow_fitted": model(
        autoencoder,
        tfgen.InjectiveFlow,
        data_kind="real",
        condition_shape=(3,),
        objective="frobenius",
        prior_weight=0.0,
        num_fitted=2,
        lambda_=0.5,
        **INJECTIVE,
    ),
    "injective_flow_images": model(
        autoencoder,
        tfgen.InjectiveFlow,
        (4, 4, 1),
        conv=True,
        jacobian="jvp",
        num_probes=2,
        **INJECTIVE,
    ),
}

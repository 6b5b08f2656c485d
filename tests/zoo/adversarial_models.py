"""The models with a critic of the registry."""

import keras

import tfgen
from tfgen.networks import MLP

from .entries import made
from .entries import model
from .latent_models import ELBO
from .latent_models import PIXEL_ELBO
from .latent_models import af_prior
from .latent_models import iaf_posterior
from .latent_models import pixel_flow
from .latent_models import vae


def adversarial(recipe, shape=(4,), dtype=None, conv=False, **arguments):
    """A small model with a critic; one with an encoder, if it takes such."""
    networks = {"critic": MLP((8,), "elu", dtype=dtype)}
    if conv:
        sizes = {"kernel_size": 3, "batch_norm": False, "spectral_norm": True, "dtype": dtype}
        networks["critic"] = tfgen.networks.ConvEncoder((4, 4), (2, 1), **sizes)
    elif len(shape) > 1:
        flat = keras.layers.Flatten(dtype=dtype)
        networks["critic"] = keras.Sequential([flat, networks["critic"]])
    if issubclass(recipe, tfgen.models.EncoderDecoder):
        return vae(recipe, shape, dtype=dtype, **networks, **arguments)
    decoder = MLP((8,), "elu", dtype=dtype)
    if conv:
        decoder = tfgen.networks.ConvDecoder(
            shape[:2], (4, 4), (1, 2), kernel_size=3, activation="relu", dtype=dtype
        )
    return recipe(shape, 2, decoder=decoder, dtype=dtype, **networks, **made(arguments, dtype))


GAME = ("adversarial", "critic_loss", "real_score", "fake_score")
ONLY_GAME = {
    "likelihood": "none",
    "terms": GAME,
    "summed": ("adversarial",),
    "falls": "critic_loss",
    # Of so few steps the critic's must be the longer ones, for its loss to fall.
    "compile": {"critic_optimizer": "adam"},
}

BOTH = {
    **PIXEL_ELBO,
    "terms": (*PIXEL_ELBO["terms"], *GAME),
    "summed": (*ELBO["summed"], "adversarial"),
}

ADVERSARIAL = {
    "gan": model(adversarial, tfgen.GAN, data_kind="real", costly=True, **ONLY_GAME),
    "gan_images": model(
        adversarial,
        tfgen.GAN,
        (5, 4, 3),
        conv=True,
        num_classes=2,
        conditioning="concatenation",
        loss="non_saturating",
        num_bits=5,
        **ONLY_GAME,
    ),
    "gan_binary": model(
        adversarial,
        tfgen.GAN,
        (3, 2, 1),
        data_kind="binary",
        outputs="gumbel",
        **ONLY_GAME,
    ),
    "wgan": model(
        adversarial,
        tfgen.WGAN,
        data_kind="real",
        condition_shape=(3,),
        prior=af_prior,
        **{
            **ONLY_GAME,
            "terms": (*GAME, "gradient_penalty"),
            "compile": {"critic_optimizer": "adam", "critic_steps": 2},
        },
    ),
    "wgan_clipped": model(
        adversarial,
        tfgen.WGAN,
        data_kind="real",
        weight_clip=0.1,
        **{**ONLY_GAME, "compile": {"critic_optimizer": "adam", "critic_steps": 2}},
    ),
    "semi_supervised_gan": model(
        adversarial,
        tfgen.SemiSupervisedGAN,
        data_kind="real",
        num_classes=3,
        **{
            **ONLY_GAME,
            "terms": (*GAME, "classification", "feature_matching"),
            "summed": ("feature_matching",),
        },
    ),
    "bigan": model(
        adversarial,
        tfgen.BiGAN,
        (3, 2, 1),
        posterior="normal",
        num_classes=2,
        **{**ONLY_GAME, "compile": {"critic_optimizer": "adam", "critic_steps": 2}},
    ),
    "vaef": model(vae, tfgen.VAEF, (4, 4, 1), observation=pixel_flow, **PIXEL_ELBO),
    # Weights with which the terms as they are add up to the loss.
    "cq": model(
        adversarial,
        tfgen.CQ,
        (3, 2, 1),
        adversarial_weight=1 / 6,
        num_classes=2,
        conditioning="joint",
        costly=True,
        **BOTH,
    ),
    "cqf": model(
        adversarial,
        tfgen.CQF,
        (4, 4, 1),
        observation=pixel_flow,
        posterior=iaf_posterior,
        adversarial_weight=1 / 16,
        **BOTH,
    ),
}

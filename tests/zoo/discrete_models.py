"""The models of discrete or recurrent latents, and of chains, of the registry."""

import keras

import tfgen
from tfgen.networks import MLP

from .entries import model
from .helpers import perturb
from .latent_models import ELBO

DISCRETE = {"likelihood": "bound", "terms": ELBO["terms"][:4], "summed": ELBO["summed"]}
SEVERAL = {
    "likelihood": "bound",
    "terms": ("negative_bound", *DISCRETE["terms"]),
    "summed": ("negative_bound",),
}


def with_terms(facts, *names):
    return {**facts, "terms": (*facts["terms"], *names)}


DISCRETE_LATENTS = {
    "sbn": model(
        tfgen.SigmoidBeliefNet,
        (3, 2, 1),
        (4, 3),
        num_classes=2,
        **with_terms(DISCRETE, "baseline_loss"),
    ),
    "sbn_vimco": model(tfgen.SigmoidBeliefNet, 5, (3,), "vimco", **SEVERAL),
    "sbn_gumbel": model(
        tfgen.SigmoidBeliefNet,
        5,
        (4, 3),
        "gumbel",
        condition_shape=(2,),
        **with_terms(DISCRETE, "temperature"),
    ),
    "helmholtz": model(
        tfgen.HelmholtzMachine,
        (3, 2, 1),
        (4, 3),
        num_classes=2,
        **with_terms(SEVERAL, "recognition_loss"),
    ),
    "helmholtz_wake_sleep": model(
        tfgen.HelmholtzMachine,
        5,
        (4,),
        "wake_sleep",
        condition_shape=(2,),
        **with_terms(DISCRETE, "recognition_loss"),
    ),
}


def codes(recipe, shape=(4,), dtype=None, fitted_codes=None, **arguments):
    """A model of categories with small networks; `fitted_codes` is the number of its codes."""
    networks = {"encoder": MLP((8,), "elu", dtype=dtype), "decoder": MLP((8,), "elu", dtype=dtype)}
    if len(shape) > 1:
        flat = keras.layers.Flatten(dtype=dtype)
        networks["encoder"] = keras.Sequential([flat, networks["encoder"]])
    if fitted_codes:
        base = tfgen.distributions.AutoregressiveCodes(
            3, indices=recipe is tfgen.VQVAE, filters=4, num_layers=2, kernel_size=3, dtype=dtype
        )
        base.build((None, fitted_codes))
        arguments["fitted_latents"] = perturb(base)
    return recipe(shape, dtype=dtype, **networks, **arguments)


CODEBOOK = {
    "likelihood": "bound",
    "terms": ("negative_elbo", "reconstruction", "commitment", "perplexity"),
    "summed": ("reconstruction", "commitment"),
}

CODES = {
    "discrete_vae": model(
        codes,
        tfgen.DiscreteVAE,
        (3, 2, 1),
        num_latents=2,
        num_categories=3,
        num_classes=2,
        **with_terms(DISCRETE, "temperature"),
    ),
    "discrete_vae_real": model(
        codes,
        tfgen.DiscreteVAE,
        num_latents=2,
        num_categories=3,
        estimator="reinforce",
        data_kind="real",
        fitted_codes=6,
        **with_terms(DISCRETE, "baseline_loss"),
    ),
    "discrete_vae_uint8": model(
        codes,
        tfgen.DiscreteVAE,
        num_latents=2,
        num_categories=3,
        estimator="vimco",
        data_kind="uint8",
        **{**SEVERAL, "terms": ("bpd", *SEVERAL["terms"])},
    ),
    "vqvae": model(
        codes, tfgen.VQVAE, (3, 2, 1), num_latents=2, num_codes=3, num_classes=2, **CODEBOOK
    ),
    "vqvae_uint8": model(
        codes,
        tfgen.VQVAE,
        num_latents=2,
        num_codes=3,
        fitted_codes=2,
        data_kind="uint8",
        **{**CODEBOOK, "terms": ("bpd", *CODEBOOK["terms"])},
    ),
}

DRAWS = {
    "draw": model(
        tfgen.DRAW,
        (4, 3, 1),
        num_steps=3,
        latent_dim=2,
        hidden_units=6,
        read_size=2,
        write_size=3,
        num_classes=2,
        **DISCRETE,
    ),
    "draw_whole": model(
        tfgen.DRAW,
        5,
        num_steps=2,
        latent_dim=2,
        hidden_units=6,
        condition_shape=(2,),
        **DISCRETE,
    ),
}


def gsn(shape, dtype=None, **arguments):
    network = MLP((32,), "elu", dtype=dtype)
    return tfgen.GSN(shape, network, sample_steps=5, dtype=dtype, **arguments)


DENOISING = {"likelihood": "none", "terms": ("denoising",), "reconstructs": True}

STOCHASTIC = {
    "gsn": model(gsn, (4, 3, 1), walkback_steps=2, num_classes=2, **DENOISING),
    "gsn_one_step": model(gsn, 5, walkback_steps=1, condition_shape=(2,), **DENOISING),
}

DISCRETE_LATENTS |= CODES | DRAWS | STOCHASTIC

"""The registry of the contract suite: a line in `MODELS` or `BIJECTORS` gets all its checks."""

import contextlib
import dataclasses
import functools
import gc
import itertools
import types
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tfgen import bijectors as tfg
from tfgen.models import Flow
from tfgen.models import GlowStep
from tfgen.models.flows.vector_flow import VectorFlow
from tfgen.networks import MADE
from tfgen.networks import MLP
from tfgen.networks import ConvNet
from tfgen.testing import models as testing
from tfgen.utils import checks
from tfgen.utils.random import as_seed

# ------------------------------------------------------------------------------------ models


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """A small model and what it promises.

    Args:
        build: constructor, of keyword arguments such as `dtype`.
        likelihood: what its `log_prob` is.
        costly: whether the checks that take longest (XLA, `predict`, float64) run on it too.
        own_parts: whether it needs classes from this file, which another process has not.
        terms: what it logs beside the loss.
        summed: those of the terms that add up to the loss; None for all.
        weights: dict from such a term to the term that is its weight.
        draws: whether `decode` draws, with noise that depends on the row.
        reconstructs: whether `call` gives examples, and not a number for each.
        falls: the term that training lowers; by default the first.
        compile: arguments of `compile` where the model's own choices take long.
    """

    build: Callable
    likelihood: str = "exact"
    costly: bool = False
    own_parts: bool = False
    terms: tuple = ("nll",)
    summed: tuple | None = None
    weights: dict = dataclasses.field(default_factory=dict)
    draws: bool = False
    reconstructs: bool = False
    falls: str | None = None
    compile: dict = dataclasses.field(default_factory=dict)


@keras.saving.register_keras_serializable(package="tests")
class SinhArcsinh(tfg.Transform):
    """Any scalar bijector of TFP serves in a coupling."""

    num_params = 2

    def __call__(self, params):
        skewness, tail = tf.unstack(params, axis=-1)
        return tfp.bijectors.SinhArcsinh(0.5 * tf.tanh(skewness), tf.exp(0.5 * tf.tanh(tail)))


def glow(shape=(4, 4, 1), num_levels=1, num_steps=2, **arguments):
    return tfgen.Glow(shape, num_levels=num_levels, num_steps=num_steps, filters=4, **arguments)


def realnvp(shape, num_layers=3, **arguments):
    return tfgen.RealNVP(shape, num_layers, hidden_units=(8,), **arguments)


def tfd_flow(dtype=None, **arguments):
    """A flow over a base in which not even the order of the dimensions may change."""
    real = checks.as_policy(dtype).variable_dtype
    triangle = np.array([[1.0, 0.0], [0.7, 0.5]], real)
    base = tfp.distributions.MultivariateNormalTriL(np.array([0.5, -1.0], real), triangle)
    return realnvp(2, base=base, dtype=dtype, **arguments)


def mixture_flow(dtype=None):
    base = tfgen.distributions.GaussianMixture(3, dtype=dtype)
    return realnvp(2, base=base, dtype=dtype)


def realnvp_images(shape, num_levels, **arguments):
    sizes = {"num_levels": num_levels, "filters": 4, "num_blocks": 1}
    return tfgen.RealNVP(shape, data_kind="uint8", **sizes, **arguments)


def autoregressive_flow(recipe, shape, **arguments):
    return recipe(shape, num_layers=2, hidden_units=(8, 8), **arguments)


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


def made(parts, dtype):
    """Parts of a model, those that are functions by being called."""
    makes = (types.FunctionType, functools.partial)
    return {k: part(dtype=dtype) if isinstance(part, makes) else part for k, part in parts.items()}


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


def pixelcnn(shape=(4, 3, 1), **arguments):
    return tfgen.PixelCNN(shape, 4, 2, **arguments)


def pixelrnn(shape=(3, 3, 1), **arguments):
    return tfgen.PixelRNN(shape, filters=3, num_layers=2, kernel_size=3, **arguments)


def flow(dtype=None, transform="affine", **arguments):
    """A user's own chain: every kind of part that no recipe has."""
    parts = [
        tfg.ActNorm(dtype=dtype),
        tfg.Permutation([2, 0, 3, 1], dtype=dtype),
        tfg.Coupling(transform, "checkerboard", network=MLP((8,), dtype=dtype), dtype=dtype),
        tfg.InvertibleConv(dtype=dtype),
        tfg.Invert(tfg.Coupling(network=MLP((8,), dtype=dtype), dtype=dtype), dtype=dtype),
        tfg.Permutation("random", dtype=dtype),
        tfg.Elementwise(transform, dtype=dtype),
    ]
    return Flow((4,), tfg.Chain(parts, dtype=dtype), dtype=dtype, **arguments)


def model(build, *args, **kwargs):
    """A line of `MODELS`: what `ModelEntry` does not take goes to the constructor."""
    names = {field.name for field in dataclasses.fields(ModelEntry)}
    facts = {name: kwargs.pop(name) for name in names & set(kwargs)}
    return ModelEntry(functools.partial(build, *args, **kwargs), **facts)


def table_flow(dtype=None):
    """Over a table with all kinds of columns, one of them given."""
    columns = tfgen.data.Columns(
        [
            {"name": "height", "kind": "number"},
            {"name": "income", "kind": "number", "low": 0.0},
            {"name": "loss", "kind": "number", "high": 3.0},
            {"name": "share", "kind": "number", "low": 0.0, "high": 1.0},
            {"name": "year", "kind": "integer", "origin": 2000.0},
            {"name": "visits", "kind": "integer", "low": 0.0, "missing": True, "scale": 2.0},
            {"name": "stars", "kind": "integer", "low": 1.0, "high": 3.0, "probs": [0.2, 0.3, 0.5]},
            {"name": "city", "kind": "category", "levels": ["a", "b"], "missing": True},
            {"name": "member", "kind": "boolean", "dtype": "bool", "levels": [False, True]},
            {"name": "seen", "kind": "date", "dtype": "datetime64[s]", "origin": "2020-01-01"},
            {"name": "side", "kind": "category", "levels": ["l", "r"], "role": "condition"},
            {"name": "land", "kind": "constant", "value": "here"},
        ]
    )
    sizes = {"num_layers": 2, "hidden_units": (8, 8), "num_bins": 4, "dtype": dtype}
    shapes = {"condition_shape": columns.condition_shape, "columns": columns}
    return tfgen.NSF(columns.event_shape, **shapes, **sizes)


PIXELS = {"likelihood": "bound", "terms": ("bpd",)}

FLOWS = {
    "glow": model(glow, num_levels=2, **PIXELS),
    "glow_additive": model(glow, coupling="additive", condition_shape=(2,), **PIXELS),
    "glow_classes": model(glow, num_classes=3, costly=True, **PIXELS),
    "glow_colour": model(glow, (2, 6, 3), num_bits=5, learned_top=False, **PIXELS),
    "glow_penalty": model(
        glow, log_det_penalty=1e-3, likelihood="bound", terms=("bpd", "log_det_penalty")
    ),
    "glow_real": model(glow, data_kind="real"),
    # Standardised by some of the data, or nothing would be left to learn.
    "realnvp_1": model(realnvp, 1, num_init_batches=1),
    "realnvp_2": model(realnvp, 2, num_layers=4, costly=True),
    "realnvp_3": model(realnvp, 3, num_layers=5),
    "realnvp_64": model(realnvp, 64, num_layers=2),
    "realnvp_condition": model(realnvp, 2, condition_shape=(3,), costly=True),
    "realnvp_labels": model(realnvp, 2, num_classes=2, transform="additive"),
    "realnvp_bits": model(realnvp, 2, data_kind="uint8", num_bits=1, **PIXELS),
    "realnvp_images": model(realnvp_images, (4, 4, 1), 2, num_classes=2, **PIXELS),
    "realnvp_odd_images": model(realnvp_images, (5, 3, 3), 1, **PIXELS),
    "realnvp_diagonal": model(realnvp, 2, base="diagonal_normal", costly=True),
    "glow_image_condition": model(
        glow, num_steps=1, condition_shape=(4, 4, 1), costly=True, **PIXELS
    ),
    "maf": model(autoregressive_flow, tfgen.MAF, 3, costly=True),
    "maf_1": model(autoregressive_flow, tfgen.MAF, 1, transform="spline"),
    "maf_labels": model(autoregressive_flow, tfgen.MAF, 2, num_classes=2, residual=True),
    "maf_pixels": model(autoregressive_flow, tfgen.MAF, 4, data_kind="uint8", **PIXELS),
    "iaf": model(autoregressive_flow, tfgen.IAF, 2, transform="gated"),
    "iaf_condition": model(autoregressive_flow, tfgen.IAF, 3, condition_shape=(2,)),
    "nsf": model(autoregressive_flow, tfgen.NSF, 2, num_bins=4),
    "nsf_condition": model(autoregressive_flow, tfgen.NSF, 3, condition_shape=(1,)),
    "nsf_autoregressive": model(
        autoregressive_flow, tfgen.NSF, 2, autoregressive=True, costly=True
    ),
    "nsf_table": model(table_flow, likelihood="bound"),
    "nsf_64": model(autoregressive_flow, tfgen.NSF, 64, num_bins=3),
    "flow": model(flow),
    "flow_own_transform": model(flow, transform=SinhArcsinh(), own_parts=True),
}

ELBO = {
    "likelihood": "bound",
    "terms": ("negative_elbo", "reconstruction", "kl", "kl_bits", "active_units"),
    "summed": ("reconstruction", "kl"),
}
PIXEL_ELBO = {**ELBO, "terms": ("bpd", *ELBO["terms"])}

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
        prior=af_prior,
        decoder_layers=2,
        filters=4,
        free_bits=0.0,
        costly=True,
        draws=True,
        **ELBO,
    ),
    "vlae_downsampled": model(
        vae,
        tfgen.VLAE,
        (4, 2, 1),
        prior=af_prior,
        decoder_layers=2,
        filters=4,
        gated=True,
        downsample=2,
        free_bits=0.0,
        draws=True,
        **ELBO,
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

CHAINS = {
    "likelihood": "unnormalised",
    "terms": ("contrast", "reconstruction", "negative_pseudo_likelihood"),
    "summed": ("contrast",),
    "falls": "reconstruction",
}
BY_VALUE = {**CHAINS, "terms": CHAINS["terms"][:2]}
QUICK = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.3}}}
IN_TURN = {**CHAINS, "terms": (*BY_VALUE["terms"], "layer")}

OTHERS = {
    "pixelcnn": model(pixelcnn, costly=True),
    "pixelcnn_colour": model(
        pixelcnn,
        (3, 4, 2),
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        num_classes=2,
        terms=("bpd",),
    ),
    "pixelcnn_gated": model(pixelcnn, network="gated", condition_shape=(4, 3, 2)),
    "pixelrnn": model(pixelrnn, (4, 3, 1), num_classes=2),
    "pixelrnn_row": model(
        pixelrnn,
        (3, 4, 2),
        kind="row",
        condition_shape=(2,),
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        terms=("bpd",),
    ),
    "fvsbn": model(tfgen.FVSBN, (3, 2, 1), num_classes=2),
    "nade": model(tfgen.NADE, (5,), 4, "random", num_classes=2),
    "nade_colour": model(
        tfgen.NADE, (1, 2, 2), 4, data_kind="uint8", num_bits=5, num_mixtures=2, terms=("bpd",)
    ),
    "nade_real": model(tfgen.NADE, (3,), 8, data_kind="real", num_mixtures=2, condition_shape=(2,)),
    # What a step sees of an example is drawn, as noise of a posterior is.
    "deep_nade": model(
        tfgen.DeepNADE, (3, 2, 1), (8, 8), num_orders=3, num_classes=2, summed=("nll",)
    ),
    "deep_nade_colour": model(
        tfgen.DeepNADE,
        (1, 2, 2),
        (8,),
        num_orders=2,
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        terms=("bpd",),
        summed=("bpd",),
    ),
    "deep_nade_real": model(
        tfgen.DeepNADE,
        (3,),
        (8, 8),
        num_orders=2,
        data_kind="real",
        num_mixtures=2,
        condition_shape=(2,),
        summed=("nll",),
    ),
    "made": model(
        tfgen.MADE, (4, 3, 1), (8, 8), num_masks=2, ordering="random", condition_shape=(2,)
    ),
    "made_colour": model(
        tfgen.MADE,
        (1, 2, 2),
        (8, 8),
        direct=True,
        residual=True,
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        terms=("bpd",),
    ),
    "rbm": model(tfgen.RBM, (3, 2, 1), 4, sample_steps=5, num_classes=2, **CHAINS),
    "rbm_real": model(
        tfgen.RBM, 3, 4, sample_steps=5, data_kind="real", condition_shape=(2,), **BY_VALUE
    ),
    "rbm_uint8": model(
        tfgen.RBM,
        (2, 2, 1),
        4,
        hidden="relu",
        estimator="fpcd",
        num_chains=6,
        sample_steps=5,
        data_kind="uint8",
        num_bits=3,
        **BY_VALUE,
    ),
    "dbm": model(
        tfgen.DBM,
        (3, 2, 1),
        (4, 3),
        num_chains=6,
        gibbs_steps=2,
        layer_steps=3,
        sample_steps=5,
        compile=QUICK,
        **IN_TURN,
    ),
    "convrbm": model(tfgen.ConvRBM, (5, 5, 1), 2, 2, sample_steps=5, compile=QUICK, **CHAINS),
    "convrbm_real": model(
        tfgen.ConvRBM,
        (4, 6, 2),
        3,
        3,
        pool_size=1,
        estimator="pcd",
        num_chains=6,
        sample_steps=5,
        data_kind="real",
        **BY_VALUE,
    ),
    "boltzmann": model(
        tfgen.BoltzmannMachine,
        (3, 2, 1),
        3,
        num_chains=6,
        gibbs_steps=1,
        sample_steps=3,
        **BY_VALUE,
    ),
    "boltzmann_visible": model(
        tfgen.BoltzmannMachine,
        (3, 2, 1),
        estimator="pseudo_likelihood",
        # Of more, chains with equal noise meet, whatever their labels.
        sample_steps=1,
        num_classes=2,
        likelihood="unnormalised",
        terms=("negative_pseudo_likelihood", "reconstruction"),
        summed=("negative_pseudo_likelihood",),
    ),
    "dbn": model(
        tfgen.DBN,
        (3, 2, 1),
        (4, 3),
        layer_steps=3,
        sample_steps=5,
        compile=QUICK,
        likelihood="unnormalised",
        terms=(*IN_TURN["terms"], "recognition_loss"),
        summed=("contrast",),
        falls="reconstruction",
    ),
    "dbn_real": model(
        tfgen.DBN,
        3,
        (4, 3, 2),
        layer_steps=2,
        sample_steps=5,
        data_kind="real",
        num_classes=2,
        likelihood="unnormalised",
        terms=(*IN_TURN["terms"], "recognition_loss"),
        summed=("contrast",),
        falls="reconstruction",
    ),
    "dbm_uint8": model(
        tfgen.DBM,
        (2, 2, 1),
        (3, 2, 3),
        estimator="cd",
        gibbs_steps=1,
        sample_steps=5,
        num_classes=2,
        data_kind="uint8",
        num_bits=3,
        **IN_TURN,
    ),
}

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

MODELS = FLOWS | LATENT_VARIABLE_MODELS | AUTOENCODERS | ADVERSARIAL | OTHERS | DISCRETE_LATENTS

# Those whose recipe and kind of data another entry has, too: their checks are among the slow ones.
VARIANTS = {
    *("glow", "glow_additive", "glow_colour", "glow_penalty"),
    *("realnvp_1", "realnvp_3", "realnvp_64", "realnvp_labels", "realnvp_odd_images"),
    "realnvp_diagonal",
    *("maf_1", "maf_labels", "maf_pixels", "iaf_condition", "nsf_condition", "nsf_64"),
    *("flow_own_transform", "vae_real", "vae_images", "vae_pixel_flow"),
    *("autoencoder_images", "injective_flow_fitted", "injective_flow_images"),
    *("nade_colour", "made_colour", "deep_nade_colour", "deep_nade_real"),
    *("wgan_clipped", "vlae_downsampled", "pixelcnn_gated", "pixelrnn_row", "glow_real"),
    *("realnvp_bits", "vae_colour"),
    *("rbm_real", "rbm_uint8", "dbm_uint8", "dbn_real", "boltzmann_visible"),
    # Its map is in the bijectors' contract, and solved as that of `maf`; `test_table` has tables.
    *("nsf_autoregressive", "nsf_table"),
    # Configurations of other recipes, which have no method of their own.
    *("iaf", "iafvae", "afvae", "vaef", "cqf"),
    # Slow to build: `test_contract` looks at what no other entry has of them.
    *("realnvp_images", "glow_image_condition", "gan_images", "pixelcnn_colour"),
    "nade_real",
    # Other estimators.
    *("sbn_vimco", "sbn_gumbel", "helmholtz_wake_sleep"),
    *("discrete_vae_real", "discrete_vae_uint8", "vqvae_uint8", "draw_whole", "gsn_one_step"),
}

# What the core does whatever the family is checked of few: with noise and without, of labels,
# vectors and neither, with a critic and latents that were fitted.
CORE = {"realnvp_condition", "vae", "autoencoder", "cq"}

# Those that stand beside another entry of their family (`rbm`, `dbn`, `sbn`, `gan`, `discrete_vae`,
# `pixelcnn`), with whose machinery they are checked; what is their own has default tests.
BESIDE = {"dbm", "convrbm", "boltzmann", "helmholtz", "gan_binary"}
BESIDE |= {"bigan", "vqvae", "draw", "gsn", "pixelrnn"}

# Of these other entries have the signatures, parts and kinds of values: the tests of files and
# exports are slow ones of them.
ALIKE = {"realnvp_2", "nsf", "maf", "gan", "pixelcnn"}

# What is not a location and a scale: the tests of bases and of densities run on them.
OTHER_BASES = {"realnvp_mixture": model(mixture_flow), "realnvp_tfd": model(tfd_flow)}

NUM_ROWS, BATCH_SIZE, EPOCHS = 20, 8, 6


def slow(*values):
    """Values of a parameter whose tests are slow ones."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def but_slow(names, among=MODELS):
    """Names as values of a parameter, and the others of the registry whose tests are slow ones."""
    assert {*names} <= {*among}, {*names} - {*among}
    return [*sorted(names), *slow(*sorted({*among} - {*names}))]


def but_alike(names):
    """Names of models as values of a parameter, slow ones of those that are alike."""
    return [name for name in names if name not in ALIKE] + slow(*sorted(ALIKE & {*names}))


def make_data(model, num_rows=NUM_ROWS, seed=0):
    """Data of two clusters that a model can learn, and conditions that tell something of them."""
    rng = np.random.default_rng(seed)
    size = (num_rows,) + (1,) * len(model.event_shape)
    y = None
    side = rng.choice([-1.0, 1.0], size)
    if model.num_classes:
        y = rng.integers(model.num_classes, size=num_rows)
        side = side + y.reshape(size)
    elif model.condition_shape is not None:
        y = rng.normal(size=(num_rows, *model.condition_shape)).astype("float32")
        side = side + y.reshape(num_rows, -1)[:, :1].reshape(size)
    x = 2 * side + 0.3 * rng.normal(size=(num_rows, *model.event_shape))
    if model.data_kind == "real":
        return x.astype("float32"), y
    if model.data_kind == "binary":
        return (x > 0).astype("uint8"), y
    if model.data_kind == "columns":
        line = tfg.ToLine(model.columns, dtype="float64")
        line.build((None, *model.event_shape))
        dequantise = tfg.DequantiseColumns(model.columns, dtype="float64")
        dequantise.build((None, *model.event_shape))
        return dequantise.quantise(line.forward_and_log_det(x / 2)[0]).numpy().astype("float32"), y
    return np.clip(100 + 25 * x, 0, 255).astype("uint8"), y


class Case(testing.Case):
    """A model of the registry that tests share: they must not change its weights."""

    # Not a copy of a model, as the parent holds, but the model itself, after some training.
    def __init__(self, name, trained=True):
        self.name, self.entry, self.seed = name, (MODELS | OTHER_BASES)[name], 3
        keras.utils.set_random_seed(0)
        self.model = self.entry.build()
        self.kind, self.compile_config = type(self.model).__name__, None
        self.x, self.y = make_data(self.model)
        self.condition = self.y
        self.model.compile(**self.entry.compile)
        if trained:
            self.history = self.fit(self.model)
        elif self.model._needs_adapt():
            self.model.adapt(self.x, self.y, batch_size=BATCH_SIZE)
        self.trained = [w.numpy() for w in self.model.weights]
        perturb(self.model)
        # It stays: the garbage collector need not look through its graphs again and again.
        gc.freeze()
        self._weights = [w.numpy() for w in self.model.weights]

    def fit(self, model, **arguments):
        """Trains a model of this entry as the shared one was; returns the history."""
        arguments = {"validation_data": (self.x, self.y), **arguments}
        arguments = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0, **arguments}
        return model.fit(self.x, self.y, **arguments).history

    @property
    def noisy(self):
        """True if the outputs of `call` depend on noise."""
        scores = hasattr(self.model, "critic") and self.entry.likelihood == "none"
        dequantised = scores and self.model.data_kind == "uint8"
        if isinstance(self.model, tfgen.VQVAE):
            # Its posterior is one value.
            return False
        drawn = isinstance(self.model, tfgen.DBN)
        return dequantised or drawn or self.entry.likelihood in ("bound", "estimate")

    def untouched(self):
        weights = zip(self.model.weights, self._weights, strict=True)
        return all(np.array_equal(w.numpy(), kept) for w, kept in weights)

    @contextlib.contextmanager
    def restored(self):
        """Scope of what trains: batch normalisation counts in every pass of training."""
        yield
        for weight, kept in zip(self.model.weights, self._weights, strict=True):
            weight.assign(kept)

    def tensors(self):
        """`x`, the condition and some noise of `log_prob`, as the model's cores take them."""
        rows = tf.constant([1, 2]), tf.constant(0, tf.int64), len(self.x)
        y = None if self.y is None else tf.constant(self.y)
        return tf.constant(self.x), y, self.model._terms_noise(*rows)

    def some(self, num_rows):
        """The first rows of the data and of the conditions."""
        return self.x[:num_rows], None if self.y is None else self.y[:num_rows]


@functools.cache
def case(name):
    return Case(name, trained=name in MODELS)


def shared(name):
    """A case as a fixture gives it."""
    shared_case = case(name)
    yield shared_case
    assert shared_case.untouched(), "a test changed the weights of a shared model"


@functools.cache
def untrained(name):
    """A case of which a few tests need no more than that its weights are perturbed."""
    return Case(name, trained=False)


# --------------------------------------------------------------------------------- bijectors


@dataclasses.dataclass(frozen=True)
class BijectorEntry:
    """A small bijector.

    Args:
        build: constructor, of `dtype`.
        shape: shape of an event on the data side.
        condition: size or shape of the condition, None for none.
        high: data are uniform in [0, high) instead of standard normal.
    """

    build: Callable
    shape: tuple
    condition: int | tuple | None = None
    high: float | None = None


def coupling(*args, image=False, dtype=None, **kwargs):
    network = ConvNet(8, dtype=dtype) if image else MLP((8,), dtype=dtype)
    return tfg.Coupling(*args, network=network, dtype=dtype, **kwargs)


def autoregressive(transform="affine", num_params=2, dtype=None, **kwargs):
    network = MADE(num_params, (8, 8), dtype=dtype, **kwargs)
    return tfg.Autoregressive(transform, network, dtype=dtype)


def to_line(shares=False, dtype=None):
    """Bounds of each kind, or codes of known shares alone."""
    bounds = [(None, None), (-10.0, None), (None, 9.0), (-9.0, 11.0)]
    columns = [
        {"name": f"{low}..{high}", "kind": "number", "low": low, "high": high}
        for low, high in bounds
    ]
    if shares:
        columns = [
            {"name": "codes", "kind": "integer", "low": -8.0, "high": 8.0, "probs": [1 / 17] * 17},
            {"name": "few", "kind": "integer", "low": -6.0, "high": 5.0}
            | {"probs": [0.01, *[0.09] * 11]},
        ]
    return tfg.ToLine(tfgen.data.Columns(columns), dtype=dtype)


def inverted(build, *args, **kwargs):
    return lambda dtype=None: tfg.Invert(build(*args, dtype=dtype, **kwargs), dtype=dtype)


def chain(dtype=None):
    parts = [tfg.ActNorm(dtype=dtype), coupling(dtype=dtype), tfg.Permutation(dtype=dtype)]
    return tfg.Chain([*parts, coupling(SinhArcsinh(), flip=True, dtype=dtype)], dtype=dtype)


def repeat(times=3, dtype=None):
    return tfg.Repeat(chain(dtype), times, dtype=dtype)


def glow_step(dtype=None, **arguments):
    return GlowStep(filters=8, dtype=dtype, **arguments)


def split(dtype=None, **arguments):
    rest = tfg.Chain([coupling(image=True, dtype=dtype), tfg.Flatten(dtype=dtype)], dtype=dtype)
    return tfg.Split(rest, dtype=dtype, **arguments)


def multi_scale(dtype=None):
    """The parts of a Glow of two levels, as a chain."""
    top = [tfg.Repeat(glow_step(dtype), 2, dtype=dtype), tfg.Elementwise(dtype=dtype)]
    top = tfg.Chain([tfg.Squeeze(dtype=dtype), *top, tfg.Flatten(dtype=dtype)], dtype=dtype)
    parts = [tfg.Centre(8, dtype=dtype), tfg.Squeeze(dtype=dtype), glow_step(dtype)]
    return tfg.Chain([*parts, tfg.Split(top, dtype=dtype)], dtype=dtype)


def of(cls, *args, **kwargs):
    return functools.partial(cls, *args, **kwargs)


IMAGE = (4, 4, 3)

BIJECTORS = {
    "actnorm": BijectorEntry(of(tfg.ActNorm), (3,)),
    "standardise": BijectorEntry(of(tfg.Standardise), (3,)),
    "standardise_image": BijectorEntry(of(tfg.Standardise), IMAGE),
    "actnorm_image": BijectorEntry(of(tfg.ActNorm, epsilon=1e-3), IMAGE),
    "additive_coupling": BijectorEntry(of(coupling, "additive"), (4,)),
    "own_transform_coupling": BijectorEntry(of(coupling, SinhArcsinh()), (4,)),
    "log_scale_coupling": BijectorEntry(of(coupling, tfg.ExpAffine()), (4,)),
    "bounded_coupling": BijectorEntry(of(coupling, tfg.SigmoidAffine(floor=0.5)), (4,)),
    "default_network": BijectorEntry(of(tfg.Coupling), (3,)),
    "default_image_network": BijectorEntry(of(tfg.Coupling), IMAGE),
    "spline_coupling": BijectorEntry(of(coupling, "spline"), (4,)),
    "spline_image_coupling": BijectorEntry(of(coupling, tfg.Spline(3, 2.0), image=True), IMAGE),
    "spline_two_bins": BijectorEntry(of(coupling, tfg.Spline(2)), (3,), condition=1),
    "elementwise_spline": BijectorEntry(of(tfg.Elementwise, "spline"), (3,)),
    "conditional_coupling": BijectorEntry(of(coupling), (4,), condition=2),
    "conditional_single": BijectorEntry(of(coupling), (1,), condition=2),
    "conditional_image_coupling": BijectorEntry(of(coupling, image=True), IMAGE, condition=2),
    "image_condition_coupling": BijectorEntry(of(coupling, image=True), IMAGE, (4, 4, 2)),
    "large_image_condition": BijectorEntry(of(coupling, image=True), IMAGE, (8, 8, 1)),
    "invertible_conv": BijectorEntry(of(tfg.InvertibleConv), (4,)),
    "invertible_conv_reverse": BijectorEntry(of(tfg.InvertibleConv, "reverse"), (3,)),
    "invertible_conv_image": BijectorEntry(of(tfg.InvertibleConv), IMAGE),
    "reverse": BijectorEntry(of(tfg.Permutation), IMAGE),
    "random_permutation": BijectorEntry(of(tfg.Permutation, "random"), (5,)),
    "given_permutation": BijectorEntry(of(tfg.Permutation, [2, 0, 1]), IMAGE),
    "centre": BijectorEntry(of(tfg.Centre), IMAGE, high=256),
    "centre_five_bits": BijectorEntry(of(tfg.Centre, 5), (3,), high=32),
    "logit": BijectorEntry(of(tfg.Logit), IMAGE, high=256),
    "logit_unit": BijectorEntry(of(tfg.Logit, 0, alpha=0.1), (3,), high=1),
    "elementwise": BijectorEntry(of(tfg.Elementwise), (3,)),
    "elementwise_image": BijectorEntry(of(tfg.Elementwise, "additive"), IMAGE),
    "elementwise_condition": BijectorEntry(of(tfg.Elementwise), IMAGE, condition=2),
    "elementwise_image_condition": BijectorEntry(of(tfg.Elementwise), IMAGE, (4, 4, 1)),
    "elementwise_own": BijectorEntry(of(tfg.Elementwise, SinhArcsinh()), (3,), condition=1),
    "squeeze": BijectorEntry(of(tfg.Squeeze), IMAGE),
    "flatten": BijectorEntry(of(tfg.Flatten), IMAGE),
    "to_line": BijectorEntry(to_line, (4,)),
    "to_line_shares": BijectorEntry(functools.partial(to_line, True), (2,)),
    "split": BijectorEntry(of(split), IMAGE),
    "split_condition": BijectorEntry(of(split), IMAGE, condition=2),
    "split_without_prior": BijectorEntry(of(split, prior=None), IMAGE),
    "chain": BijectorEntry(of(chain), (3,)),
    "chain_condition": BijectorEntry(of(chain), (3,), condition=2),
    "invert": BijectorEntry(lambda dtype=None: tfg.Invert(chain(dtype), dtype=dtype), (4,)),
    "invert_squeeze": BijectorEntry(
        lambda dtype=None: tfg.Invert(tfg.Squeeze(dtype=dtype), dtype=dtype), (2, 2, 4)
    ),
    "repeat": BijectorEntry(of(repeat), (3,)),
    "repeat_condition": BijectorEntry(of(repeat), (3,), condition=2),
    "repeat_once": BijectorEntry(of(repeat, times=1), (2,)),
    "glow_step": BijectorEntry(of(glow_step), IMAGE),
    "glow_step_additive": BijectorEntry(of(glow_step, coupling="additive"), (2, 3, 4), condition=2),
    "multi_scale": BijectorEntry(of(multi_scale), IMAGE, high=256),
    "multi_scale_image_condition": BijectorEntry(of(multi_scale), IMAGE, (4, 4, 1), high=256),
    "multi_scale_condition": BijectorEntry(of(multi_scale), IMAGE, condition=2, high=256),
}

TRANSFORMS = {
    "additive": ("additive", 1),
    "affine": ("affine", 2),
    "gated": ("gated", 2),
    "log_scale": (tfg.ExpAffine(), 2),
    "spline": (tfg.Spline(num_bins=5, bound=3.0), 14),
    "own": (SinhArcsinh(), 2),
}
ORDERINGS = ("natural", "reverse", "random")
# Every transform both ways round, with and without a condition, of one dimension and of several.
for (name, transform), size, condition in itertools.product(
    TRANSFORMS.items(), (1, 2, 5), (None, 2)
):
    arguments = {"ordering": ORDERINGS[size % 3], "residual": size == 5}
    name = f"{name}_{size}{'_condition' * bool(condition)}"
    BIJECTORS[f"autoregressive_{name}"] = BijectorEntry(
        of(autoregressive, *transform, **arguments), (size,), condition
    )
    BIJECTORS[f"inverse_autoregressive_{name}"] = BijectorEntry(
        inverted(autoregressive, *transform, **arguments), (size,), condition
    )
BIJECTORS["autoregressive_64"] = BijectorEntry(of(autoregressive), (64,))
BIJECTORS["spline_coupling_64"] = BijectorEntry(of(coupling, "spline"), (64,))
BIJECTORS["autoregressive_default"] = BijectorEntry(of(tfg.Autoregressive), (3,))

# Every mask on even, odd and single sides.
VECTORS, IMAGES = ((1,), (4,), (5,)), ((1, 1, 1), (3, 5, 3), IMAGE)
MASKED = set()
MASKS = {"halves": VECTORS, "channel": IMAGES, "checkerboard": VECTORS + IMAGES}
for mask, flip in itertools.product(MASKS, (False, True)):
    for shape in MASKS[mask]:
        name = f"{mask}{'_flipped' * flip}_{'x'.join(map(str, shape))}"
        build = of(coupling, "affine", mask, flip, image=len(shape) == 3)
        BIJECTORS[name] = BijectorEntry(build, shape)
        MASKED.add(name)

# The checks of the others are slow ones. Quick are both ways round of each transform, one way of
# several dimensions and one with a condition (of two transforms all four); of each mask even sides,
# odd ones and a single one.
QUICK = {f"autoregressive_{name}_5" for name in TRANSFORMS}
QUICK |= {f"inverse_autoregressive_{name}_2_condition" for name in TRANSFORMS}
QUICK |= {f"autoregressive_{name}_2_condition" for name in ("affine", "spline")}
QUICK |= {f"inverse_autoregressive_{name}_5" for name in ("affine", "spline")}
QUICK |= {"autoregressive_default", "autoregressive_affine_1"}
QUICK |= {"halves_5", "halves_flipped_4", "halves_1", "channel_3x5x3", "channel_flipped_4x4x3"}
QUICK |= {"checkerboard_5", "checkerboard_flipped_4", "checkerboard_1x1x1", "checkerboard_3x5x3"}
QUICK |= {"checkerboard_flipped_4x4x3"}
SLOW_BIJECTORS = {name for name in BIJECTORS if "autoregressive" in name or name in MASKED} - QUICK
# Other sizes of entries that stand beside them, and parts of which others are made.
SLOW_BIJECTORS |= {
    *("standardise_image", "spline_two_bins", "conditional_single", "conditional_image_coupling"),
    *("image_condition_coupling", "invertible_conv_reverse", "elementwise_image", "split"),
    *("multi_scale", "multi_scale_image_condition", "repeat_once", "centre_five_bits"),
    "spline_coupling_64",
}

# Parts that other entries are made of, and the base classes.
ABSTRACT = {
    tfg.Bijector,
    tfg.Transform,
    tfgen.GenerativeModel,
    tfgen.models.EncoderDecoder,
    tfgen.models.DecoderModel,
    tfgen.models.latent.autoencoder.PointAutoencoder,
    VectorFlow,
    tfgen.distributions.Base,
    tfgen.distributions.OutputDistribution,
    tfgen.distributions.Observation,
    tfgen.distributions.Posterior,
}
NOT_A_MAP = {tfg.Dequantise, tfg.DequantiseColumns}


class BijectorCase:
    """A built and perturbed bijector with points on its data side."""

    def __init__(self, name, dtype, shape=None, num_rows=3):
        self.entry = entry = BIJECTORS[name]
        self.shape = shape or entry.shape
        keras.utils.set_random_seed(0)
        self.layer = entry.build(dtype=dtype)
        features = self._condition_shape()
        self.layer.build((None, *self.shape), features and (None, *features))
        perturb(self.layer)
        rng = np.random.default_rng(1)
        if self.layer.adaptive and not self.layer.trainable_variables:
            self.layer.adapt([rng.normal(2, 3, (20, *self.shape)).astype(dtype)])
        self.x = rng.normal(size=(num_rows, *self.shape)).astype(dtype)
        if entry.high is not None:
            self.x = rng.uniform(0, entry.high, self.x.shape).astype(dtype)
        self.condition = None
        if entry.condition is not None:
            self.condition = rng.normal(size=(num_rows, *features)).astype(dtype)
        latent_shape = self.layer.inverse_event_shape(self.shape)
        self.z = rng.normal(size=(num_rows, *latent_shape)).astype(dtype)

    def _condition_shape(self):
        """Shape of one condition; an image's sides keep the entry's proportion to the event's."""
        entry = self.entry
        if entry.condition is None or isinstance(entry.condition, int):
            return entry.condition and (entry.condition,)
        *sides, channels = entry.condition
        events = zip(sides, entry.shape, self.shape, strict=False)
        return (*(side * now // then for side, then, now in events), channels)

    def inverse(self, x):
        return self.layer.inverse_and_log_det(x, condition=self.condition)

    def forward(self, z):
        return self.layer.forward_and_log_det(z, condition=self.condition)

    # Value and log-determinant of the ways from either side and back, computed once.

    @functools.cached_property
    def from_x(self):
        return self.inverse(self.x)

    @functools.cached_property
    def from_z(self):
        return self.forward(self.z)

    @functools.cached_property
    def back_to_x(self):
        return self.forward(self.from_x[0])

    @functools.cached_property
    def back_to_z(self):
        return self.inverse(self.from_z[0])


_bijector_cases = {}


def bijector_case(name, dtype="float64"):
    """The case of an entry, shared by the tests."""
    if (name, dtype) not in _bijector_cases:
        _bijector_cases[name, dtype] = BijectorCase(name, dtype)
    return _bijector_cases[name, dtype]


# ------------------------------------------------------------------------------------ helpers


def perturb(layer, seed=0, scale=0.3):
    """Shifts every trainable weight by noise: zero-initialised output layers make inversion,
    log-determinants and causality hold trivially.

    The noise of a kernel is divided by the square root of what it sums over, as in initialisers.
    """
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        deviation = scale / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        weight.assign_add(deviation * rng.normal(size=weight.shape))
    return layer


def eager_outputs(model, x, y=None, seed=0):
    """The values of `testing.outputs`, with nothing compiled: for models that give them once."""
    x, y = tensors(model.data_spec.check_x(x), model.data_spec.check_condition(y, len(x)))
    return model._outputs(x, y, as_seed(seed), tf.constant(0, tf.int64))


def eager_samples(model, num_samples, y=None, seed=0):
    """The values of `sample`, with nothing compiled."""
    (y,) = tensors(model.data_spec.check_condition(y, num_samples))
    start, temperature = tf.constant(0, tf.int64), tf.ones([], model.variable_dtype)
    return model._sample(y, num_samples, as_seed(seed), start, temperature)


def tensors(*arrays):
    return [array if array is None else tf.constant(array) for array in arrays]


def unrolled(bijector):
    """The copies of a Repeat as layers of their own."""
    step = keras.saving.serialize_keras_object(bijector.step)
    copies = []
    for k in range(bijector.times):
        copy = keras.saving.deserialize_keras_object(step)
        if not copy.built:
            copy.build((None, *bijector.event_shape))
        for own, stacked in (
            (copy.trainable_variables, bijector.trainable_variables),
            (copy.non_trainable_variables, bijector.non_trainable_variables),
        ):
            for variable, values in zip(own, stacked, strict=True):
                variable.assign(values[k])
        copies.append(copy)
    return copies


@keras.saving.register_keras_serializable(package="tests")
class CountedMLP(MLP):
    """Counts its evaluations, over all copies."""

    count = 0

    def call(self, inputs):
        CountedMLP.count += 1
        return super().call(inputs)

"""A trained generator as the decoder of a model with an encoder."""

import tensorflow as tf

from tfgen.bijectors import Chain
from tfgen.distributions import Deterministic
from tfgen.distributions import DiscreteOutputs
from tfgen.distributions import Normal
from tfgen.distributions import PixelFlow
from tfgen.models.latent.decoder_model import DecoderModel
from tfgen.utils import checks
from tfgen.utils.layers import unbuilt_copy


def vae_from_generator(cls, generator, encoder=None, **kwargs):
    """A model whose decoder is a trained generator: what is left to train is the encoder, and
    the scale of a normal distribution around what is generated, but of binary data.

    Its bits per dimension are those of Lucas et al. for a GAN ("obtained using VAE with frozen
    GAN decoder").

    Args:
        generator: a `GAN`, of which the model takes copies that stay as they are.
        encoder: as of the constructor.
        **kwargs: more arguments of the constructor: `posterior`, `beta`, `free_bits`, `name`.

    Raises:
        ValueError: the generator is no `GAN`, or an argument is one that it decides.

    >>> import numpy as np, tfgen
    >>> gan = tfgen.GAN((8, 8, 1), latent_dim=2, decoder="mlp", critic="mlp")
    >>> model = tfgen.VAE.from_generator(gan, encoder="mlp")
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> bool(np.all(model.decode(np.zeros((1, 2))) == gan.decode(np.zeros((1, 2)))))
    True
    """
    checks.check_instance(generator, DecoderModel, "generator")
    made = generator.observation
    discrete = isinstance(made, DiscreteOutputs)
    plain = isinstance(made, PixelFlow) and isinstance(made.bijector, Chain)
    if not discrete and (
        not plain or made.bijector.bijectors or not isinstance(made.element, Deterministic)
    ):
        raise ValueError(
            "`generator` must make one example of each of its latents, as a GAN does; got a "
            f"{type(generator).__name__}"
        )
    dtype = generator.dtype_policy
    if discrete:
        observation = unbuilt_copy(made)
    else:
        observation = PixelFlow(
            Chain([], dtype=dtype),
            generator.data_kind,
            generator.num_bits,
            Normal("shared", made.element.bound, dtype=dtype),
            dtype=dtype,
        )
    decided = {
        "fitted_latents": generator.fitted_latents,
        "event_shape": generator.event_shape,
        "latent_dim": generator.latent_dim,
        "decoder": unbuilt_copy(generator.decoder),
        "prior": unbuilt_copy(generator.prior),
        "observation": observation,
        "data_kind": generator.data_kind,
        "condition_shape": None if generator.num_classes else generator.condition_shape,
        "num_classes": generator.num_classes,
        "dtype": dtype,
    }
    for name in set(decided) & set(kwargs):
        raise ValueError(f"`{name}` is the generator's; got {kwargs[name]!r}")
    model = cls(encoder=encoder, **decided, **kwargs)
    if observation.dequantises:
        # Pixels span 1: from there it would take thousands of steps.
        log_scale = observation.element.log_scale
        log_scale.assign(tf.fill(log_scale.shape, -2.3))
    for name in ("condition_loc", "condition_scale", "x_loc", "x_scale"):
        if hasattr(generator, name):
            getattr(model, name).assign(getattr(generator, name))
    for copy, part in (
        (model.decoder, generator.decoder),
        (model.prior, generator.prior),
        (_head(model.observation), _head(made)),
        *([(model.embedding, generator.embedding)] if model.num_classes else []),
    ):
        copy.set_weights(part.get_weights())
        copy.trainable = False
    return model


def _head(observation):
    return getattr(observation, "features", observation).head

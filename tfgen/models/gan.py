"""Generative adversarial networks."""

import keras

from tfgen.bijectors import Chain
from tfgen.distributions import Deterministic
from tfgen.distributions import PixelFlow
from tfgen.distributions import get_base
from tfgen.models.adversarial import Adversarial
from tfgen.models.generator import Generator
from tfgen.networks import ConvDecoder
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class GAN(Adversarial, Generator):
    """Generative adversarial network (Goodfellow et al. 2014): `z ~ prior`, `x = G(z)`, and a
    critic that tells samples from data.

    There is no `log_prob`: judge samples by `tfgen.metrics`, or train an encoder to the generator,
    `VAE.from_generator`. `model(x)` and `predict` give the critic's score.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        decoder: the generator: layer from latents to features, `[batch, size]` or
            `[batch, height, width, channels]`, or `"mlp"`, or of images `"conv"` (the default,
            after Radford et al. 2016) or `"resnet"`. A linear layer over them, for pixels within
            a hyperbolic tangent, gives the example.
        critic: as for `models.Adversarial`.
        loss: the same.
        gradient_penalty: the same.
        weight_clip: the same.
        minibatch_features: the same.
        prior: as for `VAE`; with a gradient.
        data_kind: `"uint8"` or `"real"`.
        num_bits: bits of a value of uint8 data.
        **kwargs: `condition_shape` (`[features]`), `num_classes`, `dtype`, `name`, and
            `fitted_latents`, a distribution in the prior's place as for `set_latents`.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> model = tfgen.GAN((8, 8, 1), latent_dim=2, decoder="mlp", critic="mlp")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.sample(3).shape, model.critic_score(x).shape
    (TensorShape([3, 8, 8, 1]), TensorShape([32]))
    """

    likelihood = "none"
    _for_images = "conv"

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        decoder=None,
        prior="normal",
        data_kind="uint8",
        num_bits=8,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        kind = {"dtype": dtype}
        element = Deterministic(bound=0.5 if data_kind == "uint8" else None, **kind)
        observation = PixelFlow(Chain([], **kind), data_kind, num_bits, element, **kind)
        parts = {"prior": get_base(prior, dtype, name="prior"), "observation": observation}
        super().__init__(event_shape, latent_dim, parts, {"decoder": decoder}, **kind, **kwargs)
        self.build()

    def default_optimizer(self):
        """As of Radford et al. 2016, section 4."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def _named_network(self, given, name):
        if name != "decoder" or given != "conv":
            return super()._named_network(given, name)
        return ConvDecoder(
            self.event_shape[:2],
            (256, 128, 64),
            (2, 2, 2),
            activation="relu",
            dtype=self.dtype_policy,
        )

    # --- hooks ----------------------------------------------------------------

    def _outputs(self, x, condition, seed, start):
        return self._critic_score(x, condition, seed, start)

    def _likelihood_terms(self, x, condition, noise, training):
        return {}

    def get_config(self):
        return {
            **super().get_config(),
            "prior": keras.saving.serialize_keras_object(self.prior),
            "num_bits": self.num_bits,
        }


@keras.saving.register_keras_serializable(package="tfgen")
class WGAN(GAN):
    """Wasserstein GAN: the critic's difference of means is a distance, if its slope is bounded: by
    a gradient penalty (Gulrajani et al. 2017), or by clipped weights (Arjovsky et al. 2017).

    The critic, which should be near its best, takes five steps before each one of the generator.
    Arguments as for `GAN`; `weight_clip` takes the place of the penalty.

    >>> import tfgen
    >>> model = tfgen.WGAN(2, latent_dim=2, data_kind="real")
    >>> model.get_config()["gradient_penalty"]
    10.0
    """

    default_critic_steps = 5

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        loss="wasserstein",
        gradient_penalty=None,
        weight_clip=None,
        **kwargs,
    ):
        if gradient_penalty is None:
            gradient_penalty = 10.0 if weight_clip is None else 0.0
        super().__init__(
            event_shape,
            latent_dim,
            loss=loss,
            gradient_penalty=gradient_penalty,
            weight_clip=weight_clip,
            **kwargs,
        )

    def default_optimizer(self):
        """The papers': Gulrajani et al., Algorithm 1, or Arjovsky et al., Algorithm 1."""
        if self._game["weight_clip"]:
            return keras.optimizers.RMSprop(5e-5)
        return keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)

    default_critic_optimizer = default_optimizer

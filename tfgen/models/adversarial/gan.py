"""Generative adversarial networks."""

import keras

from tfgen.bijectors import Chain
from tfgen.distributions import Deterministic
from tfgen.distributions import DiscreteOutputs
from tfgen.distributions import PixelFlow
from tfgen.distributions import get_base
from tfgen.distributions.discrete_outputs import ESTIMATORS
from tfgen.models.adversarial.critic_player import Adversarial
from tfgen.models.latent.decoder_model import DecoderModel
from tfgen.networks.named import get_network
from tfgen.optimizers import FusedAdam
from tfgen.utils import checks


def generated(data_kind, num_bits, outputs, dtype):
    """The observation of a generator: values that its features are, or draws of 0 and 1."""
    kind = {"dtype": dtype}
    if data_kind == "binary":
        if isinstance(outputs, DiscreteOutputs):
            return outputs
        if outputs not in (None, *ESTIMATORS):
            raise ValueError(
                f"`outputs` must be one of {list(ESTIMATORS)} or a DiscreteOutputs; got {outputs!r}"
            )
        return DiscreteOutputs(outputs or "straight_through", **kind)
    if outputs is not None:
        raise ValueError(f'`outputs` go with data_kind="binary"; got {data_kind!r}')
    if data_kind not in ("uint8", "real"):
        raise ValueError(f'`data_kind` must be "uint8", "real" or "binary"; got {data_kind!r}')
    element = Deterministic(bound=0.5 if data_kind == "uint8" else None, **kind)
    return PixelFlow(Chain([], **kind), data_kind, num_bits, element, **kind)


@keras.saving.register_keras_serializable(package="tfgen")
class GAN(Adversarial, DecoderModel):
    """Generative adversarial network (Goodfellow et al. 2014, "Generative Adversarial Networks",
    arXiv:1406.2661): `z ~ prior`, `x = G(z)`, and a critic that tells samples from data.

    There is no `log_prob`: judge samples by `tfgen.metrics`, or train an encoder to the generator,
    `VAE.from_generator`. `model(x)` and `predict` give the critic's score.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        decoder: the generator: layer from latents to features, `[batch, size]` or
            `[batch, height, width, channels]`, or `"mlp"`, or of images `"conv"` (the default,
            after Radford et al. 2016) or `"resnet"`. A linear layer over them, for pixels within
            a hyperbolic tangent, gives the example.
        critic: layer from reals to features `[batch, size]`, or a name, or a `networks.Critic`: see
            `models.Adversarial`.
        loss: the game's loss, `"log_ratio"`, `"non_saturating"` or `"wasserstein"`.
        gradient_penalty: weight of the gradient penalty in the critic's loss.
        weight_clip: bound of the critic's weights, or None.
        minibatch_features: number of features of the whole batch that the critic sees.
        conditioning: how the critic sees conditions, `"projection"` (the default),
            `"concatenation"` or `"joint"`: see `networks.Critic`.
        unrolled_steps: steps of the critic that each step of the generator looks ahead, with the
            rate `unrolled_rate`, against samples that are all alike: see `models.Adversarial`.
        unrolled_rate: rate of these steps.
        prior: as for `VAE`; with a gradient.
        data_kind: `"uint8"`, `"real"` or `"binary"`.
        num_bits: bits of a value of uint8 data.
        outputs: of binary data, how gradients pass through draws of 0 and 1:
            `"straight_through"` (the default), `"gumbel"`, or a `distributions.DiscreteOutputs`,
            which may be of categories as one-hot vectors.
        **kwargs: `condition_shape` (`[features]`), `num_classes`, `dtype`, `name`, and
            `fitted_latents`, a distribution in the prior's place as for `set_latents`.

    Raises:
        ValueError: another `data_kind`, or as for `models.Adversarial` and `models.DecoderModel`.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> model = tfgen.GAN((8, 8, 1), latent_dim=2, decoder="mlp", critic="mlp")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.sample(3).shape, model.critic_score(x).shape
    (TensorShape([3, 8, 8, 1]), TensorShape([32]))
    >>> model.compile_argument_names[:2], model.player_argument_names
    (('optimizer', 'run_eagerly'), ['critic_optimizer', 'critic_steps'])
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
        outputs=None,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        observation = generated(data_kind, num_bits, outputs, dtype)
        parts = {"prior": get_base(prior, dtype, name="prior"), "observation": observation}
        networks = {"decoder": decoder}
        super().__init__(event_shape, latent_dim, parts, networks, dtype=dtype, **kwargs)

    def default_optimizer(self):
        """Adam as of Radford et al. 2016 (arXiv:1511.06434), section 4."""
        return FusedAdam(2e-4, beta_1=0.5)

    def _network(self, given, name):
        role = "generator" if name == "decoder" else name
        return get_network(
            given, role, self.event_shape, self.dtype_policy, default=self._for_images, name=name
        )

    # --- hooks ----------------------------------------------------------------

    def _outputs(self, x, condition, seed, start):
        return self._critic_score(x, condition, seed, start)

    def _likelihood_terms(self, x, condition, noise, training):
        return {}


@keras.saving.register_keras_serializable(package="tfgen")
class WGAN(GAN):
    """Wasserstein GAN: the critic's difference of means is a distance, if its slope is bounded: by
    a gradient penalty (Gulrajani et al. 2017, "Improved Training of Wasserstein GANs",
    arXiv:1704.00028), or by clipped weights (Arjovsky et al. 2017, "Wasserstein GAN",
    arXiv:1701.07875).

    The critic, which should be near its best, takes five steps before each one of the generator.
    Arguments as for `GAN`; `weight_clip` takes the place of the penalty.

    Raises:
        ValueError: as for `GAN`.

    >>> import tfgen
    >>> model = tfgen.WGAN(2, latent_dim=2, data_kind="real")
    >>> model.gradient_penalty
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
        if self.weight_clip:
            return keras.optimizers.RMSprop(5e-5)
        return FusedAdam(1e-4, beta_1=0.0, beta_2=0.9)

    default_critic_optimizer = default_optimizer

"""Coverage and quality: likelihood and a critic at once."""

import keras

from tfgen.models.adversarial.critic_player import Adversarial
from tfgen.models.latent.vae import VAE
from tfgen.optimizers import FusedAdam
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class VAEF(VAE):
    """`VAE` whose decoder speaks of features of the image (Lucas et al. 2019, "Adaptive Density
    Estimation for Generative Models", arXiv:1901.01091, eq. 6 to 8): a flow from these to the
    pixels makes them dependent given the latents.

    Arguments as for `VAE`; `data_kind` is `"uint8"` or `"real"`. The flow by default is for images
    with even sides; for others give one, `observation=distributions.PixelFlow(bijector)`.

    >>> import tfgen
    >>> model = tfgen.VAEF((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp")
    >>> type(model.observation).__name__
    'PixelFlow'
    """

    _kinds = ("real", "uint8")

    def __init__(self, event_shape, latent_dim=64, observation="flow", data_kind="uint8", **kwargs):
        super().__init__(
            event_shape, latent_dim, observation=observation, data_kind=data_kind, **kwargs
        )


@keras.saving.register_keras_serializable(package="tfgen")
class CQ(Adversarial, VAE):
    """Coverage- and quality-driven training (Lucas et al. 2019, arXiv:1901.01091): the bound on the
    likelihood, which pays for every example that is missed, and a critic, which pays for every
    sample that is off.

    `loss = likelihood_weight * L_C + adversarial_weight * D * L_Q` with `L_C` the objective of
    `VAE`, in nats, `L_Q` that of the generator, and the `D` values of an example: so a nat per
    dimension weighs as much as a unit of the critic's score.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        likelihood_weight: of the bound.
        adversarial_weight: of the generator's loss; at 0 the training is `VAE`'s with the same
            optimizer, step for step.
        observation: as for `VAE`, one whose samples have a gradient: `"normal"` (of uint8 data,
            dequantised) or `"flow"`. The scale of `"normal"` is one for each value, from the
            decoder, of uint8 data, and one learned for each channel of real data; or as
            `observation_scale` says.
        data_kind: `"uint8"` or `"real"`.
        **kwargs: as for `VAE` (`observation_scale` among them), and `critic`, `loss`,
            `gradient_penalty`, `weight_clip` and `minibatch_features` as for `models.Adversarial`.

    The logs hold the terms of both.

    Raises:
        ValueError: an observation whose samples have no gradient, or a negative weight.

    References:
        Lucas et al., Adaptive Density Estimation for Generative Models, 2019, arXiv:1901.01091.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> networks = {"encoder": "mlp", "decoder": "mlp", "critic": "mlp"}
    >>> model = tfgen.CQ((8, 8, 1), latent_dim=2, **networks)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape, model.critic_score(x).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]), TensorShape([32]))
    """

    _kinds = ("real", "uint8")
    _minimises = "negative_elbo + adversarial"

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        likelihood_weight=1.0,
        adversarial_weight=1.0,
        observation="normal",
        data_kind="uint8",
        **kwargs,
    ):
        super().__init__(
            event_shape, latent_dim, observation=observation, data_kind=data_kind, **kwargs
        )
        self.likelihood_weight = checks.check_weight(likelihood_weight, "likelihood_weight")
        self.adversarial_weight = checks.check_weight(adversarial_weight, "adversarial_weight")

    def default_optimizer(self):
        """Between a `VAE`'s and a `GAN`'s: at a `VAE`'s rate both terms came out worse.

        Gradients are clipped where their norm, of the loss per dimension, is above 100: the critic
        makes scales small, and an example that is far off may then have a gradient of hundreds of
        others', after which Adam stands still for a thousand steps. (Keras clips the share of each
        replica: where it does, several replicas do not train quite as one.)
        """
        clip = 100.0 * self.num_dims
        return FusedAdam(5e-4, beta_1=0.5, global_clipnorm=clip)

    # --- hooks ----------------------------------------------------------------

    def _total(self, terms):
        loss = self.likelihood_weight * terms["loss"]
        if self.adversarial_weight:
            loss += self.adversarial_weight * self.num_dims * terms["adversarial"]
        return loss


@keras.saving.register_keras_serializable(package="tfgen")
class CQF(CQ):
    """`CQ` with the observation of `VAEF` (Lucas et al., "CQ-F").

    Arguments as for `CQ`, and images as for `VAEF`. The scale of the flow's features is one for
    each value, from the decoder.

    >>> import tfgen
    >>> networks = {"encoder": "mlp", "decoder": "mlp", "critic": "mlp"}
    >>> model = tfgen.CQF((4, 4, 1), latent_dim=2, **networks)
    >>> type(model.observation).__name__
    'PixelFlow'
    """

    def __init__(self, event_shape, latent_dim=64, observation="flow", **kwargs):
        super().__init__(event_shape, latent_dim, observation=observation, **kwargs)

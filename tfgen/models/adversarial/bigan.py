"""GANs with an encoder, whose critic sees examples and latents together."""

import keras
import tensorflow as tf

from tfgen.distributions import DeterministicPosterior
from tfgen.distributions import get_base
from tfgen.distributions import get_posterior
from tfgen.models.adversarial.critic_player import Adversarial
from tfgen.models.adversarial.gan import GAN
from tfgen.models.adversarial.gan import generated
from tfgen.models.latent.encoder_decoder import EncoderDecoder
from tfgen.objectives import generator_loss
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in


@keras.saving.register_keras_serializable(package="tfgen")
class BiGAN(GAN, EncoderDecoder):
    """GAN with an encoder: the critic tells pairs `(x, E(x))` of examples from pairs `(G(z), z)` of
    samples, and where it cannot, encoder and generator invert each other (Donahue et al. 2017; with
    an encoder that draws, Dumoulin et al. 2017, "ALI").

    Arguments as for `GAN`, and:

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        encoder: layer from examples to features `[batch, size]`, or a name as for `critic`.
        decoder: the generator.
        posterior: `"deterministic"` (BiGAN), `"normal"` (ALI) or a `distributions.Posterior` whose
            draws have a gradient.
        loss: the game's loss; of encoder and generator it is that of samples taken for examples and
            of examples taken for samples.
        conditioning: how the critic sees latents (and conditions) beside examples, `"joint"`,
            `"concatenation"` or `"projection"`: see `networks.Critic`.
        prior: as for `GAN`.
        data_kind: `"uint8"`, `"real"` or `"binary"`.
        num_bits: bits of a value of uint8 data.
        outputs: as for `GAN`.
        **kwargs: as for `GAN`.

    Raises:
        ValueError: as for `GAN`.

    References:
        Donahue et al., Adversarial Feature Learning, 2017, arXiv:1605.09782.
        Dumoulin et al., Adversarially Learned Inference, 2017, arXiv:1606.00704.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> networks = {"encoder": "mlp", "decoder": "mlp", "critic": "mlp"}
    >>> model = tfgen.BiGAN((8, 8, 1), latent_dim=2, posterior="normal", **networks)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.encode(x).shape, model.encode(x, sample=True).shape, model.reconstruct(x).shape
    (TensorShape([32, 2]), TensorShape([32, 2]), TensorShape([32, 8, 8, 1]))
    """

    _sees_examples = True

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        encoder=None,
        decoder=None,
        posterior="deterministic",
        prior="normal",
        loss="non_saturating",
        conditioning="joint",
        data_kind="uint8",
        num_bits=8,
        outputs=None,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        if isinstance(posterior, str) and posterior == "deterministic":
            posterior = DeterministicPosterior(dtype=dtype)
        parts = {
            "posterior": get_posterior(posterior, dtype),
            "prior": get_base(prior, dtype, name="prior"),
            "observation": generated(data_kind, num_bits, outputs, dtype),
        }
        networks = {"encoder": encoder, "decoder": decoder}
        game = {"loss": loss, "conditioning": conditioning}
        kwargs |= {"dtype": dtype, **game, **networks}
        Adversarial.__init__(self, event_shape, latent_dim, parts, **kwargs)

    # --- what users call ------------------------------------------------------

    def encode(self, x, condition=None, sample=False, seed=None, batch_size=256):
        """Latents of `x`, `[n, latent_dim]`: the posterior's mean, or a draw of it.

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            sample: True for a draw.
            seed: of the draw: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.
        """
        if checks.check_bool(sample, "sample"):
            return self._map_examples("draw_latents", x, condition, batch_size, seed)
        return super().encode(x, condition, batch_size)

    # --- hooks ----------------------------------------------------------------

    @property
    def _beside_shape(self):
        return (None, self.latent_dim + self._num_features)

    # What the critic sees is a row for each pair.

    def _pair(self, x, z):
        return tf.concat([tf.reshape(x, [-1, self.num_dims]), z], -1)

    def _score(self, reals, condition, training):
        x, z = tf.split(reals, [self.num_dims, self.latent_dim], -1)
        beside = z
        if condition is not None:
            beside = tf.concat([z, tf.stop_gradient(self._features(condition))], -1)
        x = tf.reshape(x, [-1, *self.event_shape])
        return self.critic(x, condition=beside, training=training)

    def _fakes(self, noise, condition, training):
        return self._pair(super()._fakes(noise, condition, training), self.prior.sample(noise[0]))

    def _reals(self, x, condition, noise, training):
        for_data, for_latents = noise
        features = self._encoded(x, condition, training)
        z, _ = self.posterior.sample(for_latents, features)
        return self._pair(super()._reals(x, condition, for_data, training), z)

    def _game_noise(self, seed, start, num_rows):
        for_data, between = super()._game_noise(seed, start, num_rows)
        for_latents = self.posterior.noise(fold_in(seed, Stream.POSTERIOR), start, num_rows)
        return (for_data, for_latents), between

    def _initialise(self, parts):
        super()._initialise(parts)
        for x, condition, _ in parts:
            self._encoded(x, condition)

    def _terms(self, x, condition, noise, training):
        _, for_fakes, (for_reals, between) = noise
        fakes = self._fakes(for_fakes, condition, training)
        reals = self._reals(x, condition, for_reals, training)
        if training and self.unrolled_steps:
            loss = self._loss_ahead(reals, fakes, condition, between)
        else:
            real, fake = (self._score(pairs, condition, False) for pairs in (reals, fakes))
            loss = generator_loss(fake, self.adversarial_loss)
            # Examples are to be taken for samples as samples for examples.
            loss += generator_loss(-real, self.adversarial_loss)
        return {"adversarial": loss, "loss": loss}

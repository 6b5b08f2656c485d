"""The critic: a second player beside any model that makes examples of latents."""

import keras
import tensorflow as tf

from tfgen.core.data_spec import first_row
from tfgen.core.players import Player
from tfgen.networks import Critic
from tfgen.networks import WeightClip
from tfgen.networks.named import get_network
from tfgen.objectives import critic_loss
from tfgen.objectives import generator_loss
from tfgen.objectives import gradient_penalty
from tfgen.objectives.adversarial import check_loss
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.layers import is_frozen
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform
from tfgen.utils.recorded import Recorded


class Adversarial(metaclass=Recorded):
    """A critic beside a `DecoderModel`, named before it among the bases: a second player.

    Each step trains the critic `critic_steps` times on the batch, every time against other samples
    of the prior, and then the generator. Both players see examples as the observation's
    `dequantised` and samples as its `rsample`: not rounded, or the critic would learn the grid of
    integers.

    `trainable_variables` are those of the generator (and encoder), which the optimizer is for; the
    critic's are `critic.trainable_variables`.

    Args:
        *args: of the model that comes after.
        critic: layer from reals to features `[batch, size]`, or `"mlp"`, or of images `"conv"`
            (the default) or `"resnet"`, or a `networks.Critic`. Networks made from the names
            `"conv"` and `"resnet"` have spectral normalisation (Miyato et al. 2018), but for a
            gradient penalty or clipped weights. Batch normalisation or dropout in a critic would
            make another function of it for each player: they are as in training in the critic's
            steps only.
        loss: the game's, `"log_ratio"`, `"non_saturating"` or `"wasserstein"`: see
            `objectives.critic_loss` and `objectives.generator_loss`.
        gradient_penalty: weight of `objectives.gradient_penalty` in the critic's loss.
        weight_clip: each step of the critic ends with its weights within this distance of 0
            (Arjovsky et al. 2017, Algorithm 1); None: anywhere.
        minibatch_features: as for `networks.Critic`; scores are then of batches of one size.
        **kwargs: of the model that comes after.

    Activity regularisers act in the step whose losses they are: the critic's on its samples, the
    decoder's on the latents of the likelihood, where there is one.

    The logs hold `adversarial`, the generator's part of the game, `critic_loss`, both mean scores,
    `real_score` and `fake_score`, and `gradient_penalty`.

    Raises:
        ValueError: another `loss` or `critic`, or an observation whose samples have no gradient.

    References:
        Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661.
        Arjovsky et al., Wasserstein GAN, 2017, arXiv:1701.07875.
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018,
        arXiv:1802.05957.

    >>> import numpy as np, tfgen
    >>> class CriticalVAE(tfgen.models.Adversarial, tfgen.VAE):
    ...     default_critic_steps = 2
    >>> model = CriticalVAE(
    ...     2, latent_dim=2, observation="normal", encoder="mlp", decoder="mlp", critic="mlp"
    ... )
    >>> model.compile(critic_optimizer=model.default_critic_optimizer())
    >>> model.critic_score(np.zeros((3, 2))).shape
    TensorShape([3])
    """

    def __init__(
        self,
        *args,
        critic=None,
        loss="log_ratio",
        gradient_penalty=0.0,
        weight_clip=None,
        minibatch_features=0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.adversarial_loss = check_loss(loss)
        self.gradient_penalty = checks.check_weight(gradient_penalty, "gradient_penalty")
        if weight_clip is not None:
            weight_clip = checks.check_positive(weight_clip, "weight_clip")
        self.weight_clip, self.minibatch_features = weight_clip, minibatch_features
        # The critic itself is made with the other weights.
        self._given_critic = critic

    # `loss` is Keras's word.
    _attributes = {"loss": "adversarial_loss"}

    # --- training -------------------------------------------------------------

    # Of the critic, before each step of the generator.
    default_critic_steps = 1

    def default_critic_optimizer(self):
        """The critic's optimizer of `compile()` without arguments (Radford et al. 2016,
        "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks", arXiv:1511.06434, section 4)."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def _other_players(self):
        return [
            Player(
                "critic",
                self._critic_terms,
                [self.critic],
                self.default_critic_optimizer,
                self.default_critic_steps,
            )
        ]

    def _critic_terms(self, batch, seed, training):
        """The critic's terms of a batch."""
        start, num_rows = first_row(batch), tf.shape(batch["x"])[0]
        condition = batch.get("condition")
        x = self._reals(batch["x"], seed, start)
        fakes = self._fakes(self._fake_noise(seed, start, num_rows), condition, training)
        # Frozen, it keeps its normalisations, too.
        training = training and not is_frozen(self.critic)
        fakes, terms = tf.stop_gradient(fakes), {}
        if self.gradient_penalty:
            weights = row_uniform(fold_in(seed, Stream.BETWEEN), start, num_rows, (), x.dtype)
            terms["gradient_penalty"] = gradient_penalty(
                lambda between: self._score(between, condition, training), x, fakes, weights
            )
        terms["real_score"] = self._score(x, condition, training)
        # Last: Keras keeps the layers' losses of the last call.
        terms["fake_score"] = self._score(fakes, condition, training)
        loss = critic_loss(terms["real_score"], terms["fake_score"], self.adversarial_loss)
        terms["critic_loss"] = loss
        if self.gradient_penalty:
            loss += self.gradient_penalty * terms["gradient_penalty"]
        return {**terms, "loss": loss}

    # --- what users call ------------------------------------------------------

    def critic_score(self, x, condition=None, seed=0, batch_size=256):
        """The critic's score of examples, `[n]`: the higher, the more they look like data.

        Of losses with a cross-entropy it is the logit of `D`. Arguments as in `log_prob`; the seed
        is that of dequantisation. With minibatch features it depends on the other rows.
        """
        return self._map_examples("critic_score", x, condition, batch_size, seed)

    # --- hooks ----------------------------------------------------------------

    def _build_parts(self):
        super()._build_parts()
        # A prior that is not trained needs none.
        passes = {
            "prior": self.prior.reparameterized or not self.prior.trainable_variables,
            "observation": self.observation.reparameterized,
        }
        for name, passed in passes.items():
            if not passed:
                raise ValueError(
                    f"`{name}` must be one whose samples have a gradient, for the critic's to pass "
                    f"through; got a {type(getattr(self, name)).__name__}"
                )
        # Last: without the critic, the same seed makes the same model.
        self.critic = self._make_critic()
        build_once(self.critic, (None, *self.event_shape), condition_shape=self.features_shape)
        if self.weight_clip:
            self._clip_weights()

    def _make_critic(self):
        """The critic that was given, or one over the network that was."""
        critic = self._given_critic
        if not isinstance(critic, Critic):
            if critic is None and len(self.event_shape) == 3:
                critic = "conv"
            network = get_network(
                critic,
                "critic",
                self.event_shape,
                self.dtype_policy,
                default=self._for_images,
                spectral_norm=self._spectral,
                name="critic",
            )
            critic = Critic(
                network,
                self.minibatch_features,
                spectral_norm=self._spectral and critic in ("conv", "resnet"),
                dtype=self.dtype_policy,
            )
        elif self.minibatch_features:
            raise ValueError("`minibatch_features` is the critic's own, where a Critic is given")
        checks.check_same_dtype(self, critic=critic)
        names = ("encoder", "decoder", "posterior", "prior", "observation")
        others = {name: getattr(self, name, None) for name in names}
        others = {name: part for name, part in others.items() if part is not None}
        checks.check_apart(**others, critic=critic)
        return critic

    def _clip_weights(self):
        for weight in self.critic.trainable_variables:
            if weight.constraint is not None:
                raise ValueError(
                    f"`critic` must have no constraints where `weight_clip` is given; "
                    f"{weight.path} has {weight.constraint!r}"
                )
            weight.constraint = WeightClip(self.weight_clip)

    def _all_layers(self):
        # A given critic counts first among the positions of frozen layers in saved files.
        layers = super()._all_layers()
        first = []
        if isinstance(self._given_critic, keras.layers.Layer):
            first = self._given_critic._flatten_layers()
        known = {id(layer) for layer in first}
        return [layers[0], *first, *(layer for layer in layers[1:] if id(layer) not in known)]

    @property
    def _spectral(self):
        """True if convolutional critics made here have spectral normalisation."""
        return not (self.gradient_penalty or self.weight_clip)

    def _initialise(self, parts):
        super()._initialise([(x, condition, own) for x, condition, (own, _) in parts])
        for _, condition, (_, fakes) in parts:
            self._score(self._fakes(fakes, condition, training=False), condition, training=False)

    @property
    def _unordered_terms(self):
        return super()._unordered_terms | {"real_score", "fake_score"}

    def _term_names(self):
        names = ("adversarial", "critic_loss", "real_score", "fake_score")
        return (
            *super()._term_names(),
            *names,
            *["gradient_penalty"] * bool(self.gradient_penalty),
        )

    def _fake_noise(self, seed, start, num_rows):
        return self._noise_through(self.prior, fold_in(seed, Stream.FAKES), start, num_rows)

    def _terms_noise(self, seed, start, num_rows):
        own = super()._terms_noise(seed, start, num_rows)
        return own, self._fake_noise(seed, start, num_rows)

    def _reals(self, x, seed, start):
        noise = self._observed.log_prob_noise(fold_in(seed, Stream.REALS), start, tf.shape(x)[0])
        return self._observed.dequantised(x, noise)

    # The weight of the critic's part: without it, samples leave no trace in the generator.
    adversarial_weight = 1.0

    def _fakes(self, noise, condition, training):
        for_latents, for_data = noise
        training = training and self.adversarial_weight > 0
        # Moving averages are of the passes that are scored with them: of the likelihood's, where
        # there is one. In the scope, what a pass of samples would assign to them is let go.
        if not training or not self.has_likelihood:
            decoded = self._decoded(self.prior.sample(for_latents), condition, training)
            return self._observed.rsample(for_data, decoded)
        with keras.StatelessScope() as scope:
            decoded = self._decoded(self.prior.sample(for_latents), condition, training)
            fakes = self._observed.rsample(for_data, decoded)
        weights = {id(v) for v in self.decoder.weights}
        for variable in self.decoder.variables:
            value = scope.get_current_value(variable)
            # Seeds go on, lest dropout be the same in all passes of a step.
            if id(variable) not in weights and value is not None:
                variable.assign(value)
        return fakes

    def _score(self, reals, condition, training):
        if condition is not None:
            # The generator's features: it would learn to give others away.
            condition = tf.stop_gradient(self._features(condition))
        return self.critic(reals, condition=condition, training=training)

    def _critic_score(self, x, condition, seed, start):
        return self._score(self._reals(x, seed, start), condition, training=False)

    def _terms(self, x, condition, noise, training):
        own, for_fakes = noise
        fakes = self._fakes(for_fakes, condition, training)
        # Its normalisations are of its own steps.
        score = self._score(fakes, condition, training=False)
        # Last: Keras keeps the layers' losses of the last call.
        terms = self._likelihood_terms(x, condition, own, training)
        terms["adversarial"] = generator_loss(score, self.adversarial_loss)
        return {**terms, "loss": self._total(terms)}

    def _likelihood_terms(self, x, condition, noise, training):
        """The terms that the model has without a critic."""
        return super()._terms(x, condition, noise, training)

    def _total(self, terms):
        """The generator's loss of its terms."""
        return terms["adversarial"]

"""The critic: a second player beside any model that makes examples of latents."""

import keras
import tensorflow as tf

from tfgen.core.data_spec import first_row
from tfgen.core.players import Player
from tfgen.networks import Critic
from tfgen.networks import WeightClip
from tfgen.networks.critic import check_conditioning
from tfgen.networks.named import get_network
from tfgen.objectives import critic_loss
from tfgen.objectives import generator_loss
from tfgen.objectives import gradient_penalty
from tfgen.objectives.adversarial import check_loss
from tfgen.optimizers import FusedAdam
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
        conditioning: how the critic sees conditions, as for `networks.Critic`: by default
            `"projection"`.
        unrolled_steps: steps of the critic that the generator's step looks ahead, through which it
            is differentiated: these are steps of plain gradient descent on the batch, which are
            undone after it (Metz et al. 2017, eq. 7 to 10). The generator's part of the game is
            then the critic's loss after them, which it raises: with another one it would learn to
            mislead the steps. Each replica looks ahead on its share.
        unrolled_rate: rate of these steps.
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
        Metz et al., Unrolled Generative Adversarial Networks, 2017, arXiv:1611.02163.

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

    _minimises = "adversarial"
    _player_names = ("model", "critic")

    def __init__(
        self,
        *args,
        critic=None,
        loss="log_ratio",
        gradient_penalty=0.0,
        weight_clip=None,
        minibatch_features=0,
        conditioning=None,
        unrolled_steps=0,
        unrolled_rate=0.01,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.adversarial_loss = check_loss(loss)
        self.gradient_penalty = checks.check_weight(gradient_penalty, "gradient_penalty")
        if weight_clip is not None:
            weight_clip = checks.check_positive(weight_clip, "weight_clip")
        self.weight_clip, self.minibatch_features = weight_clip, minibatch_features
        if conditioning is not None:
            check_conditioning(conditioning)
        self.conditioning = conditioning
        self.unrolled_steps = checks.check_int(unrolled_steps, "unrolled_steps", 0, 1000)
        self.unrolled_rate = checks.check_positive(unrolled_rate, "unrolled_rate")
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
        return FusedAdam(2e-4, beta_1=0.5)

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
        for_reals, between = self._game_noise(seed, start, num_rows)
        x = self.data_spec.draw_bits(batch["x"], seed, start)
        x = self._reals(x, condition, for_reals, training)
        fakes = self._fakes(self._fake_noise(seed, start, num_rows), condition, training)
        # Frozen, it keeps its normalisations, too.
        training = training and not is_frozen(self.critic)
        x, fakes = tf.stop_gradient(x), tf.stop_gradient(fakes)
        return self._game(x, fakes, condition, between, training)

    def _game(self, x, fakes, condition, between, training):
        """The critic's terms of examples and samples as it sees them."""
        terms = {}
        if self.gradient_penalty:
            terms["gradient_penalty"] = gradient_penalty(
                lambda between: self._score(between, condition, training), x, fakes, between
            )
        terms |= self._real_terms(x, condition, training)
        # Last: Keras keeps the layers' losses of the last call.
        terms["fake_score"] = self._score(fakes, condition, training)
        loss = critic_loss(terms["real_score"], terms["fake_score"], self.adversarial_loss)
        terms["critic_loss"] = loss
        if self.gradient_penalty:
            loss += self.gradient_penalty * terms["gradient_penalty"]
        return {**terms, "loss": loss}

    def _real_terms(self, x, condition, training):
        """The terms of examples in the critic's step."""
        return {"real_score": self._score(x, condition, training)}

    def _loss_ahead(self, x, fakes, condition, between):
        """The loss, with the other sign, of the critic after `unrolled_steps` steps on examples and
        samples, a function of what it saw in these steps, too. In the scope, what would be assigned
        is let go."""
        weights = self.critic.trainable_variables
        values = [tf.convert_to_tensor(weight) for weight in weights]
        for _ in range(self.unrolled_steps):
            with tf.GradientTape() as tape:
                tape.watch(values)
                with keras.StatelessScope(zip(weights, values, strict=True)):
                    terms = self._game(x, fakes, condition, between, training=True)
                    loss = tf.reduce_mean(terms["loss"])
            gradients = tape.gradient(loss, values, unconnected_gradients="zero")
            rate = tf.cast(self.unrolled_rate, self.variable_dtype)
            moved = zip(values, gradients, strict=True)
            values = [v - rate * tf.cast(g, v.dtype) for v, g in moved]
            if self.weight_clip:
                values = [WeightClip(self.weight_clip)(v) for v in values]
        with keras.StatelessScope(zip(weights, values, strict=True)):
            real, fake = (self._score(seen, condition, training=False) for seen in (x, fakes))
        return -critic_loss(real, fake, self.adversarial_loss)

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
        if self.conditioning and self._beside_shape is None:
            raise ValueError(
                "`conditioning` needs a conditional model, one with `condition_shape` or "
                f"`num_classes`; got {self.conditioning!r}"
            )
        self.critic = self._make_critic()
        build_once(self.critic, (None, *self.event_shape), condition_shape=self._beside_shape)
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
                conditioning=self.conditioning or "projection",
                num_classes=self._num_logits,
                dtype=self.dtype_policy,
            )
        elif self.minibatch_features or self.conditioning:
            name = "minibatch_features" if self.minibatch_features else "conditioning"
            raise ValueError(f"`{name}` is the critic's own, where a Critic is given")
        if critic.num_classes != self._num_logits:
            raise ValueError(
                f"`critic` must have num_classes={self._num_logits} in a {type(self).__name__}; "
                f"got {critic.num_classes}"
            )
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
        super()._initialise([(x, condition, noise[0]) for x, condition, noise in parts])
        for _, condition, (_, fakes, _) in parts:
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
        sees = self._sees_examples or self.unrolled_steps
        ahead = self._game_noise(seed, start, num_rows) if sees else ()
        return own, self._fake_noise(seed, start, num_rows), ahead

    def _game_noise(self, seed, start, num_rows):
        """The noise of examples as the critic sees them, and of the gradient penalty's places."""
        reals = self._observed.log_prob_noise(fold_in(seed, Stream.REALS), start, num_rows)
        if not self.gradient_penalty:
            return reals, None
        seed, kind = fold_in(seed, Stream.BETWEEN), self.variable_dtype
        return reals, row_uniform(seed, start, num_rows, (), kind)

    def _reals(self, x, condition, noise, training):
        """Examples as the critic sees them."""
        return self._observed.dequantised(x, noise)

    @property
    def _beside_shape(self):
        """Shape of what the critic sees beside examples, or None."""
        return self.features_shape

    # Number of classes that the critic tells from each other.
    _num_logits = None
    # Whether the generator's loss is one of examples, too, as the critic sees them.
    _sees_examples = False
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
        noise, _ = self._game_noise(seed, start, tf.shape(x)[0])
        reals = self._reals(x, condition, noise, training=False)
        return self._score(reals, condition, training=False)

    def _terms(self, x, condition, noise, training):
        own, for_fakes, ahead = noise
        fakes = self._fakes(for_fakes, condition, training)
        if training and self.unrolled_steps:
            reals = self._reals(x, condition, ahead[0], training)
            adversarial = self._loss_ahead(reals, fakes, condition, ahead[1])
        else:
            # Its normalisations are of its own steps.
            score = self._score(fakes, condition, training=False)
            adversarial = generator_loss(score, self.adversarial_loss)
        # Last: Keras keeps the layers' losses of the last call.
        terms = self._likelihood_terms(x, condition, own, training)
        terms["adversarial"] = adversarial
        return {**terms, "loss": self._total(terms)}

    def _likelihood_terms(self, x, condition, noise, training):
        """The terms that the model has without a critic."""
        return super()._terms(x, condition, noise, training)

    def _total(self, terms):
        """The generator's loss of its terms."""
        return terms["adversarial"]

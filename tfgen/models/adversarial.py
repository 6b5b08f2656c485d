"""Adversarial training: a critic, its optimizer, and the step of both players."""

import keras
import tensorflow as tf

from tfgen.models.generator import serialized
from tfgen.models.training import first_row
from tfgen.networks import ConvEncoder
from tfgen.networks import Critic
from tfgen.networks import ResNetEncoder
from tfgen.networks import WeightClip
from tfgen.objectives import critic_loss
from tfgen.objectives import generator_loss
from tfgen.objectives import gradient_penalty
from tfgen.objectives.adversarial import check_loss
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.layers import freeze_parts
from tfgen.utils.layers import is_frozen
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform

# Streams of noise beside those that the model has without a critic.
_FAKES, _REALS, _BETWEEN, _CRITIC_STEPS = 0x66, 0x72, 0x62, 0x63


class Adversarial:
    """What makes a `Generator` play against a critic; named before it among the bases.

    Each step trains the critic `critic_steps` times on the batch, every time against other samples
    of the prior, and then the generator. Both players see examples as the observation's `reals`
    and samples as its `draw`: dequantised and not rounded, or the critic would learn the grid of
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
        loss: `"log_ratio"`, `"non_saturating"` or `"wasserstein"`: see `objectives.critic_loss`
            and `objectives.generator_loss`.
        gradient_penalty: weight of `objectives.gradient_penalty` in the critic's loss.
        weight_clip: each step of the critic ends with its weights within this distance of 0
            (Arjovsky et al. 2017, Algorithm 1); None: anywhere.
        minibatch_features: as for `networks.Critic`; scores are then of batches of one size.
        **kwargs: of the model that comes after.

    Activity regularisers act in the step whose losses they are: the critic's on its samples, the
    decoder's on the latents of the likelihood, where there is one.

    The logs hold `adversarial`, the generator's part of the game, `critic_loss`, both mean scores,
    `real_score` and `fake_score`, and `gradient_penalty`.
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
        check_loss(loss)
        if weight_clip is not None:
            weight_clip = checks.check_positive(weight_clip, "weight_clip")
        # The constructors after this one build the model with it.
        self._game = {
            "loss": loss,
            "gradient_penalty": checks.check_weight(gradient_penalty, "gradient_penalty"),
            "weight_clip": weight_clip,
            "minibatch_features": minibatch_features,
        }
        self._given_critic = critic
        super().__init__(*args, **kwargs)

    def build(self, input_shape=None):
        if self.built:
            return
        self.term_names += ("adversarial", "critic_loss", "real_score", "fake_score")
        if self._game["gradient_penalty"]:
            self.term_names += ("gradient_penalty",)
        super().build(input_shape)

    # --- training -------------------------------------------------------------

    # Of the critic, before each step of the generator.
    default_critic_steps = 1

    def compile(self, optimizer=None, *, critic_optimizer=None, critic_steps=None, **kwargs):
        """As of every model, and:

        Args:
            optimizer: the generator's (and encoder's), or None for the model's own choice.
            critic_optimizer: the critic's, or None for the model's own choice. Keras's callbacks of
                learning rates move only `optimizer`'s, and averages that it keeps (`use_ema`) are
                put in the critic only by its own `ema_overwrite_frequency`.
            critic_steps: steps of the critic before each one of the generator, or None for the
                model's own choice: 5 of a `WGAN`, else 1.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`.
        """
        if critic_steps is None:
            critic_steps = self.default_critic_steps
        critic_steps = checks.check_count(critic_steps, "critic_steps")
        super().compile(optimizer, **kwargs)
        if critic_optimizer is None:
            critic_optimizer = self.default_critic_optimizer()
        try:
            critic_optimizer = keras.optimizers.get(critic_optimizer)
        except (ValueError, TypeError) as error:
            raise ValueError(f"`critic_optimizer` is none of Keras's: {error}") from error
        if critic_optimizer in (self.optimizer, getattr(self.optimizer, "inner_optimizer", None)):
            raise ValueError("`critic_optimizer` must be another one than `optimizer`")
        scaled = keras.optimizers.LossScaleOptimizer
        if isinstance(self.optimizer, scaled) and not isinstance(critic_optimizer, scaled):
            critic_optimizer = scaled(critic_optimizer, name="critic_loss_scale_optimizer")
        self.critic_optimizer, self.critic_steps = critic_optimizer, critic_steps
        with self.distribute_strategy.scope():
            self.critic_optimizer.build(self.critic.trainable_variables)

    def get_compile_config(self):
        config = super().get_compile_config()
        return config and {
            **config,
            "critic_optimizer": keras.optimizers.serialize(self.critic_optimizer),
            "critic_steps": self.critic_steps,
        }

    _compile_arguments = ("critic_optimizer", "critic_steps")

    def default_critic_optimizer(self):
        """The critic's optimizer of `compile()` without arguments (Radford et al. 2016)."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    @property
    def trainable_variables(self):
        critics = {id(v) for v in self.critic.variables}
        return [v for v in super().trainable_variables if id(v) not in critics]

    @property
    def trainable_weights(self):
        return self.trainable_variables

    # Those of Keras's `optimizer` and the others are all that there are.
    @property
    def non_trainable_variables(self):
        return super().non_trainable_variables + self.critic.trainable_variables

    @property
    def non_trainable_weights(self):
        return super().non_trainable_weights + self.critic.trainable_weights

    @property
    def losses(self):
        critics = {id(loss) for loss in self.critic.losses}
        return [loss for loss in super().losses if id(loss) not in critics]

    def train_step(self, data):
        batch = self._batch(data)
        seed = fold_in(self.noise_seed, self.steps_taken)
        for i in range(self.critic_steps):
            self._train_critic(batch, fold_in(fold_in(seed, _CRITIC_STEPS), i))
        return super().train_step(batch)

    def _train_critic(self, batch, seed):
        with tf.GradientTape() as tape:
            loss = self._critic_loss(batch, seed, training=True)
            scaled = self.critic_optimizer.scale_loss(loss)
        variables = self.critic.trainable_variables
        self.critic_optimizer.apply(tape.gradient(scaled, variables), variables)

    def test_step(self, data):
        batch = self._batch(data)
        self._critic_loss(batch, tf.zeros([2], tf.int32), training=False)
        return super().test_step(batch)

    def _critic_loss(self, batch, seed, training):
        """The critic's loss of a batch; its terms are tracked."""
        start, num_rows = first_row(batch), tf.shape(batch["x"])[0]
        condition = batch.get("condition")
        x = self._reals(batch["x"], seed, start)
        fakes = self._fakes(self._fake_noise(seed, start, num_rows), condition, training)
        # Frozen, it keeps its normalisations, too.
        training = training and not is_frozen(self.critic)
        fakes, terms = tf.stop_gradient(fakes), {}
        if self._game["gradient_penalty"]:
            weights = row_uniform(fold_in(seed, _BETWEEN), start, num_rows, (), x.dtype)
            terms["gradient_penalty"] = gradient_penalty(
                lambda between: self._score(between, condition, training), x, fakes, weights
            )
        terms["real_score"] = self._score(x, condition, training)
        # Last: Keras keeps the layers' losses of the last call.
        terms["fake_score"] = self._score(fakes, condition, training)
        loss = critic_loss(terms["real_score"], terms["fake_score"], self._game["loss"])
        terms["critic_loss"] = loss
        if self._game["gradient_penalty"]:
            loss += self._game["gradient_penalty"] * terms["gradient_penalty"]
        sample_weight = batch.get("sample_weight")
        self._track(terms, sample_weight, num_rows)
        return self._mean(self._weighted(loss, sample_weight, self.critic.losses), num_rows)

    # --- what users call ------------------------------------------------------

    def critic_score(self, x, condition=None, seed=0, batch_size=256):
        """The critic's score of examples, `[n]`: the higher, the more they look like data.

        Of losses with a cross-entropy it is the logit of `D`. Arguments as in `log_prob`; the seed
        is that of dequantisation. With minibatch features it depends on the other rows.
        """
        return self._map_examples("critic_score", x, condition, batch_size, seed)

    @property
    def _core_arguments(self):
        return {**super()._core_arguments, "critic_score": ("x", "seed", "start")}

    # --- hooks ----------------------------------------------------------------

    def _build_parts(self):
        super()._build_parts()
        # A prior that is not trained needs none.
        passes = {
            "prior": self.prior.reparametrised or not self.prior.trainable_variables,
            "observation": self.observation.reparametrised,
        }
        for name, passed in passes.items():
            if not passed:
                raise ValueError(
                    f"`{name}` must be one whose samples have a gradient, for the critic's to pass "
                    f"through; got a {type(getattr(self, name)).__name__}"
                )
        # Last: without the critic, the same seed makes the same model.
        critic = self._given_critic
        if not isinstance(critic, Critic):
            if critic is None and len(self.event_shape) == 3:
                critic = "conv"
            critic = Critic(
                self._network(critic, "critic"),
                self._game["minibatch_features"],
                spectral_norm=self._spectral and critic in ("conv", "resnet"),
                dtype=self.dtype_policy,
            )
        elif self._game["minibatch_features"]:
            raise ValueError("`minibatch_features` is the critic's own, where a Critic is given")
        checks.check_same_dtype(self, critic=critic)
        names = ("encoder", "decoder", "posterior", "prior", "observation")
        others = {name: getattr(self, name, None) for name in names}
        others = {name: part for name, part in others.items() if part is not None}
        checks.check_apart(**others, critic=critic)
        self.critic = critic
        build_once(critic, (None, *self.event_shape), condition_shape=self.features_shape)
        freeze_parts(self)
        if self._game["weight_clip"]:
            for weight in critic.trainable_variables:
                if weight.constraint is not None:
                    raise ValueError(
                        f"`critic` must have no constraints where `weight_clip` is given; "
                        f"{weight.path} has {weight.constraint!r}"
                    )
                weight.constraint = WeightClip(self._game["weight_clip"])

    @property
    def _spectral(self):
        """Whether convolutional critics made here have spectral normalisation."""
        return not (self._game["gradient_penalty"] or self._game["weight_clip"])

    def _named_network(self, given, name):
        if name != "critic" or given == "mlp":
            return super()._named_network(given, name)
        kind = {"spectral_norm": self._spectral, "dtype": self.dtype_policy}
        if given == "resnet":
            return ResNetEncoder((32, 64, 128), weight_norm=False, **kind)
        return ConvEncoder(
            (64, 128, 256), (2, 2, 2), batch_norm=False, activation="leaky_relu", **kind
        )

    def _initialise(self, x, condition, noise):
        own, fakes = noise
        super()._initialise(x, condition, own)
        self._score(self._fakes(fakes, condition, training=False), condition, training=False)

    def _fake_noise(self, seed, start, num_rows):
        return self._noise_through(self.prior, fold_in(seed, _FAKES), start, num_rows)

    def _terms_noise(self, seed, start, num_rows):
        own = super()._terms_noise(seed, start, num_rows)
        return own, self._fake_noise(seed, start, num_rows)

    def _reals(self, x, seed, start):
        noise = self.observation.log_prob_noise(fold_in(seed, _REALS), start, tf.shape(x)[0])
        return self.observation.reals(x, noise)

    # How much the critic's part counts: without it, samples leave no trace in the generator.
    adversarial_weight = 1.0

    def _fakes(self, noise, condition, training):
        for_latents, for_data = noise
        training = training and self.adversarial_weight > 0
        decoded = self._decoded(self.prior.sample(for_latents), condition, training)
        return self.observation.draw(for_data, decoded)

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
        terms["adversarial"] = generator_loss(score, self._game["loss"])
        return {**terms, "loss": self._total(terms)}

    def _likelihood_terms(self, x, condition, noise, training):
        """The terms that the model has without a critic."""
        return super()._terms(x, condition, noise, training)

    def _total(self, terms):
        """What the generator minimises."""
        return terms["adversarial"]

    def get_config(self):
        return {
            **super().get_config(),
            **self._game,
            "critic": serialized(self._given_critic),
        }

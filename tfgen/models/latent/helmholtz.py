"""HelmholtzMachine: a belief net and its recognition, each taught by the other."""

import keras
import tensorflow as tf

from tfgen.core.data_spec import first_row
from tfgen.core.players import Player
from tfgen.models.latent.belief_net import BeliefNet
from tfgen.models.latent.discrete_latents import BOUND_TERMS
from tfgen.models.latent.discrete_latents import bound_terms
from tfgen.models.latent.discrete_latents import log_weights
from tfgen.models.latent.discrete_latents import worth
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in

ALGORITHMS = ("wake_sleep", "reweighted")
PHASES = ("sleep", "wake", "both")


@keras.saving.register_keras_serializable(package="tfgen")
class HelmholtzMachine(BeliefNet):
    """Helmholtz machine: a sigmoid belief network and its recognition, trained by the wake-sleep
    algorithm (Hinton, Dayan, Frey and Neal 1995, "The Wake-Sleep Algorithm for Unsupervised Neural
    Networks", Science 268) or by reweighted wake-sleep (Bornschein and Bengio 2015, "Reweighted
    Wake-Sleep", arXiv:1406.2751).

    Awake, the model learns to make the latents that recognition finds in data, and these data of
    them; of several draws each counts by its importance weight (eq. 4 there). The player
    `recognition` learns, asleep, to find the latents of what the model dreams, and, awake, those
    that the weights prefer (eqs. 6 and 7). With one draw the weights are all 1: wake-sleep, whose
    sleep phase follows another gradient than the bound's.

    Latents and densities are as of a `SigmoidBeliefNet`.

    Args:
        event_shape: shape of one example.
        hidden_units: widths of the 1 to 4 layers, from the example up.
        algorithm: `"reweighted"` or `"wake_sleep"`.
        num_samples: draws for each example, of the former.
        phases: of recognition: `"sleep"`, `"wake"` or `"both"`; by default both of reweighted
            wake-sleep and sleep of the other, which has no wake phase.
        data_kind: `"binary"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: another algorithm, phases that it does not have, other widths.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 6))
    >>> model = tfgen.HelmholtzMachine(6, hidden_units=(5, 4))
    >>> model.compile(recognition_optimizer=model.default_optimizer())
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape, [player.name for player in model.players]
    (TensorShape([32]), TensorShape([3, 6]), ['model', 'recognition'])
    """

    _player_names = ("model", "recognition")

    def __init__(
        self,
        event_shape,
        hidden_units=(200,),
        algorithm="reweighted",
        num_samples=5,
        phases=None,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        super().__init__(event_shape, hidden_units, data_kind, dtype=dtype, **kwargs)
        if algorithm not in ALGORITHMS:
            raise ValueError(f"`algorithm` must be one of {list(ALGORITHMS)}; got {algorithm!r}")
        self.algorithm = algorithm
        self.num_samples = checks.check_count(num_samples, "num_samples")
        several = algorithm == "reweighted"
        allowed = PHASES if several else PHASES[:1]
        if phases is not None and phases not in allowed:
            raise ValueError(
                f'`phases` of "{algorithm}" must be one of {list(allowed)}; got {phases!r}'
            )
        self.phases = phases
        self._phases = phases or ("both" if several else "sleep")
        self._num_draws = self.num_samples if several else 1

    # --- training -------------------------------------------------------------

    def _term_names(self):
        several = ("negative_bound",) * (self.algorithm == "reweighted")
        return (*several, *BOUND_TERMS, "recognition_loss")

    def _other_players(self):
        return [
            Player(
                "recognition", self._recognition_terms, [self.recognition], self.default_optimizer
            )
        ]

    def _terms_noise(self, seed, start, num_rows):
        return self._latent_noise(seed, start, num_rows, self._num_draws)

    def _weighted(self, draws, logs):
        """Sum of log-probabilities of draws, each by its importance, `[batch]`."""
        weights = tf.nn.softmax(tf.stop_gradient(log_weights(draws)))
        return tf.reduce_sum(weights * tf.add_n(logs), -1)

    def _terms(self, x, condition, noise, training):
        draws = self._draws(x, condition, noise, training=training)
        terms = bound_terms(draws)
        loss = terms["negative_elbo"]
        if self.algorithm == "reweighted":
            logs = log_weights(draws)
            count = tf.cast(tf.shape(logs)[-1], logs.dtype)
            loss = terms["negative_bound"] = tf.math.log(count) - tf.reduce_logsumexp(logs, -1)
        terms = {name: tf.stop_gradient(value) for name, value in terms.items()}
        return {**terms, "loss": worth(loss, -self._weighted(draws, draws.log_p))}

    def _recognition_terms(self, batch, seed, training):
        """Log-losses of recognition in finding what was dreamt, and what the weights prefer."""
        start, condition, loss = first_row(batch), batch.get("condition"), 0.0
        num_rows = tf.shape(batch["x"])[0]
        if self._phases != "wake":
            noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, num_rows)
            features = self._features(condition)
            layers = [tf.stop_gradient(layer) for layer in self._drawn_down(noise, features)]
            loss -= self._log_up(layers, features)
        if self._phases != "sleep":
            x = self.data_spec.draw_bits(batch["x"], seed, start)
            noise = self._latent_noise(seed, start, num_rows, self._num_draws)
            draws = self._draws(x, condition, noise, training=training)
            loss -= self._weighted(draws, draws.log_q)
        return {"loss": loss, "recognition_loss": loss}

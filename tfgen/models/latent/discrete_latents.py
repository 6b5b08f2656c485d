"""Bounds of discrete latents: draws, their estimated gradients, and sums over all states."""

import collections
import math

import tensorflow as tf

from tfgen.distributions.discrete import all_states
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform

# Log-probabilities of the layers of some draws of an example, and what these were drawn from.
Draws = collections.namedtuple("Draws", ["log_p", "log_q", "inputs"])


def hard(units, noise, logits, step):
    """The model's own draws."""
    return tf.stop_gradient(units.sample(noise, logits))


def given(units, noise, logits, step):
    """The noise itself: states to be scored."""
    return noise


def worth(value, surrogate):
    """The value, with the gradient of the surrogate."""
    return tf.stop_gradient(value - surrogate) + surrogate


def log_weights(draws):
    """`log p(x, h) - log q(h|x)` of draws, `[batch, k]`."""
    return tf.add_n(draws.log_p) - tf.add_n(draws.log_q)


def bound_terms(draws):
    """Terms of the negative bound, `[batch]`, in the mean over the draws of an example."""
    mean = [tf.reduce_mean(log, -1) for log in draws.log_p]
    log_q = tf.reduce_mean(tf.add_n(draws.log_q), -1)
    kl = log_q - tf.add_n(mean[1:])
    return {
        "negative_elbo": kl - mean[0],
        "reconstruction": -mean[0],
        "kl": kl,
        "kl_bits": kl / math.log(2),
    }


BOUND_TERMS = ("negative_elbo", "reconstruction", "kl", "kl_bits")


class DiscreteLatents:
    """Methods of models of discrete latents, named before a `GenerativeModel` among the bases.

    A model has `units`, a list of what each layer draws, and implements `_draws`. A bound is of one
    draw, and `estimate_log_prob` of many; `exact_log_prob` sums over all states.
    """

    # --- what users call ------------------------------------------------------

    def exact_log_prob(self, x, condition=None, batch_size=16):
        """`log p(x)` by a sum over all states of the latents, `[n]`, nats: for small models.

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            batch_size: rows computed at a time, each with all states.

        Raises:
            ValueError: there are more than 2 ** 16 states.

        >>> import numpy as np, tfgen
        >>> model = tfgen.SigmoidBeliefNet(3, hidden_units=(4,))
        >>> x = np.eye(3)
        >>> bound = model.estimate_log_prob(x, num_samples=2000)
        >>> bool(np.all(abs(bound - model.exact_log_prob(x)) < 0.1))
        True
        """
        return self._map_examples("exact_log_prob", x, condition, batch_size)

    def exact_loss(self, x, condition=None):
        """The mean of `loss` over all draws, by enumeration, `[n]`, with its gradient.

        It is what estimators of gradients are measured by; see `metrics.gradient_variance`.

        Args:
            x: tensor `[n, *event_shape]`.
            condition: as in `log_prob`.

        Raises:
            ValueError: there are more than 2 ** 16 states; a bound of several draws has all
                combinations of these.

        >>> import numpy as np, tfgen
        >>> model = tfgen.SigmoidBeliefNet(3, hidden_units=(2,), estimator="straight_through")
        >>> x = np.eye(3, dtype="uint8")
        >>> bool(np.all(model.exact_loss(x) >= -model.exact_log_prob(x)))
        True
        """
        return self._exact_loss(tf.convert_to_tensor(x), condition)

    # --- hooks ----------------------------------------------------------------

    def _draws(self, x, condition, noise, draw=hard, training=False):
        """`Draws` of examples.

        Args:
            x: `[batch, *event_shape]`.
            condition: of the batch, or None.
            noise: `[batch, k, sizes]`.
            draw: function of units, noise, logits and the step that gives values.
            training: as of a layer.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement _draws")

    @property
    def _num_units(self):
        return sum(units.size for units in self.units)

    def _latent_noise(self, seed, start, num_rows, num_samples):
        seed, shape = fold_in(seed, Stream.LATENTS), (num_samples, self._num_units)
        return row_uniform(seed, start, num_rows, shape, self.variable_dtype)

    def _states(self, x, condition):
        """`Draws` of all states, `[batch, states]`."""
        states = tf.constant(all_states(self.units), self.variable_dtype)
        states = tf.tile(states[None], [tf.shape(x)[0], 1, 1])
        return self._draws(x, condition, states, given)

    def _exact_log_prob(self, x, condition):
        return tf.reduce_logsumexp(tf.add_n(self._states(x, condition).log_p), -1)


class Estimated(DiscreteLatents):
    """`DiscreteLatents` whose bound is trained by an `Estimator`, the attribute `estimator`."""

    _unordered_terms = frozenset({"temperature"})

    def _term_names(self):
        several = ("negative_bound",) * self.estimator.multi_sample
        return (*several, *BOUND_TERMS, *self.estimator.term_names)

    def _terms_noise(self, seed, start, num_rows):
        return self._latent_noise(seed, start, num_rows, self.estimator.num_samples)

    def _terms(self, x, condition, noise, training):
        estimator, step = self.estimator, tf.convert_to_tensor(self.steps_taken)
        draws = trained = self._draws(x, condition, noise, training=training)
        if estimator.relaxes:
            # What is reported is of the discrete draws, which the same noise makes.
            trained = self._draws(x, condition, noise, estimator.draw, training)
        objective, terms = estimator.objective(*trained, training)
        bound, terms = estimator.bound(log_weights(draws)), {**bound_terms(draws), **terms}
        if estimator.multi_sample:
            terms["negative_bound"] = -bound
        if "temperature" in estimator.term_names:
            terms["temperature"] = estimator.temperature_at(step)
        terms = {name: tf.stop_gradient(value) for name, value in terms.items()}
        return {**terms, "loss": worth(-bound, -objective)}

    def _exact_loss(self, x, condition):
        draws, estimator = self._states(x, condition), self.estimator
        logs, log_q = log_weights(draws), tf.add_n(draws.log_q)
        if not estimator.multi_sample:
            return -tf.reduce_sum(tf.exp(log_q) * logs, -1)
        count, num_states = estimator.num_samples, logs.shape[-1]
        if num_states**count > 2**16:
            raise ValueError(
                f"enumeration is of up to 2 ** 16 combinations of draws; got {num_states} states "
                f"in {count} draws"
            )
        places = tf.meshgrid(*[tf.range(num_states)] * count, indexing="ij")
        places = tf.stack([tf.reshape(place, [-1]) for place in places], -1)
        bound = estimator.bound(tf.gather(logs, places, axis=-1))
        log_q = tf.reduce_sum(tf.gather(log_q, places, axis=-1), -1)
        return -tf.reduce_sum(tf.exp(log_q) * bound, -1)

"""Bounds by a mean field: hidden units as if they were independent given an example."""

import warnings

import tensorflow as tf

from tfgen.core.symbolic import is_symbolic
from tfgen.utils.random import row_seeds_of

# Means that a further step moves by more are not those of the bound.
_SETTLED = 0.05
_SCORES = ("log_prob", "log_prob_unnormalised", "estimate_log_prob")


class MeanField:
    """Part of an `EnergyModel` whose free energy is the bound of a mean field.

    Scores warn where it has not settled, and draws of it tighten them.
    """

    _free_energy_is_exact = False

    def _map_examples(self, name, x, condition, batch_size, seed=None, **arguments):
        found = super()._map_examples(name, x, condition, batch_size, seed, **arguments)
        if name in _SCORES and tf.executing_eagerly() and not is_symbolic(x, condition):
            gaps = super()._map_examples("mean_field_gap", x, condition, batch_size)
            gap = float(tf.reduce_max(gaps)) if len(gaps) else 0.0
            if gap > _SETTLED:
                warnings.warn(
                    f"the mean field of a {type(self).__name__} has not settled: a further step "
                    f"moves a mean by {gap:.2f}; the bound is lower than it could be: take more "
                    f"than {self.mean_field_steps} steps (`mean_field_steps`)",
                    RuntimeWarning,
                    stacklevel=3,
                )
        return found

    def _mean_field_gap(self, x, condition):
        """The most that one more step moves a mean by, `[batch]`."""
        raise NotImplementedError

    def _log_prob_noise(self, seed, start, num_rows):
        return row_seeds_of(seed, start, num_rows)

    def _weight_by_draws(self, x, condition, means):
        """`_log_weight` as a function of the noise, by draws of hidden units of these means."""
        values, features = self._values(x), self._features(condition)
        offset = self._log_units() + self._log_partition_of(condition)

        def log_weight(noise):
            states = self._states_of(values, features, *noise)
            hidden = zip(self._hidden_of(states), means, strict=True)
            log_q = sum(
                tf.reduce_sum(tf.math.xlogy(h, m) + tf.math.xlog1py(1 - h, -m), -1)
                for h, m in hidden
            )
            return self._log_density(states, features, 1.0) - log_q - offset

        return log_weight

    def _hidden_of(self, states):
        """The hidden parts of states."""
        return states[1:]


def negative_entropy(means):
    """The negative entropy of each of independent binary units, nats."""
    return tf.math.xlogy(means, means) + tf.math.xlog1py(1 - means, -means)

"""Data-dependent initialisation of what is inside a model, from one pass over it."""

import tensorflow as tf

from tfgen.networks import WeightNorm
from tfgen.networks import data_dependent_init


class WeightNormInit:
    """For models of parts that a pass of the likelihood initialises (`WeightNorm`), or that
    `_initialise` does."""

    def _needs_adapt(self):
        adaptive = any(
            isinstance(part, WeightNorm) or getattr(part, "adaptive", False)
            for part in self._all_layers()
        )
        return adaptive and not int(self.adapted.numpy())

    def _adapt(self, batches):
        batch = {
            name: tf.concat([tf.convert_to_tensor(b[name]) for b in batches], 0)
            for name in ("x", "condition")
            if name in batches[0]
        }
        # At the places that evaluation leaves free.
        start = tf.cast(batches[0]["row"][0], tf.int64) + (1 << 32)
        seed = tf.convert_to_tensor(self.noise_seed)
        x = self._drawn(batch["x"], seed, start)
        noise = self._terms_noise(seed, start, tf.shape(x)[0])
        with data_dependent_init(self):
            self._initialise(x, batch.get("condition"), noise)
        self.adapted.assign(1)

    def _initialise(self, x, condition, noise):
        """Runs every part once, eagerly."""
        self._log_weight(x, condition, noise)

"""Drawing a part of an example given the rest: what models share that can."""

import tensorflow as tf

from tfgen.core.model import GenerativeModel
from tfgen.utils import checks


class Completing(GenerativeModel):
    """`GenerativeModel` that draws some of an example's values, and keeps the others.

    Arguments as for `GenerativeModel`.
    """

    likelihood = "exact"

    def _map_known(self, core, x, known, condition, temperature, seed, batch_size, by_pixel=False):
        """Runs a core over examples and masks of what is known of them.

        Args:
            core: name of the core, which takes `x`, `known` and `temperature`.
            x: `[n, *event_shape]`.
            known: bools, of each value or, `by_pixel`, of each pixel; of each example or of all.
            condition: as in `log_prob`.
            temperature: as in `sample`.
            seed: integer, two integers or None.
            batch_size: rows computed at a time.
            by_pixel: True where the channels of a pixel are known together.
        """
        x = self.data_spec.check_x(x)
        known = checks.as_mask(known, "known", x.shape, by_pixel)
        temperature = self._as_temperature(temperature)
        return self._map_examples(
            core, x, condition, batch_size, seed, known=known, temperature=temperature
        )

    def _argument_specs(self):
        known = tf.TensorSpec([None, *self.event_shape], tf.bool, name="known")
        return {**super()._argument_specs(), "known": known}

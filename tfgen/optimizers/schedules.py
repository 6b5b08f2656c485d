"""Schedules of weights that grow with the steps of training."""

import keras
import tensorflow as tf

from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class PenaltyGrowth(keras.optimizers.schedules.LearningRateSchedule):
    """Schedule `1 + step^power / divisor`, for the weight of a penalty that becomes a constraint.

    Kumar et al. 2019 raise the weights of a relaxed injective flow so (section 4, with `power`
    their nu).

    Args:
        power: exponent of the step: float of at least 0.
        divisor: steps after which the weight is 2, for a power of 1: positive float.

    Raises:
        ValueError: `power` or `divisor` is out of its range.

    References:
        Kumar et al., Learning Generative Samplers using Relaxed Injective Flow, workshop INNF at
        ICML 2019.

    >>> import tfgen
    >>> float(tfgen.optimizers.PenaltyGrowth()(500))
    1.5
    """

    def __init__(self, power=1.0, divisor=1000.0):
        self.power = checks.check_weight(power, "power")
        self.divisor = checks.check_positive(divisor, "divisor")

    def __call__(self, step):
        """Returns the weight at a step, a float32 scalar tensor."""
        return 1 + tf.cast(step, "float32") ** self.power / self.divisor

    def get_config(self):
        return {"power": self.power, "divisor": self.divisor}

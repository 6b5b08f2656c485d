"""Weights that grow with the steps of training."""

import keras
import tensorflow as tf

from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class PenaltyGrowth(keras.optimizers.schedules.LearningRateSchedule):
    """`1 + step^power / divisor`: the weight of a penalty that becomes a constraint
    (Kumar et al. 2019, section 4, with `power` their nu).

    Args:
        power: how it grows.
        divisor: steps after which it is 2, for a power of 1.

    >>> import tfgen
    >>> float(tfgen.optimizers.PenaltyGrowth()(500))
    1.5
    """

    def __init__(self, power=1.0, divisor=1000.0):
        self.power = checks.check_weight(power, "power")
        self.divisor = checks.check_positive(divisor, "divisor")

    def __call__(self, step):
        return 1 + tf.cast(step, "float32") ** self.power / self.divisor

    def get_config(self):
        return {"power": self.power, "divisor": self.divisor}

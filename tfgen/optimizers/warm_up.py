"""Adam whose first steps are smaller ones."""

import keras
import tensorflow as tf

from tfgen.optimizers.fused_adam import FusedAdam
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class WarmUpAdam(FusedAdam):
    """Adam whose rate rises to `learning_rate` in the first steps.

    Step t, counted from 1, takes `min(1, t / warm_up_steps)` of the rate. `learning_rate` itself is
    what was given: a number stays one that callbacks can set (`ReduceLROnPlateau`,
    `LearningRateScheduler`), as Keras's own schedules with a warm-up are not.

    Args:
        learning_rate: float, or a `keras.optimizers.schedules.LearningRateSchedule`.
        warm_up_steps: steps of the warm-up, at least 1, which is none.
        name: the optimizer's name.
        **kwargs: arguments of `FusedAdam`.

    Raises:
        ValueError: `warm_up_steps` is not a whole number of at least 1.

    References:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, arXiv:1412.6980, Algorithm
        1. Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017,
        arXiv:1706.02677, section 2.2, for the warm-up.

    >>> import keras, tfgen
    >>> weight = keras.Variable([1.0])
    >>> optimizer = tfgen.optimizers.WarmUpAdam(0.1, warm_up_steps=10)
    >>> optimizer.apply([2 * weight], [weight])
    >>> print(weight.numpy().round(4), round(float(optimizer.learning_rate), 4))
    [0.99] 0.1
    """

    def __init__(self, learning_rate=1e-3, warm_up_steps=100, name="warm_up_adam", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.warm_up_steps = checks.check_count(warm_up_steps, "warm_up_steps")

    def apply(self, grads, trainable_variables=None):
        """Moves the variables by one step along their gradients.

        Args:
            grads: list of tensors, one for each variable.
            trainable_variables: list of `keras.Variable`; None for those it was built with.
        """
        # Once a step, not for every variable anew.
        taken = (tf.cast(self.iterations, tf.float32) + 1) / self.warm_up_steps
        self._factor = tf.minimum(taken, 1.0)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable by one step.

        Args:
            gradient: tensor of the variable's shape.
            variable: `keras.Variable`.
            learning_rate: scalar tensor.
        """
        rate = tf.cast(learning_rate, variable.dtype) * tf.cast(self._factor, variable.dtype)
        super().update_step(gradient, variable, rate)

    def get_config(self):
        return {**super().get_config(), "warm_up_steps": self.warm_up_steps}

"""Adam in one operation for each weight."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfgen")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, which reads and writes each weight and its moments once.

    Keras's own makes a dozen operations of an update, each of which goes through memory. This is
    TensorFlow's one, with the same arguments, the same weights and, but for rounding, the same
    steps. Weights in half precision, and those with `amsgrad`, take Keras's operations.

    Args:
        learning_rate: float, a `keras.optimizers.schedules.LearningRateSchedule`, or a callable
            without arguments.
        name: the optimizer's name.
        **kwargs: arguments of `keras.optimizers.Adam`.

    References:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, arXiv:1412.6980, Algorithm
        1, in the order of computation of the end of its section 2.

    >>> import keras, tfgen
    >>> weight = keras.Variable([1.0, -2.0])
    >>> optimizer = tfgen.optimizers.FusedAdam(0.1)
    >>> optimizer.apply([2 * weight], [weight])
    >>> print(weight.numpy().round(4))
    [ 0.9 -1.9]
    """

    def __init__(self, learning_rate=1e-3, name="fused_adam", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable by one step and updates its moments.

        Args:
            gradient: tensor, or sparse gradient of an embedding.
            variable: `keras.Variable` of the gradient's shape.
            learning_rate: scalar tensor.
        """
        index = self._get_variable_index(variable)
        dtype = tf.as_dtype(variable.dtype)
        if self.amsgrad or dtype not in (tf.float32, tf.float64):
            super().update_step(gradient, variable, learning_rate)
            return
        step = tf.cast(self.iterations + 1, dtype)
        decays = [tf.constant(beta, dtype) for beta in (self.beta_1, self.beta_2)]
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(decays[0], step),
            beta2_power=tf.pow(decays[1], step),
            lr=tf.cast(learning_rate, dtype),
            beta1=decays[0],
            beta2=decays[1],
            epsilon=tf.constant(self.epsilon, dtype),
            # A sparse gradient becomes dense: the moments decay in the rows that were not used,
            # too, as Keras's do.
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )


def _handle(variable):
    """The resource of a variable: Keras's, or, of several replicas, one's of TensorFlow."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle

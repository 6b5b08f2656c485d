"""Gradient reversal."""

import keras
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.part import Configured


@keras.saving.register_keras_serializable(package="tfgen")
class GradientReversal(Configured):
    """Layer that gives its inputs, and turns their gradients round.

    What comes before it is trained against what comes after (Ganin et al. 2016, "Domain-Adversarial
    Training of Neural Networks", arXiv:1505.07818, section 4.2).

    Args:
        weight: factor of the gradients, beside -1.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a negative `weight`.

    >>> import tensorflow as tf, tfgen
    >>> x = tf.Variable(2.0)
    >>> with tf.GradientTape() as tape:
    ...     y = tfgen.networks.GradientReversal(0.5)(x) ** 2
    >>> float(y), float(tape.gradient(y, x))
    (4.0, -2.0)
    """

    def __init__(self, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = checks.check_weight(weight, "weight")
        self.built = True

    def call(self, inputs, scale=1.0):
        """The inputs.

        Args:
            inputs: tensor of reals.
            scale: one more factor of the gradients, such as one that grows in training.
        """
        inputs = tf.convert_to_tensor(inputs)
        factor = tf.cast(-self.weight * scale, inputs.dtype)

        @tf.custom_gradient
        def reversed_gradient(x):
            return tf.identity(x), lambda upstream: factor * upstream

        return reversed_gradient(inputs)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

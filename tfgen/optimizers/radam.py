"""RAdam: Adam with rectified first steps, which needs no warm-up."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfgen")
class RAdam(keras.optimizers.Optimizer):
    """Rectified Adam (Liu et al. 2020, Algorithm 2).

    Adam's adaptive learning rate comes from few gradients in the first steps and varies wildly.
    RAdam estimates that variance from the step number t alone, by

        rho_t = rho_inf - 2 t beta_2^t / (1 - beta_2^t),    rho_inf = 2 / (1 - beta_2) - 1,

    and scales the step by r_t, which grows to 1. While rho_t <= 4 the variance is not finite and
    the step is plain momentum (bias-corrected, `learning_rate * m / (1 - beta_1^t)`), so it is
    proportional to the gradient; with beta_2 = 0.999 these are the first four steps.

    The threshold 4 is the paper's: r_t is real from there on. The authors' own code and
    PyTorch's `RAdam` wait for 5 ("more conservative"), which makes one more momentum step;
    after it the rules agree. `epsilon` is added to the square root of the uncorrected second
    moment, as in both of them and in `keras.optimizers.Adam`.

    Args:
        learning_rate: float, a `keras.optimizers.schedules.LearningRateSchedule`, or a callable
            without arguments.
        beta_1: decay of the first moment, 0 <= beta_1 < 1.
        beta_2: decay of the second moment, 0 < beta_2 < 1. At 0.6 or less rho_t never exceeds 4
            and every step is a momentum step.
        epsilon: keeps the division finite, >= 0.
        name: the optimizer's name.
        **kwargs: arguments of every Keras optimizer: `weight_decay` (decoupled), `clipnorm`,
            `clipvalue`, `global_clipnorm`, `use_ema`, `ema_momentum`,
            `ema_overwrite_frequency`, `loss_scale_factor`, `gradient_accumulation_steps`.

    Raises:
        ValueError: a beta or epsilon is out of its range.

    References:
        Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020,
        arXiv:1908.03265.

    Example:

        >>> import keras
        >>> from tfgen.optimizers import RAdam
        >>> weight = keras.Variable([1.0, -2.0])
        >>> optimizer = RAdam(learning_rate=0.1)
        >>> optimizer.apply([2 * weight], [weight])  # the gradient of sum(weight ** 2)
        >>> print(weight.numpy())
        [ 0.8 -1.6]
    """

    def __init__(
        self,
        learning_rate=1e-3,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        name="radam",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= beta_1 < 1:
            raise ValueError(f"`beta_1` must be in [0, 1); got {beta_1!r}")
        if not 0 < beta_2 < 1:
            raise ValueError(f"`beta_2` must be in (0, 1); got {beta_2!r}")
        if not epsilon >= 0:
            raise ValueError(f"`epsilon` must be >= 0; got {epsilon!r}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables):
        """Creates the two moments of every variable, in its shape and dtype.

        Args:
            variables: list of `keras.Variable`, those that `apply` moves.
        """
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def apply(self, grads, trainable_variables=None):
        """Moves the variables by one step along their gradients.

        Args:
            grads: list of tensors, one for each variable.
            trainable_variables: list of `keras.Variable`; None for those it was built with.
        """
        # Once a step: for every variable anew these scalars would be half of the graph.
        self._is_rectified, self._scale = self._rectify()
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable by one step and updates its moments.

        Args:
            gradient: tensor, or sparse gradient of an embedding.
            variable: `keras.Variable` of the gradient's shape.
            learning_rate: scalar tensor.
        """
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        # Half-precision weights are stepped in float32: epsilon and the squares of small
        # gradients are zero in float16.
        dtype = tf.float64 if variable.dtype == "float64" else tf.float32
        # convert_to_tensor makes the sparse gradient of an embedding dense, so that the moments
        # decay in the rows that were not used too, as the algorithm has it.
        gradient = tf.cast(tf.convert_to_tensor(gradient), dtype)

        m = tf.cast(momentum, dtype)
        m += (gradient - m) * (1 - self.beta_1)
        v = tf.cast(velocity, dtype)
        v += (tf.square(gradient) - v) * (1 - self.beta_2)
        self.assign(momentum, m)
        self.assign(velocity, v)

        divisor = tf.where(self._is_rectified, tf.sqrt(v) + self.epsilon, tf.ones([], dtype))
        rate = tf.cast(learning_rate, dtype) * tf.cast(self._scale, dtype)
        self.assign_sub(variable, rate * m / divisor)

    def _rectify(self):
        """Computes the terms that depend on the step number only, as float64 scalars.

        In float32 rho_t would be the difference of two numbers near rho_inf, one of them divided
        by the rounded 1 - beta_2^t. With beta_2 = 0.9999 that gives rho_4 = 4.02 instead of
        3.9997, and so the wrong branch.

        Returns:
            is_rectified: bool, whether rho_t > 4.
            scale: r_t sqrt(1 - beta_2^t) / (1 - beta_1^t), the factor of m / sqrt(v), where
                rectified; else 1 / (1 - beta_1^t), the factor of m.
        """
        t = tf.cast(self.iterations, tf.float64) + 1
        # expm1 and exp of t log(beta_2), not 1 - beta_2 ** t: accurate for small t, and for large
        # t beta_2^t goes to 0 and rho_t to rho_inf.
        exponent = t * math.log(self.beta_2)
        one_minus_power = -tf.math.expm1(exponent)
        rho_inf = 2 / (1 - self.beta_2) - 1
        rho = rho_inf - 2 * t * tf.exp(exponent) / one_minus_power

        # The value that is not used must be finite too, for those who search a NaN with
        # `tf.debugging.enable_check_numerics`: without rectification rho counts as 4.
        is_rectified = rho > 4
        rho = tf.maximum(rho, tf.constant(4, tf.float64))
        limit = (rho_inf - 4) * (rho_inf - 2) / rho_inf if rho_inf > 4 else 1.0
        adaptive = tf.sqrt((rho - 4) * (rho - 2) / rho / limit * one_minus_power)
        adaptive = tf.where(is_rectified, adaptive, tf.ones([], tf.float64))
        return is_rectified, adaptive / (1 - tf.pow(tf.constant(self.beta_1, tf.float64), t))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }

"""Gradients of an objective that is drawn: their bias and their variance."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.random import as_seed
from tfgen.utils.random import fold_in


@dataclasses.dataclass(frozen=True)
class GradientVariance:
    """Mean and spread of the gradient of one batch, over draws of the objective's noise.

    Attributes:
        mean: the mean gradient of all weights, as one vector.
        variances: the variance of each of its values, over draws.
        exact: the gradient by enumeration, or None where there is none.
        num_draws: number of draws.

    >>> import numpy as np
    >>> drawn = GradientVariance(np.array([1.0, 2.0]), np.ones(2), np.array([1.0, 1.0]), 25)
    >>> float(drawn.variance), float(drawn.bias), float(drawn.bias_error), float(drawn.norm)
    (2.0, 1.0, 0.2828..., 1.4142...)
    """

    mean: np.ndarray
    variances: np.ndarray
    exact: np.ndarray | None
    num_draws: int

    @property
    def variance(self):
        """Sum of the variances: the mean squared distance of a draw from the mean."""
        return self.variances.sum()

    @property
    def norm(self):
        """Length of the gradient, the exact one where it is known."""
        return np.linalg.norm(self.mean if self.exact is None else self.exact)

    @property
    def bias(self):
        """Distance of the mean gradient from the exact one; None where that is not known.

        That of an unbiased estimator is about `bias_error`.
        """
        return None if self.exact is None else np.linalg.norm(self.mean - self.exact)

    @property
    def bias_error(self):
        """Distance to be expected of the mean of so many draws from that of all."""
        return np.sqrt(self.variance / self.num_draws)


def gradient_variance(model, x, condition=None, num_draws=1000, seed=0):
    """Measures the gradient of a model's objective over draws of its noise: on small models against
    the gradient by enumeration, `model.exact_loss`.

    The weights are those that the objective trains, without an estimator's own baselines. What
    estimators keep of the draws, such as running means, is put back.

    Args:
        model: `GenerativeModel`, not necessarily compiled.
        x: one batch, `[n, *event_shape]`, the mean of whose losses is differentiated.
        condition: as in `log_prob`.
        num_draws: number of draws, two or more.
        seed: integer or two integers.

    Returns:
        A `GradientVariance`.

    Raises:
        ValueError: bad examples, or fewer than two draws.

    >>> import numpy as np, tfgen
    >>> model = tfgen.SigmoidBeliefNet(3, hidden_units=(2,), estimator="straight_through")
    >>> drawn = tfgen.metrics.gradient_variance(model, np.eye(3), num_draws=10)
    >>> drawn.mean.shape == drawn.exact.shape, bool(drawn.variance > 0)
    (True, True)
    """
    num_draws = checks.check_int(num_draws, "num_draws", 2, 2**31 - 1)
    x = tf.constant(model.data_spec.check_x(x))
    condition = model.data_spec.check_condition(condition, len(x))
    if condition is not None:
        condition = tf.nest.map_structure(tf.constant, condition)
    own = {id(v) for v in getattr(getattr(model, "estimator", None), "variables", ())}
    weights = [w for w in model.trainable_variables if id(w) not in own]

    def gradient(loss):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss())
        values = [w.value for w in weights]
        found = tape.gradient(value, values, unconnected_gradients="zero")
        return tf.cast(tf.concat([tf.reshape(g, [-1]) for g in found], 0), tf.float64)

    seed, kept = as_seed(seed), [v.numpy() for v in model.non_trainable_variables]

    @tf.function(autograph=False)
    def moments():
        def step(i, total, squares):
            drawn = gradient(lambda: model.loss(x, condition, seed=fold_in(seed, i)))
            return i + 1, total + drawn, squares + drawn**2

        zeros = tf.zeros([sum(int(np.prod(w.shape)) for w in weights)], tf.float64)
        start = (tf.constant(0), zeros, zeros)
        return tf.while_loop(lambda i, *_: i < num_draws, step, start)[1:]

    total, squares = (value.numpy() for value in moments.get_concrete_function()())
    for variable, value in zip(model.non_trainable_variables, kept, strict=True):
        variable.assign(value)
    mean = total / num_draws
    variances = np.maximum(squares - num_draws * mean**2, 0.0) / (num_draws - 1)
    exact = None
    if hasattr(model, "exact_loss"):
        exact = gradient(lambda: model.exact_loss(x, condition)).numpy()
    return GradientVariance(mean, variances, exact, num_draws)

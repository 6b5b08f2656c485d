"""Autoregressive maps: density in one pass, samples by fixed-point sweeps."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.bijectors.base import sum_event
from tfgen.bijectors.base import value_and_log_det
from tfgen.bijectors.transforms import Transforming
from tfgen.networks import MADE
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class Autoregressive(Transforming):
    """Elementwise map of each dimension, with parameters computed from the dimensions before it.

    This is the masked autoregressive flow of Papamakarios et al. 2017, "Masked Autoregressive Flow
    for Density Estimation", arXiv:1705.07057, eq. 3 and 4: data -> latent is one pass of the
    network. `Invert(Autoregressive())` is the inverse autoregressive flow of Kingma et al. 2016,
    "Improving Variational Inference with Inverse Autoregressive Flow", arXiv:1606.04934, which
    samples in one pass.

    Latent -> data solves `x = transform(z, network(x))` by fixed-point sweeps over all
    dimensions at once, which stop when nothing moves by more than rounding does. After k sweeps the
    first k dimensions are exact, so there are never more sweeps than dimensions (Song et al. 2021,
    "Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving",
    arXiv:2002.03629, proposition 1). Its gradient is that of the solution, not of the sweeps: the
    memory does not grow with their number. It cannot be differentiated once more.

    Args:
        transform: `"additive"`, `"affine"` (`ExpAffine`), `"sigmoid_affine"`, `"gated"`,
            `"spline"` or a `Transform`.
        network: `MADE` with the transform's `num_params`; by default a `MADE` of two layers of 256
            units.
        **kwargs: `Bijector` arguments.

    Shapes: events `[size]` on both sides, conditions `[batch, features]`.

    Raises:
        ValueError: a network of another number of parameters, or events that are not vectors.

    >>> import numpy as np, tfgen
    >>> layer = tfgen.bijectors.Autoregressive()
    >>> x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    >>> z, log_det = layer.inverse_and_log_det(x)
    >>> z.shape, log_det.shape
    (TensorShape([2, 3]), TensorShape([2]))
    >>> bool(np.allclose(layer.forward_and_log_det(z)[0], x, atol=1e-5))
    True
    """

    def __init__(self, transform="affine", network=None, **kwargs):
        super().__init__(transform, **kwargs)
        if network is None:
            kind = {"output_spread": self.transform.output_spread, "dtype": self.network_dtype}
            network = MADE(self.transform.num_params, **kind)
        self.network = checks.check_instance(network, MADE, "network")
        if network.num_params != self.transform.num_params:
            raise ValueError(
                f"`network` must have {self.transform.num_params} `num_params`, as "
                f"`transform` has; got {network.num_params}"
            )

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self._conditional = condition_shape is not None
        if len(self.event_shape) != 1:
            raise ValueError(
                f"Autoregressive takes events of shape [size]; got {list(self.event_shape)}"
            )
        if condition_shape is not None and len(condition_shape) != 2:
            raise ValueError(
                f"Autoregressive takes conditions of shape [features]; got {condition_shape[1:]}"
            )
        if not self.network.built:
            self.network.build((None, *self.event_shape), condition_shape)

    def _map(self, condition, in_blocks=False):
        """Function `(given, x, inverse)`: the map of `given` with the parameters that `x` gives."""
        network = self.network.given(condition, in_blocks)

        def map_(given, x, inverse):
            params = tf.cast(network(x), self.compute_dtype)
            return value_and_log_det(self.transform(params), given, inverse)

        return map_

    def _inverse(self, x, condition):
        z, log_det = self._map(condition)(x, x, inverse=True)
        return z, sum_event(log_det)

    def _forward(self, z, condition):
        map_ = self._map(condition)
        # Without a gradient of their own.
        sweep = self._map(condition, in_blocks=True)
        x = tf.stop_gradient(self._solve(sweep, tf.stop_gradient(z)))
        # The last sweep is the one that is differentiated.
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            last = map_(z, x, inverse=False)
        y, log_det = self._at_solution(last, x, tape)
        return y, sum_event(log_det)

    def _solve(self, map_, z):
        """Solution of `x = map_(z, x)` but for the last sweep."""
        largest = self.network.largest_input

        def sweep(x):
            return map_(z, x, inverse=False)[0]

        most, bound = self.event_shape[0] - 1, min(z.dtype.max**0.5, largest)
        # The last sweep comes after them: what still moves less has stopped then.
        return _sweeps(sweep, z, most, bound, units=32)

    def _at_solution(self, last, x, tape):
        """Identity of `last`, `(f(z, x), l(z, x))`, differentiated as functions of `z` alone.

        With `x = f(z, x)`, the gradient `g` of what comes after with respect to `x` and `h` with
        respect to the log-determinants `l(z, x)` become `u = g + (df/dx)^T u + (dl/dx)^T h`, the
        gradient with respect to `f(z, .)`. As `df/dx` is strictly triangular, this too is solved
        exactly by no more sweeps than dimensions.
        """

        @tf.custom_gradient
        def at_solution(y, log_det):
            def gradient(g, h):
                def sweep(u):
                    return g + tape.gradient(last, x, [u, h])

                size = tf.reduce_max(tf.abs(g))
                u = _sweeps(sweep, g, self.event_shape[0], g.dtype.max**0.5, size)
                return _first_order(u), h

            return (tf.identity(y), tf.identity(log_det)), gradient

        return at_solution(*last)


def _sweeps(sweep, start, most, bound, typical=1.0, units=8):
    """Result of sweeps, until no value moves by more than `units` of rounding, or after `most`.

    Rounding is that of a value's own size, or of the `typical` size where this is larger.
    Dimensions whose turn has not come may be anything: what is beyond the bound is cut there, and
    what is not a number becomes zero, since what is masked must be finite to count as nothing.
    """
    tolerance = units * np.finfo(start.dtype.as_numpy_dtype).eps

    def body(i, x, _):
        y = tf.clip_by_value(sweep(x), -bound, bound)
        y = tf.where(tf.math.is_nan(y), tf.zeros_like(y), y)
        return i + 1, y, tf.reduce_any(tf.abs(y - x) > tolerance * (typical + tf.abs(y)))

    state = (tf.constant(0), start, tf.constant(True))
    return tf.while_loop(lambda i, x, moving: moving, body, state, maximum_iterations=most)[1]


@tf.custom_gradient
def _first_order(gradient):
    """Identity that raises where a gradient is differentiated that holds the solution constant."""

    def second_order(_):
        raise NotImplementedError(
            "the slow direction of an autoregressive map has first-order gradients only"
        )

    return tf.identity(gradient), second_order

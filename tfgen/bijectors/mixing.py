"""Linear maps that mix the channels: learned 1x1 convolutions and permutations."""

import math

import keras
import numpy as np
import scipy.linalg
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import zeros_log_det
from tfgen.utils import checks
from tfgen.utils.layers import add_order
from tfgen.utils.plain_graphs import is_plain


@keras.saving.register_keras_serializable(package="tfgen")
class InvertibleConv(Bijector):
    """Learned invertible matrix over the last axis: Glow's 1x1 convolution.

    `z = W x` at every position, `W = P L U`, from Kingma and Dhariwal 2018, "Glow: Generative Flow
    with Invertible 1x1 Convolutions", arXiv:1807.03039, eq. 10 and 11: the permutation `P` and the
    signs of U's diagonal `u` are fixed; `L`, the rest of `U` and `log|u|` are learned.
    The log-determinant is `h * w * sum(log|u|)`, with no factorisation and no
    determinant to compute; sampling takes the factors' inverses, by triangular solves.

    Args:
        start: `W` before training: `"orthogonal"`, a random rotation, or `"reverse"`, the
            reversal of the channels.
        **kwargs: `Bijector` arguments.

    Shapes: events `[..., channels]` on both sides.

    Raises:
        ValueError: another `start`.

    >>> import numpy as np, tfgen
    >>> conv = tfgen.bijectors.InvertibleConv()
    >>> x = np.ones((2, 4, 4, 3), "float32")
    >>> z, log_det = conv.inverse_and_log_det(x)
    >>> y, _ = conv.forward_and_log_det(z)
    >>> bool(np.allclose(x, y, atol=1e-5)), log_det.shape
    (True, TensorShape([2]))
    """

    def __init__(self, start="orthogonal", **kwargs):
        super().__init__(**kwargs)
        if start not in ("orthogonal", "reverse"):
            raise ValueError(f'`start` must be "orthogonal" or "reverse"; got {start!r}')
        self.start = start

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        size = self.event_shape[-1]
        self._positions = math.prod(self.event_shape[:-1])
        if self.start == "reverse":
            matrix = np.eye(size)[::-1]
        else:
            # QR of a Gaussian matrix with the signs of R's diagonal moved into Q:
            # uniform over the orthogonal group.
            q, r = np.linalg.qr(np.random.normal(size=(size, size)))
            matrix = q * np.sign(np.diag(r))
        permutation, lower, upper = scipy.linalg.lu(matrix)
        diagonal = np.diag(upper)

        def weight(name, value, **kwargs):
            start = keras.initializers.Constant(value.astype(self.variable_dtype))
            return self.add_weight(name=name, shape=value.shape, initializer=start, **kwargs)

        self.lower = weight("lower", np.tril(lower, -1))
        self.upper = weight("upper", np.triu(upper, 1))
        self.log_abs_u = weight("log_abs_u", np.log(np.abs(diagonal)))
        self.sign_u = weight("sign_u", np.sign(diagonal), trainable=False)
        self.permutation = weight("permutation", permutation, trainable=False)

    def _factors(self):
        lower = tf.convert_to_tensor(self.lower)
        upper = tf.convert_to_tensor(self.upper)
        # Only the strict triangles are parameters.
        lower = tf.linalg.set_diag(tf.linalg.band_part(lower, -1, 0), tf.ones_like(lower[0]))
        upper = tf.linalg.band_part(upper, 0, -1)
        return lower, tf.linalg.set_diag(upper, self.sign_u * tf.exp(self.log_abs_u))

    def _inverse(self, x, condition):
        lower, upper = self._factors()
        matrix = self.permutation @ lower @ upper
        z = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), matrix, transpose_b=True)
        return tf.reshape(z, [-1, *self.event_shape]), self._log_det(x)

    def _forward(self, z, condition):
        lower, upper = self._factors()
        rows = tf.reshape(z, [-1, z.shape[-1]])

        def solved(columns):
            columns = tf.linalg.triangular_solve(lower, columns)
            return tf.linalg.triangular_solve(upper, columns, lower=False)

        # The inverse once and a product serve many positions; of constants a converter computes
        # it itself. For few vectors it would take longer than they.
        if self._positions > 1 or is_plain():
            matrix = solved(tf.transpose(self.permutation))
            x = tf.matmul(rows, matrix, transpose_b=True)
        else:
            x = tf.transpose(
                solved(tf.matmul(self.permutation, rows, transpose_a=True, transpose_b=True))
            )
        return tf.reshape(x, [-1, *self.event_shape]), -self._log_det(z)

    def _log_det(self, x):
        return tf.fill(tf.shape(x)[:1], self.mixing_log_dets()[0])

    def mixing_log_dets(self):
        return self._positions * tf.reduce_sum(self.log_abs_u, keepdims=True)


@keras.saving.register_keras_serializable(package="tfgen")
class Permutation(Bijector):
    """Fixed permutation of the last axis.

    Args:
        order: list of indices, `z[..., i] = x[..., order[i]]`; `"reverse"`; or
            `"random"`, drawn once when the layer is built and saved with it.
        **kwargs: `Bijector` arguments.

    Shapes: events `[..., channels]` on both sides.

    Raises:
        ValueError: an `order` that is no permutation of the axis.

    >>> import numpy as np, tfgen
    >>> permutation = tfgen.bijectors.Permutation([2, 0, 1])
    >>> z, _ = permutation.inverse_and_log_det(np.array([[1.0, 2.0, 3.0]], "float32"))
    >>> z.numpy().tolist()
    [[3.0, 1.0, 2.0]]
    """

    def __init__(self, order="reverse", **kwargs):
        super().__init__(**kwargs)
        self.order = checks.as_order(order, "order", ("reverse", "random"))

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        self._order = add_order(self, self.order, "order", self.event_shape[-1])

    def _inverse(self, x, condition):
        return _take(x, self._order, tf.argsort(self._order)), zeros_log_det(x)

    def _forward(self, z, condition):
        return _take(z, tf.argsort(self._order), self._order), zeros_log_det(z)


@tf.custom_gradient
def _take(x, order, back):
    """`x` with its last axis in another order, `back` being the way back.

    The gradient is a gather, too: TensorFlow's own adds up where there is nothing to add.
    """

    def gradient(upstream):
        return tf.gather(upstream, back, axis=-1), None, None

    return tf.gather(x, order, axis=-1), gradient

"""Monotonic rational-quadratic splines."""

import numpy as np
import tensorflow as tf

from tfgen.bijectors.view import OnePass

# The least width and height of a bin, as a part of the whole, and the least slope of a knot.
LEAST_SIZE = 1e-3
_LEAST_SLOPE = 1e-3


class RationalQuadratic(OnePass):
    """Monotonic rational-quadratic spline on [-bound, bound], the identity outside.

    From Durkan et al. 2019, "Neural Spline Flows", arXiv:1906.04032, section 3.1; data -> latent
    evaluates it, latent -> data solves it.

    Args:
        params: `[..., 3 * num_bins - 1]`: the bins' widths and heights and the slopes of the knots
            between them, before softmax and softplus. Zeros give the identity.
        num_bins: number of bins.
        bound: half the width of the interval.
    """

    def __init__(self, params, num_bins, bound):
        self._params = tf.convert_to_tensor(params)
        self._num_bins, self._bound = num_bins, bound
        super().__init__(
            forward_min_event_ndims=0,
            dtype=self._params.dtype,
            parameters={"params": params, "num_bins": num_bins, "bound": bound},
            name="rational_quadratic",
        )

    def _compute(self, given, forward):
        bound, bins = self._bound, self._num_bins
        # What is outside is treated apart; the clipped value keeps both branches finite.
        inside = tf.abs(given) < bound
        v = tf.clip_by_value(given, -bound, bound)
        # Bins come first: sums over the last of the axes are slow when it is short.
        rank = self._params.shape.rank
        params = tf.transpose(self._params, [rank - 1, *range(rank - 1)])
        if rank - 1 < v.shape.rank:
            # As many axes as the values have, to broadcast with them.
            missing = [1] * (v.shape.rank - rank + 1)
            params = tf.reshape(
                params, tf.concat([[params.shape[0]], missing, tf.shape(params)[1:]], 0)
            )
            rank = v.shape.rank + 1
        widths, heights, slopes = tf.split(params, [bins, bins, bins - 1])
        # Parts of what is left of the interval when every bin has had its least size.
        widths, heights = _softmax(widths), _softmax(heights)
        least, rest = 2 * bound * LEAST_SIZE, 2 * bound * (1 - bins * LEAST_SIZE)

        # The bin is picked by masks: cheaper than gathers, and XLA likes it. What is made of the
        # picked numbers alone is made after picking.
        # Cumulative sums, as a product: the operation of that name is slow.
        below = tf.constant(np.tri(bins - 1, bins), v.dtype)
        parts = tf.stop_gradient(tf.tensordot(below, heights if forward else widths, 1))
        starts = np.reshape(least * np.arange(1, bins) - bound, [-1] + [1] * (rank - 1))
        passed = tf.cast(v >= rest * parts + tf.constant(starts, v.dtype), v.dtype)
        zero = tf.zeros_like(passed[:1])
        here = tf.concat([zero + 1, passed], 0) - tf.concat([passed, zero], 0)

        def pick(mask, values):
            return tf.reduce_sum(mask * values, 0)

        start = least * tf.reduce_sum(passed, 0) - bound
        left = start + rest * pick(passed, widths[:-1])
        bottom = start + rest * pick(passed, heights[:-1])
        width, height = least + rest * pick(here, widths), least + rest * pick(here, heights)
        # The slope at either end is 1, which is what 0 gives.
        shift = np.log(np.expm1(1 - _LEAST_SLOPE))
        slope_0, slope_1 = (
            _LEAST_SLOPE + tf.nn.softplus(pick(mask, slopes) + tf.constant(shift, v.dtype))
            for mask in (here[1:], here[:-1])
        )
        mean = height / width
        excess = slope_1 + slope_0 - 2 * mean
        if forward:
            # Equations 6 to 8; the form of the root that does not cancel.
            rise = v - bottom
            a = height * (mean - slope_0) + rise * excess
            b = height * slope_0 - rise * excess
            c = -mean * rise
            root = tf.sqrt(tf.maximum(b**2 - 4 * a * c, np.finfo(v.dtype.as_numpy_dtype).tiny))
            # In [0, 1], but for rounding.
            t = tf.clip_by_value(2 * c / (-b - root), 0, 1)
            value = left + width * t
        else:
            t = tf.clip_by_value((v - left) / width, 0, 1)
        mixed = t * (1 - t)
        denominator = mean + excess * mixed
        if not forward:
            # Equation 4.
            value = bottom + height * (mean * t**2 + slope_0 * mixed) / denominator
        # Equation 5.
        numerator = slope_1 * t**2 + 2 * mean * mixed + slope_0 * (1 - t) ** 2
        log_det = 2 * tf.math.log(mean / denominator) + tf.math.log(numerator)
        log_det = -log_det if forward else log_det
        return tf.where(inside, value, given), tf.where(inside, log_det, tf.zeros_like(log_det))


def _softmax(x):
    """Softmax over the first axis."""
    x = tf.exp(x - tf.stop_gradient(tf.reduce_max(x, 0)))
    return x / tf.reduce_sum(x, 0)

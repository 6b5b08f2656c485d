"""Between the columns of a table and the real line."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import sum_event
from tfgen.data.columns import Columns
from tfgen.utils import checks
from tfgen.utils.line import from_line
from tfgen.utils.line import to_line
from tfgen.utils.part import Configured

_HALF_LOG_TWO_PI = 0.5 * np.log(2 * np.pi)


@keras.saving.register_keras_serializable(package="tfgen")
class ToLine(Bijector):
    """Elementwise map of a table's numbers to the whole real line, data -> latent.

    Unbounded numbers stay as they are, numbers within bounds go through a logarithm or a logit
    (`tfgen.utils.line`). Codes with shares, of categories and of integers of few values, go to the
    quantiles of the standard normal distribution: those of a code to as much of its mass as the
    code has of the rows. So a flow that does nothing more has the right share for each of them. The
    map has no weights.

    Args:
        columns: `tfgen.data.Columns`; whole numbers are dequantised (`DequantiseColumns`).
        **kwargs: `Bijector` arguments.

    Shapes: events `[numbers]` on both sides.

    Raises:
        ValueError: events of another size.

    >>> import numpy as np, tfgen
    >>> columns = tfgen.data.Columns(
    ...     [{"name": "sex", "kind": "category", "levels": ["f", "m"], "probs": [0.5, 0.5]}]
    ... )
    >>> to_line = tfgen.bijectors.ToLine(columns)
    >>> to_line.inverse_and_log_det(np.array([[1.0]], "float32"))[0].numpy().tolist()
    [[0.0]]
    >>> to_line.elementwise(np.array([[1.0]], "float32"), inverse=True)[1].shape
    TensorShape([1, 1])
    """

    def __init__(self, columns, **kwargs):
        super().__init__(**kwargs)
        self.columns = checks.check_instance(columns, Columns, "columns")

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        if self.event_shape != self.columns.event_shape:
            raise ValueError(
                f"`columns` are of examples {list(self.columns.event_shape)}; got events of "
                f"{list(self.event_shape)}"
            )
        # Numbers of one kind of map go through it at once.
        groups = {}
        for i, dim in enumerate(self.columns.dims):
            kind = dim.probs is not None, dim.low is None, dim.end is None
            groups.setdefault(kind, []).append(i)
        dtype = np.dtype(self.compute_dtype)
        self._groups = [
            (positions, _map_of([self.columns.dims[i] for i in positions], dtype))
            for positions in groups.values()
        ]
        self._order = np.argsort([i for positions, _ in self._groups for i in positions])

    def elementwise(self, x, inverse):
        """Values and the logarithms of the slopes, both `[batch, numbers]`.

        Args:
            x: tensor `[batch, numbers]`.
            inverse: True for data -> latent.
        """
        parts = [
            getattr(part, "inverse" if inverse else "forward")(tf.gather(x, positions, axis=1))
            for positions, part in self._groups
        ]
        if len(parts) == 1:
            return parts[0]
        joined = [tf.concat(part, 1) for part in zip(*parts, strict=True)]
        return tuple(tf.gather(part, self._order, axis=1) for part in joined)

    def _forward(self, z, condition):
        x, log_slope = self.elementwise(z, inverse=False)
        return x, sum_event(log_slope)

    def _inverse(self, x, condition):
        z, log_slope = self.elementwise(x, inverse=True)
        return z, sum_event(log_slope)


def _map_of(dims, dtype):
    if dims[0].probs is not None:
        return _Shares(dims, dtype)
    bounds = [[getattr(d, name) for d in dims] for name in ("low", "end")]
    return _Interval(*(None if of[0] is None else np.array(of, dtype) for of in bounds))


class _Interval:
    """Numbers of which all have a bound below, or none has, and so above.

    Args:
        low: array `[size]` or None.
        end: array `[size]` or None.
    """

    def __init__(self, low, end):
        self.low, self.end = low, end

    def inverse(self, x):
        return to_line(x, self.low, self.end)

    def forward(self, t):
        x, log_slope = from_line(t, self.low, self.end)
        dtype = x.dtype.as_numpy_dtype
        if self.low is not None:
            x = tf.maximum(x, np.nextafter(self.low, dtype(np.inf)))
        if self.end is not None:
            x = tf.minimum(x, np.nextafter(self.end, dtype(-np.inf)))
        return x, log_slope


class _Shares:
    """Codes of known shares at the quantiles of the normal distribution.

    Args:
        dims: list of `Dim`s with `probs`.
        dtype: numpy dtype.
    """

    def __init__(self, dims, dtype):
        self.low = np.array([d.low for d in dims], dtype)
        self.count = np.array([len(d.probs) for d in dims], np.int32)
        self.start = np.concatenate([[0], np.cumsum(self.count)[:-1]]).astype(np.int32)
        # In float64, so that the last edge is 1.
        edges = [np.cumsum([0.0, *d.probs]) / np.sum(d.probs) for d in dims]
        self.left = np.concatenate([e[:-1] for e in edges]).astype(dtype)
        self.width = np.concatenate([np.diff(e) for e in edges]).astype(dtype)
        # Edges between codes; beyond the last one none is reached.
        inner = np.full((len(dims), max(self.count) - 1), 2.0, dtype)
        for row, e in zip(inner, edges, strict=True):
            row[: len(e) - 2] = e[1:-1]
        self.inner = inner
        self.eps = np.finfo(dtype).eps
        # A code and the greatest part of one that is not rounded to the next.
        self.most = 1 - 2 * self.eps * (np.abs(self.low) + self.count + 1)

    def inverse(self, x):
        # What lies beyond the codes is treated as the nearest.
        x = tf.clip_by_value(x - self.low, 0.0, self.count.astype(self.low.dtype))
        code = tf.minimum(tf.cast(tf.floor(x), tf.int32), self.count - 1)
        left, width = (tf.gather(v, code + self.start) for v in (self.left, self.width))
        u = left + width * (x - tf.cast(code, x.dtype))
        t = tf.math.ndtri(tf.clip_by_value(u, self.eps, 1 - self.eps))
        return t, tf.math.log(width) + 0.5 * t**2 + _HALF_LOG_TWO_PI

    def forward(self, t):
        u = 0.5 * tf.math.erfc(-t * np.sqrt(0.5))
        code = tf.reduce_sum(tf.cast(u[..., None] >= self.inner, tf.int32), -1)
        left, width = (tf.gather(v, code + self.start) for v in (self.left, self.width))
        part = tf.clip_by_value((u - left) / width, 0.0, self.most)
        x = self.low + tf.cast(code, t.dtype) + part
        return x, -tf.math.log(width) - 0.5 * t**2 - _HALF_LOG_TWO_PI


@keras.saving.register_keras_serializable(package="tfgen")
class DequantiseColumns(Configured):
    """Noise in the place of what a table's numbers leave open: `Dequantise` for tables.

    Whole numbers and codes get uniform noise in [0, 1). A value that is missing, as the indicator
    beside it says, is drawn from a normal distribution on the whole line, whatever number stands in
    its place: the logarithm of the density divided by that of the draw (`log_noise`) bounds the
    log-probability that it is missing from below, as it does for dequantised values.

    Args:
        columns: `tfgen.data.Columns`.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: examples `[batch, numbers]`.

    >>> import numpy as np, tfgen
    >>> columns = tfgen.data.Columns([{"name": "n", "kind": "integer", "low": 0}])
    >>> dequantise = tfgen.bijectors.DequantiseColumns(columns)
    >>> dequantise.build((None, 1))
    >>> dequantise(np.array([[3.0]]), noise=0.25).numpy().tolist()
    [[3.25]]
    >>> dequantise.quantise(np.array([[3.7], [-0.2]], "float32")).numpy().tolist()
    [[3.0], [0.0]]
    >>> dequantise.log_noise(np.array([[3.25]], "float32")).numpy().tolist()
    [0.0]
    """

    def __init__(self, columns, **kwargs):
        super().__init__(**kwargs)
        self.columns = checks.check_instance(columns, Columns, "columns")

    def build(self, inputs_shape):
        dims, dtype = self.columns.dims, np.dtype(self.variable_dtype)
        self._line = ToLine(self.columns, dtype=self.variable_dtype)
        self._line.build(inputs_shape)
        least, most, self._whole = self.columns.ranges()
        lows = [-np.inf if d.low is None else d.low for d in dims]
        ends = [np.inf if d.end is None else d.end for d in dims]
        inside = np.nextafter(np.array(lows, dtype), dtype.type(np.inf))
        below = np.nextafter(np.array(ends, dtype), dtype.type(-np.inf))
        self._least = np.where(self._whole, least, inside).astype(dtype)
        self._most = np.where(self._whole, most, below).astype(dtype)
        # Of each number the position of its indicator, and of one without a column of zeros.
        self._indicators = [i for i, d in enumerate(dims) if d.value is not None]
        self._of = np.full(len(dims), len(self._indicators))
        for k, i in enumerate(self._indicators):
            self._of[dims[i].value] = k
        self._loc, self._scale, self._fill = (
            np.array([getattr(d, name) for d in dims], dtype) for name in ("loc", "scale", "fill")
        )

    def _is_missing(self, x):
        flags = tf.gather(x, self._indicators, axis=1) >= 1
        flags = tf.concat([flags, tf.zeros_like(flags[:, :1])], 1)
        return tf.gather(flags, self._of, axis=1)

    def call(self, inputs, noise):
        """Reals in the columns' units.

        Args:
            inputs: `[batch, numbers]`, whole numbers where the columns have such.
            noise: numbers in [0, 1), of the shape of the inputs or broadcast to it.
        """
        x = tf.cast(inputs, self.variable_dtype)
        # Not 0: the end of a bin may lie at infinity.
        noise = tf.clip_by_value(tf.cast(noise, x.dtype), 2.0**-24, 1 - 2.0**-24)
        noise += tf.zeros_like(x)
        values = tf.where(self._whole, tf.floor(x) + noise, x)
        if not self._indicators:
            return values
        drawn = self._line.elementwise(self._loc + self._scale * tf.math.ndtri(noise), False)[0]
        return tf.where(self._is_missing(x), drawn, values)

    def log_noise(self, values):
        """Log-density of the draws in the place of missing values, `[batch]`, in nats.

        Args:
            values: what `call` gives.
        """
        if not self._indicators:
            return tf.zeros(tf.shape(values)[:1], values.dtype)
        t, log_slope = self._line.elementwise(values, inverse=True)
        log_prob = -0.5 * ((t - self._loc) / self._scale) ** 2 - np.log(self._scale)
        log_prob += log_slope - _HALF_LOG_TWO_PI
        return sum_event(tf.where(self._is_missing(values), log_prob, 0.0))

    def quantise(self, x):
        """Examples in the columns' own values, of reals; in the place of missing values one
        number."""
        x = tf.where(self._whole, tf.floor(x), x)
        x = tf.clip_by_value(x, self._least, self._most)
        return tf.where(self._is_missing(x), self._fill, x) if self._indicators else x

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

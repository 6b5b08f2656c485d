"""Views of tfgen bijectors as TFP bijectors."""

import itertools
import weakref

import tensorflow as tf
import tensorflow_probability as tfp

_tokens = itertools.count()


class _WeakCache(type(tfp.bijectors.Bijector._cache)):
    """TFP's cache without log-determinants: those of a tensor that is kept, such as data, would
    stay as they were under the weights of the first time."""

    def forward_attributes(self, *args, **kwargs):
        return {}

    def inverse_attributes(self, *args, **kwargs):
        return {}


class OnePass(tfp.bijectors.Bijector):
    """`tfb.Bijector` that computes values and log-determinants together, in `_compute`.

    TFP asks for them one by one, in both directions: all of them are answered from the last
    pass that was made, as long as somebody has both of its sides, as TFP does while it needs them.
    So a view that is kept sees weights that have changed. TFP shares caches between bijectors with
    equal parameters; the token keeps one of new weights from being given values computed from old
    ones.
    """

    _cache = _WeakCache()

    def __init__(self, *, parameters, **kwargs):
        self._last = None
        super().__init__(parameters={**parameters, "token": next(_tokens)}, **kwargs)

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _compute(self, given, forward):
        """Value on the other side and log-determinant of the way to it."""
        raise NotImplementedError

    def _pass(self, z=None, x=None):
        """Triple `(z, x, log|dx/dz|)` of the one value that is given."""
        if self._last is not None:
            *sides, log_det = self._last
            last_z, last_x = (side() for side in sides)
            whole = last_z is not None and last_x is not None
            if whole and (z is last_z or x is last_x):
                return last_z, last_x, log_det
        if z is not None:
            x, log_det = self._compute(z, forward=True)
        else:
            z, log_det = self._compute(x, forward=False)
            log_det = -log_det
        self._last = weakref.ref(z), weakref.ref(x), log_det
        return z, x, log_det

    def _forward(self, z):
        return self._pass(z=z)[1]

    def _inverse(self, x):
        return self._pass(x=x)[0]

    def _forward_log_det_jacobian(self, z):
        return self._pass(z=z)[2]

    def _inverse_log_det_jacobian(self, x):
        return -self._pass(x=x)[2]


def current(weight):
    """A Keras weight as TFP's objects take it: they read it anew each time, and count it among
    their `variables`. A frozen one becomes a tensor, or TFP would train it."""
    value = weight.value
    frozen = not weight.trainable and getattr(value, "trainable", False)
    # It is a tensor already where Keras casts weights or puts others in their place.
    return tf.convert_to_tensor(value) if frozen or not isinstance(value, tf.Variable) else value


def deferred(function, *weights, shape=None, dtype=None):
    """A function's value at the weights' values, computed anew each time that TFP reads it.

    Args:
        function: of tensors.
        *weights: Keras weights.
        shape: shape of the result, by default the first weight's.
        dtype: dtype of the result, by default the first weight's.
    """
    values = [current(weight) for weight in weights]
    variables = [value for value in values if isinstance(value, tf.Variable)]

    def compute(_=None):
        return function(*map(tf.convert_to_tensor, values))

    if not variables:
        return compute()
    return tfp.util.DeferredTensor(
        variables[0],
        compute,
        dtype=tf.as_dtype(dtype or weights[0].dtype),
        shape=weights[0].shape if shape is None else shape,
        also_track=variables[1:],
    )


class TFPView(OnePass):
    """`tfb.Bijector` over a tfgen bijector, whose conditioner runs once in a pass.

    Its `trainable_variables` are those of the bijector that are not frozen.

    Args:
        layer: built `Bijector`.
        condition: `[features]` or `[n, features]`, a tensor or what `deferred` gives, or None.
        name: of the view; by default the layer's.
    """

    def __init__(self, layer, condition=None, name=None):
        self._layer = layer
        later = condition is None or isinstance(condition, tfp.util.DeferredTensor)
        self._condition = condition if later else tf.convert_to_tensor(condition)
        # TFP finds variables of TensorFlow alone.
        weights = map(current, layer.variables)
        self._weights = [weight for weight in weights if isinstance(weight, tf.Variable)]
        shape = getattr(layer, "event_shape", None)
        if shape is None:
            raise ValueError(
                f"the `build` of {type(layer).__name__} must set `event_shape`, the shape of one "
                "event on the data side: `super().build(inputs_shape, condition_shape)` does"
            )
        self._rank = (len(layer.inverse_event_shape(shape)), len(shape))
        super().__init__(
            forward_min_event_ndims=self._rank[0],
            inverse_min_event_ndims=self._rank[1],
            dtype=tf.as_dtype(layer.compute_dtype),
            parameters={"layer": layer, "condition": condition},
            name=name or layer.name,
        )

    def _compute(self, given, forward):
        rank = self._rank[0 if forward else 1]
        batch, event = tf.split(tf.shape(given), [-1, rank])
        static = given.shape[: given.shape.rank - rank]
        condition, wide = self._condition, given
        if condition is not None:
            condition = tf.convert_to_tensor(condition)
            features = tf.shape(condition)[1:]
            if condition.shape[0] == 1:
                condition = condition[0]
            else:
                # A batch shape of their own, which broadcasts with the values'.
                batch = tf.broadcast_dynamic_shape(batch, tf.shape(condition)[:1])
                static = tf.broadcast_static_shape(static, condition.shape[:1])
                wide = tf.broadcast_to(given, tf.concat([batch, event], 0))
            condition = tf.broadcast_to(condition, tf.concat([batch, features], 0))
            condition = tf.reshape(condition, tf.concat([[-1], features], 0))
        flat = tf.reshape(wide, tf.concat([[-1], event], 0))
        flat = tf.ensure_shape(flat, [None, *given.shape[given.shape.rank - rank :]])
        map_ = self._layer.forward_and_log_det if forward else self._layer.inverse_and_log_det
        value, log_det = map_(flat, condition=condition)
        out = tf.reshape(value, tf.concat([batch, tf.shape(value)[1:]], 0))
        out = tf.ensure_shape(out, static.concatenate(value.shape[1:]))
        return out, tf.reshape(log_det, batch)

    def _forward_event_shape(self, shape):
        return self._event_shape(shape, self._rank[0], self._layer.forward_event_shape)

    def _inverse_event_shape(self, shape):
        return self._event_shape(shape, self._rank[1], self._layer.inverse_event_shape)

    def _forward_event_shape_tensor(self, shape):
        return self._event_shape_tensor(shape, self._rank[0], self._layer.forward_event_shape)

    def _inverse_event_shape_tensor(self, shape):
        return self._event_shape_tensor(shape, self._rank[1], self._layer.inverse_event_shape)

    @staticmethod
    def _event_shape(shape, rank, function):
        if shape.rank is None or not shape[shape.rank - rank :].is_fully_defined():
            return tf.TensorShape(None)
        batch, event = shape[: shape.rank - rank], shape[shape.rank - rank :]
        return tf.TensorShape([*batch, *function(tuple(event))])

    @staticmethod
    def _event_shape_tensor(shape, rank, function):
        event = tuple(int(s) for s in tf.get_static_value(shape)[-rank:])
        return tf.concat([shape[: tf.size(shape) - rank], function(event)], 0)

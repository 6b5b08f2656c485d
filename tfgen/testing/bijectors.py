"""Checks of bijectors."""

import functools

import numpy as np
import tensorflow as tf

from tfgen.bijectors import Bijector
from tfgen.testing import copies
from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.errors import require_dtype
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_shape
from tfgen.utils import checks

# By the dtype of the map.
INVERSE_ERROR = {"float32": 1e-4, "float64": 1e-10}
LOG_DET_ERROR = {"float32": 1e-4, "float64": 1e-6}
# Of what one computation gives in two ways.
SAME = {"float32": 1e-4, "float64": 1e-9}
ROUNDING = {"float32": 1e-5, "float64": 1e-12}
HALF = 5e-2


def check_bijector(bijector, event_shape, condition_shape=None, x=None, z=None, num_rows=3, seed=0):
    """Checks that a bijector is the invertible map that it says it is.

    Looked at are shapes and dtypes of both directions, the way there and back, the log-determinant
    against the Jacobian by differentiation, rows that must not see each other, gradients, graphs of
    any batch size, the shapes that the layer announces, its configuration, and `to_tfp`. All is
    done on copies made from the configuration, at the weights that the bijector has and at weights
    shifted by noise: maps that start as the identity hide mistakes.

    Args:
        bijector: `tfgen.bijectors.Bijector`, built or not; it stays as it is.
        event_shape: shape of an event on the data side, small: the Jacobian has as many entries as
            its values squared.
        condition_shape: shape of one condition, None without one.
        x: `[num_rows, *event_shape]` on the data side, two rows at least; by default standard
            normal.
        z: points on the latent side; by default standard normal or, where `x` is given, its
            latents.
        num_rows: rows of the default `x`.
        seed: of the points and of the noise in the weights.

    Raises:
        CheckError: the first thing that is off, by the name of the method.
        ValueError: no bijector; an `x` of another shape.

    >>> import keras
    >>> from tfgen import bijectors
    >>> from tfgen.testing import check_bijector
    >>> check_bijector(bijectors.ActNorm(), event_shape=3)
    >>> @keras.saving.register_keras_serializable(package="example")
    ... class Wrong(bijectors.ActNorm):
    ...     def _inverse(self, x, condition):
    ...         z, log_det = super()._inverse(x, condition)
    ...         return z, log_det[:, None]
    >>> check_bijector(Wrong(), 3)
    Traceback (most recent call last):
    ...
    tfgen.testing.errors.CheckError: `Wrong._inverse`: the log-determinant must have shape [batch] \
= [3]; got [3, 1]
    """
    checks.check_instance(bijector, Bijector, "bijector")
    shape = checks.as_shape(event_shape, "event_shape")
    if condition_shape is not None:
        condition_shape = checks.as_shape(condition_shape, "condition_shape")
    dtype, rng = bijector.variable_dtype, np.random.default_rng(seed)
    free = x is None
    if free:
        x = rng.normal(size=(checks.check_count(num_rows, "num_rows"), *shape))
    x = checks.as_events(x, "x", shape, "real", dtype)
    if len(x) < 2:
        raise ValueError(f"`x` must have two rows at least; got {len(x)}")
    condition = None
    if condition_shape is not None:
        condition = rng.normal(size=(len(x), *condition_shape)).astype(dtype)
    as_given = _copy(bijector, shape, condition_shape)
    moved = copies.perturb(_copy(as_given, shape, condition_shape), seed)
    if moved.adaptive and not moved.trainable_variables:
        with calling(f"{type(moved).__name__}.adapt"):
            moved.adapt([tf.constant(x)], None if condition is None else [condition])
    assert_copies_are_equal(as_given, x, condition)
    for layer in (as_given, moved):
        given = z
        if free and z is None:
            with calling(f"{type(layer).__name__}.inverse_event_shape"):
                latent_shape = layer.inverse_event_shape(shape)
            given = rng.normal(size=(len(x), *latent_shape))
        assert_all(Passes(layer, x, given, condition))


def assert_all(passes):
    """Runs every check of a built map that needs no other one; see `check_bijector`.

    Args:
        passes: `Passes`.
    """
    assert_shapes_and_dtypes(passes)
    assert_rows_do_not_see_each_other(passes)
    assert_inverts(passes)
    layer = passes.layer
    assert_log_det_is_the_jacobians(layer, passes.x, passes.condition, _of(LOG_DET_ERROR, layer))
    assert_log_dets_cancel(passes)
    assert_weights_have_gradients(passes)
    assert_graph_equals_eager(passes)
    assert_to_tfp_is_the_layer(passes)


class Passes:
    """Passes of a built map from points on either side and back, each computed once.

    Args:
        layer: built `Bijector`.
        x: array `[n, *event_shape]`.
        z: array on the latent side; by default the latents of `x`.
        condition: array `[n, *condition_shape]`, or None.
    """

    def __init__(self, layer, x, z=None, condition=None):
        self.layer, self.x, self.condition = layer, x, condition
        self.z = np.asarray(self.from_x[0] if z is None else z, x.dtype)

    @functools.cached_property
    def from_x(self):
        return _inverse(self.layer, self.x, self.condition)

    @functools.cached_property
    def from_z(self):
        return _forward(self.layer, self.z, self.condition)

    @functools.cached_property
    def back_to_x(self):
        return _forward(self.layer, self.from_x[0], self.condition)

    @functools.cached_property
    def back_to_z(self):
        return _inverse(self.layer, self.from_z[0], self.condition)


# ------------------------------------------------------------------------------------ assertions


def assert_shapes_and_dtypes(passes):
    """Both directions give values and log-determinants of the shapes that the layer announces.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, dtype = passes.layer, passes.layer.variable_dtype
    event_shape = tuple(passes.x.shape[1:])
    kind, num_rows = type(layer).__name__, len(passes.x)
    with calling(f"{kind}.inverse_event_shape"):
        latent_shape = tuple(layer.inverse_event_shape(event_shape))
    with calling(f"{kind}.forward_event_shape"):
        back = tuple(layer.forward_event_shape(latent_shape))
    require(
        back == event_shape,
        f"`{kind}.forward_event_shape` must undo `inverse_event_shape`: {list(event_shape)} comes "
        f"back from {list(latent_shape)} as {list(back)}",
    )
    for name, side, shape, result in (
        (f"{kind}._inverse", "latents", latent_shape, passes.from_x),
        (f"{kind}._forward", "data", event_shape, passes.from_z),
    ):
        value, log_det = result
        require_shape(name, f"the {side}", value, (num_rows, *shape), f"[batch, *{side}' shape]")
        require_shape(name, "the log-determinant", log_det, (num_rows,), "[batch]")
        for what, part in ((f"the {side}", value), ("the log-determinant", log_det)):
            require_dtype(name, what, part, dtype)
            require_finite(name, what, part)
    with calling(f"{kind}.compute_output_shape"):
        shapes = [tuple(s) for s in layer.compute_output_shape((None, *event_shape))]
    require(
        shapes == [(None, *latent_shape), (None,)],
        f"`{kind}.compute_output_shape` must give those of latents and log-determinants, "
        f"{[(None, *latent_shape), (None,)]}; got {shapes}",
    )


def inverse_error(passes, high=None):
    """The largest error of the way there and back, from either side.

    Args:
        passes: `Passes`, or anything with its attributes.
        high: size of the data, such as 256 for pixels, that errors on the data side are divided by;
            by default the largest value, at least 1.
    """

    def error(back, start, size):
        return np.abs(np.asarray(back) - start).max() / size

    x, z = passes.x, passes.z
    high = max(1, np.abs(x).max()) if high is None else high
    return max(
        error(passes.back_to_x[0], x, high),
        error(passes.back_to_z[0], z, max(1, np.abs(z).max())),
    )


def assert_inverts(passes, atol=None):
    """`_forward` undoes `_inverse`, and the reverse.

    Args:
        passes: `Passes`.
        atol: largest error in units of the largest value; by default that of the dtype.
    """
    kind = type(passes.layer).__name__
    atol = _of(INVERSE_ERROR, passes.layer) if atol is None else atol
    for name, what, back, start in (
        ("_forward", "x must come back from `_inverse`", passes.back_to_x[0], passes.x),
        ("_inverse", "z must come back from `_forward`", passes.back_to_z[0], passes.z),
    ):
        size = max(1, np.abs(start).max())
        require_close(f"{kind}.{name}", what, back, start, rtol=0, atol=atol * size)


def jacobians(function, x, condition):
    """The Jacobian at each row, `[n, D, D]`, in one backward pass over D copies of the rows.

    Args:
        function: from `x` and `condition=` to a value and something else.
        x: array `[n, ...]` of D values a row, none of which sees another row.
        condition: array with as many rows, or None.
    """
    size = x[0].size
    inputs = tf.constant(np.repeat(x, size, 0))
    condition = None if condition is None else tf.constant(np.repeat(condition, size, 0))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.reshape(function(inputs, condition=condition)[0], [len(x), size, size])
        # Copy i answers for output i: no copy's output depends on another copy.
        diagonals = tf.linalg.trace(outputs)
    gradient = tape.gradient(diagonals, inputs)
    return None if gradient is None else gradient.numpy().reshape(len(x), size, size)


def assert_log_det_is_the_jacobians(layer, x, condition=None, tolerance=None):
    """The log-determinant of `_inverse` is that of the Jacobian by differentiation.

    Args:
        layer: built `Bijector`.
        x: array `[n, *event_shape]`.
        condition: array `[n, *condition_shape]`, or None.
        tolerance: relative and absolute; by default that of the dtype.
    """
    name = f"{type(layer).__name__}._inverse"
    tolerance = _of(LOG_DET_ERROR, layer) if tolerance is None else tolerance
    _, log_det = _inverse(layer, x, condition)
    with calling(name):
        matrices = jacobians(layer.inverse_and_log_det, x, condition)
    require(matrices is not None, f"`{name}`: the latents have no gradient of x")
    sign, expected = np.linalg.slogdet(matrices.astype("float64"))
    if (sign == 0).any():
        row = int(np.argmax(sign == 0))
        raise CheckError(f"`{name}` has no inverse: its Jacobian at row {row} is singular")
    what = "the log-determinant must be that of the Jacobian by differentiation"
    # Absolute, too: a log-determinant near 0 is a sum of terms of order 1.
    require_close(name, what, log_det, expected, rtol=tolerance, atol=tolerance)


def assert_log_dets_cancel(passes, tolerance=None):
    """The log-determinants of the two directions add up to 0.

    Args:
        passes: `Passes`, or anything with its attributes.
        tolerance: relative and absolute; by default that of the dtype.
    """
    tolerance = _of(SAME, passes.layer) if tolerance is None else tolerance
    name = f"{type(passes.layer).__name__}._forward"
    what = "the log-determinant must be minus that of `_inverse`"
    for there, back in (
        (passes.from_x, passes.back_to_x),
        (passes.from_z, passes.back_to_z),
    ):
        require_close(name, what, back[1], -np.asarray(there[1]), rtol=tolerance, atol=tolerance)


def assert_rows_do_not_see_each_other(passes, tolerance=None):
    """A row alone gives what it gives among others, in both directions.

    Args:
        passes: `Passes`, or anything with its attributes.
        tolerance: relative and absolute; by default that of the dtype.
    """
    layer = passes.layer
    tolerance = _of(ROUNDING, layer) if tolerance is None else tolerance
    condition = None if passes.condition is None else passes.condition[1:2]
    for run, name, points, together in (
        (_inverse, "_inverse", passes.x, passes.from_x),
        (_forward, "_forward", passes.z, passes.from_z),
    ):
        alone = run(layer, points[1:2], condition)
        name = f"{type(layer).__name__}.{name}"
        for what, one, all_ in zip(("value", "log-determinant"), alone, together, strict=True):
            what = f"rows must not see each other: the {what} of a row alone and among others"
            size = max(1, np.abs(all_).max())
            require_close(name, what, one[0], all_[1], tolerance, tolerance * size)


def assert_weights_have_gradients(passes):
    """Each trainable weight moves the latents or the log-determinant, by a finite gradient.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, name = passes.layer, f"{type(passes.layer).__name__}._inverse"
    weights = layer.trainable_variables
    with calling(name), tf.GradientTape() as tape:
        z, log_det = layer.inverse_and_log_det(tf.constant(passes.x), condition=passes.condition)
        total = tf.reduce_sum(z) + tf.reduce_sum(log_det)
    for weight, gradient in zip(weights, tape.gradient(total, weights), strict=True):
        require(
            gradient is not None,
            f"`{name}`: the weight {weight.path} gets no gradient. Inside, use the variable as it "
            "is or `tf.convert_to_tensor`, not its NumPy value",
        )
        require_finite(name, f"the gradient of {weight.path}", tf.convert_to_tensor(gradient))


def assert_graph_equals_eager(passes):
    """In a graph for any number of rows both directions give what they give eagerly.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, tolerance = passes.layer, _of(SAME, passes.layer)
    for method, name, points, expected in (
        (layer.inverse_and_log_det, "_inverse", passes.x, passes.from_x),
        (layer.forward_and_log_det, "_forward", passes.z, passes.from_z),
    ):
        given = [v for v in (points, passes.condition) if v is not None]
        name = f"{type(layer).__name__}.{name}"
        with calling(f"{name} in a graph", "The batch's size is None there: use `tf.shape(x)[0]`."):
            specs = [tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in given]
            function = tf.function(method).get_concrete_function(*specs)
            got = function(*map(tf.constant, given))
        for one, other in zip(got, expected, strict=True):
            size = max(1, np.abs(other).max())
            what = "a graph must give what eager execution gives"
            require_close(name, what, one, other, tolerance, tolerance * size)


def assert_copies_are_equal(layer, x, condition=None):
    """A copy from the configuration keeps the arguments and, with the same weights, is the map.

    Args:
        layer: built `Bijector`.
        x: array `[n, *event_shape]`.
        condition: array `[n, *condition_shape]`, or None.
    """
    kind, rounding = type(layer).__name__, _of(ROUNDING, layer)
    copy = _copy(layer, x.shape[1:], None if condition is None else condition.shape[1:])
    one, other = (_inverse(part, x, condition) for part in (layer, copy))
    for what, a, b in zip(("latents", "log-determinants"), one, other, strict=True):
        what = f"a copy of the same configuration and weights must give the same {what}"
        require_close(f"{kind}.get_config", what, b, a, rounding, rounding)


def assert_to_tfp_is_the_layer(passes):
    """The `tfb.Bijector` of `to_tfp` gives the layer's values and log-determinants.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, condition = passes.layer, passes.condition
    name, tolerance = f"{type(layer).__name__}.to_tfp", _of(SAME, layer)
    ranks = passes.x.ndim - 1, passes.z.ndim - 1
    with calling(name):
        # A view for each: TFP caches.
        view = layer.to_tfp(condition)
        to_z = view.inverse(passes.x), view.inverse_log_det_jacobian(passes.x, ranks[0])
        view = layer.to_tfp(condition)
        to_x = view.forward(passes.z), view.forward_log_det_jacobian(passes.z, ranks[1])
    for method, got, expected in (
        ("inverse", to_z, passes.from_x),
        ("forward", to_x, passes.from_z),
    ):
        for what, one, other in zip(("value", "log-determinant"), got, expected, strict=True):
            what = f"the {what} of `{method}` must be the layer's"
            size = max(1, np.abs(other).max())
            require_close(name, what, one, other, tolerance, tolerance * size)


# --------------------------------------------------------------------------------------- helpers


def _of(table, layer):
    """A tolerance; where networks compute in half precision, theirs."""
    if layer.network_dtype.compute_dtype in ("float16", "bfloat16"):
        return HALF
    return table[layer.variable_dtype]


def _copy(bijector, event_shape, condition_shape):
    """A built copy of a bijector, with its weights if it has any."""
    copy = copies.round_trip(bijector)
    copies.require_arguments_kept(bijector, copy)
    _build(copy, event_shape, condition_shape)
    if bijector.built:
        copies.copy_weights(bijector, copy)
    return copy


def _build(layer, event_shape, condition_shape):
    if layer.built:
        return
    condition_shape = condition_shape and (None, *condition_shape)
    with calling(f"{type(layer).__name__}.build"):
        layer.build((None, *event_shape), condition_shape)


def _inverse(layer, x, condition):
    return _pass(layer, "_inverse", layer.inverse_and_log_det, x, condition)


def _forward(layer, z, condition):
    return _pass(layer, "_forward", layer.forward_and_log_det, z, condition)


def _pass(layer, name, method, points, condition):
    name = f"{type(layer).__name__}.{name}"
    with calling(name):
        result = method(points, condition=condition)
    require(
        isinstance(result, tuple | list) and len(result) == 2,
        f"`{name}` must give a pair, the value and the log-determinant; got "
        f"{type(result).__name__}",
    )
    return result

"""Checks of bijectors."""

import functools

import numpy as np
import tensorflow as tf

from tfgen.bijectors import Bijector
from tfgen.testing import copies
from tfgen.testing.errors import calling
from tfgen.testing.errors import in_graph
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.errors import require_gradients
from tfgen.testing.errors import require_reals
from tfgen.testing.inverses import assert_inverts
from tfgen.testing.inverses import assert_log_det_is_the_jacobians
from tfgen.testing.inverses import assert_log_dets_cancel
from tfgen.testing.inverses import inverse_error
from tfgen.testing.inverses import jacobians
from tfgen.testing.tolerances import INVERSE_ERROR
from tfgen.testing.tolerances import LOG_DET_ERROR
from tfgen.testing.tolerances import ROUNDING
from tfgen.testing.tolerances import SAME
from tfgen.testing.tolerances import of_map
from tfgen.utils import checks

__all__ = [
    "INVERSE_ERROR",
    "LOG_DET_ERROR",
    "Passes",
    "assert_all",
    "assert_copies_are_equal",
    "assert_graph_equals_eager",
    "assert_inverts",
    "assert_log_det_is_the_jacobians",
    "assert_log_dets_cancel",
    "assert_rows_do_not_see_each_other",
    "assert_shapes_and_dtypes",
    "assert_to_tfp_is_the_layer",
    "assert_weights_have_gradients",
    "check_bijector",
    "inverse_error",
    "jacobians",
]


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
    for layer in (as_given, moved):
        given = z
        if free and z is None:
            with calling(f"{type(layer).__name__}.inverse_event_shape"):
                latent_shape = layer.inverse_event_shape(shape)
            given = rng.normal(size=(len(x), *latent_shape))
        passes = Passes(layer, x, given, condition)
        assert_all(passes)
    assert_copies_are_equal(passes)


def assert_all(passes):
    """Runs every check of a built map that needs no other one; see `check_bijector`.

    Args:
        passes: `Passes`.
    """
    assert_shapes_and_dtypes(passes)
    assert_rows_do_not_see_each_other(passes)
    assert_inverts(passes)
    assert_log_det_is_the_jacobians(passes)
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
        words = f"[batch, *{side}' shape]"
        require_reals(name, f"the {side}", value, (num_rows, *shape), words, dtype)
        require_reals(name, "the log-determinant", log_det, (num_rows,), "[batch]", dtype)
    with calling(f"{kind}.compute_output_shape"):
        shapes = [tuple(s) for s in layer.compute_output_shape((None, *event_shape))]
    require(
        shapes == [(None, *latent_shape), (None,)],
        f"`{kind}.compute_output_shape` must give those of latents and log-determinants, "
        f"{[(None, *latent_shape), (None,)]}; got {shapes}",
    )


def assert_rows_do_not_see_each_other(passes, atol=None):
    """A row alone gives what it gives among others, in both directions.

    Args:
        passes: `Passes`, or anything with its attributes.
        atol: absolute tolerance; by default the relative one, which is that of the dtype, times
            the largest value, at least 1.
    """
    layer, rtol = passes.layer, of_map(ROUNDING, passes.layer)
    condition = None if passes.condition is None else passes.condition[1:2]
    for run, name, points, together in (
        (_inverse, "_inverse", passes.x, passes.from_x),
        (_forward, "_forward", passes.z, passes.from_z),
    ):
        alone = run(layer, points[1:2], condition)
        name = f"{type(layer).__name__}.{name}"
        for what, one, all_ in zip(("value", "log-determinant"), alone, together, strict=True):
            what = f"rows must not see each other: the {what} of a row alone and among others"
            allowed = rtol * max(1, np.abs(all_).max()) if atol is None else atol
            require_close(name, what, one[0], all_[1], rtol, allowed)


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
    words = (
        "gets no gradient. Inside, use the variable as it is or `tf.convert_to_tensor`, not its "
        "NumPy value"
    )
    require_gradients(name, weights, tape.gradient(total, weights), words)


def assert_graph_equals_eager(passes):
    """In a graph for any number of rows both directions give what they give eagerly.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, tolerance = passes.layer, of_map(SAME, passes.layer)
    for method, name, points, expected in (
        (layer.inverse_and_log_det, "_inverse", passes.x, passes.from_x),
        (layer.forward_and_log_det, "_forward", passes.z, passes.from_z),
    ):
        name = f"{type(layer).__name__}.{name}"
        got = in_graph(name, method, points, passes.condition)
        for one, other in zip(got, expected, strict=True):
            size = max(1, np.abs(other).max())
            what = "a graph must give what eager execution gives"
            require_close(name, what, one, other, tolerance, tolerance * size)


def assert_copies_are_equal(passes):
    """A copy from the configuration keeps the arguments and, with the same weights, is the map.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, x, condition = passes.layer, passes.x, passes.condition
    kind, rounding = type(layer).__name__, of_map(ROUNDING, layer)
    copy = _copy(layer, x.shape[1:], None if condition is None else condition.shape[1:])
    other = _inverse(copy, x, condition)
    for what, a, b in zip(("latents", "log-determinants"), passes.from_x, other, strict=True):
        what = f"a copy of the same configuration and weights must give the same {what}"
        require_close(f"{kind}.get_config", what, b, a, rounding, rounding)


def assert_to_tfp_is_the_layer(passes):
    """The `tfb.Bijector` of `to_tfp` gives the layer's values and log-determinants.

    Args:
        passes: `Passes`, or anything with its attributes.
    """
    layer, condition = passes.layer, passes.condition
    name, tolerance = f"{type(layer).__name__}.to_tfp", of_map(SAME, layer)
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


def _copy(bijector, event_shape, condition_shape):
    """A built copy of a bijector, with its weights if it has any."""

    def build(copy):
        if not copy.built:
            with calling(f"{type(copy).__name__}.build"):
                copy.build((None, *event_shape), condition_shape and (None, *condition_shape))

    return copies.copied(bijector, build)


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

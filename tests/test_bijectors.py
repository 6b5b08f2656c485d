"""What every bijector of the registry promises."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

from tfgen import bijectors

INVERSE_ERROR = {"float32": 1e-4, "float64": 1e-10}
LOG_DET_ERROR = {"float32": 1e-4, "float64": 1e-6}

every = pytest.mark.parametrize("name", zoo.BIJECTORS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def inverse_error(case):
    """The largest error of the way there and back, from either side.

    On the data side in units of the data's range, which is 256 for pixels.
    """
    back, _ = case.forward(case.inverse(case.x)[0])
    forth, _ = case.inverse(case.forward(case.z)[0])
    return max(np.abs(back - case.x).max() / (case.entry.high or 1), np.abs(forth - case.z).max())


def jacobian(function, row):
    """The Jacobian at one example, `[D, D]`, in one backward pass over D copies of it."""
    copies = tf.repeat(tf.constant(row)[None], row.size, 0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        outputs = tf.reshape(function(copies), [row.size, row.size])
        diagonal = tf.linalg.trace(outputs)
    return tape.gradient(diagonal, copies).numpy().reshape(row.size, row.size)


def assert_log_det_is_the_jacobians(layer, x, condition, rtol):
    _, log_det = layer.inverse_and_log_det(x, condition=condition)
    for i, row in enumerate(x):
        rows = None if condition is None else np.repeat(condition[i : i + 1], row.size, 0)

        def inverse(x, rows=rows):
            return layer.inverse_and_log_det(x, condition=rows)[0]

        sign, expected = np.linalg.slogdet(jacobian(inverse, row).astype("float64"))
        assert sign != 0
        # A log-determinant near 0 is a sum of terms of order 1.
        np.testing.assert_allclose(log_det[i], expected, rtol=rtol, atol=rtol)


@every
@both_dtypes
def test_inverts(name, dtype):
    assert inverse_error(zoo.bijector_case(name, dtype)) <= INVERSE_ERROR[dtype]


@both_dtypes
@pytest.mark.parametrize("name", [k for k, e in zoo.BIJECTORS.items() if e.shape == zoo.IMAGE])
def test_inverts_at_full_size(name, dtype):
    case = zoo.BijectorCase(name, dtype, shape=(32, 32, 3), num_rows=2)
    assert inverse_error(case) <= INVERSE_ERROR[dtype]


@every
@both_dtypes
def test_log_det_is_the_jacobians(name, dtype):
    case = zoo.bijector_case(name, dtype)
    assert_log_det_is_the_jacobians(case.layer, case.x, case.condition, LOG_DET_ERROR[dtype])


class OnePerCentOff(bijectors.ActNorm):
    def _inverse(self, x, condition):
        z, log_det = super()._inverse(x, condition)
        return z, 1.01 * log_det


@both_dtypes
def test_a_wrong_log_det_is_noticed(dtype):
    layer = OnePerCentOff(dtype=dtype)
    layer.build((None, 3))
    zoo.perturb(layer)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_log_det_is_the_jacobians(layer, np.ones((2, 3), dtype), None, LOG_DET_ERROR[dtype])


@every
def test_log_dets_of_the_directions_cancel(name):
    case = zoo.bijector_case(name)
    z, inverse_log_det = case.inverse(case.x)
    _, forward_log_det = case.forward(z)
    np.testing.assert_allclose(forward_log_det, -inverse_log_det, rtol=1e-9, atol=1e-9)


@every
@both_dtypes
def test_shapes_and_types(name, dtype):
    case = zoo.bijector_case(name, dtype)
    z, inverse_log_det = case.inverse(case.x)
    x, forward_log_det = case.forward(case.z)
    assert z.shape == case.z.shape
    assert x.shape == case.x.shape
    assert inverse_log_det.shape == forward_log_det.shape == (len(case.x),)
    assert {t.dtype for t in (x, z, inverse_log_det, forward_log_det)} == {tf.as_dtype(dtype)}
    assert case.layer.inverse_event_shape(case.shape) == case.z.shape[1:]
    assert case.layer.forward_event_shape(case.z.shape[1:]) == case.shape


@every
def test_rows_do_not_see_each_other(name):
    case = zoo.bijector_case(name)
    condition = None if case.condition is None else case.condition[1:2]
    z, log_det = case.layer.inverse_and_log_det(case.x[1:2], condition=condition)
    all_z, all_log_dets = case.inverse(case.x)
    np.testing.assert_allclose(z[0], all_z[1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det[0], all_log_dets[1], rtol=1e-12, atol=1e-12)


@every
def test_a_condition_is_used(name):
    case = zoo.bijector_case(name)
    if case.condition is None:
        return
    z, log_det = case.inverse(case.x)
    other, _ = case.layer.inverse_and_log_det(case.x, condition=case.condition + 1)
    assert np.abs(z - other).max() > 1e-3


@every
def test_far_inputs_have_finite_gradients(name):
    case = zoo.bijector_case(name, "float32")
    for sign in (1, -1):
        x = tf.constant(np.full_like(case.x, sign * 1e6))
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = case.inverse(x)
            total = tf.reduce_mean(z) + tf.reduce_mean(log_det)
        assert np.isfinite(z).all()
        assert np.isfinite(log_det).all()
        for gradient in tape.gradient(total, [x, *case.layer.trainable_variables]):
            # None: a map without weights on the way, such as the rest of a permutation.
            assert gradient is None or np.isfinite(gradient).all()


# ------------------------------------------------------------------------------------ configs


def round_trip(layer):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))


@every
@pytest.mark.parametrize("built", [False, True])
def test_config_round_trip(name, built):
    entry = zoo.BIJECTORS[name]
    layer = zoo.bijector_case(name).layer if built else entry.build(dtype="float64")
    copy = round_trip(layer)
    assert type(copy) is type(layer)
    assert keras.saving.serialize_keras_object(copy) == keras.saving.serialize_keras_object(layer)


@every
def test_a_copy_with_the_same_weights_is_the_same_map(name):
    case = zoo.bijector_case(name)
    copy = round_trip(case.layer)
    assert copy.built
    copy.set_weights(case.layer.get_weights())
    for got, expected in zip(
        copy.inverse_and_log_det(case.x, condition=case.condition),
        case.inverse(case.x),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def arguments(cls):
    """The names that the constructors of a class and of its bases take."""
    names = set()
    for base in cls.__mro__[: cls.__mro__.index(keras.layers.Layer)]:
        if "__init__" in vars(base):
            kinds = inspect.signature(base.__init__).parameters.values()
            names |= {p.name for p in kinds if p.kind is not p.VAR_KEYWORD}
            if not any(p.kind is p.VAR_KEYWORD for p in kinds):
                break
    return names - {"self"} | {"name", "trainable"}


@pytest.mark.parametrize("name", zoo.BIJECTORS)
def test_the_config_holds_every_argument(name):
    layer = zoo.BIJECTORS[name].build(dtype="float64")
    expected = arguments(type(layer))
    if type(layer).__name__ == "GlowStep":
        # It is a chain of its own making.
        expected -= {"bijectors"}
    assert expected <= set(layer.get_config())

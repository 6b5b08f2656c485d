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
# In float32 the tests of models look at the same.
both_dtypes = pytest.mark.parametrize("dtype", ["float64", *zoo.slow("float32")])


def inverse_error(case):
    """The largest error of the way there and back, from either side.

    On the data side in units of the data's range, which is 256 for pixels.
    """
    error = np.abs(case.back_to_x[0] - case.x).max() / (case.entry.high or 1)
    return max(error, np.abs(case.back_to_z[0] - case.z).max())


def jacobians(function, x, condition):
    """The Jacobian at each row, `[n, D, D]`, in one backward pass over D copies of the rows."""
    size = x[0].size
    copies = tf.constant(np.repeat(x, size, 0))
    condition = None if condition is None else np.repeat(condition, size, 0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        outputs = tf.reshape(function(copies, condition=condition)[0], [len(x), size, size])
        # Copy i answers for output i: no copy's output depends on another copy.
        diagonals = tf.linalg.trace(outputs)
    return tape.gradient(diagonals, copies).numpy().reshape(len(x), size, size)


def assert_log_det_is_the_jacobians(layer, x, condition, rtol):
    _, log_det = layer.inverse_and_log_det(x, condition=condition)
    matrices = jacobians(layer.inverse_and_log_det, x, condition).astype("float64")
    sign, expected = np.linalg.slogdet(matrices)
    assert (sign != 0).all()
    # atol: a log-determinant near 0 is a sum of terms of order 1.
    np.testing.assert_allclose(log_det, expected, rtol=rtol, atol=rtol)


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
    np.testing.assert_allclose(case.back_to_x[1], -case.from_x[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(case.back_to_z[1], -case.from_z[1], rtol=1e-9, atol=1e-9)


@every
@both_dtypes
def test_shapes_and_types(name, dtype):
    case = zoo.bijector_case(name, dtype)
    (z, inverse_log_det), (x, forward_log_det) = case.from_x, case.from_z
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
    np.testing.assert_allclose(z[0], case.from_x[0][1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det[0], case.from_x[1][1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [k for k, e in zoo.BIJECTORS.items() if e.condition])
def test_a_condition_is_used(name):
    case = zoo.bijector_case(name)
    z, _ = case.layer.inverse_and_log_det(case.x, condition=case.condition + 1)
    assert np.abs(z - case.from_x[0]).max() > 1e-3


@every
def test_far_inputs_have_finite_gradients(name):
    case = zoo.bijector_case(name, "float32")
    # All of one sign, all of the other, and both in one row.
    x = np.stack([np.ones(case.shape), -np.ones(case.shape), np.sign(case.x[0])])
    x = tf.constant(1e6 * x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = case.inverse(x)
        total = tf.reduce_mean(z) + tf.reduce_mean(log_det)
    assert np.isfinite(z).all()
    assert np.isfinite(log_det).all()
    for gradient in tape.gradient(total, [x, *case.layer.trainable_variables]):
        assert np.isfinite(gradient).all()


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
    z, log_det = copy.inverse_and_log_det(case.x, condition=case.condition)
    np.testing.assert_allclose(z, case.from_x[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, case.from_x[1], rtol=1e-12, atol=1e-12)


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


@every
def test_the_config_holds_every_argument(name):
    layer = zoo.BIJECTORS[name].build(dtype="float64")
    expected = arguments(type(layer))
    if type(layer).__name__ == "GlowStep":
        # It is a chain of its own making.
        expected -= {"bijectors"}
    assert expected <= set(layer.get_config())

"""Promises of every bijector of the registry."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

from tfgen import bijectors
from tfgen.testing import CheckError
from tfgen.testing import bijectors as B

every = pytest.mark.parametrize("name", zoo.BIJECTORS)
# Those of one class have the same arguments, whatever the mask and the transform.
MADE_BY_RULE = {k for k in zoo.BIJECTORS if k in zoo.MASKED or "autoregressive_" in k}
every_class = pytest.mark.parametrize(
    "name",
    zoo.but_slow({*zoo.BIJECTORS} - MADE_BY_RULE | {"autoregressive_default"}, zoo.BIJECTORS),
)
# In float32 the tests of models look at the same.
both_dtypes = pytest.mark.parametrize("dtype", ["float64", *zoo.slow("float32")])


@every
@both_dtypes
def test_inverts(name, dtype):
    case = zoo.bijector_case(name, dtype)
    assert B.inverse_error(case, case.entry.high or 1) <= B.INVERSE_ERROR[dtype]


@both_dtypes
@pytest.mark.parametrize("name", [k for k, e in zoo.BIJECTORS.items() if e.shape == zoo.IMAGE])
def test_inverts_at_full_size(name, dtype):
    case = zoo.BijectorCase(name, dtype, shape=(32, 32, 3), num_rows=2)
    assert B.inverse_error(case, case.entry.high or 1) <= B.INVERSE_ERROR[dtype]


@every
@both_dtypes
def test_log_det_is_the_jacobians(name, dtype):
    B.assert_log_det_is_the_jacobians(zoo.bijector_case(name, dtype), B.LOG_DET_ERROR[dtype])


class OnePerCentOff(bijectors.ActNorm):
    def _inverse(self, x, condition):
        z, log_det = super()._inverse(x, condition)
        return z, 1.01 * log_det


@both_dtypes
def test_a_wrong_log_det_is_noticed(dtype):
    layer = OnePerCentOff(dtype=dtype)
    layer.build((None, 3))
    zoo.perturb(layer)
    with pytest.raises(CheckError, match="must be that of the Jacobian"):
        B.assert_log_det_is_the_jacobians(B.Passes(layer, np.ones((2, 3), dtype)))


@every
def test_log_dets_of_the_directions_cancel(name):
    B.assert_log_dets_cancel(zoo.bijector_case(name), 1e-9)


@every
@both_dtypes
def test_shapes_and_types(name, dtype):
    case = zoo.bijector_case(name, dtype)
    B.assert_shapes_and_dtypes(case)
    assert case.layer.variable_dtype == dtype
    assert case.layer.inverse_event_shape(case.shape) == case.z.shape[1:]
    assert case.layer.forward_event_shape(case.z.shape[1:]) == case.shape


@every
def test_rows_do_not_see_each_other(name):
    B.assert_rows_do_not_see_each_other(zoo.bijector_case(name), atol=1e-12)


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


@every_class
@pytest.mark.parametrize("built", [True, *zoo.slow(False)])
def test_config_round_trip(name, built):
    entry = zoo.BIJECTORS[name]
    layer = zoo.bijector_case(name).layer if built else entry.build(dtype="float64")
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert copy.built == layer.built
    assert keras.saving.serialize_keras_object(copy) == config


@every_class
def test_a_copy_with_the_same_weights_is_the_same_map(name):
    B.assert_copies_are_equal(zoo.bijector_case(name))


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


@every_class
def test_the_config_holds_every_argument(name):
    layer = zoo.BIJECTORS[name].build(dtype="float64")
    expected = arguments(type(layer))
    if type(layer).__name__ == "GlowStep":
        # It is a chain of its own making.
        expected -= {"bijectors"}
    assert expected <= set(layer.get_config())

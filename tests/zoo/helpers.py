"""Changes of layers and plain values of models, which tests share."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import bijectors as tfg
from tfgen.networks import MLP
from tfgen.utils.random import as_seed


@keras.saving.register_keras_serializable(package="tests")
class SinhArcsinh(tfg.Transform):
    """Any scalar bijector of TFP serves in a coupling."""

    num_params = 2

    def __call__(self, params):
        skewness, tail = tf.unstack(params, axis=-1)
        return tfp.bijectors.SinhArcsinh(0.5 * tf.tanh(skewness), tf.exp(0.5 * tf.tanh(tail)))


def perturb(layer, seed=0, scale=0.3):
    """Shifts every trainable weight by noise: zero-initialised output layers make inversion,
    log-determinants and causality hold trivially.

    The noise of a kernel is divided by the square root of what it sums over, as in initialisers.
    """
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        deviation = scale / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        weight.assign_add(deviation * rng.normal(size=weight.shape))
    return layer


def eager_outputs(model, x, y=None, seed=0):
    """The values of `testing.outputs`, with nothing compiled: for models that give them once."""
    x, y = tensors(model.data_spec.check_x(x), model.data_spec.check_condition(y, len(x)))
    return model._outputs(x, y, as_seed(seed), tf.constant(0, tf.int64))


def eager_samples(model, num_samples, y=None, seed=0):
    """The values of `sample`, with nothing compiled."""
    (y,) = tensors(model.data_spec.check_condition(y, num_samples))
    start, temperature = tf.constant(0, tf.int64), tf.ones([], model.variable_dtype)
    return model._sample(y, num_samples, as_seed(seed), start, temperature)


def tensors(*arrays):
    return [array if array is None else tf.constant(array) for array in arrays]


def unrolled(bijector):
    """The copies of a Repeat as layers of their own."""
    step = keras.saving.serialize_keras_object(bijector.step)
    copies = []
    for k in range(bijector.times):
        copy = keras.saving.deserialize_keras_object(step)
        if not copy.built:
            copy.build((None, *bijector.event_shape))
        for own, stacked in (
            (copy.trainable_variables, bijector.trainable_variables),
            (copy.non_trainable_variables, bijector.non_trainable_variables),
        ):
            for variable, values in zip(own, stacked, strict=True):
                variable.assign(values[k])
        copies.append(copy)
    return copies


@keras.saving.register_keras_serializable(package="tests")
class CountedMLP(MLP):
    """Counts its evaluations, over all copies."""

    count = 0

    def call(self, inputs):
        CountedMLP.count += 1
        return super().call(inputs)

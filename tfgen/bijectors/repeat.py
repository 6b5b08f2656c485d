"""Many copies of one block as one block with stacked weights."""

import keras
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import zeros_log_det
from tfgen.utils import checks
from tfgen.utils.layers import freeze_parts


@keras.saving.register_keras_serializable(package="tfgen")
class Repeat(Bijector):
    """Chain of `times` copies of `step`, each with its own weights, run in a loop.

    Each weight of the step exists once, stacked: `[times, *shape]`. The graph
    holds one step, so that the time to the first training step does not grow
    with the depth. Data -> latent runs copy 0 first.

    The copies are drawn afresh from the step's initialisers; `step` itself only
    serves as a template, and its own weights are not used. State that a step
    changes while it runs (batch statistics, dropout seeds) is not kept.

    Args:
        step: bijector that keeps the shape of its input.
        times: number of copies.
        **kwargs: `Bijector` arguments.

    Shapes: those of the step; a condition goes to each copy.

    Raises:
        ValueError: on `build`, a step that changes the shape.

    >>> import numpy as np, tfgen
    >>> repeat = tfgen.bijectors.Repeat(tfgen.bijectors.ActNorm(), times=4)
    >>> z, log_det = repeat.inverse_and_log_det(np.ones((2, 3), "float32"))
    >>> tuple(repeat.trainable_variables[0].shape)
    (4, 3)
    """

    _saved_apart = ("step",)

    def __init__(self, step, times, **kwargs):
        super().__init__(**kwargs)
        self.times = checks.check_count(times, "times")
        checks.check_instance(step, Bijector, "step")
        config = keras.saving.serialize_keras_object(step)
        config.pop("build_config", None)
        # What a function holds is out of sight of Keras's tracking: the template's
        # own weights are neither trained nor saved.
        self._template = lambda: (step, None)
        # As it was given: which weights are trained says in which order they are saved.
        self._step_config = lambda: config

    @property
    def step(self):
        """The template. To freeze a part of it, give it so, with `trainable=False`.

        >>> import tfgen
        >>> type(tfgen.bijectors.Repeat(tfgen.bijectors.ActNorm(), times=4).step).__name__
        'ActNorm'
        """
        return self._template()[0]

    def _shown_layers(self):
        # With the parameters of one copy.
        return [self.step]

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])
        drawn = []
        for _ in range(self.times):
            step = keras.saving.deserialize_keras_object(self._step_config())
            step.build(inputs_shape, condition_shape)
            freeze_parts(step)
            # Trainable first: the order of the stacked weights.
            variables = step.trainable_variables + step.non_trainable_variables
            drawn.append([v.numpy() for v in variables])
        if tuple(step.inverse_event_shape(self.event_shape)) != self.event_shape:
            raise ValueError(f"`step` must keep the shape of its input, {self.event_shape}")
        self._template = lambda: (step, variables)

        def stack(variable, values):
            return self.add_weight(
                # The path below the step tells stacked weights apart in a file listing.
                name=variable.path.partition("/")[2].replace("/", "_"),
                shape=(self.times, *variable.shape),
                dtype=variable.dtype,
                trainable=variable.trainable,
                regularizer=variable.regularizer,
                initializer=lambda shape, dtype: tf.stack([tf.cast(v, dtype) for v in values]),
            )

        self.stacked = [
            stack(v, values) for v, values in zip(variables, zip(*drawn, strict=True), strict=True)
        ]

    def _loop(self, x, condition, inverse):
        (step, variables), times = self._template(), self.times
        read = [_reader(tf.convert_to_tensor(w)) for w in self.stacked]

        def body(i, x, log_det):
            k = i if inverse else times - 1 - i
            weights = [copy(k) for copy in read]
            with _in_place_of(variables, weights):
                x, change = step(x, condition=condition, inverse=inverse)
            return i + 1, x, log_det + change

        x = tf.ensure_shape(x, [None, *self.event_shape])
        state = (tf.constant(0), x, zeros_log_det(x))
        # maximum_iterations: XLA needs a bound to differentiate the loop.
        return tf.while_loop(lambda i, *_: i < times, body, state, maximum_iterations=times)[1:]

    def _forward(self, z, condition):
        return self._loop(z, condition, inverse=False)

    def _inverse(self, x, condition):
        return self._loop(x, condition, inverse=True)

    @property
    def adaptive(self):
        return self.step.adaptive

    def adapt(self, batches, conditions=None):
        self._build_for(batches, conditions)
        step, variables = self._template()
        stacked = [w.numpy() for w in self.stacked]
        for k in range(self.times):
            for variable, values in zip(variables, stacked, strict=True):
                variable.assign(values[k])
            batches = step.adapt(batches, conditions)
            for variable, values in zip(variables, stacked, strict=True):
                values[k] = variable.numpy()
        for variable, values in zip(self.stacked, stacked, strict=True):
            variable.assign(values)
        return batches

    def mixing_log_dets(self):
        step, variables = self._template()

        def of_copy(weights):
            with _in_place_of(variables, weights):
                return step.mixing_log_dets()

        weights = [tf.unstack(tf.convert_to_tensor(w)) for w in self.stacked]
        return tf.concat([of_copy(copy) for copy in zip(*weights, strict=True)], 0)

    def get_config(self):
        return {**super().get_config(), "step": self._step_config()}


def _reader(stacked):
    """Function from `k` to `stacked[k]` for use in a loop.

    It reads a tensor list, as `tf.TensorArray` does: its gradient costs no more than the copies,
    where that of slices would add up one array of all the weights for each copy. TensorFlow's own
    gradient keeps the shape and the length of the list for every copy; here they are known.
    """
    shape, dtype = stacked.shape[1:], stacked.dtype
    handle = tf.raw_ops.TensorListFromTensor(tensor=stacked, element_shape=shape)

    def read(k):
        @tf.custom_gradient
        def element(handle):
            def gradient(upstream):
                zeros = tf.raw_ops.TensorListReserve(
                    element_shape=shape, num_elements=stacked.shape[0], element_dtype=dtype
                )
                return tf.raw_ops.TensorListSetItem(input_handle=zeros, index=k, item=upstream)

            value = tf.raw_ops.TensorListGetItem(
                input_handle=handle, index=k, element_shape=shape, element_dtype=dtype
            )
            return tf.ensure_shape(value, shape), gradient

        return element(handle)

    return read


def _in_place_of(variables, values):
    """Scope in which the variables have these values."""
    return keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))

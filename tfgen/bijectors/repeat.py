"""Many copies of one block as one block with stacked weights."""

import functools

import keras
import tensorflow as tf

from tfgen.bijectors.base import Bijector
from tfgen.bijectors.base import zeros_log_det
from tfgen.bijectors.pull_back import MEMORY
from tfgen.bijectors.pull_back import gradients
from tfgen.utils import checks
from tfgen.utils.layers import freeze_parts
from tfgen.utils.plain_graphs import is_plain


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
        memory: what is kept of a pass for its gradient. `"stored"`: all that the copies compute,
            the fastest. `"recompute"`: the input of each copy, which is run again. `"reversible"`:
            the output of the last one alone, from which the inputs are rebuilt, copy by copy (as
            Gomez et al. 2017, "The Reversible Residual Network", arXiv:1707.04585, do it): memory
            does not grow with `times`. Of autoregressive maps rebuilding is slow.
        **kwargs: `Bijector` arguments.

    Shapes: those of the step; a condition goes to each copy.

    Raises:
        ValueError: another `memory`; on `build`, a step that changes the shape.

    >>> import numpy as np, tfgen
    >>> repeat = tfgen.bijectors.Repeat(tfgen.bijectors.ActNorm(), times=4)
    >>> z, log_det = repeat.inverse_and_log_det(np.ones((2, 3), "float32"))
    >>> tuple(repeat.trainable_variables[0].shape)
    (4, 3)
    """

    _saved_apart = ("step",)

    def __init__(self, step, times, memory="stored", **kwargs):
        super().__init__(**kwargs)
        self.times = checks.check_count(times, "times")
        if memory not in MEMORY:
            raise ValueError(f"`memory` must be one of {list(MEMORY)}; got {memory!r}")
        self.memory = memory
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

    def _loop(self, x, condition, inverse, stacked, keep=None):
        """The copies, one after the other.

        Args:
            x: input.
            condition: condition, or None.
            inverse: direction.
            stacked: the stacked weights, tensors.
            keep: None, or `tf.TensorArray` that takes the input of each copy.

        Returns:
            `(value, log_det)`, and `keep` where there is one.
        """
        (step, variables), times = self._template(), self.times
        read = [w.__getitem__ if is_plain() else _reader(w) for w in stacked]

        def body(i, x, log_det, *keep):
            keep = [array.write(i, x) for array in keep]
            weights = [copy(self._number(i, inverse)) for copy in read]
            with _in_place_of(variables, weights):
                x, change = step(x, condition=condition, inverse=inverse)
            return i + 1, x, log_det + change, *keep

        state = (tf.constant(0), x, zeros_log_det(x), *([] if keep is None else [keep]))
        if is_plain():
            for i in range(times):
                state = body(i, *state[1:])
            return state[1:]
        # maximum_iterations: XLA needs a bound to differentiate the loop.
        return tf.while_loop(lambda i, *_: i < times, body, state, maximum_iterations=times)[1:]

    def _number(self, i, inverse):
        """Number of the copy that is applied after `i` others."""
        return i if inverse else self.times - 1 - i

    def _run(self, x, condition, inverse):
        x = tf.ensure_shape(x, [None, *self.event_shape])
        stacked = [tf.convert_to_tensor(w) for w in self.stacked]
        if self.memory == "stored" or is_plain():
            return self._loop(x, condition, inverse, stacked)
        if condition is not None:
            condition = tf.convert_to_tensor(condition)
        given = [] if condition is None else [condition]

        @tf.custom_gradient
        def run(x, *sources):
            found = sources[len(given) :]
            kept = None
            if self.memory == "recompute":
                kept = tf.TensorArray(x.dtype, self.times, element_shape=x.shape)
            # Read here, not from without: a loop's gradient reaches what it is given.
            y, log_det, *kept = self._loop(x, condition, inverse, found, kept)

            def gradient(*upstream):
                inputs = kept[0] if kept else None
                return self._pulled_back(y, upstream, given, inverse, found, inputs)

            return (y, log_det), gradient

        return run(x, *given, *stacked)

    def _pulled_back(self, y, upstream, given, inverse, stacked, inputs):
        """Gradients in the input, the condition and the stacked weights.

        Args:
            y: the last copy's output.
            upstream: pair of gradients in `y` and in the log-determinant.
            given: list of the condition, or of nothing.
            inverse: direction.
            stacked: the stacked weights.
            inputs: `tf.TensorArray` of the inputs of the copies, or None, to rebuild them.
        """
        (step, variables), times = self._template(), self.times
        trained = [i for i, w in enumerate(self.stacked) if w.trainable]
        (condition,) = given or [None]
        in_y, in_log_det = upstream

        def body(i, y, in_y, in_given, arrays):
            weights = [w[self._number(i, inverse)] for w in stacked]
            sources = [*given, *(weights[j] for j in trained)]
            with _in_place_of(variables, weights):
                if inputs is None:
                    pulled = step.pull_back(y, (in_y, in_log_det), condition, inverse, sources)
                    y, in_y, found = pulled
                else:
                    there = functools.partial(step, condition=condition, inverse=inverse)
                    in_y, found = gradients(there, inputs.read(i), (in_y, in_log_det), sources)
            found = [
                tf.zeros_like(s) if g is None else g for s, g in zip(sources, found, strict=True)
            ]
            in_given = [a + g for a, g in zip(in_given, found[: len(given)], strict=True)]
            numbered = zip(arrays, found[len(given) :], strict=True)
            arrays = [a.write(self._number(i, inverse), g) for a, g in numbered]
            return i - 1, y, in_y, in_given, arrays

        arrays = [
            tf.TensorArray(stacked[j].dtype, times, element_shape=stacked[j].shape[1:])
            for j in trained
        ]
        state = (tf.constant(times - 1), y, in_y, [tf.zeros_like(g) for g in given], arrays)
        _, x, in_x, in_given, arrays = tf.while_loop(
            lambda i, *_: i >= 0, body, state, maximum_iterations=times
        )
        in_stacked = [None] * len(stacked)
        for j, array in zip(trained, arrays, strict=True):
            in_stacked[j] = array.stack()
        return [in_x, *in_given, *in_stacked]

    def _forward(self, z, condition):
        return self._run(z, condition, inverse=False)

    def _inverse(self, x, condition):
        return self._run(x, condition, inverse=True)

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

    Values are slices, which share the memory of the stack. Their gradients go to a tensor list, as
    those of a `tf.TensorArray` do, which costs no more than the copies, where gradients of slices
    would add up one array of all the weights for each copy.
    """
    times, shape, dtype = stacked.shape[0], stacked.shape[1:], stacked.dtype

    def reserved():
        return tf.raw_ops.TensorListReserve(
            element_shape=shape, num_elements=times, element_dtype=dtype
        )

    @tf.custom_gradient
    def listed(stacked):
        """A list that holds nothing: only its gradient is of interest."""

        def gradient(upstream):
            return tf.raw_ops.TensorListStack(
                input_handle=upstream,
                element_shape=shape,
                element_dtype=dtype,
                num_elements=times,
            )

        return reserved(), gradient

    handle = listed(stacked)

    def read(k):
        @tf.custom_gradient
        def element(handle):
            def gradient(upstream):
                return tf.raw_ops.TensorListSetItem(input_handle=reserved(), index=k, item=upstream)

            return tf.stop_gradient(stacked)[k], gradient

        return element(handle)

    return read


def _in_place_of(variables, values):
    """Scope in which the variables have these values."""
    return keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))

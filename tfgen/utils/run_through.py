"""Loops over the first axis of tensors, with gradients in little memory."""

import tensorflow as tf


def run_through(step, inputs, state, shape, weights=(), backwards=False):
    """Outputs `[n, ...]` of a loop over the first axis of tensors.

    Of what a step computes the gradient keeps the next state alone, and computes the rest once
    more. Where a step fits in the cache this takes no more time than to keep it.

    Args:
        step: function of a state, of the inputs at a place and of the weights, to the next state
            and the output, of the state's type. What else it reads has no gradient.
        inputs: tuple of tensors `[n, ...]`, whose n is known.
        state: tuple of tensors.
        shape: of an output, with None for sizes that are not known.
        weights: tuple of tensors, the same in each step.
        backwards: True to begin at the end.

    >>> import tensorflow as tf
    >>> def step(state, inputs, weights):
    ...     total = state[0] + inputs[0]
    ...     return (total,), weights[0] * total
    >>> x, zero, two = tf.constant([1.0, 2.0, 3.0]), tf.constant(0.0), tf.constant(2.0)
    >>> run_through(step, (x,), (zero,), [], (two,)).numpy().tolist()
    [2.0, 6.0, 12.0]
    """
    size, first, then = inputs[0].shape[0], len(state), len(state) + len(inputs)

    def run(*given):
        after, output = step(given[:first], given[first:then], given[then:])
        return [*after, output]

    @tf.custom_gradient
    def run_anew(*given):
        def gradient(*upstream):
            # Outside of the tape: else it would go on through the lists that the loop keeps.
            kept = [tf.identity(value) for value in given]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(kept)
                found = run(*kept)
            return tape.gradient(found, kept, upstream, tf.UnconnectedGradients.ZERO)

        return run(*given), gradient

    # Read from arrays: slices would have gradients as large as the whole.
    arrays = [
        tf.TensorArray(value.dtype, size, element_shape=value.shape[1:]).unstack(value)
        for value in inputs
    ]
    outputs = tf.TensorArray(state[0].dtype, size, element_shape=shape)

    def at(i, state, outputs):
        place = size - 1 - i if backwards else i
        *state, output = run_anew(*state, *(array.read(place) for array in arrays), *weights)
        return i + 1, state, outputs.write(place, output)

    start = (tf.constant(0), list(state), outputs)
    # maximum_iterations: XLA needs a bound to differentiate the loop.
    _, _, outputs = tf.while_loop(lambda i, *_: i < size, at, start, maximum_iterations=size)
    return tf.ensure_shape(outputs.stack(), [size, *shape])

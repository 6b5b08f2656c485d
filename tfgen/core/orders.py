"""Orders of passes over arrays, which a resumed run takes up where the unbroken one was."""

import itertools

from tfgen.utils.random import fold_in


def passes(state, num_batches, forever):
    """A function that gives the passes of a training, for `data.feed.array_batches`.

    Args:
        state: object with the weights `noise_seed` and `steps_taken`. The seed of an order is a
            function of the seed and of the step at which the pass starts.
        num_batches: batches in a pass.
        forever: whether passes go on; a resumed one is then taken up where it was left.
    """

    def generate():
        first = int(state.steps_taken.numpy())
        skip = first % num_batches if forever else 0
        for k in itertools.count() if forever else range(1):
            start = first - skip + k * num_batches
            yield fold_in(state.noise_seed, -1 - start).numpy(), 0 if k else skip

    return generate

"""Compiled functions over rows, kept between calls and run chunk by chunk."""

import inspect

import numpy as np
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.random import as_seed


class RowFunctions:
    """Cores of eager methods as compiled functions, for any number of rows in bounded memory.

    A core is a pure function of tensors. The arguments it takes are those of its signature:

    - `x`, `z`, `condition` and whatever else has rows: `[n, ...]`;
    - `seed`, int32 `[2]`, and `start`, the number of the first row: noise is a function of seed and
      row, so results do not depend on the chunks;
    - `num_rows`, where no other argument says how many there are;
    - anything else goes to every chunk as it is.

    Args:
        core: function from a name to the core of that name.
        specs: function that gives the `tf.TensorSpec`s of arguments by name. One that it lacks, as
            the condition of an unconditional model, reaches the core as None.
    """

    def __init__(self, core, specs):
        self._core, self._specs = core, specs
        self._kept, self._names = {}, {}

    def arguments(self, name):
        """Names of the arguments that a core takes."""
        if name not in self._names:
            self._names[name] = tuple(inspect.signature(self._core(name)).parameters)
        return self._names[name]

    def function(self, name):
        """The compiled core, a concrete `tf.function` of keyword arguments, kept for next time."""
        if name not in self._kept:
            core, specs, names = self._core(name), self._specs(), self.arguments(name)
            absent = dict.fromkeys(k for k in names if specs.get(k) is None)

            def function(**arguments):
                return core(**absent, **arguments)

            given = {k: specs[k] for k in names if k not in absent}
            self._kept[name] = tf.function(function, autograph=False).get_concrete_function(**given)
        return self._kept[name]

    def clear(self):
        """Forgets what was compiled: something that the cores hold was exchanged."""
        self._kept.clear()

    def run(self, name, num_rows, batch_size, seed=None, **arguments):
        """Runs a core over chunks of rows. Arrays are cut, tensors go to every chunk.

        Args:
            name: of the core.
            num_rows: rows in all.
            batch_size: rows at a time.
            seed: integer, two integers, or None for noise of its own.
            **arguments: those of the core beside `seed`, `start` and `num_rows`; None for what the
                model does not have.
        """
        batch_size = checks.check_count(batch_size, "batch_size")
        function, names = self.function(name), self.arguments(name)
        arguments = {k: v for k, v in arguments.items() if v is not None}
        if "seed" in names:
            arguments["seed"] = as_seed(seed)
        parts = []
        for start in range(0, num_rows, batch_size):
            stop = min(start + batch_size, num_rows)
            if "start" in names:
                arguments["start"] = tf.constant(start, tf.int64)
            if "num_rows" in names:
                arguments["num_rows"] = tf.constant(stop - start)
            parts.append(function(**tf.nest.map_structure(_cut(start, stop), arguments)))
        return parts[0] if len(parts) == 1 else tf.concat(parts, 0)


def _cut(start, stop):
    return lambda value: tf.constant(value[start:stop]) if isinstance(value, np.ndarray) else value

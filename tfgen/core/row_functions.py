"""Compiled functions over rows, kept between calls and run chunk by chunk."""

import inspect

import keras
import numpy as np
import tensorflow as tf

from tfgen.core import symbolic
from tfgen.utils import checks
from tfgen.utils.plain_graphs import plain_graphs
from tfgen.utils.random import as_seed

# What a core is told of its rows, beside the values.
_OF_ROWS = ("seed", "start", "num_rows")


class RowFunctions:
    """Cores of eager methods as compiled functions, for any number of rows in bounded memory.

    A core is a pure function of tensors. The arguments it takes are those of its signature:

    - `x`, `z`, `condition` and whatever else has rows, which its `tf.TensorSpec` says by a first
      axis of unknown length: `[n, ...]`;
    - `seed`, int32 `[2]`, and `start`, the number of the first row: noise is a function of seed and
      row, so results do not depend on the chunks;
    - `num_rows`, where no other argument says how many there are;
    - anything else goes to every chunk as it is.

    Arrays and tensors run chunk by chunk, and gradients flow through tensors. What is symbolic goes
    to the core as a whole.

    Args:
        core: function from a name to the core of that name.
        specs: function that gives the `tf.TensorSpec`s of arguments by name. One that it lacks, as
            the condition of an unconditional model, reaches the core as None.
        make_layer: function that makes the `RowLayer` which runs cores on KerasTensors.

    Attributes:
        layer: that layer, None as long as nobody needed it.
    """

    def __init__(self, core, specs, make_layer=None):
        self._core, self._specs, self._make_layer = core, specs, make_layer
        self._kept, self._names, self._rowed = {}, {}, {}
        self.layer = None

    def arguments(self, name):
        """Names of the arguments that a core takes."""
        if name not in self._names:
            self._names[name] = tuple(inspect.signature(self._core(name)).parameters)
        return self._names[name]

    def function(self, name, by_row=False, plain=False):
        """The compiled core, a concrete `tf.function` of keyword arguments, kept for next time.

        Args:
            name: of the core.
            by_row: whether `seed` is `[n, 2]` and `start` `[n]`: rows of callers who each have a
                seed of their own.
            plain: whether the graph is one for converters, see `utils.plain_graphs`; not kept.
        """
        if plain:
            with plain_graphs():
                return self._compiled(name, by_row)
        if (name, by_row) not in self._kept:
            self._kept[name, by_row] = self._compiled(name, by_row)
        return self._kept[name, by_row]

    def _compiled(self, name, by_row):
        core, specs, names = self._core(name), self._specs(), self.arguments(name)
        if by_row:
            specs |= {k: _of_each_row(specs[k]) for k in ("seed", "start")}
        absent = dict.fromkeys(k for k in names if specs.get(k) is None)

        def function(**arguments):
            return core(**absent, **arguments)

        given = {k: specs[k] for k in names if k not in absent}
        return tf.function(function, autograph=False).get_concrete_function(**given)

    def clear(self):
        """Forgets what was compiled: something that the cores hold was exchanged."""
        self._kept.clear()
        self._rowed.clear()

    # As in `function`: loops in Python are no loops of graphs.
    @tf.autograph.experimental.do_not_convert
    def run(self, name, num_rows, batch_size, seed=None, **arguments):
        """Runs a core over chunks of rows; symbolic ones at once.

        Args:
            name: of the core.
            num_rows: rows in all; None where that is not known, of symbolic ones.
            batch_size: rows at a time.
            seed: integer, two integers, or None for noise of its own.
            **arguments: those of the core beside `seed`, `start` and `num_rows`; None for what the
                model does not have.

        Returns:
            What the core gives, a tensor or a structure of tensors, of all rows.
        """
        batch_size = checks.check_count(batch_size, "batch_size")
        arguments = {k: v for k, v in arguments.items() if v is not None}
        if symbolic.is_keras(*arguments.values()):
            return self._keras(name, num_rows, seed, arguments)
        if symbolic.is_symbolic(*arguments.values()):
            return self.direct(name, seed, num_rows, **arguments)
        function, names = self.function(name), self.arguments(name)
        if "seed" in names:
            arguments["seed"] = as_seed(seed)
        if num_rows <= batch_size:
            # What most calls are: nothing to cut, and nothing to join.
            if "start" in names:
                arguments["start"] = tf.constant(0, tf.int64)
            if "num_rows" in names:
                arguments["num_rows"] = tf.constant(num_rows)
            return function(**tf.nest.map_structure(tf.convert_to_tensor, arguments))
        with_rows = self._with_rows(arguments)
        parts = []
        for start in range(0, num_rows, batch_size):
            stop = min(start + batch_size, num_rows)
            if "start" in names:
                arguments["start"] = tf.constant(start, tf.int64)
            if "num_rows" in names:
                arguments["num_rows"] = tf.constant(stop - start)
            cut = {
                k: tf.nest.map_structure(_cut(start, stop), arguments[k]) if k in with_rows else v
                for k, v in arguments.items()
            }
            parts.append(function(**cut))
        return tf.nest.map_structure(_joined, *parts)

    def _with_rows(self, names):
        """Those of the names whose arguments have rows."""
        if not self._rowed:
            for k, spec in self._specs().items():
                shapes = [] if spec is None else [one.shape for one in tf.nest.flatten(spec)]
                self._rowed[k] = all(shape.rank and shape[0] is None for shape in shapes)
        return {k for k in names if self._rowed[k]}

    @tf.autograph.experimental.do_not_convert
    def direct(self, name, seed=None, num_rows=None, **arguments):
        """Runs a core as it is on all rows, in a graph or a layer.

        Args:
            name: of the core.
            seed: as in `run`.
            num_rows: as in `run`.
            **arguments: as in `run`; numbers and lists become tensors, and one condition serves all
                rows.
        """
        names, specs = self.arguments(name), self._specs()
        given = {
            k: _as_tensor(arguments[k], specs[k]) if k in arguments else None
            for k in names
            if k not in _OF_ROWS
        }
        condition = given.pop("condition", None)
        if num_rows is None:
            # Of a draw for each condition only these tell; a part of them may be one for all.
            counted = [given[k] for k in self._with_rows(arguments) if k in given]
            counts = [tf.shape(v)[0] for v in tf.nest.flatten(counted or condition)]
            num_rows = tf.reduce_max(counts)
        if "condition" in names:
            given["condition"] = symbolic.for_each_row(condition, num_rows)
        if "seed" in names:
            given["seed"] = as_seed(seed)
        if "start" in names:
            given["start"] = tf.constant(0, tf.int64)
        if "num_rows" in names:
            given["num_rows"] = num_rows
        return self._core(name)(**given)

    def _keras(self, name, num_rows, seed, arguments):
        """The KerasTensors of a core's outputs."""
        rows, fixed = split(arguments)
        if num_rows is not None and "num_rows" in self.arguments(name):
            fixed["num_rows"] = num_rows
        if "seed" not in self.arguments(name):
            seed = None
        elif seed is not None:
            seed = as_seed(seed).numpy().tolist()
        layer = self._make_layer() if self.layer is None else self.layer
        outputs = layer(rows, core=name, seed=seed, fixed=fixed)
        structure = layer.structures[name]
        return tf.nest.pack_sequence_as(structure, outputs[: len(tf.nest.flatten(structure))])


def _as_tensor(value, spec):
    if isinstance(spec, dict):
        return {k: _as_tensor(value[k], spec[k]) for k in spec}
    if not tf.is_tensor(value):
        return tf.constant(value, spec.dtype)
    return tf.cast(value, spec.dtype)


def _of_each_row(spec):
    return tf.TensorSpec([None, *spec.shape], spec.dtype, spec.name)


def _cut(start, stop):
    return lambda value: tf.convert_to_tensor(value[start:stop])


def _joined(*parts):
    return tf.concat(parts, 0)


@keras.saving.register_keras_serializable(package="tfgen")
class RowLayer(keras.layers.Layer):
    """Layer in which a model's methods of rows stand in functional models of Keras.

    A model has one, whatever its methods: so a functional model in which it encodes and decodes is
    saved with one copy of it. `model.decode(keras.Input(shape))` makes it and calls it.

    Args:
        model: `GenerativeModel`.
        **kwargs: `keras.layers.Layer` arguments.

    >>> import keras, tfgen
    >>> flow = tfgen.RealNVP(2, num_layers=2)
    >>> z = keras.Input((2,))
    >>> decoder = keras.Model(z, flow.decode(z))
    >>> len(decoder.trainable_variables) == len(flow.trainable_variables)
    True
    """

    def __init__(self, model, **kwargs):
        given = {"name": f"{model.name}_rows", "dtype": model.variable_dtype, **kwargs}
        super().__init__(**given)
        self.model, self.structures = model, {}
        # The one that this model has from now on: that of a file just read, too.
        model._rows.layer = self
        self.built = True

    def call(self, rows, core, seed=None, fixed=None):
        """Runs a core, the networks in it as in prediction.

        Args:
            rows: dict of tensors with rows.
            core: name of the core.
            seed: integer, two integers, or None for noise of its own in each call.
            fixed: dict of plain numbers and lists: other arguments, or one condition for all.

        Returns:
            Pair of the core's outputs; of the one output and itself.
        """
        outputs = self.model._rows.direct(core, seed, **merged(rows, fixed or {}))
        self.structures[core] = tf.nest.map_structure(lambda _: None, outputs)
        flat = tf.nest.flatten(outputs)
        if len(flat) > 2:
            raise NotImplementedError(
                f"in functional models a core gives one or two tensors; `_{core}` gives {len(flat)}"
            )
        # Keras takes every use of a layer to have as many outputs as its first use.
        return flat[0], flat[-1]

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        # As Keras marks the second of two: the model may stand in a functional one itself, too.
        return {**super().get_config(), "model": {**model, "shared_object_id": id(self.model)}}

    @classmethod
    def from_config(cls, config):
        """The layer of a configuration, with a model of its own unless that is shared."""
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})

    def get_build_config(self):
        # Built with the model.
        return None


def split(arguments):
    """The arguments of a core that are KerasTensors, and the others as plain numbers and lists.

    Args:
        arguments: dict of tensors, arrays and dicts of such.
    """
    rows, fixed = {}, {}
    for name, value in arguments.items():
        if isinstance(value, dict):
            inner = split(value)
            for kind, found in zip((rows, fixed), inner, strict=True):
                if found:
                    kind[name] = found
        elif isinstance(value, keras.KerasTensor):
            rows[name] = value
        elif value is not None:
            fixed[name] = np.asarray(value).tolist()
    return rows, fixed


def merged(rows, fixed):
    """The arguments that `split` divided."""
    both = dict(fixed)
    for name, value in rows.items():
        inner = isinstance(value, dict)
        both[name] = merged(value, fixed.get(name, {})) if inner else value
    return both

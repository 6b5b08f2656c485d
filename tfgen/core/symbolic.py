"""Rows that are no arrays: tensors with gradients, of graphs under construction, and Keras's."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.utils import checks

# Autograph would read the source of what is Python's alone.
_plain = tf.autograph.experimental.do_not_convert
_TENSORS = (tf.Tensor, tf.Variable, keras.Variable)


def parts(value):
    """The tensors or arrays that a value is made of: of a label and a vector both."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, tuple | list) else [value]


def is_keras(*values):
    """True if one of the values, or a part of it, is a `keras.KerasTensor`."""
    return any(isinstance(part, keras.KerasTensor) for v in values for part in parts(v))


def is_symbolic(*values):
    """True if one of the values, or a part of it, has no numbers yet: a tensor of a graph under
    construction, or a `keras.KerasTensor`."""
    return is_keras(*values) or any(
        isinstance(part, tf.Tensor) and tf.is_symbolic_tensor(part)
        for v in values
        for part in parts(v)
    )


def num_rows(*values):
    """The number of rows of the values, None where no static shape says it.

    Args:
        *values: arrays or tensors with one row per example, of which some may have one for all;
            or None.
    """
    counts = {part.shape[0] for v in values for part in parts(v) if part is not None}
    several = counts - {1, None}
    return next(iter(several), None if None in counts or not counts else 1)


def as_one(value):
    """A value, or the tensor of a list that holds tensors, whose gradients an array would lose."""
    listed = isinstance(value, tuple | list) and any(isinstance(v, _TENSORS) for v in value)
    return tf.convert_to_tensor(value) if listed else value


def keeping_gradient(value, checked):
    """The checked array of a value; a tensor where the value is one that may have a gradient.

    Args:
        value: what was given.
        checked: array of the same numbers, perhaps broadcast over rows; or None.
    """
    if checked is None:
        return None
    real = isinstance(value, _TENSORS) and tf.as_dtype(value.dtype).is_floating
    if not real or checked.dtype.kind != "f":
        return checked
    tensor = tf.cast(tf.convert_to_tensor(value), checked.dtype)
    return tensor if tensor.shape == checked.shape else tf.broadcast_to(tensor, checked.shape)


def of_shape(value, name, spec):
    """A symbolic value of a static shape that a spec allows; in a graph of its dtype, too.

    Args:
        value: symbolic tensor.
        name: of the argument, for errors.
        spec: `tf.TensorSpec` with rows.

    Raises:
        ValueError: another shape, no rows, or no numbers.
    """
    shape = tf.TensorShape(value.shape)
    if not shape.is_compatible_with(spec.shape):
        expected = ", ".join(["n", *map(str, spec.shape[1:])])
        raise ValueError(f"`{name}` must have shape [{expected}]; got {list(value.shape)}")
    if shape.rank and shape[0] == 0:
        raise ValueError(f"`{name}` must have at least one row; got {shape.as_list()}")
    dtype = tf.as_dtype(value.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"`{name}` must be a tensor of numbers; got dtype {dtype.name}")
    if isinstance(value, keras.KerasTensor):
        return value
    return tf.ensure_shape(tf.cast(value, spec.dtype), spec.shape)


def check_same_rows(**values):
    """Refuses tensors whose static shapes say that they have unequally many rows."""
    lengths = {name: num_rows(value) for name, value in values.items()}
    if len({n for n in lengths.values() if n is not None}) > 1:
        came = ", ".join(f"`{name}` has {n}" for name, n in lengths.items())
        raise ValueError(f"arrays must have the same number of rows; {came}")


def for_each_row(condition, rows):
    """Conditions with a row for each example, of one for all as well.

    Args:
        condition: tensors `[n, ...]` or `[1, ...]`, or None.
        rows: n, a number or a scalar tensor.
    """
    if condition is None:
        return None

    def broadcast(value):
        value = tf.convert_to_tensor(value)
        return tf.broadcast_to(value, tf.concat([[rows], tf.shape(value)[1:]], 0))

    return tf.nest.map_structure(broadcast, condition)


def repeated(condition, times):
    """Conditions with each row `times` times in turn; one for all KerasTensors stays one."""
    single = is_keras(condition)

    def repeat(value):
        if isinstance(value, np.ndarray):
            return value if single else np.repeat(value, times, 0)
        return keras.ops.repeat(value, times, axis=0)

    return None if condition is None else tf.nest.map_structure(repeat, condition)


class RowChecks:
    """Checks of what methods of rows are given: by values, where there are any.

    Arrays stay arrays; tensors of reals stay tensors, so that gradients flow through them; symbolic
    tensors are checked by their static shapes.

    Args:
        data_spec: `DataSpec` of the examples.
        specs: function that gives the `tf.TensorSpec`s of arguments by name.
    """

    def __init__(self, data_spec, specs):
        self._data_spec, self._specs = data_spec, specs

    @_plain
    def rows(self, argument, value, name=None):
        """Examples or latents, checked.

        Args:
            argument: `"x"` or `"z"`.
            value: what was given.
            name: of the argument, for errors.
        """
        spec, name, value = self._specs()[argument], name or argument, as_one(value)
        if spec is None:
            # The core says that there is no such thing.
            return None
        if is_symbolic(value):
            return of_shape(value, name, spec)
        if argument == "x":
            checked = self._data_spec.check_x(value, name)
        else:
            dtype = spec.dtype.as_numpy_dtype
            checked = checks.as_events(value, name, tuple(spec.shape[1:]), "real", dtype)
        return keeping_gradient(value, checked)

    @_plain
    def condition(self, condition, count, *rows):
        """Conditions, checked: one for each row, or one for all KerasTensors.

        Args:
            condition: what was given.
            count: number of rows; None for as many as there are conditions, or where it is not
                known.
            *rows: the rows that the conditions belong to, checked.
        """
        spec, name = self._data_spec.condition, "condition"
        if spec is None or condition is None or not is_symbolic(*rows, condition):
            single = spec is None or not spec.is_pair
            checked = self._data_spec.check_condition(
                as_one(condition) if single else condition, count
            )
            return self._with_gradients(condition, checked)
        keras_rows = is_keras(*rows, condition)
        if keras_rows and not all(is_keras(value) for value in rows):
            raise ValueError(
                f"`{name}` is a KerasTensor: the rows that it belongs to must be such, too"
            )
        specs = spec.tensor_spec()
        if not spec.is_pair:
            return self._part(spec.check, condition, specs, count, rows, keras_rows, name)
        label, vector = spec._pair(condition, name)
        given = {"label": (spec._label, label), "vector": (spec._vector, vector)}
        pair = {
            k: self._part(check, value, specs[k], count, rows, keras_rows, f"{name} {k}")
            for k, (check, value) in given.items()
        }
        if keras_rows or rows:
            return pair
        return for_each_row(pair, tf.reduce_max([tf.shape(value)[0] for value in pair.values()]))

    def _with_gradients(self, condition, checked):
        spec = self._data_spec.condition
        if checked is None or not spec.is_pair:
            return keeping_gradient(as_one(condition), checked)
        _, vector = spec._pair(condition, "condition")
        return {**checked, "vector": keeping_gradient(as_one(vector), checked["vector"])}

    def _part(self, check, value, spec, count, rows, keras_rows, name):
        if is_symbolic(value):
            shape = tf.TensorShape(value.shape)
            if not keras_rows and shape.rank == spec.shape.rank - 1:
                value = value[None]
            elif spec.shape.rank == 1 and shape.rank == 2 and shape[1] == 1:
                value = keras.ops.squeeze(value, 1)
            checked = of_shape(value, name, spec)
        else:
            value = as_one(value)
            checked = keeping_gradient(value, check(value, name, None))
            if keras_rows and len(checked) != 1:
                raise ValueError(
                    f"`{name}` must be one for all, or a KerasTensor as the other rows are; got "
                    f"{len(checked)} rows"
                )
        if None not in (count, checked.shape[0]) and checked.shape[0] not in (1, count):
            raise ValueError(
                f"`{name}` must have one row, or one for each of the {count} examples; "
                f"got {checked.shape[0]}"
            )
        if keras_rows or not rows:
            return checked
        return for_each_row(checked, tf.shape(rows[0])[0])

    @_plain
    def sampled(self, num_samples, condition, per_condition):
        """Number of rows of samples, None where it is not known, and their conditions.

        Args:
            num_samples: number of samples, of each condition or in all.
            condition: what was given.
            per_condition: what was given.
        """
        if not checks.check_bool(per_condition, "per_condition"):
            return num_samples, self.condition(condition, num_samples)
        if self._data_spec.condition is None:
            raise ValueError(
                "`per_condition` needs a conditional model: this one has neither "
                "`condition_shape` nor `num_classes`"
            )
        condition = self.condition(condition, None)
        count = num_rows(condition)
        return count and count * num_samples, repeated(condition, num_samples)

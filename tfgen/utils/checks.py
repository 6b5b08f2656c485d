"""Checks of users' arguments.

Each returns the argument in its checked form, or raises a ValueError that names the argument, what
was expected and what came.
"""

import keras
import numpy as np

from tfgen.utils.digits import as_reals
from tfgen.utils.scalars import check_count as check_count
from tfgen.utils.scalars import check_int as check_int
from tfgen.utils.scalars import check_positive as check_positive
from tfgen.utils.scalars import check_weight as check_weight
from tfgen.utils.scalars import is_count
from tfgen.utils.scalars import is_number
from tfgen.utils.values import as_numeric
from tfgen.utils.values import as_text
from tfgen.utils.values import check_event_shape
from tfgen.utils.values import check_finite
from tfgen.utils.values import check_in_kind
from tfgen.utils.values import check_labels

DATA_KINDS = ("real", "binary", "uint8")


def check_data_kind(data_kind):
    """Returns a data kind if it is one of `DATA_KINDS`."""
    if data_kind not in DATA_KINDS:
        raise ValueError(f"`data_kind` must be one of {list(DATA_KINDS)}; got {data_kind!r}")
    return data_kind


def as_shape(shape, name):
    """Returns a positive int, or a sequence of such, as a tuple."""
    sides = list(shape) if np.ndim(shape) else [shape]
    if not sides or not all(map(is_count, sides)):
        raise ValueError(f"`{name}` must hold positive whole numbers; got {shape!r}")
    return tuple(int(s) for s in sides)


def as_events(x, name, event_shape, kind, dtype, probabilities=False, whole=True):
    """Returns data of a kind as an array `[n, *event_shape]`.

    Args:
        x: array, tensor or nested list.
        name: name of the argument in an error.
        event_shape: shape of one example: tuple.
        kind: `"real"`, `"binary"` or `"uint8"`.
        dtype: dtype of the result for `"real"`; the other kinds come as uint8.
        probabilities: bool; True lets binary data be probabilities of 1, which stay float32.
        whole: bool; False for a part of the data, of which spreads tell nothing.

    Returns:
        A numpy array with at least one row.

    Raises:
        ValueError: wrong shape, no rows, NaN or inf, values out of the kind's range.
    """
    x = as_numeric(x, name)
    check_event_shape(x, name, event_shape)
    if len(x) == 0:
        raise ValueError(f"`{name}` must have at least one row; got {as_text(x.shape)}")
    if kind == "real":
        x = _as_dtype(x, dtype, name, whole)
    if x.dtype.kind == "f":
        check_finite(x, name)
    if kind == "real":
        return x
    may_draw = kind == "binary" and probabilities and x.dtype.kind == "f"
    if may_draw and x.min() >= 0 and x.max() <= 1:
        return x.astype(np.float32, copy=False)
    check_in_kind(x, name, kind, probabilities)
    return x.astype(np.uint8, copy=False)


def _as_dtype(x, dtype, name, whole):
    """Reals in a dtype, where it keeps their digits; of a part of the data that is not known."""
    if whole:
        return as_reals(x, dtype, name)
    with np.errstate(over="ignore"):
        return x.astype(dtype, copy=False)


def as_mask(mask, name, shape, by_pixel=False):
    """Returns a mask of values, of each example or one for all, broadcast to the examples' shape.

    Args:
        mask: bools.
        name: name of the argument in an error.
        shape: shape of the examples, `(n, ...)`.
        by_pixel: True for a mask of pixels, `[n, h, w]` or `[h, w]`, of images.

    Returns:
        bool array of the examples' shape.
    """
    masked = tuple(shape[:-1] if by_pixel else shape)
    mask = as_numeric(mask, name)
    if mask.dtype.kind != "b":
        raise ValueError(
            f"`{name}` must hold True and False; got dtype {mask.dtype}: give `{name} == 1`, where "
            "1 means True"
        )
    if mask.shape not in (masked, masked[1:]):
        raise ValueError(
            f"`{name}` must have shape {as_text(masked)} or {as_text(masked[1:])}; got "
            f"{as_text(mask.shape)}"
        )
    return np.broadcast_to(mask[..., None] if by_pixel else mask, shape)


def check_same_dtype(model, **parts):
    """Checks that parts of a model compute in its dtype.

    Args:
        model: `keras.Model`.
        **parts: layers, by the names of the arguments.
    """
    # Of containers it has no meaning.
    containers = (keras.Model, keras.layers.InputLayer)
    for name, part in parts.items():
        for layer in part._flatten_layers():
            same = layer.variable_dtype == model.variable_dtype
            if not same and not isinstance(layer, containers):
                inside = "" if layer is part else f" in its {type(layer).__name__}"
                raise ValueError(
                    f"`{name}` must have the model's dtype, {model.variable_dtype}; got "
                    f"{layer.variable_dtype}{inside}"
                )


def check_apart(**parts):
    """Checks that parts of a model share no layer, which would not be saved as one.

    Args:
        **parts: layers, by the names of the arguments.
    """
    owners = {}
    for name, part in parts.items():
        for layer in part._flatten_layers():
            owner = owners.setdefault(id(layer), name)
            if owner != name:
                raise ValueError(
                    f"`{owner}` and `{name}` must share no layer; got a {type(layer).__name__} in "
                    "both"
                )


def as_policy(dtype):
    """Returns a Keras dtype policy whose weights are float32 or float64.

    Args:
        dtype: name or policy; None for the global one.
    """
    try:
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    except (ValueError, TypeError) as error:
        raise ValueError(f"`dtype` must be one of Keras's dtype policies: {error}") from error
    # Keras quantises layers that were trained before.
    if policy.variable_dtype not in ("float32", "float64") or policy.quantization_mode:
        raise ValueError(
            '`dtype` must keep densities in "float32" or "float64" ("mixed_bfloat16" and '
            f'"mixed_float16" do); got {policy.name!r}'
        )
    return policy


def as_weights(weights, name, num_rows, things="examples"):
    """Returns weights, finite and at least 0, as a float32 array `[n]`.

    Args:
        weights: array `[n]` or `[n, 1]`.
        name: name of the argument in an error.
        num_rows: n.
        things: plural noun for what is weighed, in an error.
    """
    weights = as_numeric(weights, name).astype("float32")
    if weights.shape not in ((num_rows,), (num_rows, 1)):
        raise ValueError(
            f"`{name}` must have shape [n], one for each of the {num_rows} {things}; "
            f"got {as_text(weights.shape)}"
        )
    check_finite(weights, name)
    if weights.min() < 0:
        raise ValueError(f"`{name}` must be at least 0; got {weights.min():g}")
    return weights.reshape(num_rows)


def as_condition(
    condition, name, condition_shape, num_classes, dtype, num_rows, whole=True, least_label=0
):
    """Returns conditions as an array with a row for each example; a single one is broadcast.

    Args:
        condition: array `[n, *condition_shape]` or `condition_shape`, where that is `[1]` also
            `[n]`; None for a model without.
        name: name of the argument in an error.
        condition_shape: shape of one condition: tuple; None for an unconditional model.
        num_classes: number of labels; None for conditions that are no labels.
        dtype: dtype of conditions that are no labels.
        num_rows: number of examples; None for as many as there are conditions.
        whole: as in `as_events`.
        least_label: the least of the labels.

    Returns:
        int32 labels `[n]` or an array `[n, *condition_shape]` in `dtype`; None for an
        unconditional model.
    """
    if condition_shape is None:
        if condition is not None:
            raise ValueError(
                f"`{name}` was given, but this model is unconditional (its `condition_shape` "
                "is None): make it with `condition_shape` or `num_classes`"
            )
        return None
    if condition is None:
        what = (
            f"integer labels in 0..{num_classes - 1}"
            if num_classes
            else f"arrays of shape {as_text(condition_shape)}"
        )
        raise ValueError(f"`{name}` is missing: this model is conditional on {what}")
    condition = as_numeric(condition, name)
    shape = tuple(condition_shape)
    if condition.shape == shape:
        condition = condition[None]
    if num_classes and condition.ndim == 2 and condition.shape[1] == 1:
        condition = condition[:, 0]
    if shape == (1,) and condition.ndim == 1:
        condition = condition[:, None]
    if condition.shape[1:] != shape or condition.ndim == 0:
        one_hot = num_classes and condition.shape[1:] == (num_classes,)
        raise ValueError(
            f"`{name}` must have shape {as_text(['n', *shape])} or {as_text(shape)}; got "
            f"{as_text(condition.shape)}"
            + (f": of one-hot rows give `{name}.argmax(-1)`" if one_hot else "")
        )
    if len(condition) == 0:
        raise ValueError(f"`{name}` must have at least one row; got {as_text(condition.shape)}")
    if num_rows is not None and len(condition) not in (1, num_rows):
        raise ValueError(
            f"`{name}` must have one row, or one for each of the {num_rows} examples; "
            f"got {len(condition)}"
        )
    if num_classes:
        check_labels(condition, name, num_classes, least_label)
        condition = condition.astype(np.int32)
    else:
        condition = _as_dtype(condition, dtype, name, whole)
        check_finite(condition, name)
    if num_rows is None:
        return condition
    return np.broadcast_to(condition, (num_rows, *condition.shape[1:]))


def check_vectors(condition_shape):
    """Raises a ValueError if conditions are neither labels nor vectors, nor none."""
    if len(condition_shape or ()) > 1:
        raise ValueError(f"`condition_shape` must be [features]; got {list(condition_shape)}")


def as_order(order, name, choices):
    """Returns an order: one of the choices, or a list that holds each index from 0 on once."""
    if isinstance(order, str):
        if order in choices:
            return order
    elif np.ndim(order) == 1 and sorted(order) == list(range(len(order))):
        return [int(i) for i in order]
    raise ValueError(
        f"`{name}` must be one of {list(choices)} or hold each index from 0 on once; got {order!r}"
    )


def check_bool(value, name):
    """Returns True or False as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False; got {value!r}")
    return bool(value)


def pop_fixed(arguments, fixed, whose):
    """Takes out arguments that may have one value only, and refuses another one.

    Args:
        arguments: dict that they are taken out of, where they are in it.
        fixed: dict from their names to their values; numbers are those of every axis.
        whose: noun for whose they are, in an error.
    """
    for name, value in fixed.items():
        given = arguments.pop(name, None)
        if given is not None and {*np.atleast_1d(given).tolist()} != {value}:
            raise ValueError(f"`{name}` of {whose} must be {value!r}; got {given!r}")


def check_instance(value, cls, name):
    """Returns a value if it is an instance of a class, or of one of a tuple of classes."""
    if not isinstance(value, cls):
        names = " or ".join(c.__name__ for c in (cls if isinstance(cls, tuple) else (cls,)))
        raise ValueError(f"`{name}` must be a {names}; got {value!r}")
    return value


def as_weight_or_schedule(value, name):
    """Returns a finite number of at least 0 as a float, or a Keras schedule of such numbers."""
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return value
    if not is_number(value) or value < 0:
        raise ValueError(
            f"`{name}` must be a number of at least 0 or a Keras learning-rate schedule; got "
            f"{value!r}"
        )
    return float(value)


def check_same_length(**arrays):
    """Checks that all arrays that are not None have equally many rows.

    Args:
        **arrays: arrays or None, by the names of the arguments.
    """
    for name, a in arrays.items():
        if a is not None and np.ndim(a) == 0:
            raise ValueError(f"`{name}` must be an array with one row per example; got {a!r}")
    lengths = {name: len(a) for name, a in arrays.items() if a is not None}
    if len(set(lengths.values())) > 1:
        came = ", ".join(f"`{name}` has {n}" for name, n in lengths.items())
        raise ValueError(f"arrays must have the same number of rows; {came}")

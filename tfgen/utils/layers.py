"""Helpers of layers: orders as state, freezing of layers inside layers, copies, building."""

import re

import keras
import numpy as np
import tensorflow as tf


def freeze_parts(layer):
    """Freezes the parts of a frozen layer that were made after `trainable=False` was set.

    Keras's own setter reaches those that there are already.

    Args:
        layer: Keras layer, whose parts are frozen in place.
    """
    for part in layer._flatten_layers():
        if not part.trainable:
            for inner in part._flatten_layers(include_self=False):
                inner.trainable = False


def is_frozen(layer):
    """True if neither the layer nor anything inside is trained."""
    return not any(part.trainable for part in layer._flatten_layers())


def add_order(layer, order, name, size):
    """Indices of an order, `[size]`.

    They are an array, so that what is made of them is constant, too; random ones are a weight, to
    be saved.

    Args:
        layer: the layer that the weight is added to.
        order: `"natural"`, `"reverse"`, `"random"` or a list of indices.
        name: the argument's name, for errors, and the weight's.
        size: number of indices.

    Raises:
        ValueError: a list of another length than `size`.
    """
    if order == "random":
        drawn = np.random.permutation(size)
        return layer.add_weight(
            name=name,
            shape=(size,),
            dtype="int32",
            trainable=False,
            initializer=lambda shape, dtype: tf.constant(drawn, dtype),
        )
    if isinstance(order, str):
        return np.arange(size)[:: -1 if order == "reverse" else 1]
    if len(order) != size:
        raise ValueError(f"`{name}` has {len(order)} indices, the last axis has {size}")
    return np.array(order)


def unbuilt_copy(layer):
    """New layer of the configuration of another."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))


def build_once(layer, *shapes, **arguments):
    """Builds a layer, unless it was built before it was given.

    Args:
        layer: Keras layer.
        *shapes: positional arguments of its `build`.
        **arguments: its keyword arguments.

    Raises:
        ValueError: it was built here before, for other shapes.
    """
    wanted = [*shapes, *arguments.values()]
    if not layer.built:
        layer.build(*shapes, **arguments)
        layer._built_for = str(wanted)
    elif getattr(layer, "_built_for", str(wanted)) != str(wanted):
        raise ValueError(
            f"a {type(layer).__name__} must be given to one model only: this one was built for "
            f"{layer._built_for}, not for {wanted}"
        )


def with_role(layer, role):
    """The layer, named by its role in a model where nobody gave it a name: summaries show names."""
    # Keras's name for a layer without one is that of its class, in small letters.
    plain = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    if plain == type(layer).__name__.lower():
        layer.name = role
    return layer

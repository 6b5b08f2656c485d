"""Orders as state of layers; what Keras's flag `trainable` means for layers inside layers."""

import keras
import numpy as np
import tensorflow as tf


def freeze_parts(layer):
    """Lets `trainable=False` reach the parts of a layer that were made after it was set.

    Keras's own setter reaches those that there are already.
    """
    for part in layer._flatten_layers():
        if not part.trainable:
            for inner in part._flatten_layers(include_self=False):
                inner.trainable = False


def is_frozen(layer):
    """Whether neither the layer nor anything inside is trained."""
    return not any(part.trainable for part in layer._flatten_layers())


def add_order(layer, order, name, size):
    """The indices that an order means: `"natural"`, `"reverse"`, `"random"` or a list of them.

    An array, so that what is made of it is constant, too; a random one is a weight, to be saved.

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
    """Another layer of the same configuration."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))


def build_once(layer, *shapes, **arguments):
    """Builds a layer that was not built before it was given.

    Raises:
        ValueError: it was, here, for something else.
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

"""Conditions beside the events of a map: vectors as they are, images at the map's resolution."""

import tensorflow as tf


def features_shape(condition_shape, event_shape):
    """The shape of what `features_of` gives for conditions of this shape (None: None)."""
    if condition_shape is None or len(condition_shape) == 2:
        return condition_shape
    block = _block(tuple(condition_shape[1:]), event_shape)
    _, height, width, channels = condition_shape
    return (None, height // block, width // block, channels * block**2)


def features_of(condition, event_shape):
    """An image condition with the sides of the event: what is in its place goes to channels, as
    `Squeeze` does it, so that nothing is lost. A vector stays as it is."""
    if condition.shape.rank == 2:
        return condition
    block = _block(tuple(condition.shape[1:]), event_shape)
    return condition if block == 1 else tf.nn.space_to_depth(condition, block)


def _block(shape, event_shape):
    """How many pixels of the condition lie side by side in one of the event."""
    block = shape[0] // event_shape[0] if len(shape) == len(event_shape) == 3 else 0
    if not block or shape[:2] != (block * event_shape[0], block * event_shape[1]):
        raise ValueError(
            f"conditions of shape {list(shape)} do not fit events of shape {list(event_shape)}: "
            "an image must have the same sides, or a multiple of them"
        )
    return block

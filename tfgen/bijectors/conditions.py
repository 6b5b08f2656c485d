"""Conditions beside the events of a map: vectors as they are, images at the map's resolution."""

import tensorflow as tf


def features_shape(condition_shape, event_shape):
    """Shape of the result of `features_of`, with the batch's axis; None without a condition.

    Args:
        condition_shape: shape of the conditions, with the batch's axis, or None.
        event_shape: shape of an event, without it.
    """
    if condition_shape is None or len(condition_shape) == 2:
        return condition_shape
    block = _block(tuple(condition_shape[1:]), event_shape)
    _, height, width, channels = condition_shape
    return (None, height // block, width // block, channels * block**2)


def features_of(condition, event_shape):
    """Condition with the sides of the event.

    The pixels of an image condition that lie in one place of the event go to its channels, as
    `Squeeze` does it, so that nothing is lost. A vector stays as it is.

    Args:
        condition: `[batch, features]` or `[batch, height, width, channels]`.
        event_shape: shape of an event, without the batch's axis.

    Raises:
        ValueError: an image whose sides are no multiples of the event's.
    """
    if condition.shape.rank == 2:
        return condition
    block = _block(tuple(condition.shape[1:]), event_shape)
    return condition if block == 1 else tf.nn.space_to_depth(condition, block)


def _block(shape, event_shape):
    """Number of pixels of the condition that lie side by side in one of the event."""
    block = shape[0] // event_shape[0] if len(shape) == len(event_shape) == 3 else 0
    if not block or shape[:2] != (block * event_shape[0], block * event_shape[1]):
        raise ValueError(
            f"conditions of shape {list(shape)} do not fit events of shape {list(event_shape)}: "
            "an image must have the same sides, or a multiple of them"
        )
    return block

"""What Keras's flag `trainable` means for layers inside layers."""


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

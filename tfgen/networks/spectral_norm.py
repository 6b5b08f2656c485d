"""Spectral normalisation: Keras's own, in the precision of weights."""

import keras


def spectrally_normalised(layer):
    """The layer in `keras.layers.SpectralNormalization` (Miyato et al. 2018)."""
    # Its norms overflow in half precision.
    return keras.layers.SpectralNormalization(layer, dtype=layer.variable_dtype)

"""Spectral normalisation: Keras's own, in the precision of weights."""

import keras


def spectrally_normalised(layer):
    """Layer in `keras.layers.SpectralNormalization`.

    After Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
    arXiv:1802.05957.

    Args:
        layer: Keras layer with a kernel.
    """
    # Its norms overflow in half precision.
    return keras.layers.SpectralNormalization(layer, dtype=layer.variable_dtype)

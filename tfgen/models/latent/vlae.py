"""`VAE` with other parts: recipes of the IAF's paper and of the variational lossy autoencoder's."""

import math

import keras

from tfgen.models.latent.vae import VAE
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class IAFVAE(VAE):
    """`VAE` with the posterior of Kingma et al. 2016 ("Improving Variational Inference with Inverse
    Autoregressive Flow", arXiv:1606.04934): inverse autoregressive flow that sees the encoder's
    context.

    Arguments as for `VAE`.

    >>> import tfgen
    >>> model = tfgen.IAFVAE(4, latent_dim=2)
    >>> type(model.posterior).__name__
    'IAFPosterior'
    """

    def __init__(self, event_shape, latent_dim=64, posterior="iaf", **kwargs):
        super().__init__(event_shape, latent_dim, posterior=posterior, **kwargs)


@keras.saving.register_keras_serializable(package="tfgen")
class AFVAE(VAE):
    """`VAE` with the prior of Chen et al. 2017 ("Variational Lossy Autoencoder", arXiv:1611.02731,
    section 3.2): autoregressive flow over noise.

    Arguments as for `VAE`.

    >>> import tfgen
    >>> model = tfgen.AFVAE(4, latent_dim=2)
    >>> type(model.prior).__name__
    'Transformed'
    """

    def __init__(self, event_shape, latent_dim=64, prior="af", **kwargs):
        super().__init__(event_shape, latent_dim, prior=prior, **kwargs)


@keras.saving.register_keras_serializable(package="tfgen")
class VLAE(AFVAE):
    """Variational lossy autoencoder (Chen et al. 2017, arXiv:1611.02731): an autoregressive prior,
    and a PixelCNN that sees little around a pixel as the decoder, so that the latents hold what is
    further apart.

    Arguments as for `VAE`; `free_bits` is the paper's 0.01 nats for each value of an example.

    >>> import numpy as np, tfgen
    >>> model = tfgen.VLAE((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp")
    >>> model.decompress(np.zeros((2, 4, 4, 1), "uint8"), seed=0).shape
    TensorShape([2, 4, 4, 1])
    """

    def __init__(
        self, event_shape, latent_dim=64, observation="pixelcnn", free_bits=None, **kwargs
    ):
        if free_bits is None:
            free_bits = 0.01 * math.prod(checks.as_shape(event_shape, "event_shape"))
        super().__init__(
            event_shape, latent_dim, observation=observation, free_bits=free_bits, **kwargs
        )

    def default_optimizer(self):
        """The paper's (appendix A)."""
        return keras.optimizers.Adamax(2e-3)

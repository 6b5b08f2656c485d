"""`VAE` with other parts: recipes of the IAF's paper and of the variational lossy autoencoder's."""

import math

import keras

from tfgen.distributions import AutoregressivePixels
from tfgen.models.latent.vae import VAE
from tfgen.networks import GatedPixelCNNStack
from tfgen.networks import PixelCNNStack
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

    _sampling = "sweeps over the latents"

    def __init__(self, event_shape, latent_dim=64, prior="af", **kwargs):
        super().__init__(event_shape, latent_dim, prior=prior, **kwargs)


@keras.saving.register_keras_serializable(package="tfgen")
class VLAE(AFVAE):
    """Variational lossy autoencoder (Chen et al. 2017, arXiv:1611.02731): an autoregressive prior,
    and a PixelCNN that sees little around a pixel as the decoder, so that the latents hold what is
    further apart.

    What a pixel sees beside the latents is by the decoder's arguments, and `summary` prints it.

    Args:
        event_shape: `[height, width, channels]`.
        latent_dim: number of latents.
        observation: `"pixelcnn"`, made of the arguments below, or another one as for `VAE`.
        free_bits: as for `VAE`; by default the paper's 0.01 nats for each value of an example.
        decoder_layers: masked convolutions of the PixelCNN.
        kernel_size: odd side of their kernels.
        filters: their channels.
        tied: True for convolutions after the first that share their weights.
        gated: True for the gated PixelCNN (`networks.GatedPixelCNNStack`).
        downsample: distance of the pixels that see each other (`AutoregressivePixels`).
        **kwargs: `VAE` arguments.

    Raises:
        ValueError: arguments of the decoder beside another `observation`; a `gated` one that is
            `tied`; sizes that are no positive numbers.

    >>> import numpy as np, tfgen
    >>> model = tfgen.VLAE((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp")
    >>> model.decompress(np.zeros((2, 4, 4, 1), "uint8"), seed=0).shape
    TensorShape([2, 4, 4, 1])
    >>> tfgen.VLAE((4, 4, 1), decoder_layers=2, downsample=2).observation.receptive_field
    (4, 4)
    """

    _kinds = ("binary", "uint8")
    _sampling = "sweeps over the latents, waves over the image"

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        observation="pixelcnn",
        free_bits=None,
        decoder_layers=6,
        kernel_size=3,
        filters=12,
        tied=False,
        gated=False,
        downsample=1,
        data_kind=None,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        sizes = filters, decoder_layers, kernel_size
        tied, gated = checks.check_bool(tied, "tied"), checks.check_bool(gated, "gated")
        if isinstance(observation, str) and observation == "pixelcnn":
            for name, value in zip(("filters", "decoder_layers"), sizes, strict=False):
                checks.check_count(value, name)
            if gated and tied:
                raise ValueError("`tied` goes with a decoder that is not gated; got both")
            if gated:
                network = GatedPixelCNNStack(*sizes, dtype=dtype)
            else:
                network = PixelCNNStack(*sizes, tied=tied, dtype=dtype)
            observation = AutoregressivePixels.of_kind(data_kind, network, downsample, dtype)
        elif (*sizes, tied, gated, downsample) != (12, 6, 3, False, False, 1):
            raise ValueError(
                "`filters`, `decoder_layers`, `kernel_size`, `tied`, `gated` and `downsample` are "
                f'of the observation "pixelcnn"; got {observation!r}'
            )
        if free_bits is None:
            free_bits = 0.01 * math.prod(checks.as_shape(event_shape, "event_shape"))
        super().__init__(
            event_shape,
            latent_dim,
            observation=observation,
            free_bits=free_bits,
            data_kind=data_kind,
            dtype=dtype,
            **kwargs,
        )
        self.decoder_layers, self.kernel_size, self.filters = decoder_layers, kernel_size, filters
        self.tied, self.gated, self.downsample = tied, gated, downsample

    def summary(self, *args, print_fn=None, **kwargs):
        """Keras's summary, and the window that the decoder sees. Arguments as for Keras's.

        >>> import tfgen
        >>> lines = []
        >>> model = tfgen.VLAE((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp")
        >>> model.summary(print_fn=lambda line, line_break=False: lines.append(line))
        >>> lines[-1]
        'Receptive field of the decoder: 6 rows above, 6 columns to each side'
        """
        super().summary(*args, print_fn=print_fn, **kwargs)
        field = getattr(self.observation, "receptive_field", None)
        if field is not None:
            step = self.observation.downsample
            every = f", every {step} pixels" if step > 1 else ""
            (print_fn or print)(
                f"Receptive field of the decoder: {field[0]} rows above, {field[1]} columns to "
                f"each side{every}"
            )

    def default_optimizer(self):
        """The paper's (appendix A)."""
        return keras.optimizers.Adamax(2e-3)

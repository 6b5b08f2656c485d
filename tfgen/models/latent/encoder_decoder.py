"""EncoderDecoder: examples to latents and back, and distributions fitted to latents."""

import tensorflow as tf

from tfgen.core.fit_base import fit_flow
from tfgen.core.model import GenerativeModel
from tfgen.data.binarise import draw_bits
from tfgen.distributions import fit_gaussian
from tfgen.distributions import fit_gaussian_mixture
from tfgen.models.latent.decoder_model import DecoderModel
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in

FITS = ("gaussian", "gmm", "flow")


class EncoderDecoder(DecoderModel):
    """Examples to features, latents, features again, and examples.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        parts: as for `DecoderModel`, and `posterior`, a `Posterior` from an encoder's features to
            latents.
        encoder: layer from examples (as `observation.inputs` gives them) to features
            `[batch, size]`, or a name as for `decoder`.
        decoder: as for `DecoderModel`.
        **kwargs: `DecoderModel` arguments.

    Raises:
        ValueError: as for `DecoderModel`; an encoder whose features are no vectors.

    >>> import numpy as np, tfgen
    >>> from tfgen import distributions
    >>> class Coder(tfgen.models.EncoderDecoder):
    ...     def __init__(self, event_shape, latent_dim=2):
    ...         parts = {
    ...             "observation": distributions.get_observation("bernoulli"),
    ...             "posterior": distributions.get_posterior("normal"),
    ...         }
    ...         super().__init__(event_shape, latent_dim, parts, encoder="mlp", decoder="mlp")
    >>> Coder(4).reconstruct(np.eye(4)).shape
    TensorShape([4, 4])
    """

    # Kinds that `fit_latents` takes by name, and the one without which samples are no good.
    latent_kinds = FITS
    usual_latents = None
    _has_encoder = True

    def __init__(self, event_shape, latent_dim, parts, encoder=None, decoder=None, **kwargs):
        networks = {"encoder": encoder, "decoder": decoder}
        super().__init__(event_shape, latent_dim, parts, networks, **kwargs)

    def _build_parts(self):
        shape = (None, *self.event_shape)
        build_once(self.encoder, shape)
        features = tuple(self.encoder.compute_output_shape(shape))
        if len(features) != 2:
            raise ValueError(f"`encoder` must give features [batch, size]; got {list(features)}")
        shape = (None, features[-1] + self._num_features)
        build_once(self.posterior, shape, latent_dim=self.latent_dim)
        super()._build_parts()

    def fit_latents(self, x, kind="gmm", condition=None, num_components=10, seed=0, **kwargs):
        """Fits a distribution to the latents of examples, and puts it in the prior's place
        (Ghosh et al. 2019, "From Variational to Deterministic Autoencoders", arXiv:1903.12436; Dai
        and Wipf 2019, "Diagnosing and Enhancing VAE Models", arXiv:1903.05789).

        From then on `sample` draws from it, and `log_prob` counts with it; the model is saved and
        exported with it (checkpoints of weights alone need a model that has such latents already).
        Training, `evaluate` and validation stay with the prior. More training moves the latents:
        fit them again then. They are the posterior's draws where it is a distribution. Conditional
        models get one distribution for all conditions.

        Args:
            x: `[n, *event_shape]`, more examples than latents and components; of binary data also
                probabilities, which are drawn from once.
            kind: `"gaussian"` (full covariance), `"gmm"` (mixture of such, by scikit-learn),
                `"flow"` (a `RealNVP`) or a `tfgen.Flow` of events `[latent_dim]`.
            condition: as in `log_prob`.
            num_components: of the mixture.
            seed: integer, of the posterior's draws and of scikit-learn; a flow goes by
                `keras.utils.set_random_seed`.
            **kwargs: of a flow's `fit`; by default 20 epochs of 100 steps or more, with batches
                of 256.

        Returns:
            The model's `fitted_latents`, a `tfgen.distributions.Base`.

        Raises:
            ValueError: another `kind`, or too few examples.

        >>> import numpy as np, tfgen
        >>> model = tfgen.Autoencoder(3, latent_dim=2, data_kind="real")
        >>> _ = model.fit_latents(np.random.default_rng(0).normal(size=(20, 3)), "gaussian")
        >>> model.sample(5).shape
        TensorShape([5, 3])
        """
        flow = kind if isinstance(kind, GenerativeModel) and hasattr(kind, "to_base") else None
        if flow is None and (not isinstance(kind, str) or kind not in self.latent_kinds):
            kinds = list(self.latent_kinds)
            raise ValueError(f"`kind` must be one of {kinds} or a tfgen.Flow; got {kind!r}")
        if kwargs and kind in ("gaussian", "gmm"):
            raise ValueError(f'`{next(iter(kwargs))}` goes with the kind "flow"; got {kind!r}')
        num_components = checks.check_count(num_components, "num_components")
        seed = checks.check_int(seed, "seed", 0, 2**32 - 1)
        x = self.data_spec.check_x(x, probabilities=True)
        if self.data_kind == "binary":
            x = draw_bits(x, seed)
        least = max(self.latent_dim, num_components if kind == "gmm" else 1)
        if len(x) <= least:
            raise ValueError(f"`x` must have more than {least} examples, to fit; got {len(x)}")
        z = self._map_examples("draw_latents", x, condition, 256, seed).numpy()
        with self.distribute_strategy.scope():
            if kind == "gaussian":
                latents = fit_gaussian(z)
            elif kind == "gmm":
                latents = fit_gaussian_mixture(z, num_components, seed)
            else:
                latents = fit_flow(z, flow, self.variable_dtype, **kwargs)
        self.set_latents(latents)
        return self.fitted_latents

    # --- hooks ----------------------------------------------------------------

    def _encoded(self, x, condition, training=False):
        features = self.encoder(self._observed.inputs(x), training=training)
        return self._joined(tf.cast(features, self.variable_dtype), condition)

    def _encode(self, x, condition):
        return self.posterior.mean(self._encoded(x, condition))

    def _draw_latents(self, x, condition, seed, start):
        noise = self.posterior.noise(fold_in(seed, Stream.POSTERIOR), start, tf.shape(x)[0])
        return self.posterior.sample(noise, self._encoded(x, condition))[0]

"""Autoencoder: one value for the latents, one for the example."""

import keras
import tensorflow as tf

from tfgen.distributions import Deterministic
from tfgen.distributions import DeterministicPosterior
from tfgen.distributions import Factorised
from tfgen.models.latent.encoder_decoder import EncoderDecoder
from tfgen.utils import checks


class PointAutoencoder(EncoderDecoder):
    """Autoencoder of deterministic parts, with a squared error: the base of `Autoencoder` and
    `InjectiveFlow`.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        encoder: as for `EncoderDecoder`.
        decoder: as for `EncoderDecoder`.
        data_kind: `"uint8"` or `"real"`.
        decoder_l2: weight of the sum of the squares of the decoder's trainable weights.
        parts: dict of `prior`, if there is one.
        **kwargs: `EncoderDecoder` arguments.
    """

    _for_images = "conv"
    _kinds = ("real", "uint8")
    _minimises = "squared_error"
    usual_latents = "gmm"

    def __init__(
        self,
        event_shape,
        latent_dim,
        encoder=None,
        decoder=None,
        data_kind="uint8",
        decoder_l2=0.0,
        dtype=None,
        parts=(),
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        element = Deterministic(data_kind, dtype=dtype)
        parts = {
            "posterior": DeterministicPosterior(dtype=dtype),
            "observation": Factorised(element, dtype=dtype),
            **dict(parts),
        }
        super().__init__(event_shape, latent_dim, parts, encoder, decoder, dtype=dtype, **kwargs)
        self.decoder_l2 = checks.check_weight(decoder_l2, "decoder_l2")

    # --- hooks ----------------------------------------------------------------

    @property
    def _scale(self):
        """The data's value of 1 in the errors, and for the networks."""
        return self.observation.element.unit

    def _decoded_values(self, z, condition, training=False):
        """`g(z)` as reals, `[batch, *event_shape]`, in the data's units."""
        return self._observed.mean(self._decoded(z, condition, training))

    def _standard_values(self, z, condition, training=False):
        """Outputs of the decoder; of reals they are standardised."""
        return self.observation.mean(self._decoded(z, condition, training))

    def _scaled(self, values):
        """Standardised values, or differences of them, on the scale of the data."""
        return values * self.x_scale if self._scales_x else values

    def _moved(self, values):
        """Values on the scale of the data in their place."""
        return values + self.x_loc if self._scales_x else values

    def _squared_error(self, x, values):
        error = (tf.cast(x, values.dtype) - values) / self._scale
        return tf.reduce_sum(error**2, list(range(1, error.shape.rank)))

    def _initialise(self, parts):
        for x, condition, _ in parts:
            self._decoded_values(self._encode(x, condition), condition)

    def _penalised(self, terms):
        """Terms, with that of the decoder's weights where it has a weight."""
        if self.decoder_l2:
            weights = self.decoder.trainable_variables + self.observation.trainable_variables
            penalty = self.decoder_l2 * sum(tf.reduce_sum(w.value**2) for w in weights)
            terms |= {"penalty": penalty, "decoder_l2": penalty}
        return terms

    def _term_names(self):
        return ("squared_error", *["decoder_l2"] * bool(self.decoder_l2))


@keras.saving.register_keras_serializable(package="tfgen")
class Autoencoder(PointAutoencoder):
    """Autoencoder: the squared error of reconstructions is minimised.

    It becomes a generative model by `fit_latents` (Ghosh et al. 2019, "From Variational to
    Deterministic Autoencoders", arXiv:1903.12436). There is no `log_prob`: `model(x)` and `predict`
    give reconstructions.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        decoder_l2: weight of the sum of the squares of the decoder's trainable weights.
        encoder: layer from examples (of uint8 data by 255) to features `[batch, size]`, or `"mlp"`,
            or of images `"conv"` (the default) or `"resnet"`.
        decoder: layer from latents to features, `[batch, size]` or
            `[batch, height, width, channels]`, or a name as for `encoder`.
        data_kind: `"uint8"` or `"real"`.
        **kwargs: `condition_shape` (`[features]`), `num_classes`, `dtype`, `name`, and
            `fitted_latents`, a distribution to draw latents from as for `set_latents`.

    The logs hold `squared_error`, the squared error of an example (of uint8 data by 255), and
    `decoder_l2`.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> model = tfgen.Autoencoder((8, 8, 1), latent_dim=2, encoder="mlp", decoder="mlp")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> latents = model.fit_latents(x, "gmm", num_components=2)
    >>> model.reconstruct(x).shape, model.sample(3).shape
    (TensorShape([32, 8, 8, 1]), TensorShape([3, 8, 8, 1]))
    >>> tfgen.Autoencoder((8, 8, 1), encoder="mlp", decoder="mlp").require_samples()
    Traceback (most recent call last):
    ...
    ValueError: this Autoencoder has no distribution of latents: call `fit_latents` first
    """

    likelihood = "none"
    _sampling = "one pass, after `fit_latents`"

    def __init__(self, event_shape, latent_dim=32, decoder_l2=0.0, **kwargs):
        super().__init__(event_shape, latent_dim, decoder_l2=decoder_l2, parts=(), **kwargs)

    @property
    def _output_event_shape(self):
        return self.event_shape

    def _outputs(self, x, condition, seed, start):
        return self._decode(self._encode(x, condition), condition, seed, start)

    def _terms(self, x, condition, noise, training):
        z = self.posterior.mean(self._encoded(x, condition, training))
        error = self._squared_error(x, self._decoded_values(z, condition, training))
        return self._penalised({"loss": error, "squared_error": error})

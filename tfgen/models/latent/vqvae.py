"""VQVAE: latents that are indices of a codebook's vectors."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions import CodebookPosterior
from tfgen.distributions import IndependentCodes
from tfgen.distributions.codes import as_indices
from tfgen.metrics import bits_per_dim
from tfgen.models.latent.codes import FitsCodes
from tfgen.models.latent.vae import VAE
from tfgen.networks import ConvDecoder
from tfgen.networks import ConvEncoder
from tfgen.utils import checks
from tfgen.utils.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="tfgen")
class VQVAE(FitsCodes, VAE):
    """Vector-quantised autoencoder (van den Oord et al. 2017, "Neural Discrete Representation
    Learning", arXiv:1711.00937): what the encoder gives is replaced by the nearest vectors of a
    codebook, whose indices are the latents.

    The decoder's gradient goes to the encoder as if nothing had been replaced; the codebook follows
    moving averages (appendix A.1 there), and starts at vectors of the data. In training the prior
    is uniform (section 3.2); `fit_latents` puts an autoregressive one in its place, and `log_prob`,
    a bound in any case, rises by what that knows. Latents are indices as reals: `decode` takes the
    nearest ones.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        num_latents: number of codes of an example; by default, of images, one for each 4x4 pixels,
            and 8 of a vector.
        num_codes: number of vectors of the codebook.
        code_dim: their size.
        encoder: as for `VAE`, to features that divide among the latents; by default, of images, two
            convolutions with stride 2 and one more.
        decoder: as for `VAE`, of the codes' vectors, `num_latents * code_dim` values.
        commitment: weight of the squared distance of what the encoder gives from its codes (eq. 3).
        decay: of the moving averages.
        observation: as for `VAE`.
        data_kind: as for `VAE`.
        **kwargs: `VAE` arguments, but for `latent_dim`, `posterior`, `prior`, `beta` and
            `free_bits`.

    The logs hold the negative bound (`negative_elbo`), `reconstruction`, `commitment` with its
    weight, and `perplexity`, the effective number of codes in use in a minibatch.

    Raises:
        ValueError: as for `VAE`; features that do not divide among the latents.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.VQVAE((8, 8, 1), num_codes=5, code_dim=2)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> latents = model.fit_latents(x, epochs=1, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape, model.encode(x).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]), TensorShape([32, 4]))
    """

    _are_indices = True
    _latents = "num_latents"
    _minimises = "reconstruction + commitment"

    def __init__(
        self,
        event_shape,
        num_latents=None,
        num_codes=128,
        code_dim=16,
        encoder=None,
        decoder=None,
        commitment=0.25,
        decay=0.99,
        observation=None,
        data_kind=None,
        dtype=None,
        **kwargs,
    ):
        dtype, shape = checks.as_policy(dtype), checks.as_shape(event_shape, "event_shape")
        sides = [-(-side // 4) for side in shape[:2]] if len(shape) == 3 else None
        if sides and encoder is None:
            encoder = ConvEncoder((32, 64, 64), (2, 2, 1), batch_norm=False, dtype=dtype)
        if sides and decoder is None:
            decoder = ConvDecoder(shape[:2], (64, 64, 32), (1, 2, 2), batch_norm=False, dtype=dtype)
        given, size = num_latents, 8 if sides is None else sides[0] * sides[1]
        if num_latents is not None:
            size = checks.check_count(num_latents, "num_latents")
        super().__init__(
            event_shape,
            size,
            encoder,
            decoder,
            posterior=CodebookPosterior(num_codes, code_dim, decay, dtype=dtype),
            prior=IndependentCodes(num_codes, indices=True, learned=False, dtype=dtype),
            observation=observation,
            beta=1.0,
            free_bits=0.0,
            data_kind=data_kind,
            dtype=dtype,
            **kwargs,
        )
        self.num_latents, self.num_codes, self.code_dim = given, num_codes, code_dim
        self.num_categories = num_codes
        self.commitment, self.decay = checks.check_weight(commitment, "commitment"), decay
        if sides and size == sides[0] * sides[1]:
            self._code_sides = tuple(sides)

    @property
    def _decoder_inputs(self):
        return self.latent_dim * self.code_dim

    # --- hooks ----------------------------------------------------------------

    # Of a uniform prior samples are no images.
    usual_latents = "autoregressive"
    _unordered_terms = frozenset({"perplexity"})

    def _term_names(self):
        bits = ("bpd",) * (self.data_kind == "uint8")
        return (*bits, "negative_elbo", "reconstruction", "commitment", "perplexity")

    def _is_adaptive(self):
        return True

    def _initialise(self, parts):
        ((x, condition, noise),) = parts
        self._observed.adapt(x, noise[1])
        self.posterior.start(self.posterior.vectors(self._encoded(x, condition)))
        self._log_weight(x, condition, noise)

    def _of_vectors(self, vectors, condition, training=False):
        flat = tf.reshape(vectors, [-1, self._decoder_inputs])
        return super()._decoded(flat, condition, training)

    def _decoded(self, z, condition, training=False):
        vectors = self.posterior.looked_up(as_indices(z, self.num_codes))
        return self._of_vectors(vectors, condition, training)

    def _terms(self, x, condition, noise, training):
        posterior = self.posterior
        vectors = posterior.vectors(self._encoded(x, condition, training))
        index = posterior.nearest(vectors)
        codes = posterior.looked_up(index)
        passed = vectors + tf.stop_gradient(codes - vectors)
        decoded = self._of_vectors(passed, condition, training)
        reconstruction = -self._observed.log_prob(x, decoded, noise[1])
        distance = tf.reduce_sum((vectors - tf.stop_gradient(codes)) ** 2, [1, 2])
        commitment = self.commitment * distance
        if training:
            posterior.move(vectors, index)
        used = tf.one_hot(index, self.num_codes, dtype=vectors.dtype)
        used = sum_over_replicas(tf.reduce_sum(used, [0, 1]))
        share = used / tf.reduce_sum(used)
        entropy = -tf.reduce_sum(tf.math.xlogy(share, share))
        terms = {
            "loss": reconstruction + commitment,
            "negative_elbo": reconstruction + self.latent_dim * np.log(self.num_codes),
            "reconstruction": reconstruction,
            "commitment": commitment,
            "perplexity": tf.exp(entropy),
        }
        if self.data_kind == "uint8":
            terms["bpd"] = bits_per_dim(-terms["negative_elbo"], self.num_dims)
        return terms

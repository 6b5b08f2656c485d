"""DiscreteVAE: a variational autoencoder whose latents are categories."""

import keras
import tensorflow as tf

from tfgen.distributions import IndependentCodes
from tfgen.distributions import OneHotPosterior
from tfgen.metrics import bits_per_dim
from tfgen.models.latent.codes import FitsCodes
from tfgen.models.latent.discrete_latents import Draws
from tfgen.models.latent.discrete_latents import Estimated
from tfgen.models.latent.discrete_latents import hard
from tfgen.models.latent.estimators import get_estimator
from tfgen.models.latent.vae import VAE
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in


@keras.saving.register_keras_serializable(package="tfgen")
class DiscreteVAE(FitsCodes, Estimated, VAE):
    """`VAE` of categorical latents (Jang et al. 2017, "Categorical Reparameterization with
    Gumbel-Softmax", arXiv:1611.01144), trained by an estimator of the bound's gradient.

    Latents are one-hot vectors side by side, `num_latents * num_categories` values; `encode` gives
    their probabilities. `exact_log_prob` sums over all of them, where they are few.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        num_latents: number of categories that are drawn.
        num_categories: number of values of each.
        encoder: as for `VAE`.
        decoder: as for `VAE`.
        estimator: `"gumbel"`, `"straight_through"`, `"reinforce"`, `"vimco"` or a
            `models.Estimator`.
        observation: as for `VAE`.
        data_kind: as for `VAE`.
        **kwargs: `VAE` arguments, but for `latent_dim`, `posterior`, `prior`, `beta` and
            `free_bits`.

    Raises:
        ValueError: as for `VAE`; another estimator.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 6))
    >>> model = tfgen.DiscreteVAE(6, num_latents=2, num_categories=3)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> len(model.units)
    1
    >>> model.log_prob(x).shape, model.sample(3).shape, model.encode(x).shape
    (TensorShape([32]), TensorShape([3, 6]), TensorShape([32, 6]))
    """

    _latents = "num_latents * num_categories"
    _minimises = "negative_elbo or negative_bound"

    def __init__(
        self,
        event_shape,
        num_latents=20,
        num_categories=10,
        encoder=None,
        decoder=None,
        estimator="gumbel",
        observation=None,
        data_kind=None,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        num_latents = checks.check_count(num_latents, "num_latents")
        parts = {
            "posterior": OneHotPosterior(num_categories, dtype=dtype),
            "prior": IndependentCodes(num_categories, dtype=dtype),
        }
        super().__init__(
            event_shape,
            num_latents * num_categories,
            encoder,
            decoder,
            observation=observation,
            data_kind=data_kind,
            dtype=dtype,
            beta=1.0,
            free_bits=0.0,
            **parts,
            **kwargs,
        )
        self.num_latents, self.num_categories = num_latents, num_categories
        self.estimator = get_estimator(estimator, dtype)
        checks.check_same_dtype(self, estimator=self.estimator)

    def _build_parts(self):
        super()._build_parts()
        size = self.encoder.compute_output_shape((None, *self.event_shape))[-1]
        self.estimator.build([size + self._num_features])

    @property
    def units(self):
        """The one layer of categories that is drawn, a list."""
        return [self.posterior.units]

    # --- hooks ----------------------------------------------------------------

    def _term_names(self):
        return (*("bpd",) * (self.data_kind == "uint8"), *super()._term_names())

    def _terms_noise(self, seed, start, num_rows):
        latents = super()._terms_noise(seed, start, num_rows)
        return latents, self._observed.log_prob_noise(fold_in(seed, Stream.DATA), start, num_rows)

    def _initialise(self, parts):
        ((x, condition, (latents, for_data)),) = parts
        self._observed.adapt(x, for_data)
        self._log_weight(x, condition, (latents[:, 0], for_data))

    def _draws(self, x, condition, noise, draw=hard, training=False):
        # States to be scored have no noise of the data beside them.
        latents, for_data = noise if isinstance(noise, tuple) else (noise, None)
        if for_data is None:
            seed = fold_in(tf.zeros([2], tf.int32), Stream.DATA)
            for_data = self._observed.log_prob_noise(seed, 0, tf.shape(x)[0])
        num_samples, (units,) = latents.shape[1], self.units

        def each(values):
            return tf.nest.map_structure(
                lambda v: v if v is None else tf.repeat(v, num_samples, 0), values
            )

        features = self._encoded(x, condition, training)
        logits = each(self.posterior.logits(features))
        step = tf.convert_to_tensor(self.steps_taken)
        z = draw(units, tf.reshape(latents, [-1, units.size]), logits, step)
        decoded = self._decoded(z, each(condition), training)
        log_p = [self._observed.log_prob(each(x), decoded, each(for_data)), self.prior.log_prob(z)]
        logs = [*log_p, units.log_prob(z, logits)]
        *log_p, log_q = (tf.reshape(log, [-1, num_samples]) for log in logs)
        return Draws(log_p, [log_q], [each(features)])

    def _terms(self, x, condition, noise, training):
        terms = super()._terms(x, condition, noise, training)
        if self.data_kind == "uint8":
            terms["bpd"] = bits_per_dim(-terms["negative_elbo"], self.num_dims)
        return terms

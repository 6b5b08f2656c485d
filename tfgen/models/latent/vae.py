"""Latent-variable models: posterior, prior and observation as parts, one lower bound."""

import math

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from tfgen.distributions import Deterministic
from tfgen.distributions import get_base
from tfgen.distributions import get_observation
from tfgen.distributions import get_posterior
from tfgen.metrics import active_units
from tfgen.metrics import bits_per_dim
from tfgen.models.latent.encoder_decoder import EncoderDecoder
from tfgen.models.latent.from_generator import vae_from_generator
from tfgen.objectives import elbo_terms
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in


@keras.saving.register_keras_serializable(package="tfgen")
class VAE(EncoderDecoder):
    """Variational autoencoder (Kingma and Welling 2014, "Auto-Encoding Variational Bayes",
    arXiv:1312.6114): `z ~ prior`, `x ~ p(x|z)`, trained by the evidence lower bound (eq. 3) with a
    posterior `q(z|x)`.

    `log_prob` is the bound from one draw of the posterior, in nats; `estimate_log_prob` the
    importance-weighted one of many (Burda et al. 2016, arXiv:1509.00519), which rises to the
    log-likelihood.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        encoder: layer from examples (as `observation.inputs` gives them) to features
            `[batch, size]`, or `"mlp"`, or of images `"resnet"` (the default) or `"conv"`.
        decoder: layer from latents to features, `[batch, size]` or
            `[batch, height, width, channels]`, or a name as for `encoder`.
        posterior: `"normal"`, `"iaf"` or a `tfgen.distributions.Posterior`.
        prior: `"normal"`, `"af"` (autoregressive flow), another name or object as a flow's `base`,
            or a bijector.
        observation: `"bernoulli"`, `"normal"`, `"logistic"`, `"pixelcnn"`, `"flow"`, an
            `OutputDistribution` or an `Observation`; by default the one for `data_kind`. Normal
            distributions of uint8 data are of dequantised pixels.
        beta: weight of the divergence, or a Keras learning-rate schedule that gives it for each
            step: so it can be annealed.
        free_bits: nats of the divergence that cost nothing, see `objectives.elbo_terms`.
        data_kind: `"binary"`, `"real"` or `"uint8"`; by default the observation's, or binary.
        observation_scale: standard deviation of the observation `"normal"`: `"shared"`, one that is
            learned for each channel, the same everywhere; `"per_value"`, one from the decoder for
            each value; or a number, in the units of real data, where of uint8 data all 256 levels
            span 1 (1.0 is the `N(0, I)` on images in [0, 1] of Kumar et al. 2019). By default
            `"shared"` for reals and `"per_value"` for uint8 data.
        **kwargs: `condition_shape` (`[features]`), `num_classes`, `dtype`, `name`, and
            `fitted_latents`, a distribution in the prior's place as for `set_latents`.

    For Polyak averaging compile with an optimizer that has `use_ema=True`; `fit` leaves the
    averages in the model, and the callback `keras.callbacks.SwapEMAWeights()` validates with them.

    The logs hold the negative bound (`negative_elbo` in nats, of uint8 data also `bpd`),
    `reconstruction`, `kl` in nats and in bits, and `active_units`, the number of latents in use in
    a minibatch.

    Raises:
        ValueError: an observation of other data or without a density; parts that do not fit each
            other.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.VAE((8, 8, 1), latent_dim=2, encoder="mlp", decoder="mlp")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape, model.encode(x).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]), TensorShape([32, 2]))
    >>> bool(np.mean(model.estimate_log_prob(x, num_samples=20) - model.log_prob(x)) > 0)
    True
    """

    likelihood = "bound"
    _minimises = "negative_elbo"

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        encoder=None,
        decoder=None,
        posterior="normal",
        prior="normal",
        observation=None,
        beta=1.0,
        free_bits=0.0,
        data_kind=None,
        dtype=None,
        observation_scale=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        if data_kind is not None:
            checks.check_data_kind(data_kind)
        observation = get_observation(observation, dtype, data_kind, observation_scale)
        if data_kind not in (None, observation.data_kind):
            raise ValueError(
                f"`observation` must be of {data_kind!r} data, which `data_kind` says; got a "
                f"{type(observation).__name__} of {observation.data_kind!r} data"
            )
        if isinstance(getattr(observation, "element", None), Deterministic):
            raise ValueError(
                f"`observation` must have a density; got a {type(observation).__name__} of "
                "Deterministic values"
            )
        parts = {
            "posterior": get_posterior(posterior, dtype),
            "prior": get_base(prior, dtype, name="prior"),
            "observation": observation,
        }
        super().__init__(event_shape, latent_dim, parts, encoder, decoder, dtype=dtype, **kwargs)
        self.beta = checks.as_weight_or_schedule(beta, "beta")
        self.free_bits = checks.check_weight(free_bits, "free_bits")

    from_generator = classmethod(vae_from_generator)

    def encode(self, x, condition=None, sample=False, seed=None, batch_size=256):
        """Latents of `x`, `[n, latent_dim]`.

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            sample: draws from the posterior; otherwise its mean.
            seed: of the draws: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.
        """
        if not checks.check_bool(sample, "sample"):
            return super().encode(x, condition, batch_size)
        return self._map_examples("draw_latents", x, condition, batch_size, seed)

    def log_likelihood(self, x, z, condition=None, seed=0, batch_size=256):
        """`log p(x|z)` of examples and latents, `[n]`, nats.

        Args:
            x: `[n, *event_shape]`.
            z: `[n, latent_dim]`.
            condition: as in `log_prob`.
            seed: of dequantisation noise, where the observation takes it.
            batch_size: rows computed at a time.

        >>> import numpy as np, tfgen
        >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
        >>> model.log_likelihood(np.eye(4), np.zeros((4, 2))).shape
        TensorShape([4])
        """
        return self._map_examples("log_likelihood", x, condition, batch_size, seed, z=z)

    def decompress(self, x, condition=None, temperature=1.0, seed=None, batch_size=256):
        """Draws again what the latents of `x` hold: `z` from `q(z|x)`, then an example from
        `p(x|z)` (Chen et al. 2017, "Variational Lossy Autoencoder", arXiv:1611.02731, section 4.1).

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            temperature: of the observation.
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.

        Returns:
            `[n, *event_shape]` tensor in the data's type.

        >>> import numpy as np, tfgen
        >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
        >>> model.decompress(np.eye(4), seed=0).dtype
        tf.uint8
        """
        temperature = self._as_temperature(temperature)
        return self._map_examples(
            "decompress", x, condition, batch_size, seed, temperature=temperature
        )

    def code_length(self, x, condition=None, seed=0, batch_size=256):
        """Length of a bits-back code of `x`, in bits (Chen et al. 2017, "Variational Lossy
        Autoencoder", arXiv:1611.02731, section 2.2).

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            seed: of the posterior's draw: integer or two integers.
            batch_size: rows computed at a time.

        Returns:
            Dict of `latents`, `log q(z|x) - log p(z)`, and `data`, `-log p(x|z)`, each `[n]`; they
            sum to `-log_prob(x, seed=seed)` in bits.

        >>> import numpy as np, tfgen
        >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
        >>> length = model.code_length(np.eye(4))
        >>> bits = -model.log_prob(np.eye(4)) / np.log(2.0)
        >>> bool(np.allclose(length["latents"] + length["data"], bits, atol=1e-4))
        True
        """
        parts = self._map_examples("code_length", x, condition, batch_size, seed)
        return {name: parts[:, i] for i, name in enumerate(("latents", "data"))}

    # --- hooks ----------------------------------------------------------------

    @property
    def _is_unbounded(self):
        """True of a scale of reals that is learned, but for those of a network, with a floor."""
        element = getattr(self.observation, "element", None)
        return getattr(element, "scale", None) == "shared"

    def _initialise(self, parts):
        ((x, condition, noise),) = parts
        for_latents, for_data = noise
        self._observed.adapt(x, for_data)
        self.prior.adapt(self.posterior.sample(for_latents, self._encoded(x, condition))[0])
        self._log_weight(x, condition, noise)

    _unordered_terms = frozenset({"active_units", "beta"})

    def _term_names(self):
        names = ("negative_elbo", "reconstruction", "kl", "kl_bits", "active_units")
        bits = ("bpd",) * (self.data_kind == "uint8")
        return bits + names + ("beta",) * isinstance(self.beta, LearningRateSchedule)

    def _log_prob_noise(self, seed, start, num_rows):
        latents = self.posterior.noise(fold_in(seed, Stream.LATENTS), start, num_rows)
        return latents, self._observed.log_prob_noise(fold_in(seed, Stream.DATA), start, num_rows)

    def _densities(self, x, features, condition, noise, latents, training=False):
        """`log p(x|z)`, `log p(z)`, `log q(z|x)` at a draw of the posterior."""
        for_latents, for_data = noise
        z, log_posterior = self.posterior.sample(for_latents, features)
        decoded = self._decoded(z, condition, training)
        log_likelihood = self._observed.log_prob(x, decoded, for_data)
        return log_likelihood, latents.log_prob(z), log_posterior

    def _log_weight_of(self, x, condition):
        # What does not depend on the noise is computed once.
        features = self._encoded(x, condition)

        def log_weight(noise):
            log_likelihood, log_prior, log_posterior = self._densities(
                x, features, condition, noise, self.latents
            )
            return log_likelihood + log_prior - log_posterior

        return log_weight

    def _log_weight(self, x, condition, noise):
        return self._log_weight_of(x, condition)(noise)

    def _terms(self, x, condition, noise, training):
        features = self._encoded(x, condition, training)
        # The objective is of the prior, whatever was fitted to take its place.
        densities = self._densities(x, features, condition, noise, self.prior, training)
        beta = self._now(self.beta)
        terms = elbo_terms(*densities, beta=beta, free_bits=self.free_bits)
        if "beta" in self.term_names:
            terms["beta"] = beta
        terms["active_units"] = active_units(self.posterior.mean(features))
        if self.data_kind == "uint8":
            terms["bpd"] = bits_per_dim(-terms["negative_elbo"], self.num_dims)
        return terms

    def _decompress(self, x, condition, seed, start, temperature):
        z = self._draw_latents(x, condition, seed, start)
        noise = self._observed.noise(fold_in(seed, Stream.DECODED), start, tf.shape(x)[0])
        return self._observed.sample(noise, self._decoded(z, condition), temperature)

    def _log_likelihood(self, x, z, condition, seed, start):
        noise = self._observed.log_prob_noise(fold_in(seed, Stream.DATA), start, tf.shape(x)[0])
        return self._observed.log_prob(x, self._decoded(z, condition), noise)

    def _code_length(self, x, condition, seed, start):
        noise = self._log_prob_noise(seed, start, tf.shape(x)[0])
        log_likelihood, log_prior, log_posterior = self._densities(
            x, self._encoded(x, condition), condition, noise, self.latents
        )
        return tf.stack([log_posterior - log_prior, -log_likelihood], 1) / math.log(2)

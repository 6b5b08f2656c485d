"""Relaxed injective flow: an autoencoder whose decoder carries a density to its image."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.distributions import IsotropicNormal
from tfgen.models.latent.autoencoder import PointAutoencoder
from tfgen.objectives import injective_flow_terms
from tfgen.objectives.injective import OBJECTIVES
from tfgen.optimizers import PenaltyGrowth
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_normal
from tfgen.utils.replicas import sum_over_replicas

JACOBIANS = ("finite_difference", "jvp")
# Why a batch of one row is refused.
_ONE_ROW = (
    "statistics of one row, of the decoder's batch normalisation, are of the row itself and leave "
    "no Jacobian"
)
BOUNDS = ("exact", "log_frobenius", "frobenius")


@keras.saving.register_keras_serializable(package="tfgen")
class InjectiveFlow(PointAutoencoder):
    """Relaxed injective flow (Kumar et al. 2019, "Learning Generative Samplers using Relaxed
    Injective Flow"; see also arXiv:2002.08927): latents of few dimensions, whose normal
    distribution an injective decoder `g` carries to its image; the encoder `h` is its inverse.

    `log_prob` is the density on that image, the model's manifold, at `g(h(x))` (eq. 3). It is of
    volumes of `latent_dim` dimensions, in the units of the data, and does not compare with that of
    other models, nor says anything of what `x` loses in the reconstruction. For the trade-off
    between both, and for examples beside the manifold, see `mixture_log_prob`.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents, not more than values in an example.
        objective: `"log_frobenius"` (eq. 8) or `"frobenius"` (eq. 10).
        prior_weight: of `|h(x)|^2`: the prior is a normal distribution of variance
            `1 / (2 prior_weight)`. At 0 there is none, until `fit_latents`.
        mu: weight of the squared error of the reconstruction: a number or a Keras schedule; by
            default `optimizers.PenaltyGrowth()`.
        mu_in: weight of the injectivity, as `mu`.
        eta: singular values of the decoder's Jacobian below this are penalised.
        lambda_: of eq. 10.
        num_probes: random directions in which the Jacobian is taken in a training step.
        jacobian: `"finite_difference"` (eq. 7) or `"jvp"`, exact and slower; by default the
            first, or the second where the decoder computes in half precision or on a GPU with TF32.
        epsilon: step of finite differences, which suppose data and latents of order 1.
        **kwargs: as for `Autoencoder`.

    The weights of the terms grow, and so does the loss: callbacks watch `val_squared_error`.

    Errors and Jacobians are of data by 255 where they are uint8. Under batch normalisation a finite
    difference in training is of the network with one set of statistics; `"jvp"` differentiates
    these, too, and on several replicas does not give what it gives on one. Statistics of one row
    leave no Jacobian: with batch normalisation in the decoder `fit` refuses arrays whose last batch
    would be of one row, and a step on such a batch from a stream is an error. (Under XLA, which
    leaves assertions out, its `loss` and `log_volume` are NaN, and it has no gradient of them.)

    The logs hold `squared_error`, `neg_log_prior`, `log_volume`,
    `injectivity`, `mu` and `mu_in`: see `objectives.injective_flow_terms`.

    Raises:
        ValueError: more latents than values, another `objective` or `jacobian`, or a number out of
            its range.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).normal(size=(32, 3))
    >>> model = tfgen.InjectiveFlow(3, latent_dim=2, data_kind="real")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.likelihood, model.log_prob(x).shape, model.sample(4).shape
    ('manifold', TensorShape([32]), TensorShape([4, 3]))
    """

    likelihood = "manifold"
    _minimises = "squared_error + neg_log_prior + log_volume + injectivity"

    def __init__(
        self,
        event_shape,
        latent_dim=32,
        objective="log_frobenius",
        prior_weight=1e-2,
        mu=None,
        mu_in=None,
        eta=0.1,
        lambda_=1.0,
        num_probes=1,
        jacobian=None,
        epsilon=0.03,
        dtype=None,
        **kwargs,
    ):
        if objective not in OBJECTIVES:
            raise ValueError(f"`objective` must be one of {list(OBJECTIVES)}; got {objective!r}")
        dtype = checks.as_policy(dtype)
        prior_weight = checks.check_weight(prior_weight, "prior_weight")
        parts = {}
        if prior_weight:
            parts["prior"] = IsotropicNormal(1 / math.sqrt(2 * prior_weight), dtype=dtype)
        super().__init__(event_shape, latent_dim, dtype=dtype, parts=parts, **kwargs)
        if self.latent_dim > self.num_dims:
            raise ValueError(
                f"`latent_dim` must be at most {self.num_dims}, the values of an example; got "
                f"{latent_dim}"
            )
        self.objective = objective
        self.jacobian = self._choose_jacobian(jacobian)
        self.prior_weight = prior_weight
        growth = PenaltyGrowth()
        self.mu = checks.as_weight_or_schedule(growth if mu is None else mu, "mu")
        self.mu_in = checks.as_weight_or_schedule(growth if mu_in is None else mu_in, "mu_in")
        self.eta = checks.check_positive(eta, "eta")
        self.lambda_ = checks.check_positive(lambda_, "lambda_")
        self.num_probes = checks.check_count(num_probes, "num_probes")
        self.epsilon = checks.check_positive(epsilon, "epsilon")

    def _choose_jacobian(self, jacobian):
        layers = self.decoder._flatten_layers()
        half = any(layer.compute_dtype in ("float16", "bfloat16") for layer in layers)
        allowed = JACOBIANS[half:]
        if jacobian is None:
            # TF32, which is the default of recent GPUs, has no more digits than half precision.
            rounded = tf.config.experimental.tensor_float_32_execution_enabled()
            rounded = rounded and tf.config.list_physical_devices("GPU")
            jacobian = "jvp" if half or rounded else "finite_difference"
        if jacobian not in allowed:
            raise ValueError(
                f"`jacobian` must be one of {list(allowed)}"
                f"{' with a decoder in half precision' * half}; got {jacobian!r}"
            )
        return jacobian

    def log_prob_bounds(self, x, condition=None, batch_size=256):
        """The density on the manifold, and the two lower bounds that training goes by.

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            batch_size: rows computed at a time.

        Returns:
            Dict of `exact` (eq. 3), `log_frobenius` (eq. 4) and `frobenius` (eq. 9), each `[n]`,
            nats.

        >>> import numpy as np, tfgen
        >>> model = tfgen.InjectiveFlow(3, latent_dim=2, data_kind="real")
        >>> bounds = model.log_prob_bounds(np.ones((1, 3)))
        >>> bool(bounds["exact"] >= bounds["log_frobenius"])
        True
        """
        self._require_likelihood()
        values = self._map_examples("log_prob_bounds", x, condition, batch_size)
        return dict(zip(BOUNDS, tf.unstack(values, axis=1), strict=True))

    def mixture_log_prob(
        self, x, background, noise_scale, weight=0.5, condition=None, batch_size=256
    ):
        """Log-density of examples anywhere, the manifold blurred and mixed with a background (which
        the paper, section 5, leaves as future work).

        `weight * p(g(h(x))) N(x - g(h(x)); 0, noise_scale^2) + (1 - weight) * background(x)`. The
        normal density is of the `D - latent_dim` dimensions across the manifold: so the blurred
        density is one of the whole space, as far as `h` projects on the manifold and that is flat
        at the scale of the noise.

        Args:
            x: `[n, *event_shape]`.
            background: a model or distribution whose `log_prob(x)` is a density of the data, `[n]`.
            noise_scale: standard deviation across the manifold, in the units of the data.
            weight: of the manifold, in (0, 1).
            condition: as in `log_prob`.
            batch_size: rows computed at a time.

        Returns:
            `[n]` tensor, nats: finite wherever the background's is, but for a decoder that has
            collapsed, whose Jacobian is singular.

        Raises:
            ValueError: a `weight` outside (0, 1), a `noise_scale` that is not above 0, or a
                `background` whose `log_prob` gives another shape.

        >>> import numpy as np, tfgen
        >>> x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
        >>> model = tfgen.InjectiveFlow(3, latent_dim=2, data_kind="real")
        >>> background = tfgen.RealNVP(3, num_layers=2)
        >>> model.mixture_log_prob(x, background, noise_scale=0.1).shape
        TensorShape([8])
        """
        noise_scale = checks.check_positive(noise_scale, "noise_scale")
        if not 0 < checks.check_weight(weight, "weight") < 1:
            raise ValueError(f"`weight` must lie in (0, 1); got {weight!r}")
        if not callable(getattr(background, "log_prob", None)):
            raise ValueError(f"`background` must have a `log_prob`; got {background!r}")
        self._require_likelihood()
        parts = self._map_examples("manifold_and_distance", x, condition, batch_size)
        on_manifold, squared = tf.unstack(parts, axis=1)
        variance = noise_scale**2
        across = self.num_dims - self.latent_dim
        foreground = (
            on_manifold - squared / (2 * variance) - across / 2 * math.log(2 * math.pi * variance)
        )
        behind = tf.cast(background.log_prob(x), foreground.dtype)
        if behind.shape != foreground.shape:
            raise ValueError(
                f"`background` must give log_prob [{len(foreground)}]; got {list(behind.shape)}"
            )
        return tf.reduce_logsumexp(
            [foreground + math.log(weight), behind + math.log(1 - weight)], 0
        )

    # --- hooks ----------------------------------------------------------------

    def _check_batches(self, num_rows, batch_size):
        """Refuses batches of one row, where the volume needs several."""
        if not self._statistics:
            return
        if num_rows == 1:
            raise ValueError(f"`x` must have at least two rows to train on: {_ONE_ROW}; got one")
        if 1 in (batch_size, num_rows % batch_size):
            sizes = [*range(batch_size - 1, 1, -1), *range(batch_size + 1, num_rows + 1)]
            better = next(s for s in sizes if num_rows % s != 1)
            raise ValueError(
                f"`batch_size` must leave no batch of one row: {_ONE_ROW}; got {batch_size} for "
                f"{num_rows} rows (take {better})"
            )

    _unordered_terms = frozenset({"log_volume", "mu", "mu_in"})

    def _term_names(self):
        names = ("squared_error", "neg_log_prior", "log_volume", "injectivity", "mu", "mu_in")
        return names + ("decoder_l2",) * bool(self.decoder_l2)

    def _terms_noise(self, seed, start, num_rows):
        """The probes, `[num_probes, batch, latent_dim]`."""
        shape = (self.num_probes, self.latent_dim)
        probes = row_normal(
            fold_in(seed, Stream.LATENTS), start, num_rows, shape, self.variable_dtype
        )
        return tf.transpose(probes, [1, 0, 2])

    def _jacobian(self, z, condition):
        """`J_g` at each row, `[batch, D, latent_dim]`, in the data's units.

        A row at a time, so that memory is that of `latent_dim` examples.
        """
        directions = tf.eye(self.latent_dim, dtype=z.dtype)

        def of_row(i):
            rows, given = tf.nest.map_structure(
                lambda a: a if a is None else tf.repeat(a[i][None], self.latent_dim, 0),
                (z, condition),
            )
            with tf.autodiff.ForwardAccumulator(rows, directions) as accumulator:
                values = self._decoded_values(rows, given)
            return tf.transpose(
                tf.reshape(accumulator.jvp(values), [self.latent_dim, self.num_dims])
            )

        shape = tf.TensorSpec([self.num_dims, self.latent_dim], z.dtype)
        return tf.map_fn(of_row, tf.range(tf.shape(z)[0]), fn_output_signature=shape)

    def _log_prob_bounds(self, x, condition):
        self.require_samples()
        z = self._encode(x, condition)
        log_prior = self.latents.log_prob(z)
        jacobian, dim = self._jacobian(z, condition), self.latent_dim
        # |det R| of J = QR is the product of the singular values, without their squares.
        diagonal = tf.linalg.diag_part(tf.linalg.qr(jacobian).r)
        squares = tf.reduce_sum((jacobian / self._scale) ** 2, [1, 2])
        scaled = tf.stack(
            [
                dim / 2 * tf.math.log(squares / dim),
                squares / (2 * self.lambda_) + dim / 2 * (math.log(self.lambda_) - 1),
            ],
            1,
        )
        volume = tf.reduce_sum(tf.math.log(tf.abs(diagonal)), 1, keepdims=True)
        bounds = tf.concat([volume, scaled + dim * math.log(self._scale)], 1)
        return log_prior[:, None] - bounds

    def _log_weight(self, x, condition, noise):
        return self._log_prob_bounds(x, condition)[:, 0]

    def _manifold_and_distance(self, x, condition):
        values = self._decoded_values(self._encode(x, condition), condition)
        squared = self._scale**2 * self._squared_error(x, values)
        return tf.stack([self._log_weight(x, condition, None), squared], 1)

    def _stretched(self, z, condition, probes, training):
        """`g(z)`, and `|J_g v|^2` for each of the probes `[probes, batch, latent_dim]`."""
        times = self.num_probes
        if self.jacobian == "jvp":
            rows, times = tf.tile(z, [times, 1]), times - 1
        else:
            moved = z + self.epsilon * probes
            rows = tf.concat([z, tf.reshape(moved, [-1, self.latent_dim])], 0)
        if condition is not None:
            condition = tf.nest.map_structure(
                lambda c: tf.tile(c, [times + 1] + [1] * (c.shape.rank - 1)), condition
            )
        if self.jacobian == "jvp":
            tangents = tf.reshape(probes, tf.shape(rows))
            with tf.autodiff.ForwardAccumulator(rows, tangents) as accumulator:
                values = self._decoded_values(rows, condition, training)
            stretched = accumulator.jvp(values)
            values = values[: tf.shape(z)[0]]
        else:
            # In one pass, so that batch normalisation is the same for both ends; before they are
            # moved to where the data are, and lose digits.
            values = self._standard_values(rows, condition, training)
            values, others = values[: tf.shape(z)[0]], values[tf.shape(z)[0] :]
            differences = others - tf.tile(values, [times] + [1] * len(self.event_shape))
            stretched = self._scaled(differences) / self.epsilon
            values = self._moved(self._scaled(values))
        stretched = tf.reshape(stretched / self._scale, [self.num_probes, -1, self.num_dims])
        return values, tf.reduce_sum(stretched**2, -1)

    @property
    def _statistics(self):
        """The layers of the decoder that in training go by statistics of the batch."""
        norms = keras.layers.BatchNormalization
        layers = self.decoder._flatten_layers()
        return [layer for layer in layers if isinstance(layer, norms) and layer.trainable]

    def _require_several(self, x):
        """Raises on a batch of one row; a tensor that says so where there are no assertions."""
        together = all(layer.synchronized for layer in self._statistics)
        num_rows = tf.shape(x)[0]
        num_rows = sum_over_replicas(num_rows) if together else num_rows
        message = f"batches must have at least two rows: {_ONE_ROW}"
        with tf.control_dependencies([tf.debugging.Assert(num_rows != 1, [message])]):
            return tf.identity(num_rows != 1)

    def _terms(self, x, condition, noise, training):
        z = self.posterior.mean(self._encoded(x, condition, training))
        values, squared_norms = self._stretched(z, condition, noise, training)
        squared_probes = tf.reduce_sum(noise**2, -1)
        log_prior = self.prior.log_prob(z) if self.prior_weight else tf.zeros_like(z[:, 0])
        weights = {"mu": self._now(self.mu), "mu_in": self._now(self.mu_in)}
        terms = injective_flow_terms(
            log_prior,
            self._squared_error(x, values),
            squared_norms,
            squared_probes,
            self.latent_dim,
            self.objective,
            eta=self.eta,
            lambda_=self.lambda_,
            **weights,
        )
        if training and self._statistics:
            several = self._require_several(x)
            for name in ("loss", "log_volume"):
                terms[name] = tf.where(several, terms[name], np.nan)
        return self._penalised({**terms, **weights})

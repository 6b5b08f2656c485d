"""Normalizing flows: a bijector over a base distribution."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors import Bijector
from tfgen.bijectors import Centre
from tfgen.bijectors import Chain
from tfgen.bijectors import Dequantise
from tfgen.bijectors import DequantiseColumns
from tfgen.bijectors import Flatten
from tfgen.bijectors import Logit
from tfgen.bijectors import ToLine
from tfgen.bijectors.view import deferred
from tfgen.core.model import GenerativeModel
from tfgen.data.columns import Columns
from tfgen.distributions import Transformed
from tfgen.distributions import get_base
from tfgen.models.flows.inversion import InversionCheck
from tfgen.models.flows.inversion import is_rebuilt
from tfgen.objectives import log_det_penalty as sum_of_squares
from tfgen.utils import checks
from tfgen.utils.layers import with_role
from tfgen.utils.random import row_uniform

PIXELS = {"centre": Centre, "logit": Logit}


@keras.saving.register_keras_serializable(package="tfgen")
class Flow(GenerativeModel):
    """`x = f(z)`, `z ~ base`: `log p(x) = log p(f^-1(x)) + log|df^-1/dx|`, trained by maximum
    likelihood.

    uint8 data are dequantised with uniform noise, so that `log_prob` is a bound
    on the log-probability of the integers; on real data it is exact. The loss is
    bits per dimension (`bpd`) for uint8 data and nats (`nll`) for real data. Of a table
    (`columns`) whole numbers, categories and missing values are dequantised, and numbers within
    bounds mapped to the whole line.

    Args:
        event_shape: shape of one example.
        bijector: tfgen bijector, data of `event_shape` to latents.
        base: distribution of the latents: `"normal"` (standard, the default),
            `"diagonal_normal"`, `"mixture"`, `"student_t"`, a
            `tfgen.distributions.Base` or any `tfd.Distribution` over `[D]`.
        data_kind: `"real"` or `"uint8"`.
        num_bits: bits of a value that the model sees of uint8 data.
        pixels: how uint8 data come to the bijector: `"centre"` (in [-0.5, 0.5))
            or `"logit"`.
        log_det_penalty: weight of the sum over the `InvertibleConv` layers of
            their squared log-determinants (Tatsunami and Taki, eq. 2), logged
            as `log_det_penalty`.
        num_init_batches: minibatches of the data-dependent initialisation in `fit`. By default
            it is of one for images, as in Glow, and else of 4,096 random rows (of a stream the
            first ones) but for outliers.
        columns: `tfgen.data.Columns` of a table, whose numbers the examples are; `table.model`
            gives it. None for other data.
        **kwargs: `GenerativeModel` arguments: `condition_shape`, `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: binary data, a `bijector` that is none, conditions of another shape, or a `base`
            over vectors of another size.

    >>> import keras, numpy as np, tfgen
    >>> keras.utils.set_random_seed(0)
    >>> flow = tfgen.models.Flow((2,), tfgen.bijectors.ActNorm())
    >>> flow.compile()
    >>> history = flow.fit(np.random.normal(3, 2, size=(256, 2)), verbose=0)
    >>> flow.log_prob(np.zeros((5, 2))).shape, flow.sample(3).shape
    (TensorShape([5]), TensorShape([3, 2]))
    >>> log_prob = flow.graph_function("log_prob")  # a compiled function, for graphs of one's own
    >>> seed, start = np.array([0, 0], "int32"), np.int64(0)
    >>> log_prob(x=np.zeros((5, 2), "float32"), seed=seed, start=start).shape
    TensorShape([5])
    """

    _kinds = ("real", "uint8", "columns")
    _likelihoods = ("exact", "bound")
    _latents = "num_dims"

    def __init__(
        self,
        event_shape,
        bijector,
        base=None,
        data_kind="real",
        num_bits=8,
        pixels="centre",
        log_det_penalty=0.0,
        num_init_batches=None,
        columns=None,
        **kwargs,
    ):
        if columns is not None:
            checks.check_instance(columns, Columns, "columns")
            if data_kind != "real":
                raise ValueError(f'`data_kind` must be "real" beside `columns`; got {data_kind!r}')
            data_kind = columns
        super().__init__(event_shape, data_kind=data_kind, num_bits=num_bits, **kwargs)
        self.columns = columns
        checks.check_instance(bijector, Bijector, "bijector")
        self._check_condition_shape()
        if pixels not in PIXELS:
            raise ValueError(f"`pixels` must be one of {list(PIXELS)}; got {pixels!r}")
        self.pixels = pixels
        self.log_det_penalty = checks.check_weight(log_det_penalty, "log_det_penalty")
        if num_init_batches is not None:
            num_init_batches = checks.check_count(num_init_batches, "num_init_batches")
        elif len(self.event_shape) == 3:
            num_init_batches = 1
        self.num_init_batches = num_init_batches
        self.base = with_role(get_base(base, self.variable_dtype), "base")
        checks.check_same_dtype(self, base=self.base)
        dtype = {"dtype": self.dtype_policy}
        parts = [bijector]
        self.dequantise = None
        if columns is not None:
            parts = [ToLine(columns, **dtype), bijector]
            if not columns.is_exact:
                self.dequantise = DequantiseColumns(columns, dtype=self.variable_dtype)
        elif data_kind == "uint8":
            self.dequantise = Dequantise(num_bits, dtype=self.variable_dtype)
            parts = [PIXELS[pixels](num_bits, **dtype), bijector]
        if len(bijector.inverse_event_shape(self.event_shape)) != 1:
            parts.append(Flatten(**dtype))
        # The given one, between the data and the base.
        self.bijector = Chain(parts, name="bijector", **dtype)
        self.likelihood = "exact" if self.dequantise is None else "bound"
        self.latent_shape = (self.num_dims,)

    def _check_condition_shape(self):
        """Conditions are vectors, or images as large as the events."""
        shape = self.condition_shape or ()
        if len(shape) == 3 and len(self.event_shape) == 3:
            if shape[:2] == self.event_shape[:2]:
                return
        elif len(shape) <= 1:
            return
        raise ValueError(
            "`condition_shape` of a flow must be [features] or, for images, [height, width, "
            f"channels] with the sides of `event_shape`; got {list(shape)} for events of "
            f"{list(self.event_shape)}"
        )

    def _build_parts(self):
        self.bijector.build((None, *self.event_shape), self.features_shape)
        if self.log_det_penalty and self.bijector.mixing_log_dets().shape[0] == 0:
            raise ValueError(
                f"`log_det_penalty` is of the InvertibleConv layers in `bijector`; it has none, so "
                f"the weight must be 0; got {self.log_det_penalty}"
            )
        if not self.base.built:
            self.base.build((None, *self.latent_shape))
        if self.base.size != self.num_dims:
            raise ValueError(
                f"`base` must be over vectors of {self.num_dims} values, as the events are; it was "
                f"built for {self.base.size}"
            )
        if self.dequantise is not None:
            self.dequantise.build((None, *self.event_shape))

    def distribution(self, condition=None):
        """The density as a `tfd.Distribution`, with the weights' values at each use.

        For uint8 data it is the continuous one of the dequantised values, on
        [0, 2^num_bits), and of a table, too, that of the dequantised numbers. Its
        `trainable_variables` are the weights that are not frozen: of the bijector, of the base, and
        of the embedding of labels where it has a label.

        Args:
            condition: one condition, or several, which become the batch shape.

        Returns:
            A `tfd.TransformedDistribution`, made afresh at each call.

        >>> import numpy as np, tensorflow as tf, tensorflow_probability as tfp, tfgen
        >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(64, 2)).astype("float32")
        >>> density = tfgen.RealNVP(2, num_layers=2).distribution()
        >>> losses = tfp.math.minimize(
        ...     lambda: -tf.reduce_mean(density.log_prob(x)),
        ...     num_steps=20,
        ...     optimizer=tf.optimizers.Adam(1e-2),
        ...     trainable_variables=density.trainable_variables,
        ... )
        >>> bool(losses[-1] < losses[0])
        True
        """
        condition = self._row_checks.condition(condition, None)
        if condition is None:
            base, features = self.base.to_tfd(), None
        else:
            condition = tf.nest.map_structure(tf.convert_to_tensor, condition)
            features = self._features_of(condition)
            num_rows = features.shape[0]
            base = self.base.to_tfd(self._features_of(condition, 0) if num_rows == 1 else features)
            if num_rows != 1 and base.batch_shape.rank == 0:
                rows = tf.shape(features)[:1] if num_rows is None else [num_rows]
                base = tfp.distributions.BatchBroadcast(base, rows)
        return tfp.distributions.TransformedDistribution(base, self.bijector.to_tfp(features))

    def _features_of(self, condition, row=None):
        """Features of conditions, or of one of them, as they are at each use."""

        def features(*_):
            every = self._features(condition)
            return every if row is None else every[row]

        if not self.num_classes:
            return features()
        now = features()
        weight = self.embedding.kernel
        return deferred(features, weight, shape=now.shape, dtype=now.dtype)

    _latents_from = "base"

    def resample(self, x, num_kept, temperature=1.0, seed=None, condition=None, batch_size=256):
        """`x` with its last (coarsest) latents kept and the others drawn anew.

        Args:
            x: `[n, *event_shape]`.
            num_kept: how many latents are kept.
            temperature: of the new ones.
            seed: integer or two integers; None draws afresh.
            condition: as in `log_prob`.
            batch_size: rows computed at a time.

        Returns:
            `[n, *event_shape]` tensor in the data's type.

        Raises:
            ValueError: more latents to keep than there are.

        >>> import numpy as np, tfgen
        >>> model = tfgen.models.Flow(3, tfgen.bijectors.ActNorm())
        >>> x = model.resample(np.full((1, 3), 7.0), num_kept=1, seed=0)
        >>> x.shape, float(x[0, 2]), bool(x[0, 0] == 7.0)
        (TensorShape([1, 3]), 7.0, False)
        """
        num_kept = checks.check_int(num_kept, "num_kept", 0, self.num_dims)
        self.check_temperature(temperature)
        return self._map_examples(
            "resample",
            x,
            condition,
            batch_size,
            seed,
            temperature=self._as_temperature(temperature),
            num_kept=tf.constant(num_kept, tf.int32),
        )

    def inversion_error(self, x, condition=None, seed=0, batch_size=256):
        """The relative errors of inputs that are rebuilt from their latents.

        The largest difference of an example and `f(f^-1(x))`, by the largest absolute value of the
        example, both as the bijector sees them: pixels dequantised, numbers of tables on the line.
        Around 1e-6 where float32 is enough; gradients of `memory="reversible"` may be further off
        (Behrmann et al. 2021, "Understanding and Mitigating Exploding Inverses in Invertible Neural
        Networks", arXiv:2006.09347).

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            seed: integer or two integers, of the dequantisation.
            batch_size: rows computed at a time.

        Returns:
            `[n]` tensor.

        >>> import numpy as np, tfgen
        >>> model = tfgen.models.Flow(3, tfgen.bijectors.ActNorm())
        >>> model.inversion_error(np.full((1, 3), 7.0)).numpy().tolist()
        [0.0]
        """
        return self._map_examples("inversion_error", x, condition, batch_size, seed)

    def _argument_specs(self):
        num_kept = tf.TensorSpec([], tf.int32, name="num_kept")
        return {**super()._argument_specs(), "num_kept": num_kept}

    # --- hooks ----------------------------------------------------------------

    # Block by block, all minibatches at once.
    _adapts_to_one_batch = False

    def _is_adaptive(self):
        # Not of parts inside an inverted map, which keep their neutral start.
        return self.bijector.adaptive

    def _initialise(self, parts):
        conditions = None
        if self.condition_shape is not None:
            conditions = [self._features(condition) for _, condition, _ in parts]
        self.bijector.adapt_only([self._values(x, noise) for x, _, noise in parts], conditions)

    def _values(self, x, noise):
        return tf.cast(x, self.variable_dtype) if noise is None else self.dequantise(x, noise)

    def _data(self, values):
        return values if self.dequantise is None else self.dequantise.quantise(values)

    def _log_prob_noise(self, seed, start, num_rows):
        if self.dequantise is None:
            return None
        return row_uniform(seed, start, num_rows, self.event_shape, self.variable_dtype)

    def _log_weight(self, x, condition, noise):
        features, values = self._features(condition), self._values(x, noise)
        z, log_det = self.bijector.inverse_and_log_det(values, condition=features)
        log_prob = self.base.log_prob(z, features) + log_det
        return log_prob if noise is None else log_prob - self.dequantise.log_noise(values)

    def _term_names(self):
        return super()._term_names() + ("log_det_penalty",) * bool(self.log_det_penalty)

    def _terms(self, x, condition, noise, training):
        terms = super()._terms(x, condition, noise, training)
        if self.log_det_penalty:
            penalty = self.log_det_penalty * sum_of_squares(self.bijector.mixing_log_dets())
            terms |= {"log_det_penalty": penalty, "penalty": penalty}
        return terms

    def _sample_noise(self, seed, start, num_rows):
        return self.base.noise(seed, start, num_rows)

    def _generate(self, noise, condition, temperature):
        return self._decode(
            self.base.sample(noise, self._features(condition), temperature), condition
        )

    def _generate_and_score(self, noise, condition, seed, start):
        if self.dequantise is not None:
            return super()._generate_and_score(noise, condition, seed, start)
        features = self._features(condition)
        z = self.base.sample(noise, features)
        x, log_det = self.bijector.forward_and_log_det(z, condition=features)
        return x, self.base.log_prob(z, features) - log_det

    def _resample(self, x, condition, seed, start, temperature, num_kept):
        drawn = self._sample(condition, tf.shape(x)[0], seed, start, temperature)
        kept, fresh = self._encode(x, condition), self._encode(drawn, condition)
        is_kept = tf.range(self.num_dims) >= self.num_dims - num_kept
        return self._decode(tf.where(is_kept, kept, fresh), condition)

    def _inversion_error(self, x, condition, seed, start):
        noise = self._log_prob_noise(seed, start, tf.shape(x)[0])
        values, features = self._values(x, noise), self._features(condition)
        z, _ = self.bijector.inverse_and_log_det(values, condition=features)
        # What is not changed on the way would else come from memory.
        rebuilt, _ = self.bijector.forward_and_log_det(tf.identity(z), condition=features)
        axes = range(1, values.shape.rank)
        off = tf.reduce_max(tf.abs(rebuilt - values), axes)
        return off / tf.maximum(tf.reduce_max(tf.abs(values), axes), 1e-30)

    def _own_callbacks(self, batch):
        return [InversionCheck(batch)] if is_rebuilt(self.bijector) else []

    def _encode(self, x, condition):
        # The middle of the bin: deterministic, and decoded to the same integer.
        noise = None if self.dequantise is None else tf.constant(0.5, self.variable_dtype)
        values = self._values(x, noise)
        return self.bijector.inverse_and_log_det(values, condition=self._features(condition))[0]

    def _decode(self, z, condition):
        features = self._features(condition)
        return self._data(self.bijector.forward_and_log_det(z, condition=features)[0])

    def to_base(self):
        """The distribution of its events as a `tfgen.distributions.Base`, to serve as a prior.

        Raises:
            ValueError: the model is conditional, or its events are no real vectors.

        >>> import tfgen
        >>> flow = tfgen.RealNVP(2, num_layers=2)
        >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp", prior=flow.to_base())
        >>> model.sample(3).shape
        TensorShape([3, 4])
        """
        vectors = len(self.event_shape) == 1 and self.data_kind == "real"
        if not vectors or self.condition_shape is not None:
            raise ValueError(
                "a base must be an unconditional flow of real vectors; got a "
                f"{type(self).__name__} of {self.data_kind} events {list(self.event_shape)}"
            )
        return Transformed(self.bijector, self.base, dtype=self.variable_dtype)

"""Normalizing flows: a bijector over a base distribution."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.bijectors import Bijector
from tfgen.bijectors import Centre
from tfgen.bijectors import Chain
from tfgen.bijectors import Dequantise
from tfgen.bijectors import Flatten
from tfgen.bijectors import Logit
from tfgen.distributions import get_base
from tfgen.metrics import bits_per_dim
from tfgen.models.base import GenerativeModel
from tfgen.objectives import log_det_penalty as sum_of_squares
from tfgen.utils import checks
from tfgen.utils.layers import freeze_parts
from tfgen.utils.random import row_uniform

PIXELS = {"centre": Centre, "logit": Logit}


@keras.saving.register_keras_serializable(package="tfgen")
class Flow(GenerativeModel):
    """`x = f(z)`, `z ~ base`: `log p(x) = log p(f^-1(x)) + log|df^-1/dx|`, trained by maximum
    likelihood.

    uint8 data are dequantised with uniform noise, so that `log_prob` is a bound
    on the log-probability of the integers; on real data it is exact. The loss is
    bits per dimension (`bpd`) for uint8 data and nats (`nll`) for real data.

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
        num_init_batches: minibatches of the data-dependent initialisation in
            `fit`.
        **kwargs: `GenerativeModel` arguments: `condition_shape`, `num_classes`,
            `dtype`, `name`.

    >>> import keras, numpy as np, tfgen
    >>> keras.utils.set_random_seed(0)
    >>> flow = tfgen.models.Flow((2,), tfgen.bijectors.ActNorm())
    >>> flow.compile()
    >>> history = flow.fit(np.random.normal(3, 2, size=(256, 2)), verbose=0)
    >>> flow.log_prob(np.zeros((5, 2))).shape, flow.sample(3).shape
    (TensorShape([5]), TensorShape([3, 2]))
    """

    def __init__(
        self,
        event_shape,
        bijector,
        base=None,
        data_kind="real",
        num_bits=8,
        pixels="centre",
        log_det_penalty=0.0,
        num_init_batches=1,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=data_kind, **kwargs)
        if data_kind == "binary":
            raise ValueError('`data_kind` of a flow must be "real" or "uint8"; got "binary"')
        checks.check_instance(bijector, Bijector, "bijector")
        self._check_condition_shape()
        if pixels not in PIXELS:
            raise ValueError(f"`pixels` must be one of {list(PIXELS)}; got {pixels!r}")
        self.num_bits = checks.check_int(num_bits, "num_bits", 1, 8)
        self.pixels = pixels
        self.log_det_penalty = checks.check_weight(log_det_penalty, "log_det_penalty")
        self.num_init_batches = checks.check_count(num_init_batches, "num_init_batches")
        self.base = get_base(base, self.variable_dtype)
        self._own_base = base is None
        checks.check_same_dtype(self, base=self.base)
        dtype = {"dtype": self.dtype_policy}
        parts = [bijector]
        self.dequantise = None
        if data_kind == "uint8":
            self.dequantise = Dequantise(num_bits, dtype=self.variable_dtype)
            parts = [PIXELS[pixels](num_bits, **dtype), bijector]
        if len(bijector.inverse_event_shape(self.event_shape)) != 1:
            parts.append(Flatten(**dtype))
        self.bijector = Chain(parts, **dtype)
        self.likelihood = "exact" if data_kind == "real" else "bound"
        self.latent_shape = (self.num_dims,)
        self._unit = "nll" if data_kind == "real" else "bpd"
        self.term_names = (self._unit,)
        if self.log_det_penalty:
            self.term_names += ("log_det_penalty",)
        self.build()

    def _given_bijector(self):
        """The bijector that was given, among those that bring data to it."""
        return self.bijector.bijectors[0 if self.dequantise is None else 1]

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
        freeze_parts(self)

    def distribution(self, condition=None):
        """The density as a `tfd.Distribution`, at the weights' current values.

        For uint8 data it is the continuous one of the dequantised values, on
        [0, 2^num_bits).

        Args:
            condition: one condition, or several, which become the batch shape.

        Returns:
            A `tfd.TransformedDistribution`, made afresh at each call.
        """
        condition = self._check_condition(condition, None)
        if condition is None:
            base, features = self.base.to_tfd(), None
        else:
            features = self._features(tf.constant(condition))
            base = self.base.to_tfd(features[0] if len(condition) == 1 else features)
            if len(condition) > 1 and base.batch_shape.rank == 0:
                base = tfp.distributions.BatchBroadcast(base, [len(condition)])
        return tfp.distributions.TransformedDistribution(base, self.bijector.to_tfp(features))

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
        """
        num_kept = checks.check_int(num_kept, "num_kept", 0, self.num_dims)
        z = self.encode(x, condition, batch_size=batch_size)
        fresh = self.encode(
            self.sample(len(x), condition, temperature, seed, batch_size), condition, batch_size
        )
        num_new = self.num_dims - num_kept
        return self.decode(
            tf.concat([fresh[:, :num_new], z[:, num_new:]], -1), condition, batch_size
        )

    # --- hooks ----------------------------------------------------------------

    def _needs_adapt(self):
        return self.bijector.adaptive and not int(self.adapted.numpy())

    def _adapt(self, batches):
        conditions = None
        if self.condition_shape is not None:
            conditions = [self._features(b["condition"]) for b in batches]
        values = []
        for i, batch in enumerate(batches):
            # Each minibatch its own noise, at the places that evaluation leaves free.
            start = tf.cast(batch["row"][0], tf.int64) + (i << 32)
            noise = self._log_prob_noise(
                tf.convert_to_tensor(self.noise_seed), start, len(batch["x"])
            )
            values.append(self._values(tf.convert_to_tensor(batch["x"]), noise))
        self.bijector.adapt(values, conditions)
        self.adapted.assign(1)

    def _values(self, x, noise):
        return tf.cast(x, self.variable_dtype) if noise is None else self.dequantise(x, noise)

    def _data(self, values):
        return values if self.dequantise is None else self.dequantise.quantise(values)

    def _log_prob_noise(self, seed, start, num_rows):
        if self.dequantise is None:
            return None
        return row_uniform(seed, start, num_rows, self.event_shape, self.variable_dtype)

    def _log_weight(self, x, condition, noise):
        features = self._features(condition)
        z, log_det = self.bijector.inverse_and_log_det(self._values(x, noise), condition=features)
        return self.base.log_prob(z, features) + log_det

    def _terms(self, x, condition, noise, training):
        log_prob = self._log_weight(x, condition, noise)
        loss = bits_per_dim(log_prob, self.num_dims) if self._unit == "bpd" else -log_prob
        terms = {self._unit: loss, "loss": loss}
        if self.log_det_penalty:
            penalty = self.log_det_penalty * sum_of_squares(self.bijector.mixing_log_dets())
            terms |= {"log_det_penalty": penalty, "loss": loss + penalty}
        return terms

    def _sample_noise(self, seed, start, num_rows):
        return self.base.noise(seed, start, num_rows)

    def _generate(self, noise, condition, temperature):
        return self._decode(
            self.base.sample(noise, self._features(condition), temperature), condition
        )

    def _encode(self, x, condition):
        # The middle of the bin: deterministic, and decoded to the same integer.
        noise = None if self.dequantise is None else tf.constant(0.5, self.variable_dtype)
        values = self._values(x, noise)
        return self.bijector.inverse_and_log_det(values, condition=self._features(condition))[0]

    def _decode(self, z, condition):
        features = self._features(condition)
        return self._data(self.bijector.forward_and_log_det(z, condition=features)[0])

    def get_config(self):
        return {
            **super().get_config(),
            "bijector": keras.saving.serialize_keras_object(self._given_bijector()),
            "base": None if self._own_base else keras.saving.serialize_keras_object(self.base),
            "num_bits": self.num_bits,
            "pixels": self.pixels,
            "log_det_penalty": self.log_det_penalty,
            "num_init_batches": self.num_init_batches,
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("bijector", "base")
            if isinstance(config.get(name), dict)
        }
        return super().from_config({**config, **parts})


class Recipe(Flow):
    """A flow whose bijector follows from arguments of its own, which `_config` holds."""

    def get_config(self):
        config = super().get_config()
        del config["bijector"]
        return {**config, **self._config}

"""The contract that every model keeps."""

import functools
import itertools
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.metrics import bits_per_dim
from tfgen.models.chunks import Chunked
from tfgen.models.conditions import Conditional
from tfgen.models.export import export
from tfgen.models.presets import Presets
from tfgen.models.training import Trainable
from tfgen.utils import checks
from tfgen.utils.layers import is_frozen
from tfgen.utils.random import fold_in

# Samples have noise of their own: with that of `log_prob` for the same seed, a sample would be
# scored with the very draw that it was made of.
OF_SAMPLES = 0x53


class GenerativeModel(Presets, Chunked, Conditional, Trainable):
    """A generative model: a `keras.Model` that also samples and scores.

    A family implements the hooks at the end of the class, all of them pure
    functions of tensors with the noise as an argument; everything that users
    call is built on them here.

    Args:
        event_shape: shape of one example.
        data_kind: `"real"`, `"binary"` (0 or 1) or `"uint8"` (0..255).
        condition_shape: shape of one condition, None for an unconditional
            model; `()` with `num_classes` for integer labels.
        num_classes: number of labels; implies `condition_shape=()`.
        dtype: Keras dtype policy. `"float64"` computes everything in float64;
            `"mixed_bfloat16"` and `"mixed_float16"` reach the networks only.
        name: Keras name.

    Attributes:
        likelihood: what `log_prob` is: `"exact"`, `"bound"`, `"estimate"`,
            `"manifold"` or `"none"`.

    >>> import tfgen
    >>> model = tfgen.GenerativeModel.from_preset("glow_mnist", num_steps=1, filters=4)
    >>> model.likelihood, model.data_kind, model.event_shape
    ('bound', 'uint8', (28, 28, 1))
    """

    likelihood = "none"
    # The terms that are logged, beside the loss.
    term_names = ()

    def __init__(
        self,
        event_shape,
        data_kind="real",
        condition_shape=None,
        num_classes=None,
        dtype=None,
        name=None,
    ):
        # Data are cast where they are used: half precision is for networks only.
        super().__init__(dtype=checks.as_policy(dtype), name=name, autocast=False)
        checks.check_data_kind(data_kind)
        self.event_shape = checks.as_shape(event_shape, "event_shape")
        self.data_kind = data_kind
        if num_classes is not None:
            num_classes = checks.check_count(num_classes, "num_classes")
        self.num_classes = num_classes
        if condition_shape is not None:
            condition_shape = (
                tuple(condition_shape) if np.ndim(condition_shape) else condition_shape
            )
            if condition_shape == () and not num_classes:
                raise ValueError("`condition_shape=()` needs `num_classes`, the number of labels")
            if condition_shape != () and num_classes:
                raise ValueError(
                    f"`num_classes` goes with `condition_shape=()`; got {condition_shape!r}"
                )
            if condition_shape != ():
                condition_shape = checks.as_shape(condition_shape, "condition_shape")
        self.condition_shape = () if num_classes else condition_shape
        self._trackers = {}
        self._kept_functions = {}

    def build(self, input_shape=None):
        """Creates all weights. A recipe calls it at the end of its constructor."""
        if self.built:
            return
        seed = np.random.randint(-(2**31), 2**31, size=2)
        self.noise_seed = self._state("noise_seed", seed, "int32")
        self.adapted = self._state("adapted", np.array(0), "int32")
        # Not the optimizer's count, which stands still while gradients are accumulated.
        self.steps_taken = self._state("steps_taken", np.array(0), "int64")
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.term_names}
        self._build_embedding()
        self._build_parts()
        self.built = True

    def _state(self, name, value, dtype):
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=dtype,
            trainable=False,
            aggregation="only_first_replica",
            initializer=lambda shape, dtype: tf.constant(value, dtype),
        )

    # --- what users call ------------------------------------------------------

    def call(self, inputs):
        """`log_prob` of a batch, with the noise of seed 0; the reconstruction, if there is none.

        Args:
            inputs: `x`, or `(x, condition)` for a conditional model.
        """
        x, condition = inputs if isinstance(inputs, (tuple, list)) else (inputs, None)
        self._require_shape(x)
        if (condition is None) != (self.condition_shape is None):
            # Says what the condition is.
            self._check_condition(condition, None)
        return self._outputs(x, condition, tf.zeros([2], tf.int32), 0)

    def log_prob(self, x, condition=None, seed=0, batch_size=256):
        """Log-density of the data as given, in nats.

        Dequantisation, scaling and logit are part of it. Where it takes noise
        (see `likelihood`), that depends on `seed` and row alone. It takes arrays
        and is no part of a gradient: `model(x)` is differentiable.

        Args:
            x: `[n, *event_shape]`.
            condition: `[n, *condition_shape]`, or one for all; None for an
                unconditional model.
            seed: integer or two integers.
            batch_size: rows computed at a time.

        Returns:
            `[n]` tensor, float32 (float64 under that policy).

        Raises:
            ValueError: for bad input, with the argument's name.
            NotImplementedError: if `likelihood` is `"none"`.
        """
        self._require_likelihood()
        return self._map_examples("log_prob", x, condition, batch_size, seed)

    def estimate_log_prob(self, x, num_samples, condition=None, seed=0, batch_size=256):
        """Log-mean-exp of `num_samples` draws of the likelihood, in nats.

        For a `"bound"` this is the importance-weighted (multi-sample) bound,
        which rises to the log-likelihood of the data; an `"exact"` or
        `"manifold"` likelihood is returned as it is. Memory does not grow with `num_samples`.

        Args:
            x: `[n, *event_shape]`.
            num_samples: draws for each example.
            condition: as in `log_prob`.
            seed: integer or two integers.
            batch_size: rows computed at a time.

        Returns:
            `[n]` tensor.
        """
        self._require_likelihood()
        num_samples = tf.constant(checks.check_count(num_samples, "num_samples"), tf.int64)
        return self._map_examples(
            "estimate_log_prob", x, condition, batch_size, seed, num_samples=num_samples
        )

    def bits_per_dim(self, x, condition=None, seed=0, batch_size=256):
        """`-log_prob` in bits per dimension of the data, `[n]`. Arguments as in `log_prob`."""
        if self.likelihood in ("manifold", "none"):
            raise ValueError(
                f"bits per dimension need a density over the data; {type(self).__name__}'s "
                f'likelihood is "{self.likelihood}"'
            )
        return bits_per_dim(self.log_prob(x, condition, seed, batch_size), self.num_dims)

    def sample(self, num_samples, condition=None, temperature=1.0, seed=None, batch_size=256):
        """Draws examples in the data's own type and range.

        Args:
            num_samples: how many.
            condition: one condition for all, or one for each sample.
            temperature: factor on every standard deviation; 0 is the mode (of a mixture, the
                location of the likeliest component).
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.

        Returns:
            `[num_samples, *event_shape]` tensor.
        """
        num_samples = checks.check_count(num_samples, "num_samples")
        condition = self._check_condition(condition, num_samples)
        self._require_latents()
        self._check_temperature(temperature)
        temperature = self._as_temperature(temperature)
        return self._map_rows(
            "sample", batch_size, num_samples, seed, condition=condition, temperature=temperature
        )

    def encode(self, x, condition=None, batch_size=256):
        """Latents of `x`, `[n, D]`. Arguments as in `log_prob`."""
        return self._map_examples("encode", x, condition, batch_size)

    def decode(self, z, condition=None, batch_size=256):
        """Examples of latents `[n, D]`, in the data's own type and range."""
        z = checks.as_events(z, "z", self.latent_shape, "real", self.variable_dtype)
        condition = self._check_condition(condition, len(z))
        return self._map_rows("decode", batch_size, len(z), None, z=z, condition=condition)

    def reconstruct(self, x, condition=None, batch_size=256):
        """`decode(encode(x))`."""
        z = self.encode(x, condition, batch_size=batch_size)
        return self.decode(z, condition, batch_size=batch_size)

    def interpolate(self, a, b, num_steps=8, condition=None, batch_size=256):
        """Examples decoded along the straight lines between the latents of `a` and `b`.

        Args:
            a: `[n, *event_shape]`.
            b: `[n, *event_shape]`.
            num_steps: points on each line, both ends included.
            condition: as in `log_prob`.
            batch_size: rows computed at a time.

        Returns:
            `[n, num_steps, *event_shape]` tensor.
        """
        num_steps = checks.check_count(num_steps, "num_steps")
        checks.check_same_length(a=self._check_x(a, "a"), b=self._check_x(b, "b"))
        condition = self._check_condition(condition, len(a))
        start, end = (self.encode(x, condition, batch_size=batch_size)[:, None] for x in (a, b))
        weight = tf.linspace(tf.zeros([], start.dtype), 1, num_steps)[None, :, None]
        z = tf.reshape((1 - weight) * start + weight * end, [-1, start.shape[-1]])
        if condition is not None:
            condition = np.repeat(condition, num_steps, axis=0)
        x = self.decode(z, condition, batch_size=batch_size)
        return tf.reshape(x, [len(a), num_steps, *self.event_shape])

    def adapt(self, x, condition=None, num_batches=1, batch_size=32):
        """Data-dependent initialisation from the first minibatches of `x`.

        `fit` does this by itself before the first step of a model that needs it.

        Args:
            x: array `[n, *event_shape]`, or batches as `fit` takes them.
            condition: conditions, if `x` is an array and the model conditional.
            num_batches: number of minibatches; fewer, if the data hold no more.
            batch_size: size of a minibatch, if `x` is an array.
        """
        num_batches = checks.check_count(num_batches, "num_batches")
        if condition is not None:
            # Says that this model takes none.
            self._check_condition(condition, None)
        data = self._evaluation_data(x, condition, batch_size=batch_size, name="condition")
        batches = [self._batch(b) for b in itertools.islice(data, num_batches)]
        if not batches:
            raise ValueError("`x` must have at least one batch; got an empty data set")
        self._adapt(batches)

    def export(self, filepath, verbose=True):
        """Writes a SavedModel that serves without tfgen; see `tfgen.models.export.export`."""
        export(self, filepath, verbose=verbose)

    # --- machinery ------------------------------------------------------------

    @property
    def num_dims(self):
        """Number of values in one example."""
        return math.prod(self.event_shape)

    def _require_likelihood(self):
        if self.likelihood == "none":
            raise NotImplementedError(
                f"{type(self).__name__} has no likelihood: judge it by its samples "
                "(`tfgen.metrics`)"
            )
        self._require_latents()

    def _require_latents(self):
        if not self.has_latents:
            raise ValueError(
                f"this {type(self).__name__} has no distribution of latents: call `fit_latents` "
                "first"
            )

    def _map_examples(self, name, x, condition, batch_size, seed=None, **arguments):
        """Runs a core over examples and their conditions, once both are checked."""
        x = self._check_x(x)
        condition = self._check_condition(condition, len(x))
        return self._map_rows(name, batch_size, len(x), seed, x=x, condition=condition, **arguments)

    def _as_temperature(self, temperature):
        return tf.constant(checks.check_weight(temperature, "temperature"), self.variable_dtype)

    def _check_temperature(self, temperature):
        name = self._latents_from
        part = name and getattr(self, name)
        if temperature != 1 and part and not part.allows_temperature:
            raise ValueError(
                f"`temperature` must be 1: `{name}` is a {type(part).__name__}, which has no "
                f"scale that is known; got {temperature!r}"
            )

    def _check_x(self, x, name="x", probabilities=False):
        return checks.as_events(
            x, name, self.event_shape, self.data_kind, self.variable_dtype, probabilities
        )

    def _needs_adapt(self):
        return False

    def _log_prob(self, x, condition, seed, start):
        noise = self._log_prob_noise(seed, start, tf.shape(x)[0])
        return self._log_weight(x, condition, noise)

    def _outputs(self, x, condition, seed, start):
        """What `call` and `predict` give."""
        return self._log_prob(x, condition, seed, start)

    def _estimate_log_prob(self, x, condition, seed, start, num_samples):
        if self.likelihood in ("exact", "manifold"):
            return self._log_prob(x, condition, seed, start)

        log_weight = self._log_weight_of(x, condition)

        def draw(i):
            return log_weight(self._log_prob_noise(fold_in(seed, i), start, tf.shape(x)[0]))

        def body(i, total):
            return i + 1, tf.reduce_logsumexp(tf.stack([total, draw(i)]), 0)

        first = draw(0)
        _, total = tf.while_loop(
            lambda i, _: i < num_samples, body, (tf.constant(1, tf.int64), first)
        )
        return total - tf.math.log(tf.cast(num_samples, total.dtype))

    def _sample(self, condition, num_rows, seed, start, temperature):
        if condition is not None:
            shape = tf.concat([[num_rows], tf.shape(condition)[1:]], 0)
            condition = tf.broadcast_to(condition, shape)
        noise = self._sample_noise(fold_in(seed, OF_SAMPLES), start, num_rows)
        return self._generate(noise, condition, temperature)

    def get_config(self):
        config = {
            "event_shape": self.event_shape,
            "data_kind": self.data_kind,
            "condition_shape": None if self.num_classes else self.condition_shape,
            "num_classes": self.num_classes,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
        }
        # As positions: names of layers are not the same in every process.
        frozen = [i for i, layer in enumerate(self._all_layers()) if is_frozen(layer)]
        return {**config, "frozen": frozen} if frozen else config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        frozen = config.pop("frozen", ())
        model = cls(**config)
        layers = model._all_layers()
        for i in frozen:
            layers[i].trainable = False
        return model

    def _all_layers(self):
        return list(self._flatten_layers())

    def get_build_config(self):
        # The constructor builds; a loader has nothing left to do.
        return None

    # --- hooks of a family ----------------------------------------------------

    latent_shape = None
    # Whether examples have latents, where there are any.
    _has_encoder = True
    # Name of the `Base` that `sample` draws latents from.
    _latents_from = None
    # Whether there is anything to draw samples from.
    has_latents = True

    def _build_parts(self):
        """Builds the layers inside."""

    def _terms(self, x, condition, noise, training):
        """Dict of the objective's terms, `"loss"` among them: `[batch]` or scalars."""
        raise NotImplementedError

    def _terms_noise(self, seed, start, num_rows):
        """The noise of `_terms` for these rows."""
        return self._log_prob_noise(seed, start, num_rows)

    def _log_prob_noise(self, seed, start, num_rows):
        """The noise of `_log_weight` for these rows, or None."""
        return None

    def _log_weight(self, x, condition, noise):
        """`[batch]`: the log of an estimate of the likelihood whose mean is the likelihood."""
        raise NotImplementedError

    def _log_weight_of(self, x, condition):
        """`_log_weight` as a function of the noise, for many draws of it."""
        return functools.partial(self._log_weight, x, condition)

    def _sample_noise(self, seed, start, num_rows):
        """The noise of `_generate` for these rows."""
        raise NotImplementedError

    def _generate(self, noise, condition, temperature):
        """Examples in the data's type."""
        raise NotImplementedError

    def _encode(self, x, condition):
        raise NotImplementedError(f"{type(self).__name__} has no latents to encode to")

    def _decode(self, z, condition):
        raise NotImplementedError(f"{type(self).__name__} has no latents to decode from")

    def _adapt(self, batches):
        """Data-dependent initialisation from a list of batch dicts."""

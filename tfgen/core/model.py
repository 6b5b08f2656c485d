"""GenerativeModel: the contract that every model keeps."""

import keras
import tensorflow as tf

from tfgen.core.adapt import NUM_ROWS
from tfgen.core.adapt import draw_rows
from tfgen.core.adapt import joined
from tfgen.core.data_spec import is_array
from tfgen.core.data_spec import refuse_beside_stream
from tfgen.core.portable import Portable
from tfgen.core.symbolic import check_same_rows
from tfgen.core.symbolic import num_rows as rows_of
from tfgen.core.symbolic import repeated
from tfgen.data.feed import array_batches
from tfgen.metrics import bits_per_dim
from tfgen.utils import checks
from tfgen.utils.kept import Kept
from tfgen.utils.random import Stream
from tfgen.utils.random import as_seed
from tfgen.utils.random import fold_in


class GenerativeModel(Portable):
    """Generative model: a `keras.Model` that also samples and scores.

    A family implements some of the hooks at the end of the class, pure functions of tensors with
    the noise as an argument; everything that users call is built on them here. An exact density
    needs two, `_log_weight` and `_generate`. `docs/extending.md` has the table of hooks.

    The weights are made when the outermost constructor is done (`build`), and the configuration is
    that constructor's arguments: a family writes neither.

    Args:
        event_shape: shape of one example.
        data_kind: `"real"`, `"binary"` (0 or 1) or `"uint8"` (0..255).
        condition_shape: shape of one condition, None for an unconditional
            model; `()` with `num_classes` for integer labels.
        num_classes: number of labels. With a `condition_shape` of `[features]` a condition is a
            label and a vector: `{"label": [n], "vector": [n, features]}`, or the pair.
        num_bits: bits of a value that the model sees of uint8 data.
        dtype: Keras dtype policy. `"float64"` computes everything in float64;
            `"mixed_bfloat16"` and `"mixed_float16"` reach the networks only.
        name: Keras name.

    Attributes:
        likelihood: the meaning of `log_prob`: `"exact"`, `"bound"`, `"estimate"`,
            `"manifold"`, `"none"`, or `"unnormalised"` of an energy model whose partition function
            was not estimated yet.
        has_likelihood: False of the last two, for which `log_prob` refuses.
        data_spec: the `DataSpec` of its data.
        players: the list of `Player`s that train it.

    >>> import tfgen
    >>> model = tfgen.RealNVP(2, num_layers=2)
    >>> model.likelihood, model.data_kind, model.num_dims, model.signatures()
    ('exact', 'real', 2, ['log_prob', 'sample', 'encode', 'decode'])
    >>> model.has_likelihood
    True
    """

    def call(self, inputs, training=False):
        """`log_prob` of a batch; the reconstruction, if there is none.

        Args:
            inputs: `x`, or `(x, condition)` for a conditional model.
            training: False for the noise of seed 0, the same in each call; True for fresh noise, as
                a loss needs it (see `loss`): a model that is trained on one draw learns that draw.
        """
        x, condition = inputs if isinstance(inputs, (tuple, list)) else (inputs, None)
        self._require_batch(x, condition)
        if condition is not None:
            condition = self.data_spec.condition.cast(condition)
        seed = self._fresh_seed() if training else tf.zeros([2], tf.int32)
        return self._outputs(x, condition, seed, 0)

    def loss(self, x, condition=None, seed=None, return_dict=False):
        """Objective of training, differentiable, for loops of one's own.

        It is what `fit` minimises of these rows, without the losses of layers (`model.losses`) and
        of other players, and has the noise of no evaluation. Data-dependent weights are not set by
        it: call `adapt(x)` before, as `fit` does.

        Args:
            x: tensor `[n, *event_shape]`, unchecked but for its shape; binary data may be
                probabilities of 1.
            condition: `[n, *condition_shape]`, or None for an unconditional model; of one that
                learns targets, these.
            seed: integer, two integers or a tensor of them, the same on each replica; None for
                fresh noise in each call, in graphs, too.
            return_dict: True for a dict of all terms, `"loss"` among them.

        Returns:
            `[n]` tensor, or a scalar where the objective is of the batch as a whole.

        >>> import tensorflow as tf, tfgen
        >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
        >>> x = tf.zeros([3, 4])
        >>> with tf.GradientTape() as tape:
        ...     loss = tf.reduce_mean(model.loss(x))
        >>> gradients = tape.gradient(loss, model.trainable_variables)
        >>> sorted(model.loss(x, return_dict=True))
        ['active_units', 'kl', 'kl_bits', 'loss', 'negative_elbo', 'reconstruction']
        """
        x = tf.convert_to_tensor(x)
        if self.data_spec.role == "condition":
            self._require_batch(x, condition)
        batch = self.data_spec.batch((x, condition))
        seed = self._fresh_seed() if seed is None else fold_in(as_seed(seed), Stream.FRESH)
        terms = self._batch_terms(batch, seed, training=True)
        terms["loss"] += tf.cast(terms.pop("penalty", 0.0), terms["loss"].dtype)
        return terms if return_dict else terms["loss"]

    # Keras's trainer assigns None to an attribute of this name.
    loss = Kept(loss)

    def _require_batch(self, x, condition):
        """Refuses what can be told to be wrong without reading values."""
        self.data_spec.require_shape(x)
        if (condition is None) != (self.condition_shape is None):
            # Says what the condition is.
            self.data_spec.check_condition(condition, None)

    def compute_output_shape(self, input_shape):
        """The shape of `call`'s outputs, for that of `x` or of `(x, condition)`."""
        shape = input_shape
        while isinstance(shape[0], (tuple, list)):
            shape = shape[0]
        return (shape[0], *self._output_event_shape)

    def log_prob(self, x, condition=None, seed=0, batch_size=256):
        """Log-density of the data as given, in nats.

        Dequantisation, scaling and logit are part of it. Where it takes noise
        (see `likelihood`), that depends on `seed` and row alone.

        This holds of all methods of rows: gradients flow to the weights, and to tensors of reals
        (`x`, `z`, a condition), whose values are checked as those of arrays are. In a `tf.function`
        tensors are checked by their static shapes only. A `keras.KerasTensor` gives another, for
        functional models, in which networks work as in prediction; `fit` and `loss` of the model
        itself do more, such as the initialisation from data.

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

        For a `"bound"` this is the importance-weighted (multi-sample) bound (Burda et al. 2016,
        "Importance Weighted Autoencoders", arXiv:1509.00519, eq. 8),
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

        Raises:
            NotImplementedError: if `likelihood` is `"none"`.
        """
        self._require_likelihood()
        num_samples = tf.constant(checks.check_count(num_samples, "num_samples"), tf.int64)
        return self._map_examples(
            "estimate_log_prob", x, condition, batch_size, seed, num_samples=num_samples
        )

    def bits_per_dim(self, x, condition=None, seed=0, batch_size=256):
        """`-log_prob` in bits per dimension of the data, `[n]`. Arguments as in `log_prob`.

        Raises:
            ValueError: if `likelihood` is `"manifold"` or `"none"`.
        """
        if self.likelihood in ("manifold", "none"):
            raise ValueError(
                f"bits per dimension need a density over the data; {type(self).__name__}'s "
                f'likelihood is "{self.likelihood}"'
            )
        return bits_per_dim(self.log_prob(x, condition, seed, batch_size), self.num_dims)

    def sample(
        self,
        num_samples,
        condition=None,
        temperature=1.0,
        seed=None,
        batch_size=256,
        per_condition=False,
    ):
        """Draws examples in the data's own type and range.

        Args:
            num_samples: number of examples.
            condition: one condition for all, or one for each sample.
            temperature: factor on every standard deviation; 0 is the mode (of a mixture, the
                location of the likeliest component).
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.
            per_condition: True for `num_samples` examples of each of n conditions.

        Returns:
            `[num_samples, *event_shape]` tensor, or `[n, num_samples, *event_shape]`.

        Raises:
            ValueError: for a bad argument, by its name; a base whose scale is not known has no
                `temperature` but 1.
        """
        num_samples = checks.check_count(num_samples, "num_samples")
        # What is wrong with a condition is said first.
        rows, condition = self._row_checks.sampled(num_samples, condition, per_condition)
        self.require_samples()
        self.check_temperature(temperature)
        temperature = self._as_temperature(temperature)
        x = self._rows.run(
            "sample", rows, batch_size, seed, condition=condition, temperature=temperature
        )
        return _grouped(x, num_samples) if per_condition else x

    def sample_and_log_prob(
        self, num_samples, condition=None, seed=None, batch_size=256, per_condition=False
    ):
        """Draws examples, as `sample` does, together with their `log_prob`, of the same seed.

        Flows of reals have both in one pass.

        Args:
            num_samples: number of examples.
            condition: one condition for all, or one for each sample.
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.
            per_condition: True for `num_samples` examples of each of n conditions.

        Returns:
            Pair of a `[num_samples, *event_shape]` and a `[num_samples]` tensor; or
            `[n, num_samples, *event_shape]` and `[n, num_samples]`.

        Raises:
            NotImplementedError: if `likelihood` is `"none"`.

        >>> import tfgen
        >>> x, log_prob = tfgen.RealNVP(2, num_layers=2).sample_and_log_prob(5)
        >>> x.shape, log_prob.shape
        (TensorShape([5, 2]), TensorShape([5]))
        """
        num_samples = checks.check_count(num_samples, "num_samples")
        self._require_likelihood()
        rows, condition = self._row_checks.sampled(num_samples, condition, per_condition)
        both = self._rows.run("sample_and_log_prob", rows, batch_size, seed, condition=condition)
        return tuple(_grouped(v, num_samples) if per_condition else v for v in both)

    def encode(self, x, condition=None, batch_size=256):
        """Latents of `x`, `[n, D]`. Arguments as in `log_prob`.

        Raises:
            NotImplementedError: there is no encoder, or there are no latents.
        """
        return self._map_examples("encode", x, condition, batch_size)

    def decode(self, z, condition=None, batch_size=256):
        """Examples of latents `[n, D]`, in the data's own type and range.

        >>> import tfgen
        >>> tfgen.models.Flow(2, tfgen.bijectors.ActNorm()).decode([[0.0, 1.0]]).numpy().tolist()
        [[0.0, 1.0]]
        """
        return self._map_latents("decode", z, condition, batch_size)

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

        >>> import numpy as np, tfgen
        >>> model = tfgen.models.Flow(2, tfgen.bijectors.ActNorm())
        >>> model.interpolate([[0.0, 1.0]], [[4.0, 1.0]], num_steps=3).numpy().tolist()
        [[[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]]
        """
        num_steps = checks.check_count(num_steps, "num_steps")
        a, b = (self._row_checks.rows("x", v, name) for v, name in ((a, "a"), (b, "b")))
        check_same_rows(a=a, b=b)
        condition = self._row_checks.condition(condition, rows_of(a, b), a, b)
        z, end = (self.encode(x, condition, batch_size=batch_size) for x in (a, b))
        steps = tf.constant(num_steps)
        z = self._rows.run("line", rows_of(z), batch_size, z=z, end=end, num_steps=steps)
        z = keras.ops.reshape(z, (-1, *self.latent_shape))
        x = self.decode(z, repeated(condition, num_steps), batch_size=batch_size)
        return _grouped(x, num_steps)

    def adapt(self, x, condition=None, num_batches=None, batch_size=32):
        """Data-dependent initialisation: of the weights that are set from data, and of the mean and
        deviation by which conditions are standardised.

        `fit` does this by itself before the first step of a model that needs it.

        Args:
            x: array `[n, *event_shape]`, or batches as `fit` takes them.
            condition: conditions, if `x` is an array and the model conditional.
            num_batches: number of minibatches that weights are set from, the first ones; fewer, if
                the data hold no more. By default the model's own (`num_init_batches`); models of
                vectors take 4,096 random rows.
            batch_size: size of a minibatch, if `x` is an array.

        >>> import numpy as np, tfgen
        >>> model = tfgen.models.Flow(1, tfgen.bijectors.ActNorm(), num_init_batches=1)
        >>> model.adapt([[1.0], [3.0]])
        >>> model.encode([[5.0]]).numpy().round(3).tolist()
        [[3.0]]
        """
        if num_batches is None:
            num_batches = self.num_init_batches
        else:
            num_batches = checks.check_count(num_batches, "num_batches")
        batch_size = checks.check_count(batch_size, "batch_size")
        spec = self.data_spec.without_target()
        if condition is not None:
            # Says that this model takes none.
            spec.check_condition(condition, None)
        streams, columns = not is_array(x), getattr(x, "columns", None)
        if streams:
            refuse_beside_stream(x, condition=condition)
        else:
            arrays = spec.arrays(x, condition, name="condition")
            x = array_batches(arrays, batch_size)
        batches, _ = spec.peek(x, num_batches or 1, NUM_ROWS if streams else 0)
        rows = joined(batches) if streams else draw_rows(arrays, self.noise_seed.numpy())
        self._adapt(batches[:num_batches] if num_batches else None, rows, columns)

    def signatures(self):
        """Names of the functions that `export` serves."""
        names = []
        if self.can_sample:
            names = ["log_prob", "sample"] if self.has_likelihood else ["sample"]
        if self.latent_shape and self._has_encoder:
            names.append("encode")
        return names + (["decode"] if self.latent_shape else [])

    # --- machinery ------------------------------------------------------------

    def _require_likelihood(self):
        if self.likelihood == "none":
            raise NotImplementedError(
                f"{type(self).__name__} has no likelihood: judge it by its samples "
                "(`tfgen.metrics`)"
            )
        self.require_samples()

    def require_samples(self):
        """Raises a ValueError where there is no distribution of latents to draw from yet."""
        if not self.can_sample:
            raise ValueError(
                f"this {type(self).__name__} has no distribution of latents: call `fit_latents` "
                "first"
            )

    def check_temperature(self, temperature):
        """Raises a ValueError for a `temperature` that the distribution of latents cannot have.

        >>> import tfgen
        >>> tfgen.RealNVP(2, num_layers=2).check_temperature(0.5)
        """
        name = self._latents_from
        part = name and getattr(self, name)
        if temperature != 1 and part and not part.allows_temperature:
            raise ValueError(
                f"`temperature` must be 1: `{name}` is a {type(part).__name__}, which has no "
                f"scale that is known; got {temperature!r}"
            )

    def _map_examples(self, name, x, condition, batch_size, seed=None, **arguments):
        """Runs a core over examples, and latents if there are any, and their conditions, once all
        are checked. They may be symbolic, see `log_prob`."""
        return self._map_rows(name, condition, batch_size, seed, {"x": x}, arguments)

    def _map_latents(self, name, z, condition, batch_size, seed=None, **arguments):
        """Runs a core over latents and conditions, once both are checked."""
        return self._map_rows(name, condition, batch_size, seed, {"z": z}, arguments)

    def _map_rows(self, name, condition, batch_size, seed, rows, arguments):
        if "z" in arguments:
            rows = {**rows, "z": arguments.pop("z")}
        rows = {k: self._row_checks.rows(k, v) for k, v in rows.items()}
        check_same_rows(**rows)
        num_rows = rows_of(*rows.values())
        condition = self._row_checks.condition(condition, num_rows, *rows.values())
        return self._rows.run(
            name, num_rows, batch_size, seed, condition=condition, **rows, **arguments
        )

    def _as_temperature(self, temperature):
        return tf.constant(checks.check_weight(temperature, "temperature"), self.variable_dtype)


def _grouped(values, size):
    """Values of n times `size` rows as `[n, size, ...]`."""
    return keras.ops.reshape(values, (-1, size, *values.shape[1:]))

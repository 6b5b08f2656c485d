"""Family: the hooks that a family of models implements, and the cores that are made of them."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfgen.core import adapt
from tfgen.core.data_spec import DataSpec
from tfgen.core.data_spec import first_row
from tfgen.core.row_functions import RowFunctions
from tfgen.core.row_functions import RowLayer
from tfgen.core.symbolic import RowChecks
from tfgen.core.symbolic import for_each_row
from tfgen.core.training import Trainable
from tfgen.metrics import bits_per_dim
from tfgen.utils import checks
from tfgen.utils.layers import freeze_parts
from tfgen.utils.layers import is_frozen
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_normal
from tfgen.utils.recorded import Recorded
from tfgen.utils.recorded import deserialized
from tfgen.utils.recorded import recorded_config


class Family(Trainable, metaclass=Recorded):
    """Trainable model of which a density, samples and an objective are hooks.

    The hooks stand at the end of the class: pure functions of tensors, with the noise as an
    argument. `GenerativeModel` builds on the cores made of them what users call.

    Arguments as for `GenerativeModel`.
    """

    likelihood = "none"

    def __init__(
        self,
        event_shape,
        data_kind="real",
        condition_shape=None,
        num_classes=None,
        num_bits=8,
        dtype=None,
        name=None,
    ):
        policy = checks.as_policy(dtype)
        spec = DataSpec(
            event_shape,
            data_kind,
            num_bits,
            condition_shape,
            num_classes,
            self._role,
            policy.variable_dtype,
            self._takes_unlabelled,
        )
        super().__init__(spec, dtype=policy, name=name)
        if spec.kind not in self._kinds:
            # Tables are no `data_kind` to users, who give `columns`.
            kinds = [kind for kind in self._kinds if kind != "columns"]
            raise ValueError(f"`data_kind` must be one of {kinds}; got {spec.kind!r}")
        self.event_shape, self.data_kind, self.num_bits = spec.event_shape, spec.kind, spec.num_bits
        condition = spec.condition
        self.condition_shape = None if condition is None else condition.condition_shape
        self.num_classes = None if condition is None else condition.num_classes
        if "image" not in self._y_kinds:
            checks.check_vectors(self.condition_shape)
        self._rows = RowFunctions(
            lambda name: getattr(self, f"_{name}"), self._argument_specs, lambda: RowLayer(self)
        )
        self._row_checks = RowChecks(spec, self._argument_specs)

    def _after_init(self):
        self.build()

    def build(self, input_shape=None):
        """Creates all weights; the constructor's last step."""
        if self.built:
            return
        self.term_names = self._term_names()
        self._build_training()
        self._build_embedding()
        self._build_parts()
        freeze_parts(self)
        self._build_players()
        self.built = True

    def _build_embedding(self):
        """Makes the embedding of labels, and the shape of conditions as parts take them."""
        self.features_shape = None
        if self.num_classes:
            # Orthogonal: as good a start as one-hot vectors, which many classes would make long.
            self.embedding = keras.layers.Dense(
                min(self.num_classes, 64),
                use_bias=False,
                kernel_initializer="orthogonal",
                dtype=self.variable_dtype,
            )
            self.embedding.build((None, self.num_classes))
            self.features_shape = (None, self.embedding.units + sum(self.condition_shape))
        elif self.condition_shape is not None:
            self.features_shape = (None, *self.condition_shape)

    # --- machinery ------------------------------------------------------------

    @property
    def num_dims(self):
        """Number of values in one example."""
        return self.data_spec.num_dims

    def _argument_specs(self):
        """The `tf.TensorSpec`s of the arguments of cores, by name; None: there is no such."""
        real = self.variable_dtype
        z, end = (
            self.latent_shape and tf.TensorSpec([None, *self.latent_shape], real, name=name)
            for name in ("z", "end")
        )
        scalars = {
            "seed": ([2], tf.int32),
            "start": ([], tf.int64),
            "num_rows": ([], tf.int32),
            "num_samples": ([], tf.int64),
            "num_steps": ([], tf.int32),
            "temperature": ([], real),
        }
        return {
            "x": self.data_spec.x_spec,
            "condition": self.data_spec.condition_spec,
            "z": z,
            "end": end,
            **{name: tf.TensorSpec(*spec, name=name) for name, spec in scalars.items()},
        }

    def _features(self, condition):
        """The condition as parts take it: a vector or an image."""
        if condition is None:
            return None
        if not self.num_classes:
            return self._standardised(condition)
        label = tf.cast(self.data_spec.condition.labels(condition), tf.int32)
        # Labels out of range, which only later batches of a stream can have: not a number.
        nan = tf.constant(np.nan, self.variable_dtype)
        known = (label >= 0) & (label < self.num_classes)
        one_hot = tf.one_hot(label, self.num_classes, dtype=self.variable_dtype)
        features = tf.where(known[:, None], self.embedding(one_hot), nan)
        if not self.data_spec.condition.is_pair:
            return features
        return tf.concat([features, self._standardised(condition["vector"])], -1)

    @property
    def _scales_conditions(self):
        """True if there are conditions that are reals."""
        return bool(self.condition_shape)

    def _standardised(self, vectors):
        """Conditions by their mean and deviation in the data, that `fit` begins with."""
        vectors = tf.cast(vectors, self.variable_dtype)
        return (vectors - self.condition_loc) / self.condition_scale

    def _build_later_state(self):
        state = super()._build_later_state()
        if self._scales_conditions:
            state += self._build_scales("condition", self.condition_shape[-1:])
        if self._scales_x:
            state += self._build_scales("x", self.event_shape[-1:])
        return state

    def _build_scales(self, name, size):
        """A mean and a deviation, as `NAME_loc` and `NAME_scale`."""
        for which, value in (("loc", np.zeros(size)), ("scale", np.ones(size))):
            made = self._state(f"{name}_{which}", value, self.variable_dtype)
            setattr(self, f"{name}_{which}", made)
        return list(self._scales(name))

    def _scales(self, name):
        return getattr(self, f"{name}_loc"), getattr(self, f"{name}_scale")

    def _fresh_seed(self):
        """A seed that was not used before: by the model's own, a count, and the replica."""
        seed = fold_in(fold_in(self.noise_seed, Stream.FRESH), self.fresh_draws)
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            seed = fold_in(seed, replica.replica_id_in_sync_group)
        self.fresh_draws.assign_add(1)
        return seed

    def _batch_terms(self, batch, seed, training):
        start = first_row(batch)
        x = self.data_spec.draw_bits(batch["x"], seed, start)
        noise = self._terms_noise(seed, start, tf.shape(x)[0])
        return self._terms(x, batch.get("condition"), noise, training)

    def _needs_adapt(self):
        if int(self.adapted.numpy()):
            return False
        return bool(self._unknown_scales()) or self._is_adaptive()

    def _unknown_scales(self):
        """Names of what has a mean and a deviation that are still to be set."""
        if int(self.steps_taken.numpy()):
            # Weights that were trained on data as they came know these, as in older files.
            return []
        names = ["condition"] * self._scales_conditions + ["x"] * self._scales_x
        # Those that were copied from another model know its own.
        return [n for n in names if _is_neutral(*(v.numpy() for v in self._scales(n)))]

    def _set_scales(self, rows):
        for name in self._unknown_scales():
            rows_of = rows[name]
            if name == "condition":
                rows_of = self.data_spec.condition.vectors(rows_of)
            for variable, value in zip(self._scales(name), adapt.moments(rows_of), strict=True):
                variable.assign(value)

    def _adapt(self, batches, rows, columns=None):
        spec = self.data_spec
        if spec.columns is not None:
            columns = [dim.name for dim in spec.columns.dims]
        if spec.is_real and self._is_unbounded:
            adapt.warn_of_constants(rows["x"], columns)
        reals = ["x"] * (spec.is_real and (batches is None or self._scales_x))
        rows = adapt.without_outliers(rows, reals + ["condition"] * self._scales_conditions)
        self._set_scales(rows)
        if self._is_adaptive():
            batches = adapt.chunks(rows) if batches is None else batches
            adapt.adapt(self, [adapt.joined(batches)] if self._adapts_to_one_batch else batches)
        self.adapted.assign(1)

    @property
    def _is_unbounded(self):
        """True if there is no end to the density of reals that are constant."""
        return self.likelihood == "exact"

    # --- cores of the eager methods -------------------------------------------

    def _log_prob(self, x, condition, seed, start):
        noise = self._log_prob_noise(seed, start, tf.shape(x)[0])
        return self._log_weight(x, condition, noise)

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
        condition = for_each_row(condition, num_rows)
        # Noise of its own: with that of `log_prob` for the same seed, a sample would be scored with
        # the very draw that it was made of.
        noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, num_rows)
        return self._generate(noise, condition, temperature)

    def _sample_and_log_prob(self, condition, num_rows, seed, start):
        condition = for_each_row(condition, num_rows)
        noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, num_rows)
        return self._generate_and_score(noise, condition, seed, start)

    def _line(self, z, end, num_steps):
        weight = tf.linspace(tf.zeros([], z.dtype), 1, num_steps)
        weight = tf.reshape(weight, [1, -1] + [1] * len(self.latent_shape))
        return (1 - weight) * z[:, None] + weight * end[:, None]

    # --- configuration --------------------------------------------------------

    def get_config(self):
        config = {
            **recorded_config(self, but=("dtype", "name")),
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
        model = cls(**deserialized(config))
        layers = model._all_layers()
        if max(frozen, default=0) >= len(layers):
            raise ValueError(
                f"`frozen` names layer {max(frozen)} of a {cls.__name__} that has {len(layers)}: "
                "its parts are others than those that were frozen"
            )
        for i in frozen:
            layers[i].trainable = False
        return model

    def _all_layers(self):
        return list(self._flatten_layers())

    def get_build_config(self):
        # The constructor builds; a loader has nothing left to do.
        return None

    @property
    def has_likelihood(self):
        """True if `log_prob` gives something."""
        return self.likelihood not in ("none", "unnormalised")

    # --- hooks of a family ----------------------------------------------------

    # Kinds of data that it takes; `"columns"` stands for tables.
    _kinds = ("real", "binary", "uint8")
    # What `y` is: a condition of densities and samples, or a `"target"`, which only training sees.
    _role = "condition"
    # Kinds of `y` that it takes.
    _y_kinds = ("label", "vector", "image")
    # Whether a label of -1 stands for one that is not known.
    _takes_unlabelled = False
    # Shape of an example's latents, where it has any.
    latent_shape = None
    # Whether examples have latents, where there are any.
    _has_encoder = True
    # Whether it standardises examples itself.
    _scales_x = False
    # Name of the `Base` that `sample` draws latents from.
    _latents_from = None
    # Whether there is anything to draw samples from.
    can_sample = True
    # Shape of one row of what `call` gives.
    _output_event_shape = ()

    # The next five are for the table of the zoo (`tfgen models --table`), where classes have no
    # instance to ask.
    # What `likelihood` may be, where it is not the class's attribute.
    _likelihoods = ()
    # Number of latents, as an expression of attributes; None: no latents.
    _latents = None
    # How a sample is made; None: it makes none.
    _sampling = "one pass"
    # Terms whose weighted sum is minimised, with `+` between them; alternatives with `or`.
    _minimises = "nll or bpd"
    # Names of its players.
    _player_names = ("model",)

    def _build_parts(self):
        """Builds the layers inside."""

    def _log_weight(self, x, condition, noise):
        """`[batch]`: the log of an estimate of the likelihood whose mean is the likelihood."""
        raise NotImplementedError(f"{type(self).__name__} must implement _log_weight")

    def _log_weight_of(self, x, condition):
        """`_log_weight` as a function of the noise, for many draws of it."""
        return functools.partial(self._log_weight, x, condition)

    def _log_prob_noise(self, seed, start, num_rows):
        """The noise of `_log_weight` for these rows, or None."""
        return None

    def _generate(self, noise, condition, temperature):
        """Examples in the data's type."""
        raise NotImplementedError(f"{type(self).__name__} must implement _generate")

    def _sample_noise(self, seed, start, num_rows):
        """The noise of `_generate` for these rows: by default standard normal, `[n, *shape]` with
        the shape of latents or, where there are none, of examples."""
        shape = self.latent_shape or self.event_shape
        return row_normal(seed, start, num_rows, shape, self.variable_dtype)

    def _generate_and_score(self, noise, condition, seed, start):
        """Examples in the data's type, of the noise of `_generate`, and their `_log_prob`: what
        makes an example may know its density."""
        x = self._generate(noise, condition, tf.ones([], self.variable_dtype))
        return x, self._log_prob(x, condition, seed, start)

    @property
    def _objective(self):
        """Name of the loss of a likelihood: `"bpd"` of uint8 data, `"nll"` in nats of others."""
        return "bpd" if self.data_kind == "uint8" else "nll"

    def _term_names(self):
        """Names of the terms of `_terms`, in order, but for `"loss"`."""
        return (self._objective,) if self.has_likelihood else ()

    def _terms(self, x, condition, noise, training):
        """Dict of the objective's terms, `"loss"` among them: `[batch]` or scalars. By default the
        negative log-likelihood. A `"penalty"`, a scalar, is added to the loss, whatever the sample
        weights."""
        log_prob = self._log_weight(x, condition, noise)
        loss = -log_prob
        if self._objective == "bpd":
            loss = bits_per_dim(log_prob, self.num_dims)
        return {self._objective: loss, "loss": loss}

    def _terms_noise(self, seed, start, num_rows):
        """The noise of `_terms` for these rows."""
        return self._log_prob_noise(seed, start, num_rows)

    def _outputs(self, x, condition, seed, start):
        """The outputs of `call` and `predict`."""
        return self._log_prob(x, condition, seed, start)

    def _encode(self, x, condition):
        raise NotImplementedError(f"{type(self).__name__} has no latents to encode to")

    def _decode(self, z, condition):
        raise NotImplementedError(f"{type(self).__name__} has no latents to decode from")

    def _is_adaptive(self):
        """True if there are data-dependent weights."""
        return adapt.has_adaptive(self._all_layers())

    # Whether data-dependent weights are set from all minibatches as one.
    _adapts_to_one_batch = True

    def _initialise(self, parts):
        """Sets data-dependent weights from a list of `(x, condition, noise)`, with the noise of
        `_terms`; by default in one pass of the likelihood, in which weight normalisation is set."""
        for x, condition, noise in parts:
            self._log_weight(x, condition, noise)


def _is_neutral(loc, scale):
    return not np.any(loc) and np.all(scale == 1)

"""`compile`, `fit`, `evaluate`, `predict`: Keras's own, fed with numbered rows."""

import itertools
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.data.feed import array_batches
from tfgen.data.feed import dataset_batches
from tfgen.utils import checks
from tfgen.utils.random import fold_in

_COMPILE_ARGUMENTS = (
    "optimizer",
    "run_eagerly",
    "steps_per_execution",
    "jit_compile",
    "auto_scale_loss",
)


class Trainable(keras.Model):
    """The training half of `GenerativeModel`.

    Batches are dicts that number their rows (`tfgen.data.feed`), so that noise
    is a function of seed, step and row: equal on one replica and on many, and
    in a resumed run. The order of arrays is a function of the model's seed and
    the step at which the epoch starts.
    """

    # Minibatches that `fit` initialises data-dependent weights from.
    num_init_batches = 1

    def compile(
        self,
        optimizer=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Configures training. The objective is the model's own.

        Args:
            optimizer: Keras optimizer, or None for the model's own choice.
            run_eagerly: as in Keras.
            steps_per_execution: as in Keras.
            jit_compile: as in Keras; `"auto"` is XLA on accelerators and plain
                graphs on CPUs, where convolutions in a loop are slow under XLA.
            auto_scale_loss: as in Keras.
        """
        super().compile(
            optimizer=self.default_optimizer() if optimizer is None else optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self._given_jit_compile = jit_compile
        # Its variables exist before any checkpoint is read.
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        config = super().get_compile_config()
        # "auto" is decided where the model is loaded, not where it was saved.
        return config and {**config, "jit_compile": self._given_jit_compile}

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**{k: v for k, v in config.items() if k in _COMPILE_ARGUMENTS})

    def default_optimizer(self):
        """The optimizer of `compile()` without arguments."""
        return keras.optimizers.Adam(1e-3)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Keras's `fit`; `y` is the condition, which an unconditional model ignores.

        Initialises data-dependent weights (`adapt`) before the first step of a
        model that needs it. Arguments as in `keras.Model.fit`, but for:

        Args:
            x: array `[n, *event_shape]`, or batches of such as a
                `tf.data.Dataset`, `keras.utils.PyDataset` or iterator, with or
                without conditions and sample weights.
            y: conditions, `[n, *condition_shape]`.
            class_weight: dict from label to weight, for models conditional on
                labels.

        Returns:
            A `keras.callbacks.History` with one entry for every term of the
            objective, `val_` for validation. A callback that monitors a term
            needs `mode="min"`; it knows by itself that less `val_loss` is better.
        """
        self._assert_compile_called("fit")
        batch_size = checks.check_count(32 if batch_size is None else batch_size, "batch_size")
        for name, count in (
            ("steps_per_epoch", steps_per_epoch),
            ("validation_steps", validation_steps),
            ("validation_batch_size", validation_batch_size),
        ):
            if count is not None:
                checks.check_count(count, name)
        if validation_split and validation_data is None:
            if _is_array(x):
                self._arrays(x, y, sample_weight)
            (x, y, sample_weight), validation_data = _split(x, y, sample_weight, validation_split)
        if _is_array(x):
            arrays = self._arrays(x, y, sample_weight, class_weight)
            num_batches = math.ceil(len(arrays["x"]) / batch_size)
            passes = self._passes(num_batches, forever=steps_per_epoch is not None)
            x = array_batches(arrays, batch_size, passes, shuffle)
            if steps_per_epoch is None:
                x = x.apply(tf.data.experimental.assert_cardinality(num_batches))
        else:
            self._refuse_beside_stream(x, y=y, sample_weight=sample_weight)
        batches, x = self._peek(x, self.num_init_batches if self._needs_adapt() else 1)
        if self._needs_adapt():
            if verbose and self.num_init_batches > 1:
                wanted = self.num_init_batches
                of = "" if len(batches) == wanted else f", all there are of the {wanted} asked for"
                print(f"Initialising from {len(batches)} minibatches{of} ...", flush=True)
            self._adapt(batches)
        if class_weight is not None and "sample_weight" in batches[0] and not _is_numbered(x):
            raise ValueError("give `sample_weight` or `class_weight`, not both")
        x = self._stream(x, class_weight)
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)):
                validation_data = (validation_data,)
            if not 1 <= len(validation_data) <= 3:
                raise ValueError(
                    "`validation_data` must be x, (x, y) or (x, y, sample_weight); got "
                    f"{len(validation_data)} parts"
                )
            size = validation_batch_size or batch_size
            validation_data = self._evaluation_data(*validation_data, batch_size=size)
        return super().fit(
            x,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            shuffle=False,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
        )

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs):
        """Keras's `evaluate`: the mean of each term, with the noise of `log_prob(x, seed=0)`."""
        self._assert_compile_called("evaluate")
        if not kwargs.get("_use_cached_eval_dataset"):
            batch_size = 32 if batch_size is None else batch_size
            x = self._evaluation_data(x, y, sample_weight, batch_size=batch_size)
        return super().evaluate(x, **kwargs)

    def predict(self, x, batch_size=None, **kwargs):
        """Keras's `predict`: the outputs of `call`, row by row, as one array."""
        batch_size = 32 if batch_size is None else batch_size
        x = self._evaluation_data(x, batch_size=batch_size, predict=True)
        return super().predict(x, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """Keras's, with `fit`'s checks and initialisation of data-dependent weights."""
        self._assert_compile_called("train_on_batch")
        arrays = self._arrays(x, y, sample_weight, class_weight)
        batch = tuple(arrays.get(name) for name in ("x", "condition", "sample_weight"))
        if self._needs_adapt():
            self._adapt([self._batch(batch)])
        return super().train_on_batch(*batch, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Keras's, with `evaluate`'s checks."""
        self._assert_compile_called("test_on_batch")
        arrays = self._arrays(x, y, sample_weight)
        batch = (arrays.get(name) for name in ("x", "condition", "sample_weight"))
        return super().test_on_batch(*batch, **kwargs)

    def predict_on_batch(self, x):
        """`predict` of one batch."""
        rows = x[0] if isinstance(x, (tuple, list)) else x
        return self.predict(x, batch_size=len(rows), verbose=0)

    def train_step(self, data):
        batch = self._batch(data)
        seed = fold_in(self.noise_seed, self.optimizer.iterations)
        with tf.GradientTape() as tape:
            loss = self._loss(batch, seed, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        # The count of steps, which a pass over arrays reads at its start, goes on only when the
        # step has its batch.
        with tf.control_dependencies([batch["row"]]):
            self.optimizer.apply(gradients, variables)
        return self._results()

    def test_step(self, data):
        self._loss(self._batch(data), tf.zeros([2], tf.int32), training=False)
        return self._results()

    def predict_step(self, data):
        batch = self._batch(data)
        return self._log_prob(
            batch["x"], batch.get("condition"), tf.zeros([2], tf.int32), _first(batch)
        )

    def _loss(self, batch, seed, training):
        num_rows = tf.shape(batch["x"])[0]
        noise = self._log_prob_noise(seed, _first(batch), num_rows)
        terms = self._terms(batch["x"], batch.get("condition"), noise, training)
        return self.compute_loss(
            x=batch["x"],
            y=batch.get("condition"),
            y_pred=terms,
            sample_weight=batch.get("sample_weight"),
            training=training,
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch from its terms, which are tracked by name.

        Args:
            x: the batch.
            y: the conditions, or None.
            y_pred: dict of the terms, each `[batch]` or a scalar; `"loss"` is
                what is minimised, the others are logged.
            sample_weight: `[batch]` or None.
            training: whether this is a training step.

        Returns:
            The scalar loss, divided among the replicas.
        """
        num_rows = tf.shape(x)[0]
        for name, value in y_pred.items():
            if name != "loss":
                weight = sample_weight if value.shape.rank else num_rows
                self._trackers[name].update_state(value, sample_weight=weight)
        loss = y_pred["loss"]
        if sample_weight is not None:
            loss *= tf.cast(sample_weight, loss.dtype)
        if self.losses:
            loss += tf.add_n([tf.cast(extra, loss.dtype) for extra in self.losses])
        self._loss_tracker.update_state(loss)
        # Keras's own reduction: the sum over the batch by its size, not by its weights. The size
        # is the whole batch's: replicas may have unequal shares of it, or none.
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            num_rows = context.all_reduce(tf.distribute.ReduceOp.SUM, num_rows)
        return tf.reduce_sum(loss) / tf.cast(num_rows, loss.dtype)

    def _results(self):
        return {metric.name: metric.result() for metric in self.metrics}

    # --- data -----------------------------------------------------------------

    def _passes(self, num_batches, forever):
        """Where passes over arrays start: see `array_batches`.

        The seed of an order is the model's and the step at which the pass starts.
        With `steps_per_epoch`, passes go on forever; a resumed one is taken up
        where it was left.
        """

        def passes():
            first = int(self.optimizer.iterations.numpy())
            skip = first % num_batches if forever else 0
            for k in itertools.count() if forever else range(1):
                start = first - skip + k * num_batches
                yield fold_in(self.noise_seed, -1 - start).numpy(), 0 if k else skip

        return passes

    def _arrays(self, x, y=None, sample_weight=None, class_weight=None):
        """Checked arrays by name."""
        x = self._check_x(x)
        arrays = {"x": x}
        if self.condition_shape is not None:
            if y is not None:
                checks.check_same_length(x=x, y=checks.as_numeric(y, "y"))
            arrays["condition"] = self._check_condition(y, len(x), name="y")
        weights = None
        if sample_weight is not None:
            weights = checks.as_weights(sample_weight, "sample_weight", len(x))
        if class_weight is not None:
            if weights is not None:
                raise ValueError("give `sample_weight` or `class_weight`, not both")
            weights = self._class_weights(class_weight)[np.asarray(arrays["condition"])]
        if weights is not None:
            arrays["sample_weight"] = weights
        return arrays

    def _class_weights(self, class_weight):
        if not self.num_classes:
            raise ValueError("`class_weight` needs a model with `num_classes`")
        labels = range(self.num_classes)
        checks.check_instance(class_weight, dict, "class_weight")
        if set(class_weight) - set(labels):
            raise ValueError(
                f"`class_weight` must be a dict from labels in 0..{self.num_classes - 1} to "
                f"weights; got {class_weight}"
            )
        for weight in class_weight.values():
            checks.check_weight(weight, "class_weight")
        return np.array([class_weight.get(k, 1.0) for k in labels], np.float32)

    def _refuse_beside_stream(self, x, **arrays):
        for name, value in arrays.items():
            if value is not None:
                raise ValueError(f"`{name}` must come with `x` when `x` is a {type(x).__name__}")

    def _stream(self, x, class_weight=None, number_on=False):
        """A user's own batches; `tf.data` gets numbered rows, other kinds stay as they are."""
        if _is_numbered(x):
            return x
        if not isinstance(x, tf.data.Dataset):
            if class_weight is not None:
                raise ValueError("`class_weight` takes arrays or a tf.data.Dataset as `x`")
            return x

        def pack(element):
            batch = self._batch(element)
            batch.pop("row")
            if class_weight is not None:
                weights = tf.constant(self._class_weights(class_weight))
                batch["sample_weight"] = tf.gather(weights, batch["condition"])
            return batch

        return dataset_batches(x, pack, number_on)

    def _evaluation_data(self, x, y=None, sample_weight=None, *, batch_size, predict=False):
        if not _is_array(x):
            self._refuse_beside_stream(x, y=y, sample_weight=sample_weight)
            _, x = self._peek(x)
            return self._stream(x, number_on=True)
        if predict and self.condition_shape is not None and isinstance(x, (tuple, list)):
            x, y = x
        arrays = self._arrays(x, y, sample_weight)
        return array_batches(arrays, checks.check_count(batch_size, "batch_size"))

    def _require_shape(self, x):
        """What can be told of a tensor without reading it."""
        if not tf.TensorShape(x.shape).is_compatible_with([None, *self.event_shape]):
            raise ValueError(
                f"`x` must have batches of shape [n, {', '.join(map(str, self.event_shape))}]; "
                f"got {x.shape}"
            )

    def _peek(self, x, num_batches=1):
        """The first batches of a stream, the first of them checked, and the whole stream."""
        if isinstance(x, keras.utils.PyDataset):
            known = num_batches if x.num_batches is None else x.num_batches
            first = [x[i] for i in range(min(num_batches, known))]
        else:
            first = list(itertools.islice(iter(x), num_batches))
        if not first:
            raise ValueError("`x` must have at least one batch; got an empty data set")
        if not (isinstance(first[0], dict) and "row" in first[0]):
            given = keras.utils.unpack_x_y_sample_weight(first[0])
            if not isinstance(given[0], (dict, tuple, list)):
                self._arrays(*given)
        batches = [self._batch(b) for b in first]
        if hasattr(x, "__next__"):
            # A generator, which is the only kind of iterator that Keras takes.
            x = (batch for batch in itertools.chain(first, x))
        return batches, x

    def _batch(self, data):
        """A batch dict from what a data set yields."""
        if isinstance(data, dict) and "row" in data:
            return data
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if x is None or isinstance(x, (dict, tuple, list)):
            raise ValueError(f"batches must be x, (x, y) or (x, y, sample_weight); got {data!r}")
        x = tf.convert_to_tensor(x)
        self._require_shape(x)
        batch = {"x": x, "row": tf.range(tf.shape(x, tf.int64)[0], dtype=tf.int64)}
        if self.condition_shape is not None:
            if y is None:
                # Says what the condition is.
                self._check_condition(None, None, name="y")
            batch["condition"] = tf.cast(y, tf.int32 if self.num_classes else self.variable_dtype)
            if self.num_classes and batch["condition"].shape.rank == 2:
                batch["condition"] = tf.squeeze(batch["condition"], 1)
        if sample_weight is not None:
            batch["sample_weight"] = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        return batch


def _is_numbered(x):
    """Whether `x` is `array_batches`, not a user's own."""
    spec = x.element_spec if isinstance(x, tf.data.Dataset) else None
    return isinstance(spec, dict) and "row" in spec


def _first(batch):
    """The number of a batch's first row; of an empty batch, which a replica may get, any."""
    return tf.reduce_min(batch["row"])


def _is_array(x):
    """Whether `x` is data as a whole, not batches of it."""
    streams = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset)
    return not isinstance(x, streams) and not hasattr(x, "__next__")


def _split(x, y, sample_weight, fraction):
    """The last `fraction` of the rows for validation, as in Keras."""
    if not _is_array(x):
        raise ValueError("`validation_split` needs arrays; got batches as `x`")
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_split` must lie in (0, 1); got {fraction}")
    split = math.floor(len(x) * (1 - fraction))
    if not 0 < split < len(x):
        raise ValueError(f"`validation_split` {fraction} of {len(x)} rows leaves a part empty")
    given = [None if a is None else np.asarray(a) for a in (x, y, sample_weight)]
    halves = (slice(split), slice(split, None))
    return [[a if a is None else a[rows] for a in given] for rows in halves]

"""`compile`, `fit`, `evaluate`, `predict`: Keras's own, fed with numbered rows."""

import math

import keras
import tensorflow as tf

from tfgen.data.feed import array_batches
from tfgen.models.batches import Batches
from tfgen.models.batches import as_batch_size
from tfgen.models.batches import hold_out
from tfgen.models.batches import is_array
from tfgen.utils import checks
from tfgen.utils.random import fold_in
from tfgen.utils.replicas import sum_over_replicas

_COMPILE_ARGUMENTS = (
    "optimizer",
    "run_eagerly",
    "steps_per_execution",
    "jit_compile",
    "auto_scale_loss",
)


class Trainable(Batches, keras.Model):
    """The training half of `GenerativeModel`.

    Batches are dicts that number their rows (`tfgen.data.feed`), so that noise
    is a function of seed, step and row: equal on one replica and on many, and
    in a resumed run. The order of arrays is a function of the model's seed and
    the step at which the epoch starts.
    """

    # Minibatches that `fit` initialises data-dependent weights from.
    num_init_batches = 1
    # What a family's `compile` takes beside the arguments here.
    _compile_arguments = ()

    def compile(
        self,
        optimizer=None,
        *,
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
        names = (*_COMPILE_ARGUMENTS, *self._compile_arguments)
        self.compile(**{k: v for k, v in config.items() if k in names})

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
                without conditions and sample weights. Binary data may be floats
                in [0, 1]: probabilities of 1, drawn from afresh in every step
                (dynamic binarisation).
            y: conditions, `[n, *condition_shape]`.
            class_weight: dict from label to weight, for models conditional on
                labels.

        Returns:
            A `keras.callbacks.History` with one entry for every term of the
            objective, `val_` for validation. A callback that monitors a term
            needs `mode="min"`; it knows by itself that less `val_loss` is better.
        """
        self._assert_compile_called("fit")
        batch_size = as_batch_size(batch_size)
        if steps_per_epoch is not None:
            steps_per_epoch = checks.check_count(steps_per_epoch, "steps_per_epoch")
        if validation_steps is not None:
            validation_steps = checks.check_count(validation_steps, "validation_steps")
        if validation_batch_size is None:
            validation_batch_size = batch_size
        validation_size = checks.check_count(validation_batch_size, "validation_batch_size")
        holds_out = validation_split and validation_data is None
        streams = not is_array(x)
        if streams:
            if holds_out:
                raise ValueError("`validation_split` needs arrays; got batches as `x`")
            self._refuse_beside_stream(x, y=y, sample_weight=sample_weight)
        else:
            arrays = self._arrays(x, y, sample_weight)
            if holds_out:
                arrays, held_out = hold_out(arrays, validation_split)
                validation_data = array_batches(held_out, validation_size)
            arrays = self._weigh(arrays, class_weight)
            num_batches = math.ceil(len(arrays["x"]) / batch_size)
            passes = self._passes(num_batches, forever=steps_per_epoch is not None)
            x = array_batches(arrays, batch_size, passes, shuffle)
            if steps_per_epoch is None:
                x = x.apply(tf.data.experimental.assert_cardinality(num_batches))
        batches, x = self._peek(x, self.num_init_batches if self._needs_adapt() else 1)
        if self._needs_adapt():
            if verbose and self.num_init_batches > 1:
                wanted = self.num_init_batches
                of = "" if len(batches) == wanted else f", all there are of the {wanted} asked for"
                print(f"Initialising from {len(batches)} minibatches{of} ...", flush=True)
            self._adapt(batches)
        if streams:
            # Raises here rather than in the graph of a data set.
            self._weigh(batches[0], class_weight)
            x = self._stream(x, class_weight)
        if validation_data is not None and not holds_out:
            if not isinstance(validation_data, (tuple, list)):
                validation_data = (validation_data,)
            if not 1 <= len(validation_data) <= 3:
                raise ValueError(
                    "`validation_data` must be x, (x, y) or (x, y, sample_weight); got "
                    f"{len(validation_data)} parts"
                )
            validation_data = self._evaluation_data(*validation_data, batch_size=validation_size)
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

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """Keras's `evaluate`: the mean of each term, with the noise of `log_prob(x, seed=0)`.

        But for two cases of other noise: compiled with XLA, which draws its own, and batches of a
        `PyDataset`, which have no order (each has the noise of the first rows).
        """
        self._assert_compile_called("evaluate")
        if not kwargs.get("_use_cached_eval_dataset"):
            x = self._evaluation_data(x, y, sample_weight, batch_size=batch_size)
        return super().evaluate(x, verbose=verbose, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", **kwargs):
        """Keras's `predict`: the outputs of `call`, row by row, as one array.

        Noise as in `evaluate`.
        """
        x = self._evaluation_data(x, batch_size=batch_size, predict=True)
        return super().predict(x, verbose=verbose, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """Keras's, with `fit`'s checks and initialisation of data-dependent weights."""
        self._assert_compile_called("train_on_batch")
        batch = self._one_batch(self._weigh(self._arrays(x, y, sample_weight), class_weight))
        if self._needs_adapt():
            self._adapt([self._batch(batch)])
        return super().train_on_batch(*batch, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Keras's, with `evaluate`'s checks."""
        self._assert_compile_called("test_on_batch")
        batch = self._one_batch(self._arrays(x, y, sample_weight))
        return super().test_on_batch(*batch, **kwargs)

    def _one_batch(self, arrays):
        """What Keras's methods of a single batch take."""
        return tuple(arrays.get(name) for name in ("x", "condition", "sample_weight"))

    def predict_on_batch(self, x):
        """`predict` of one batch."""
        rows = x[0] if isinstance(x, (tuple, list)) else x
        return self.predict(x, batch_size=len(rows), verbose=0)

    def train_step(self, data):
        batch = self._batch(data)
        seed = fold_in(self.noise_seed, self.steps_taken)
        with tf.GradientTape() as tape:
            loss = self._loss(batch, seed, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply(gradients, variables)
        # A pass over arrays reads the count at its start: it goes on only when the step has its
        # batch.
        with tf.control_dependencies([batch["row"]]):
            self.steps_taken.assign_add(1)
        return self._results()

    def test_step(self, data):
        self._loss(self._batch(data), tf.zeros([2], tf.int32), training=False)
        return self._results()

    def predict_step(self, data):
        batch, seed = self._batch(data), tf.zeros([2], tf.int32)
        x = self._drawn(batch["x"], seed, first_row(batch))
        return self._outputs(x, batch.get("condition"), seed, first_row(batch))

    def _loss(self, batch, seed, training):
        x = self._drawn(batch["x"], seed, first_row(batch))
        noise = self._terms_noise(seed, first_row(batch), tf.shape(x)[0])
        terms = self._terms(x, batch.get("condition"), noise, training)
        return self.compute_loss(
            x=x,
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
        terms = {name: value for name, value in y_pred.items() if name != "loss"}
        self._track(terms, sample_weight, num_rows)
        loss = self._weighted(y_pred["loss"], sample_weight, self.losses)
        self._loss_tracker.update_state(loss)
        return self._mean(loss, num_rows)

    def _track(self, terms, sample_weight, num_rows):
        for name, value in terms.items():
            weight = sample_weight if value.shape.rank else num_rows
            self._trackers[name].update_state(value, sample_weight=weight)

    def _weighted(self, loss, sample_weight, extras):
        """The rows' losses by their weights, and losses of layers."""
        if sample_weight is not None:
            loss *= tf.cast(sample_weight, loss.dtype)
        if extras:
            loss += tf.add_n([tf.cast(extra, loss.dtype) for extra in extras])
        return loss

    def _mean(self, loss, num_rows):
        # Keras's own reduction: the sum over the batch by its size, not by its weights. The size
        # is the whole batch's: replicas may have unequal shares of it, or none.
        num_rows = sum_over_replicas(num_rows)
        return tf.reduce_sum(loss) / tf.cast(num_rows, loss.dtype)

    def _results(self):
        return {metric.name: metric.result() for metric in self.metrics}


def first_row(batch):
    """The number of a batch's first row; of an empty batch, which a replica may get, any."""
    return tf.reduce_min(batch["row"])

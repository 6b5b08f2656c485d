"""`fit`, `evaluate`, `predict`: Keras's own, fed with numbered rows, run by players."""

import math

import numpy as np
import tensorflow as tf

from tfgen.core import skipping
from tfgen.core.adapt import NUM_ROWS
from tfgen.core.adapt import draw_rows
from tfgen.core.adapt import joined
from tfgen.core.data_spec import first_row
from tfgen.core.data_spec import hold_out
from tfgen.core.data_spec import is_array
from tfgen.core.data_spec import refuse_beside_stream
from tfgen.core.orders import passes
from tfgen.core.played import Played
from tfgen.data.feed import array_batches
from tfgen.data.feed import row_numbers
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.replicas import is_multi_worker
from tfgen.utils.replicas import sum_over_replicas

# Of the terms: what part of a row each is.
_COUNTS = "counts"


class Trainable(Played):
    """Keras model that players train, on batches with numbered rows.

    Noise is a function of seed, step and row: equal on one replica and on many, and in a resumed
    run. The order of arrays is a function of the model's seed and the step at which the epoch
    starts.

    A subclass gives the hooks at the end of the class.

    Arguments as for `Played`.
    """

    # --- what users call ------------------------------------------------------

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
        model that needs it: means and deviations are those of the first data that
        a model is trained on. Arguments as in `keras.Model.fit`, but for:

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
            objective, `val_` for validation. Callbacks that monitor one in
            `mode="auto"` take less to be better, but for scores, weights and
            counts of units, which say neither.
        """
        self._assert_compile_called("fit")
        self._direct(callbacks)
        batch_size = as_batch_size(batch_size)
        if steps_per_epoch is not None:
            steps_per_epoch = checks.check_count(steps_per_epoch, "steps_per_epoch")
        if validation_steps is not None:
            validation_steps = checks.check_count(validation_steps, "validation_steps")
        if validation_batch_size is None:
            validation_batch_size = batch_size
        validation_size = checks.check_count(validation_batch_size, "validation_batch_size")
        spec = self.data_spec
        holds_out = validation_split and validation_data is None
        streams, columns, least_rows = not is_array(x), None, self._num_replicas
        if streams:
            if holds_out:
                raise ValueError("`validation_split` needs arrays; got batches as `x`")
            refuse_beside_stream(x, y=y, sample_weight=sample_weight)
        else:
            columns = getattr(x, "columns", None)
            arrays = spec.arrays(x, y, sample_weight)
            if holds_out:
                arrays, held_out = hold_out(arrays, validation_split)
                validation_data = array_batches(held_out, validation_size, least_rows=least_rows)
            arrays = spec.weigh(arrays, class_weight)
            self._check_batches(len(arrays["x"]), batch_size)
            num_batches = math.ceil(len(arrays["x"]) / batch_size)
            order = passes(self, num_batches, forever=steps_per_epoch is not None)
            x = array_batches(arrays, batch_size, order, shuffle, least_rows)
            if steps_per_epoch is None:
                x = x.apply(tf.data.experimental.assert_cardinality(num_batches))
        needs_adapt = self._needs_adapt()
        wanted = (self.num_init_batches or 1) if needs_adapt else 1
        batches, x = spec.peek(x, wanted, NUM_ROWS if needs_adapt and streams else 0)
        if needs_adapt:
            rows = joined(batches) if streams else draw_rows(arrays, self.noise_seed.numpy())
            first = batches[:wanted] if self.num_init_batches else None
            if verbose and self.num_init_batches != 1:
                many = f"{len(first)} minibatches" if first else f"{len(rows['row'])} rows"
                short = first and len(first) < wanted
                of = f", all there are of the {wanted} asked for" if short else ""
                print(f"Initialising from {many}{of} ...", flush=True)
            self._adapt(first, rows, columns)
        if streams:
            # Raises here rather than in the graph of a data set.
            spec.weigh(batches[0], class_weight)
            x = spec.stream(x, class_weight, least_rows=least_rows)
        if validation_data is not None and not holds_out:
            if not isinstance(validation_data, (tuple, list)):
                validation_data = (validation_data,)
            if not 1 <= len(validation_data) <= 3:
                raise ValueError(
                    "`validation_data` must be x, (x, y) or (x, y, sample_weight); got "
                    f"{len(validation_data)} parts"
                )
            validation_data = spec.evaluation_batches(
                *validation_data, batch_size=validation_size, least_rows=least_rows
            )
        history = super().fit(
            x,
            epochs=epochs,
            verbose=verbose,
            callbacks=skipping.with_first(
                [skipping.SkippedSteps(), *self._own_callbacks(batches[0])], callbacks
            ),
            validation_data=validation_data,
            shuffle=False,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
        )
        for player in self.players[1:]:
            # As Keras does for `optimizer`; averages of no step are zero.
            if int(player.optimizer.iterations.numpy()):
                player.optimizer.finalize_variable_values(player.variables)
        return history

    def _direct(self, callbacks):
        """Says of terms that less is better, where callbacks leave that open."""
        ordered = set(self.term_names) - self._unordered_terms
        for callback in callbacks if isinstance(callbacks, list | tuple) else [callbacks]:
            monitored = str(getattr(callback, "monitor", "")).removeprefix("val_")
            if getattr(callback, "mode", None) == "auto" and monitored in ordered:
                callback.mode = "min"

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """Keras's `evaluate`: the mean of each term, with the noise of `log_prob(x, seed=0)`.

        Compiled with XLA, which draws its own, the noise is another one.
        """
        self._assert_compile_called("evaluate")
        if not kwargs.get("_use_cached_eval_dataset"):
            size = as_batch_size(batch_size)
            x = self.data_spec.evaluation_batches(
                x, y, sample_weight, size, least_rows=self._num_replicas
            )
        return super().evaluate(x, verbose=verbose, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", **kwargs):
        """Keras's `predict`: the outputs of `call`, row by row, as one array.

        Noise as in `evaluate`.
        """
        y = None
        if self.data_spec.condition is not None and isinstance(x, tuple) and len(x) == 2:
            x, y = x
        spec = self.data_spec.without_target()
        size = as_batch_size(batch_size)
        x = spec.evaluation_batches(x, y, batch_size=size, least_rows=self._num_replicas)
        return super().predict(x, verbose=verbose, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """Keras's, with `fit`'s checks and initialisation of data-dependent weights."""
        self._assert_compile_called("train_on_batch")
        arrays = self.data_spec.weigh(self.data_spec.arrays(x, y, sample_weight), class_weight)
        batch = self._one_batch(arrays)
        if self._needs_adapt():
            rows = self.data_spec.batch(batch)
            self._adapt([rows] if self.num_init_batches else None, rows)
        skipped = int(self.skipped_steps.numpy())
        results = super().train_on_batch(*batch, **kwargs)
        if int(self.skipped_steps.numpy()) == skipped:
            return results
        # Else those of the steps before.
        return tf.nest.map_structure(lambda value: np.full_like(value, np.nan), results)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Keras's, with `evaluate`'s checks."""
        self._assert_compile_called("test_on_batch")
        batch = self._one_batch(self.data_spec.arrays(x, y, sample_weight))
        return super().test_on_batch(*batch, **kwargs)

    def _one_batch(self, arrays):
        """The arguments of Keras's methods of a single batch."""
        return tuple(arrays.get(name) for name in ("x", self.data_spec.role, "sample_weight"))

    def predict_on_batch(self, x):
        """`predict` of one batch."""
        rows = x[0] if isinstance(x, (tuple, list)) else x
        return self.predict(x, batch_size=len(rows), verbose=0)

    # --- steps ----------------------------------------------------------------

    def train_step(self, data):
        """One step of every player on a batch: the others in their order, then the lead.

        Args:
            data: what a data set yields; `data_spec.batch(data)` is the batch of it, a dict, and
                `data_spec.unpack(data)` its `(x, y, sample_weight)`.

        Returns:
            The metrics' results by name.
        """
        batch = self.data_spec.batch(data)
        seed = fold_in(self.noise_seed, self.steps_taken)
        stream = fold_in(seed, Stream.PLAYERS)
        sound = []
        for number, player in enumerate(self.players[1:]):
            # The first one's is the stream itself, as when a critic was the only one.
            own = fold_in(stream, -number) if number else stream
            for i in range(player.steps):
                sound.append(self._move(player, batch, fold_in(own, i)))
        sound.append(self._move(self.players[0], batch, seed))
        self._count_skipped(*tf.unstack(tf.reduce_all(sound, 0)))
        # A pass over arrays reads the count at its start: it goes on only when the step has its
        # batch.
        with tf.control_dependencies([batch["row"]]):
            self.steps_taken.assign_add(1)
        return self._results()

    def _move(self, player, batch, seed):
        """One step of one player. One that is not sound is as one of no gradient, and leaves no
        trace in moving averages and logs. Returns what `is_sound` does."""
        logged = skipping.values_of(self.metrics_variables)
        averages = skipping.values_of(skipping.averages_of(self))
        # Profiles and `graph_costs` tell the parts of a step by these names.
        with tf.GradientTape() as tape, tf.name_scope("forward"):
            loss = self._loss(player, batch, seed, training=True)
            scaled = player.optimizer.scale_loss(loss)
        with tf.name_scope("backward"):
            gradients = tape.gradient(scaled, player.variables)
        with tf.name_scope("optimizer"):
            strikes = tf.convert_to_tensor(self.strikes)
            sound, calm = skipping.is_sound(loss, gradients, player.loss_scale, strikes)
            player.apply(skipping.zero_unless(sound, gradients))
            skipping.put_back(averages, where=~sound)
            skipping.put_back(logged, where=~sound & (strikes < skipping.SHOWN))
        return sound, calm

    def _count_skipped(self, sound, calm):
        strikes, skipped = tf.convert_to_tensor(self.strikes), tf.cast(~sound, tf.int32)
        self.skipped_steps.assign_add(tf.cast(skipped, tf.int64))
        self.strikes.assign(tf.maximum(strikes + skipped - tf.cast(calm, tf.int32), 0))

    def test_step(self, data):
        batch, seed = self.data_spec.batch(data), tf.zeros([2], tf.int32)
        for player in [*self.players[1:], self.players[0]]:
            self._loss(player, batch, seed, training=False)
        return self._results()

    def predict_step(self, data):
        batch = self.data_spec.without_target().batch(data)
        seed = tf.zeros([2], tf.int32)
        start = first_row(batch)
        x = self.data_spec.draw_bits(batch["x"], seed, start)
        outputs = self._outputs(x, batch.get("condition"), seed, start)
        if self._num_replicas == 1:
            return outputs
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        once = ~row_numbers(batch)[1] | tf.equal(replica, 0)
        return tf.nest.map_structure(lambda value: value[once], outputs)

    def _loss(self, player, batch, seed, training):
        """A player's loss of a batch, a scalar; its terms are tracked."""
        terms, weight = player.terms(batch, seed, training), batch.get("sample_weight")
        if self._num_replicas > 1:
            part = tf.where(row_numbers(batch)[1], 1 / self._num_replicas, 1.0)
            terms = {**terms, _COUNTS: part}
        if player is self.players[0]:
            y = batch.get(self.data_spec.role)
            return self.compute_loss(batch["x"], y, terms, weight, training)
        loss, counts = self._weighed(terms, weight, player.losses, batch["x"])
        return self._mean(loss, counts)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The lead's loss of a batch from its terms, which are tracked by name.

        Args:
            x: the batch.
            y: the conditions or targets, or None.
            y_pred: dict of the terms, each `[batch]` or a scalar; `"loss"` is
                what is minimised, the others are logged. A scalar `"penalty"` is
                added to it that no sample weight changes, as of weights. On several
                replicas `"counts"` says what part of a row each is: those of a batch with
                fewer rows than replicas are on all of them.
            sample_weight: `[batch]` or None.
            training: whether this is a training step.

        Returns:
            The scalar loss, divided among the replicas.
        """
        loss, counts = self._weighed(y_pred, sample_weight, self.losses, x)
        self._loss_tracker.update_state(loss, tf.cast(counts, loss.dtype))
        return self._mean(loss, counts)

    def _weighed(self, terms, sample_weight, extras, x):
        """The rows' losses by their weights, with losses of layers; what part of a row each is."""
        counts = terms.get(_COUNTS)
        if counts is None:
            counts = tf.ones(tf.shape(x)[:1])
        by_row = counts
        if sample_weight is not None:
            by_row = sample_weight * tf.cast(counts, sample_weight.dtype)
        for name, value in terms.items():
            if name in ("loss", "penalty", _COUNTS):
                continue
            if name not in self._trackers:
                raise ValueError(
                    f"{type(self).__name__} has a term {name!r} that its `_term_names` lacked when "
                    f"it was made, {list(self._trackers)}: name it there; give weights of terms to "
                    'the constructor; of a density say what it is, `likelihood = "exact"`'
                )
            weight = by_row if value.shape.rank else tf.reduce_sum(counts)
            self._trackers[name].update_state(value, sample_weight=weight)
        loss = terms["loss"]
        if not loss.shape.rank:
            # A mean over the batch is that of each of its rows.
            loss = tf.fill(tf.shape(x)[:1], loss)
        if sample_weight is not None:
            loss *= tf.cast(sample_weight, loss.dtype)
        if "penalty" in terms:
            extras = [*extras, terms["penalty"]]
        if extras:
            loss += tf.add_n([tf.cast(extra, loss.dtype) for extra in extras])
        return loss, counts

    def _mean(self, loss, counts):
        # Keras's own reduction: the sum over the batch by its size, not by its weights. The size
        # is the whole batch's: replicas may have unequal shares of it, or none.
        counts = tf.cast(counts, loss.dtype)
        return tf.reduce_sum(loss * counts) / sum_over_replicas(tf.reduce_sum(counts))

    def _results(self):
        results = {metric.name: metric.result() for metric in self.metrics}
        if is_multi_worker(self.distribute_strategy):
            # Keras takes means of them over their first axis there.
            results = {name: result[None] for name, result in results.items()}
        return results

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: models are always built. Keras's takes a batch from the user's iterator."""

    @property
    def _num_replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    # --- hooks ----------------------------------------------------------------

    # Minibatches that `fit` initialises data-dependent weights from; None for many random rows.
    num_init_batches = 1

    def _outputs(self, x, condition, seed, start):
        """The outputs of `predict` for rows `start` and on."""
        raise NotImplementedError(f"{type(self).__name__} must implement _outputs")

    def _check_batches(self, num_rows, batch_size):
        """Refuses so many rows in batches of this size, before a pass over them: nothing here."""

    def _own_callbacks(self, batch):
        """Callbacks of `fit` that a model has of itself; `batch` is the first one, a dict."""
        return []

    def _needs_adapt(self):
        """True if there are data-dependent weights that were not set yet."""
        return False

    def _adapt(self, batches, rows, columns=None):
        """Data-dependent initialisation.

        Args:
            batches: list of the first batches; None to take `rows` in their place.
            rows: one batch of many rows of the data.
            columns: names of the columns of `x`, for messages, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement _adapt")


def as_batch_size(batch_size):
    """The size of a batch; None is Keras's own default."""
    return checks.check_count(32 if batch_size is None else batch_size, "batch_size")

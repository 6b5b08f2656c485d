"""Batches that models train on, from arrays and data sets.

A batch is a dict: `x`, `row` and, where there are such, `condition` and `sample_weight`. `row`
numbers the examples - within the batch for training, from the first example on for evaluation -
and travels with them to whichever replica gets them: noise is a function of seed and row.

No replica is left without rows, which TensorFlow's convolutions do not take: a batch of fewer rows
than replicas has its first rows again, numbered below 0 (`-1 - row`). These have the noise of the
rows that they repeat, and count nowhere.
"""

import keras
import numpy as np
import tensorflow as tf


def array_batches(arrays, batch_size, passes=None, shuffle=False, least_rows=1):
    """Makes a `tf.data.Dataset` of numbered batches from arrays.

    Args:
        arrays: dict of arrays, or of dicts of them, with equally many rows.
        batch_size: rows in a batch; the last one may have fewer.
        passes: None for one pass with rows numbered on; else a function, called when reading
            starts, that gives an iterator over passes: the seed `[2]` of each one's order and the
            number of batches to skip.
        shuffle: bool; True gives each of the `passes` an order of its own.
        least_rows: rows of a batch at least, the replicas' number.

    Returns:
        A `tf.data.Dataset` of dicts with the names of `arrays` and `row`, int64 `[batch]`.
    """
    arrays = tf.nest.map_structure(tf.convert_to_tensor, arrays)
    num_rows = tf.nest.flatten(arrays)[0].shape[0]
    every = tf.range(num_rows, dtype=tf.int64)
    # Drops nothing: it says that all batches have one size, which TPUs compile for.
    whole = num_rows % batch_size == 0

    def one_pass(seed, skip):
        order = tf.random.experimental.stateless_shuffle(every, seed) if shuffle else every
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, whole).skip(skip)

    def gather(rows):
        batch = tf.nest.map_structure(lambda a: tf.gather(a, rows), arrays)
        within = tf.range(tf.size(rows, tf.int64), dtype=tf.int64)
        return filled({**batch, "row": rows if passes is None else within}, least_rows)

    if passes is None:
        order = tf.data.Dataset.from_tensor_slices(every).batch(batch_size, whole)
    else:
        # A Python generator, since where it starts is known only when reading does.
        spec = (tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int64))
        order = tf.data.Dataset.from_generator(passes, output_signature=spec).flat_map(one_pass)
    return _by_data(order.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2))


def dataset_batches(dataset, pack, number_on, least_rows=1):
    """Numbers the rows of a user's batched `tf.data.Dataset`.

    Args:
        dataset: data set that yields `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
        pack: function from such an element and its number, from 0 on, to a dict with `x`.
        number_on: bool; True numbers on from batch to batch, False anew in each.
        least_rows: rows of a batch at least, the replicas' number.

    Returns:
        A `tf.data.Dataset` of the dicts with `row`, int64 `[batch]`, beside what `pack` gives.
    """

    def number(state, element):
        start, index = state
        batch = pack(element, index)
        size = tf.shape(batch["x"], tf.int64)[0]
        rows = start + tf.range(size, dtype=tf.int64)
        batch = filled({**batch, "row": rows}, least_rows)
        if least_rows > 1:
            batch = _copied(batch)
        return (start + size if number_on else start, index + 1), batch

    return _by_data(dataset.scan((tf.constant(0, tf.int64),) * 2, number))


def _copied(batch):
    """The rows of a batch in memory of their own.

    TensorFlow takes the arrays of a generator as they lie in memory, and on several CPU devices
    computes in place.
    """
    rows = batch["row"]
    every = tf.range(tf.shape(rows)[0] if rows.shape[0] is None else rows.shape[0])
    return tf.nest.map_structure(lambda a: tf.gather(a, every), batch)


def filled(batch, least_rows):
    """A batch with so many rows at least: one with fewer so many times over, numbered below 0.

    So every replica has all of its rows, and each row is there equally often: means over the batch
    are the same.

    Args:
        batch: dict of tensors, or of dicts of them, with at least one row.
        least_rows: positive int.
    """
    # One is the least there is; where the size is known before, so is what to do.
    if (batch["row"].shape[0] or 1) >= least_rows:
        return batch
    num_rows = tf.shape(batch["row"])[0]

    def repeated():
        number = tf.range(least_rows * num_rows) % num_rows
        taken = tf.nest.map_structure(lambda a: tf.gather(a, number), batch)
        return {**taken, "row": -1 - taken["row"]}

    few = num_rows < least_rows
    return tf.cond(few, repeated, lambda: tf.nest.map_structure(tf.identity, batch))


def row_numbers(batch):
    """The numbers of a batch's rows, `[batch]`, and which are there on every replica, booleans."""
    rows = batch["row"]
    return tf.where(rows < 0, -1 - rows, rows), rows < 0


class NumberedDataset(keras.utils.PyDataset):
    """A user's `PyDataset` whose items are checked and their rows numbered, read by as many workers
    as the user's, in which this is done.

    An item is a dict of `given`, the user's own, and `rows`, int64 `[batch]`.

    Args:
        dataset: a `keras.utils.PyDataset` of batches.
        check: function of an item and its index that raises a ValueError, of arrays alone: workers
            need nothing of TensorFlow.
        number_on: bool; True numbers on from batch to batch, which must then have one size, but for
            the last, which may have fewer rows; False numbers anew in each.
        least_rows: rows of a batch at least, the replicas' number.
    """

    PARTS = ("given", "rows")

    def __init__(self, dataset, check, number_on=False, least_rows=1):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset, self._check, self._least_rows = dataset, check, least_rows
        # Workers read out of order: the number of a row follows from that of its batch.
        self._size = _num_rows(dataset[0]) if number_on else None

    @property
    def num_batches(self):
        return self._dataset.num_batches

    def __getitem__(self, index):
        given = self._dataset[index]
        self._check(given, index)
        size = _num_rows(given)
        rows = np.arange(size, dtype=np.int64)
        if self._size is not None:
            rows += index * self._size
            if size > self._size or (size < self._size and index + 1 != self.num_batches):
                raise ValueError(
                    f"`x` must have batches of one size, but for the last; batch {index} has "
                    f"{size} rows, the first {self._size}: a generator or a tf.data.Dataset may "
                    "have any"
                )
        if size < self._least_rows:
            # As `filled` does.
            number = np.arange(self._least_rows * size) % size
            given = keras.tree.map_structure(
                lambda a: None if a is None else np.asarray(a)[number], given
            )
            rows = -1 - rows[number]
        # For the reason of `_copied`.
        given = keras.tree.map_structure(
            lambda a: a.copy() if isinstance(a, np.ndarray) else a, given
        )
        return (dict(zip(self.PARTS, (given, rows), strict=True)),)

    def on_epoch_begin(self):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self):
        self._dataset.on_epoch_end()


def _num_rows(given):
    return len(keras.utils.unpack_x_y_sample_weight(given)[0])


def _by_data(dataset):
    """Lets several workers share the examples rather than files."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)

"""What `fit`, `evaluate` and `predict` are given, checked and turned into batches."""

import itertools
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.data.feed import array_batches
from tfgen.data.feed import dataset_batches
from tfgen.utils import checks
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform


class Batches:
    """The data half of `Trainable`: arrays are checked whole, streams by their first batch."""

    def _passes(self, num_batches, forever):
        """Where passes over arrays start: see `array_batches`.

        The seed of an order is the model's and the step at which the pass starts.
        With `steps_per_epoch`, passes go on forever; a resumed one is taken up
        where it was left.
        """

        def passes():
            first = int(self.steps_taken.numpy())
            skip = first % num_batches if forever else 0
            for k in itertools.count() if forever else range(1):
                start = first - skip + k * num_batches
                yield fold_in(self.noise_seed, -1 - start).numpy(), 0 if k else skip

        return passes

    def _arrays(self, x, y=None, sample_weight=None, name="y"):
        """Checked arrays by name; `name` is what the caller calls the conditions."""
        x = self._check_x(x, probabilities=True)
        arrays = {"x": x}
        if self.condition_shape is not None:
            if y is not None:
                checks.check_same_length(**{"x": x, name: checks.as_numeric(y, name)})
            arrays["condition"] = self._check_condition(y, len(x), name=name)
        if sample_weight is not None:
            arrays["sample_weight"] = checks.as_weights(sample_weight, "sample_weight", len(x))
        return arrays

    def _weigh(self, batch, class_weight):
        """A batch, or arrays by name, with the weights of its labels, if there are such."""
        if class_weight is None:
            return batch
        if "sample_weight" in batch:
            raise ValueError("give `sample_weight` or `class_weight`, not both")
        weights = self._class_weights(class_weight)
        return {**batch, "sample_weight": tf.gather(weights, batch["condition"])}

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

    def _drawn(self, x, seed, start):
        """Binary data from a batch that holds the probabilities of 1: other ones in each step."""
        if self.data_kind != "binary" or not x.dtype.is_floating:
            return x
        noise = row_uniform(fold_in(seed, 0x64), start, tf.shape(x)[0], self.event_shape, x.dtype)
        return tf.cast(noise < x, tf.uint8)

    def _refuse_beside_stream(self, x, **arrays):
        for name, value in arrays.items():
            if value is not None:
                raise ValueError(f"`{name}` must come with `x` when `x` is a {type(x).__name__}")

    def _stream(self, x, class_weight=None, number_on=False):
        """A user's own batches with numbered rows; a `PyDataset` stays as it is."""
        if isinstance(x, keras.utils.PyDataset):
            if class_weight is not None:
                raise ValueError("`class_weight` does not go with a PyDataset as `x`")
            return x
        if hasattr(x, "__next__"):
            return self._numbered(x, class_weight, number_on)

        def pack(element):
            batch = self._batch(element)
            batch.pop("row")
            return self._weigh(batch, class_weight)

        return dataset_batches(x, pack, number_on)

    def _numbered(self, x, class_weight, number_on):
        """Batches of a generator, the only kind of iterator that Keras takes."""
        start = 0
        for element in x:
            batch = self._batch(element)
            rows = batch["row"] + start
            if number_on:
                start += len(batch["x"])
            # Keras takes no generators of other things than tuples.
            yield (self._weigh({**batch, "row": rows}, class_weight),)

    def _evaluation_data(
        self, x, y=None, sample_weight=None, *, batch_size=None, predict=False, name="y"
    ):
        if not is_array(x):
            self._refuse_beside_stream(x, **{name: y}, sample_weight=sample_weight)
            _, x = self._peek(x)
            return self._stream(x, number_on=True)
        if predict and self.condition_shape is not None and isinstance(x, (tuple, list)):
            x, y = x
        arrays = self._arrays(x, y, sample_weight, name)
        return array_batches(arrays, as_batch_size(batch_size))

    def _require_shape(self, x):
        """What can be told of a tensor without reading it."""
        if not tf.TensorShape(x.shape).is_compatible_with([None, *self.event_shape]):
            raise ValueError(
                f"`x` must have batches of shape [n, {', '.join(map(str, self.event_shape))}]; "
                f"got {x.shape}"
            )

    def _peek(self, x, num_batches=1):
        """The first batches of a stream, the first of them checked, and the whole stream."""
        if isinstance(x, tf.distribute.DistributedDataset):
            raise ValueError(
                "`x` must be a tf.data.Dataset, which is distributed where the model was built "
                "in a strategy's scope; got a DistributedDataset"
            )
        if isinstance(x, keras.utils.PyDataset):
            known = num_batches if x.num_batches is None else x.num_batches
            first = [x[i] for i in range(min(num_batches, known))]
        else:
            first = list(itertools.islice(iter(x), num_batches))
        if not first:
            raise ValueError("`x` must have at least one batch; got an empty data set")
        if not _is_batch(first[0]):
            given = keras.utils.unpack_x_y_sample_weight(first[0])
            if not isinstance(given[0], (dict, tuple, list)):
                self._arrays(*given)
        batches = [self._batch(b) for b in first]
        if hasattr(x, "__next__"):
            x = itertools.chain(first, x)
        return batches, x

    def _batch(self, data):
        """A batch dict from what a data set yields."""
        if isinstance(data, tuple) and len(data) == 1:
            data = data[0]
        if _is_batch(data):
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


def as_batch_size(batch_size):
    """The size of a batch; None is Keras's own default."""
    return checks.check_count(32 if batch_size is None else batch_size, "batch_size")


def _is_batch(data):
    """Whether `data` is a batch dict, not what a user's data set yields."""
    return isinstance(data, dict) and "row" in data


def is_array(x):
    """Whether `x` is data as a whole, not batches of it."""
    streams = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset)
    return not isinstance(x, streams) and not hasattr(x, "__next__")


def hold_out(arrays, fraction):
    """Arrays by name without their last rows, and these, for validation, as in Keras."""
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_split` must lie in (0, 1); got {fraction}")
    num_rows = len(arrays["x"])
    split = math.floor(num_rows * (1 - fraction))
    if not 0 < split < num_rows:
        raise ValueError(f"`validation_split` {fraction} of {num_rows} rows leaves a part empty")
    halves = (slice(split), slice(split, None))
    return [{name: a[rows] for name, a in arrays.items()} for rows in halves]

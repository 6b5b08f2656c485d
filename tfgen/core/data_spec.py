"""DataSpec: the one description of an example, of its condition, and of a batch."""

import itertools
import math
import sys

import keras
import numpy as np
import tensorflow as tf

from tfgen.core.y_spec import YSpec
from tfgen.data.columns import Columns
from tfgen.data.feed import NumberedDataset
from tfgen.data.feed import array_batches
from tfgen.data.feed import dataset_batches
from tfgen.data.feed import filled
from tfgen.data.feed import row_numbers
from tfgen.utils import checks
from tfgen.utils import tensor_checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform
from tfgen.utils.values import as_text

ROLES = ("condition", "target")


class DataSpec:
    """Description of a model's examples and of what comes with them.

    It checks what users pass in, turns anything that `fit` takes into batches with numbered rows,
    and gives the `tf.TensorSpec`s of compiled functions. It knows no model.

    A batch is a dict of `x`, `row` (the number of each row, on which noise depends) and, where
    there are such, `condition` or `target`, and `sample_weight`.

    Args:
        event_shape: shape of one example, without a batch axis.
        kind: `"real"`, `"binary"` (0 or 1) or `"uint8"` (0..255); or the `tfgen.data.Columns` of a
            table, whose kind is `"columns"`.
        num_bits: bits of a value that a model sees of uint8 data, 1 to 8.
        condition_shape: shape of the vector or image that comes with an example as `y`; None: none.
        num_classes: number of labels, where `y` is a label, or a label and such a vector:
            `{"label": [n], "vector": [n, *condition_shape]}` or the pair of both.
        unlabelled: whether a label of -1 stands for one that is not known.
        role: `"condition"` if `y` is given to a density, `"target"` if it is what a model learns to
            tell. Without `condition_shape` and `num_classes`, `y` is ignored.
        dtype: dtype of reals.

    Attributes:
        y: the `YSpec` of `y`, or None where it is ignored.
        condition: `y` if it is a condition, else None.
        columns: the `Columns` of a table, or None.
        checks_streams: whether all batches of a stream are checked, or only the first.

    Raises:
        ValueError: an argument that is none of these; its checks raise it, too, by the name of what
            is wrong with the data.

    >>> import numpy as np, tensorflow as tf
    >>> from tfgen.core.data_spec import DataSpec
    >>> spec, x, y = DataSpec((2,), num_classes=3), np.eye(2, dtype="float32"), np.array([0, 2])
    >>> spec.num_dims, spec.x_spec.shape, spec.is_real, spec.condition_spec.dtype
    (2, TensorShape([None, 2]), True, tf.int32)
    >>> spec.check_x([[0, 1]]).tolist(), spec.check_condition(2, num_rows=3).tolist()
    ([[0.0, 1.0]], [2, 2, 2])
    >>> spec.arrays(x, y)["condition"]
    array([0, 2], dtype=int32)
    >>> spec.arrays(x, [0, 3])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: `y` must hold labels in 0..2; got values from 0 to 3: give the model ...

    What `fit` takes becomes batches with numbered rows.

    >>> batch = spec.weigh(spec.batch((x, y)), {0: 1.0, 1: 1.0, 2: 5.0})
    >>> batch["row"].numpy().tolist(), spec.unpack(batch)[2].numpy().tolist()
    ([0, 1], [1.0, 5.0])
    >>> spec.require_shape(batch["x"])
    >>> [part["row"].numpy().tolist() for part in spec.evaluation_batches(x, y, batch_size=1)]
    [[0], [1]]
    >>> data = tf.data.Dataset.from_tensor_slices((x, y)).batch(1)
    >>> first, _ = spec.peek(data, num_batches=1)
    >>> len(first), [part["row"].numpy().tolist() for part in spec.stream(data, number_on=True)]
    (1, [[0], [1]])
    >>> spec.check_batch((x, y), index=0)
    >>> spec.asserted((tf.constant(x), tf.constant(y)), index=0)[1].numpy().tolist()
    [0, 2]
    >>> spec.batch_spec(8)["x"].shape, sorted(spec.batch_spec(8))
    (TensorShape([8, 2]), ['condition', 'row', 'x'])
    >>> spec.without_target() is spec  # which has a condition, and no target
    True
    >>> DataSpec((2,), "binary").draw_bits(tf.constant(x), [0, 0], start=0).numpy().tolist()
    [[1, 0], [0, 1]]
    """

    def __init__(
        self,
        event_shape,
        kind="real",
        num_bits=8,
        condition_shape=None,
        num_classes=None,
        role="condition",
        dtype="float32",
        unlabelled=False,
    ):
        self.event_shape = checks.as_shape(event_shape, "event_shape")
        self.columns = kind if isinstance(kind, Columns) else None
        self.kind = "columns" if self.columns is not None else checks.check_data_kind(kind)
        if self.columns is not None and self.event_shape != self.columns.event_shape:
            raise ValueError(
                f"`event_shape` must be that of the columns, {list(self.columns.event_shape)}; got "
                f"{list(self.event_shape)}"
            )
        self.num_bits = checks.check_int(num_bits, "num_bits", 1, 8)
        if role not in ROLES:
            raise ValueError(f"`role` must be one of {list(ROLES)}; got {role!r}")
        self.role = role
        self.dtype = tf.as_dtype(dtype)
        self.y = YSpec.of(condition_shape, num_classes, self.dtype, role, unlabelled)
        self.condition = self.y if role == "condition" else None
        self.checks_streams = True

    def without_target(self):
        """The description of examples for densities and predictions, which see no target."""
        if self.role == "condition":
            return self
        kind = self.kind if self.columns is None else self.columns
        spec = DataSpec(self.event_shape, kind, self.num_bits, dtype=self.dtype)
        spec.checks_streams = self.checks_streams
        return spec

    @property
    def num_dims(self):
        """Number of values in one example."""
        return math.prod(self.event_shape)

    @property
    def x_spec(self):
        """The `tf.TensorSpec` of examples."""
        dtype = self.dtype if self.is_real else tf.uint8
        return tf.TensorSpec([None, *self.event_shape], dtype, name="x")

    @property
    def is_real(self):
        """True if examples are held as reals: those of tables are, too."""
        return self.kind in ("real", "columns")

    @property
    def condition_spec(self):
        """The `tf.TensorSpec` of conditions, or a dict of them, or None."""
        return self.condition and self.condition.tensor_spec()

    @property
    def num_labels(self):
        """Number of the labels that `y` may be; None where it is none.

        >>> from tfgen.core.data_spec import DataSpec
        >>> DataSpec((2,), num_classes=3).num_labels, DataSpec((2,)).num_labels
        (3, None)
        """
        return self.y and self.y.num_classes

    def batch_spec(self, batch_size):
        """The `tf.TensorSpec`s of a batch that a model is trained on, of one size."""
        specs = {"x": self.x_spec, "row": tf.TensorSpec([None], tf.int64)}
        if self.y is not None:
            specs[self.role] = self.y.tensor_spec()
        return tf.nest.map_structure(
            lambda spec: tf.TensorSpec([batch_size, *spec.shape[1:]], spec.dtype), specs
        )

    # --- checks ---------------------------------------------------------------

    def check_x(self, x, name="x", probabilities=False, whole=True):
        """Examples as an array `[n, *event_shape]`; see `utils.checks.as_events`."""
        dtype, kind = self.dtype.as_numpy_dtype, "real" if self.is_real else self.kind
        x = checks.as_events(x, name, self.event_shape, kind, dtype, probabilities, whole)
        if self.columns is not None:
            self.columns.check(x, name)
        return x

    def check_condition(self, condition, num_rows, name="condition"):
        """Conditions as arrays of `num_rows` rows, a single one broadcast; None where there are
        none."""
        return self._check_y(self.condition, condition, num_rows, name)

    def _check_y(self, spec, y, num_rows, name):
        if spec is not None:
            return spec.check(y, name, num_rows)
        # Says that there should be none.
        return checks.as_condition(y, name, None, None, self.dtype.as_numpy_dtype, num_rows)

    def require_shape(self, x):
        """Refuses a tensor whose static shape is not that of a batch of examples."""
        if not tf.TensorShape(x.shape).is_compatible_with([None, *self.event_shape]):
            raise ValueError(
                f"`x` must have batches of shape {as_text(['n', *self.event_shape])}; got {x.shape}"
            )

    def arrays(self, x, y=None, sample_weight=None, name="y", whole=True):
        """Checked arrays of data, by name.

        Args:
            x: examples.
            y: what comes with them; ignored where there is no such thing.
            sample_weight: `[n]` or None.
            name: the name of `y` in errors.
            whole: False for a part of the data, of which spreads tell nothing.
        """
        x = self.check_x(x, probabilities=True, whole=whole)
        arrays = {"x": x}
        if self.y is not None:
            if y is not None:
                self.y.check_length(x, y, name)
            arrays[self.role] = self.y.check(y, name, len(x), whole)
        if sample_weight is not None:
            arrays["sample_weight"] = checks.as_weights(sample_weight, "sample_weight", len(x))
        return arrays

    def weigh(self, batch, class_weight):
        """A batch, or arrays by name, with the weights of its labels, if there are such."""
        if class_weight is None:
            return batch
        if "sample_weight" in batch:
            raise ValueError("give `sample_weight` or `class_weight`, not both")
        if not self.num_labels:
            raise ValueError("`class_weight` needs a model with `num_classes`")
        weights = self.y.class_weights(class_weight)
        labels = tf.convert_to_tensor(self.y.labels(batch[self.role]))
        found = tf.gather(weights, tf.maximum(labels, 0))
        return {**batch, "sample_weight": tf.where(labels < 0, 1.0, found)}

    def draw_bits(self, x, seed, start):
        """Binary data of a batch that holds the probabilities of 1; other data as they are."""
        if self.kind != "binary" or not x.dtype.is_floating:
            return x
        seed = fold_in(seed, Stream.BITS)
        noise = row_uniform(seed, start, tf.shape(x)[0], self.event_shape, x.dtype)
        return tf.cast(noise < x, tf.uint8)

    # --- batches --------------------------------------------------------------

    def batch(self, data):
        """The batch, a dict, of what a data set yields: such a dict, or `x`, `(x,)`, `(x, y)` or
        `(x, y, sample_weight)`.

        A model's own `train_step(data)` and `test_step(data)` begin with it.
        """
        if isinstance(data, tuple) and len(data) == 1:
            data = data[0]
        if _is_batch(data):
            return data
        if isinstance(data, dict) and set(data) == set(NumberedDataset.PARTS):
            return {**self.batch(data["given"]), "row": tf.cast(data["rows"], tf.int64)}
        x, y, sample_weight = _parts(data)
        x = tf.convert_to_tensor(x)
        self.require_shape(x)
        batch = {"x": x, "row": tf.range(tf.shape(x, tf.int64)[0], dtype=tf.int64)}
        if self.y is not None:
            if y is None and self.y.unlabelled:
                y = tf.fill(tf.shape(x)[:1], -1)
            elif y is None:
                # Says what it should be.
                self.y.check(None, "y", None)
            batch[self.role] = self.y.cast(y)
        if sample_weight is not None:
            batch["sample_weight"] = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
        return batch

    def unpack(self, data):
        """`(x, y, sample_weight)` of what `train_step` gets, each None where there is none."""
        batch = self.batch(data)
        return tuple(batch.get(name) for name in ("x", self.role, "sample_weight"))

    def peek(self, x, num_batches=1, num_rows=0):
        """The first batches of a stream, checked, and the whole stream.

        Args:
            x: `tf.data.Dataset`, `keras.utils.PyDataset` or iterator.
            num_batches: how many, if there are so many.
            num_rows: read on until there are so many rows.
        """
        if isinstance(x, tf.distribute.DistributedDataset):
            raise ValueError(
                "`x` must be a tf.data.Dataset, which is distributed where the model was built "
                "in a strategy's scope; got a DistributedDataset"
            )
        if isinstance(x, keras.utils.PyDataset):
            known = sys.maxsize if x.num_batches is None else x.num_batches
            elements = (x[i] for i in range(known))
        else:
            elements = iter(x)
        first, rows = [], 0
        while len(first) < num_batches or rows < num_rows:
            element = next(elements, None)
            if element is None:
                break
            self.check_batch(element, len(first))
            first.append(element)
            rows += num_rows and len(self.batch(element)["row"])
        if not first:
            used = " (or an iterator that was read before)" if hasattr(x, "__next__") else ""
            raise ValueError(f"`x` must have at least one batch; got an empty data set{used}")
        batches = [self.batch(b) for b in first]
        if hasattr(x, "__next__"):
            x = itertools.chain(first, x)
        return batches, x

    def check_batch(self, element, index):
        """Refuses what a stream yields, arrays or eager tensors, as whole data are refused.

        Only of the first batch the spread is looked at: a later one, such as the last, may have so
        few rows that they are alike by chance.
        """
        if _is_batch(element) or (index and not self.checks_streams):
            return
        parts = _parts(element)
        if np.shape(parts[0]) == self.event_shape:
            raise ValueError(
                f"`x` must have batches of shape {as_text(['n', *self.event_shape])}; got single "
                "examples: a tf.data.Dataset has `batch(32)`"
            )
        try:
            self.arrays(*parts, whole=index == 0)
        except ValueError as error:
            raise ValueError(f"{error} (batch {index})") from None

    def asserted(self, element, index):
        """`(x, y, sample_weight)` of an element of a pipeline, with assertions in the place of
        `check_batch`."""
        x, y, weight = _parts(element)
        index = index if self.checks_streams else None
        x, kind = tf.convert_to_tensor(x), "real" if self.is_real else self.kind
        x = tensor_checks.as_events(x, "x", self.event_shape, kind, self.dtype, index)
        if self.columns is not None:
            tensor_checks.require_ranges(x, "x", *self.columns.ranges(), self.dtype, index)
        num_rows = tf.shape(x)[0]
        if self.y is not None and y is not None:
            y = self.y.asserted(y, "y", num_rows, index)
        if weight is not None:
            weight = tensor_checks.as_weights(weight, "sample_weight", num_rows, index)
        return x, y, weight

    def stream(self, x, class_weight=None, number_on=False, least_rows=1):
        """A user's own batches, each checked, with numbered rows.

        Args:
            x: `tf.data.Dataset`, `keras.utils.PyDataset` or iterator.
            class_weight: dict from label to weight, or None.
            number_on: whether numbers go on from batch to batch.
            least_rows: rows of a batch at least, the replicas' number.
        """
        if isinstance(x, keras.utils.PyDataset):
            if class_weight is not None:
                raise ValueError(
                    "`class_weight` does not go with a PyDataset as `x`: let its items be (x, y, "
                    "sample_weight)"
                )
            return NumberedDataset(x, self.check_batch, number_on, least_rows)
        if hasattr(x, "__next__"):
            return self._numbered(x, class_weight, number_on, least_rows)

        def pack(element, index):
            batch = self.batch(self.asserted(element, index))
            batch.pop("row")
            return self.weigh(batch, class_weight)

        return dataset_batches(x, pack, number_on, least_rows)

    def _numbered(self, x, class_weight, number_on, least_rows):
        """Batches of a generator, the only kind of iterator that Keras takes."""
        start = 0
        for index, element in enumerate(x):
            self.check_batch(element, index)
            batch = self.batch(element)
            rows = batch["row"] + start
            if number_on:
                start += len(batch["x"])
            # Keras takes no generators of other things than tuples.
            yield (filled(self.weigh({**batch, "row": rows}, class_weight), least_rows),)

    def evaluation_batches(
        self, x, y=None, sample_weight=None, batch_size=32, name="y", least_rows=1
    ):
        """Batches in order, rows numbered from the first example on, of arrays or a stream."""
        if not is_array(x):
            refuse_beside_stream(x, **{name: y}, sample_weight=sample_weight)
            _, x = self.peek(x)
            return self.stream(x, number_on=True, least_rows=least_rows)
        arrays = self.arrays(x, y, sample_weight, name)
        return array_batches(arrays, batch_size, least_rows=least_rows)


def first_row(batch):
    """The number of a batch's first row."""
    return tf.reduce_min(row_numbers(batch)[0])


def is_array(x):
    """True if `x` is data as a whole, not batches of it."""
    streams = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset)
    return not isinstance(x, streams) and not hasattr(x, "__next__")


def refuse_beside_stream(x, **arrays):
    """Refuses arrays beside batches, which hold all that belongs to them."""
    for name, value in arrays.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must come with `x` when `x` is a {type(x).__name__}, in its batches: x, "
                "(x, y) or (x, y, sample_weight)"
            )


def hold_out(arrays, fraction):
    """Arrays by name without their last rows, and these, for validation, as in Keras."""
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_split` must lie in (0, 1); got {fraction}")
    num_rows = len(arrays["x"])
    split = math.floor(num_rows * (1 - fraction))
    if not 0 < split < num_rows:
        raise ValueError(f"`validation_split` {fraction} of {num_rows} rows leaves a part empty")
    return [
        tf.nest.map_structure(lambda a, rows=rows: a[rows], arrays)
        for rows in (slice(split), slice(split, None))
    ]


def _is_batch(data):
    """True if `data` is a batch dict, not what a user's data set yields."""
    return isinstance(data, dict) and "row" in data


def _parts(data):
    """`(x, y, sample_weight)` of what a user's data set yields."""
    parts = keras.utils.unpack_x_y_sample_weight(data)
    if parts[0] is None or isinstance(parts[0], (dict, tuple, list)):
        came, hint = f"a {type(parts[0]).__name__}", ""
        if isinstance(parts[0], dict):
            came = f"a dict of {list(parts[0])}"
            hint = ': a tf.data.Dataset has `map(lambda d: (d["image"], d["label"]))`'
        raise ValueError(
            f"batches must be x, (x, y) or (x, y, sample_weight); got {came} as x{hint}"
        )
    return parts

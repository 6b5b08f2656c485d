"""YSpec: the description of what comes with an example."""

import numpy as np
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils import tensor_checks
from tfgen.utils.values import as_text

PARTS = ("label", "vector")


class YSpec:
    """Description of a label, a vector, an image, or a label and a vector together.

    A pair is a dict of `label` and `vector`, and may be given as the tuple of both.

    Args:
        shape: shape of the vector or image; None where there is only a label.
        num_classes: number of labels; None where there is no label.
        dtype: dtype of the vectors.
        role: `"condition"` or `"target"`, for errors.
        unlabelled: whether -1 stands for a label that is not known. No labels at all are then such.

    Attributes:
        is_pair: whether there is a label and a vector.

    >>> from tfgen.core.y_spec import YSpec
    >>> both = YSpec((2,), 3, "float32").check(([1], [[0.0, 4.0]]), "y", 1)
    >>> both["label"].tolist(), both["vector"].tolist()
    ([1], [[0.0, 4.0]])
    """

    def __init__(self, shape, num_classes, dtype, role="condition", unlabelled=False):
        self.shape, self.num_classes, self.dtype = shape, num_classes, tf.as_dtype(dtype)
        self.role, self.unlabelled = role, unlabelled
        self.is_pair = bool(num_classes) and shape is not None

    @classmethod
    def of(cls, condition_shape, num_classes, dtype, role="condition", unlabelled=False):
        """The description that a model's arguments mean, or None.

        Args:
            condition_shape: shape of a vector or image; `()` or None with `num_classes` for a label
                alone.
            num_classes: number of labels or None.
            dtype: dtype of vectors.
            role: `"condition"` or `"target"`.
            unlabelled: whether -1 stands for a label that is not known.

        Raises:
            ValueError: `()` without a number of labels, or sizes that are no positive numbers.
        """
        if num_classes is not None:
            num_classes = checks.check_count(num_classes, "num_classes")
        if condition_shape is not None and not isinstance(condition_shape, int | np.integer):
            condition_shape = tuple(condition_shape)
        if isinstance(condition_shape, tuple) and not condition_shape:
            if not num_classes:
                raise ValueError("`condition_shape=()` needs `num_classes`, the number of labels")
            condition_shape = None
        if condition_shape is not None:
            condition_shape = checks.as_shape(condition_shape, "condition_shape")
            if num_classes and len(condition_shape) != 1:
                raise ValueError(
                    "`condition_shape` must be [features], a vector, beside `num_classes`; got "
                    f"{list(condition_shape)}"
                )
        if condition_shape is None and num_classes is None:
            return None
        return cls(condition_shape, num_classes, dtype, role, unlabelled)

    @property
    def condition_shape(self):
        """The shape as models name it: `()` for a label alone."""
        return () if self.shape is None else self.shape

    def _label(self, y, name, num_rows, whole=True):
        dtype = self.dtype.as_numpy_dtype
        least = -1 if self.unlabelled else 0
        return checks.as_condition(y, name, (), self.num_classes, dtype, num_rows, whole, least)

    def _vector(self, y, name, num_rows, whole=True):
        dtype = self.dtype.as_numpy_dtype
        return checks.as_condition(y, name, self.shape, None, dtype, num_rows, whole)

    def check(self, y, name, num_rows, whole=True):
        """Checked arrays of `num_rows` rows, a single row broadcast; None: any number of rows.

        `whole` is False for a part of the data, of which spreads tell nothing.

        Raises:
            ValueError: none at all, wrong shapes, NaN, labels out of range, another number of rows.
        """
        if y is None and self.unlabelled:
            return np.full(num_rows or 1, -1, np.int32)
        if y is None and self.role == "target":
            raise ValueError(f"`{name}` is missing: training needs the targets of the examples")
        if not self.is_pair:
            return (self._label if self.num_classes else self._vector)(y, name, num_rows, whole)
        if y is None:
            raise ValueError(
                f"`{name}` is missing: this model is conditional on pairs of an integer label in "
                f"0..{self.num_classes - 1} and an array of shape {list(self.shape)}"
            )
        label, vector = self._pair(y, name)
        label = self._label(label, f"{name} label", num_rows, whole)
        vector = self._vector(vector, f"{name} vector", num_rows, whole)
        if num_rows is None:
            rows = max(len(label), len(vector))
            return self.check((label, vector), name, rows, whole)
        return {"label": label, "vector": vector}

    def _pair(self, y, name):
        if isinstance(y, dict) and set(y) == set(PARTS):
            return tuple(y[part] for part in PARTS)
        if isinstance(y, tuple | list) and len(y) == 2:
            return tuple(y)
        came = f"a dict of {sorted(y)}" if isinstance(y, dict) else f"a {type(y).__name__}"
        raise ValueError(
            f"`{name}` must be a pair of labels and vectors, or a dict of `label` and `vector`; "
            f"got {came}"
        )

    def check_length(self, x, y, name):
        """Refuses a `y` of another number of rows than `x`: in data none is broadcast."""
        parts = self._pair(y, name) if self.is_pair else (y,)
        for part in parts:
            checks.check_same_length(**{"x": x, name: checks.as_numeric(part, name)})

    def asserted(self, y, name, num_rows, batch):
        """Tensors of a batch in a pipeline, with assertions that they are what `check` takes.

        Args:
            y: tensor, or of a pair both.
            name: name in errors.
            num_rows: number of examples.
            batch: number of the batch, in errors.
        """

        def label(y, name):
            least = -1 if self.unlabelled else 0
            return tensor_checks.as_labels(y, name, self.num_classes, num_rows, batch, least)

        def vector(y, name):
            return tensor_checks.as_vectors(y, name, self.shape, self.dtype, num_rows, batch)

        if not self.is_pair:
            return (label if self.num_classes else vector)(y, name)
        first, second = self._pair(y, name)
        return {"label": label(first, f"{name} label"), "vector": vector(second, f"{name} vector")}

    def cast(self, y):
        """Tensors of a batch, unchecked but for what their static shapes tell."""
        if self.is_pair:
            label, vector = self._pair(y, "y")
            return {"label": _as_labels(label), "vector": self._as_vectors(vector)}
        return _as_labels(y) if self.num_classes else self._as_vectors(y)

    def _as_vectors(self, y):
        vectors = tf.cast(y, self.dtype)
        if self.shape == (1,) and vectors.shape.rank == 1:
            vectors = vectors[:, None]
        return _of_shape(vectors, self.shape)

    def labels(self, y):
        """The labels among checked values."""
        return y["label"] if self.is_pair else y

    def vectors(self, y):
        """The vectors or images among checked values."""
        return y["vector"] if self.is_pair else y

    def class_weights(self, class_weight):
        """The weight of each label, `[num_classes]`, of a dict; 1 where it has none."""
        checks.check_instance(class_weight, dict, "class_weight")
        labels = range(self.num_classes)
        if set(class_weight) - set(labels):
            raise ValueError(
                f"`class_weight` must be a dict from labels in 0..{self.num_classes - 1} to "
                f"weights; got {class_weight}"
            )
        for weight in class_weight.values():
            checks.check_weight(weight, "class_weight")
        return np.array([class_weight.get(k, 1.0) for k in labels], np.float32)

    def tensor_spec(self):
        """The `tf.TensorSpec`, of a pair a dict of them."""
        if self.is_pair:
            return {
                "label": tf.TensorSpec([None], tf.int32, name="label"),
                "vector": tf.TensorSpec([None, *self.shape], self.dtype, name="vector"),
            }
        if self.num_classes:
            return tf.TensorSpec([None], tf.int32, name="condition")
        return tf.TensorSpec([None, *self.shape], self.dtype, name="condition")


def _as_labels(y):
    labels = tf.cast(y, tf.int32)
    return _of_shape(tf.squeeze(labels, 1) if labels.shape.rank == 2 else labels, ())


def _of_shape(y, shape):
    """Refuses a tensor whose static shape is not that of a batch of these."""
    if not y.shape.is_compatible_with([None, *shape]):
        raise ValueError(f"`y` must have batches of shape {as_text(['n', *shape])}; got {y.shape}")
    return y

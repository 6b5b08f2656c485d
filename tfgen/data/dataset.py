"""The data set that every source returns, and the split of sources that have none."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A data set in memory, with a training and a test split, and a validation split if it has one.

    Attributes:
        name: The name or path that was loaded.
        kind: `"uint8"` (images or other integers 0..255), `"real"` (float32) or `"binary"`
            (0 and 1; the training split may hold the probabilities of 1, float32).
        train: `(x, y)`; x is `[n, *event_shape]`; y is `[n]` int64 labels, a float32 array of
            conditions (`[n, ...]`; only from a user's own file), or None.
        test: `(x, y)` in the same form, disjoint from `train`.
        num_classes: Number of classes of integer labels; None without them.
        class_names: One name per class, or None.
        description: One or two sentences for people.
        binarised: `"static"` or `"dynamic"` for binary data drawn from grey levels; else None.
        validation: `(x, y)` in the form of `test`, disjoint from both, where the source has such a
            split beside its test split; else None.
        columns: `tfgen.data.Columns`, what the numbers of a table are; else None.

    >>> from tfgen.data import load
    >>> load("digits")
    Data('digits', uint8 [8, 8, 1], 1500 train, 297 test, 10 classes)
    >>> load("digits").event_shape, list(load("digits").splits)
    ((8, 8, 1), ['train', 'test'])
    """

    name: str
    kind: str
    train: tuple
    test: tuple
    num_classes: int | None = None
    class_names: tuple | None = None
    description: str = ""
    binarised: str | None = None
    validation: tuple | None = None
    columns: object | None = None

    @property
    def event_shape(self):
        """Shape of one example: tuple without the batch axis."""
        return self.train[0].shape[1:]

    @property
    def splits(self):
        """The splits that there are, by name: dict of `(x, y)`."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    def __repr__(self):
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        sizes = ", ".join(f"{len(x)} {split}" for split, (x, _) in self.splits.items())
        kind = f"{self.kind} ({self.binarised})" if self.binarised else self.kind
        return f"Data({self.name!r}, {kind} {list(self.event_shape)}, {sizes}{classes})"


def array_kind(x):
    """Returns the kind of data that an array holds: `"real"`, `"uint8"` or `"binary"`.

    Args:
        x: floating, uint8 or bool array. Of uint8 arrays those of 0 and 1 alone are binary: as grey
            levels they would be black images.
    """
    if x.dtype.kind == "f":
        return "real"
    return "binary" if x.dtype.kind == "b" or x.max() <= 1 else "uint8"


def hold_out(x, y, seed=0, fraction=0.1):
    """Splits arrays into training and test: the last 10 per cent after a seeded shuffle.

    Args:
        x: [n, ...] array.
        y: [n, ...] array, or None.
        seed: Non-negative int; the same seed gives the same split.
        fraction: Number in (0, 1), of the rows that are held out.

    Returns:
        `((x, y), (x, y))`: training, then test (at least one example, and not all).

    Raises:
        ValueError: n is less than 2.

    >>> import numpy as np
    >>> train, test = hold_out(np.arange(20), None)
    >>> len(train[0]), len(test[0])
    (18, 2)
    """
    if len(x) < 2:
        raise ValueError(f"a test split needs at least 2 examples, got {len(x)}")
    order = np.random.default_rng(seed).permutation(len(x))
    # The product of a fraction such as 0.1 may lie just beside the whole number that is meant.
    num_test = int(len(x) * fraction + 1e-9)
    num_train = len(x) - min(max(1, num_test), len(x) - 1)

    def take(rows):
        return x[rows], None if y is None else y[rows]

    return take(order[:num_train]), take(order[num_train:])

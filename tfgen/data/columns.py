"""Columns: the description of a table, which its model keeps."""

import dataclasses

import keras
import numpy as np

from tfgen.data.column import Column
from tfgen.data.frames import import_pandas
from tfgen.data.frames import refuse
from tfgen.data.hints import nearest
from tfgen.utils.values import check_event_shape


@dataclasses.dataclass(frozen=True)
class Dim:
    """Description of one number of an example of a table.

    Attributes:
        name: of the column that it belongs to.
        whole: whether it is a whole number, to be dequantised.
        low: bound below; None: none.
        end: bound above, of dequantised values; None: none.
        probs: the share of each whole number from `low` on, or None.
        value: of an indicator of missing values the position of the number that it is of; else
            None.
        loc: mean on the whole line of a number that may be missing.
        scale: its standard deviation there.
        fill: the number that stands for a missing one.
    """

    name: str
    whole: bool = False
    low: float | None = None
    end: float | None = None
    probs: tuple | None = None
    value: int | None = None
    loc: float = 0.0
    scale: float = 1.0
    fill: float = 0.0


@keras.saving.register_keras_serializable(package="tfgen")
class Columns:
    """Description of a table's columns: of names, types and values that these may have.

    A model that was given one (`tfgen.NSF(columns.event_shape, columns=columns)`) keeps it, in its
    file, too: `model.columns`.

    Args:
        columns: list of `Column`s, or of dicts of their attributes, in the order of the table.

    Attributes:
        columns: the list of `Column`s.
        dims: the list of `Dim`s, one for each number of an example.

    Raises:
        ValueError: no column is modelled, or two have one name.

    >>> import pandas as pd, tfgen
    >>> columns = tfgen.data.Columns(
    ...     [
    ...         {"name": "height", "kind": "number", "low": 0.0},
    ...         {"name": "answer", "kind": "category", "dtype": "str", "levels": ["no", "yes"]},
    ...     ]
    ... )
    >>> columns
    Columns of 2 numbers
      'height': number, above 0
      'answer': category, 2 levels (no, yes)
    >>> columns.names, columns.event_shape, columns.condition_shape, columns.is_exact
    (['height', 'answer'], (2,), None, False)
    >>> x, y = columns.arrays(pd.DataFrame({"height": [1.7], "answer": ["yes"]}))
    >>> x.tolist(), [values.tolist() for values in columns.ranges()][0]
    ([[1.7, 1.0]], [0.0, 0.0])
    >>> columns.check(x, "x")  # raises an error where numbers are out of their columns' range
    >>> tfgen.data.Columns.from_config(columns.get_config()) == columns
    True
    >>> model = tfgen.NSF(columns.event_shape, num_layers=2, columns=columns)
    >>> model.likelihood
    'bound'
    >>> given = tfgen.data.Columns(
    ...     [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number", "role": "condition"}]
    ... )
    >>> given.conditions({"b": 2.0}).tolist()
    [[2.0]]
    """

    def __init__(self, columns):
        self.columns = [c if isinstance(c, Column) else Column(**c) for c in columns]
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"`columns` must have names of their own; got {twice} more than once")
        self._modelled = [c for c in self.columns if c.kind != "constant" and c.role == "event"]
        self._given = [c for c in self.columns if c.kind != "constant" and c.role == "condition"]
        if not self._modelled:
            raise ValueError("`columns` must hold one at least that is to be modelled; got none")
        self.dims = []
        for column in self._modelled:
            low, end = column.bounds
            probs = None if column.probs is None else tuple(column.probs)
            noise = {"loc": column.loc, "scale": column.scale} if column.has_indicator else {}
            fill = column.fill if column.has_indicator else 0.0
            self.dims.append(Dim(column.name, column.whole, low, end, probs, fill=fill, **noise))
            if column.has_indicator:
                # As many as there are, but neither none nor all.
                share = min(max(column.missing_share, 1e-3), 1 - 1e-3)
                self.dims.append(
                    Dim(column.name, True, 0.0, 2.0, (1 - share, share), len(self.dims) - 1)
                )

    # --- shapes ---------------------------------------------------------------

    @property
    def names(self):
        """The headers, in order."""
        return [column.name for column in self.columns]

    @property
    def event_shape(self):
        """Shape of an example: `(numbers,)`."""
        return (len(self.dims),)

    @property
    def condition_shape(self):
        """Shape of a condition, `(features,)`; None where no column is given."""
        return (sum(c.num_features for c in self._given),) if self._given else None

    @property
    def is_exact(self):
        """True if all numbers are continuous, so that a flow's density is exact."""
        return not any(dim.whole for dim in self.dims)

    # --- frames ---------------------------------------------------------------

    def arrays(self, frame):
        """Examples and conditions of a frame, as models take them.

        Args:
            frame: `pandas.DataFrame` with these columns; others are passed over, and so are
                constants.

        Returns:
            `(x, y)`: float64 arrays `[n, numbers]` and `[n, features]`, or None in the place of
            the latter.

        Raises:
            ValueError: columns that are missing, or values that they cannot have, all in one
                message.
        """
        self._check_frame(frame, [*self._modelled, *self._given], "frame")
        faults, found = {}, []
        for column in self._modelled:
            try:
                values, missing = column.encode(frame[column.name])
            except (ValueError, TypeError) as error:
                faults[column.name] = str(error)
                continue
            found += [values] + [missing.astype(np.float64)] * column.has_indicator
        given = self._features(frame, faults)
        refuse("`frame`", faults)
        return np.stack(found, 1), np.concatenate(given, 1) if given else None

    def conditions(self, given):
        """Conditions of the columns that are given, as `sample` and `log_prob` take them.

        Args:
            given: `pandas.DataFrame`, or a dict from these columns' names to a value or to a list
                of values.

        Returns:
            float64 array `[n, features]`.

        Raises:
            ValueError: no column is given, or as for `arrays`.
        """
        if not self._given:
            raise ValueError("`given` needs columns that are conditions; this table has none")
        told = list(given) if isinstance(given, dict) else []
        if isinstance(given, dict):
            single = all(isinstance(v, str) or np.ndim(v) == 0 for v in given.values())
            given = import_pandas().DataFrame([given] if single else given)
        self._check_frame(given, self._given, "given")
        # Of a frame other columns are passed over: it may be the whole table.
        known = [column.name for column in self.columns]
        faults = {n: f"no such column.{nearest(n, known)}" for n in told if n not in known}
        found = self._features(given, faults)
        refuse("`given`", faults)
        return np.concatenate(found, 1)

    def _features(self, frame, faults):
        """Features of each given column, in a list; what is wrong with others goes to `faults`."""
        found = []
        for column in self._given:
            try:
                found.append(column.to_features(frame[column.name]))
            except (ValueError, TypeError) as error:
                faults[column.name] = str(error)
        return found

    def _check_frame(self, frame, needed, argument):
        pd = import_pandas()
        if not isinstance(frame, pd.DataFrame):
            raise ValueError(
                f"`{argument}` must be a pandas.DataFrame; got a {type(frame).__name__}"
            )
        names = list(frame.columns)
        refuse(
            f"`{argument}`",
            {
                c.name: "no such column" if c.name not in names else "several of this name"
                for c in needed
                if names.count(c.name) != 1
            },
        )
        if not len(frame):
            raise ValueError(f"`{argument}` must have at least one row; got none")

    def to_frame(self, x, y=None):
        """A frame with the names, the order and the types of the table's, of a model's samples.

        Constants are put back. Columns that are conditions are there if `y` is.

        Args:
            x: array or tensor `[n, numbers]`.
            y: array or tensor `[n, features]`, or one row for all; None to leave these columns out.

        Returns:
            `pandas.DataFrame` of n rows.

        >>> import tfgen
        >>> columns = tfgen.data.Columns(
        ...     [{"name": "age", "kind": "integer", "dtype": "int64", "low": 0}]
        ... )
        >>> columns.to_frame([[41.0], [7.0]])["age"].tolist()
        [41, 7]
        """
        pd, x = import_pandas(), np.asarray(x)
        check_event_shape(x, "x", self.event_shape)
        if y is not None:
            if not self._given:
                raise ValueError("`y` was given, but no column of this table is a condition")
            y = np.asarray(y)
            y = y[None] if y.ndim == 1 else y
            check_event_shape(y, "y", self.condition_shape)
            y = np.broadcast_to(y, (len(x), y.shape[1]))
        found, at, at_y = {}, 0, 0
        for column in self.columns:
            if column.kind == "constant":
                if column.role == "event" or y is not None:
                    found[column.name] = column.decode(np.zeros(len(x)))
            elif column.role == "event":
                missing = x[:, at + 1] > 0.5 if column.has_indicator else None
                found[column.name] = column.decode(x[:, at], missing)
                at += 1 + column.has_indicator
            elif y is not None:
                features = y[:, at_y : at_y + column.num_features]
                found[column.name] = column.from_features(features)
                at_y += column.num_features
        return pd.DataFrame(found)

    # --- arrays ---------------------------------------------------------------

    def check(self, x, name):
        """Refuses an array of examples that holds values which columns do not have.

        Args:
            x: finite array `[n, numbers]`.
            name: of the argument, for errors.
        """
        least, most, whole = self.ranges()
        wrong = (x < least) | (x > most) | (whole & (x != np.floor(x)))
        if wrong.any():
            row, i = (int(k) for k in np.argwhere(wrong)[0])
            kind = "whole numbers" if whole[i] else "numbers"
            if np.isfinite([least[i], most[i]]).any():
                kind += f" from {least[i]:g} to {most[i]:g}"
            raise ValueError(
                f"`{name}` must hold {kind} in column {i}, of "
                f"{self.dims[i].name!r}; got {x[row, i]:g} in row {row}: `columns.arrays(frame)` "
                "makes examples of a frame"
            )

    def ranges(self):
        """Arrays `[numbers]`: the least and the greatest value of each, and if it is whole."""
        least = [-np.inf if d.low is None else d.low for d in self.dims]
        most = [np.inf if d.end is None else d.end - d.whole for d in self.dims]
        return np.array(least), np.array(most), np.array([d.whole for d in self.dims])

    # --- configuration --------------------------------------------------------

    def get_config(self):
        """The columns as dicts of plain values, without what is at its default."""
        fields = dataclasses.fields(Column)
        plain = [
            {f.name: getattr(c, f.name) for f in fields if getattr(c, f.name) != f.default}
            for c in self.columns
        ]
        return {"columns": plain}

    @classmethod
    def from_config(cls, config):
        """The description that `get_config` gave."""
        return cls(**config)

    def __eq__(self, other):
        return isinstance(other, Columns) and self.columns == other.columns

    __hash__ = object.__hash__

    def __repr__(self):
        size = f"{len(self.dims)} number{'s' * (len(self.dims) != 1)}"
        given = f", given {self.condition_shape[0]} features" if self._given else ""
        lines = "".join(f"\n  {column!r}" for column in self.columns)
        return f"Columns of {size}{given}{lines}"

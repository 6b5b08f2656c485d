"""Table: a data frame as examples that a flow learns, and samples as frames."""

import os
import warnings

import numpy as np

from tfgen.data import embedded
from tfgen.data.columns import Columns
from tfgen.data.dataset import Data
from tfgen.data.dataset import hold_out
from tfgen.data.frames import import_pandas
from tfgen.data.frames import refuse
from tfgen.data.hints import nearest
from tfgen.data.readers import is_table
from tfgen.data.table_kinds import TOLD
from tfgen.data.table_kinds import find_column
from tfgen.data.table_kinds import is_index
from tfgen.utils import checks

MISSING = ("refuse", "indicator")


class Table:
    """A pandas frame as examples and conditions, with a kind found or told for each column.

    Kinds are numbers; integers (all values are whole, floats among them); categories (texts and
    pandas's categories); booleans; dates. Constant columns are left out of the model and put back
    into samples; a column of row numbers is left out altogether. Both are told by a warning. The
    transforms that belong to the kinds are the model's, so that its `log_prob` is in nats for the
    values as given: of a number per unit, of a date per day where it is continuous, and of whole
    numbers, categories and booleans (and of whether a value is missing) as probabilities.

    Numbers are found to be positive, or a share within 0 and 1, where their values leave little
    doubt, and integers to be bounded where each value between the ends is frequent; `bounds` tell
    more. `docs/tables.md` is a guide.

    Args:
        frame: `pandas.DataFrame`, its headers texts of their own.
        condition: header, or list of headers, of columns that are given to the density.
        kinds: dict from header to `"number"`, `"integer"`, `"positive"`, `"category"`,
            `"boolean"` or `"date"`.
        bounds: dict from header to `(low, high)`, each a number or None. Numbers lie strictly
            within, integers from the one to the other; `(None, None)` takes found ones away.
        missing: `"refuse"` for an error that names columns and rows with missing values, or
            `"indicator"` to model what is missing.
        index: `"auto"` to leave a column of row numbers out, None to keep all, or its header.
        drop: headers of columns to leave out.
        test_fraction: fraction of rows, in (0, 1), that `test` holds.
        seed: non-negative int, by which these are drawn.

    Attributes:
        columns: the `Columns`, which the model keeps.
        frame: the frame, without columns that are left out altogether.
        x: float64 array `[n, numbers]` of all rows.
        y: float64 array `[n, features]` of the columns that are given, or None.
        train: `(x, y)` of the rows to train on.
        test: `(x, y)` of those that are held out.

    Raises:
        ValueError: columns that cannot be read, all in one message; or other bad arguments.
        ImportError: pandas is not installed.

    >>> import numpy as np, pandas as pd, tfgen
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"height": rng.normal(170, 8, 200), "member": rng.random(200) < 0.3})
    >>> table = tfgen.data.Table(frame)
    >>> table
    Table of 200 rows, 180 train, 20 test: 2 numbers
      'height': number
      'member': boolean
    >>> model = table.model(tfgen.NSF, num_layers=2, hidden_units=(16,))
    >>> model.compile()
    >>> history = model.fit(*table.train, verbose=0)
    >>> table.to_frame(model.sample(3)).dtypes.astype(str).tolist()
    ['float64', 'bool']
    >>> table.event_shape, table.condition_shape, table.arrays(frame)[0].shape
    ((2,), None, (200, 2))
    """

    def __init__(
        self,
        frame,
        condition=(),
        kinds=None,
        bounds=None,
        missing="refuse",
        index="auto",
        drop=(),
        test_fraction=0.1,
        seed=0,
    ):
        frame = _check_frame(frame)
        if missing not in MISSING:
            raise ValueError(f"`missing` must be one of {list(MISSING)}; got {missing!r}")
        given, drop = _names(condition), _names(drop)
        kinds, bounds = _check_dict(kinds, "kinds"), _check_dict(bounds, "bounds")
        told = {"condition": given, "kinds": kinds, "bounds": bounds, "drop": drop}
        if index not in (None, "auto"):
            told["index"] = _names(index)
        for argument, names in told.items():
            _check_names(argument, names, list(frame.columns))
        for name, kind in kinds.items():
            if kind not in TOLD:
                raise ValueError(f"`kinds[{name!r}]` must be one of {list(TOLD)}; got {kind!r}")
        for name, pair in bounds.items():
            _check_bounds(name, pair)
        used = {*given, *kinds, *bounds}
        drop = {*drop, *told.get("index", ())}
        if index == "auto":
            drop |= {*_found_indices(frame.drop(columns=list(drop)), used)}
        frame = frame.drop(columns=list(drop))
        columns, faults = [], {}
        for name in frame.columns:
            role = "condition" if name in given else "event"
            try:
                column = find_column(
                    frame[name], kinds.get(name), bounds.get(name), missing == "indicator", role
                )
                columns.append(column)
            except (ValueError, TypeError) as error:
                faults[name] = str(error)
        refuse("`frame`", faults)
        constant = [c.name for c in columns if c.kind == "constant"]
        if constant:
            warnings.warn(
                "constant columns are left out of the model, and put back into samples: "
                f"{constant}",
                stacklevel=2,
            )
        self.columns, self.frame = Columns(columns), frame
        self.x, self.y = self.columns.arrays(frame)
        fraction = checks.check_positive(test_fraction, "test_fraction")
        if fraction >= 1:
            raise ValueError(f"`test_fraction` must lie in (0, 1); got {test_fraction}")
        seed = checks.check_int(seed, "seed", 0, 2**63 - 1)
        self.train, self.test = hold_out(self.x, self.y, seed, fraction)

    @classmethod
    def from_csv(cls, path, read=None, **kwargs):
        """The table in a file of values separated by commas (`.tsv`: by tabs).

        Args:
            path: str or path object of the file; or the name of a table inside the package,
                `"diabetes"`.
            read: dict of arguments of `pandas.read_csv`, such as `{"parse_dates": ["born"]}`.
            **kwargs: `Table` arguments.

        Returns:
            A `Table`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file cannot be read, or as for `Table`.

        >>> import pathlib, tempfile, tfgen
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = path.write_text("age,city\\n31,Bern\\n45,Basel\\n8,Bern\\n")
        >>> tfgen.data.Table.from_csv(path)
        Table of 3 rows, 2 train, 1 test: 2 numbers
          'age': integer
          'city': category, 2 levels (Basel, Bern)
        """
        return cls(read_frame(path, read), **kwargs)

    @property
    def event_shape(self):
        """Shape of an example: `(numbers,)`."""
        return self.columns.event_shape

    @property
    def condition_shape(self):
        """Shape of a condition, `(features,)`; None where no column is given."""
        return self.columns.condition_shape

    def model(self, recipe, **kwargs):
        """A model of this table's examples.

        Args:
            recipe: class of flows of vectors: `tfgen.NSF`, `tfgen.MAF`, `tfgen.RealNVP`, or your
                own.
            **kwargs: its arguments, but for the shapes.

        Returns:
            The model, which keeps `columns`.

        >>> import pandas as pd, tfgen
        >>> frame = pd.DataFrame({"a": [1.5, 2.5, 0.5], "b": ["u", "v", "u"]})
        >>> model = tfgen.data.Table(frame, condition="b").model(tfgen.RealNVP, num_layers=2)
        >>> model.event_shape, model.condition_shape
        ((1,), (2,))
        """
        given = {} if self.condition_shape is None else {"condition_shape": self.condition_shape}
        return recipe(self.event_shape, columns=self.columns, **given, **kwargs)

    def as_data(self, name):
        """The split table as a `tfgen.data.Data`, under a name.

        >>> import pandas as pd, tfgen
        >>> frame = pd.DataFrame({"a": [1.5, 2.5, 0.5], "b": ["u", "v", "u"]})
        >>> tfgen.data.Table(frame).as_data("mine")
        Data('mine', real [2], 2 train, 1 test)
        """
        return Data(
            name=name,
            kind="real",
            train=self.train,
            test=self.test,
            description=repr(self),
            columns=self.columns,
        )

    def arrays(self, frame):
        """`(x, y)` of another frame; see `Columns.arrays`."""
        return self.columns.arrays(frame)

    def conditions(self, given):
        """Conditions of a frame or a dict; see `Columns.conditions`.

        >>> import pandas as pd, tfgen
        >>> frame = pd.DataFrame({"a": [1.5, 2.5, 0.5], "b": ["u", "v", "u"]})
        >>> tfgen.data.Table(frame, condition="b").conditions({"b": "v"}).tolist()
        [[0.0, 1.0]]
        """
        return self.columns.conditions(given)

    def to_frame(self, x, y=None):
        """A frame of samples `[n, numbers]`, and of conditions if given; see `Columns.to_frame`."""
        return self.columns.to_frame(x, y)

    def __repr__(self):
        sizes = f"{len(self.x)} rows, {len(self.train[0])} train, {len(self.test[0])} test"
        return f"Table of {sizes}: {repr(self.columns).removeprefix('Columns of ')}"


def is_frame(name):
    """True for what `read_frame` takes: .csv and .tsv files, and tables in the package."""
    return is_table(name) or name in embedded.TABLES


def table_of(path, columns, seed=0):
    """A `Data` of the rows of a file, as columns that are known describe them.

    Args:
        path: `.csv` or `.tsv` file, or the name of a table in the package.
        columns: `Columns`, such as those of a trained model.
        seed: Non-negative int, by which the test split is held out.
    """
    train, test = hold_out(*columns.arrays(read_frame(path)), seed)
    return Data(name=str(path), kind="real", train=train, test=test, columns=columns)


def read_frame(path, read=None):
    """The pandas frame in a file, as `Table.from_csv` reads it, or of a table in the package."""
    if path in embedded.TABLES:
        return embedded.TABLES[path]()
    if not os.path.isfile(os.path.expanduser(path)):
        raise FileNotFoundError(f"no such file: {path} (a table is a .csv or .tsv file)")
    path = os.path.expanduser(os.fspath(path))
    tabs = {"sep": "\t"} if path.lower().endswith(".tsv") else {}
    pd = import_pandas()
    try:
        frame = pd.read_csv(path, **{**tabs, **(read or {})})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a table that pandas reads: {error}") from error
    return frame


def _check_frame(frame):
    pd = import_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"`frame` must be a pandas.DataFrame; got a {type(frame).__name__}: "
            "`Table.from_csv` reads a file"
        )
    if len(frame) < 2 or not len(frame.columns):
        raise ValueError(
            f"`frame` must have two rows and one column at least; got {list(frame.shape)}"
        )
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd:
        raise ValueError(
            f"`frame` must have headers that are texts; got {odd[:5]}: "
            "`frame.columns = [str(c) for c in frame.columns]`"
        )
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise ValueError(f"`frame` must have headers of their own; got {twice} more than once")
    return frame


def _names(names):
    return [names] if isinstance(names, str) else list(names or ())


def _check_dict(told, name):
    return checks.check_instance({} if told is None else told, dict, name)


def _check_names(argument, names, known):
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"`{argument}` must name columns of the frame; got {unknown}."
            f"{nearest(unknown[0], known)}"
        )


def _check_bounds(name, pair):
    numbers = isinstance(pair, tuple | list) and len(pair) == 2
    if not numbers or not all(
        b is None or (isinstance(b, int | float | np.number) and np.isfinite(b)) for b in pair
    ):
        raise ValueError(
            f"`bounds[{name!r}]` must be a pair of numbers, each perhaps None; got {pair!r}"
        )


def _found_indices(frame, used):
    names = [n for n in frame.columns if n not in used and is_index(frame[n])]
    if names:
        warnings.warn(
            f"columns of row numbers are left out: {names}; `index=None` keeps them", stacklevel=3
        )
    return names

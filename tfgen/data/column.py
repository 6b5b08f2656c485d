"""Column: what a table's column is, and the way of its values to numbers and back."""

import dataclasses

import numpy as np

from tfgen.data.frames import import_pandas
from tfgen.data.frames import rows_of
from tfgen.utils.line import from_line
from tfgen.utils.line import to_line

KINDS = ("number", "integer", "category", "boolean", "date", "constant")
ROLES = ("event", "condition")
# Nanoseconds of the steps that dates are counted in.
STEPS = {
    "day": 86_400_000_000_000,
    "hour": 3_600_000_000_000,
    "minute": 60_000_000_000,
    "second": 1_000_000_000,
    "millisecond": 1_000_000,
    "microsecond": 1_000,
    "nanosecond": 1,
}
TICKS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclasses.dataclass(frozen=True)
class Column:
    """Description of a table's column, of plain values only.

    Attributes:
        name: the header.
        kind: `"number"`, `"integer"`, `"category"`, `"boolean"`, `"date"` or `"constant"`.
        dtype: pandas's dtype, as a str; of pandas categories that of the levels.
        role: `"event"` if the column is modelled, `"condition"` if it is given.
        low: bound below, in the column's own units (of integers the least value); None: none.
        high: bound above (of integers the greatest value); None: none.
        origin: number that is subtracted; of dates an ISO 8601 str.
        step: unit of dates, `"day"` to `"nanosecond"`; reals are in days all the same.
        whole: whether values are whole numbers (of steps), which a model dequantises.
        levels: values of a category, in the order of their codes.
        probs: share of each code, of categories and of integers of few values, a missing one last;
            or None.
        missing: whether values may be missing.
        missing_share: share of the rows in which it is missing.
        loc: mean of the values that are there, where a model counts them: less the origin, and on
            the whole line.
        scale: their standard deviation there.
        pandas_category: whether it is one of pandas's categories.
        ordered: whether that is ordered.
        value: of a constant.

    >>> Column("age", "integer", low=0, high=3, probs=[0.1, 0.2, 0.3, 0.4])
    'age': integer, 0..3
    """

    name: str
    kind: str
    dtype: str = "float64"
    role: str = "event"
    low: float | None = None
    high: float | None = None
    origin: float | str = 0.0
    step: str | None = None
    whole: bool = False
    levels: list | None = None
    probs: list | None = None
    missing: bool = False
    missing_share: float = 0.0
    loc: float = 0.0
    scale: float = 1.0
    pandas_category: bool = False
    ordered: bool = False
    value: object = None

    def __post_init__(self):
        for name, choices in (("kind", KINDS), ("role", ROLES)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"`{name}` of the column {self.name!r} must be one of {list(choices)}; got "
                    f"{getattr(self, name)!r}"
                )
        if self.kind in ("integer", "category", "boolean"):
            object.__setattr__(self, "whole", True)
        if self.levels is not None:
            if self.probs is None:
                size = self.num_codes
                object.__setattr__(self, "probs", [1 / size] * size)
        elif self.kind in ("category", "boolean"):
            raise ValueError(f"`levels` of the column {self.name!r} must be a list; got None")
        if self.probs is not None and self.levels is None and None in (self.low, self.high):
            raise ValueError(f"`probs` of the column {self.name!r} need `low` and `high`")
        if self.probs is not None and len(self.probs) != self.num_codes:
            raise ValueError(
                f"`probs` of the column {self.name!r} must be {self.num_codes} numbers; got "
                f"{len(self.probs)}"
            )

    @property
    def num_codes(self):
        """Number of codes, one for missing among them, of a column that has `probs`."""
        known = len(self.levels) if self.levels is not None else int(self.high - self.low) + 1
        return known + self.missing

    @property
    def has_indicator(self):
        """True if a second number says whether the value is missing."""
        return self.missing and self.probs is None

    @property
    def bounds(self):
        """`(low, end)` of the values less the origin, dequantised ones if they are whole."""
        if self.levels is not None:
            return 0.0, float(len(self.levels) + self.missing)
        if self.kind == "date":
            return None, None
        low, end = self.low, self.high
        if end is not None and self.whole:
            end += 1 + (self.missing and self.probs is not None)
        return (None if v is None else float(v - self.origin) for v in (low, end))

    def __repr__(self):
        return f"{self.name!r}: {self.words()}"

    def words(self):
        """What it is, in words."""
        words = [self.kind]
        if self.kind == "constant":
            words.append("missing" if self.value is None else f"{self.value!r}")
        if self.kind == "category":
            shown = ", ".join(map(str, self.levels[:5])) + ", ..." * (len(self.levels) > 5)
            words.append(f"{len(self.levels)} levels ({shown})")
        if self.kind == "date":
            words.append(f"in {self.step}s" if self.whole else "in days, continuous")
            words.append(f"from {self.origin}")
        if self.kind in ("number", "integer"):
            if None not in (self.low, self.high):
                words.append(f"{self.low:g}..{self.high:g}")
            elif self.low is not None:
                words.append(f"above {self.low:g}" if not self.whole else f"{self.low:g} or more")
            elif self.high is not None:
                words.append(f"below {self.high:g}" if not self.whole else f"up to {self.high:g}")
        if self.missing:
            words.append(f"missing in {100 * self.missing_share:.3g} per cent")
        if self.role == "condition":
            words.append("given")
        return ", ".join(words)

    # --- between pandas and numbers -------------------------------------------

    def encode(self, series):
        """Numbers of a column of a frame.

        Args:
            series: `pandas.Series`, of length n.

        Returns:
            Pair of a float64 array `[n]`, codes or numbers less the origin, and a bool array `[n]`,
            True where the value is missing. Of columns with `probs` missing values have a code.

        Raises:
            ValueError: values that the column cannot have; the words name the rows.
        """
        missing = np.asarray(series.isna())
        if missing.any() and not self.missing:
            raise ValueError(
                f"missing in {rows_of(missing)}, where the model knows no missing values"
            )
        if self.levels is not None:
            codes = self._codes(series)
            self._check(series, (codes < 0) & ~missing, f"one of the levels {self.levels[:8]}")
            return np.where(missing, len(self.levels), codes).astype(np.float64), missing
        values = self._numbers(series, missing)
        self._check(series, ~np.isfinite(values), "finite numbers")
        if self.whole:
            self._check(series, values != np.floor(values), f"whole {self.step or 'number'}s")
        low, end = self.bounds
        if self.probs is not None:
            end -= self.missing
        out = np.zeros(len(values), bool)
        if low is not None:
            out |= values < low if self.whole else values <= low
        if end is not None:
            out |= values >= end
        self._check(series, out & ~missing, self._range())
        if self.probs is not None and self.missing:
            values = np.where(missing, self.high + 1 - self.origin, values)
        return values, missing

    def _range(self):
        low, high = ("" if v is None else f"{v:g}" for v in (self.low, self.high))
        if self.whole:
            return f"whole numbers in {low}..{high}"
        words = [f"above {low}"] * bool(low) + [f"below {high}"] * bool(high)
        return f"numbers {' and '.join(words)} (a bound itself has no density)"

    def _check(self, series, wrong, expected):
        if wrong.any():
            came = series.iloc[int(np.argmax(wrong))]
            came = came.item() if isinstance(came, np.generic) else came
            raise ValueError(f"must hold {expected}; got {came!r} in {rows_of(wrong)}")

    def _codes(self, series):
        """The codes of levels, -1 of what is none of them."""
        # True is 1 and 1.0 to Python, too.
        known = {level: code for code, level in enumerate(self.levels)}
        plain = series.astype(object).to_numpy()
        hashable = (v if isinstance(v, str | int | float | np.generic) else None for v in plain)
        return np.array([known.get(v, -1) for v in hashable], np.int64)

    def _numbers(self, series, missing):
        """Numbers less the origin, of missing values a number of the column's."""
        if self.kind != "date":
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
            with np.errstate(invalid="ignore"):
                return np.where(missing, self.fill, values - self.origin)
        if not hasattr(series, "dt"):
            # As dates they would be nanoseconds, whatever was meant.
            numbers = [isinstance(v, int | float | np.number) for v in series.astype(object)]
            self._check(series, np.array(numbers, bool) & ~missing, "dates or texts of dates")
            series = import_pandas().to_datetime(series)
        ticks, size = date_ticks(series)
        origin = np.datetime64(self.origin, unit_of(size)).astype(np.int64)
        unit = max(1, STEPS[self.step if self.whole else "day"] // size)
        # In integers, which lose no digits, and units first: a difference may be beyond them.
        units, rest = np.divmod(np.where(missing, origin, ticks), unit)
        values = (units - origin // unit) + (rest - origin % unit) / unit
        return np.where(missing, self.fill, values)

    @property
    def fill(self):
        """The number that stands for a missing value beside its indicator."""
        low, end = self.bounds
        value = float(from_line(np.float64(self.loc), low, end)[0])
        return float(np.floor(value)) if self.whole else value

    def decode(self, values, missing=None):
        """The column of a frame, in its dtype, of what `encode` gives.

        Args:
            values: array `[n]`.
            missing: bool array `[n]`, or None for no missing values but those that have a code.

        Returns:
            `pandas.Series`.
        """
        pd = import_pandas()
        values = np.asarray(values, np.float64)
        if self.kind == "constant":
            return pd.Series([self._value(pd)] * len(values), dtype=self._dtype(pd))
        if missing is None:
            missing = np.zeros(len(values), bool)
        if self.levels is not None:
            codes = np.clip(np.round(values), 0, self.num_codes - 1).astype(int)
            codes = np.where(missing | (codes >= len(self.levels)), -1, codes)
            if self.pandas_category:
                return pd.Series(pd.Categorical.from_codes(codes, dtype=self._dtype(pd)))
            found = np.array([*self.levels, None], object)[codes]
            return pd.Series(found, dtype=self._dtype(pd))
        if self.probs is not None and self.missing:
            missing = missing | (values > self.high - self.origin)
        if self.kind == "date":
            return self._dates(pd, values, missing)
        values = values + self.origin
        if self.low is not None or self.high is not None:
            values = np.clip(values, self.low, self.high)
        series = pd.Series(np.where(missing, np.nan, values))
        dtype = self._dtype(pd)
        if self.whole or pd.api.types.is_integer_dtype(dtype):
            series = series.round()
        if pd.api.types.is_integer_dtype(dtype):
            limits = np.iinfo(str(dtype).lower().partition("[")[0])
            # The greatest integers have no float64 of their own.
            least, most = float(limits.min), np.nextafter(float(limits.max), 0.0)
            series = series.clip(least, most)
            if missing.any():
                return series.astype("Int64").astype(dtype)
        return series.astype(dtype)

    def _dates(self, pd, values, missing):
        dtype = self._dtype(pd)
        size = TICKS[dtype.unit if hasattr(dtype, "unit") else np.datetime_data(dtype)[0]]
        origin = np.datetime64(self.origin, unit_of(size)).astype(np.int64)
        step = max(1, STEPS[self.step] // size)
        unit = STEPS[self.step if self.whole else "day"] / size
        ticks = np.where(missing, 0, np.round(values * (unit / step)))
        # Further on there are no dates of this unit.
        far = 2.0**63 - 2 * step - 4096
        ticks = np.clip(ticks, (-far - origin) // step, (far - origin) // step)
        dates = (origin + ticks.astype(np.int64) * step).view(f"datetime64[{unit_of(size)}]")
        dates[missing] = np.datetime64("NaT")
        series = pd.Series(dates)
        if isinstance(dtype, pd.DatetimeTZDtype):
            series = series.dt.tz_localize("UTC")
        return series.astype(dtype)

    def _dtype(self, pd):
        """The dtype as pandas has it."""
        if self.pandas_category:
            levels = pd.Index(self.levels, dtype=self.dtype)
            return pd.CategoricalDtype(levels, ordered=self.ordered)
        return pd.api.types.pandas_dtype(self.dtype)

    def _value(self, pd):
        if self.value is None or self.pandas_category or self.step is None:
            return self.value
        return pd.Timestamp(self.value)

    # --- as a condition -------------------------------------------------------

    @property
    def num_features(self):
        """Number of features of a given column."""
        return len(self.levels) + self.missing if self.levels is not None else 1 + self.missing

    def to_features(self, series):
        """Features of a given column, `[n, num_features]`: one-hot codes, or the number on the
        whole line with the indicator of missing ones."""
        values, missing = self.encode(series)
        if self.levels is not None:
            return np.eye(self.num_features)[values.astype(int)]
        # The middle of a bin, lest the least value lie at infinity.
        line = to_line(values + 0.5 * self.whole, *self.bounds)[0].numpy()
        return np.stack([line, missing], 1) if self.missing else line[:, None]

    def from_features(self, features):
        """The column of a frame of what `to_features` gives."""
        if self.levels is not None:
            return self.decode(features.argmax(1))
        missing = features[:, 1] > 0.5 if self.missing else None
        values = from_line(features[:, 0].astype(np.float64), *self.bounds)[0].numpy()
        return self.decode(values - 0.5 * self.whole, missing)


def date_ticks(series):
    """Integers of dates, counted in their own unit, and that unit in nanoseconds.

    Args:
        series: `pandas.Series` of dates; those with a time zone count in UTC.
    """
    if series.dt.tz is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = series.to_numpy()
    return values.astype(np.int64), TICKS[np.datetime_data(values.dtype)[0]]


def unit_of(size):
    """NumPy's name of a unit of so many nanoseconds."""
    return next(name for name, ticks in TICKS.items() if ticks == size)

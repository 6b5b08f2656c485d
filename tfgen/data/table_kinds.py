"""What kind of column each column of a frame is: as told, or as its values look."""

import warnings

import numpy as np

from tfgen.data.column import STEPS
from tfgen.data.column import Column
from tfgen.data.column import date_ticks
from tfgen.data.column import unit_of
from tfgen.data.frames import import_pandas
from tfgen.data.frames import rows_of
from tfgen.utils.line import to_line

# What a user may call a column.
TOLD = ("number", "integer", "positive", "category", "boolean", "date")
# Headers under which row numbers are saved.
_INDEX_NAMES = {"id", "index", "row", "rownames", "row_id", "rowid", "level_0"}
# Whole numbers over more values than this count as reals: of them float32 has no parts to spare.
_MOST_WHOLE = 2**20
_GREATEST = 1e150
# Levels of a category at most, and of integers whose shares are counted.
_MOST_LEVELS, _MOST_SHARES, _FEW = 1000, 256, 20


def is_index(series):
    """True if a column is row numbers: consecutive integers in order, under a header that says so
    or from 0 or 1 on."""
    pd = import_pandas()
    if not pd.api.types.is_integer_dtype(series.dtype) or len(series) < 2 or series.isna().any():
        return False
    values = series.to_numpy(np.int64)
    name = str(series.name).strip().lower()
    named = name in _INDEX_NAMES or name.startswith("unnamed:")
    if (np.diff(values) == 1).all():
        return named or (len(values) >= 20 and values[0] in (0, 1))
    return named and bool((np.diff(np.sort(values)) == 1).all())


def find_column(series, told=None, bounds=None, indicator=False, role="event"):
    """The description of a column.

    Args:
        series: `pandas.Series`, its name a str.
        told: one of `TOLD`, or None to find the kind.
        bounds: pair of numbers or None, or None for those that are found.
        indicator: whether values may be missing.
        role: `"event"` or `"condition"`.

    Returns:
        A `Column`.

    Raises:
        ValueError: the column is of no kind that a table has; the words say why.
    """
    missing = np.asarray(series.isna())
    known = series[~missing]
    facts = {"name": series.name, "dtype": str(series.dtype), "role": role}
    if not len(known):
        return Column(kind="constant", **facts)
    if missing.any() and not indicator:
        raise ValueError(
            f'missing in {rows_of(missing)}: give `missing="indicator"` to model what is missing, '
            "or leave these rows out"
        )
    kind = told or _look(known)
    if kind == "positive":
        kind, bounds = "number", bounds or (0, None)
    if kind in ("category", "boolean", "date") and bounds is not None:
        raise ValueError(f"`bounds` are of numbers; this is a {kind}")
    if missing.any():
        facts |= {"missing": True, "missing_share": float(missing.mean())}
        if kind in ("number", "integer") and known.nunique() == 1:
            # One value, or none: nothing that a density could be of.
            kind = "category"
    elif known.nunique() == 1:
        # A value that is not what it is told to be is refused here as among others.
        if kind == "date":
            _date(known, dict(facts))
        elif kind in ("number", "integer"):
            _numbers(known)
        return _constant(known, kind, facts)
    if kind == "category":
        return _category(series, known, facts)
    if kind == "boolean":
        return _boolean(series, known, facts)
    if kind == "date":
        return _date(known, facts)
    return _number(known, kind, told, bounds, facts)


def _look(known):
    """The kind of a column by its type and its values."""
    types = import_pandas().api.types
    dtype = known.dtype
    if isinstance(dtype, import_pandas().CategoricalDtype):
        return "category"
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_datetime64_any_dtype(dtype):
        return "date"
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number"
    if types.is_timedelta64_dtype(dtype):
        raise ValueError("holds durations: give them as numbers, `.dt.total_seconds()`")
    inferred = types.infer_dtype(known)
    if inferred == "string":
        levels, size = known.nunique(), len(known)
        if levels > _MOST_LEVELS or (size >= 20 and levels > size / 2):
            raise ValueError(
                f"holds {levels} different texts in {size} rows: leave the column out, or tell "
                'that it is a "category" (`kinds`)'
            )
        return "category"
    if inferred == "boolean":
        return "boolean"
    if inferred in ("integer", "floating", "mixed-integer-float"):
        return "number"
    hint = ""
    if inferred in ("date", "datetime", "datetime64"):
        hint = ': give it as dates, `pandas.to_datetime`, or tell that it is a "date" (`kinds`)'
    types = known.map(lambda value: type(value).__name__).value_counts()
    if len(types) > 1:
        counts = ", ".join(f"{count} of type {name}" for name, count in types.items())
        raise ValueError(f"holds values of several types, {counts}: make them all of one")
    raise ValueError(f"holds objects of dtype {dtype} ({inferred}){hint}")


def _constant(known, kind, facts):
    value = known.iloc[0]
    if kind == "date":
        return Column(kind="constant", step="day", value=str(value), **facts)
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, str | bool | int | float):
        plain = float(plain) if hasattr(plain, "__float__") else str(plain)
    if not hasattr(known.dtype, "categories"):
        return Column(kind="constant", value=plain, **facts)
    facts |= _of_categories(known.dtype)
    levels = [_plain(level) for level in known.dtype.categories]
    return Column(kind="constant", value=plain, levels=levels, **facts)


def _plain(value):
    """A level as a plain value."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | bool | int | float):
        raise ValueError(f"has levels of type {type(value).__name__}: give them as texts")
    return value


def _of_categories(dtype):
    return {
        "dtype": str(dtype.categories.dtype),
        "pandas_category": True,
        "ordered": bool(dtype.ordered),
    }


def _category(series, known, facts):
    if hasattr(series.dtype, "categories"):
        facts |= _of_categories(series.dtype)
        levels = [_plain(level) for level in series.dtype.categories]
    else:
        levels = [_plain(level) for level in known.astype(object).unique()]
        try:
            levels = sorted(levels)
        except TypeError:
            raise ValueError("has levels of several types: give them as texts") from None
    if len(levels) > _MOST_LEVELS:
        raise ValueError(f"has {len(levels)} levels, and a category at most {_MOST_LEVELS}")
    column = Column(kind="category", levels=levels, **facts)
    return _with_shares(column, series)


def _boolean(series, known, facts):
    values = set(known.astype(object))
    if not values <= {False, True}:
        raise ValueError(f"must hold booleans; got {sorted(map(str, values))[:5]}")
    return _with_shares(Column(kind="boolean", levels=[False, True], **facts), series)


def _with_shares(column, series):
    """The column with the share of each code, of which none is nothing."""
    low = 0 if column.levels is not None else column.low - column.origin
    codes = column.encode(series)[0] - low
    counts = np.bincount(codes.astype(int), minlength=column.num_codes)
    shares = np.maximum(counts / len(codes), 0.1 / len(counts))
    shares = [float(share) for share in shares / shares.sum()]
    return _replaced(column, probs=shares)


def _replaced(column, **changes):
    fields = {name: getattr(column, name) for name in column.__dataclass_fields__}
    return Column(**{**fields, **changes})


def _date(known, facts):
    pd = import_pandas()
    if not pd.api.types.is_datetime64_any_dtype(known.dtype):
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                known = pd.to_datetime(known)
        except (ValueError, TypeError) as error:
            raise ValueError(f"must hold dates: {str(error).splitlines()[0]}") from None
        # Of values that are dates only: of others the error says more.
        for warning in heard:
            warnings.warn(warning.message, stacklevel=2)
        facts["dtype"] = str(known.dtype)
    ticks, size = date_ticks(known)
    passed = ticks - ticks.min()
    # The longest step of which all are multiples.
    step = next(s for s, t in STEPS.items() if t <= size or not (passed % (t // size)).any())
    whole = int(passed.max()) // max(1, STEPS[step] // size) < _MOST_WHOLE
    origin = str(np.datetime64(int(ticks.min()), unit_of(size)))
    column = Column(kind="date", origin=origin, step=step, whole=whole, **facts)
    return _with_moments(column, known)


def _number(known, kind, told, bounds, facts):
    values = _numbers(known)
    if import_pandas().api.types.is_integer_dtype(known.dtype) and np.abs(values).max() > 2**53:
        raise ValueError(
            "holds integers beyond 2^53, which float64 cannot tell apart: leave the column out, "
            "or subtract an offset"
        )
    whole = (values == np.floor(values)).all()
    if kind == "integer" and not whole:
        first = float(values[np.argmax(values != np.floor(values))])
        raise ValueError(f"must hold whole numbers, as `kinds` says; got {first:g}")
    span = values.max() - values.min()
    is_integer = kind == "integer" or (told is None and whole and span < _MOST_WHOLE)
    if bounds is None:
        bounds = _found_bounds(values, is_integer)
    low, high = _checked_bounds(bounds, is_integer)
    origin = _origin(values, is_integer)
    facts |= {"low": low, "high": high, "origin": origin}
    column = Column(kind="integer" if is_integer else "number", **facts)
    bounded = is_integer and None not in (low, high) and high - low < _MOST_SHARES
    if bounded and column.role == "event":
        # Its bounds are checked by the way.
        shares = [1.0] * (int(high - low) + 1 + column.missing)
        column = _replaced(column, probs=shares)
        if not column.missing:
            return _with_shares(column, known)
        column.encode(known)
        counts = np.bincount((values - low).astype(int), minlength=int(high - low) + 1)
        counts = np.append(counts / len(values) * (1 - column.missing_share), column.missing_share)
        counts = np.maximum(counts, 0.1 / len(counts))
        return _replaced(column, probs=[float(c) for c in counts / counts.sum()])
    return _with_moments(column, known)


def _numbers(known):
    """The numbers of a column, as float64."""
    try:
        values = known.to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"must hold numbers: {error}") from None
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ValueError(f"is infinite in {rows_of(wrong)}")
    wrong = np.abs(values) > _GREATEST
    if wrong.any():
        first = float(values[np.argmax(wrong)])
        raise ValueError(
            f"holds numbers beyond {_GREATEST:g}, whose squares float64 cannot hold, {first:g} in "
            f"{rows_of(wrong)}: give it in a larger unit, or its logarithm"
        )
    return values


def _with_moments(column, known):
    """The column with the mean and the deviation of its values on the whole line."""
    values, _ = column.encode(known)
    line = to_line(values + 0.5 * column.whole, *column.bounds)[0].numpy()
    scale = float(line.std())
    return _replaced(column, loc=float(line.mean()), scale=scale if scale > 0 else 1.0)


def _origin(values, is_integer):
    """What is subtracted of numbers that are far from 0 for how little they differ, else 0."""
    size, deviation = np.abs(values).max(), values.std()
    far = size > _MOST_WHOLE / 2 if is_integer else size > 1000 * deviation
    if not far:
        return 0.0
    return float(np.floor(values.min())) if is_integer else float(np.round(values.mean()))


def _found_bounds(values, is_integer):
    """Bounds of which the values leave little doubt."""
    least, most, size = values.min(), values.max(), len(values)
    if is_integer:
        # Such as grades: each value between the ends is there, and often.
        if most - least < _FEW:
            counts = np.bincount((values - least).astype(int))
            if counts.min() >= max(5, size / 100):
                return float(least), float(most)
        return None, None
    if least > 0 and most < 1 and size >= 100 and least < 0.05 and most > 0.95:
        return 0.0, 1.0
    if least > 0 and size >= 30:
        skew, of_log = _skewness(values), _skewness(np.log(values))
        # Such as incomes, whose logarithms are nearly symmetric.
        if skew > 1 and abs(of_log) < 0.5 * skew and most > 3 * np.median(values):
            return 0.0, None
    return None, None


def _skewness(values):
    centred = values - values.mean()
    return float(np.mean(centred**3) / max(np.mean(centred**2) ** 1.5, 1e-300))


def _checked_bounds(bounds, is_integer):
    low, high = bounds
    for bound in (low, high):
        if bound is not None and is_integer and bound != np.floor(bound):
            raise ValueError(f"`bounds` of integers must be whole numbers; got {bounds}")
    if None not in (low, high) and low >= high:
        raise ValueError(f"`bounds` must be a lower and a higher number; got {bounds}")
    return tuple(None if bound is None else float(bound) for bound in (low, high))

"""Pair plots: data and samples of a table, each pair of columns against each other."""

import numpy as np

from tfgen.plots import figures

# The most bars of a histogram; columns of no more values have one for each.
_BARS = 30


def save_pairs(path, data, samples, columns=None, max_rows=1000):
    """Draws a pair plot of data and samples.

    On the diagonal stand both distributions of each column, as fractions of the rows in which it
    is not missing; below it the data, and above it the samples, by pairs of columns. Columns of
    texts, categories and booleans are drawn by their levels, a little apart at random, and positive
    ones over several orders of magnitude on a logarithmic axis.

    Args:
        path: the file; its suffix names the format. Folders that are missing are made.
        data: `pandas.DataFrame`, or array [n, columns].
        samples: the same, of samples.
        columns: names, or numbers, of the columns to draw; by default the first 8 that both have.
        max_rows: the most rows of each that are drawn as points.

    Raises:
        ValueError: no rows, or `columns` that the two do not have.

    Example:

        >>> import os, tempfile
        >>> import numpy as np, pandas as pd
        >>> from tfgen.plots import save_pairs
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"age": rng.integers(90, size=50), "member": rng.random(50) < 0.3})
        >>> path = os.path.join(tempfile.mkdtemp(), "pairs.png")
        >>> save_pairs(path, frame, frame)
        >>> os.path.exists(path)
        True
    """
    data, samples = _series(data), _series(samples)
    both = [name for name in data if name in samples]
    names = both[:8] if columns is None else list(columns)
    if not names or any(name not in both for name in names):
        raise ValueError(
            f"`columns` must be some of those that both have, {both}; got {names}, of data with "
            f"{list(data)} and samples with {list(samples)}"
        )
    if not all(len(part[names[0]]) for part in (data, samples)):
        raise ValueError("`data` and `samples` must have at least one row each")
    axes = [_Axis(data[name], samples[name]) for name in names]
    count = len(names)
    side = max(1.6, min(4.0, 14 / count))
    figure = figures.new_figure(side * count, side * count)
    panels = figure.subplots(count, count, squeeze=False, sharex="col")
    rng = np.random.default_rng(0)
    for i, row in enumerate(axes):
        for j, column in enumerate(axes):
            panel = panels[i, j]
            if i == j:
                _draw_bars(panel, row)
                panel.set_title(names[i], fontsize="medium")
            else:
                part, colour = (0, "C0") if i > j else (1, "C1")
                x, y = (a.places(part, max_rows, rng) for a in (column, row))
                panel.scatter(x, y, s=3, linewidths=0, alpha=0.6, color=colour)
                row.set_up(panel, "y")
            column.set_up(panel, "x")
            if j > 0 or i == 0:
                panel.tick_params(axis="y", labelleft=False, left=i != j)
            if i < count - 1:
                panel.tick_params(axis="x", labelbottom=False)
            panel.tick_params(axis="x", labelrotation=45, labelsize="small")
            panel.tick_params(axis="y", labelsize="small")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
    figures.make_folder(path)
    figure.savefig(path)


def _series(table):
    """Columns by name, of a frame as its series and of an array as arrays."""
    if hasattr(table, "columns"):
        return {name: table[name] for name in table.columns}
    table = np.asarray(table)
    if table.ndim != 2:
        raise ValueError(f"`data` and `samples` must have shape [n, columns]; got {table.shape}")
    return dict(enumerate(table.T))


class _Axis:
    """The values of a column, in data and samples, as numbers on an axis.

    Args:
        data: series or array.
        samples: series or array.
    """

    def __init__(self, data, samples):
        both = [np.asarray(values) for values in (data, samples)]
        self.is_date = all(values.dtype.kind == "M" for values in both)
        self.levels = None
        if self.is_date:
            days = [v.astype("datetime64[ns]").astype(np.int64) / 86_400e9 for v in both]
            lost = [np.isnat(v) for v in both]
            self.parts = [np.where(m, np.nan, d) for m, d in zip(lost, days, strict=True)]
        else:
            try:
                if any(v.dtype.kind == "b" for v in both):
                    raise TypeError
                self.parts = [_floats(v) for v in both]
            except (TypeError, ValueError):
                self._take_levels(data, both)
        known = np.concatenate([part[np.isfinite(part)] for part in self.parts])
        self.known = known if len(known) else np.zeros(1)
        values = np.unique(self.known)
        self.is_few = self.levels is not None or (
            len(values) <= _BARS and (values == np.floor(values)).all()
        )
        low, high = self.known.min(), self.known.max()
        middle = np.median(self.known)
        self.is_log = not (self.is_few or self.is_date) and low > 0 and high > 30 * middle
        self.is_log |= not (self.is_few or self.is_date) and 0 < 100 * low < high

    def _take_levels(self, data, both):
        texts = [np.array(["" if _is_missing(v) else str(v) for v in values]) for values in both]
        given = getattr(getattr(data, "dtype", None), "categories", None)
        levels = sorted({*texts[0], *texts[1]} - {""}) if given is None else list(map(str, given))
        self.levels = levels
        self.parts = [
            np.array([levels.index(t) if t in levels else np.nan for t in part], float)
            for part in texts
        ]

    def places(self, part, max_rows, rng):
        """The first values of data (0) or samples (1), those of few levels a little apart."""
        values = self.parts[part][:max_rows]
        return values + rng.uniform(-0.25, 0.25, len(values)) if self.is_few else values

    def edges(self):
        """Edges of the bars of a histogram."""
        low, high = self.known.min(), self.known.max()
        if self.is_few:
            return np.arange(low - 0.5, high + 1)
        if high == low:
            return np.array([low - 0.5, low + 0.5])
        return (np.geomspace if self.is_log else np.linspace)(low, high, _BARS + 1)

    def set_up(self, panel, which):
        """Gives an axis of a panel the column's scale and ticks."""
        axis = getattr(panel, f"{which}axis")
        if self.is_log:
            getattr(panel, f"set_{which}scale")("log")
        if self.is_date:
            from matplotlib.dates import AutoDateLocator
            from matplotlib.dates import ConciseDateFormatter

            locator = AutoDateLocator(maxticks=5)
            axis.set_major_locator(locator)
            axis.set_major_formatter(ConciseDateFormatter(locator))
        if self.levels is not None and len(self.levels) <= 12:
            axis.set_ticks(range(len(self.levels)), [name[:12] for name in self.levels])


def _floats(values):
    """Numbers as float64, of missing ones NaN."""
    if values.dtype.kind != "O":
        return values.astype(np.float64)
    if any(isinstance(v, str | bool) for v in values):
        raise TypeError
    return np.array([np.nan if _is_missing(v) else float(v) for v in values])


def _is_missing(value):
    """True of None, NaN and pandas's NA, which is not equal to itself either."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _draw_bars(panel, axis):
    edges = axis.edges()
    for part, colour, label in zip(axis.parts, ("C0", "C1"), ("data", "samples"), strict=True):
        known = part[np.isfinite(part)]
        weights = np.full(len(known), 1 / max(1, len(known)))
        panel.hist(known, edges, weights=weights, color=colour, alpha=0.5, label=label)

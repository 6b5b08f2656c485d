"""Pandas, imported where it is used, and rows named in errors."""

import numpy as np


def import_pandas():
    """Returns the module pandas.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "tables need pandas, which is not installed: `pip install 'tfgen[tables]'`"
        ) from error
    return pandas


def rows_of(mask):
    """Words for the number of rows that a mask names, and for the first of them.

    Args:
        mask: bool array `[n]`.

    >>> rows_of(np.array([False, True, True]))
    '2 rows (1, 2)'
    """
    rows = np.flatnonzero(mask)
    first = ", ".join(map(str, rows[:5]))
    return f"{len(rows)} row{'s' * (len(rows) != 1)} ({first}{', ...' * (len(rows) > 5)})"


def refuse(what, faults):
    """Raises one ValueError that lists what is wrong, if anything is.

    Args:
        what: beginning of the message, as "`frame`".
        faults: dict from the headers of columns to words.
    """
    if not faults:
        return
    lines = "".join(f"\n  {name!r}: {words}" for name, words in faults.items())
    number = f"{len(faults)} column{'s' * (len(faults) != 1)}"
    raise ValueError(f"{what} has {number} that cannot be read:{lines}")

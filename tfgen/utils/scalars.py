"""Checks of single numbers, which need nothing of Keras."""

import math

import numpy as np


def check_count(value, name):
    """Returns a positive whole number as an int."""
    if not is_count(value):
        raise ValueError(f"`{name}` must be a whole number of at least 1; got {value!r}")
    return int(value)


def check_int(value, name, least, most):
    """Returns a whole number from `least` to `most`, both included, as an int."""
    if not is_number(value) or value not in range(least, most + 1):
        raise ValueError(f"`{name}` must be a whole number from {least} to {most}; got {value!r}")
    return int(value)


def check_weight(value, name):
    """Returns a finite number of at least 0 as a float."""
    if not is_number(value) or value < 0:
        raise ValueError(f"`{name}` must be a number of at least 0; got {value!r}")
    return float(value)


def check_positive(value, name):
    """Returns a finite number above 0 as a float."""
    if not check_weight(value, name):
        raise ValueError(f"`{name}` must be greater than 0; got 0")
    return float(value)


def is_count(value):
    """True for a positive whole number."""
    return is_number(value) and value >= 1 and value == value // 1


def is_number(value):
    """True for a finite number that is no bool."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer beyond all floats.
        return False

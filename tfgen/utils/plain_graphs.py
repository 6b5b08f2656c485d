"""Graphs for converters, which know fewer operations than TensorFlow."""

import contextlib
import contextvars

_PLAIN = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plain_graphs():
    """Context manager in which layers make graphs without loops over copies and without solves.

    The figures are the same but for rounding; the graphs grow with the depth, and are not to be
    trained.

    >>> with plain_graphs():
    ...     is_plain()
    True
    """
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def is_plain():
    """True in `plain_graphs`."""
    return _PLAIN.get()

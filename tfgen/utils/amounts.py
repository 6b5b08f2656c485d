"""Amounts as people read them."""


def as_amount(number, unit):
    """A number in the multiple of a unit that suits it.

    Args:
        number: a number that is not negative.
        unit: str, such as `"B"`.

    >>> from tfgen.utils.amounts import as_amount
    >>> as_amount(7_232_552, "B"), as_amount(0, "B"), as_amount(3.2e12, "FLOP")
    ('7.2 MB', '0 B', '3.2 TFLOP')
    """
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {prefix}{unit}"
    return f"{number:.0f} {unit}"


def as_time(seconds):
    """A time in the unit that suits it.

    >>> from tfgen.utils.amounts import as_time
    >>> as_time(0.0123), as_time(100), as_time(90_000), as_time(4e-5)
    ('12 ms', '100.0 s', '25.0 hours', '40 us')
    """
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "min"), (1, "s")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    if seconds >= 0.01:
        return f"{1000 * seconds:.0f} ms"
    return f"{1000 * seconds:.1f} ms" if seconds >= 0.001 else f"{1e6 * seconds:.0f} us"

"""Hints at the name that a mistyped one was perhaps meant to be."""

import difflib

_LONGEST = 100  # characters of a name that are compared


def nearest(name, known):
    """Words that give the known name nearest to an unknown one, for the end of an error.

    Args:
        name: str that is not among them.
        known: the names that there are: iterable of str.

    Returns:
        A sentence after a space; an empty str where no name is near. Capitals do not count.

    >>> nearest("glo", ["Glow", "VAE"]), nearest("other", ["Glow", "VAE"])
    (" Did you mean 'Glow'?", '')
    """
    names = {one.casefold(): one for one in known}
    # It takes seconds for a long one, which is near to none.
    close = difflib.get_close_matches(str(name)[:_LONGEST].casefold(), names, n=1)
    return f" Did you mean {names[close[0]]!r}?" if close else ""

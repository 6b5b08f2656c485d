"""Examples of which few have labels."""

import numpy as np

from tfgen.utils import checks


def repeat_labelled(x, y, share=0.5):
    """Examples in which those with a label are repeated until they are a share of all.

    Args:
        x: array `[n, ...]`.
        y: labels `[n]`; -1 is that of an example without.
        share: the share, in (0, 1): at least it, where examples with labels are that many already.

    Returns:
        Pair of arrays, the examples with labels at the end.

    Raises:
        ValueError: no example has a label, or another `share`.

    >>> import numpy as np, tfgen
    >>> x, y = tfgen.data.repeat_labelled(np.arange(5), [-1, 7, -1, 8, -1], share=0.6)
    >>> x.tolist(), y.tolist()
    ([0, 2, 4, 1, 3, 1, 3, 1], [-1, -1, -1, 7, 8, 7, 8, 7])
    """
    if not 0 < share < 1:
        raise ValueError(f"`share` must lie in (0, 1); got {share!r}")
    x, y = np.asarray(x), np.asarray(y)
    checks.check_same_length(x=x, y=y)
    known, other = np.flatnonzero(y >= 0), np.flatnonzero(y < 0)
    if not len(known):
        raise ValueError("`y` must have some label that is not -1; got none")
    wanted = int(np.ceil(round(len(other) * share / (1 - share), 6)))
    rows = np.concatenate([other, np.resize(known, max(len(known), wanted))])
    return x[rows], y[rows]

"""Bases, priors, posteriors and observation models."""

import tensorflow_probability as tfp

from tfgen.distributions.base import Base
from tfgen.distributions.from_tfd import FromTFD
from tfgen.distributions.mixture import GaussianMixture
from tfgen.distributions.normal import DiagonalNormal
from tfgen.distributions.normal import StandardNormal
from tfgen.distributions.student_t import StudentT

__all__ = [
    "Base",
    "DiagonalNormal",
    "FromTFD",
    "GaussianMixture",
    "StandardNormal",
    "StudentT",
    "get_base",
]

NAMED = {
    "normal": StandardNormal,
    "diagonal_normal": DiagonalNormal,
    "mixture": GaussianMixture,
    "student_t": StudentT,
}


def get_base(base, dtype=None):
    """The `Base` for a name, a `tfd.Distribution`, a `Base` or None (standard normal).

    Args:
        base: one of `"normal"`, `"diagonal_normal"`, `"mixture"`, `"student_t"`, or an object.
        dtype: dtype policy of a base made here.

    Raises:
        ValueError: anything else.

    >>> import tfgen
    >>> tfgen.distributions.get_base("student_t").df
    5.0
    """
    if base is None:
        base = "normal"
    if isinstance(base, str) and base in NAMED:
        return NAMED[base](dtype=dtype)
    if isinstance(base, tfp.distributions.Distribution):
        return FromTFD(base, dtype=dtype)
    if isinstance(base, Base):
        return base
    raise ValueError(
        f"`base` must be one of {list(NAMED)}, a tfd.Distribution or a tfgen.distributions.Base; "
        f"got {base!r}"
    )

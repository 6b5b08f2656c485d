"""What the recipes for vectors share."""

from tfgen.bijectors import ActNorm
from tfgen.bijectors import Chain
from tfgen.bijectors import Permutation
from tfgen.bijectors import Repeat
from tfgen.bijectors import Standardise
from tfgen.models.flow import Recipe
from tfgen.utils import checks


class VectorFlow(Recipe):
    """Standardised data through `num_layers` copies of a map and a mixing of the dimensions, with
    an ActNorm before a map whose transform does not rescale."""

    def __init__(
        self,
        event_shape,
        map_,
        transform,
        num_layers,
        config,
        mixing=None,
        num_init_batches=8,
        dtype=None,
        **kwargs,
    ):
        shape = checks.as_shape(event_shape, "event_shape")
        if len(shape) != 1:
            raise ValueError(f"`event_shape` must be [size]; got {list(shape)}")
        num_layers = checks.check_count(num_layers, "num_layers")
        mixing = Permutation("reverse", dtype=dtype) if mixing is None else mixing
        step = Chain([*norm_before(transform, dtype), map_, mixing], dtype=dtype)
        parts = [Standardise(dtype=dtype), Repeat(step, num_layers, dtype=dtype)]
        super().__init__(
            shape,
            Chain(parts, dtype=dtype),
            num_init_batches=num_init_batches,
            dtype=dtype,
            **kwargs,
        )
        self._config = {"num_layers": num_layers, **config}


def norm_before(transform, dtype):
    """The ActNorm that a map with this transform needs, as a list of one or none."""
    return [] if getattr(transform, "rescales", False) else [ActNorm(dtype=dtype)]

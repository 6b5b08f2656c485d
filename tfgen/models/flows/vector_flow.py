"""VectorFlow: the frame of the recipes for vectors."""

from tfgen.bijectors import Chain
from tfgen.bijectors import Permutation
from tfgen.bijectors import Repeat
from tfgen.bijectors import Standardise
from tfgen.bijectors.stacks import norm_before
from tfgen.models.flows.flow import Flow
from tfgen.utils import checks


class VectorFlow(Flow):
    """Standardised data through `num_layers` copies of a map and a mixing of the dimensions, with
    an ActNorm before a map whose transform does not rescale.

    Args:
        event_shape: `[size]`.
        step: bijector of vectors.
        transform: the step's `Transform`.
        num_layers: number of copies.
        mixing: bijector after each step; by default a reversal.
        memory: what the copies keep for the gradient, see `bijectors.Repeat`.
        **kwargs: `Flow` arguments.
    """

    _y_kinds = ("label", "vector")

    def __init__(
        self,
        event_shape,
        step,
        transform,
        num_layers,
        mixing=None,
        memory="stored",
        dtype=None,
        **kwargs,
    ):
        shape = checks.as_shape(event_shape, "event_shape")
        if len(shape) != 1:
            raise ValueError(f"`event_shape` must be [size]; got {list(shape)}")
        num_layers = checks.check_count(num_layers, "num_layers")
        mixing = Permutation("reverse", dtype=dtype) if mixing is None else mixing
        step = Chain([*norm_before(transform, dtype), step, mixing], dtype=dtype)
        parts = [Standardise(dtype=dtype), Repeat(step, num_layers, memory, dtype=dtype)]
        super().__init__(shape, Chain(parts, dtype=dtype), dtype=dtype, **kwargs)
        self.num_layers, self.memory = num_layers, memory

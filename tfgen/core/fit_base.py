"""Distributions of vectors, trained by maximum likelihood: what is fitted to codes."""

import contextlib

from tfgen.bijectors.stacks import vector_couplings
from tfgen.bijectors.transforms import vector_transform
from tfgen.core.model import GenerativeModel
from tfgen.distributions import Transformed
from tfgen.utils.layers import build_once


class BaseModel(GenerativeModel):
    """Model of vectors whose density is a `tfgen.distributions.Base`.

    Args:
        event_shape: `[size]`.
        base: the distribution, whose weights are trained.
        num_init_batches: minibatches that data-dependent weights are set from, as of `Flow`.
        **kwargs: `GenerativeModel` arguments.
    """

    likelihood = "exact"
    _latents_from = "base"

    def __init__(self, event_shape, base, num_init_batches=None, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.base, self.num_init_batches = base, num_init_batches

    @property
    def _is_unbounded(self):
        # Of codes there are probabilities.
        return not hasattr(self.base, "num_categories")

    def _build_parts(self):
        build_once(self.base, (None, *self.event_shape))

    def _log_weight(self, x, condition, noise):
        return self.base.log_prob(x)

    def _initialise(self, parts):
        for x, _, _ in parts:
            self.base.adapt(x)

    def _sample_noise(self, seed, start, num_rows):
        return self.base.noise(seed, start, num_rows)

    def _generate(self, noise, condition, temperature):
        return self.base.sample(noise, None, temperature)


def fit_flow(z, flow=None, dtype=None, **arguments):
    """Trains a flow on codes; returns its distribution.

    Args:
        z: codes, `[n, size]`.
        flow: model with `to_base`, as `tfgen.Flow` has it, compiled or not; by default eight affine
            couplings, as of `tfgen.RealNVP`.
        dtype: dtype of the default flow.
        **arguments: of `fit`; by default 20 epochs of 100 steps or more, with batches of 256.

    Returns:
        A `tfgen.distributions.Transformed`.

    Raises:
        ValueError: the flow is of other events than the codes, or conditional.
    """
    size = z.shape[1:]
    if flow is None:
        bijector = vector_couplings(8, (256, 256), vector_transform("affine"), dtype=dtype)
        base = Transformed(bijector, dtype=dtype)
        flow = BaseModel(size, base, dtype=dtype)
    else:
        base = None
        # Told below, with the sizes that were wanted.
        with contextlib.suppress(ValueError):
            base = flow.to_base()
        if base is None or flow.event_shape != size:
            raise ValueError(
                f"`kind` must be an unconditional flow of real events {list(size)}; got a "
                f"{type(flow).__name__} of {flow.data_kind} events {list(flow.event_shape)}"
            )
    _fit(flow, z, arguments)
    return base


def train_base(z, base, dtype=None, **arguments):
    """Trains a distribution on codes; returns it.

    Args:
        z: codes, `[n, size]`.
        base: a `tfgen.distributions.Base`.
        dtype: its dtype.
        **arguments: of `fit`; by default 20 epochs of 100 steps or more, with batches of 256.
    """
    _fit(BaseModel(z.shape[1:], base, dtype=dtype), z, arguments)
    return base


def _fit(model, z, arguments):
    if not model.compiled:
        model.compile()
    steps = max(100, -(-len(z) // arguments.get("batch_size", 256)))
    model.fit(z, **{"epochs": 20, "batch_size": 256, "steps_per_epoch": steps, **arguments})

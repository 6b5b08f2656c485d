"""RealNVP."""

import keras
import numpy as np

from tfgen.bijectors import Chain
from tfgen.bijectors import Flatten
from tfgen.bijectors import Split
from tfgen.bijectors import Squeeze
from tfgen.bijectors.stacks import image_couplings
from tfgen.bijectors.stacks import vector_couplings
from tfgen.bijectors.transforms import as_written
from tfgen.bijectors.transforms import get_transform
from tfgen.bijectors.transforms import serialize_transform
from tfgen.bijectors.transforms import vector_transform
from tfgen.models.flows.flow import Flow
from tfgen.networks import ResNet
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class RealNVP(Flow):
    """RealNVP (Dinh et al. 2017, "Density Estimation Using Real NVP", arXiv:1605.08803), for
    vectors and images.

    Vectors: standardised, then `num_layers` couplings that keep one half and the other in turn.
    Images, as in the paper's section 3.6 and 4.1: at each level three
    checkerboard couplings, squeeze, three channel-wise couplings, split; four
    checkerboard couplings at the last level; residual networks; pixels through
    a logit. ActNorm stands in the place of the paper's batch normalisation: the
    density of an example then does not depend on the others in its batch. For vectors the
    transforms that rescale (`"affine"`, `"spline"`) need none.

    Args:
        event_shape: `[size]`, or `[height, width, channels]`.
        num_layers: couplings, for vectors.
        hidden_units: widths of the networks, for vectors.
        transform: `"affine"` (`bijectors.ExpAffine`, the paper's `exp(s) x + t`), `"additive"`,
            `"sigmoid_affine"`, `"spline"` or a `Transform`.
        data_kind: `"real"` or `"uint8"`.
        condition_shape: `[features]`, of images also `[height, width, channels]`, or None.
        base: distribution of the latents, as for `Flow`.
        num_levels: levels, for images; sides must be divisible by
            2^(num_levels - 1).
        filters: channels of the residual networks at the first level, for
            images; each level doubles them.
        num_blocks: residual blocks of a network, for images.
        num_bits: bits of a value that the model sees of uint8 data.
        pixels: how uint8 data come to the bijector, `"logit"` or `"centre"`.
        num_init_batches: minibatches of the data-dependent initialisation in `fit`, as of `Flow`.
        memory: what the couplings keep for the gradient, for vectors, see `bijectors.Repeat`.
        **kwargs: `Flow` arguments: `num_classes`, `columns`, `dtype`, `name`.

    Raises:
        ValueError: events of other shapes, sides that cannot be halved so often, or another
            `transform` or `memory`.

    >>> import numpy as np, tfgen
    >>> model = tfgen.RealNVP(2, num_layers=4, hidden_units=(32,))
    >>> model.compile()
    >>> history = model.fit(np.random.normal(size=(64, 2)), verbose=0)
    >>> model.log_prob(np.zeros((3, 2))).shape
    TensorShape([3])
    """

    def __init__(
        self,
        event_shape,
        num_layers=8,
        hidden_units=(256, 256),
        transform="affine",
        data_kind="real",
        condition_shape=None,
        base=None,
        num_levels=2,
        filters=64,
        num_blocks=4,
        num_bits=8,
        pixels="logit",
        num_init_batches=None,
        memory="stored",
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        shape = checks.as_shape(event_shape, "event_shape")
        hidden_units = checks.as_shape(hidden_units, "hidden_units")
        num_layers = checks.check_count(num_layers, "num_layers")
        num_levels = checks.check_count(num_levels, "num_levels")
        filters = checks.check_count(filters, "filters")
        num_blocks = checks.check_count(num_blocks, "num_blocks")
        if len(shape) == 1:
            transform = vector_transform(transform)
            bijector = vector_couplings(num_layers, hidden_units, transform, memory, dtype)
        elif len(shape) == 3:
            sides = 2 ** (num_levels - 1)
            if shape[0] % sides or shape[1] % sides:
                raise ValueError(
                    f"`event_shape` must have sides divisible by 2^(num_levels - 1) = {sides}; "
                    f"got {list(shape)}"
                )
            if memory != "stored":
                raise ValueError(
                    '`memory` must be "stored" for images, whose couplings differ from level to '
                    f"level; got {memory!r}"
                )
            transform = get_transform(transform)
            bijector = _image_bijector(num_levels, filters, num_blocks, transform, dtype)
        else:
            raise ValueError(
                f"`event_shape` must be [size] or [height, width, channels]; got {list(shape)}"
            )
        super().__init__(
            shape,
            bijector,
            base=base,
            data_kind=data_kind,
            pixels=pixels,
            condition_shape=condition_shape,
            num_bits=num_bits,
            num_init_batches=num_init_batches,
            dtype=dtype,
            **kwargs,
        )
        self.num_layers, self.hidden_units = num_layers, hidden_units
        self.num_levels, self.filters, self.num_blocks = num_levels, filters, num_blocks
        self.transform, self.memory = transform, memory

    def get_config(self):
        # A name may mean another transform in another version.
        read = vector_transform if len(self.event_shape) == 1 else get_transform
        return {**super().get_config(), "transform": serialize_transform(self.transform, read)}

    @classmethod
    def from_config(cls, config):
        return super().from_config(as_written(config) if _is_image(config) else config)


def _is_image(config):
    return np.ndim(config["event_shape"]) and len(config["event_shape"]) == 3


def _image_bijector(num_levels, filters, num_blocks, transform, dtype):
    def couplings(mask, count, width):
        return image_couplings(
            mask, count, lambda: ResNet(width, num_blocks, dtype=dtype), transform, dtype
        )

    width = filters * 2 ** (num_levels - 1)
    parts = [*couplings("checkerboard", 4, width), Flatten(dtype=dtype)]
    for level in reversed(range(num_levels - 1)):
        width = filters * 2**level
        parts = [
            *couplings("checkerboard", 3, width),
            Squeeze(dtype=dtype),
            *couplings("channel", 3, 2 * width),
            # The paper's factored half goes to the base as it is.
            Split(Chain(parts, dtype=dtype), prior=None, dtype=dtype),
        ]
    return Chain(parts, dtype=dtype)

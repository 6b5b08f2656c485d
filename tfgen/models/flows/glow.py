"""Glow."""

import keras

from tfgen.bijectors import ActNorm
from tfgen.bijectors import Chain
from tfgen.bijectors import Coupling
from tfgen.bijectors import Elementwise
from tfgen.bijectors import Flatten
from tfgen.bijectors import InvertibleConv
from tfgen.bijectors import Repeat
from tfgen.bijectors import Split
from tfgen.bijectors import Squeeze
from tfgen.bijectors.transforms import as_prior
from tfgen.bijectors.transforms import as_written
from tfgen.bijectors.transforms import get_transform
from tfgen.bijectors.transforms import serialize_transform
from tfgen.models.flows.flow import Flow
from tfgen.networks import ConvNet
from tfgen.optimizers import WarmUpAdam
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class GlowStep(Chain):
    """ActNorm, invertible 1x1 convolution, coupling (Kingma and Dhariwal 2018, arXiv:1807.03039,
    Figure 2a).

    Args:
        filters: hidden channels of the coupling's network.
        coupling: the coupling's `transform`.
        **kwargs: `Bijector` arguments.

    Shapes: events `[height, width, channels]` on both sides.

    >>> import numpy as np, tfgen
    >>> step = tfgen.models.GlowStep(filters=8)
    >>> step.inverse_and_log_det(np.zeros((2, 4, 4, 6), "float32"))[1].shape
    TensorShape([2])
    """

    def __init__(self, filters=512, coupling="sigmoid_affine", dtype=None, **kwargs):
        coupling = get_transform(coupling, "coupling")
        network = ConvNet(filters, dtype=dtype)
        filters = network.filters
        parts = [
            ActNorm(dtype=dtype),
            InvertibleConv(dtype=dtype),
            Coupling(coupling, "channel", network=network, dtype=dtype),
        ]
        super().__init__(parts, dtype=dtype, **kwargs)
        self.filters = filters
        self.coupling = coupling

    _saved_apart = ("coupling",)

    def get_config(self):
        return {**super().get_config(), "coupling": serialize_transform(self.coupling)}

    @classmethod
    def from_config(cls, config):
        return super().from_config(as_written(config, "coupling"))


@keras.saving.register_keras_serializable(package="tfgen")
class Glow(Flow):
    """Glow (Kingma and Dhariwal 2018, "Glow: Generative Flow with Invertible 1x1 Convolutions",
    arXiv:1807.03039): L levels of squeeze, K steps and split.

    `compile()` without an optimizer takes Adam with a warm-up (`optimizers.WarmUpAdam`).

    With `log_det_penalty` and `num_init_batches` it is the stabilised Glow of
    Tatsunami and Taki.

    Args:
        event_shape: `[height, width, channels]`, sides divisible by 2^num_levels.
        num_levels: L.
        num_steps: K.
        filters: hidden channels of the couplings' networks.
        coupling: `"sigmoid_affine"` (the gate of the paper's code, which never amplifies: stable at
            any depth), `"affine"` (`bijectors.ExpAffine`, the paper's `exp(s) x + t`, better where
            it is stable: few steps, or a warm-up), `"additive"` or a `Transform`.
        prior: transform of the learned priors, of the halves that are split off and of the top:
            as `bijectors.Split` takes it.
        log_det_penalty: weight of the penalty of Tatsunami and Taki, eq. 2; the
            paper uses 1e-5.
        num_bits: bits of a value that the model sees of uint8 data.
        num_classes: number of labels of a class-conditional model; labels reach
            every coupling and the top's prior.
        learned_top: whether the top's prior has learned location and scale.
        num_init_batches: minibatches that ActNorm is initialised from (M of
            Algorithm 1; the paper uses 256).
        data_kind: `"uint8"` or `"real"`.
        memory: what the steps keep for the gradient, see `bijectors.Repeat`: `"stored"`, the
            fastest; `"recompute"`; or `"reversible"`, with which memory does not grow with K.
        **kwargs: `Flow` arguments: `condition_shape`, `base`, `pixels`, `dtype`, `name`.

    Raises:
        ValueError: sides that 2^num_levels does not divide, or another `coupling`, `prior` or
            `memory`.

    >>> import numpy as np, tfgen
    >>> glow = tfgen.Glow((8, 8, 1), num_levels=2, num_steps=2, filters=8)
    >>> glow.compile()
    >>> x = np.random.default_rng(0).integers(256, size=(16, 8, 8, 1))
    >>> history = glow.fit(x, verbose=0)
    >>> glow.sample(4).shape, glow.bits_per_dim(x).shape
    (TensorShape([4, 8, 8, 1]), TensorShape([16]))
    """

    _kinds = ("real", "uint8")

    def __init__(
        self,
        event_shape,
        num_levels=3,
        num_steps=32,
        filters=512,
        coupling="sigmoid_affine",
        log_det_penalty=0.0,
        num_bits=8,
        num_classes=None,
        learned_top=True,
        num_init_batches=1,
        data_kind="uint8",
        prior="affine",
        memory="stored",
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        prior = as_prior(prior)
        shape = checks.as_shape(event_shape, "event_shape")
        num_levels = checks.check_count(num_levels, "num_levels")
        num_steps = checks.check_count(num_steps, "num_steps")
        filters = checks.check_count(filters, "filters")
        learned_top = checks.check_bool(learned_top, "learned_top")
        coupling = get_transform(coupling, "coupling")
        if len(shape) != 3 or shape[0] % 2**num_levels or shape[1] % 2**num_levels:
            raise ValueError(
                "`event_shape` must be [height, width, channels] with sides divisible by "
                f"2^num_levels = {2**num_levels}; got {list(shape)}"
            )
        bijector = Flatten(dtype=dtype)
        for level in reversed(range(num_levels)):
            step = GlowStep(filters, coupling, dtype=dtype)
            parts = [Squeeze(dtype=dtype), Repeat(step, num_steps, memory, dtype=dtype)]
            if level < num_levels - 1:
                bijector = Chain([*parts, Split(bijector, prior, dtype=dtype)], dtype=dtype)
            else:
                top = [Elementwise(prior, dtype=dtype)] if learned_top else []
                bijector = Chain([*parts, *top, bijector], dtype=dtype)
        super().__init__(
            shape,
            bijector,
            data_kind=data_kind,
            num_bits=num_bits,
            log_det_penalty=log_det_penalty,
            num_classes=num_classes,
            num_init_batches=num_init_batches,
            dtype=dtype,
            **kwargs,
        )
        self.num_levels, self.num_steps, self.filters = num_levels, num_steps, filters
        self.coupling, self.learned_top, self.prior = coupling, learned_top, prior
        self.memory = memory

    def default_optimizer(self):
        """Adam at 1e-3 after a warm-up of ten steps for each coupling.

        The first steps of Adam move all weights by the learning rate at once, and the changes add
        up from coupling to coupling: without a warm-up, the bits per dimension of a deep Glow rise
        to thousands before they fall.

        >>> import tfgen
        >>> model = tfgen.Glow((8, 8, 1), num_levels=2, num_steps=4, filters=4)
        >>> model.default_optimizer().warm_up_steps
        80
        """
        couplings = self.num_levels * self.num_steps
        return WarmUpAdam(1e-3, warm_up_steps=10 * couplings)

    @property
    def num_top_latents(self):
        """Number of latents of the top level, which are the last ones.

        >>> import tfgen
        >>> tfgen.Glow((8, 8, 1), num_levels=2, num_steps=1, filters=4).num_top_latents
        32
        """
        return self.num_dims >> (self.num_levels - 1)

    def get_config(self):
        # A name may mean another transform in another version.
        return {
            **super().get_config(),
            "coupling": serialize_transform(self.coupling),
            "prior": serialize_transform(self.prior, as_prior),
        }

    @classmethod
    def from_config(cls, config):
        # Where there is no word of the prior it was a gate.
        config = {"prior": "sigmoid_affine", **as_written(config, "coupling")}
        return super().from_config(config)

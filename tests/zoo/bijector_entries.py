"""The registry of bijectors."""

import dataclasses
import functools
import itertools
from collections.abc import Callable

import tfgen
from tfgen import bijectors as tfg
from tfgen.models import GlowStep
from tfgen.models.flows.vector_flow import VectorFlow
from tfgen.networks import MADE
from tfgen.networks import MLP
from tfgen.networks import ConvNet

from .helpers import SinhArcsinh


@dataclasses.dataclass(frozen=True)
class BijectorEntry:
    """A small bijector.

    Args:
        build: constructor, of `dtype`.
        shape: shape of an event on the data side.
        condition: size or shape of the condition, None for none.
        high: data are uniform in [0, high) instead of standard normal.
    """

    build: Callable
    shape: tuple
    condition: int | tuple | None = None
    high: float | None = None


def coupling(*args, image=False, dtype=None, **kwargs):
    network = ConvNet(8, dtype=dtype) if image else MLP((8,), dtype=dtype)
    return tfg.Coupling(*args, network=network, dtype=dtype, **kwargs)


def autoregressive(transform="affine", num_params=2, dtype=None, **kwargs):
    network = MADE(num_params, (8, 8), dtype=dtype, **kwargs)
    return tfg.Autoregressive(transform, network, dtype=dtype)


def to_line(shares=False, dtype=None):
    """Bounds of each kind, or codes of known shares alone."""
    bounds = [(None, None), (-10.0, None), (None, 9.0), (-9.0, 11.0)]
    columns = [
        {"name": f"{low}..{high}", "kind": "number", "low": low, "high": high}
        for low, high in bounds
    ]
    if shares:
        columns = [
            {"name": "codes", "kind": "integer", "low": -8.0, "high": 8.0, "probs": [1 / 17] * 17},
            {"name": "few", "kind": "integer", "low": -6.0, "high": 5.0}
            | {"probs": [0.01, *[0.09] * 11]},
        ]
    return tfg.ToLine(tfgen.data.Columns(columns), dtype=dtype)


def inverted(build, *args, **kwargs):
    return lambda dtype=None: tfg.Invert(build(*args, dtype=dtype, **kwargs), dtype=dtype)


def chain(dtype=None):
    parts = [tfg.ActNorm(dtype=dtype), coupling(dtype=dtype), tfg.Permutation(dtype=dtype)]
    return tfg.Chain([*parts, coupling(SinhArcsinh(), flip=True, dtype=dtype)], dtype=dtype)


def repeat(times=3, dtype=None):
    return tfg.Repeat(chain(dtype), times, dtype=dtype)


def glow_step(dtype=None, **arguments):
    return GlowStep(filters=8, dtype=dtype, **arguments)


def split(dtype=None, **arguments):
    rest = tfg.Chain([coupling(image=True, dtype=dtype), tfg.Flatten(dtype=dtype)], dtype=dtype)
    return tfg.Split(rest, dtype=dtype, **arguments)


def multi_scale(dtype=None):
    """The parts of a Glow of two levels, as a chain."""
    top = [tfg.Repeat(glow_step(dtype), 2, dtype=dtype), tfg.Elementwise(dtype=dtype)]
    top = tfg.Chain([tfg.Squeeze(dtype=dtype), *top, tfg.Flatten(dtype=dtype)], dtype=dtype)
    parts = [tfg.Centre(8, dtype=dtype), tfg.Squeeze(dtype=dtype), glow_step(dtype)]
    return tfg.Chain([*parts, tfg.Split(top, dtype=dtype)], dtype=dtype)


def of(cls, *args, **kwargs):
    return functools.partial(cls, *args, **kwargs)


IMAGE = (4, 4, 3)

BIJECTORS = {
    "actnorm": BijectorEntry(of(tfg.ActNorm), (3,)),
    "standardise": BijectorEntry(of(tfg.Standardise), (3,)),
    "standardise_image": BijectorEntry(of(tfg.Standardise), IMAGE),
    "actnorm_image": BijectorEntry(of(tfg.ActNorm, epsilon=1e-3), IMAGE),
    "additive_coupling": BijectorEntry(of(coupling, "additive"), (4,)),
    "own_transform_coupling": BijectorEntry(of(coupling, SinhArcsinh()), (4,)),
    "log_scale_coupling": BijectorEntry(of(coupling, tfg.ExpAffine()), (4,)),
    "bounded_coupling": BijectorEntry(of(coupling, tfg.SigmoidAffine(floor=0.5)), (4,)),
    "default_network": BijectorEntry(of(tfg.Coupling), (3,)),
    "default_image_network": BijectorEntry(of(tfg.Coupling), IMAGE),
    "spline_coupling": BijectorEntry(of(coupling, "spline"), (4,)),
    "spline_image_coupling": BijectorEntry(of(coupling, tfg.Spline(3, 2.0), image=True), IMAGE),
    "spline_two_bins": BijectorEntry(of(coupling, tfg.Spline(2)), (3,), condition=1),
    "elementwise_spline": BijectorEntry(of(tfg.Elementwise, "spline"), (3,)),
    "conditional_coupling": BijectorEntry(of(coupling), (4,), condition=2),
    "conditional_single": BijectorEntry(of(coupling), (1,), condition=2),
    "conditional_image_coupling": BijectorEntry(of(coupling, image=True), IMAGE, condition=2),
    "image_condition_coupling": BijectorEntry(of(coupling, image=True), IMAGE, (4, 4, 2)),
    "large_image_condition": BijectorEntry(of(coupling, image=True), IMAGE, (8, 8, 1)),
    "invertible_conv": BijectorEntry(of(tfg.InvertibleConv), (4,)),
    "invertible_conv_reverse": BijectorEntry(of(tfg.InvertibleConv, "reverse"), (3,)),
    "invertible_conv_image": BijectorEntry(of(tfg.InvertibleConv), IMAGE),
    "reverse": BijectorEntry(of(tfg.Permutation), IMAGE),
    "random_permutation": BijectorEntry(of(tfg.Permutation, "random"), (5,)),
    "given_permutation": BijectorEntry(of(tfg.Permutation, [2, 0, 1]), IMAGE),
    "centre": BijectorEntry(of(tfg.Centre), IMAGE, high=256),
    "centre_five_bits": BijectorEntry(of(tfg.Centre, 5), (3,), high=32),
    "logit": BijectorEntry(of(tfg.Logit), IMAGE, high=256),
    "logit_unit": BijectorEntry(of(tfg.Logit, 0, alpha=0.1), (3,), high=1),
    "elementwise": BijectorEntry(of(tfg.Elementwise), (3,)),
    "elementwise_image": BijectorEntry(of(tfg.Elementwise, "additive"), IMAGE),
    "elementwise_condition": BijectorEntry(of(tfg.Elementwise), IMAGE, condition=2),
    "elementwise_image_condition": BijectorEntry(of(tfg.Elementwise), IMAGE, (4, 4, 1)),
    "elementwise_own": BijectorEntry(of(tfg.Elementwise, SinhArcsinh()), (3,), condition=1),
    "squeeze": BijectorEntry(of(tfg.Squeeze), IMAGE),
    "flatten": BijectorEntry(of(tfg.Flatten), IMAGE),
    "to_line": BijectorEntry(to_line, (4,)),
    "to_line_shares": BijectorEntry(functools.partial(to_line, True), (2,)),
    "split": BijectorEntry(of(split), IMAGE),
    "split_condition": BijectorEntry(of(split), IMAGE, condition=2),
    "split_without_prior": BijectorEntry(of(split, prior=None), IMAGE),
    "chain": BijectorEntry(of(chain), (3,)),
    "chain_condition": BijectorEntry(of(chain), (3,), condition=2),
    "invert": BijectorEntry(lambda dtype=None: tfg.Invert(chain(dtype), dtype=dtype), (4,)),
    "invert_squeeze": BijectorEntry(
        lambda dtype=None: tfg.Invert(tfg.Squeeze(dtype=dtype), dtype=dtype), (2, 2, 4)
    ),
    "repeat": BijectorEntry(of(repeat), (3,)),
    "repeat_condition": BijectorEntry(of(repeat), (3,), condition=2),
    "repeat_once": BijectorEntry(of(repeat, times=1), (2,)),
    "glow_step": BijectorEntry(of(glow_step), IMAGE),
    "glow_step_additive": BijectorEntry(of(glow_step, coupling="additive"), (2, 3, 4), condition=2),
    "multi_scale": BijectorEntry(of(multi_scale), IMAGE, high=256),
    "multi_scale_image_condition": BijectorEntry(of(multi_scale), IMAGE, (4, 4, 1), high=256),
    "multi_scale_condition": BijectorEntry(of(multi_scale), IMAGE, condition=2, high=256),
}

TRANSFORMS = {
    "additive": ("additive", 1),
    "affine": ("affine", 2),
    "gated": ("gated", 2),
    "log_scale": (tfg.ExpAffine(), 2),
    "spline": (tfg.Spline(num_bins=5, bound=3.0), 14),
    "own": (SinhArcsinh(), 2),
}
ORDERINGS = ("natural", "reverse", "random")
# Every transform both ways round, with and without a condition, of one dimension and of several.
for (name, transform), size, condition in itertools.product(
    TRANSFORMS.items(), (1, 2, 5), (None, 2)
):
    arguments = {"ordering": ORDERINGS[size % 3], "residual": size == 5}
    name = f"{name}_{size}{'_condition' * bool(condition)}"
    BIJECTORS[f"autoregressive_{name}"] = BijectorEntry(
        of(autoregressive, *transform, **arguments), (size,), condition
    )
    BIJECTORS[f"inverse_autoregressive_{name}"] = BijectorEntry(
        inverted(autoregressive, *transform, **arguments), (size,), condition
    )
BIJECTORS["autoregressive_64"] = BijectorEntry(of(autoregressive), (64,))
BIJECTORS["spline_coupling_64"] = BijectorEntry(of(coupling, "spline"), (64,))
BIJECTORS["autoregressive_default"] = BijectorEntry(of(tfg.Autoregressive), (3,))

# Every mask on even, odd and single sides.
VECTORS, IMAGES = ((1,), (4,), (5,)), ((1, 1, 1), (3, 5, 3), IMAGE)
MASKED = set()
MASKS = {"halves": VECTORS, "channel": IMAGES, "checkerboard": VECTORS + IMAGES}
for mask, flip in itertools.product(MASKS, (False, True)):
    for shape in MASKS[mask]:
        name = f"{mask}{'_flipped' * flip}_{'x'.join(map(str, shape))}"
        build = of(coupling, "affine", mask, flip, image=len(shape) == 3)
        BIJECTORS[name] = BijectorEntry(build, shape)
        MASKED.add(name)

# The checks of the others are slow ones. Quick are both ways round of each transform, one way of
# several dimensions and one with a condition (of two transforms all four); of each mask even sides,
# odd ones and a single one.
QUICK = {f"autoregressive_{name}_5" for name in TRANSFORMS}
QUICK |= {f"inverse_autoregressive_{name}_2_condition" for name in TRANSFORMS}
QUICK |= {f"autoregressive_{name}_2_condition" for name in ("affine", "spline")}
QUICK |= {f"inverse_autoregressive_{name}_5" for name in ("affine", "spline")}
QUICK |= {"autoregressive_default", "autoregressive_affine_1"}
QUICK |= {"halves_5", "halves_flipped_4", "halves_1", "channel_3x5x3", "channel_flipped_4x4x3"}
QUICK |= {"checkerboard_5", "checkerboard_flipped_4", "checkerboard_1x1x1", "checkerboard_3x5x3"}
QUICK |= {"checkerboard_flipped_4x4x3"}
SLOW_BIJECTORS = {name for name in BIJECTORS if "autoregressive" in name or name in MASKED} - QUICK
# Other sizes of entries that stand beside them, and parts of which others are made.
SLOW_BIJECTORS |= {
    *("standardise_image", "spline_two_bins", "conditional_single", "conditional_image_coupling"),
    *("image_condition_coupling", "invertible_conv_reverse", "elementwise_image", "split"),
    *("multi_scale", "multi_scale_image_condition", "repeat_once", "centre_five_bits"),
    "spline_coupling_64",
}

# Parts that other entries are made of, and the base classes.
ABSTRACT = {
    tfg.Bijector,
    tfg.Transform,
    tfgen.GenerativeModel,
    tfgen.models.EncoderDecoder,
    tfgen.models.DecoderModel,
    tfgen.models.latent.autoencoder.PointAutoencoder,
    VectorFlow,
    tfgen.distributions.Base,
    tfgen.distributions.OutputDistribution,
    tfgen.distributions.Observation,
    tfgen.distributions.Posterior,
}
NOT_A_MAP = {tfg.Dequantise, tfg.DequantiseColumns}

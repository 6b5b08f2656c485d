"""The flows of the registry."""

import numpy as np
import tensorflow_probability as tfp

import tfgen
from tfgen import bijectors as tfg
from tfgen.models import Flow
from tfgen.networks import MLP
from tfgen.utils import checks

from .entries import model
from .helpers import SinhArcsinh


def glow(shape=(4, 4, 1), num_levels=1, num_steps=2, **arguments):
    return tfgen.Glow(shape, num_levels=num_levels, num_steps=num_steps, filters=4, **arguments)


def realnvp(shape, num_layers=3, **arguments):
    return tfgen.RealNVP(shape, num_layers, hidden_units=(8,), **arguments)


def tfd_flow(dtype=None, **arguments):
    """A flow over a base in which not even the order of the dimensions may change."""
    real = checks.as_policy(dtype).variable_dtype
    triangle = np.array([[1.0, 0.0], [0.7, 0.5]], real)
    base = tfp.distributions.MultivariateNormalTriL(np.array([0.5, -1.0], real), triangle)
    return realnvp(2, base=base, dtype=dtype, **arguments)


def mixture_flow(dtype=None):
    base = tfgen.distributions.GaussianMixture(3, dtype=dtype)
    return realnvp(2, base=base, dtype=dtype)


def realnvp_images(shape, num_levels, **arguments):
    sizes = {"num_levels": num_levels, "filters": 4, "num_blocks": 1}
    return tfgen.RealNVP(shape, data_kind="uint8", **sizes, **arguments)


def autoregressive_flow(recipe, shape, **arguments):
    return recipe(shape, num_layers=2, hidden_units=(8, 8), **arguments)


def flow(dtype=None, transform="affine", **arguments):
    """A user's own chain: every kind of part that no recipe has."""
    parts = [
        tfg.ActNorm(dtype=dtype),
        tfg.Permutation([2, 0, 3, 1], dtype=dtype),
        tfg.Coupling(transform, "checkerboard", network=MLP((8,), dtype=dtype), dtype=dtype),
        tfg.InvertibleConv(dtype=dtype),
        tfg.Invert(tfg.Coupling(network=MLP((8,), dtype=dtype), dtype=dtype), dtype=dtype),
        tfg.Permutation("random", dtype=dtype),
        tfg.Elementwise(transform, dtype=dtype),
    ]
    return Flow((4,), tfg.Chain(parts, dtype=dtype), dtype=dtype, **arguments)


def table_flow(dtype=None):
    """Over a table with all kinds of columns, one of them given."""
    columns = tfgen.data.Columns(
        [
            {"name": "height", "kind": "number"},
            {"name": "income", "kind": "number", "low": 0.0},
            {"name": "loss", "kind": "number", "high": 3.0},
            {"name": "share", "kind": "number", "low": 0.0, "high": 1.0},
            {"name": "year", "kind": "integer", "origin": 2000.0},
            {"name": "visits", "kind": "integer", "low": 0.0, "missing": True, "scale": 2.0},
            {"name": "stars", "kind": "integer", "low": 1.0, "high": 3.0, "probs": [0.2, 0.3, 0.5]},
            {"name": "city", "kind": "category", "levels": ["a", "b"], "missing": True},
            {"name": "member", "kind": "boolean", "dtype": "bool", "levels": [False, True]},
            {"name": "seen", "kind": "date", "dtype": "datetime64[s]", "origin": "2020-01-01"},
            {"name": "side", "kind": "category", "levels": ["l", "r"], "role": "condition"},
            {"name": "land", "kind": "constant", "value": "here"},
        ]
    )
    sizes = {"num_layers": 2, "hidden_units": (8, 8), "num_bins": 4, "dtype": dtype}
    shapes = {"condition_shape": columns.condition_shape, "columns": columns}
    return tfgen.NSF(columns.event_shape, **shapes, **sizes)


PIXELS = {"likelihood": "bound", "terms": ("bpd",)}

FLOWS = {
    "glow": model(glow, num_levels=2, **PIXELS),
    "glow_additive": model(glow, coupling="additive", condition_shape=(2,), **PIXELS),
    "glow_classes": model(glow, num_classes=3, costly=True, **PIXELS),
    "glow_colour": model(glow, (2, 6, 3), num_bits=5, learned_top=False, **PIXELS),
    "glow_penalty": model(
        glow, log_det_penalty=1e-3, likelihood="bound", terms=("bpd", "log_det_penalty")
    ),
    "glow_real": model(glow, data_kind="real"),
    # Standardised by some of the data, or nothing would be left to learn.
    "realnvp_1": model(realnvp, 1, num_init_batches=1),
    "realnvp_2": model(realnvp, 2, num_layers=4, costly=True),
    "realnvp_3": model(realnvp, 3, num_layers=5),
    "realnvp_64": model(realnvp, 64, num_layers=2),
    "realnvp_condition": model(realnvp, 2, condition_shape=(3,), costly=True),
    "realnvp_labels": model(realnvp, 2, num_classes=2, transform="additive"),
    "realnvp_bits": model(realnvp, 2, data_kind="uint8", num_bits=1, **PIXELS),
    "realnvp_images": model(realnvp_images, (4, 4, 1), 2, num_classes=2, **PIXELS),
    "realnvp_odd_images": model(realnvp_images, (5, 3, 3), 1, **PIXELS),
    "realnvp_diagonal": model(realnvp, 2, base="diagonal_normal", costly=True),
    "glow_image_condition": model(
        glow, num_steps=1, condition_shape=(4, 4, 1), costly=True, **PIXELS
    ),
    "maf": model(autoregressive_flow, tfgen.MAF, 3, costly=True),
    "maf_1": model(autoregressive_flow, tfgen.MAF, 1, transform="spline"),
    "maf_labels": model(autoregressive_flow, tfgen.MAF, 2, num_classes=2, residual=True),
    "maf_pixels": model(autoregressive_flow, tfgen.MAF, 4, data_kind="uint8", **PIXELS),
    "iaf": model(autoregressive_flow, tfgen.IAF, 2, transform="gated"),
    "iaf_condition": model(autoregressive_flow, tfgen.IAF, 3, condition_shape=(2,)),
    "nsf": model(autoregressive_flow, tfgen.NSF, 2, num_bins=4),
    "nsf_condition": model(autoregressive_flow, tfgen.NSF, 3, condition_shape=(1,)),
    "nsf_autoregressive": model(
        autoregressive_flow, tfgen.NSF, 2, autoregressive=True, costly=True
    ),
    "nsf_table": model(table_flow, likelihood="bound"),
    "nsf_64": model(autoregressive_flow, tfgen.NSF, 64, num_bins=3),
    "flow": model(flow),
    "flow_own_transform": model(flow, transform=SinhArcsinh(), own_parts=True),
}

# What is not a location and a scale: the tests of bases and of densities run on them.
OTHER_BASES = {"realnvp_mixture": model(mixture_flow), "realnvp_tfd": model(tfd_flow)}

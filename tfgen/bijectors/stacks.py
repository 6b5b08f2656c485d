"""Stacks of couplings, which recipes, priors and observation models are made of."""

from tfgen.bijectors.actnorm import ActNorm
from tfgen.bijectors.actnorm import Standardise
from tfgen.bijectors.chain import Chain
from tfgen.bijectors.coupling import Coupling
from tfgen.bijectors.repeat import Repeat
from tfgen.bijectors.transforms import vector_transform
from tfgen.networks.conditioners import MLP


def norm_before(transform, dtype=None):
    """List of the `ActNorm` that a map of vectors with this transform needs: of one or none.

    Args:
        transform: `Transform`; one that rescales needs none.
        dtype: dtype policy.
    """
    return [] if getattr(transform, "rescales", False) else [ActNorm(dtype=dtype)]


def image_couplings(mask, count, network, transform="sigmoid_affine", dtype=None):
    """Couplings over images with an `ActNorm` before each, as in RealNVP.

    From Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, section 3.6, with
    ActNorm in the place of batch normalisation: the density of an image does not depend on its
    batch.

    Args:
        mask: `"checkerboard"` or `"channel"`.
        count: number of couplings, which keep the one part and the other in turn.
        network: function without arguments that makes a coupling's network.
        transform: as `Coupling` takes it.
        dtype: dtype policy.

    Returns:
        List of `2 * count` bijectors, the one nearest to the data first.

    Raises:
        ValueError: another `mask` or `transform`.

    >>> import tfgen
    >>> network = lambda: tfgen.networks.ResNet(8, num_blocks=1)
    >>> len(tfgen.bijectors.image_couplings("checkerboard", 3, network))
    6
    """
    parts = []
    for i in range(count):
        coupling = Coupling(transform, mask, flip=bool(i % 2), network=network(), dtype=dtype)
        parts += [ActNorm(dtype=dtype), coupling]
    return parts


def vector_couplings(
    num_layers=8, hidden_units=(256, 256), transform="exp_affine", memory="stored", dtype=None
):
    """Flow over vectors: `Standardise`, then couplings that keep one half and the other in turn.

    Four couplings and more are pairs in a `Repeat`. Each coupling whose transform does not rescale
    has an `ActNorm` before it.

    Args:
        num_layers: number of couplings.
        hidden_units: widths of their networks.
        transform: as `Coupling` takes it, but that `"affine"` is `"exp_affine"` and `"spline"` has
            `bound=3.0`.
        memory: what the pairs keep for the gradient, see `Repeat`.
        dtype: dtype policy.

    Returns:
        A `Chain`.

    Raises:
        ValueError: another `transform`, or `hidden_units` that are no positive numbers.

    >>> import numpy as np, tfgen
    >>> flow = tfgen.bijectors.vector_couplings(num_layers=4, hidden_units=(8,))
    >>> flow.inverse_and_log_det(np.zeros((2, 3), "float32"))[1].shape
    TensorShape([2])
    """
    transform = vector_transform(transform)

    def couplings(count):
        parts = []
        for i in range(count):
            network, flip = MLP(hidden_units, dtype=dtype), bool(i % 2)
            parts += norm_before(transform, dtype)
            parts.append(Coupling(transform, "halves", flip=flip, network=network, dtype=dtype))
        return Chain(parts, dtype=dtype)

    first = Standardise(dtype=dtype)
    if num_layers < 4:
        return Chain([first, couplings(num_layers)], dtype=dtype)
    parts = [first, Repeat(couplings(2), num_layers // 2, memory, dtype=dtype)]
    return Chain(parts + [couplings(1)] * (num_layers % 2), dtype=dtype)

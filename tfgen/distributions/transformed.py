"""Flows as priors and as bases: distributions of an invertible map of a base."""

import keras
import tensorflow_probability as tfp

from tfgen.bijectors import Autoregressive
from tfgen.bijectors import Bijector
from tfgen.bijectors import Chain
from tfgen.bijectors import Permutation
from tfgen.bijectors import Repeat
from tfgen.bijectors.transforms import ExpAffine
from tfgen.bijectors.transforms import as_prior
from tfgen.bijectors.transforms import get_transform
from tfgen.distributions.base import Base
from tfgen.distributions.normal import StandardNormal
from tfgen.networks import MADE
from tfgen.utils import checks
from tfgen.utils.layers import build_once


@keras.saving.register_keras_serializable(package="tfgen")
class Transformed(Base):
    """Distribution of `z = f(e)`, `e ~ base`, over vectors.

    Args:
        bijector: tfgen bijector that keeps vectors in their shape, `z` to `e` in its data -> latent
            direction.
        base: `Base`, standard normal by default.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: on `build`, a bijector that changes the shape.

    >>> import numpy as np, tfgen
    >>> prior = tfgen.distributions.Transformed(tfgen.bijectors.ActNorm())
    >>> prior.build((None, 2))
    >>> [round(float(v), 4) for v in prior.log_prob(np.zeros((1, 2), "float32"))]
    [-1.8379]
    """

    def __init__(self, bijector, base=None, **kwargs):
        super().__init__(**kwargs)
        self.bijector = checks.check_instance(bijector, Bijector, "bijector")
        if base is None:
            base = StandardNormal(dtype=self.dtype_policy)
        self.base = checks.check_instance(base, Base, "base")
        self.allows_temperature = base.allows_temperature
        self.reparameterized = base.reparameterized

    def build(self, input_shape):
        super().build(input_shape)
        build_once(self.bijector, input_shape)
        if tuple(self.bijector.inverse_event_shape((self.size,))) != (self.size,):
            raise ValueError(f"`bijector` must keep vectors of {self.size} values in their shape")
        build_once(self.base, input_shape)

    def log_prob(self, z, condition=None):
        latents, log_det = self.bijector.inverse_and_log_det(z)
        return self.base.log_prob(latents, condition) + log_det

    def noise(self, seed, start, num_rows):
        return self.base.noise(seed, start, num_rows)

    def sample(self, noise, condition=None, temperature=1.0):
        latents = self.base.sample(noise, condition, temperature)
        return self.bijector.forward_and_log_det(latents)[0]

    def to_tfd(self, condition=None):
        return tfp.distributions.TransformedDistribution(
            self.base.to_tfd(condition), self.bijector.to_tfp()
        )

    def adapt(self, z):
        if self.bijector.adaptive:
            self.bijector.adapt([z])


def autoregressive_flow(num_steps=4, hidden_units=(640, 640), transform="additive", dtype=None):
    """Autoregressive flow over noise, as a prior.

    From Chen et al. 2017, "Variational Lossy Autoencoder", arXiv:1611.02731, section 3.2 and
    appendix A. Densities take one pass. The paper's flow only shifts (`"additive"`), which it found
    stabler.

    Args:
        num_steps: number of steps; each sees the dimensions in the reverse order of the one before.
        hidden_units: widths of their networks; the paper's MADE of 3 layers has two of 640.
        transform: as `bijectors.Autoregressive` takes it; the scales of `"affine"` lie within
            `exp(-10)` and `exp(10)` at least, over all steps.
        dtype: dtype policy.

    Returns:
        A `Transformed`.

    Raises:
        ValueError: sizes that are no positive numbers, or another `transform`.

    >>> import tfgen
    >>> prior = tfgen.distributions.autoregressive_flow(num_steps=2, hidden_units=(8,))
    >>> prior.build((None, 3))
    >>> prior.sample(prior.noise([0, 0], 0, 5)).shape
    TensorShape([5, 3])
    """
    kind = {"dtype": dtype}
    num_steps = checks.check_count(num_steps, "num_steps")
    if transform in ("affine", "exp_affine"):
        # A prior is of any scale, with few steps, too.
        transform = ExpAffine(max(ExpAffine().limit, as_prior("affine").limit / num_steps))
    transform = get_transform(transform)
    num_params = transform.num_params
    network = MADE(num_params, hidden_units, **kind)
    step = Chain([Autoregressive(transform, network, **kind), Permutation(**kind)], **kind)
    return Transformed(Repeat(step, num_steps, **kind), **kind)

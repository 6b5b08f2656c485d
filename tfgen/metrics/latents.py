"""Measures of the information that a model's latents carry."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgen.utils.replicas import sum_over_replicas


def active_units(means, threshold=0.01):
    """Counts the latents whose posterior means vary with the examples.

    A unit is active if the variance of its posterior mean is above the threshold (Burda et al.
    2016, section 5.2), which supposes a prior of scale 1.

    Args:
        means: posterior means of the examples, `[n, latent_dim]`, of this replica where there are
            several.
        threshold: the least variance of an active unit: float.

    Returns:
        Scalar tensor in the dtype of `means`.

    References:
        Burda et al., Importance Weighted Autoencoders, 2016, arXiv:1509.00519.

    >>> import tensorflow as tf, tfgen
    >>> float(tfgen.metrics.active_units(tf.constant([[0.0, 1.0], [0.0, -1.0]])))
    1.0
    """
    means = tf.convert_to_tensor(means)
    count = tf.cast(tf.shape(means)[0], means.dtype)
    total, count = sum_over_replicas([tf.reduce_sum(means, 0), count])
    squares = tf.reduce_sum((means - total / count) ** 2, 0)
    variance = sum_over_replicas(squares) / count
    return tf.reduce_sum(tf.cast(variance > threshold, means.dtype))


@dataclasses.dataclass(frozen=True)
class LatentUsage:
    """Result of `latent_usage`; `str` says it in a line.

    Attributes:
        kl: mean divergence of the posteriors from the prior, nats: float.
        reconstruction: mean of `-log p(x|z)`, nats: float.
        exchanged: mean of `-log p(x|z)` with the latents of another example, nats: float.
        active_units: number of latents that vary with the examples: int.
        latent_dim: number of latents: int.

    >>> import tfgen
    >>> usage = tfgen.metrics.LatentUsage(
    ...     kl=3.0, reconstruction=70.0, exchanged=90.0, active_units=2, latent_dim=4
    ... )
    >>> usage.gain, usage.in_use
    (20.0, True)
    >>> print(usage)  # doctest: +NORMALIZE_WHITESPACE
    latents: KL 3.00 nats (4.3 bits), 2 of 4 units active; reconstruction 70.00 nats,
    90.00 with another example's latents
    """

    kl: float
    reconstruction: float
    exchanged: float
    active_units: int
    latent_dim: int

    @property
    def gain(self):
        """Nats that the decoder gains from the right latents over another example's: float."""
        return self.exchanged - self.reconstruction

    @property
    def in_use(self):
        """True if there is an active unit, and a gain of more than a tenth of a nat."""
        return self.active_units > 0 and self.gain > 0.1

    def __str__(self):
        text = (
            f"latents: KL {self.kl:.2f} nats ({self.kl / np.log(2):.1f} bits), "
            f"{self.active_units} of {self.latent_dim} units active; reconstruction "
            f"{self.reconstruction:.2f} nats, {self.exchanged:.2f} with another example's latents"
        )
        if self.in_use:
            return text
        return (
            f"{text}: THE LATENTS ARE UNUSED (posterior collapse). Let some nats be free "
            "(`free_bits`), raise `beta` from 0 by a schedule, or see less in the decoder"
        )


def latent_usage(model, x, condition=None, seed=0, batch_size=256):
    """Measures how much a latent-variable model uses its latents.

    These are the divergence, the active units, and the reconstruction, also with the latents of
    the example before, which tells posterior collapse.

    Args:
        model: a `tfgen.VAE`, or another model with a posterior.
        x: at least two examples, `[n, *event_shape]`.
        condition: one condition for all examples or one for each, for a conditional model.
        seed: seed of the posterior's draws: int or two int32.
        batch_size: rows computed at a time.

    Returns:
        A `LatentUsage`.

    Raises:
        ValueError: a model without a posterior, or bad examples.

    >>> import numpy as np, tfgen
    >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
    >>> usage = tfgen.metrics.latent_usage(model, np.eye(4))
    >>> print(usage)  # doctest: +ELLIPSIS
    latents: KL ... nats (... bits), ... of 2 units active; reconstruction ... nats, ...
    """
    x = check_usable(model, x)
    common = {"condition": condition, "batch_size": batch_size}
    lengths = model.code_length(x, seed=seed, **common)
    kl, reconstruction = (np.log(2) * np.mean(lengths[part]) for part in ("latents", "data"))
    z = model.encode(x, sample=True, seed=seed, **common)
    others = model.log_likelihood(x, tf.roll(z, 1, 0).numpy(), seed=seed, **common)
    return LatentUsage(
        kl=float(kl),
        reconstruction=float(reconstruction),
        exchanged=float(-np.mean(others)),
        active_units=int(active_units(model.encode(x, **common))),
        latent_dim=model.latent_dim,
    )


def check_usable(model, x):
    """Checks a model and examples for `latent_usage`.

    Args:
        model: a `tfgen.GenerativeModel`.
        x: examples, `[n, *event_shape]`.

    Returns:
        The examples as an array.

    Raises:
        ValueError: a model without a posterior, or bad examples.
    """
    if not hasattr(model, "code_length"):
        raise ValueError(f"`model` must be a latent-variable model; got a {type(model).__name__}")
    x = model.data_spec.check_x(x)
    if len(x) < 2:
        raise ValueError(f"`x` must have at least two examples; got {len(x)}")
    return x

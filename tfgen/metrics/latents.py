"""What the latents of a model carry."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgen.utils.replicas import sum_over_replicas


def active_units(means, threshold=0.01):
    """How many latents carry something: those whose posterior means vary over the examples by more
    than the threshold (Burda et al. 2016, section 5.2), which supposes a prior of scale 1.

    Args:
        means: `[n, latent_dim]`.
        threshold: of the variance.

    Returns:
        A scalar.

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
    """What `latent_usage` found; its text says it in a line.

    Attributes:
        kl: divergence of posteriors from the prior, nats.
        reconstruction: `-log p(x|z)`, nats.
        exchanged: the same with the latents of another example, nats.
        active_units: how many latents vary with the examples.
        latent_dim: how many there are.
    """

    kl: float
    reconstruction: float
    exchanged: float
    active_units: int
    latent_dim: int

    @property
    def gain(self):
        """How many nats the decoder has of the right latents rather than another example's."""
        return self.exchanged - self.reconstruction

    @property
    def in_use(self):
        """Whether there is an active unit, and a gain of a tenth of a nat."""
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
    """Whether a latent-variable model uses its latents: divergence, active units and
    reconstruction, this also with the latents of the example before.

    Args:
        model: `tfgen.VAE`.
        x: at least two examples, `[n, *event_shape]`.
        condition: as in `log_prob`.
        seed: of the posterior's draws: integer or two integers.
        batch_size: rows computed at a time.

    Returns:
        A `LatentUsage`.

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
    """Examples that `latent_usage` takes, as an array.

    Raises:
        ValueError: a model without latents of its own, or bad examples.
    """
    if not hasattr(model, "code_length"):
        raise ValueError(f"`model` must be a latent-variable model; got a {type(model).__name__}")
    x = model._check_x(x)
    if len(x) < 2:
        raise ValueError(f"`x` must have at least two examples; got {len(x)}")
    return x

"""The evidence lower bound."""

import math

import tensorflow as tf

from tfgen.utils.replicas import sum_over_replicas


def elbo_terms(log_likelihood, log_prior, log_posterior, beta=1.0, free_bits=0.0):
    """The terms of the negative evidence lower bound (Kingma and Welling 2014, eq. 3).

    `loss = reconstruction + beta * max(kl, free_bits)`, where the maximum is of the batch's mean
    (Kingma et al. 2016, appendix C.8, with the latents as one group): as long as they take less,
    the latents cost nothing, and there is no gradient that would empty them.

    Args:
        log_likelihood: `log p(x|z)`, `[batch]`, nats, at `z` from the posterior.
        log_prior: `log p(z)`, `[batch]`.
        log_posterior: `log q(z|x)`, `[batch]`.
        beta: weight of the divergence (Higgins et al. 2017).
        free_bits: nats of the divergence, in the mean of an example, that are free.

    Returns:
        Dict of `loss`, `nll` (the bound, whatever `beta` and `free_bits`), `reconstruction`, `kl`
        in nats and `kl_bits`, each `[batch]`.

    >>> import tensorflow as tf, tfgen
    >>> ones = tf.ones([2])
    >>> terms = tfgen.objectives.elbo_terms(-5 * ones, -3 * ones, -1 * ones, free_bits=2.5)
    >>> float(terms["kl"][0]), float(terms["loss"][0]), float(terms["nll"][0])
    (2.0, 7.5, 7.0)
    """
    kl = log_posterior - log_prior
    # One draw's may be below 0: with nothing free there is no maximum.
    paid = _unless_free(kl, free_bits) if free_bits else kl
    return {
        "loss": tf.cast(beta, kl.dtype) * paid - log_likelihood,
        "nll": kl - log_likelihood,
        "reconstruction": -log_likelihood,
        "kl": kl,
        "kl_bits": kl / math.log(2),
    }


def _unless_free(kl, free_bits):
    """`kl`, `[batch]`, or the free bits where the batch's mean is below them."""
    # A maximum of the replicas' means is not the mean of their maxima.
    count = tf.cast(tf.shape(kl)[0], kl.dtype)
    total, count = sum_over_replicas([tf.reduce_sum(kl), count])
    free = tf.cast(free_bits, kl.dtype)
    return tf.where(total > free * count, kl, free)

"""The evidence lower bound, the objective of variational autoencoders."""

import math

import tensorflow as tf

from tfgen.utils.replicas import sum_over_replicas


def elbo_terms(log_likelihood, log_prior, log_posterior, beta=1.0, free_bits=0.0):
    """Computes the terms of the negative evidence lower bound (Kingma and Welling 2014, eq. 3).

    `loss = reconstruction + beta * max(kl, free_bits)`, where the maximum is of the batch's mean
    (Kingma et al. 2016, appendix C.8, with the latents as one group): as long as they take less,
    the latents cost nothing, and there is no gradient that would empty them.

    Args:
        log_likelihood: `log p(x|z)` at `z` drawn from the posterior, `[batch]`, nats.
        log_prior: `log p(z)`, `[batch]`, nats.
        log_posterior: `log q(z|x)`, `[batch]`, nats.
        beta: weight of the divergence (Higgins et al. 2017): float or scalar tensor.
        free_bits: nats of the divergence, in the mean of an example, that are free: float or
            scalar tensor.

    Returns:
        Dict of tensors `[batch]`, all in nats but the last:

        - `loss`: the objective, with `beta` and `free_bits`;
        - `negative_elbo`: `reconstruction + kl`, whatever `beta` and `free_bits`; in the mean not
          below the negative log-likelihood;
        - `reconstruction`: `-log p(x|z)`;
        - `kl`: `log q(z|x) - log p(z)`, whose mean is the divergence of posterior from prior;
        - `kl_bits`: `kl` in bits.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114.
        Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow, 2016,
        arXiv:1606.04934.
        Higgins et al., beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
        Framework, ICLR 2017.

    >>> import tensorflow as tf, tfgen
    >>> ones = tf.ones([2])
    >>> terms = tfgen.objectives.elbo_terms(-5 * ones, -3 * ones, -1 * ones, free_bits=2.5)
    >>> float(terms["kl"][0]), float(terms["loss"][0]), float(terms["negative_elbo"][0])
    (2.0, 7.5, 7.0)
    """
    kl = log_posterior - log_prior
    # One draw's may be below 0: with nothing free there is no maximum.
    paid = _unless_free(kl, free_bits) if free_bits else kl
    return {
        "loss": tf.cast(beta, kl.dtype) * paid - log_likelihood,
        "negative_elbo": kl - log_likelihood,
        "reconstruction": -log_likelihood,
        "kl": kl,
        "kl_bits": kl / math.log(2),
    }


def _unless_free(kl, free_bits):
    """Returns `kl`, `[batch]`, or the free bits where the batch's mean is below them."""
    # A maximum of the replicas' means is not the mean of their maxima.
    count = tf.cast(tf.shape(kl)[0], kl.dtype)
    total, count = sum_over_replicas([tf.reduce_sum(kl), count])
    free = tf.cast(free_bits, kl.dtype)
    return tf.where(total > free * count, kl, free)

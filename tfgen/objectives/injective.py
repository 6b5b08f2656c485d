"""Objectives of the relaxed injective flow."""

import math

import tensorflow as tf

OBJECTIVES = ("log_frobenius", "frobenius")


def injective_flow_terms(
    log_prior,
    squared_error,
    squared_norms,
    squared_probes,
    latent_dim,
    objective="log_frobenius",
    mu=1.0,
    mu_in=1.0,
    eta=0.1,
    lambda_=1.0,
):
    """Computes the terms of the relaxed injective flow's objective (Kumar et al. 2019, eq. 8, 10).

    `loss = neg_log_prior + mu * squared_error + log_volume + mu_in * injectivity`, where
    `log_volume` is above the log-volume `ln det(J^T J) / 2` of the generator's Jacobian `J` in the
    mean of the probes `v`; with `m = max(|J v|^2, eta^2 |v|^2)` in the mean of the probes it is

    - `d/2 ln(m / d)` for `"log_frobenius"` (eq. 8, which leaves out the constant 1 / d),
    - `m / (2 lambda) + d/2 ln(lambda) - d/2` for `"frobenius"` (eq. 10, without the constants).

    `injectivity` is the mean of `min(|J v| / |v| - eta, 0)^2`.

    Args:
        log_prior: `log p(z)` at the code `z = h(x)`, `[batch]`, nats.
        squared_error: `|x - g(z)|^2`, `[batch]`.
        squared_norms: `|J v|^2`, `[probes, batch]`.
        squared_probes: `|v|^2`, `[probes, batch]`.
        latent_dim: the number of latents `d`: int.
        objective: `"log_frobenius"` or `"frobenius"`.
        mu: weight of the squared error: float.
        mu_in: weight of `injectivity`: float.
        eta: the least singular value of `J` that costs nothing: float.
        lambda_: the upper bound's own parameter in eq. 10: positive float.

    Returns:
        Dict of `loss`, `squared_error`, `neg_log_prior` (nats), `log_volume` (nats) and
        `injectivity`, each `[batch]`.

    References:
        Kumar et al., Learning Generative Samplers using Relaxed Injective Flow, workshop INNF at
        ICML 2019, whose equations these are; as Regularized Autoencoders via Relaxed Injective
        Probability Flow, 2020, arXiv:2002.08927.

    >>> import tensorflow as tf, tfgen
    >>> ones = tf.ones([1, 2])
    >>> terms = tfgen.objectives.injective_flow_terms(
    ...     -ones[0], ones[0], 0.0 * ones, ones, latent_dim=1, eta=0.5, mu=3.0, mu_in=2.0
    ... )
    >>> {name: round(float(value[0]), 4) for name, value in terms.items()}  # doctest: +ELLIPSIS
    {'loss': 3.8069, 'squared_error': 1.0, ... 'log_volume': -0.6931, 'injectivity': 0.25}
    """
    stretch = tf.reduce_mean(tf.maximum(squared_norms, eta**2 * squared_probes), 0)
    if objective == "log_frobenius":
        log_volume = latent_dim / 2 * tf.math.log(stretch / latent_dim)
    else:
        log_volume = stretch / (2 * lambda_) + latent_dim / 2 * (math.log(lambda_) - 1)
    # The root's gradient at 0 is not finite.
    ratio = tf.sqrt(tf.maximum(squared_norms / squared_probes, 1e-12))
    injectivity = tf.reduce_mean(tf.minimum(ratio - eta, 0.0) ** 2, 0)
    return {
        "loss": mu * squared_error - log_prior + log_volume + mu_in * injectivity,
        "squared_error": squared_error,
        "neg_log_prior": -log_prior,
        "log_volume": log_volume,
        "injectivity": injectivity,
    }

"""Likelihoods in units that compare across data sets."""

import math


def bits_per_dim(log_prob, num_dims):
    """Converts a log-likelihood to bits per dimension, `-log_prob / (num_dims ln 2)`.

    Args:
        log_prob: Log-probability of whole examples in nats: a float, array or tensor.
        num_dims: Number of values in one example (height * width * channels): positive int.

    Returns:
        A float, array or tensor of the shape of `log_prob`. Lower is better; 8 is a uniform guess
        over 256 grey levels.

    Raises:
        ValueError: `num_dims` is not positive.

    >>> import numpy as np
    >>> bits_per_dim(np.array([-np.log(256.0) * 10]), num_dims=10)
    array([8.])
    """
    if num_dims < 1:
        raise ValueError(f"num_dims: expected a positive number, got {num_dims!r}")
    return -log_prob / (num_dims * math.log(2.0))

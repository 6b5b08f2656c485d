"""Annealed importance sampling: estimates of partition functions, with their intervals."""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.random import as_seed
from tfgen.utils.random import fold_in

# Shares of the temperatures in three stretches, after Salakhutdinov and Murray 2008, section 4:
# 500 in [0, 0.5], 4,000 in [0.5, 0.9], 10,000 in [0.9, 1].
_STRETCHES = ((0.0, 0.5, 500), (0.5, 0.9, 4000), (0.9, 1.0, 10000))
# Of the chains: with fewer effective ones an estimate rests on a handful.
_FEW = 0.1
_START, _STEPS = 0, 1


@dataclasses.dataclass(frozen=True)
class AnnealingPath:
    """Distributions from one that is known, at `beta` 0, to the one in question, at 1.

    States are tensors `[n, ...]`, or nested tuples of such.

    Args:
        draw: function of `(seed, start, num_rows)` that gives states of `beta` 0.
        log_density: function of `(states, beta)` that gives `[n]`, up to a constant: its integral
            at `beta` 1 is the partition function.
        step: function of `(states, beta, seed, start)` that gives the next states of chains that
            leave the distribution of `beta` as it is.
        log_partition: the logarithm of the integral at `beta` 0.

    Each `seed` is an int32 tensor `[2]` and `start` the number of the first row, as of
    `tfgen.utils.random`; `beta` is a scalar tensor.

    >>> import tensorflow as tf, tfgen
    >>> path = tfgen.RBM(6, num_hidden=4).annealing_path()
    >>> states = path.draw(tf.constant([0, 1]), 0, 5)
    >>> path.log_density(states, 0.5).shape
    TensorShape([5])
    """

    draw: Callable
    log_density: Callable
    step: Callable
    log_partition: float | tf.Tensor


@dataclasses.dataclass(frozen=True)
class Annealed:
    """Estimate of the logarithm of a partition function, in nats.

    Attributes:
        log_partition: the estimate of the chains from `beta` 0 to 1, whose mean weight is without
            bias: on average it lies low.
        low: its lower end, three standard errors of the mean weight below; -inf where these are
            larger than the mean.
        high: its upper end.
        reverse: the estimate of chains from `beta` 1 to 0, which on average lies high; None
            where it was not asked for.
        effective_sample_size: number of equal weights that would say as much.
        num_chains: number of chains.
        num_steps: number of steps of each.

    >>> import tfgen
    >>> found = tfgen.metrics.ais(tfgen.RBM(6, num_hidden=4), num_chains=20, num_steps=30)
    >>> found.low < found.log_partition < found.high, found.num_chains
    (True, 20)
    """

    log_partition: float
    low: float
    high: float
    reverse: float | None
    effective_sample_size: float
    num_chains: int
    num_steps: int


def ais(model, num_chains=100, num_steps=1000, reverse=True, seed=0, **of_path):
    """Estimates the logarithm of a partition function by annealed importance sampling.

    From Neal 2001, "Annealed Importance Sampling", arXiv:physics/9803008, and Salakhutdinov and
    Murray 2008, "On the Quantitative Analysis of Deep Belief Networks" (ICML), section 4. Chains
    go from a distribution whose partition function is known to the one in question; the mean of
    their weights estimates the ratio of the two. Chains that go back from the last states, after as
    many steps there as they have come, give the other side (Grosse et al. 2015, "Sandwiching the
    marginal likelihood using bidirectional Monte Carlo", arXiv:1511.02543).

    Args:
        model: an energy model, which has an `annealing_path`, or an `AnnealingPath`.
        num_chains: number of chains.
        num_steps: number of steps of each from `beta` 0 to 1.
        reverse: False to leave the way back out.
        seed: integer, or two integers.
        **of_path: arguments of the model's `annealing_path`.

    Returns:
        `Annealed`.

    Raises:
        ValueError: a number that is not positive; neither a model of energies nor a path.

    Warns:
        RuntimeWarning: less than a tenth of the chains count, or the two ways disagree by more than
            a nat and the interval's width: more steps help.

    >>> import tensorflow as tf
    >>> from tfgen.metrics import AnnealingPath, ais
    >>> from tfgen.utils.random import row_normal
    >>> def deviation(beta):  # of a normal distribution, from 2 to 1
    ...     return (0.25 + 0.75 * beta) ** -0.5
    >>> path = AnnealingPath(
    ...     lambda seed, start, n: 2 * row_normal(seed, start, n, ()),
    ...     lambda x, beta: -0.5 * (x / deviation(beta)) ** 2,
    ...     lambda x, beta, seed, start: deviation(beta) * row_normal(
    ...         seed, start, tf.shape(x)[0], ()
    ...     ),
    ...     log_partition=float(tf.math.log(2 * (2 * 3.141592653589793) ** 0.5)),
    ... )
    >>> found = ais(path, num_chains=200, num_steps=50)
    >>> found.low < 0.5 * float(tf.math.log(2 * 3.141592653589793)) < found.high
    True
    """
    num_chains = checks.check_count(num_chains, "num_chains")
    num_steps = checks.check_count(num_steps, "num_steps")
    path = model
    if not isinstance(model, AnnealingPath):
        if not hasattr(model, "annealing_path"):
            raise ValueError(
                "`model` must be a model of energies, as `tfgen.RBM`, or an `AnnealingPath`; got "
                f"{model!r}"
            )
        path = model.annealing_path(**of_path)
    betas = tf.constant(_betas(num_steps))
    forward, back = _compiled(path, num_chains, reverse)(betas, as_seed(seed))
    log_weights = forward.numpy()
    start, mean = float(path.log_partition), _log_mean(log_weights)
    weights = np.exp(log_weights - mean)
    error = 3 * weights.std(ddof=min(1, num_chains - 1)) / num_chains**0.5
    found = Annealed(
        log_partition=start + mean,
        low=start + mean + float(np.log1p(-error) if error < 1 else -np.inf),
        high=start + mean + float(np.log1p(error)),
        reverse=None if back is None else start - _log_mean(back.numpy()),
        effective_sample_size=float(weights.sum() ** 2 / (weights**2).sum()),
        num_chains=num_chains,
        num_steps=num_steps,
    )
    _warn(found)
    return found


def _betas(num_steps):
    """`num_steps` and one inverse temperatures from 0 to 1."""
    total = sum(count for *_, count in _STRETCHES)
    at = np.cumsum([0, *(count / total for *_, count in _STRETCHES)])
    ends = [0.0, *(end for _, end, _ in _STRETCHES)]
    return np.interp(np.linspace(0, 1, num_steps + 1), at, ends).astype("float32")


def _log_mean(log_weights):
    return float(np.logaddexp.reduce(log_weights) - np.log(len(log_weights)))


def _compiled(path, num_chains, reverse):
    """Function of `(betas, seed)` that gives the log-weights of both ways, `[num_chains]` each."""

    def anneal(states, betas, seed):
        num_steps = tf.shape(betas)[0] - 1

        def body(i, states, log_weight):
            now, then = (path.log_density(states, betas[i + k]) for k in (0, 1))
            # In float64: thousands of small terms.
            log_weight += tf.cast(then, tf.float64) - tf.cast(now, tf.float64)
            return i + 1, path.step(states, betas[i + 1], fold_in(seed, i), 0), log_weight

        zero = tf.zeros([num_chains], tf.float64)
        _, states, log_weight = tf.while_loop(
            lambda i, *_: i < num_steps, body, (tf.constant(0), states, zero)
        )
        return states, log_weight

    def run(betas, seed):
        states = path.draw(fold_in(seed, _START), 0, num_chains)
        seed = fold_in(seed, _STEPS)
        states, forward = anneal(states, betas, fold_in(seed, 0))
        if not reverse:
            return forward, None
        # Steps at `beta` 1, whose weights are 1, bring the states nearer to what they stand for.
        states, _ = anneal(states, tf.ones_like(betas), fold_in(seed, 1))
        return forward, anneal(states, betas[::-1], fold_in(seed, 2))[1]

    return tf.function(run, autograph=False)


def _warn(found):
    more = f"; take more than {found.num_steps} steps (`num_steps`)"
    if found.effective_sample_size < _FEW * found.num_chains:
        warnings.warn(
            f"annealed importance sampling has {found.effective_sample_size:.1f} effective chains "
            f"of {found.num_chains}: the estimate and its interval rest on these{more}",
            RuntimeWarning,
            stacklevel=3,
        )
    elif found.reverse is not None:
        gap = abs(found.reverse - found.log_partition)
        if gap > 1 + found.high - found.low:
            warnings.warn(
                f"annealed importance sampling has not converged: {found.log_partition:.2f} nats "
                f"forward and {found.reverse:.2f} in reverse{more}",
                RuntimeWarning,
                stacklevel=3,
            )

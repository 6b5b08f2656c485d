"""Checks of observation models."""

import numpy as np
import tensorflow as tf

from tfgen.distributions import Factorised
from tfgen.distributions import Observation
from tfgen.distributions import OutputDistribution
from tfgen.testing import copies
from tfgen.testing.errors import calling
from tfgen.testing.errors import in_graph
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.observation_draws import assert_examples
from tfgen.testing.observation_draws import assert_inputs
from tfgen.testing.observation_draws import assert_noise_is_of_rows
from tfgen.testing.observation_draws import assert_rsample
from tfgen.testing.observation_draws import assert_temperature
from tfgen.testing.observation_log_probs import assert_gradients
from tfgen.testing.observation_log_probs import assert_log_prob
from tfgen.testing.observation_log_probs import assert_probabilities
from tfgen.testing.tolerances import TOLERANCE
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.random import as_seed


def check_observation(
    observation,
    event_shape,
    features_shape=(8,),
    x=None,
    num_rows=4,
    seed=0,
    has_density=True,
):
    """Checks that an observation model scores and draws as it says it does.

    Looked at are shapes, dtypes and the range of what each method gives, noise by row, temperature
    0, gradients, rows that must not see each other, graphs, the configuration, and, where there are
    few states, that their probabilities sum to 1 and that draws follow them. All is done on copies
    made from the configuration, with weights shifted by noise.

    Args:
        observation: `tfgen.distributions.Observation`, or an `OutputDistribution`, which is
            factorised over the positions; it stays as it is.
        event_shape: shape of an example.
        features_shape: shape of a decoder's features, `[size]` or `[height, width, channels]`; None
            for an observation without a decoder.
        x: `[num_rows, *event_shape]` in the data's type; by default normal values, random bits or
            random integers.
        num_rows: rows of the default `x`.
        seed: of the points, of the noise and of the shifts of the weights.
        has_density: False for an observation without `log_prob`, such as one of a `Deterministic`.

    Raises:
        CheckError: the first thing that is off, by the name of the method.
        ValueError: no observation; an `x` that does not fit.

    >>> import keras
    >>> from tfgen import distributions
    >>> from tfgen.testing import check_observation
    >>> check_observation(distributions.Bernoulli(), event_shape=3)
    >>> @keras.saving.register_keras_serializable(package="example")
    ... class Wrong(distributions.Bernoulli):
    ...     def sample(self, noise, params, temperature=1.0):
    ...         return 2 * super().sample(noise, params, temperature)
    >>> check_observation(Wrong(), 3)
    Traceback (most recent call last):
    ...
    tfgen.testing.errors.CheckError: `Factorised(Wrong).sample`: draws of binary data must \
be 0 or 1; got 2
    """
    if isinstance(observation, OutputDistribution):
        element = copies.round_trip(observation)
        copies.require_arguments_kept(observation, element)
        observation = Factorised(element, dtype=observation.dtype_policy)
    checks.check_instance(observation, Observation, "observation")
    shape = checks.as_shape(event_shape, "event_shape")
    if features_shape is not None:
        features_shape = checks.as_shape(features_shape, "features_shape")
    rng, dtype = np.random.default_rng(seed), observation.variable_dtype
    if x is None:
        num_rows = checks.check_count(num_rows, "num_rows")
        x = _examples(observation, (num_rows, *shape), rng)
    x = checks.as_events(x, "x", shape, observation.data_kind, dtype)
    if len(x) < 2:
        raise ValueError(f"`x` must have two rows at least; got {len(x)}")
    features = None
    if features_shape is not None:
        features = rng.normal(size=(len(x), *features_shape)).astype(dtype)
    as_given = _copy(observation, shape, features_shape)
    moved = copies.perturb(_copy(as_given, shape, features_shape), seed)
    for layer in (as_given, moved):
        assert_all(Draws(layer, x, features, seed, has_density))
    assert_copies_are_equal(Draws(moved, x, features, seed, has_density))


def assert_all(draws):
    """Runs every check of a built observation that needs no other one; see `check_observation`.

    Args:
        draws: `Draws`.
    """
    assert_noise_is_of_rows(draws)
    assert_examples(draws)
    assert_inputs(draws)
    assert_temperature(draws)
    assert_rsample(draws)
    if draws.has_density:
        assert_log_prob(draws)
        assert_probabilities(draws)
    assert_gradients(draws)
    assert_graph_equals_eager(draws)


class Draws:
    """Built observation with examples, features and noise.

    Args:
        layer: built `Observation`.
        x: array `[n, *event_shape]` in the data's type.
        features: array `[n, ...]`, or None.
        seed: of the noise.
        has_density: whether there is a `log_prob`.
    """

    def __init__(self, layer, x, features=None, seed=0, has_density=True):
        self.layer, self.x, self.kind = layer, x, type(layer).__name__
        if type(layer) is Factorised:
            self.kind += f"({type(layer.element).__name__})"
        self.features = None if features is None else tf.constant(features)
        self.seed, self.has_density = as_seed(seed), has_density

    def noise(self, start=0, num_rows=None, seed=None):
        """The noise of `sample`; by default for all rows."""
        return self._noise(self.layer.noise, "noise", start, num_rows, seed)

    def log_prob_noise(self, start=0, num_rows=None, seed=None):
        """The noise of `log_prob`; by default for all rows."""
        return self._noise(self.layer.log_prob_noise, "log_prob_noise", start, num_rows, seed)

    def _noise(self, method, name, start, num_rows, seed):
        num_rows = len(self.x) if num_rows is None else num_rows
        seed = self.seed if seed is None else as_seed(seed)
        with calling(f"{self.kind}.{name}"):
            return method(seed, tf.constant(start, tf.int64), num_rows)

    def log_prob(self, x=None, features=None, noise=None):
        """Log-probabilities; by default of all rows."""
        if x is None:
            x, features, noise = self.x, self.features, self.log_prob_noise()
        hint = "Of an observation that only draws, give `has_density=False`."
        with calling(f"{self.kind}.log_prob", hint if self.has_density else ""):
            return self.layer.log_prob(tf.constant(x), features, noise)

    def sample(self, noise, temperature=1.0):
        """Draws for all rows."""
        with calling(f"{self.kind}.sample"):
            return self.layer.sample(noise, self.features, temperature)


# ------------------------------------------------------------------------------------ assertions


def assert_graph_equals_eager(draws):
    """In a graph for any number of rows `log_prob` and `sample` give what they give eagerly.

    Args:
        draws: `Draws`.
    """
    layer, tolerance = draws.layer, TOLERANCE[draws.layer.compute_dtype]
    start = tf.constant(0, tf.int64)

    def sample(num_rows, features=None):
        return layer.sample(layer.noise(draws.seed, start, num_rows), features)

    def log_prob(x, features=None):
        noise = layer.log_prob_noise(draws.seed, start, tf.shape(x)[0])
        return layer.log_prob(x, features, noise)

    calls = [("sample", sample, len(draws.x), draws.sample(draws.noise()))]
    if draws.has_density:
        calls.append(("log_prob", log_prob, draws.x, draws.log_prob()))
    for name, function, given, expected in calls:
        name = f"{draws.kind}.{name}"
        got = in_graph(name, function, given, draws.features)
        what = "a graph must give what eager execution gives"
        if expected.dtype.is_integer:
            # Rounding may carry a value over the edge of its bin.
            differ = float(np.mean(np.asarray(got) != np.asarray(expected)))
            require(differ < 0.1, f"`{name}`: {what}; {differ:.0%} of the values differ")
        else:
            require_close(name, what, got, expected, tolerance, tolerance)


def assert_copies_are_equal(draws):
    """A copy from the configuration with the same weights gives the same.

    Args:
        draws: `Draws`.
    """
    features_shape = None if draws.features is None else draws.features.shape[1:]
    copy = _copy(draws.layer, draws.x.shape[1:], features_shape)
    other = Draws(copy, draws.x, draws.features, draws.seed, draws.has_density)
    name, what = f"{draws.kind}.get_config", "a copy of the same configuration and weights must"
    noise, rounding = draws.noise(), 0.1 * TOLERANCE[draws.layer.compute_dtype]
    pairs = [("draw the same", other.sample(noise), draws.sample(noise))]
    if draws.has_density:
        pairs.append(("score the same", other.log_prob(), draws.log_prob()))
    for words, one, expected in pairs:
        require_close(name, f"{what} {words}", one, expected, rounding, rounding)


# --------------------------------------------------------------------------------------- helpers


def _examples(observation, shape, rng):
    if observation.data_kind == "real":
        return rng.normal(size=shape)
    return rng.integers(2 if observation.data_kind == "binary" else 256, size=shape)


def _copy(observation, event_shape, features_shape):
    """A built copy of an observation, with its weights if it has any."""

    def build(copy):
        with calling(f"{type(copy).__name__}.build"):
            shape = None if features_shape is None else (None, *features_shape)
            build_once(copy, shape, tuple(event_shape))

    return copies.copied(observation, build)

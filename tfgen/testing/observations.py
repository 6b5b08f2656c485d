"""Checks of observation models."""

import itertools

import numpy as np
import tensorflow as tf

from tfgen.distributions import Factorised
from tfgen.distributions import Observation
from tfgen.distributions import OutputDistribution
from tfgen.testing import copies
from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.errors import require_data
from tfgen.testing.errors import require_dtype
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_shape
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.random import as_seed

# So many states or fewer are all looked at.
MOST_STATES = 1024
# So hot that most values come from beyond the ends.
HOT = 30.0
# By the dtype that networks compute in.
TOLERANCE = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-4, "float64": 1e-9}


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
        with calling(f"{self.kind}.log_prob", self._hint("log_prob")):
            return self.layer.log_prob(tf.constant(x), features, noise)

    def sample(self, noise, temperature=1.0):
        """Draws for all rows."""
        with calling(f"{self.kind}.sample"):
            return self.layer.sample(noise, self.features, temperature)

    def _hint(self, name):
        if name == "log_prob" and self.has_density:
            return "Of an observation that only draws, give `has_density=False`."
        return ""


# ------------------------------------------------------------------------------------ assertions


def assert_noise_is_of_rows(draws):
    """Noise depends on the seed and on the row, not on the rows that are asked for beside it.

    Args:
        draws: `Draws`.
    """
    for name, noise in (("noise", draws.noise), ("log_prob_noise", draws.log_prob_noise)):
        name = f"{draws.kind}.{name}"
        if name.endswith("log_prob_noise"):
            require(
                draws.layer.dequantises == (noise() is not None),
                f"`{name}` must give noise where `dequantises` is True, and None where it is "
                f"False; `dequantises` is {draws.layer.dequantises}",
            )
        whole, part = tf.nest.flatten(noise(0, 6)), tf.nest.flatten(noise(2, 3))
        for a, b in zip(whole, part, strict=True):
            if a is None:
                continue
            require(
                len(a.shape) > 0 and (a.shape[0], b.shape[0]) == (6, 3),
                f"`{name}` must have as many rows as are asked for, 6 and 3; got shapes "
                f"{list(a.shape)} and {list(b.shape)}",
            )
            what = "rows 2, 3, 4 must have the same noise whether rows 0 and 1 come with them"
            require_close(name, what, b, a[2:5], 0, 0)
        for a, b in zip(whole, tf.nest.flatten(noise(0, 6, seed=12345)), strict=True):
            require(
                a is None or not np.array_equal(a, b),
                f"`{name}` gives the same for two seeds: it must be made of `seed`",
            )


def assert_examples(draws):
    """`sample`, also of a high temperature, and `decode` give examples in the data's type.

    Args:
        draws: `Draws`.
    """
    noise = draws.noise()
    _require_data(draws, "sample", "draws", draws.sample(noise))
    if draws.layer.data_kind != "real":
        _require_data(draws, "sample", "draws", draws.sample(noise, HOT))
    with calling(f"{draws.kind}.decode"):
        decoded = draws.layer.decode(noise, draws.features)
    _require_data(draws, "decode", "examples", decoded)


def assert_inputs(draws):
    """`inputs` and `dequantised` give finite reals.

    Args:
        draws: `Draws`.
    """
    layer = draws.layer
    with calling(f"{draws.kind}.inputs"):
        inputs = layer.inputs(tf.constant(draws.x))
    name = f"{draws.kind}.inputs"
    require(
        len(inputs.shape) > 1 and inputs.shape[0] == len(draws.x),
        f"`{name}` must give {len(draws.x)} rows; got shape {list(inputs.shape)}",
    )
    require_dtype(name, "what it gives", inputs, layer.variable_dtype)
    require_finite(name, "what it gives", inputs)
    name = f"{draws.kind}.dequantised"
    with calling(name):
        values = layer.dequantised(tf.constant(draws.x), draws.log_prob_noise())
    require_dtype(name, "what it gives", values, layer.variable_dtype)
    require_finite(name, "what it gives", values)
    with calling(f"{draws.kind}.compute_output_shape"):
        features_shape = None if draws.features is None else (None, *draws.features.shape[1:])
        shape = layer.compute_output_shape(features_shape, tuple(draws.x.shape[1:]))
    expected = (None, *draws.x.shape[1:])
    require(
        tuple(shape) == expected,
        f"`{draws.kind}.compute_output_shape` must give {expected}; got {shape}",
    )


def assert_temperature(draws):
    """At temperature 0 draws do not depend on the noise; above it they do.

    Args:
        draws: `Draws`.
    """
    noises = [draws.noise(), draws.noise(seed=12345)]
    modes = [np.asarray(draws.sample(noise, 0.0), "float64") for noise in noises]
    what = "at temperature 0 draws must be the mode, whatever the noise"
    require_close(f"{draws.kind}.sample", what, modes[0], modes[1], 1e-6, 1e-6)


def assert_rsample(draws):
    """`rsample` gives what `sample` does on the scale of `dequantised`, with a gradient.

    Args:
        draws: `Draws`.
    """
    layer, name, noise = draws.layer, f"{draws.kind}.rsample", draws.noise()
    if not layer.reparameterized:
        try:
            layer.rsample(noise, draws.features)
        except NotImplementedError:
            return
        raise CheckError(
            f"`{name}` gives draws, though `reparameterized` is False: set it to True, or let it "
            "raise a NotImplementedError"
        )
    with calling(name), tf.GradientTape() as tape:
        if draws.features is not None:
            tape.watch(draws.features)
        drawn = layer.rsample(noise, draws.features)
    require_shape(name, "draws", drawn, draws.x.shape, "[batch, *event_shape]")
    require_dtype(name, "draws", drawn, layer.variable_dtype)
    require_finite(name, "draws", drawn)
    if draws.features is not None:
        gradient = tape.gradient(drawn, draws.features)
        require(gradient is not None, f"`{name}`: draws have no gradient of the features")
        require_finite(name, "the gradient of the features", gradient)
    middle = None if draws.log_prob_noise() is None else tf.constant(0.5, layer.variable_dtype)
    with calling(f"{draws.kind}.dequantised"):
        expected = np.asarray(layer.dequantised(draws.sample(noise), middle))
    got, atol = np.asarray(drawn), 1e-4
    if layer.data_kind == "uint8":
        # Up to the bin of an integer, and what lies beyond the ends.
        got, atol = np.clip(got, expected.min(), expected.max()), 2 / 2**layer.num_bits
    what = "draws must be those of `sample` on the scale of `dequantised`"
    require_close(name, what, got, expected, 1e-4, atol)


def assert_log_prob(draws):
    """Log-probabilities are finite, one for each row, which sees no other row.

    Args:
        draws: `Draws`.
    """
    layer, name, log_prob = draws.layer, f"{draws.kind}.log_prob", draws.log_prob()
    require_shape(name, "log-probabilities", log_prob, (len(draws.x),), "[batch]")
    require_dtype(name, "log-probabilities", log_prob, layer.variable_dtype)
    require_finite(name, "log-probabilities", log_prob)
    features = None if draws.features is None else draws.features[1:2]
    alone = draws.log_prob(draws.x[1:2], features, draws.log_prob_noise(1, 1))
    what = "rows must not see each other: a row alone and among others"
    tolerance = TOLERANCE[layer.compute_dtype]
    require_close(name, what, alone, log_prob[1:2], tolerance, tolerance)
    if layer.data_kind != "real" and not layer.dequantises:
        require(
            bool(np.all(log_prob <= 1e-4)),
            f"`{name}` of {layer.data_kind} data is that of a probability, at most 0; got "
            f"{float(tf.reduce_max(log_prob)):.6g}",
        )


def assert_probabilities(draws, num_draws=4000):
    """The probabilities of all states sum to 1, and draws follow them; where states are few.

    Args:
        draws: `Draws`.
        num_draws: number of draws.
    """
    layer, event_shape = draws.layer, draws.x.shape[1:]
    size = int(np.prod(event_shape))
    levels = {"binary": 2, "uint8": 2**layer.num_bits}.get(layer.data_kind)
    # Not of a bound: its exponentials sum to less than 1.
    if levels is None or layer.dequantises or levels**size > MOST_STATES:
        return
    step = 1 if layer.data_kind == "binary" else 256 // levels
    states = np.array(list(itertools.product(range(0, step * levels, step), repeat=size)))
    states = states.reshape(-1, *event_shape).astype("uint8")
    features = draws.features

    def repeated(count):
        return None if features is None else tf.repeat(features[:1], count, 0)

    log_prob = draws.log_prob(states, repeated(len(states)))
    probabilities = np.exp(np.asarray(log_prob, "float64"))
    require(
        abs(probabilities.sum() - 1) < 1e-3,
        f"`{draws.kind}.log_prob`: the probabilities of all {len(states)} states must sum to 1; "
        f"they sum to {probabilities.sum():.6g}",
    )
    if len(states) > 64:
        return
    with calling(f"{draws.kind}.sample"):
        drawn = layer.sample(draws.noise(0, num_draws), repeated(num_draws))
    drawn = np.asarray(drawn).reshape(num_draws, 1, size)
    found = (drawn == states.reshape(1, -1, size)).all(2).mean(0)
    # Five standard deviations, and a little for what is hardly ever drawn.
    allowed = 5 * np.sqrt(probabilities * (1 - probabilities) / num_draws) + 2 / num_draws
    if (np.abs(found - probabilities) > allowed).any():
        k = int(np.argmax(np.abs(found - probabilities) - allowed))
        raise CheckError(
            f"`{draws.kind}.sample`: draws must follow `log_prob`; the state "
            f"{states[k].ravel().tolist()} has probability {probabilities[k]:.4f} and was drawn at "
            f"a rate of {found[k]:.4f}"
        )


def assert_gradients(draws):
    """The features and each trainable weight move log-probabilities, or draws without such.

    Args:
        draws: `Draws`.
    """
    layer = draws.layer
    if not draws.has_density and not layer.reparameterized:
        return
    method = "log_prob" if draws.has_density else "rsample"
    name, weights = f"{draws.kind}.{method}", layer.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        if draws.features is not None:
            tape.watch(draws.features)
        if draws.has_density:
            total = tf.reduce_sum(draws.log_prob())
        else:
            total = tf.reduce_sum(layer.rsample(draws.noise(), draws.features))
    if draws.features is not None:
        gradient = tape.gradient(total, draws.features)
        require(gradient is not None, f"`{name}` has no gradient of the features")
        require_finite(name, "the gradient of the features", gradient)
    for weight, gradient in zip(weights, tape.gradient(total, weights), strict=True):
        require(gradient is not None, f"`{name}`: the weight {weight.path} gets no gradient")
        require_finite(name, f"the gradient of {weight.path}", tf.convert_to_tensor(gradient))


def assert_graph_equals_eager(draws):
    """In a graph for any number of rows `log_prob` and `sample` give what they give eagerly.

    Args:
        draws: `Draws`.
    """
    layer, tolerance = draws.layer, TOLERANCE[draws.layer.compute_dtype]
    start = tf.constant(0, tf.int64)

    def sample(num_rows, features):
        return layer.sample(layer.noise(draws.seed, start, num_rows), features)

    def log_prob(x, features):
        noise = layer.log_prob_noise(draws.seed, start, tf.shape(x)[0])
        return layer.log_prob(x, features, noise)

    features = draws.features
    spec = features is not None and tf.TensorSpec([None, *features.shape[1:]], features.dtype)
    calls = [("sample", sample, tf.constant(len(draws.x)), draws.sample(draws.noise()))]
    if draws.has_density:
        calls.append(("log_prob", log_prob, tf.constant(draws.x), draws.log_prob()))
    for name, function, given, expected in calls:
        name = f"{draws.kind}.{name}"
        shape = [None, *given.shape[1:]] if given.shape.rank else []
        with calling(f"{name} in a graph", "The batch's size is None there: use `tf.shape(x)[0]`."):
            specs = tf.TensorSpec(shape, given.dtype), spec or None
            got = tf.function(function).get_concrete_function(*specs)
            got = got(given) if features is None else got(given, features)
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
    copy = copies.round_trip(observation)
    copies.require_arguments_kept(observation, copy)
    with calling(f"{type(copy).__name__}.build"):
        shape = None if features_shape is None else (None, *features_shape)
        build_once(copy, shape, tuple(event_shape))
    if observation.built:
        copies.copy_weights(observation, copy)
    return copy


def _require_data(draws, name, what, value):
    layer, name = draws.layer, f"{draws.kind}.{name}"
    kind = layer.data_kind, layer.num_bits, layer.variable_dtype
    require_data(name, what, value, draws.x.shape, *kind)

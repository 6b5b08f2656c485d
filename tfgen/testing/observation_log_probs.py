"""Checks of the log-probabilities of observation models, and of their gradients."""

import itertools

import numpy as np
import tensorflow as tf

from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_gradients
from tfgen.testing.errors import require_reals
from tfgen.testing.tolerances import TOLERANCE

# So many states or fewer are all looked at.
MOST_STATES = 1024


def assert_log_prob(draws):
    """Log-probabilities are finite, one for each row, which sees no other row.

    Args:
        draws: `Draws`.
    """
    layer, name, log_prob = draws.layer, f"{draws.kind}.log_prob", draws.log_prob()
    shape = (len(draws.x),)
    require_reals(name, "log-probabilities", log_prob, shape, "[batch]", layer.variable_dtype)
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
    require_gradients(name, weights, tape.gradient(total, weights))

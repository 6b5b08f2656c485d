"""Checks of what observation models draw, and of the reals that they make of data."""

import numpy as np
import tensorflow as tf

from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_close
from tfgen.testing.errors import require_data
from tfgen.testing.errors import require_dtype
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_noise_of_rows
from tfgen.testing.errors import require_reals

# So hot that most values come from beyond the ends.
HOT = 30.0


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
        require_noise_of_rows(name, noise)
        one, other = (tf.nest.flatten(noise(0, 6, seed)) for seed in (None, 12345))
        for a, b in zip(one, other, strict=True):
            require(
                a is None or not np.array_equal(a, b),
                f"`{name}` gives the same for two seeds: it must be made of `seed`",
            )


def assert_examples(draws):
    """`sample`, also of a high temperature, and `decode` give examples in the data's type.

    Args:
        draws: `Draws`.
    """
    layer, noise, shape = draws.layer, draws.noise(), draws.x.shape
    temperatures = (1.0,) if layer.data_kind == "real" else (1.0, HOT)
    for temperature in temperatures:
        drawn = draws.sample(noise, temperature)
        require_data(f"{draws.kind}.sample", "draws", drawn, shape, layer)
    name = f"{draws.kind}.decode"
    with calling(name):
        decoded = layer.decode(noise, draws.features)
    require_data(name, "examples", decoded, shape, layer)


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
    words = "[batch, *event_shape]"
    require_reals(name, "draws", drawn, draws.x.shape, words, layer.variable_dtype)
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

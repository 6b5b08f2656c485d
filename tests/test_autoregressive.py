"""Masked networks, the sweeps that solve autoregressive maps, and their gradients."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import MADE

SIZE = 5


def jacobian(network, x, condition=None):
    """`[out, params, in]` of one row, repeated: each copy for one of the outputs."""
    num_outputs = len(x) * network.num_params
    x = tf.repeat(tf.constant(x[None]), num_outputs, 0)
    if condition is not None:
        condition = tf.repeat(condition, num_outputs, 0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.reshape(network(x, condition=condition), [num_outputs, num_outputs])
        total = tf.linalg.trace(outputs)
    return tape.gradient(total, x).numpy().reshape(-1, network.num_params, x.shape[-1])


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("hidden_units", [(3,), (32, 32), *zoo.slow((1,), (32, 32, 32))])
@pytest.mark.parametrize("ordering", ["natural", "random", *zoo.slow("reverse", [2, 0, 4, 1, 3])])
@pytest.mark.parametrize("conditional", [False, True])
def test_outputs_depend_on_earlier_inputs_only(ordering, hidden_units, residual, conditional):
    network = MADE(2, hidden_units, ordering, residual, "tanh")
    network.build((None, SIZE), (None, 3) if conditional else None)
    zoo.perturb(network)
    x = np.random.default_rng(0).normal(size=SIZE).astype("float32")
    condition = tf.ones([1, 3]) if conditional else None
    sees = (jacobian(network, x, condition) != 0).any(1)
    # Row and column of the first dimension first.
    order = keras.ops.convert_to_numpy(network._order)
    sees = sees[order][:, order]
    assert not np.triu(sees).any()
    # The last one on all of them, however narrow the network is.
    assert sees[-1, :-1].all()
    if min(hidden_units) > SIZE:
        # And each of them.
        np.testing.assert_array_equal(sees, np.tri(SIZE, k=-1, dtype=bool))


def test_orderings():
    def order(ordering, size=4):
        network = MADE(ordering=ordering)
        network.build((None, size))
        return keras.ops.convert_to_numpy(network._order).tolist()

    assert order("natural") == [0, 1, 2, 3]
    assert order("reverse") == [3, 2, 1, 0]
    assert order([2, 0, 3, 1]) == [2, 0, 3, 1]
    assert sorted(order("random", 30)) == list(range(30)) != order("random", 30)
    for bad in ("backwards", [0, 0, 1], [1, 2, 3], 3):
        with pytest.raises(ValueError, match="`ordering` must be one of"):
            MADE(ordering=bad)
    with pytest.raises(ValueError, match="`ordering` has 2 indices, the last axis has 4"):
        order([1, 0])


@pytest.mark.parametrize("build", [lambda: MADE(1, (64,)), lambda: tfgen.networks.MLP((64,))])
def test_the_kinks_of_units_are_spread(build):
    """Sums of units are zero at different inputs: networks learn slowly if it is one for all."""
    network = build()
    network.build((None, 2))
    kernel, bias = (w.numpy() for w in network.trainable_variables[:2])
    kernel = kernel[0]
    kinks = -bias / kernel
    assert np.std(np.clip(kinks, -2, 2)) > 0.5
    assert np.abs(np.corrcoef(kernel, bias)[0, 1]) < 0.5


def test_a_condition_reaches_every_output():
    network = MADE(2, (16,))
    network.build((None, SIZE), (None, 3))
    zoo.perturb(network)
    condition = tf.Variable(tf.ones([1, 3]))
    with tf.GradientTape() as tape:
        outputs = network(tf.zeros([1, SIZE]), condition=condition)
    assert (tape.jacobian(outputs, condition).numpy().reshape(SIZE, 2, 3) != 0).all()


def test_residual_networks_need_one_width():
    with pytest.raises(ValueError, match=r"`hidden_units` must be of one width .* \[8, 4\]"):
        MADE(hidden_units=(8, 4), residual=True)


def test_a_network_of_another_number_of_parameters():
    with pytest.raises(ValueError, match="`network` must have 1 `num_params`, .* got 2"):
        tfgen.bijectors.Autoregressive("additive", MADE(2))


# ------------------------------------------------------------------------------------ sampling


def sequential(layer, z, condition=None):
    """The sequential inverse: dimension by dimension, each from those before it."""
    x = np.zeros_like(z)
    for i in keras.ops.convert_to_numpy(layer.network._order):
        x[:, i] = layer._map(condition)(z, tf.constant(x), inverse=False)[0].numpy()[:, i]
    return x


def strongly_autoregressive(size, ordering="natural", dtype="float32"):
    """Every dimension hangs on the one before: nothing is right before its turn."""
    network = MADE(2, (64,), ordering, activation="tanh", dtype=dtype)
    layer = tfgen.bijectors.Autoregressive("affine", network, dtype=dtype)
    layer.build((None, size))
    return zoo.perturb(layer, scale=4.0)


@pytest.mark.parametrize("transform", zoo.TRANSFORMS)
@pytest.mark.parametrize(
    "size, ordering",
    [
        # `test_bijectors` inverts single values and pairs.
        pytest.param(1, "natural", marks=pytest.mark.slow),
        pytest.param(2, "reverse", marks=pytest.mark.slow),
        (12, "random"),
    ],
)
def test_samples_are_those_of_the_sequential_inverse(transform, size, ordering):
    network = MADE(zoo.TRANSFORMS[transform][1], (32, 32), ordering)
    layer = tfgen.bijectors.Autoregressive(zoo.TRANSFORMS[transform][0], network)
    layer.build((None, size), (None, 2))
    zoo.perturb(layer, scale=1.0)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30, size)).astype("float32")
    condition = rng.normal(size=(30, 2)).astype("float32")
    x, _ = layer.forward_and_log_det(z, condition=condition)
    np.testing.assert_allclose(x, sequential(layer, z, condition), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ordering", ["random", *zoo.slow("natural")])
def test_the_hardest_flows_are_exact_too(ordering):
    layer = strongly_autoregressive(64, ordering, "float64")
    z = np.random.default_rng(0).normal(size=(10, 64))
    x, log_det = layer.forward_and_log_det(z)
    np.testing.assert_allclose(x, sequential(layer, z), rtol=1e-10)
    back, inverse_log_det = layer.inverse_and_log_det(x)
    np.testing.assert_allclose(back, z, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-10)


@pytest.mark.parametrize("ordering", ["natural", "reverse", "random"])
@pytest.mark.parametrize("hidden, residual", [((200, 130), False), ((150, 150), True)])
def test_products_in_blocks_leave_out_zeros_alone(ordering, hidden, residual):
    rng = np.random.default_rng(0)
    for size, features in ((3, None), (70, 2), (400, None)):
        made = MADE(2, hidden, ordering, residual)
        made.build((None, size), features and (None, features))
        zoo.perturb(made, scale=1.0)
        x = rng.normal(size=(5, size)).astype("float32")
        condition = None
        if features:
            condition = tf.constant(rng.normal(size=(5, features)), tf.float32)
        expected = made(x, condition=condition)
        got = made.given(condition, in_blocks=True)(x)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
        assert np.abs(expected).max() > 1


def test_early_stops_lose_nothing():
    """The stop decides how many errors are left, if they shrink slowly from sweep to sweep."""
    size = 60
    layer = tfgen.bijectors.Autoregressive("additive", MADE(1, (size - 1,), activation="linear"))
    layer.build((None, size))
    # Each value is its latent and 0.7 times the one before.
    first, last = layer.network.kernels
    for bias in layer.network.biases:
        bias.assign(tf.zeros_like(bias))
    degrees = layer.network._hidden_degrees[0]
    first.assign(np.eye(size)[:, degrees - 1])
    last.assign(0.7 * np.eye(size)[degrees])
    z = np.random.default_rng(0).normal(size=(5, size)).astype("float32")
    x, _ = layer.forward_and_log_det(z)
    expected = np.zeros_like(z, "float64")
    for i in range(size):
        expected[:, i] = z[:, i] + 0.7 * (expected[:, i - 1] if i else 0)
    np.testing.assert_allclose(x, expected, atol=1e-5)


def test_large_values_in_half_precision():
    network = MADE(2, (16,), activation="tanh", dtype="mixed_float16")
    layer = tfgen.bijectors.Autoregressive("affine", network, dtype="mixed_float16")
    layer.build((None, 3))
    zoo.perturb(layer, scale=1.0)
    z = np.array([[v, 1, 1] for v in (2e2, 3e2, 6e4, 1e6)], "float32")
    x, _ = layer.forward_and_log_det(z)
    np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], z, rtol=1e-5)


class Counted(tfgen.bijectors.Transform):
    """Counts its evaluations as they run, in graphs too."""

    num_params = 2

    def __init__(self):
        self.count = tf.Variable(0)

    def __call__(self, params):
        self.count.assign_add(1)
        return tfgen.bijectors.SigmoidAffine()(params)


def count_of_sweeps(size, scale):
    transform = Counted()
    layer = tfgen.bijectors.Autoregressive(transform, MADE(2, (16,)))
    layer.build((None, size))
    zoo.perturb(layer, scale=scale)
    layer.forward_and_log_det(np.random.default_rng(0).normal(size=(8, size)).astype("float32"))
    return int(transform.count)


def test_sweeps_stop_when_nothing_moves():
    # At the start of training no dimension sees another: one sweep, one in which nothing moves,
    # and the one that is differentiated.
    assert count_of_sweeps(30, 0.0) == 3
    assert count_of_sweeps(30, 0.3) < 20
    # And never more than dimensions.
    assert count_of_sweeps(30, 10.0) <= 30
    assert count_of_sweeps(1, 1.0) == 1


def test_values_out_of_bounds_on_the_way_do_no_harm():
    """A sweep may overflow in dimensions whose turn has not come."""

    class Exploding(tfgen.bijectors.Transform):
        num_params = 1

        def __call__(self, params):
            return tfgen.bijectors.Additive()(tf.exp(params * 1000) - 1)

    layer = tfgen.bijectors.Autoregressive(Exploding(), MADE(1, (32,)))
    layer.build((None, 6))
    zoo.perturb(layer, scale=1.0)
    # All true values are small, the first of them from a latent far from it.
    layer.network.biases[0].assign(tf.zeros(32))
    layer.network.biases[-1].assign([np.log(6) / 1000, 0, 0, 0, 0, 0])
    layer.network.kernels[-1].assign(tf.abs(layer.network.kernels[-1]) / 100)
    z = np.full((4, 6), 1e-3, "float32")
    z[:, 0] -= 5
    sweep = tf.constant(z)
    for _ in range(3):
        sweep = layer._map(None)(z, sweep, inverse=False)[0]
    assert not np.isfinite(sweep).all()
    x, _ = layer.forward_and_log_det(z)
    assert np.isfinite(x).all()
    np.testing.assert_allclose(x, sequential(layer, z), rtol=1e-5)


# ----------------------------------------------------------------------------------- gradients


def difference_quotient(function, variable, direction, step):
    """The slope of a function's value in a variable, along a direction."""
    variable.assign_add(step * direction)
    above = function()
    variable.assign_sub(2 * step * direction)
    below = function()
    variable.assign_add(step * direction)
    return (above - below) / (2 * step)


TRANSFORMS = ("spline", "own", "additive", "gated", "log_scale")


@pytest.mark.parametrize(
    ("transform", "mode"),
    [
        ("affine", "graph"),
        *(pytest.param("affine", mode, marks=pytest.mark.slow) for mode in ("xla", "eager")),
        *(pytest.param(name, "graph", marks=pytest.mark.slow) for name in TRANSFORMS),
        pytest.param("spline", "xla", marks=pytest.mark.slow),
    ],
)
def test_gradients_of_the_slow_direction(transform, mode):
    """Gradients of weights, latents and conditions of an inverse autoregressive flow in a loop."""
    spec, num_params = zoo.TRANSFORMS[transform]
    made = MADE(num_params, (16,), "random", dtype="float64")
    inverted = tfgen.bijectors.Invert(
        tfgen.bijectors.Autoregressive(spec, made, dtype="float64"), dtype="float64"
    )
    layer = tfgen.bijectors.Repeat(inverted, 2, dtype="float64")
    layer.build((None, 4), (None, 2))
    zoo.perturb(layer, scale=0.5)
    rng = np.random.default_rng(0)
    x, condition = tf.Variable(rng.normal(size=(3, 4))), tf.Variable(rng.normal(size=(3, 2)))
    weights = rng.normal(size=(3, 4)), rng.normal(size=3)

    def total():
        z, log_det = layer.inverse_and_log_det(x.value(), condition=condition.value())
        return tf.reduce_sum(z * weights[0]) + tf.reduce_sum(log_det * weights[1])

    compiled_total = tf.function(total)
    variables = [x, condition, *(w.value for w in layer.trainable_variables)]

    def gradients():
        with tf.GradientTape() as tape:
            value = total()
        return tape.gradient(value, variables)

    if mode != "eager":
        gradients = tf.function(gradients, jit_compile=mode == "xla")
    for variable, gradient in zip(variables, gradients(), strict=True):
        direction = tf.constant(rng.normal(size=variable.shape))
        expected = difference_quotient(compiled_total, variable, direction, step=1e-6)
        got = tf.reduce_sum(gradient * direction)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1e6, *zoo.slow(1e-6)])
def test_gradients_of_any_size(scale):
    layer = tfgen.bijectors.Autoregressive("affine", MADE(2, (32,)))
    layer.build((None, 16))
    zoo.perturb(layer, scale=1.0)
    z = tf.constant(np.random.default_rng(0).normal(size=(5, 16)), tf.float32)

    def gradient(scale):
        with tf.GradientTape() as tape:
            tape.watch(z)
            x, log_det = layer.forward_and_log_det(z)
            total = scale * (tf.reduce_sum(x**2) + tf.reduce_sum(log_det))
        return tape.gradient(total, z) / scale

    expected = gradient(1.0).numpy()
    np.testing.assert_allclose(gradient(scale), expected, atol=1e-5 * np.abs(expected).max())


def test_second_derivatives_are_refused():
    """The gradient holds the solution to be constant: differentiated again, it would be wrong."""
    layer = zoo.bijector_case("autoregressive_affine_5").layer
    z = tf.ones([1, 5], tf.float64)
    with pytest.raises(NotImplementedError, match="first-order"), tf.GradientTape() as outer:
        outer.watch(z)
        with tf.GradientTape() as inner:
            inner.watch(z)
            x, _ = layer.forward_and_log_det(z)
        gradient = inner.gradient(x, z)
        outer.gradient(gradient, z)


def test_an_iaf_learns():
    """Fit goes through the sweeps, and their gradient."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 2))
    x = np.stack([x[:, 0], x[:, 0] ** 2 + 0.3 * x[:, 1]], 1)
    model = tfgen.IAF(2, num_layers=3, hidden_units=(32,))
    model.compile(keras.optimizers.Adam(5e-3))
    losses = model.fit(x, epochs=10, batch_size=64, verbose=0).history["nll"]
    # A normal distribution of this covariance has 3.1 nats; the truth, 1.6.
    assert losses[-1] < 2.3 < losses[0]


# -------------------------------------------------------------------------------------- splines


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 20.0])
def test_a_spline_is_the_tfp_one(scale, dtype):
    """Values agree with `tfb.RationalQuadraticSpline` of the same bins and slopes."""
    import tensorflow_probability as tfp

    bins, bound, rng = 6, 3.0, np.random.default_rng(0)
    params = tf.constant(scale * rng.normal(size=(50, 3 * bins - 1)), dtype)
    widths, heights, slopes = tf.split(params, [bins, bins, bins - 1], -1)
    least = 1e-3

    def sizes(raw):
        return 2 * bound * (least + (1 - bins * least) * tf.nn.softmax(raw))

    slopes = least + tf.nn.softplus(slopes + np.log(np.expm1(1 - least)))
    peer = tfp.bijectors.RationalQuadraticSpline(
        bin_widths=sizes(widths), bin_heights=sizes(heights), knot_slopes=slopes, range_min=-bound
    )
    ours = tfgen.bijectors.Spline(bins, bound)(params)
    x = tf.constant(rng.uniform(-4, 4, size=50), dtype)
    rtol = 1e-3 if dtype == "float32" else 1e-8
    # Theirs goes from what is, with us, the data to the latent.
    np.testing.assert_allclose(ours.inverse(x), peer.forward(x), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(
        ours.inverse_log_det_jacobian(x, 0),
        peer.forward_log_det_jacobian(x, 0),
        rtol=rtol,
        atol=rtol,
    )


@pytest.mark.parametrize("way", ["inverse", "forward"])
def test_gradients_of_splines(way):
    """Gradients of parameters and of values agree with finite differences."""
    rng = np.random.default_rng(0)
    params, x = tf.Variable(rng.normal(size=(40, 11))), tf.Variable(rng.uniform(-4, 4, 40))
    weights = rng.normal(size=(2, 40))

    def total():
        bijector = tfgen.bijectors.Spline(4, 3.0)(params.value())
        values = getattr(bijector, way)(x.value())
        log_det = getattr(bijector, f"{way}_log_det_jacobian")(x.value(), 0)
        return tf.reduce_sum(weights[0] * values + weights[1] * log_det)

    with tf.GradientTape() as tape:
        value = total()
    for variable, gradient in zip((params, x), tape.gradient(value, [params, x]), strict=True):
        direction = rng.normal(size=variable.shape)
        expected = difference_quotient(total, variable, direction, step=1e-7)
        np.testing.assert_allclose(tf.reduce_sum(gradient * direction), expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 10.0, 1e6])
def test_steep_splines_stay_finite(scale):
    rng = np.random.default_rng(0)
    bijector = tfgen.bijectors.Spline()(
        tf.constant(scale * rng.normal(size=(100_000, 23)), tf.float32)
    )
    x = tf.constant(rng.uniform(-5, 5, 100_000), tf.float32)
    for way in ("forward", "inverse"):
        values = getattr(bijector, way)(x)
        assert np.abs(values).max() <= 5 + 1e-5
        assert np.isfinite(getattr(bijector, f"{way}_log_det_jacobian")(x, 0)).all()


def test_splines_broadcast():
    rng = np.random.default_rng(0)
    params = tf.constant(rng.normal(size=(3, 11)), tf.float32)
    x = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    spline = tfgen.bijectors.Spline(4)
    expected = spline(tf.tile(params[None], [4, 1, 1])).inverse(x)
    np.testing.assert_allclose(spline(params).inverse(x), expected, rtol=1e-5)
    np.testing.assert_allclose(spline(params[0]).inverse(x[:, 0]), expected[:, 0], rtol=1e-5)


FAR = (1e6, -1e6, 3.0, -3.0, np.nextafter(np.float32(3), np.float32(9)), 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["inverse", "forward"])
@pytest.mark.parametrize("name", ["nsf", "nsf_autoregressive", "maf_1"])
def test_splines_far_out_and_at_the_edges(way, name):
    bijector = zoo.case(name).model.bijector
    size = zoo.case(name).model.num_dims
    points = tf.constant(list(itertools.product(FAR, repeat=size)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(points)
        values, log_det = getattr(bijector, f"{way}_and_log_det")(points)
        total = tf.reduce_sum(values) + tf.reduce_sum(log_det)
    assert np.isfinite(values).all() and np.isfinite(log_det).all()
    for gradient in tape.gradient(total, [points, *bijector.trainable_variables]):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("num_bins", [0, 1, 1000, 2.5])
def test_bad_splines(num_bins):
    with pytest.raises(ValueError, match="`num_bins` must"):
        tfgen.bijectors.Spline(num_bins)
    with pytest.raises(ValueError, match="`bound` must"):
        tfgen.bijectors.Spline(bound=0)

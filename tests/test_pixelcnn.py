"""Causal networks: what a position sees, densities that sum to 1, draws in waves."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import GatedPixelCNNStack
from tfgen.networks import PixelCNNStack
from tfgen.networks.wavefront import Wavefront


def stack(
    filters=4,
    num_layers=6,
    kernel_size=3,
    tied=False,
    channels=1,
    context=0,
    sides=(5, 7),
    deep_context=False,
):
    network = PixelCNNStack(filters, num_layers, kernel_size, 2, tied, deep_context=deep_context)
    network.build((None, *sides, channels), (None, *sides, context) if context else None)
    return zoo.perturb(network)


def field(network, sides, position):
    """Positions of an input that the features at a position depend on, by gradient."""
    x = tf.constant(np.random.default_rng(0).normal(size=(1, *sides, 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        features = network(x)[0, position[0], position[1]]
        total = tf.reduce_sum(features * np.random.default_rng(1).normal(size=len(features)))
    return tape.gradient(total, x).numpy()[0, :, :, 0] != 0


@pytest.mark.parametrize("num_layers, kernel_size", [(1, 3), (2, 3), (6, 3), (2, 5)])
@pytest.mark.parametrize("tied", [False, True])
def test_what_a_position_sees(num_layers, kernel_size, tied):
    """Offsets (-r, c), `-reach <= c <= r` for kernels of 3, all before it in raster order."""
    sides, (i, j) = (16, 31), (13, 15)
    seen = field(stack(16, num_layers, kernel_size, tied, sides=sides), sides, (i, j))
    half = kernel_size // 2
    reach = num_layers * half
    # Of larger kernels each layer sees `half` to the right in every row above its own.
    expected = {
        (i - r, j + c)
        for r in range(reach + 1)
        for c in range(-reach, reach + 1)
        if (r or c < 0) and c <= half * min(r, num_layers)
    }
    assert set(zip(*np.nonzero(seen), strict=True)) == expected


@pytest.mark.parametrize("num_layers, kernel_size", [(1, 3), (3, 3), (2, 5)])
def test_what_a_position_sees_through_gates(num_layers, kernel_size):
    """All before it that is near enough: no blind spot."""
    sides, (i, j) = (9, 15), (6, 7)
    network = GatedPixelCNNStack(16, num_layers, kernel_size)
    network.build((None, *sides, 1))
    seen = field(zoo.perturb(network), sides, (i, j))
    reach = num_layers * (kernel_size // 2)
    expected = {
        (i - r, j + c) for r in range(reach + 1) for c in range(-reach, reach + 1) if r or c < 0
    }
    assert set(zip(*np.nonzero(seen), strict=True)) == expected


def gated(context):
    network = GatedPixelCNNStack(4, 2)
    network.build((None, 5, 7, 1), (None, 5, 7, context))
    return zoo.perturb(network)


@pytest.mark.parametrize("make", [stack, gated])
def test_the_context_is_seen_whole(make):
    network = make(context=2)
    x, context = tf.zeros([1, 5, 7, 1]), tf.Variable(tf.ones([1, 5, 7, 2]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(x, context=context)[0, 2, 3])
    seen = (tape.gradient(total, context).numpy()[0] != 0).all(-1)
    # The position itself too and, by convolution, those after it.
    assert seen[2, 3] and seen[3, 4] == (make is stack)


@pytest.mark.parametrize("network", ["residual", "gated"])
def test_binary_images_sum_to_one(network):
    model = zoo.perturb(tfgen.PixelCNN((3, 3, 1), filters=8, network=network), scale=1.0)
    images = np.array(list(itertools.product([0, 1], repeat=9))).reshape(-1, 3, 3, 1)
    np.testing.assert_allclose(np.exp(model.log_prob(images)).sum(), 1, rtol=1e-5)


def test_labels_that_every_layer_sees_give_a_distribution_each():
    model = tfgen.PixelCNN((2, 3, 1), 4, 2, deep_conditions=True, num_classes=2)
    zoo.perturb(model, scale=1.0)
    assert model.observation.network.context_layer.layer.filters == 8
    images = np.array(list(itertools.product([0, 1], repeat=6))).reshape(-1, 2, 3, 1)
    each = [zoo.eager_outputs(model, images, np.full(64, label)) for label in range(2)]
    np.testing.assert_allclose(np.exp(each).sum(1), 1, rtol=1e-5)
    assert np.abs(each[1] - each[0]).max() > 0.1


def test_levels_of_colours_sum_to_one():
    model = tfgen.PixelCNN((1, 2, 2), 4, 1, data_kind="uint8", num_bits=2, num_mixtures=2)
    zoo.perturb(model, scale=1.0)
    images = 64 * np.array(list(itertools.product(range(4), repeat=4))).reshape(-1, 1, 2, 2)
    np.testing.assert_allclose(np.exp(model.log_prob(images)).sum(), 1, rtol=1e-5)


# ----------------------------------------------------------------------------------------- draws


def naive(observation, noise, features, temperatures, like):
    """The network once for each pixel, in raster order, for each of some temperatures; `like` is a
    draw, for its shape."""
    height, width, _ = observation.event_shape
    context = None if features is None else observation.to_context(features)

    @tf.function(autograph=False)
    def drawn_at(here, x, temperature):
        params = observation._params(observation.network(observation.inputs(x), context=context))
        return tf.where(here, observation.element.sample(noise, params, temperature), x)

    for temperature in temperatures:
        x = tf.zeros_like(like)
        for i, j in itertools.product(range(height), range(width)):
            here = np.zeros((height, width, 1), bool)
            here[i, j] = True
            x = drawn_at(tf.constant(here), x, tf.constant(temperature))
        yield x


def networks():
    """Networks by kind: the first ones draw in waves, the last in sweeps."""
    return {
        "3": PixelCNNStack(4, 3, 3),
        "5_tied": PixelCNNStack(4, 3, 5, tied=True),
        "7_deep": PixelCNNStack(4, 3, 7, deep_context=True),
        "gated": GatedPixelCNNStack(4, 3),
    }


def draws():
    """Every network with all sides and both kinds of data; quick cases have each of these once."""
    every = itertools.product(enumerate([(1, 5), (5, 1), (4, 6)]), enumerate(networks()))
    for (i, sides), (j, network) in every:
        kinds = ["binary", "uint8"][:: 1 if (i + j) % 2 else -1]
        # Each network quickly with sides of its own: a row, a column, and two of an image.
        quick = i == min(j, 2)
        yield pytest.param(sides, network, kinds[0], marks=[] if quick else pytest.mark.slow)
        yield pytest.param(sides, network, kinds[1], marks=pytest.mark.slow)


@pytest.mark.parametrize("sides, network, kind", list(draws()))
def test_draws_are_those_pixel_by_pixel(sides, network, kind):
    network = networks()[network]
    model = tfgen.PixelCNN(
        (*sides, 2), network=network, data_kind=kind, num_mixtures=2, num_classes=3
    )
    assert (model.observation._runner is None) == isinstance(network, GatedPixelCNNStack)
    zoo.perturb(model, scale=1.0)
    noise = model._sample_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 6)
    features = model._features(tf.constant([0, 1, 2, 0, 1, 2]))
    temperatures = (1.0, 0.5)
    drawn = [model.observation.sample(noise, features, t).numpy() for t in temperatures]
    expected = naive(model.observation, noise, features, temperatures, drawn[0])
    for got, wanted in zip(drawn, expected, strict=True):
        assert got.std() > 0
        np.testing.assert_array_equal(got, wanted)


def test_a_deep_context_is_added_after_every_convolution():
    network = stack(num_layers=3, context=2, deep_context=True)
    added = network.read_context(tf.ones([1, 5, 7, 2]))
    assert added.shape[-1] == 12
    x = tf.random.normal([1, 5, 7, 1], seed=0)
    whole = network._run(x, added, lambda i, x: network._layer(i)(x))
    np.testing.assert_array_equal(network(x, context=tf.ones([1, 5, 7, 2])), whole)
    for i in range(3):
        without = added.numpy()
        without[..., 4 * i : 4 * i + 4] = 0
        assert np.abs(network._run(x, without, lambda i, x: network._layer(i)(x)) - whole).max() > 0
    # At the first alone it is as it was.
    assert stack(num_layers=3, context=2).read_context(tf.ones([1, 5, 7, 2])).shape[-1] == 4


# ------------------------------------------------------------------- down-sampled receptive field


def downsampled(network, sides=(6, 4), element=None):
    observation = tfgen.distributions.AutoregressivePixels(element, network, downsample=2)
    observation.build((None, 3), (*sides, 1))
    return zoo.perturb(observation, scale=1.0)


def test_a_downsampled_field_sees_every_other_pixel():
    observation = downsampled(
        PixelCNNStack(16, 1, 3), sides=(8, 8), element=tfgen.distributions.Normal("per_value")
    )
    assert observation.receptive_field == (2, 2)
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 8, 8, 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        inputs = observation._apart(x)
        params = observation._together(observation._params(observation.network(inputs)))
        total = tf.reduce_sum(params[0, 5, 4])
    seen = tape.gradient(total, x).numpy()[0, :, :, 0] != 0
    expected = {(3, 2), (3, 4), (3, 6), (5, 2)}
    assert set(zip(*np.nonzero(seen), strict=True)) == expected


def test_downsampled_images_sum_to_one_and_take_each_part_for_itself():
    observation = downsampled(PixelCNNStack(8, 2, 3), sides=(2, 4))
    images = np.array(list(itertools.product([0, 1], repeat=8)), "uint8").reshape(-1, 2, 4, 1)
    features = tf.random.normal([1, 3], seed=0) + tf.zeros([256, 3])
    log_prob = observation.log_prob(images, features)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-5)
    image = np.arange(8).reshape(1, 2, 4, 1)
    apart = observation._apart(tf.constant(image))
    assert apart.numpy().reshape(4, 2).tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]
    np.testing.assert_array_equal(observation._together(apart), image)


@pytest.mark.parametrize("network", ["3", *zoo.slow("gated")])
def test_downsampled_draws_are_those_pixel_by_pixel(network):
    observation = downsampled(networks()[network])
    features = tf.random.normal([6, 3], seed=0)
    noise = observation.noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 6)
    drawn = observation.sample(noise, features).numpy()
    assert drawn.std() > 0
    context = observation._context(features)
    apart, noise = tf.zeros_like(observation._apart(drawn)), observation._apart(noise)
    for i, j in itertools.product(range(3), range(2)):
        params = observation.network(observation.inputs(apart), context=context)
        new = observation.element.sample(noise, observation._params(params))
        here = np.zeros((3, 2, 1), bool)
        here[i, j] = True
        apart = tf.where(here, new, apart)
    np.testing.assert_array_equal(drawn, observation._together(apart))


def test_a_downsampled_field_must_fit():
    with pytest.raises(ValueError, match=r"`downsample` must divide the sides .* \[6, 5\]; got 2"):
        downsampled(PixelCNNStack(4, 1), sides=(6, 5))
    with pytest.raises(ValueError, match="`downsample` must"):
        tfgen.distributions.AutoregressivePixels(downsample=0)


def vlae(shape=(6, 4, 1), **arguments):
    return tfgen.VLAE(shape, 2, encoder="mlp", decoder="mlp", prior="normal", **arguments)


def test_a_vlaes_decoder_is_what_its_arguments_say():
    model = vlae(decoder_layers=3, kernel_size=5, filters=4, tied=True, data_kind="uint8")
    network = model.observation.network
    assert (network.num_layers, network.kernel_size, network.filters) == (3, 5, 4)
    assert network.tied and model.observation.data_kind == "uint8"
    lines = []
    model.summary(print_fn=lambda line, line_break=False: lines.append(line))
    assert lines[-1].endswith("decoder: 6 rows above, 6 columns to each side")
    model = vlae(decoder_layers=2, gated=True, downsample=2)
    assert isinstance(model.observation.network, GatedPixelCNNStack)
    model.summary(print_fn=lambda line, line_break=False: lines.append(line))
    assert lines[-1].endswith("4 rows above, 4 columns to each side, every 2 pixels")
    again = tfgen.VLAE.from_config(model.get_config())
    assert again.observation.receptive_field == (4, 4)
    assert again.get_config() == model.get_config()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"observation": "bernoulli", "filters": 4}, "are of the observation .pixelcnn.; got 'ber"),
        ({"gated": True, "tied": True}, "`tied` goes with a decoder that is not gated"),
        ({"decoder_layers": 0}, "`decoder_layers` must .* got 0"),
        ({"kernel_size": 4}, "`kernel_size` must .* got 4"),
        ({"downsample": 4}, "`downsample` must divide the sides"),
        ({"gated": 1}, "`gated` must be True or False"),
        ({"data_kind": "bits"}, "`data_kind` must be one of"),
    ],
)
def test_bad_decoders_of_a_vlae(arguments, words):
    with pytest.raises(ValueError, match=words):
        vlae(**arguments)


def test_skewing():
    waves = Wavefront(stack(sides=(3, 4)), 3, 4)
    image = tf.random.normal([2, 3, 4, 5])
    skewed = waves.skew(image)
    assert skewed.shape == (4 + 2 * 2, 2, 3, 5)
    np.testing.assert_array_equal(waves.unskew(skewed), image)
    np.testing.assert_array_equal(skewed[3, :, 1], image[:, 1, 1])


def test_samples_follow_the_density():
    model = zoo.perturb(tfgen.PixelCNN((2, 2, 1), filters=8), scale=1.0)
    images = np.array(list(itertools.product([0, 1], repeat=4))).reshape(-1, 2, 2, 1)
    samples = model.sample(20_000, seed=0, batch_size=20_000).numpy()
    found = [(samples == image).all((1, 2, 3)).mean() for image in images]
    np.testing.assert_allclose(found, np.exp(model.log_prob(images)), atol=0.02)


def test_inpainting():
    case = zoo.case("pixelcnn")
    model, x = case.model, case.x
    known = np.zeros(model.event_shape[:2], bool)
    known[:2] = True
    drawn = model.inpaint(x, known, seed=0).numpy()
    np.testing.assert_array_equal(drawn[:, :2], x[:, :2])
    assert (drawn[:, 2:] != x[:, 2:]).any()
    # All known, none known.
    np.testing.assert_array_equal(model.inpaint(x, np.ones(known.shape, bool), seed=0), x)
    fresh = model.inpaint(x, np.zeros(x.shape[:3], bool), seed=0)
    np.testing.assert_array_equal(fresh, model.sample(len(x), seed=0))
    with pytest.raises(ValueError, match="`known` must hold True and False"):
        model.inpaint(x, np.ones(known.shape))
    # Channels of a pixel depend on each other: a pixel is known whole.
    for shape in ((2, 2), (1, 1), x.shape):
        with pytest.raises(ValueError, match=r"`known` must have shape \[20, 4, 3\] or \[4, 3\]"):
            model.inpaint(x, np.ones(shape, bool))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"event_shape": (4,)}, r"`event_shape` of a PixelCNN must be \[height, width, channels\]"),
        ({"data_kind": "real"}, "`data_kind` must be one of .* got 'real'"),
        ({"kernel_size": 4}, "`kernel_size` must be one odd number; got 4"),
        ({"filters": 0}, "`filters` must .* got 0"),
        ({"network": "gated", "kernel_size": 4}, "`kernel_size` must be 3, 5, ...; got 4"),
        ({"network": "deep"}, r"`network` must be one of \['residual', 'gated'\] or a layer"),
        ({"num_mixtures": 0}, "`num_mixtures` must .* got 0"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        tfgen.PixelCNN(**{"event_shape": (4, 4, 1), **arguments})


class Doubled(PixelCNNStack):
    """A stack that does something with its parts which the waves do not know."""

    def call(self, inputs, context=None):
        return 2 * super().call(inputs, context)


def test_networks_of_a_users_own():
    observation = tfgen.distributions.AutoregressivePixels(network=Doubled(4, 2))
    observation.build(None, (3, 3, 1))
    zoo.perturb(observation, scale=1.0)
    noise = observation.noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 5)
    drawn = observation.sample(noise, None)
    (expected,) = naive(observation, noise, None, (1.0,), drawn)
    np.testing.assert_array_equal(drawn, expected)
    with pytest.raises(ValueError, match="`network` must take `context=`.* got a Conv2D"):
        tfgen.distributions.AutoregressivePixels(network=keras.layers.Conv2D(4, 3))


def test_bad_stacks():
    with pytest.raises(ValueError, match="`kernel_size` must be 3, 5, ...; got 1"):
        PixelCNNStack(kernel_size=1)
    with pytest.raises(ValueError, match="`condition_shape` must have the sides of `event_shape`"):
        tfgen.PixelCNN((4, 4, 1), condition_shape=(2, 2, 1))
    for arguments, words in (({"tied": 1}, "`tied` must"), ({"num_mixers": -1}, "`num_mixers` mu")):
        with pytest.raises(ValueError, match=words):
            PixelCNNStack(**arguments)
    with pytest.raises(ValueError, match="`axis` must be 1 or 2; got 0"):
        tfgen.networks.CausalConv2D(1, (1, 2), axis=0)


# ---------------------------------------------------------------------------- weight normalisation


def test_weight_norm_starts_as_the_layer():
    layer = keras.layers.Conv2D(3, 3)
    normed = tfgen.networks.WeightNorm(layer)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 2)).astype("float32")
    normed.build(x.shape)
    np.testing.assert_allclose(normed(x), layer(x), rtol=1e-5, atol=1e-6)
    # Only the direction of the kernel counts.
    before = normed(x).numpy()
    layer.kernel.assign(7 * layer.kernel)
    np.testing.assert_allclose(normed(x), before, rtol=1e-5, atol=1e-6)


def test_weight_norm_of_small_kernels_in_half_precision():
    normed = tfgen.networks.WeightNorm(
        keras.layers.Dense(2, dtype="mixed_float16"), dtype="mixed_float16"
    )
    x = np.ones((1, 3), "float16")
    normed.build(x.shape)
    before = normed(x).numpy()
    normed.layer.kernel.assign(1e-4 * normed.layer.kernel)
    np.testing.assert_allclose(normed(x), before, rtol=2e-2)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(2, use_bias=False),
        keras.layers.Conv2DTranspose(3, 2),
        keras.layers.Flatten(),
    ],
)
def test_weight_norm_refuses(layer):
    with pytest.raises(ValueError, match="`layer` must have a kernel whose last axis is the out"):
        tfgen.networks.WeightNorm(layer).build((None, 4, 4, 2))


def test_weight_norm_in_repeat():
    """Weights are trained there, and the layer can be made from one configuration twice."""
    normed = tfgen.networks.WeightNorm(keras.layers.Dense(4))
    config = normed.get_config()
    for _ in range(2):
        tfgen.networks.WeightNorm.from_config(config)
    network = keras.Sequential([normed, keras.layers.ReLU()])
    flow = tfgen.bijectors.Repeat(tfgen.bijectors.Coupling(network=network), 2)
    # Two inputs: the direction of one is its sign, which has no gradient.
    flow.build((None, 4))
    zoo.perturb(flow)
    with tf.GradientTape() as tape:
        z, log_det = flow.inverse_and_log_det(tf.random.normal([5, 4]))
        loss = tf.reduce_sum(z**2) + tf.reduce_sum(log_det)
    for weight, gradient in zip(
        flow.trainable_variables, tape.gradient(loss, flow.trainable_variables), strict=True
    ):
        assert gradient is not None and np.any(gradient), weight.path


def test_data_dependent_init():
    layers = [tfgen.networks.WeightNorm(keras.layers.Dense(4), s) for s in (1.0, 0.1)]
    x = np.random.default_rng(0).normal(5, 3, size=(200, 3)).astype("float32")
    x[:, 2] = 7
    with tfgen.networks.data_dependent_init(*layers):
        y = layers[1](layers[0](x))
    np.testing.assert_allclose(layers[1](layers[0](x)), y)
    for layer, scale in zip(layers, (1.0, 0.1), strict=True):
        x = layer(x).numpy()
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(x.std(0), scale, rtol=1e-3)
    assert not layers[0].initialising


def test_fit_initialises_and_loading_does_not(tmp_path):
    case = zoo.case("pixelcnn")
    model = case.entry.build()
    assert model._needs_adapt()
    model.adapt(case.x)
    assert not model._needs_adapt()
    first = model.observation.network.masked[0]
    outputs = first(model.observation.inputs(case.x)).numpy()
    np.testing.assert_allclose(outputs.std((0, 1, 2)), 1, rtol=1e-3)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert not copy._needs_adapt()
    np.testing.assert_array_equal(copy.log_prob(case.x), model.log_prob(case.x))

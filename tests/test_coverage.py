"""Modes that samples reach, and the training examples nearest to them."""

import keras
import numpy as np
import pytest

import tfgen
from tfgen.data import toy
from tfgen.metrics import mode_coverage
from tfgen.metrics import nearest_examples
from tfgen.metrics import nearest_mode


def test_coverage_by_hand():
    found = mode_coverage([0, 0, 0, 2, -1, -1], 3, probabilities=[1, 2, 1])
    expected = 0.75 * np.log(0.75 / 0.25) + 0.25 * np.log(0.25 / 0.25)
    assert found.num_covered == 2
    np.testing.assert_allclose(found.kl, expected)
    np.testing.assert_allclose(found.on_modes, 4 / 6)
    assert mode_coverage([0, 1], 2).kl == 0
    assert np.isinf(mode_coverage([0, 1], 2, probabilities=[1, 0]).kl)
    nothing = mode_coverage([-1, -1], 2)
    assert (nothing.num_covered, nothing.on_modes) == (0, 0) and np.isnan(nothing.kl)


def test_all_25_modes_of_the_grid_are_found_in_its_data():
    x = toy.gaussian_grid(20_000, seed=1)
    found = mode_coverage(nearest_mode(x, toy.GRID_CENTRES, 3 * toy.GRID_SCALE), 25)
    assert found.num_covered == 25
    assert found.kl < 1e-3
    # Within three standard deviations in the plane.
    np.testing.assert_allclose(found.on_modes, 1 - np.exp(-4.5), atol=2e-3)
    some = x[x[:, 0] < -1]
    found = mode_coverage(nearest_mode(some, toy.GRID_CENTRES, 3 * toy.GRID_SCALE), 25)
    assert found.num_covered == 10
    np.testing.assert_allclose(found.kl, np.log(2.5), atol=5e-3)


def test_nearest_examples_are_the_naive_ones():
    rng = np.random.default_rng(0)
    x, examples = (rng.integers(256, size=(n, 3, 2, 1)).astype("uint8") for n in (7, 50))
    distances = ((x[:, None].astype(float) - examples[None]) ** 2).sum((2, 3, 4))
    np.testing.assert_array_equal(nearest_examples(x, examples), distances.argmin(1))
    np.testing.assert_array_equal(nearest_examples(examples, examples), np.arange(50))


def test_points_far_from_0():
    far = 1e6 + np.array([[0.4], [0.0]])
    np.testing.assert_array_equal(nearest_examples(far, [[1e6], [1e6 + 0.4]]), [1, 0])
    np.testing.assert_array_equal(nearest_mode(far, [[1e6], [-1e6]], 0.1), [-1, 0])


def test_stacked_digits():
    data = tfgen.data.load("digits")
    stacked = tfgen.data.stack_channels(data, 200, 50, seed=3)
    assert stacked.num_classes == 1000 and stacked.event_shape == (8, 8, 3)
    (x, y), (given, labels) = stacked.train, data.train
    assert x.dtype == np.uint8 and x.shape == (200, 8, 8, 3)
    for channel, label in enumerate((y // 100, y // 10 % 10, y % 10)):
        source = nearest_examples(x[..., channel : channel + 1], given)
        np.testing.assert_array_equal(given[source][..., 0], x[..., channel])
        np.testing.assert_array_equal(labels[source], label)
    again = tfgen.data.stack_channels(data, 200, 50, seed=3)
    np.testing.assert_array_equal(again.test[0], stacked.test[0])
    assert (tfgen.data.stack_channels(data, 200, 50, seed=4).test[0] != stacked.test[0]).any()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mode_coverage([0.5], 2), r"`modes` must be integers \[n\], n > 0; got float64"),
        (lambda: mode_coverage([], 2), "`modes` must be integers"),
        (lambda: mode_coverage([2], 2), r"`modes` must lie in -1\.\.1; got 2\.\.2"),
        (lambda: mode_coverage([0], 0), "`num_modes` must be .*; got 0"),
        (lambda: mode_coverage([0], 2, [1.0]), "`probabilities` .* each of the 2 modes"),
        (lambda: mode_coverage([0], 2, [0, 0]), "`probabilities` must not all be 0"),
        (lambda: nearest_mode(np.zeros((2, 3)), np.zeros((0, 3)), 1), "`centres` must have shape"),
        (
            lambda: nearest_mode([[0.0]], [[0.0, 1.0]], 1),
            r"`centres` must .* got \[1, 2\] for \[1, 1\]",
        ),
        (lambda: nearest_mode([[0.0]], [[0.0]], 0), "`radius` must be .*; got 0"),
        (lambda: nearest_mode([[np.nan]], [[0.0]], 1), "`x` must be finite"),
        (lambda: tfgen.data.stack_channels(tfgen.data.load("rings")), "`data` must be images"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_stacked_images_are_classified_by_channel():
    """A classifier that tells how bright an image is, in four classes."""
    inputs = keras.Input([2, 2, 1])
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    classes = keras.layers.Dense(4, activation="softmax")
    extractor = tfgen.metrics.KerasExtractor(keras.Model(inputs, classes(mean)), name="levels")
    levels = np.array([0.1, 0.4, 0.6, 0.9])
    classes.set_weights([200 * levels[None], -100 * levels**2])
    wanted = np.random.default_rng(0).integers(4, size=(30, 3))
    images = np.broadcast_to(levels[wanted][:, None, None], (30, 2, 2, 3)).astype("float32")
    found = tfgen.metrics.stacked_modes(extractor, images, "real")
    np.testing.assert_array_equal(found, wanted @ [16, 4, 1])
    # Two black channels of three may be taken for bits when seen alone.
    black = np.where(np.arange(3) == 0, np.uint8(255), np.uint8(0)) * np.ones((1, 2, 2, 3), "uint8")
    assert tfgen.metrics.stacked_modes(extractor, black) == [3 * 16]
    with pytest.raises((TypeError, ValueError), match="`extractor` must be a FeatureExtractor"):
        tfgen.metrics.stacked_modes("classifier", images)
    with pytest.raises(ValueError, match="`images` must have shape"):
        tfgen.metrics.stacked_modes(extractor, images[..., :1])
    images = images.copy()
    images[5, 0, 0, 2] = np.nan
    with pytest.raises(ValueError, match="`images` must be finite; row 5"):
        tfgen.metrics.stacked_modes(extractor, images)

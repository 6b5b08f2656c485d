import io

import keras
import numpy as np
import pytest
from PIL import Image

from tfgen.data import load
from tfgen.metrics import bits_per_dim
from tfgen.metrics import histogram_bits_per_dim
from tfgen.metrics import png_bits_per_dim
from tfgen.metrics import yardsticks


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def test_histogram_by_hand():
    # Two positions. Position 0 counts {10: 3, 20: 1}, position 1 counts {10: 4}.
    train = np.array([[10, 10], [10, 10], [10, 10], [20, 10]], "uint8").reshape(4, 1, 2, 1)
    test = np.array([[10, 20], [20, 10]], "uint8").reshape(2, 1, 2, 1)
    # With one extra count in each of 256 bins: 4/260 and 1/260, then 2/260 and 5/260.
    expected = np.mean(-np.log2(np.array([4, 1, 2, 5]) / 260))
    assert histogram_bits_per_dim(train, test) == pytest.approx(expected, rel=1e-12)
    expected = np.mean(-np.log2(np.array([3.5, 0.5, 1.5, 4.5]) / 132))
    assert histogram_bits_per_dim(train, test, pseudo_count=0.5) == pytest.approx(expected)


def test_histogram_keeps_channels_apart():
    train = np.zeros([1000, 2, 2, 3], "uint8")
    train[..., 0] = 255  # the last bin of one channel beside the first bin of the next
    train[..., 2] = 100
    same = histogram_bits_per_dim(train, train[:3])
    assert same == pytest.approx(np.log2(1256 / 1001))
    assert histogram_bits_per_dim(train, train[:3, ..., ::-1]) == pytest.approx(
        (same + 2 * np.log2(1256)) / 3
    )


def test_histogram_in_chunks_equals_one_chunk(monkeypatch):
    train, test = noise([50, 4, 4, 1]), noise([23, 4, 4, 1], seed=1)
    whole = histogram_bits_per_dim(train, test)
    monkeypatch.setattr(yardsticks, "_ROWS", 7)
    assert histogram_bits_per_dim(train, test) == pytest.approx(whole, rel=1e-12)


def test_histogram_of_noise_needs_at_least_8_bits():
    assert histogram_bits_per_dim(noise([5000, 3, 3, 1]), noise([500, 3, 3, 1], 1)) > 8


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_is_the_size_of_the_files(channels):
    images = noise([3, 9, 7, channels])
    num_bytes = 0
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, format="png", optimize=True)
        num_bytes += len(file.getvalue())
        # The coding is lossless, so these are the bytes of a full description.
        assert (np.asarray(Image.open(file)) == image.squeeze()).all()
    assert png_bits_per_dim(images) == 8 * num_bytes / (3 * 9 * 7 * channels)


def test_png_of_flat_images_is_small_and_of_noise_is_not():
    assert png_bits_per_dim(np.zeros([2, 64, 64, 1], "uint8")) < 0.3
    assert 8 < png_bits_per_dim(noise([2, 64, 64, 1])) < 8.3
    assert png_bits_per_dim(noise([2, 64, 64, 1]), optimize=False) > 8


def test_yardsticks_of_fashion_mnist():
    data = load("fashion_mnist_small")
    assert 5.0 < png_bits_per_dim(data.test[0]) < 5.4
    assert 4.5 < histogram_bits_per_dim(data.train[0], data.test[0]) < 4.8


@pytest.mark.parametrize(
    "images",
    [
        np.zeros([2, 4, 4, 1]),
        np.zeros([2, 4, 4], "uint8"),
        np.zeros([2, 4, 4, 5], "uint8"),
        np.zeros([0, 4, 4, 1], "uint8"),
    ],
)
def test_png_refuses(images):
    with pytest.raises(ValueError, match="images: expected"):
        png_bits_per_dim(images)


def test_histogram_refuses():
    images = noise([2, 4, 4, 1])
    with pytest.raises(ValueError, match="train: expected uint8"):
        histogram_bits_per_dim(images / 255, images)
    with pytest.raises(ValueError, match=r"test: expected images \[4, 4, 1\].*got \[4, 2, 1\]"):
        histogram_bits_per_dim(images, images[:, :, :2])
    with pytest.raises(ValueError, match="pseudo_count: expected a positive number, got 0"):
        histogram_bits_per_dim(images, images, pseudo_count=0)


def test_bits_per_dim():
    # A uniform guess over 256 values at each of 12 positions.
    log_prob = np.full([3], -12 * np.log(256.0), "float32")
    np.testing.assert_allclose(bits_per_dim(log_prob, 12), [8.0, 8.0, 8.0], rtol=1e-6)
    tensor = bits_per_dim(keras.ops.convert_to_tensor(log_prob), 12)
    assert keras.ops.is_tensor(tensor)
    np.testing.assert_allclose(tensor, [8.0, 8.0, 8.0], rtol=1e-6)
    assert bits_per_dim(np.log(2.0), 1) == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="num_dims: expected a positive number, got 0"):
        bits_per_dim(log_prob, 0)

import json
import os
import shutil
import socket
import sys
import time
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfgen.data import Data
from tfgen.data import images
from tfgen.data import load
from tfgen.data import names
from tfgen.data import readers
from tfgen.data import toy
from tfgen.data.dataset import hold_out
from tfgen.data.images import stack_images

TOYS = sorted(toy.GENERATORS)


def rows(x):
    """Every example as bytes, so that examples can be put in sets."""
    return [example.tobytes() for example in x]


def gradient_image(height, width, channels=3):
    """Columns get brighter from 0 at the left to 255 at the right."""
    line = np.linspace(0, 255, width).astype("uint8")
    return np.broadcast_to(line[None, :, None], (height, width, channels)).copy()


def save_image(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze()).save(path, **options)


# Embedded


@pytest.mark.parametrize("name", names())
def test_embedded_form(name):
    data = load(name)
    assert isinstance(data, Data)
    assert data.name == name
    assert data.description
    for x, y in (data.train, data.test):
        # Of a table whole numbers are told exactly.
        real = np.float32 if data.columns is None else np.float64
        assert x.dtype == {"uint8": np.uint8, "real": real}[data.kind]
        assert x.shape[1:] == data.event_shape
        if data.num_classes is None:
            assert y is None
        else:
            assert y.dtype == np.int64
            assert y.shape == x.shape[:1]
            assert set(y) == set(range(data.num_classes))
            assert len(data.class_names) == data.num_classes
    assert not set(rows(data.train[0])) & set(rows(data.test[0]))


def test_fashion_is_stratified():
    data = load("fashion_mnist_small")
    assert data.event_shape == (28, 28, 1)
    assert np.bincount(data.train[1]).tolist() == [180] * 10
    assert np.bincount(data.test[1]).tolist() == [20] * 10
    # Not sorted by class: a batch from anywhere has several.
    assert len(set(data.train[1][:50])) == 10
    # Labels belong to their images: trousers (1) leave more of the picture empty than coats (4).
    x, y = data.train
    empty = (x == 0).mean(axis=(1, 2, 3))
    assert empty[y == 1].mean() > empty[y == 4].mean() + 0.2
    assert x.max() == 255


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data, original = load("digits"), load_digits()
    assert data.test[0].shape == (297, 8, 8, 1)
    x = np.concatenate([data.train[0], data.test[0]])
    assert x.max() == 255
    np.testing.assert_array_equal(np.rint(x[..., 0] / 255 * 16), original.images)
    np.testing.assert_array_equal(np.concatenate([data.train[1], data.test[1]]), original.target)


def test_embedded_images_resize():
    data = load("digits", image_size=(16, 12))
    assert data.train[0].shape == (1500, 16, 12, 1)
    assert data.test[0].shape == (297, 16, 12, 1)
    assert data.train[0].dtype == np.uint8


# Toy sets


@pytest.mark.parametrize("name", TOYS)
def test_toy_seeds_and_range(name):
    generate = toy.GENERATORS[name]
    x = generate(2000, 3)
    assert x.shape == (2000, 2)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, generate(2000, 3))
    assert not np.array_equal(x, generate(2000, 4))
    assert 2 < np.abs(x).max() < 5
    # No set is biased to a side by more than the two moons are.
    assert np.abs(x.mean(axis=0)).max() < 0.5


@pytest.mark.parametrize("name", TOYS)
def test_toy_load(name):
    data = load(name, seed=0)
    assert data.train[0].shape == (10_000, 2)
    assert data.test[0].shape == (2_000, 2)
    np.testing.assert_array_equal(data.train[0], toy.GENERATORS[name](10_000, 0))
    np.testing.assert_array_equal(data.test[0], toy.GENERATORS[name](2_000, 1))
    other = load(name, seed=1)
    assert not set(rows(data.train[0])) & set(rows(other.train[0]))
    assert not set(rows(data.test[0])) & set(rows(other.train[0]))


def test_toy_shapes():
    rings = np.linalg.norm(toy.rings(4000, 0), axis=1)
    nearest = np.rint(rings / 0.75)
    assert set(nearest) == {1, 2, 3, 4}
    assert np.abs(rings - 0.75 * nearest).mean() < 0.1

    board = np.floor(toy.checkerboard(4000, 0) / 2)
    assert (board.sum(axis=1) % 2 == 0).all()
    assert len(np.unique(board, axis=0)) == 8

    points = toy.eight_gaussians(4000, 0)
    angle = np.arctan2(points[:, 1], points[:, 0]) / (np.pi / 4)
    assert set(np.rint(angle) % 8) == set(range(8))
    assert np.linalg.norm(points, axis=1).mean() == pytest.approx(4 / np.sqrt(2), abs=0.1)

    # On a spiral the radius is angle / 3 (+- noise), turned by half a circle for one of the two.
    points = toy.spirals(4000, 0)
    radius = np.linalg.norm(points, axis=1)
    residue = np.arctan2(points[:, 1], -points[:, 0]) - 3 * radius
    inner = np.abs(np.sin(residue[radius > 1])) < 0.8
    assert inner.mean() > 0.9

    points = toy.two_moons(4000, 0)
    upper = np.abs(np.hypot((points[:, 0] + 1) / 2, (points[:, 1] + 0.2) / 2) - 1)
    lower = np.abs(np.hypot((points[:, 0] - 1) / 2, (points[:, 1] - 0.8) / 2) - 1)
    assert (np.minimum(upper, lower) < 0.4).all()

    points = toy.pinwheel(4000, 0)
    radius = np.linalg.norm(points, axis=1)
    arm = -np.arctan2(points[:, 1], points[:, 0]) - 0.25 * np.exp(radius / 2)
    off = arm / (2 * np.pi / 5) - np.rint(arm / (2 * np.pi / 5))
    assert np.abs(off[radius > 1]).mean() < 0.15


def test_toy_refuses():
    with pytest.raises(ValueError, match="num_samples: expected a positive int, got 0"):
        toy.rings(0, 0)
    with pytest.raises(ValueError, match="image_size: rings has no images"):
        load("rings", image_size=8)


# Names


def test_unknown_name_suggests():
    with pytest.raises(ValueError, match="Did you mean 'two_moons'") as error:
        load("two_moon")
    for name in names():
        assert name in str(error.value)
    for word in ("TensorFlow Datasets", "data_dir", ".npy", "folder"):
        assert word in str(error.value)
    with pytest.raises(ValueError, match="Did you mean 'mnist'"):
        load("mnis")
    with pytest.raises(ValueError, match="unknown data set ''"):
        load("")


@pytest.mark.parametrize("arguments", [{"name": 5}, {"name": None}, {"seed": -1}, {"seed": "x"}])
def test_arguments_of_other_types(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"`{name}` must be .* got {value!r}"):
        load(**{"name": "two_moons", **arguments})


@pytest.mark.parametrize("name", ["./nothing", "some/folder", "nothing.npy", "/nothing"])
def test_missing_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder: "):
        load(name)


# Held-out split


def test_hold_out():
    x = np.arange(105)
    train, test = hold_out(x, 2 * x, seed=0)
    assert len(train[0]) == 95
    assert len(test[0]) == 10
    assert sorted([*train[0], *test[0]]) == list(range(105))
    np.testing.assert_array_equal(train[1], 2 * train[0])
    np.testing.assert_array_equal(test[1], 2 * test[0])
    # Shuffled first, as the last rows of a file are often all of one class.
    assert set(test[0]) != set(range(95, 105))
    np.testing.assert_array_equal(hold_out(x, None, seed=0)[1][0], test[0])
    assert set(hold_out(x, None, seed=1)[1][0]) != set(test[0])
    assert hold_out(x, None)[0][1] is None
    with pytest.raises(ValueError, match="at least 2 examples, got 1"):
        hold_out(x[:1], None)


# Images of any size


@pytest.mark.parametrize("sides", [(29, 29), (29, 40), (78, 58)])
def test_a_crop_that_rounding_makes_too_large(sides):
    """`28 * (29 / 28)` is above 29."""
    image = np.full((*sides, 1), 7, np.uint8)
    assert np.all(images.crop_and_resize(image, (28, 28)) == 7)


def test_crop_is_centred():
    # Wide: black, then a white centre square, then black. Only the centre must be left.
    image = np.zeros([10, 30, 1], "uint8")
    image[:, 10:20] = 255
    x = stack_images([("wide", image), ("high", image.transpose(1, 0, 2))], 2, image_size=10)
    assert x.shape == (2, 10, 10, 1)
    assert (x == 255).all()


def test_resize_keeps_the_picture():
    x = stack_images([("a", gradient_image(40, 80))], 1, image_size=(10, 20))[0]
    assert x.shape == (10, 20, 3)
    columns = x.mean(axis=(0, 2))
    np.testing.assert_allclose(columns, np.linspace(0, 255, 80).reshape(20, 4).mean(1), atol=2)
    same = gradient_image(10, 20)
    np.testing.assert_array_equal(stack_images([("a", same)], 1, (10, 20))[0], same)


@pytest.mark.parametrize("size", [0, -3, 2.5, "28", (3,), (3, 0), (2, 3, 4)])
def test_bad_image_size(size):
    with pytest.raises(ValueError, match="image_size: expected a positive int or"):
        load("digits", image_size=size)


def test_sizes_are_checked_before_the_work(monkeypatch):
    monkeypatch.setattr(images, "crop_and_resize", None)
    with pytest.raises(
        ValueError, match=r"image_size: expected at most 8192 pixels, got \(8193, 1"
    ):
        load("digits", image_size=(8193, 1))
    with pytest.raises(ValueError, match=r"1500 images of \[8192, 8192, 1\] would take 100.7 GB"):
        load("digits", image_size=8192)


def test_fewer_images_than_announced():
    with pytest.raises(ValueError, match="expected 2 images, got 1"):
        stack_images([("a", gradient_image(2, 2))], 2)


def test_too_large(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"1500 images of \[8, 8, 1\].*tf.data pipeline"):
        load("digits", image_size=8)


# Files


def test_folder_of_classes(tmp_path):
    for i in range(12):
        save_image(tmp_path / "dog" / f"{i}.png", np.full([4, 5], 100 + i, "uint8"))
        save_image(tmp_path / "cat" / "more" / f"{i}.PNG", np.full([4, 5], i, "uint8"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.txt").write_text("not an image")
    save_image(tmp_path / ".cache" / "x.png", np.zeros([9, 9], "uint8"))
    data = load(str(tmp_path))
    assert data.kind == "uint8"
    assert data.event_shape == (4, 5, 1)
    assert data.class_names == ("cat", "dog")
    assert data.num_classes == 2
    assert len(data.train[0]) == 22
    assert len(data.test[0]) == 2
    for x, y in (data.train, data.test):
        np.testing.assert_array_equal(y, x[:, 0, 0, 0] >= 100)
    np.testing.assert_array_equal(load(tmp_path).test[0], data.test[0])
    assert load(tmp_path, image_size=3).event_shape == (3, 3, 1)


def test_folder_without_classes_mixes_grey_and_colour(tmp_path):
    colour = np.zeros([6, 6, 3], "uint8")
    colour[..., 0] = 200
    save_image(tmp_path / "a.png", colour)
    save_image(tmp_path / "b.png", np.full([6, 6], 50, "uint8"))
    save_image(tmp_path / "c.bmp", colour)
    data = load(tmp_path)
    assert data.train[1] is None
    assert data.num_classes is None
    assert data.event_shape == (6, 6, 3)
    pixels = {tuple(x[0, 0].tolist()) for x in np.concatenate([data.train[0], data.test[0]])}
    assert pixels == {(200, 0, 0), (50, 50, 50)}


def test_folder_of_splits(tmp_path):
    for name, level in (("train/a", 1), ("train/b", 2), ("test/b", 3)):
        for i in range(3):
            save_image(tmp_path / name / f"{i}.png", np.full([4, 4], level, "uint8"))
    data = load(tmp_path)
    assert data.class_names == ("a", "b")
    assert data.train[0][:, 0, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert data.train[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test[0][:, 0, 0, 0].tolist() == [3, 3, 3]
    assert data.test[1].tolist() == [1, 1, 1]


def test_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: turn by 90 degrees clockwise
    for i in range(2):
        save_image(tmp_path / f"{i}.jpg", gradient_image(8, 24), exif=exif)
    x = load(tmp_path).train[0][0]
    assert x.shape == (24, 8, 3)
    # Dark at the left became dark at the top.
    assert x[0].mean() < 30 < 220 < x[-1].mean()


def test_folder_refuses(tmp_path):
    with pytest.raises(ValueError, match="no image files"):
        load(tmp_path)

    save_image(tmp_path / "sizes" / "a.png", gradient_image(4, 4))
    save_image(tmp_path / "sizes" / "b.png", gradient_image(4, 6))
    with pytest.raises(ValueError, match=r"b.png is \[4, 6, 3\].*Pass image_size"):
        load(tmp_path / "sizes")
    assert load(tmp_path / "sizes", image_size=4).event_shape == (4, 4, 3)

    save_image(tmp_path / "mixed" / "a.png", gradient_image(4, 4))
    save_image(tmp_path / "mixed" / "class" / "b.png", gradient_image(4, 4))
    with pytest.raises(ValueError, match="either all in subfolders"):
        load(tmp_path / "mixed")

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="a.png: not a readable image"):
        load(tmp_path / "broken")

    save_image(tmp_path / "cut" / "a.bmp", gradient_image(30, 30))
    whole = (tmp_path / "cut" / "a.bmp").read_bytes()
    (tmp_path / "cut" / "a.bmp").write_bytes(whole[:500])
    with pytest.raises(ValueError, match="a.bmp: not a readable image"):
        load(tmp_path / "cut")

    save_image(tmp_path / "deep" / "a.png", np.full([4, 4], 3000, "uint16"))
    with pytest.raises(ValueError, match="at most 8 bits per channel"):
        load(tmp_path / "deep")

    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match="expected a folder of images or a file .*csv"):
        load(tmp_path / "a.txt")


def test_files_that_are_none(tmp_path):
    """Files whose reading would never end, or cannot be done, are refused."""
    for name, target, words in [
        ("a.csv", "/dev/zero", "expected a regular file, got a device"),
        ("a.npy", "/dev/random", "expected a regular file, got a device"),
        ("b.csv", "/proc/self/mem", "Input/output error"),
    ]:
        (tmp_path / name).symlink_to(target)
        with pytest.raises(ValueError, match=f"{name}: {words}|{name}: .*{words}"):
            load(tmp_path / name)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    """All of the images are the data: a part of them would be another data set."""
    for name in ("a", "b"):
        for i in range(2):
            save_image(tmp_path / name / f"{i}.png", np.full([4, 4], i, "uint8"))
    scan = os.scandir

    def denied(path):
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(PermissionError, match="Permission denied: '.*/b'"):
        load(tmp_path)


def test_images_that_pillow_warns_of(tmp_path, monkeypatch):
    for i in range(2):
        save_image(tmp_path / f"{i}.png", gradient_image(4, 4))
    for most, words in ((10, "exceeds limit of 10 pixels"), (5, "exceeds limit of 10 pixels")):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with pytest.raises(ValueError, match=f"0.png: not a readable image: .*{words}"):
            load(tmp_path)


def test_array_files(tmp_path):
    x = np.random.default_rng(0).normal(size=[40, 3])
    np.save(tmp_path / "x.npy", x)
    data = load(tmp_path / "x.npy")
    assert (data.kind, data.event_shape, data.num_classes) == ("real", (3,), None)
    assert (len(data.train[0]), len(data.test[0])) == (36, 4)
    assert data.train[0].dtype == np.float32
    assert data.train[1] is None
    assert sorted(rows(np.concatenate([data.train[0], data.test[0]]))) == sorted(
        rows(x.astype("float32"))
    )

    pixels = np.arange(40, dtype="uint8")[:, None, None, None] * np.ones([1, 4, 4, 1], "uint8")
    np.savez(tmp_path / "xy.npz", x=pixels, y=np.arange(40) % 3)
    data = load(tmp_path / "xy.npz", seed=5)
    assert (data.kind, data.event_shape, data.num_classes) == ("uint8", (4, 4, 1), 3)
    for x, y in (data.train, data.test):
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, x[:, 0, 0, 0] % 3)
    assert load(tmp_path / "xy.npz", image_size=2).event_shape == (2, 2, 1)

    np.savez(tmp_path / "conditions.npz", x=np.zeros([10, 2]), y=np.ones([10, 5]))
    data = load(tmp_path / "conditions.npz")
    assert (data.train[1].shape, data.train[1].dtype) == ((9, 5), np.float32)
    assert data.num_classes is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros([5, 2])}, r"expected the keys x .*got \['images'\]"),
        ({"x": np.zeros([5, 2], "int64")}, "expected x uint8 .*got int64"),
        ({"x": np.zeros([5])}, "rank 2 or more"),
        ({"x": np.zeros([0, 2])}, "expected x"),
        ({"x": np.zeros([5, 2]), "y": np.zeros([4], int)}, r"expected y .*got int64 \[4\]"),
        ({"x": np.zeros([5, 2]), "y": np.full([5], -1)}, "expected labels 0, 1"),
        ({"x": np.zeros([5, 2]), "y": np.array(list("abcde"))}, "expected y"),
        ({"x": np.array([[None]] * 5)}, "not a readable array file: x holds pickled"),
        ({"x": np.zeros([5, 2], "<U3")}, "expected x of numbers, got <U3"),
        ({"x": np.zeros([5, 2], complex)}, "expected x of numbers, got complex128"),
        ({"x": np.full([5, 2], np.nan)}, r"a.npz: `x` must be finite; row 0 .*\(5 such rows\)"),
        ({"x": np.full([5, 2], 1e300)}, "a.npz: `x` must be finite; row 0"),
        ({"x": np.zeros([5, 2]), "y": np.full([5, 2], np.inf)}, "`y` must be finite; row 0"),
        ({"x": np.zeros([5, 2]), "y": np.full([5], 2**31)}, "expected labels 0, 1.* to 2147483648"),
        ({"x": np.arange(10.0).reshape(5, 2) + 1e9}, "a.npz: `x` has values up to 1000000008"),
    ],
)
def test_array_files_refuse(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "a.npz")


def test_forms_of_array_files(tmp_path):
    """Fortran's order, the format's second version, small floats; other arrays are left alone."""
    x = np.random.default_rng(0).normal(size=[40, 3]).astype("float16")
    np.save(tmp_path / "order.npy", np.asfortranarray(x))
    with open(tmp_path / "version.npy", "wb") as file:
        np.lib.format.write_array(file, x, (2, 0))
    np.savez_compressed(tmp_path / "more.npz", x=x)
    with zipfile.ZipFile(tmp_path / "more.npz", "a") as archive:
        archive.writestr("other.npy", "no array")
    expected = sorted(rows(x.astype("float32")))
    for name in ("order.npy", "version.npy", "more.npz"):
        data = load(tmp_path / name)
        assert sorted(rows(np.concatenate([data.train[0], data.test[0]]))) == expected


@pytest.mark.parametrize(
    ("shape", "size", "words"),
    [
        ((10**12, 2), 100, r"x should be float64 \[1000000000000, 2\], 16000000000000 bytes"),
        ((-5, -2), 100, r"x should be float64 \[-5, -2\]"),
        ((5, 2), 79, ".* and there are 79: the file was cut off"),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_headers_are_not_trusted(tmp_path, monkeypatch, suffix, shape, size, words):
    monkeypatch.setattr(np.lib.format, "read_array", None)
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(size)
    if suffix == "npy":
        (tmp_path / "a.npy").write_bytes(content)
    else:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", content)
    with pytest.raises(ValueError, match=f"a.{suffix}: not a readable array file: {words}"):
        load(tmp_path / f"a.{suffix}")


def test_arrays_that_are_too_large(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros([1000, 3], "float16"))
    np.savetxt(tmp_path / "a.csv", np.zeros([100, 3]), "%d", ",")
    for most, name, words in [
        (10_000, "a.npz", r"x \[1000, 3\] would take"),
        (599, "a.csv", "the file would take"),
        (1000, "a.csv", "the table up to line 42 would take"),
    ]:
        monkeypatch.setattr(images, "MAX_BYTES", most)
        with pytest.raises(ValueError, match=f"{name}: not a readable array file: {words}"):
            load(tmp_path / name)


def test_image_size_of_arrays_needs_images(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros([5, 2]))
    with pytest.raises(ValueError, match=r"image_size needs x uint8 \[n, h, w, c\]"):
        load(tmp_path / "a.npy", image_size=8)


# TFDS


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    """A `data_dir` with small data sets that TFDS has no code for."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")

    def store(name, features, **splits):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=folder,
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: list(enumerate(examples)) for split, examples in splits.items()},
            disable_shuffling=True,
        )

    def examples(count, start=0):
        return [
            {
                "image": np.full([4, 4, 1], (start + i) % 256, "uint8"),
                "label": (start + i) % 3,
                "name": "x",
            }
            for i in range(count)
        ]

    fixed = {
        "image": tfds.features.Image(shape=(4, 4, 1)),
        "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
        "name": tfds.features.Text(),
    }
    store("tiny_split", fixed, train=examples(300), test=examples(20, start=100))
    store("tiny_train", fixed, train=examples(50))
    store("tiny_test", fixed, test=examples(5))
    sizes = [{"image": gradient_image(8, 8 + i)} for i in range(20)]
    store("tiny_sizes", {"image": tfds.features.Image()}, train=sizes)
    store("tiny_text", {"name": tfds.features.Text()}, train=[{"name": "x"}] * 5)
    return folder


def test_tfds_splits_and_labels(tfds_dir):
    data = load("tiny_split", data_dir=tfds_dir)
    assert (data.kind, data.event_shape, data.num_classes) == ("uint8", (4, 4, 1), 3)
    assert data.class_names == ("a", "b", "c")
    levels = np.arange(300) % 256
    assert sorted(data.train[0][:, 0, 0, 0]) == sorted(levels)
    np.testing.assert_array_equal(np.sort(data.test[0][:, 0, 0, 0]), np.arange(100, 120))
    np.testing.assert_array_equal(data.test[1], data.test[0][:, 0, 0, 0] % 3)
    assert data.test[1].dtype == np.int64
    assert load("tiny_split:1.0.0", data_dir=tfds_dir, image_size=2).event_shape == (2, 2, 1)


def test_tfds_holds_out(tfds_dir):
    data = load("tiny_train", data_dir=str(tfds_dir))
    assert (len(data.train[0]), len(data.test[0])) == (45, 5)
    for x, y in (data.train, data.test):
        np.testing.assert_array_equal(y, x[:, 0, 0, 0] % 3)
    again = load("tiny_train", data_dir=tfds_dir, seed=1)
    assert set(rows(again.test[0])) != set(rows(data.test[0]))


def test_tfds_sizes_differ(tfds_dir):
    with pytest.raises(ValueError, match="an image of tiny_sizes is .*Pass image_size"):
        load("tiny_sizes", data_dir=tfds_dir)
    data = load("tiny_sizes", data_dir=tfds_dir, image_size=6)
    assert data.train[0].shape == (18, 6, 6, 3)
    assert data.train[1] is None
    assert data.num_classes is None


def test_tfds_refuses(tfds_dir, monkeypatch):
    with pytest.raises(ValueError, match=r"expected a split 'train', got \['test'\]"):
        load("tiny_test", data_dir=tfds_dir)
    with pytest.raises(ValueError, match="tiny_text: expected a uint8 feature 'image'"):
        load("tiny_text", data_dir=tfds_dir)
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"320 images of \[4, 4, 1\].*tf.data pipeline"):
        load("tiny_split", data_dir=tfds_dir)


def test_tfds_files_that_are_damaged(tfds_dir, tmp_path):
    name, words = "tiny_train", "the TFDS data set 'tiny_train' cannot be read"
    for fault in ("records", "cut", "info", "features"):
        folder = tmp_path / fault / name
        shutil.copytree(tfds_dir / name, folder)
        (records,) = folder.rglob("*-of-*")
        if fault == "records":
            records.unlink()
        elif fault == "cut":
            os.truncate(records, records.stat().st_size // 2)
        else:
            (file,) = folder.rglob("features.json" if fault == "features" else "dataset_info.json")
            file.write_text("{")
        told = "features.json: not a readable TFDS file" if fault == "features" else words
        with pytest.raises(ValueError, match=told):
            load(name, data_dir=tmp_path / fault)


def test_tfds_takes_features_that_are_known(tfds_dir, tmp_path, monkeypatch):
    """TFDS finds the features of a module that somebody imported; others would be imported."""
    import tensorflow_datasets as tfds

    shutil.copytree(tfds_dir / "tiny_train", tmp_path / "tiny_train")
    (file,) = tmp_path.rglob("features.json")
    content = json.loads(file.read_text())
    content["featuresDict"]["features"]["image"]["pythonClassName"] = "mine.Image"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="names the class 'mine.Image', .* import mine first"):
        load("tiny_train", data_dir=tmp_path)
    mine = types.ModuleType("mine")
    mine.Image = type("Image", (tfds.features.Image,), {"__module__": "mine"})
    monkeypatch.setitem(sys.modules, "mine", mine)
    assert load("tiny_train", data_dir=tmp_path).event_shape == (4, 4, 1)


def test_tfds_missing_is_told_at_once_without_network(tmp_path, monkeypatch):
    def no_network(*arguments, **options):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    (tmp_path / "cifar10_old").mkdir()
    start = time.perf_counter()
    for data_dir in (tmp_path, tmp_path / "not_there"):
        with pytest.raises(FileNotFoundError, match="'cifar10' is not in") as error:
            load("cifar10", data_dir=data_dir)
        for word in ("download=True", "--download", "data_dir", str(tmp_path)):
            assert word in str(error.value)
    with pytest.raises(FileNotFoundError, match="has: cifar10_old"):
        load("cifar10", data_dir=tmp_path)
    # A folder of that name, as a download that was cut off leaves it, is not the data.
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="mnist has: 3.0.1"):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="'emnist/letters' is not in"):
        load("emnist/letters", data_dir=tmp_path)
    assert time.perf_counter() - start < 10


def test_tfds_downloads_only_when_asked(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    asked = []

    class Builder:
        def download_and_prepare(self):
            asked.append("download")
            raise ConnectionError("stop here")

    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: asked.append(name) or Builder())
    with pytest.raises(FileNotFoundError):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(ValueError, match="image_size"):
        load("mnist", data_dir=tmp_path, download=True, image_size=0)
    assert asked == []
    with pytest.raises(ConnectionError):
        load("mnist", data_dir=tmp_path, download=True)
    assert asked == ["mnist", "download"]


def test_folder_here_gives_way_to_data_dir(tmp_path, tfds_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        save_image(tmp_path / "tiny_train" / f"{i}.png", gradient_image(7, 7))
    assert load("tiny_train").event_shape == (7, 7, 3)
    assert load("tiny_train", data_dir=tfds_dir).event_shape == (4, 4, 1)


# -------------------------------------------------------------------------------------- tables


def test_tables(tmp_path):
    x = np.random.default_rng(0).normal(3, 1e4, size=[30, 3])
    np.savetxt(tmp_path / "bare.csv", x, delimiter=",")
    data = load(tmp_path / "bare.csv")
    assert (data.kind, data.event_shape, data.train[1]) == ("real", (3,), None)
    found = np.concatenate([data.train[0], data.test[0]])
    assert sorted(rows(found)) == sorted(rows(x.astype("float32")))

    lines = ["\ufeffheight, y,width", *(f"{a},{i % 3},{b}" for i, (a, b, _) in enumerate(x))]
    (tmp_path / "named.csv").write_text("\n".join(lines), encoding="utf-8")
    data = load(tmp_path / "named.csv")
    assert (data.event_shape, data.num_classes) == ((2,), 3)
    values = dict(zip(x[:, 0].astype("float32"), np.arange(30) % 3, strict=True))
    for row, y in zip(*data.train, strict=True):
        assert values[row[0]] == y

    (tmp_path / "conditions.tsv").write_text("# made by hand\n\ny\ta\n0.5\t1\n1\t2\n0.1\t3\n")
    data = load(tmp_path / "conditions.tsv")
    assert data.train[1].shape == (2, 1) and data.num_classes is None
    # Whole numbers that are no labels.
    (tmp_path / "counts.csv").write_text("a,y\n1,35\n2,62\n3,-1\n")
    data = load(tmp_path / "counts.csv")
    assert data.train[1].shape == (2, 1) and data.num_classes is None


def test_targets_of_tables(tmp_path):
    species = ["setosa", "virginica", "Iris"] * 4
    lines = ["height,species,width", *(f"{i},{s},{-i}" for i, s in enumerate(species))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = load(tmp_path / "a.csv", target="species")
    assert (data.num_classes, data.class_names) == (3, ("Iris", "setosa", "virginica"))
    for (height, width), y in zip(*data.train, strict=True):
        assert data.class_names[y] == species[int(height)] and width == -height
    # A number is a condition, as that of a column y is; y may be names, too.
    assert load(tmp_path / "a.csv", target="species").train[0].shape == (11, 2)
    lines = ["y,width", *(f"{s},{i}" for i, s in enumerate(species))]
    (tmp_path / "b.tsv").write_text("\n".join(lines).replace(",", "\t"))
    assert load(tmp_path / "b.tsv").num_classes == 3
    data = load(tmp_path / "b.tsv", target="y")
    assert data.train[1].dtype == "int64"
    (tmp_path / "c.csv").write_text("a,b,y\n1,0.5,3\n2,1.5,4\n3,2.5,5\n")
    assert load(tmp_path / "c.csv", target="b").train[1].shape == (2, 1)
    assert load(tmp_path / "c.csv", target="b").event_shape == (2,)


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("a,b\n1,2\n3,4\n", "bb", "expected one column named bb, got 0. Did you mean 'b'"),
        ("1,2\n3,4\n", "a", "expected one column named a, got 0"),
        ("a,b\n1,x\n3,4\n", "b", "line 3, column 2 must be the name of a class, .*; got '4'"),
        ("a,b\n1,x\n3,\n", "b", "line 3, column 2 must be the name of a class, .*; got ''"),
        ("a,b\n1,4\n3,x\n", "b", "line 3, column 2 must be a number; got 'x'"),
        ("a,b,c\n1,x,z\n", "b", "line 2, column 3 must be a number; got 'z'"),
    ],
)
def test_targets_that_tables_lack(tmp_path, text, target, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "a.csv", target=target)


def test_targets_are_of_tables(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros([3, 2]))
    for name in (tmp_path / "a.npy", tmp_path, "digits"):
        with pytest.raises(ValueError, match="`target` is the column of a .csv or .tsv table; got"):
            load(name, target="a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n\n3,x\n", "line 4, column 2 must be a number; got 'x'"),
        ("1,2\n3\n", "line 2 has 1 fields, the first has 2"),
        ("a,b\n1,\n", "line 2, column 2 must be a number; got ''"),
        ("1,,3\n4,5,6\n", "line 1, column 2 must be a number; got ''"),
        ("1;2\n3;4\n", "no rows below|must be a number; .* divided by ','"),
        ("a;b\n3;4\n", "must be a number; got '3;4' .fields are divided by ','"),
        ("", "it is empty"),
        ("a,b\n", "there are no rows below the names"),
        ("a,b\n1,1_0\n", "line 2, column 2 must be a number; got '1_0'"),
        ("1_0,2_0\n1,2\n", "line 1, column 1 must be a number; got '1_0'"),
        ("1,2\n3,\u0664\n", "line 2, column 2 must be a number; got"),
        ("# made\na,b\n\n1,nan\n", "line 4, column 2 must be a finite number.*; got 'nan'"),
        ("nan,nan\n1,2\n", "line 1, column 1 must be a finite number"),
        ("1,2\n-inf,2\n", "line 2, column 1 must be a finite number, up to 3.4e.38; got '-inf'"),
        ("1,2\n1,1e39\n", "line 2, column 2 must be a finite number, up to"),
        ("1,2\n,\n", "line 2, column 1 must be a number; got ''"),
        ('1,2\n"3,4\n5,6\n', "line 3: unexpected end of data"),
        ("1," + 200_000 * "1", "line 1: field larger than field limit"),
        ("a,y,y\n1,2,3\n", "expected one column named y, got 2"),
        ("1,2\n", "a.csv: a test split needs at least 2 examples"),
        ("y\n1\n2\n", "expected x"),
    ],
)
def test_tables_refuse(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "a.csv")


def test_tables_in_other_encodings(tmp_path, monkeypatch):
    for encoding, line in (("latin-1", 3), ("utf-16", 1)):
        (tmp_path / "a.csv").write_text("a,b\n1,2\n3,\u00e9\n", encoding=encoding)
        with pytest.raises(ValueError, match=f"a.csv: .*line {line} is not in UTF-8"):
            load(tmp_path / "a.csv")
    # Names may be in any script; lines may end as they did on old machines.
    (tmp_path / "a.csv").write_bytes("gr\u00f6\u00dfe,y\r1,0\r2,1\r3,1\r".encode())
    assert load(tmp_path / "a.csv").num_classes == 2
    monkeypatch.setattr(readers, "_LONGEST_LINE", 10)
    (tmp_path / "a.csv").write_text("1,2\n" + 20 * "0")
    with pytest.raises(ValueError, match="a.csv: .*line 2 has more than 10 characters"):
        load(tmp_path / "a.csv")


# Binarisation


def test_binarised_pixels_are_drawn_by_their_level():
    levels = load("digits")
    static = load("digits", binarise="static")
    for split in ("train", "test"):
        (x, y), (grey, labels) = getattr(static, split), getattr(levels, split)
        assert x.dtype == np.uint8 and set(np.unique(x)) == {0, 1}
        np.testing.assert_array_equal(y, labels)
        # Of each level, as many as its share of 255.
        for level in np.unique(grey):
            share, count = level / 255, (grey == level).sum()
            tolerance = 5 * np.sqrt(share * (1 - share) / count)
            assert abs(x[grey == level].mean() - share) <= tolerance
    # Runs of all seeds are scored on the same images.
    again = load("digits", binarise="static", seed=1)
    np.testing.assert_array_equal(again.train[0], static.train[0])


def test_dynamic_binarisation_leaves_probabilities_to_training():
    grey, dynamic, static = (load("digits", binarise=way) for way in (None, "dynamic", "static"))
    assert dynamic.train[0].dtype == np.float32
    np.testing.assert_allclose(255 * dynamic.train[0], grey.train[0], rtol=1e-6)
    # Scores of both ways are of the same test images.
    np.testing.assert_array_equal(dynamic.test[0], static.test[0])
    assert repr(dynamic).startswith("Data('digits', binary (dynamic) [8, 8, 1], 1500 train")


def test_binarisation_refuses():
    with pytest.raises(ValueError, match=r"binarise: expected one of \['static', 'dynamic'\]"):
        load("digits", binarise="random")
    with pytest.raises(ValueError, match="binarise: 'two_moons' must have grey levels"):
        load("two_moons", binarise="static")

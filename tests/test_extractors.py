"""Feature extractors: their treatment of images, their hashes; the classifier and its file."""

import dataclasses
import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.metrics import FeatureExtractor
from tfgen.metrics import KerasExtractor
from tfgen.metrics import SavedModelExtractor
from tfgen.metrics import classifier
from tfgen.metrics import classifiers
from tfgen.metrics import reference


def build(shape=(4, 4, 1), activation="softmax", hidden="relu", seed=0):
    start = {"kernel_initializer": keras.initializers.GlorotUniform(seed=seed)}
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(2, 3, activation="relu", **start),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(5, activation=hidden, **start),
            keras.layers.Dense(3, activation=activation, **start),
        ]
    )


def flat(shape, **options):
    """An extractor whose features are what the network is given."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten()])
    return KerasExtractor(model, name="flat", **options)


def images(n, seed=0, shape=(4, 4, 1)):
    return np.random.default_rng(seed).integers(0, 256, [n, *shape], dtype=np.uint8)


# -------------------------------------------------------------------------------------- images


def test_kinds_of_images_are_one_to_the_network():
    x, extractor = images(7), flat([4, 4, 1])
    expected = x.reshape(7, 16) / np.float32(255)
    np.testing.assert_array_equal(extractor(x), expected)
    np.testing.assert_array_equal(extractor(x.astype("int64")), expected)
    np.testing.assert_array_equal(extractor(x / 255), expected)
    np.testing.assert_array_equal(extractor(tf.constant(x)), expected)

    bits = x // 128
    for same in (bits.astype(bool), bits * np.uint8(255), bits.astype("float32")):
        np.testing.assert_array_equal(extractor(same), bits.reshape(7, 16))
    np.testing.assert_array_equal(extractor(bits, data_kind="binary"), bits.reshape(7, 16))
    dark = extractor(bits, data_kind="uint8")
    np.testing.assert_array_equal(dark, bits.reshape(7, 16) / np.float32(255))


def test_what_the_network_is_given():
    x = images(3)
    got = flat([4, 4, 3], input_range=(-1, 1))(x).reshape(3, 4, 4, 3)
    np.testing.assert_allclose(got, np.repeat(x / 127.5 - 1, 3, axis=-1), atol=1e-6)

    got = flat([9, 9, 1], resize=True)(x).reshape(3, 9, 9, 1)
    np.testing.assert_allclose(got, tf.image.resize(x / 255, [9, 9]), atol=1e-6)
    # Shrinking a chequerboard gives grey, not one of its colours.
    board = (np.indices([16, 16]).sum(0) % 2 == 0)[None, :, :, None]
    np.testing.assert_allclose(flat([4, 4, 1], resize=True)(board), 0.5, atol=0.05)


@pytest.mark.parametrize("batch_size", [1, 4, 10, 11])
def test_no_image_is_left_out(batch_size):
    x, extractor = images(11), KerasExtractor(build())
    features, probabilities = extractor.extract(x, batch_size=batch_size)
    assert (features.shape, features.dtype) == ((11, 5), "float32")
    each = [extractor(x[i : i + 1])[0] for i in range(11)]
    np.testing.assert_allclose(features, each, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(extractor.probabilities(x, batch_size=batch_size), probabilities)


@pytest.mark.parametrize(
    "x, options, words",
    [
        (images(3)[0], {}, r"`images` must have shape \[n, h, w, c\]; got \[4, 4, 1\]"),
        (images(0), {}, "`images` must have at least one row"),
        (images(3) // 128, {}, "`data_kind` is missing"),
        (images(3), {"data_kind": "grey"}, "`data_kind` must be one of .*'grey'"),
        (images(3), {"data_kind": "binary"}, "`images` must hold 0 or 1"),
        (images(3) / 2.0, {}, "`images` of real numbers must lie in 0..1; got values from"),
        (images(3) * np.nan, {}, "`images` must be finite"),
        (images(3) + np.int64(300), {}, "`images` must hold .*0..255"),
        (images(3, shape=(5, 4, 1)), {}, r"fit net, which takes \[4, 4, 1\]; got \[5, 4, 1\]; .*"),
        (images(3, shape=(4, 4, 3)), {}, r"fit net, which takes \[4, 4, 1\]; got \[4, 4, 3\]$"),
        (images(3), {"batch_size": 0}, "`batch_size` must be"),
    ],
)
def test_refuses_images(x, options, words):
    with pytest.raises(ValueError, match=words):
        KerasExtractor(build(), name="net")(x, **options)


# ---------------------------------------------------------------------------------- Keras models


def test_layers():
    x, model = images(3), build()
    assert KerasExtractor(model)(x).shape == (3, 5)
    assert KerasExtractor(model, layer="flat")(x).shape == (3, 8)
    without_dense = keras.Sequential([keras.Input([4, 4, 1]), *model.layers[:2]])
    assert KerasExtractor(without_dense)(x).shape == (3, 8)

    logits = KerasExtractor(build(activation=None), name="logits")
    assert not logits.is_classifier
    with pytest.raises(ValueError, match="logits gives no class probabilities"):
        logits.probabilities(x)
    softmax = keras.Sequential([keras.Input([4, 4, 1]), *model.layers[:3]])
    softmax.add(keras.layers.Dense(3))
    softmax.add(keras.layers.Softmax())
    assert KerasExtractor(softmax)(x).shape == (3, 5)
    assert KerasExtractor(softmax).probabilities(x).shape == (3, 3)


def test_dropout_is_off():
    inputs = keras.Input([4, 4, 1])
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Flatten()(inputs)))
    np.testing.assert_array_equal(KerasExtractor(model)(images(2)), flat([4, 4, 1])(images(2)))


def test_dense_layers_inside_are_not_the_last():
    inputs = keras.Input([4, 4, 1])
    x = keras.layers.Conv2D(2, 3)(keras.layers.Dense(7)(inputs))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    assert KerasExtractor(model)(images(2)).shape == (2, 2)


def test_a_global_mixed_policy_changes_nothing():
    model, x = build(), images(5)
    expected = KerasExtractor(model)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        got = KerasExtractor(model)
        np.testing.assert_array_equal(got(x), expected(x))
    finally:
        keras.config.set_dtype_policy("float32")
    assert got.hash == expected.hash


class Subclassed(keras.Model):
    def call(self, x):
        return keras.ops.reshape(x, [-1, 16])


def test_subclassed_models_can_be_wrapped():
    inputs = keras.Input([4, 4, 1])
    extractor = KerasExtractor(keras.Model(inputs, Subclassed()(inputs)))
    np.testing.assert_array_equal(extractor(images(2)), flat([4, 4, 1])(images(2)))
    assert len(extractor.hash) == 12


@pytest.mark.parametrize(
    "arguments, words",
    [
        (lambda: {"model": Subclassed()}, "`model` must be a built functional.*a Subclassed"),
        (lambda: {"model": keras.layers.Dense(1)}, "`model` must be a Model"),
        (lambda: {"model": keras.Sequential([keras.Input([3])])}, "of images"),
        (lambda: {"model": build(), "layer": "conv"}, "No such layer: conv"),
        (lambda: {"model": build(), "resize": 1}, "`resize` must be True or False; got 1"),
    ],
)
def test_refuses_models(arguments, words):
    with pytest.raises(ValueError, match=words):
        KerasExtractor(**arguments())


def test_resize_needs_a_size():
    model = keras.Sequential([keras.Input([None, None, 1]), keras.layers.GlobalMaxPooling2D()])
    assert KerasExtractor(model)(images(2)).shape == (2, 1)
    with pytest.raises(ValueError, match="`resize` needs a network of one size"):
        KerasExtractor(model, resize=True)
    with pytest.raises(ValueError, match=r"`layer` must be one whose output is \[n, d\]; got"):
        KerasExtractor(keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Conv2D(2, 3)]))


# ---------------------------------------------------------------------------------------- hashes


def test_hash_says_what_the_features_are_of(tmp_path):
    model = build()
    extractor = KerasExtractor(model, name="net")
    assert str(extractor) == f"net ({extractor.hash})"
    others = [
        KerasExtractor(build(seed=1)),
        KerasExtractor(model, layer="flat"),
        KerasExtractor(model, input_range=(-1, 1)),
        KerasExtractor(model, resize=True),
        KerasExtractor(build(activation=None)),
        KerasExtractor(build(hidden="tanh")),
    ]
    assert len({extractor.hash, *(other.hash for other in others)}) == 7
    # Names, compiling, a file and what the features do not depend on make no difference.
    assert others[4].hash == KerasExtractor(build(activation="tanh")).hash
    again = build()
    again.save(tmp_path / "model.keras")
    again.compile("adam", "mse")
    for same in (again, keras.models.load_model(tmp_path / "model.keras")):
        assert KerasExtractor(same, name="other").hash == extractor.hash
    # Further training does.
    before = extractor.hash
    model.layers[0].bias.assign_add([0.0, 1e-6])
    assert extractor.hash != before


PROCESS = """
import sys
sys.path.insert(0, "tests")
import keras
keras.layers.Dense(2), keras.layers.Flatten()  # so that names are others
import test_extractors
print(test_extractors.KerasExtractor(test_extractors.build()).hash)
"""


@pytest.mark.slow
def test_hash_in_another_process():
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PROCESS]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == KerasExtractor(build()).hash


# ----------------------------------------------------------------------------------- SavedModels


@pytest.fixture
def saved_model(tmp_path):
    model = build()
    outputs = {"pool": model.layers[-1].input, "classes": model.outputs[0]}
    both = keras.Model(model.inputs, {**outputs, "map": model.layers[0].output})
    both.export(tmp_path / "net", verbose=False)
    return model, tmp_path / "net"


def test_saved_model(saved_model):
    model, folder = saved_model
    x, expected = images(7), KerasExtractor(model).extract(images(7))
    extractor = SavedModelExtractor(folder, features="pool", probabilities="classes")
    assert str(extractor) == f"net ({extractor.hash})"
    for a, b in zip(extractor.extract(x, batch_size=3), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert extractor.hash == SavedModelExtractor(folder, "pool", "classes").hash
    one = SavedModelExtractor(folder, "pool")
    assert one.hash != extractor.hash and not one.is_classifier
    with pytest.raises(ValueError, match="net gives no class probabilities"):
        one.probabilities(x)
    with pytest.raises(ValueError, match=r"`images` must fit net, which takes \[4, 4, 1\]"):
        one(images(2, shape=(5, 5, 1)))


def test_saved_model_refuses(saved_model, tmp_path):
    _, folder = saved_model
    with pytest.raises(ValueError, match="`folder` must be that of a SavedModel; got"):
        SavedModelExtractor(tmp_path)
    with pytest.raises(ValueError, match="`features` must be one of .*'pool'.*; got None"):
        SavedModelExtractor(folder)
    with pytest.raises(ValueError, match=r"`features` must name an output \[n, d\]; .*4 axes"):
        SavedModelExtractor(folder, "map")
    with pytest.raises(ValueError, match="`probabilities` must be one of .*; got 'p'"):
        SavedModelExtractor(folder, "pool", "p")
    with pytest.raises(ValueError, match="`signature` must be one of .*; got 'run'"):
        SavedModelExtractor(folder, "pool", signature="run")


# ------------------------------------------------------------------------------------- Inception


def test_inception_is_named_for_what_it_is(monkeypatch):
    asked = []

    def network(**options):
        asked.append(options)
        return build((8, 8, 3))

    monkeypatch.setattr(keras.applications, "InceptionV3", network)
    extractor = tfgen.metrics.inception_v3()
    assert asked == [{"weights": "imagenet"}]
    assert str(extractor) == f"keras_inception_v3_not_tf_2015 ({extractor.hash})"
    assert extractor(images(2, shape=(28, 28, 1))).shape == (2, 5)
    assert extractor.input_range == (-1, 1) and extractor.is_classifier


# ------------------------------------------------------------------------------------ classifier


def random_state():
    draws = [random.random(), np.random.rand()]
    return [*draws, *(float(r.normal([])) for r in (tf.random, keras.random))]


def test_classifier(tmp_path, capsys, monkeypatch):
    data = tfgen.data.load("fashion_mnist_small")
    keras.utils.set_random_seed(3)
    undisturbed = random_state() + random_state()
    keras.utils.set_random_seed(3)
    before = random_state()
    first = classifier(data, tmp_path / "new", num_steps=40)
    assert before + random_state() == undisturbed

    (file,) = (tmp_path / "new").iterdir()
    out = capsys.readouterr().out
    assert out.startswith(f"classifier_fashion_mnist_small ({first.hash}): ")
    assert float(out.split()[2]) > 55 and str(file) in out
    assert first(data.test[0]).shape == (len(data.test[0]), 64)
    assert first.probabilities(data.test[0][:3]).shape == (3, 10)

    # Now from the file, also by its default place.
    monkeypatch.setattr(classifiers, "_fit", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "new").rename(tmp_path / "tfgen")
    again = classifier(data, num_steps=40, verbose=False)
    assert capsys.readouterr().out == ""
    assert again.hash == first.hash


# `test_classifier` sees that its draws are apart from the global ones.
@pytest.mark.slow
def test_classifier_is_the_same_whatever_the_global_seed(tmp_path):
    data = tfgen.data.load("digits", binarise="dynamic")
    hashes = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        found = classifier(data, tmp_path / str(seed), num_steps=3, verbose=False)
        hashes.append(found.hash)
    assert hashes[0] == hashes[1]


def test_classifier_of_other_data_or_settings_is_another(tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "_fit", lambda *arguments: None)
    data = tfgen.data.load("digits")
    x, y = data.train
    other = dataclasses.replace(data, train=(x, (y + 1) % 10))
    bits = tfgen.data.load("digits", binarise="dynamic")
    settings = [
        (data, {}),
        (data, {"seed": 1}),
        (data, {"num_steps": 2}),
        (other, {}),
        (bits, {}),
    ]
    for found, options in settings:
        classifier(found, tmp_path, verbose=False, **{"num_steps": 1, **options})
    files = list(tmp_path.iterdir())
    assert len(files) == len(settings)
    assert all(file.name.startswith("classifier_digits_") for file in files)


def test_classifier_refuses():
    with pytest.raises(ValueError, match=r"`data` must be images .*got Data\('two_moons'"):
        classifier(tfgen.data.load("two_moons"))
    with pytest.raises(ValueError, match="`seed` must be"):
        classifier(tfgen.data.load("digits"), seed=-1)


# ------------------------------------------------------------------------------------- reference


def test_reference_is_kept_and_never_stale(tmp_path, monkeypatch):
    path, extractor = tmp_path / "new" / "reference.npz", KerasExtractor(build(), name="net")
    passes = []
    extract = FeatureExtractor.extract
    monkeypatch.setattr(
        FeatureExtractor, "extract", lambda *a, **k: passes.append(1) or extract(*a, **k)
    )
    made = reference(extractor, images(9), cache=path)
    assert (made.extractor, made.hash, made.moments.count) == ("net", extractor.hash, 9)
    loaded = reference(extractor, images(9), cache=path)
    assert len(passes) == 1
    for name in ("extractor", "hash", "data"):
        assert getattr(loaded, name) == getattr(made, name)
    np.testing.assert_array_equal(loaded.features, made.features)
    np.testing.assert_array_equal(loaded.moments.covariance, made.moments.covariance)
    np.testing.assert_array_equal(loaded.moments.mean, made.moments.mean)
    assert list(path.parent.iterdir()) == [path]

    # Other images, another kind, another network.
    x = images(9)
    x[8, 3, 3, 0] ^= 1
    bits = images(9) // 128
    others = [
        (extractor, x, None),
        (extractor, bits, "binary"),
        (extractor, bits, "uint8"),
        (KerasExtractor(build(seed=1)), bits, "uint8"),
    ]
    for count, (network, given, kind) in enumerate(others):
        found = reference(network, given, cache=path, data_kind=kind)
        assert len(passes) == count + 2
        np.testing.assert_array_equal(found.features, network(given, data_kind=kind))
        passes.pop()
        assert reference(network, given, cache=path, data_kind=kind).hash == network.hash
        assert len(passes) == count + 2


def test_reference_overwrites_no_other_file(tmp_path):
    extractor = KerasExtractor(build())
    path = tmp_path / "data.npz"
    np.savez(path, x=np.ones(3))
    for _ in range(2):
        before = path.read_bytes()
        with pytest.raises(ValueError, match="`cache` must be a file that `reference` wrote"):
            reference(extractor, images(9), cache=path)
        assert path.read_bytes() == before
        path.write_text("something else")

"""Files give back what was written: `.keras` files, SavedModels, presets, configurations.

Two other processes read what this one writes: one with tfgen and nothing of these tests, one
without tfgen.
"""

import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import zoo
from test_bijectors import arguments

import tfgen
from tfgen.models import Flow
from tfgen.testing import models as testing

# Without parts that only this process knows.
NAMES = [name for name, entry in zoo.KINDS.items() if not entry.own_parts]
OWN = [name for name, entry in zoo.MODELS.items() if entry.own_parts]
SEED, TEMPERATURE = 3, 0.7

RELOAD = """
import sys
from pathlib import Path
import keras
import numpy as np
import tfgen

for line in sys.stdin:
    path = Path(line.strip())
    model = keras.models.load_model(path / "model.keras")
    data = np.load(path / "data.npz")
    y = data["y"] if "y" in data else None
    outputs = model(data["x"] if y is None else (data["x"], y))
    np.savez(
        path / "result.npz",
        outputs=outputs,
        needs_adapt=model._needs_adapt(),
        compiled=model.compiled,
        iterations=model.optimizer.iterations,
    )
    print("done", flush=True)
"""

SERVE = """
import sys
for name in ("tfgen", "tensorflow_probability", "tf_keras"):
    sys.modules[name] = None  # an import fails
from pathlib import Path
import numpy as np
import tensorflow as tf

for line in sys.stdin:
    path = Path(line.strip())
    served = tf.saved_model.load(str(path / "export")).signatures
    data = {k: tf.constant(v) for k, v in np.load(path / "data.npz").items()}
    condition = {"condition": data["y"]} if "y" in data else {}
    x, n = {"x": data["x"]}, len(data["x"])
    own = {"log_prob": x, "encode": x, "decode": {"z": data.get("z")}, "sample": {}}
    own |= {"classify": x}
    if any(name.endswith("_of_image") for name in served):
        files = {"image": tf.stack([tf.io.encode_png(image) for image in data["x"]])}
        own |= {"log_prob_of_image": files, "encode_of_image": files}
    first = next(k for k in ("log_prob", "decode", "sample") if k in served)
    own["serving_default"] = own[first]
    noise = {"seed": tf.constant([3, 0]), "temperature": tf.constant(0.7)}
    by_row = {"seed": tf.fill([n], tf.constant(3, tf.int64)), "row": tf.range(n, dtype=tf.int64)}
    results = {}
    for name, function in served.items():
        rows = {**own[name.removesuffix("_by_row")], **condition}
        if name == "sample" or (name, first) == ("serving_default", "sample"):
            rows |= {"num_samples": tf.constant(n), **noise}
        elif name.endswith("_by_row"):
            rows |= by_row
            last = {k: v[-1:] for k, v in rows.items()}
            (results[name + " last"],) = function(**last).values()
        given = function(**rows)
        if name == "classify":
            del given["label"]
        (results[name],) = given.values()
    np.savez(path / "result.npz", **results)
    print("done", flush=True)
"""


def latents_of(case):
    return np.random.default_rng(0).normal(size=(len(case.x), *case.model.latent_shape)).astype("f")


class Reader:
    """Another process that reads what this one writes, a folder at a time."""

    def __init__(self, script, folder, python_path):
        self._errors = folder / "errors"
        with open(self._errors, "w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", script],
                env={**os.environ, "PYTHONPATH": python_path},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def read(self, case, folder):
        """The process's answers about a model in a folder."""
        data = {"x": case.x} if case.y is None else {"x": case.x, "y": cast(case)}
        if case.model.latent_shape is not None:
            data["z"] = latents_of(case)
        np.savez(folder / "data.npz", **data)
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise AssertionError(self._errors.read_text()[-3000:])
        with np.load(folder / "result.npz") as results:
            return dict(results)

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


# Of the session: tests of one entry stand together, and those of a module apart.
@pytest.fixture(scope="session")
def tfgen_reader(tmp_path_factory):
    root = os.path.dirname(os.path.dirname(os.path.abspath(tfgen.__file__)))
    reader = Reader(RELOAD, tmp_path_factory.mktemp("reader"), root)
    yield reader
    reader.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    reader = Reader(SERVE, tmp_path_factory.mktemp("server"), "")
    yield reader
    reader.close()


def cast(case):
    return case.y.astype("int32") if case.model.num_classes else case.y


def assert_close(case, got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * case.model.num_dims)


def assert_same_pixels(case, got, expected):
    assert got.dtype == expected.dtype
    if case.model.data_kind == "real":
        assert_close(case, got, expected)
    else:
        assert (got != expected).mean() < 0.01


@pytest.mark.parametrize("name", zoo.but_slow({"realnvp_condition"}, NAMES))
def test_reloaded_in_another_process(name, tfgen_reader, tmp_path):
    case = zoo.case(name)
    case.model.save(tmp_path / "model.keras")
    got = tfgen_reader.read(case, tmp_path)
    outputs = testing.outputs(case.model, case.x, case.y).numpy()
    if case.entry.reconstructs:
        assert_same_pixels(case, got["outputs"], outputs)
    else:
        assert_close(case, got["outputs"], outputs)
    assert not got["needs_adapt"]
    assert got["compiled"]
    assert got["iterations"] == case.model.optimizer.iterations.numpy()


# With all signatures between them: images and labels, vectors, fitted latents.
SERVED = {"glow_classes", "realnvp_condition", "autoencoder"}


@pytest.mark.parametrize("name", zoo.but_slow(SERVED, {*NAMES, *SERVED}))
def test_served_without_tfgen(name, server, tmp_path):
    case = zoo.case(name)
    model = case.model
    model.export(tmp_path / "export", verbose=False)
    got = server.read(case, tmp_path)
    x, y = case.x, case.y
    expected = {"sample": model.sample(len(x), y, TEMPERATURE, seed=SEED)}
    expected["sample_by_row"] = model.sample(len(x), y, seed=SEED)
    if case.model.has_likelihood:
        expected["log_prob"] = model.log_prob(x, y, seed=0)
        expected["log_prob_by_row"] = model.log_prob(x, y, seed=SEED)
    if "encode" in model.signatures():
        expected["encode"] = model.encode(x, y)
    if "classify" in model.signatures():
        expected["classify"] = model.class_log_probs(x)
    if model.latent_shape is not None:
        seeds = [{"seed": 0}, {"seed": SEED}] if case.entry.draws else [{}, {}]
        for key, seed in zip(("decode", "decode_by_row"), seeds, strict=True):
            expected[key] = model.decode(latents_of(case), y, **seed)
    if (
        model.data_kind == "uint8"
        and model.event_shape[-1] in (1, 3)
        and len(model.event_shape) == 3
    ):
        both = expected.keys() & {"log_prob", "encode"}
        expected |= {f"{key}_of_image": expected[key] for key in both}
    first = next(k for k in ("log_prob", "decode", "sample") if k in expected)
    expected["serving_default"] = expected[first]
    # Served by row is what draws, and only that.
    draws = {"sample_by_row"}
    for name in {"log_prob", "decode"} & expected.keys():
        same = np.array_equal(expected[name], expected[f"{name}_by_row"])
        draws |= set() if same else {f"{name}_by_row"}
    assert {k for k in got if k.endswith("_by_row")} == draws
    lasts = {f"{k} last": expected[k][-1:] for k in draws}
    assert got.keys() == {k for k in expected if not k.endswith("_by_row")} | draws | lasts.keys()
    for name, value in {**expected, **lasts}.items():
        if name in got:
            # Figures, which an optimizer of graphs may round otherwise, or examples.
            kind = first if name == "serving_default" else name
            figures = any(word in kind for word in ("log_prob", "encode", "classify"))
            close = assert_close if figures else assert_same_pixels
            close(case, got[name], np.asarray(value))


def test_own_parts_are_reloaded_where_they_are_known(tmp_path):
    for name in OWN:
        case = zoo.untrained(name)
        case.model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(
            loaded.log_prob(case.x, case.y), case.model.log_prob(case.x, case.y)
        )


def test_weights_alone(tmp_path):
    case = zoo.case("realnvp_2")
    case.model.save_weights(tmp_path / "model.weights.h5")
    model = case.entry.build()
    model.load_weights(tmp_path / "model.weights.h5")
    assert not model._needs_adapt()
    np.testing.assert_array_equal(model.log_prob(case.x), case.model.log_prob(case.x))


def test_a_trained_model_is_not_initialised_again(tmp_path):
    """Fine-tuning starts where training has stopped."""
    case = zoo.case("realnvp_2")
    case.model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(100 * case.x, verbose=0)
    np.testing.assert_array_equal(model.log_prob(case.x), case.model.log_prob(case.x))


# ------------------------------------------------------------------------------------ configs


@pytest.mark.parametrize("name", zoo.MODELS)
def test_config_round_trip(name):
    model = zoo.case(name).model
    config = keras.saving.serialize_keras_object(model)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(copy) is type(model)
    again = keras.saving.serialize_keras_object(copy)
    assert json.dumps(again["config"]) == json.dumps(config["config"])
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]
    assert copy.likelihood == model.likelihood
    assert copy.event_shape == model.event_shape
    assert copy.condition_shape == model.condition_shape


@pytest.mark.parametrize("recipe", [tfgen.RealNVP, *zoo.slow(tfgen.MAF)])
@pytest.mark.parametrize("transform", ["affine", tfgen.bijectors.SigmoidAffine()])
def test_a_transform_by_name_and_one_as_it_is(recipe, transform):
    """A name means something else to a recipe than to a coupling."""
    model = recipe(2, num_layers=1, hidden_units=(4,), transform=transform)
    copy = recipe.from_config(model.get_config())
    x = np.ones((1, 2))
    zoo.perturb(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.log_prob(x), model.log_prob(x))


@pytest.mark.parametrize(
    "name",
    ["glow_classes", "realnvp_2", "flow", "vae", "autoencoder", "injective_flow", "wgan", "cq"],
)
def test_no_argument_is_forgotten(name):
    """Every argument of a constructor, its own or its bases', is in the configuration."""
    model = zoo.MODELS[name].build()
    # A recipe makes its bijector itself and takes none.
    own = {"trainable", "parts", "networks", "args"} | (
        {"bijector"} if type(model) is not Flow else set()
    )
    if isinstance(model, tfgen.models.EncoderDecoder):
        own.add("num_bits")  # The observation's.
    assert arguments(type(model)) - own == set(model.get_config()) - {"frozen"}


# ------------------------------------------------------------------------------------ presets


@pytest.mark.parametrize("name", ["glow_classes", *zoo.slow("realnvp_condition")])
def test_preset_round_trip(name, tmp_path):
    case = zoo.case(name)
    case.model.save_to_preset(tmp_path / "preset", description="a test's")
    cls = type(case.model)
    assert cls.read_preset(tmp_path / "preset")["description"] == "a test's"
    for preset in (tmp_path / "preset", str(tmp_path / "preset")):
        model = tfgen.GenerativeModel.from_preset(preset)
        assert type(model) is cls
        assert model.compiled
        assert not model._needs_adapt()
    np.testing.assert_array_equal(
        model.log_prob(case.x, case.y), case.model.log_prob(case.x, case.y)
    )
    other = tfgen.Glow if cls is tfgen.RealNVP else tfgen.RealNVP
    with pytest.raises(ValueError, match=f"is a {cls.__name__}, not a {other.__name__}"):
        other.from_preset(tmp_path / "preset")


PRESETS = tfgen.GenerativeModel.presets()


def test_presets_are_described():
    assert set(tfgen.Glow.presets()) < set(PRESETS)
    for name, description in PRESETS.items():
        content = tfgen.GenerativeModel.read_preset(name)
        assert description == content["description"] != ""
        recipe = getattr(tfgen, content["model"]["class_name"].split(">")[-1])
        assert set(content["model"]["config"]) <= arguments(recipe) | {"name", "dtype"}


# Where there is a small one of the same model, the large ones are built among the slow tests; so
# are all but one of each package of models.
def small_one(name):
    return re.sub("_(mnist|fashion_mnist|cifar10)$", "_fashion_mnist_small", name)


LARGE = {name for name in PRESETS if small_one(name) != name and small_one(name) in PRESETS}


def package(name):
    content = tfgen.GenerativeModel.read_preset(name)
    return getattr(tfgen, content["model"]["class_name"].split(">")[-1]).__module__.split(".")[-2]


BUILT = {package(name): name for name in PRESETS if name not in LARGE}.values()


@pytest.mark.parametrize("name", zoo.but_slow(BUILT, PRESETS))
def test_shipped_presets(name):
    content = tfgen.GenerativeModel.read_preset(name)
    config = content["model"]["config"]
    small = {key: 1 for key in ("num_steps", "num_blocks", "latent_dim") if key in config}
    if "hidden_units" in config:
        sizes = config["hidden_units"]
        small["hidden_units"] = 4 if isinstance(sizes, int) else [4] * len(sizes)
    elif "latent_dim" not in config:
        recipe = getattr(tfgen, content["model"]["class_name"].split(">")[-1])
        sizes = {"filters": 2} if len(config["event_shape"]) == 3 else {"hidden_units": [4]}
        small |= {key: size for key, size in sizes.items() if key in arguments(recipe)}
    model = tfgen.GenerativeModel.from_preset(name, load_weights=False, **small)
    assert type(model).__name__ == content["model"]["class_name"].split(">")[-1]
    assert config.keys() <= model.get_config().keys()
    assert model.compiled
    # What the file leaves open of the optimizer is the class's own.
    given = content["training"]["optimizer"]["config"]
    expected = given.get("global_clipnorm", model.default_optimizer().global_clipnorm)
    assert model.optimizer.global_clipnorm == expected


def test_unknown_preset():
    with pytest.raises(ValueError, match="no `preset` 'glow_of_nowhere'.*must be a folder"):
        tfgen.Glow.from_preset("glow_of_nowhere")
    with pytest.raises(ValueError, match="Did you mean 'glow_mnist'"):
        tfgen.Glow.from_preset("glow_mnits")

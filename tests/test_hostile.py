"""Presets, models and data that were made to run code: they run none, and the error says why."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow_probability as tfp
from keras.src.utils import python_utils

import tfgen
from tfgen.app.run_folder import load_model
from tfgen.core.presets import load_preset
from tfgen.data import load
from tfgen.metrics import references

REFUSED = (ValueError, TypeError, OSError)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that hostile code would make; what else it would call is noted."""
    path, calls = tmp_path / "canary", []
    for owner, name in [
        (os, "system"),
        (subprocess, "Popen"),
        (python_utils, "func_load"),
        (pickle, "load"),
        (pickle, "loads"),
    ]:
        monkeypatch.setattr(owner, name, lambda *args, **kwargs: calls.append(args))
    (tmp_path / "canary_module.py").write_text(f"open({str(path)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    assert not path.exists()
    assert not calls
    assert sys.modules.pop("canary_module", None) is None
    assert tfp.distributions.__name__ == "tensorflow_probability.python.distributions"


# ----------------------------------------------------------------------------- Keras's objects


def named(module, name, config=None, **more):
    return {"module": module, "class_name": name, "config": config or {}, **more}


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def lambda_(path):
    function = lambda x, path=str(path): open(path, "w")  # noqa: E731, SIM115
    code, defaults, closure = python_utils.func_dump(function)
    config = {"code": code, "defaults": defaults, "closure": closure}
    return {"class_name": "__lambda__", "config": config}


def lambda_layer(path):
    return named("keras.layers", "Lambda", {"function": lambda_(path), "name": "lambda"})


def lookup(path):
    config = keras.layers.StringLookup(vocabulary=["a"]).get_config()
    return named("keras.layers", "StringLookup", {**config, "vocabulary": __file__})


# By the name that the error must have in it.
OBJECTS = [
    ("`Lambda` layer", lambda_layer),
    ("Python lambda", lambda_),
    (
        "`Lambda` layer",
        lambda p: named("keras", "Sequential", {"name": "s", "layers": [lambda_layer(p)]}),
    ),
    ("system", lambda p: named("os", "system", {"command": f"touch {p}"})),
    ("system", lambda p: function("os", "system")),
    ("system", lambda p: named("posix", "system", {"command": f"touch {p}"})),
    ("Popen", lambda p: named("subprocess", "Popen", {"args": ["touch", str(p)]})),
    ("run", lambda p: named("subprocess", "run", {"args": ["touch", str(p)]})),
    ("eval", lambda p: named("builtins", "eval", {"source": f"open({str(p)!r}, 'w')"})),
    ("exec", lambda p: function("builtins", "exec")),
    ("open", lambda p: named("builtins", "open", {"file": str(p), "mode": "w"})),
    ("os>system", lambda p: named(None, "system", {}, registered_name="os>system")),
    ("import_module", lambda p: named("importlib", "import_module", {"name": "canary_module"})),
    ("Layer", lambda p: named("canary_module", "Layer")),
    ("__import__", lambda p: named(None, "__import__", {"name": "canary_module"})),
    ("loads", lambda p: named("pickle", "loads", {"data": "cos\nsystem\n(S'id'\ntR."})),
    ("load_model", lambda p: named("keras.saving", "load_model", {"filepath": str(p)})),
    ("enable_unsafe", lambda p: named("keras.config", "enable_unsafe_deserialization")),
    ("get_file", lambda p: function("keras.utils", "get_file")),
    ("func_load", lambda p: named("keras.src.utils.python_utils", "func_load", {"code": "x"})),
    ("TFSMLayer", lambda p: named("keras.layers", "TFSMLayer", {"filepath": str(p.parent)})),
    ("vocabulary", lookup),
    (
        "system",
        lambda p: {
            **named("os", "__typespec__", ["id"]),
            **{"spec_name": "system", "registered_name": "system"},
        },
    ),
]
RECIPE = {"event_shape": [2], "num_layers": 1, "hidden_units": [2]}


def preset(folder, config, class_name="RealNVP", **training):
    content = {"model": {"class_name": class_name, "config": config}, "training": training}
    (folder / "config.json").write_text(json.dumps({"description": "", **content}))
    return folder


def model_file(folder, config):
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": keras.__version__}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    return folder


def in_preset(folder, payload):
    load_preset(tfgen.RealNVP, preset(folder, {**RECIPE, "base": payload}))


def in_transform_of_preset(folder, payload):
    load_preset(tfgen.RealNVP, preset(folder, {**RECIPE, "transform": payload}))


def in_override(folder, payload):
    load_preset(tfgen.RealNVP, preset(folder, RECIPE), base=payload)


def as_model(folder, payload):
    load_model(model_file(folder, payload))


def in_model(folder, payload):
    config = {**RECIPE, "base": payload}
    load_model(model_file(folder, named(None, "RealNVP", config, registered_name="tfgen>RealNVP")))


PLACES = [in_preset, in_transform_of_preset, in_override, as_model, in_model]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("words, make", OBJECTS)
def test_objects_run_no_code(canary, tmp_path, place, words, make):
    with pytest.raises(REFUSED) as error:
        place(tmp_path, make(canary))
    assert words in str(error.value)


def test_the_canary_sees_code_that_runs(tmp_path):
    """Keras is told to trust the file."""
    path = tmp_path / "canary"
    layer = keras.saving.deserialize_keras_object(lambda_layer(path), safe_mode=False)
    layer.function(0).close()
    assert path.exists()


@pytest.mark.parametrize(
    "name", ["os>system", "tfgen>Coupling", "tfgen>IAF", "__init__", "Lambda", "../x", None, 3, []]
)
def test_classes_of_presets(canary, tmp_path, name):
    with pytest.raises(REFUSED) as error:
        load_preset(tfgen.RealNVP, preset(tmp_path, RECIPE, name))
    assert str(name) in str(error.value) or str(tmp_path) in str(error.value)


@pytest.mark.parametrize("words, make", OBJECTS[:12])
def test_optimizers_of_presets(canary, tmp_path, words, make):
    with pytest.raises(REFUSED) as error:
        load_preset(tfgen.RealNVP, preset(tmp_path, RECIPE, optimizer=make(canary)))
    assert words in str(error.value)


@pytest.mark.parametrize("link", [h5py.ExternalLink("secret.h5", "/"), h5py.SoftLink("/x")])
def test_weights_of_another_file(canary, tmp_path, link):
    preset(tmp_path, RECIPE)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["vars"] = np.zeros(3)
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers"] = link
    with pytest.raises(REFUSED) as error:
        load_preset(tfgen.RealNVP, tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", ["../canary", "assets/../../canary", "{}"])
def test_members_outside_of_a_model(canary, tmp_path, name):
    model = tfgen.RealNVP(**RECIPE)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        archive.writestr(name.format(canary), "hostile")
    with pytest.warns(UserWarning, match="Skipping invalid path"):
        load_model(tmp_path)


# -------------------------------------------------------------------------------- names of TFP

# Of the modules, and of what else is in them beside classes of distributions and bijectors.
NAMES = [
    *("__init__", "__class__", "__dict__", "__getattribute__", "__setattr__", "__reduce_ex__"),
    *("__builtins__", "__loader__", "__spec__", "__name__", "__path__", "__doc__", "__new__"),
    *("RegisterKL", "ReparameterizationType", "FULLY_REPARAMETERIZED", "kl_divergence"),
    *("mvn_conjugate_linear_update", "independent_joint_distribution_from_structure"),
    *("AutoregressiveNetwork", "distribution", "bijector", "os.system", "Normal.__init__"),
    *("normal", "", None, 3, ["Normal"], {"tfd": "Normal"}),
]


@pytest.mark.parametrize("module", ["tfd", "tfb"])
@pytest.mark.parametrize("name", NAMES, ids=str)
def test_names_of_tfp(canary, tmp_path, module, name):
    content = {module: name, "parameters": {"name": "hostile"}}
    if module == "tfb":
        # Inside of what is right.
        normal = {"tfd": "Normal", "parameters": {"loc": [0.0, 0.0], "scale": 1.0}}
        content = {
            "tfd": "TransformedDistribution",
            "parameters": {"distribution": normal, "bijector": content},
        }
    with pytest.raises(REFUSED, match="`base` must be the configuration of a TFP") as error:
        tfgen.distributions.FromTFD.from_config({"distribution": content})
    assert str(name) in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        {"array": ["__import__('os')"], "dtype": "object"},
        {"array": ["x"], "dtype": "string"},
        {"array": [1], "dtype": "resource"},
        {"dtype": "O"},
        {"tfd": "Normal"},
        {"tfd": "Normal", "parameters": ["loc", 0.0]},
        {"tfd": "Normal", "parameters": {"self": 1}},
        {"tfd": "Normal", "parameters": {"__class__": 1}},
        {"module": "os", "name": "system"},
        {},
    ],
    ids=str,
)
def test_parameters_of_tfp(canary, content):
    with pytest.raises(ValueError, match="`base` must be the configuration of a TFP"):
        tfgen.distributions.FromTFD.from_config({"distribution": content})


# --------------------------------------------------------------------------------------- arrays


class Hostile:
    """Its pickle makes the canary."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def header(shape, descr="'<f8'"):
    """The begin of a .npy file."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def saved(path, **arrays):
    np.savez(path, **arrays, allow_pickle=True)


X = np.zeros((5, 2))
ARRAYS = {
    "object.npy": lambda p, c: np.save(p, np.array([[Hostile(c)]] * 5)),
    "pickle.npy": lambda p, c: p.write_bytes(pickle.dumps(Hostile(c))),
    "header.npy": lambda p, c: p.write_bytes(header(f"open({str(c)!r}, 'w')")),
    "type.npy": lambda p, c: p.write_bytes(header((5, 2), f"open({str(c)!r}, 'w')")),
    "field.npy": lambda p, c: p.write_bytes(header((5,), "[('a', '|O')]") + pickle.dumps(5)),
    "rows.npy": lambda p, c: p.write_bytes(header((10**12, 2)) + bytes(160)),
    "overflow.npy": lambda p, c: p.write_bytes(header((2**62, 2**62, 16)) + bytes(160)),
    "negative.npy": lambda p, c: p.write_bytes(header((-1, -1)) + bytes(160)),
    "nothing.npy": lambda p, c: p.write_bytes(header((10**15, 2), "'|V0'")),
    "object.npz": lambda p, c: saved(p, x=np.array([[Hostile(c)]] * 5)),
    "labels.npz": lambda p, c: saved(p, x=X, y=np.array([Hostile(c)] * 5)),
    "pickle.npz": lambda p, c: p.write_bytes(pickle.dumps(Hostile(c))),
    "member.npz": lambda p, c: npz(p, x=pickle.dumps(Hostile(c))),
    "rows.npz": lambda p, c: npz(p, x=header((10**12, 2)) + bytes(160)),
    "bomb.npz": lambda p, c: npz(p, x=header((10**9, 2), "'|i1'") + bytes(10**7)),
    "path.npz": lambda p, c: npz(p, **{f"../{c.name}": b"x"}),
    "code.csv": lambda p, c: p.write_text(f"a,b\n1,=open({str(c)!r})\n"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_run_no_code(canary, tmp_path, name):
    path = tmp_path / name
    ARRAYS[name](path, canary)
    with pytest.raises(ValueError, match=name):
        load(path)


def test_features_in_a_file_are_numbers(canary, tmp_path):
    saved(tmp_path / "reference.npz", **{
        name: np.array([Hostile(canary)], object)
        for name in ("extractor", "hash", "data", "features", "count", "mean", "covariance")
    })  # fmt: skip
    with pytest.raises(ValueError, match="must be a file that `reference` wrote"):
        references._load(tmp_path / "reference.npz")


def test_images_are_rendered_by_no_other_program(canary, tmp_path):
    """Pillow has Ghostscript draw PostScript, whatever the file is called."""
    postscript = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    (tmp_path / "a.png").write_text(postscript)
    with pytest.raises(ValueError, match="a.png: not a readable image"):
        load(tmp_path)


# ---------------------------------------------------------------------------------------- TFDS

CLASS = "canary_module.Image"
IMAGE = "tensorflow_datasets.core.features.image_feature.Image"
FEATURES = {
    "name": {"pythonClassName": CLASS, "featuresDict": {"features": {}}},
    "snake_name": {"python_class_name": CLASS, "featuresDict": {"features": {}}},
    "inside": {"featuresDict": {"features": {"image": {"pythonClassName": CLASS}}}},
    "legacy": {"type": CLASS, "content": {}},
    "text": {"pythonClassName": IMAGE, "jsonFeature": {"json": json.dumps({"type": CLASS})}},
    "list": [{"type": CLASS, "content": {}}],
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_of_tfds_import_nothing(canary, tmp_path, name):
    folder = tmp_path / "hostile" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text(json.dumps(FEATURES[name]))
    (folder / "dataset_info.json").write_text(json.dumps({"name": "hostile", "version": "1.0.0"}))
    with pytest.raises(ValueError, match="features.json: names the class 'canary_module.Image'"):
        load("hostile", data_dir=tmp_path)

"""Presets with weights: what is written, where it is found, and those of the package."""

import json
import sys
import types
import warnings

import h5py
import numpy as np
import pytest
import zoo

import tfgen
from tfgen.app import runs
from tfgen.core.preset_folders import CARD
from tfgen.core.preset_folders import METADATA
from tfgen.core.preset_folders import WEIGHTS
from tfgen.core.preset_folders import shipped_folders

TRAINED = [folder for folder in shipped_folders() if (folder / WEIGHTS).is_file()]


@pytest.fixture(scope="module")
def trained():
    """A small flow after a few steps."""
    model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
    model.compile()
    model.fit(tfgen.data.load("two_moons").train[0][:512], batch_size=128, verbose=0)
    return model


X = tfgen.data.load("two_moons").test[0][:50]


def names(file):
    found = []
    with h5py.File(file) as weights:
        weights.visit(found.append)
    return found


@pytest.mark.parametrize("dtype, tolerance", [("float32", 0), ("float16", 0.05), ("bfloat16", 0.3)])
def test_a_preset_holds_the_weights_and_nothing_of_the_optimizer(
    trained, tmp_path, dtype, tolerance
):
    assert trained.optimizer.variables
    trained.save_to_preset(tmp_path, "a test's", weights_dtype=dtype, metadata={"data": "moons"})
    assert not [name for name in names(tmp_path / WEIGHTS) if "optimizer" in name]
    again = tfgen.RealNVP.from_preset(tmp_path)
    difference = np.abs(again.log_prob(X) - trained.log_prob(X)).max()
    assert difference <= tolerance and (difference == 0) == (dtype == "float32")
    about = json.loads((tmp_path / METADATA).read_text())
    assert about["parameter_count"] == trained.count_params()
    assert about["weights_dtype"] == dtype and about["data"] == "moons"
    content = tfgen.RealNVP.read_preset(tmp_path)
    assert content["metadata"] == about and content["has_weights"]


def test_numbers_that_float16_cannot_hold_stay_whole(tmp_path):
    model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,))
    model.compile()
    x = (1e6 * X + 3e6).astype("float32")
    model.fit(x, batch_size=50, verbose=0)
    model.save_to_preset(tmp_path, weights_dtype="float16")
    again = tfgen.RealNVP.from_preset(tmp_path)
    np.testing.assert_allclose(again.log_prob(x), model.log_prob(x), atol=0.05)


def test_a_critics_optimizer_is_left_out(tmp_path):
    model = tfgen.GAN(2, latent_dim=2, data_kind="real")
    model.compile()
    model.fit(X, batch_size=25, verbose=0)
    model.save_to_preset(tmp_path)
    assert not [name for name in names(tmp_path / WEIGHTS) if "optimizer" in name]
    again = tfgen.GAN.from_preset(tmp_path)
    np.testing.assert_array_equal(again.sample(4, seed=0), model.sample(4, seed=0))


def test_a_configuration_without_weights_says_so():
    with pytest.warns(UserWarning, match="'realnvp_cifar10' is a configuration without weights"):
        tfgen.RealNVP.from_preset("realnvp_cifar10", num_blocks=1, filters=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfgen.RealNVP.from_preset("realnvp_cifar10", load_weights=False, num_blocks=1, filters=2)


def test_overrides_that_do_not_fit_the_weights(trained, tmp_path):
    trained.save_to_preset(tmp_path)
    with pytest.raises(ValueError, match=r"overrides \['hidden_units'\]: with load_weights=False"):
        tfgen.RealNVP.from_preset(tmp_path, hidden_units=(5,))
    model = tfgen.RealNVP.from_preset(tmp_path, load_weights=False, hidden_units=(5,))
    assert model.hidden_units == (5,)


@pytest.mark.parametrize(
    "about, words",
    [
        ({"run": 3}, "`run` in its metadata.json must name its data"),
        ({"run": {"data": "/etc/passwd"}}, "without a folder"),
        ({"train_log_prob": [1.0, 2.0]}, "must be 101 numbers in order"),
        ({"train_log_prob": "x"}, "must be 101 numbers in order"),
    ],
)
def test_metadata_that_anyone_may_have_written(trained, tmp_path, about, words):
    trained.save_to_preset(tmp_path, metadata=about)
    with pytest.raises(ValueError, match=words):
        runs.score(tmp_path, "two_moons")


def test_weights_that_are_not_finite(trained, tmp_path):
    trained.save_to_preset(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(item) if hasattr(item, "dtype") else None)
        next(item for item in found if item.dtype.kind == "f" and item.ndim)[...] = np.nan
    content = json.loads((tmp_path / "config.json").read_text())
    del content["weights_sha256"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"weights.h5 holds NaN or inf in .*, of \d+ weights"):
        tfgen.RealNVP.from_preset(tmp_path)


@pytest.mark.parametrize("name, value", [("epochs", 0), ("batch_size", "many")])
def test_training_that_anyone_may_have_written(trained, tmp_path, name, value):
    trained.save_to_preset(tmp_path, training={name: value})
    with pytest.raises(ValueError, match=f"config.json: `{name}` must be a whole number"):
        tfgen.RealNVP.from_preset(tmp_path)


def test_a_configuration_of_great_sizes_is_refused_in_words(trained, tmp_path):
    trained.save_to_preset(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    content["model"]["config"]["hidden_units"] = [10**12]
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="cannot be loaded"):
        tfgen.RealNVP.from_preset(tmp_path)


# ------------------------------------------------------------------------------------ handles


@pytest.fixture
def hub(trained, tmp_path, monkeypatch):
    """Both hubs' clients, which find their models in a folder of this machine."""
    calls = []

    def snapshot_download(repo_id, revision=None, allow_patterns=None):
        calls.append((repo_id, revision, tuple(allow_patterns)))
        return str(tmp_path / "hf" / repo_id)

    def model_download(handle):
        calls.append(handle)
        return str(tmp_path / "kaggle" / handle)

    clients = {"huggingface_hub": snapshot_download, "kagglehub": model_download}
    for name, function in clients.items():
        module = types.ModuleType(name)
        setattr(module, function.__name__, function)
        monkeypatch.setitem(sys.modules, name, module)
    for folder in ("hf/me/moons", "kaggle/me/moons/keras/small"):
        trained.save_to_preset(tmp_path / folder)
    (tmp_path / "hf" / "me" / "other").mkdir()
    return calls


def test_handles_of_hubs(hub, trained):
    for handle in ("hf://me/moons", "hf://me/moons@v1", "kaggle://me/moons/keras/small"):
        model = tfgen.GenerativeModel.from_preset(handle)
        np.testing.assert_array_equal(model.log_prob(X), trained.log_prob(X))
    assert {call[:2] for call in hub if isinstance(call, tuple)} == {
        ("me/moons", None),
        ("me/moons", "v1"),
    }
    # Nothing else of a repository is brought here.
    assert all(set(call[2]) <= {"config.json", METADATA, WEIGHTS, CARD} for call in hub[:2])
    assert hub[-1] == "me/moons/keras/small"
    with pytest.raises(ValueError, match="no config.json: it is no preset"):
        tfgen.GenerativeModel.from_preset("hf://me/other")


@pytest.mark.parametrize(
    "handle, words",
    [
        ("hf://moons", "hf://OWNER/NAME"),
        ("hf://a/b/c", "hf://OWNER/NAME"),
        ("kaggle://me/moons", "kaggle://OWNER"),
        ("s3://bucket/moons", "must begin with hf:// or kaggle://"),
    ],
)
def test_handles_that_are_none(handle, words):
    with pytest.raises(ValueError, match=words):
        tfgen.GenerativeModel.from_preset(handle)


@pytest.mark.parametrize("handle", ["hf://a/b", "kaggle://a/b/keras/c"])
def test_a_client_that_is_not_installed(monkeypatch, handle):
    for name in ("huggingface_hub", "kagglehub"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'tfgen\["):
        tfgen.GenerativeModel.from_preset(handle)


# ------------------------------------------------------------------------------------ made of runs


@pytest.mark.usefixtures("eager_training")
def test_a_preset_of_a_run(tmp_path):
    runs.train(
        tmp_path / "run", "RealNVP", "two_moons", overrides={"num_layers": 1}, epochs=1,
        batch_size=5000, export=False, verbose=0,
    )  # fmt: skip
    rows = runs.make_preset(tmp_path / "run", tmp_path / "moons", description="Two moons.")
    assert rows == runs.evaluate(tmp_path / "moons")
    low, high = rows[0]["interval"]
    assert low < rows[0]["value"] < high
    about = json.loads((tmp_path / "moons" / METADATA).read_text())
    assert about["figures"] == rows and about["run"]["data"] == "two_moons"
    assert len(about["train_log_prob"]) == 101
    card = (tmp_path / "moons" / CARD).read_text()
    command = "tfgen train RealNVP --data two_moons --set num_layers=1 --epochs 1 --batch-size 5000"
    assert "Two moons." in card and command in card
    assert f"{rows[0]['value']:.4f}" in card and str(tmp_path) not in card
    assert (tmp_path / "moons" / "samples.png").is_file()
    # A preset is no run.
    with pytest.raises(ValueError, match="`run` must be the folder of a run"):
        runs.make_preset(tmp_path / "moons", tmp_path / "again")


# ------------------------------------------------------------------------------------ the package's


def test_there_are_trained_presets_of_each_family():
    found = {
        tfgen.GenerativeModel.read_preset(folder.name)["model"]["class_name"].split(">")[-1]
        for folder in TRAINED
    }
    assert found >= {"Glow", "GAN"}
    size = sum(file.stat().st_size for folder in shipped_folders() for file in folder.iterdir())
    assert size <= 25 * 10**6


@pytest.mark.parametrize("folder", TRAINED, ids=lambda folder: folder.name)
def test_cards_tell_what_was_measured(folder):
    about = json.loads((folder / METADATA).read_text())
    card = (folder / CARD).read_text()
    assert about["run"]["data"] and about["training_minutes"] > 0
    for row in about["figures"]:
        assert row["name"] in card and f"{row['value']:.4f}" in card
    assert f"# {folder.name}\n" in card and "licence" in card
    assert (folder / "samples.png").is_file()


SMALL_ONES = {"gan_fashion_mnist", "glow_mnist"}


@pytest.mark.parametrize("name", zoo.but_slow(SMALL_ONES, [f.name for f in TRAINED]))
def test_trained_presets_load_and_draw(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = tfgen.GenerativeModel.from_preset(name)
    samples = model.sample(16, seed=0).numpy()
    is_real = model.data_kind in ("real", "columns")
    assert samples.dtype == (np.float32 if is_real else np.uint8)
    if model.data_kind == "uint8":
        assert samples.std() > 40  # Not one colour, and not noise of all levels alike.
        neighbours = np.abs(np.diff(samples.astype(float), axis=2)).mean()
        assert neighbours < 0.5 * np.abs(samples[:8].astype(float) - samples[8:]).mean()

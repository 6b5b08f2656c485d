"""Tools for one's own data: scores, comparisons, tuning, models of one's own."""

import csv
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import tfgen
from tfgen.app import compare
from tfgen.app import runs
from tfgen.app.cli import main
from tfgen.data.rows import load_rows
from tfgen.data.toy import two_moons


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """A run of a flow on two moons."""
    out = tmp_path_factory.mktemp("runs") / "moons"
    runs.train(
        out, "RealNVP", "two_moons", overrides={"num_layers": 2, "hidden_units": [8]}, epochs=2,
        batch_size=500, export=False, verbose=0,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run of a class-conditional Glow on the digits."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    runs.train(
        out, "Glow", "digits", overrides={"num_levels": 1, "num_steps": 1, "filters": 4},
        class_conditional=True, epochs=1, batch_size=500, export=False, verbose=0,
    )  # fmt: skip
    return out


# ------------------------------------------------------------------------------------ scores


def test_scores_of_points(moons, tmp_path):
    x = np.concatenate([two_moons(20, 5), [[30.0, -30.0]]]).astype("float32")
    np.save(tmp_path / "points.npy", x)
    output = invoke(
        "score", moons, "--data", tmp_path / "points.npy", "--out", tmp_path / "scores.csv"
    )
    assert "21 examples" in output and "  20: " in output
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "log_prob", "percentile"]
    found = [float(row["log_prob"]) for row in rows]
    np.testing.assert_allclose(found, runs.load_model(moons).log_prob(x, seed=0), rtol=1e-4)
    percentiles = [float(row["percentile"]) for row in rows]
    assert percentiles[-1] == 0 and np.mean(percentiles[:-1]) > 20
    # Those of the training examples are spread evenly, and kept for the next call.
    again = runs.score(moons, "two_moons")
    assert 35 < np.mean(again["percentile"]) < 65
    assert (moons / "train_log_prob.json").is_file()


# `test_scores_of_points` has the table of scores; sizes are cut in `test_serving`.
@pytest.mark.slow
def test_scores_of_images_of_any_size(digits, tmp_path):
    images = tfgen.data.load("digits").test[0][:3]
    for name, size in (("4", (8, 8)), ("5", (32, 24))):
        (tmp_path / "images" / name).mkdir(parents=True)
        picture = Image.fromarray(images[0, ..., 0]).resize(size).convert("RGB")
        picture.save(tmp_path / "images" / name / "a.png")
    columns = runs.score(digits, tmp_path / "images")
    assert columns["name"] == ["4/a.png", "5/a.png"]
    model = runs.load_model(digits)
    expected = model.log_prob(images[:1], np.array([4]), seed=0)
    np.testing.assert_allclose(columns["log_prob"][0], expected[0], rtol=1e-5)
    assert columns["bits_per_dim"][0] == pytest.approx(
        float(model.bits_per_dim(images[:1], np.array([4]), seed=0)[0]), rel=1e-5
    )
    with pytest.raises(ValueError, match="conditional, and needs a label"):
        runs.score(digits, tmp_path / "images" / "4")


def test_rows_become_what_a_model_takes(tmp_path):
    Image.fromarray(np.full((9, 9), 200, "uint8")).save(tmp_path / "a.png")
    rows = load_rows(tmp_path / "a.png", (4, 4, 3))
    assert rows.names == ["a.png"] and rows.x.shape == (1, 4, 4, 3) and rows.y is None
    np.save(tmp_path / "x.npy", np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"examples of shape \[2\]; got x \[3, 5\]"):
        load_rows(tmp_path / "x.npy", (2,))
    with pytest.raises(ValueError, match="expected an image, a folder of images or a file"):
        load_rows(__file__, (2,))
    with pytest.raises(FileNotFoundError):
        load_rows(tmp_path / "nothing.npy", (2,))


@pytest.mark.usefixtures("eager_training")
def test_models_without_a_likelihood_score_nothing(tmp_path):
    settings = {"latent_dim": 2, "decoder": "mlp", "critic": "mlp"}
    runs.train(
        tmp_path / "run", "GAN", "digits", overrides=settings, epochs=1, batch_size=500,
        export=False, verbose=0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="GAN has no likelihood"):
        runs.score(tmp_path / "run", "digits")


# ------------------------------------------------------------------------------------ samples


@pytest.mark.slow
def test_samples_of_a_class_by_its_name_each_in_a_file(digits, tmp_path):
    invoke("sample", digits, "--num", 5, "--label", "3", "--seed", 0, "--out", tmp_path / "threes")
    files = sorted((tmp_path / "threes").iterdir())
    assert [file.name for file in files] == [f"000{i}.png" for i in range(5)]
    expected = runs.load_model(digits).sample(5, 3, seed=0).numpy()
    for file, image in zip(files, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), image[..., 0])
    with pytest.raises(ValueError, match="`label` must be 0 to 9"):
        runs.sample(digits, 5, label="shoe", out=tmp_path / "a.png")


# ------------------------------------------------------------------------------------ training


# `test_presets` loads what was trained; its training is that of any run.
@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
def test_tuning_goes_on_from_what_was_trained(moons, tmp_path):
    output = invoke(
        "train", "--from-preset", moons, "--data", "two_moons", "--out", tmp_path / "run",
        "--learning-rate", 1e-9, "--epochs", 1, "--batch-size", 5000, "--no-export", "--verbose", 0,
    )  # fmt: skip
    assert "RealNVP (exact" in output
    x = two_moons(20, 5)
    tuned, before = runs.load_model(tmp_path / "run"), runs.load_model(moons)
    np.testing.assert_allclose(tuned.log_prob(x), before.log_prob(x), atol=1e-4)
    # Given again, the same command finds its run.
    runs.train(
        tmp_path / "run", None, "two_moons", from_preset=moons, learning_rate=1e-9, epochs=1,
        batch_size=5000, export=False, verbose=0,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"is of data of shape \(2,\); digits has \(8, 8, 1\)"):
        runs.train(tmp_path / "other", None, "digits", from_preset=moons)
    with pytest.raises(ValueError, match="is a RealNVP, not a MAF"):
        runs.train(tmp_path / "other", "MAF", "two_moons", from_preset=moons)


@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
def test_training_stops_when_nothing_becomes_better(tmp_path):
    history = []
    runs.train(
        tmp_path / "run", "RealNVP", "two_moons", overrides={"num_layers": 1, "hidden_units": [4]},
        learning_rate=1e-12, early_stopping=1, epochs=9, batch_size=5000, ema=0.5, export=False,
        verbose=0,
    )  # fmt: skip
    history = runs.read_history(tmp_path / "run")
    assert len(history["val_loss"]) < 9
    # The same command again finds it done.
    model = (tmp_path / "run" / "model.keras").read_bytes()
    runs.train(
        tmp_path / "run", "RealNVP", "two_moons", overrides={"num_layers": 1, "hidden_units": [4]},
        learning_rate=1e-12, early_stopping=1, epochs=9, batch_size=5000, ema=0.5, export=False,
        verbose=0,
    )  # fmt: skip
    assert (tmp_path / "run" / "model.keras").read_bytes() == model
    assert runs.load_model(tmp_path / "run").optimizer.ema_momentum == 0.5
    with pytest.raises(ValueError, match="`early_stopping` needs a validation loss; GAN"):
        runs.train(tmp_path / "gan", "GAN", "digits", early_stopping=1)


# `test_training_stops_when_nothing_becomes_better` has such a callback.
@pytest.mark.slow
def test_the_best_averages_stay(tmp_path):
    """What is saved is what validated best: averages, where the optimizer keeps such."""
    rows = runs.train(
        tmp_path / "run", "RealNVP", "two_moons", overrides={"num_layers": 1, "hidden_units": [4]},
        learning_rate=0.3, early_stopping=1, epochs=6, batch_size=2000, ema=0.99, export=False,
        verbose=0,
    )  # fmt: skip
    history = runs.read_history(tmp_path / "run")
    assert rows[0]["value"] == pytest.approx(min(history["val_loss"]), rel=1e-4)


# Its callback is Keras's own.
@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
def test_logs_for_tensorboard(tmp_path):
    sizes = {"num_steps": 1, "num_levels": 1, "filters": 4}
    runs.train(
        tmp_path / "run", "Glow", "digits", overrides=sizes,
        epochs=1, batch_size=750, tensorboard=True, export=False, verbose=0,
    )  # fmt: skip
    folders = {p.parent.name for p in (tmp_path / "run" / "tensorboard").rglob("events.*")}
    assert folders == {"samples", "train", "validation"}


OWN = """
import keras
import tfgen

@keras.saving.register_keras_serializable(package="test_tools")
class Deep(tfgen.RealNVP):
    def __init__(self, event_shape, num_layers=1, **kwargs):
        super().__init__(event_shape, num_layers=num_layers, **kwargs)

class Bare(tfgen.RealNVP):
    pass
"""


@pytest.mark.usefixtures("eager_training")
def test_a_model_of_ones_own_module(tmp_path, monkeypatch):
    (tmp_path / "own_module.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    output = invoke(
        "train", "own_module:Deep", "--data", "two_moons", "--out", "run", "--epochs", 1,
        "--set", "hidden_units=[4]", "--batch-size", 5000, "--no-export", "--verbose", 0,
    )  # fmt: skip
    assert "Deep (exact, 2000 held-out examples)" in output
    invoke("sample", "run", "--num", 3, "--out", "drawn.npy", "--import", "own_module")
    assert np.load("drawn.npy").shape == (3, 2)
    result = CliRunner().invoke(
        main, ["train", "own_module:Bare", "--data", "two_moons", "--out", "bare"]
    )
    assert "must be registered, to be saved" in result.output


# ------------------------------------------------------------------------------------ comparison


# Trains three models; what a table and a page are made of is in the tests of runs.
@pytest.mark.slow
def test_a_comparison_has_a_table_and_a_page(tmp_path):
    rows = compare.compare(tmp_path, "two_moons", ["RealNVP", "GAN"], minutes=0.002, extractor=None)
    assert [row["model"] for row in rows] == ["RealNVP", "GAN"]
    assert rows[0]["likelihood"] == "exact" and rows[0]["bits_unit"] == "nats"
    assert rows[0]["parameters"] > 0 and rows[0]["seconds"] > 0 and rows[0]["frechet"] is None
    page = (tmp_path / "index.html").read_text()
    for row in rows:
        assert f"<td>{row['model']}</td>" in page and f"{row['parameters']:,}" in page
    assert "RealNVP/samples.png" in page and (tmp_path / "RealNVP" / "samples.png").is_file()
    assert {row["minutes_given"] for row in rows} == {0.0}
    lines = compare.table(rows)
    assert all(line.rstrip().endswith(" of 0.0") for line in lines[1:])
    assert len({len(line.split("  ")) > 1 for line in lines}) == 1 and "(exact)" in lines[1]
    before = (tmp_path / "RealNVP" / "model.keras").stat().st_mtime
    again = compare.compare(
        tmp_path, "two_moons", ["RealNVP", "GAN"], minutes=0.002, extractor=None
    )
    assert [row["bits"] for row in again] == [row["bits"] for row in rows]
    assert (tmp_path / "RealNVP" / "model.keras").stat().st_mtime >= before


def test_a_comparison_takes_the_presets_of_the_data():
    data = tfgen.data.load("fashion_mnist_small")
    assert compare._preset(tfgen.Glow, "fashion_mnist_small", data) == "glow_fashion_mnist_small"
    # Of data of another kind.
    assert compare._preset(tfgen.VLAE, "fashion_mnist_small", data) is None
    assert compare._preset(tfgen.RealNVP, "fashion_mnist_small", data) is None
    # Of another data set, whose name ends alike.
    assert compare._preset(tfgen.CQF, "mnist", data) is None
    assert compare._preset(tfgen.Autoencoder, "mnist", data) == "autoencoder_mnist"
    with pytest.raises(ValueError, match="`event_shape` must be"):
        compare.compare("nowhere", "two_moons", "NSF, Glow")


# ------------------------------------------------------------------------------------ tables

PEOPLE = """id,age,city,height,member
1,31,Bern,1.71,True
2,45,Basel,1.62,False
3,8,Bern,1.21,False
4,52,Chur,1.83,True
5,27,Basel,,True
6,66,Chur,1.68,True
"""


@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
@pytest.mark.filterwarnings("ignore:columns of row numbers")
def test_tables_on_the_command_line(tmp_path):
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE + "".join(PEOPLE.splitlines(keepends=True)[1:]).replace(",1.", ",0."))
    invoke(
        "train", "NSF", "--data", file, "--condition", "city", "--out", tmp_path / "run",
        "--set", "num_layers=1", "--set", "hidden_units=[4]", "--epochs", 1, "--no-export",
        "--verbose", 0,
    )  # fmt: skip
    drawn = tmp_path / "drawn.csv"
    invoke("sample", tmp_path / "run", "--num", 5, "--given", "city=Bern", "--out", drawn)
    with open(drawn, newline="") as text:
        rows = list(csv.DictReader(text))
    assert {row["city"] for row in rows} == {"Bern"} and len(rows) == 5
    assert all(row["age"].isdecimal() and row["member"] in ("True", "False") for row in rows)
    # As a preset, and tuned, it stays a model of the table.
    runs.make_preset(tmp_path / "run", tmp_path / "preset")
    assert str(tmp_path) not in (tmp_path / "preset" / "metadata.json").read_text()
    runs.train(
        tmp_path / "tuned", None, file, from_preset=tmp_path / "preset", epochs=1, export=False,
        verbose=0,
    )  # fmt: skip
    assert runs.load_model(tmp_path / "tuned").columns is not None
    columns = runs.score(tmp_path / "preset", file)
    assert len(columns["log_prob"]) == 12 and np.isfinite(columns["log_prob"]).all()
    with pytest.raises(ValueError, match="`table` is for flows of vectors"):
        runs.train(tmp_path / "vae", "VAE", file, table=True)
    with pytest.raises(ValueError, match="conditional on no column"):
        runs.sample("nsf_pinwheel", 5, given={"city": "Bern"}, out=drawn)

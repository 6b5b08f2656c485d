"""Models that an earlier version saved load, and are what they were.

`fixtures/` holds a small `.keras` file of each recipe of the registry, written by version 0.1.0 at
commit b06027c, and in `figures.npz` what those models gave for a seed, before and after one more
epoch of training.
"""

import pathlib

import keras
import numpy as np
import pytest
import zoo

FOLDER = pathlib.Path(__file__).parent / "fixtures"
FIGURES = dict(np.load(FOLDER / "figures.npz"))
NAMES = sorted(path.stem for path in FOLDER.glob("*.keras"))


@pytest.fixture(params=NAMES)
def saved(request):
    """An old file, loaded, and its figures."""
    mine = {k.partition("/")[2]: v for k, v in FIGURES.items() if k.startswith(f"{request.param}/")}
    return keras.models.load_model(FOLDER / f"{request.param}.keras"), mine


def assert_close(got, expected):
    got, expected = np.asarray(got, "float64"), np.asarray(expected, "float64")
    if np.all(expected == np.round(expected)):
        # Pixels: a value may fall beside the edge of its bin.
        return np.testing.assert_array_less(np.mean(got != expected), 0.01)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_an_old_file_scores_and_samples_as_before(saved):
    model, figures = saved
    x, y = figures["x"], figures.get("y")
    assert_close(zoo.outputs(model, x, y, seed=3), figures["outputs"])
    assert_close(model.sample(len(x), y, seed=3), figures["samples"])
    assert model.optimizer.iterations.numpy() == figures["iterations"]


def test_an_old_file_trains_on_as_before(saved):
    """Optimizers, noise, the order of the rows and the steps counted come with it."""
    model, figures = saved
    model.fit(*zoo.make_data(model), batch_size=zoo.BATCH_SIZE, epochs=1, verbose=0)
    assert_close(zoo.outputs(model, figures["x"], figures.get("y"), seed=3), figures["next"])


def test_a_saved_file_is_whole_in_what_it_writes_again(saved, tmp_path):
    model, figures = saved
    model.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    x, y = figures["x"], figures.get("y")
    np.testing.assert_array_equal(
        zoo.outputs(again, x, y, seed=3), zoo.outputs(model, x, y, seed=3)
    )

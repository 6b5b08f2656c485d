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


def load(name):
    """An old file, loaded, and its figures."""
    mine = {k.partition("/")[2]: v for k, v in FIGURES.items() if k.startswith(f"{name}/")}
    return keras.models.load_model(FOLDER / f"{name}.keras"), mine


def assert_close(got, expected):
    got, expected = np.asarray(got, "float64"), np.asarray(expected, "float64")
    if np.all(expected == np.round(expected)):
        # Pixels: a value may fall beside the edge of its bin.
        return np.testing.assert_array_less(np.mean(got != expected), 0.01)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


# Each model is used once: nothing is compiled, other tests look at what is.

# Of one optimizer and of two; the others train in slow tests.
TRAINED = {"glow_classes", "cq"}


# Of each kind of layer one; what others have of their own is their class alone.
OLD = {"glow_classes", "flow", "vlae", "autoencoder", "injective_flow", "cq", "maf"}


@pytest.mark.parametrize("name", zoo.but_slow(OLD, NAMES))
def test_an_old_file_is_what_it_was_and_whole_in_what_it_writes_again(name, tmp_path):
    model, figures = load(name)
    x, y = figures["x"], figures.get("y")
    outputs = zoo.eager_outputs(model, x, y, seed=3)
    assert_close(outputs, figures["outputs"])
    assert_close(zoo.eager_samples(model, len(x), y, seed=3), figures["samples"])
    assert model.optimizer.iterations.numpy() == figures["iterations"]
    model.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(zoo.eager_outputs(again, x, y, seed=3), outputs)


@pytest.mark.parametrize("name", zoo.but_slow(TRAINED, NAMES))
def test_an_old_file_trains_on_as_before(name):
    """Optimizers, noise, the order of the rows and the steps counted come with it."""
    model, figures = load(name)
    model.run_eagerly = True
    model.fit(*zoo.make_data(model), batch_size=zoo.BATCH_SIZE, epochs=1, verbose=0)
    got = zoo.eager_outputs(model, figures["x"], figures.get("y"), seed=3)
    assert_close(got, figures["next"])

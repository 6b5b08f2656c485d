import functools
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

import tfgen
from tfgen import plots

GREY = 128


def numbered_images(n, height=2, width=3, channels=1):
    """Image i is filled with the value i + 1."""
    return (
        np.ones([n, height, width, channels], np.uint8)
        * np.arange(1, n + 1, dtype=np.uint8)[:, None, None, None]
    )


def read_picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_image_grid_goes_row_by_row():
    grid = plots.image_grid(numbered_images(5), columns=3, padding=1)
    expected = np.array(
        [
            [1, 1, 1, GREY, 2, 2, 2, GREY, 3, 3, 3],
            [1, 1, 1, GREY, 2, 2, 2, GREY, 3, 3, 3],
            [GREY] * 11,
            [4, 4, 4, GREY, 5, 5, 5, GREY, GREY, GREY, GREY],
            [4, 4, 4, GREY, 5, 5, 5, GREY, GREY, GREY, GREY],
        ]
    )
    assert grid.dtype == np.uint8
    np.testing.assert_array_equal(grid[..., 0], expected)


def test_image_grid_without_padding_in_colour():
    images = np.random.default_rng(0).integers(0, 256, [4, 5, 6, 3], dtype=np.uint8)
    grid = plots.image_grid(images, columns=2, padding=0)
    np.testing.assert_array_equal(grid[:5, 6:], images[1])
    np.testing.assert_array_equal(grid[5:, :6], images[2])
    assert grid.shape == (10, 12, 3)


@pytest.mark.parametrize(
    "n, height, width, shape",
    [(36, 28, 28, (173, 173)), (1, 8, 8, (8, 8)), (5, 8, 8, (17, 26)), (8, 8, 32, (35, 65))],
)
def test_image_grid_is_nearly_square(n, height, width, shape):
    assert plots.image_grid(np.zeros([n, height, width, 1], bool)).shape[:2] == shape


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_scaled_and_rounded(dtype):
    images = np.array([0, 0.25, 0.5, 1], dtype).reshape(1, 1, 4, 1)
    np.testing.assert_array_equal(plots.image_grid(images)[..., 0], [[0, 64, 128, 255]])


def test_bool_and_wide_integers():
    np.testing.assert_array_equal(
        plots.image_grid(np.array([[[[False], [True]]]]))[..., 0], [[0, 255]]
    )
    np.testing.assert_array_equal(
        plots.image_grid(np.array([[[[3], [255]]]], np.int64))[..., 0], [[3, 255]]
    )


@pytest.mark.parametrize(
    "images, words",
    [
        (np.zeros([4, 8, 8]), r"\[n, height, width, 1 or 3\].*\(4, 8, 8\)"),
        (np.zeros([4, 8, 8, 2]), r"\(4, 8, 8, 2\)"),
        (np.zeros([0, 8, 8, 1]), "not be empty"),
        (np.full([1, 2, 2, 1], 1.5), r"must lie in 0\.\.1; got 1\.5"),
        (np.full([1, 2, 2, 1], np.nan), "nan"),
        (np.full([1, 2, 2, 1], -1), r"must lie in 0\.\.255"),
        (np.full([1, 2, 2, 1], "a"), "integers, floats or bool"),
    ],
)
def test_image_grid_refuses(images, words):
    with pytest.raises(ValueError, match=f"`images`.*{words}"):
        plots.image_grid(images)


def test_image_grid_refuses_bad_layouts():
    with pytest.raises(ValueError, match="`columns` .* got 0"):
        plots.image_grid(numbered_images(2), columns=0)
    with pytest.raises(ValueError, match="`padding` .* got -1"):
        plots.image_grid(numbered_images(2), padding=-1)
    with pytest.raises(ValueError, match="`padding` .* got -1"):
        plots.paired_grid(numbered_images(2), numbered_images(2), padding=-1)


def test_paired_grid_keeps_pairs_together():
    left = numbered_images(3, height=1, width=2)
    grid = plots.paired_grid(left, 100 + left, columns=2)[..., 0]
    pair = [[i, i, GREY, 100 + i, 100 + i] for i in (1, 2, 3)]
    wide = [GREY] * 4
    np.testing.assert_array_equal(grid[0], pair[0] + wide + pair[1])
    np.testing.assert_array_equal(grid[1:5], GREY)
    np.testing.assert_array_equal(grid[5], pair[2] + wide + [GREY] * 5)


def test_paired_grid_takes_mixed_types_and_refuses_mixed_shapes():
    grid = plots.paired_grid(np.ones([1, 2, 2, 1]), np.zeros([1, 2, 2, 1], np.uint8), padding=0)
    np.testing.assert_array_equal(grid[0, :, 0], [255, 255, 0, 0])
    with pytest.raises(ValueError, match=r"\(2, 2, 3, 1\) and \(1, 2, 3, 1\)"):
        plots.paired_grid(numbered_images(2), numbered_images(1))


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_saved_image_comes_back_enlarged(tmp_path, channels):
    shape = [4, 5] if channels is None else [4, 5, channels]
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "new" / "folder" / "image.png"
    plots.save_image(path, image, scale=3)
    got = read_picture(path)
    expected = np.kron(image, np.ones([3, 3] + [1] * (image.ndim - 2), np.uint8))
    np.testing.assert_array_equal(got, expected[..., 0] if channels == 1 else expected)


def test_save_image_refuses(tmp_path):
    for scale in (0, 1.5):
        with pytest.raises(ValueError, match=f"`scale` .* got {scale}"):
            plots.save_image(tmp_path / "a.png", np.zeros([2, 2]), scale=scale)
    with pytest.raises(ValueError, match=r"`image`.*\(1, 2, 2, 1\)"):
        plots.save_image(tmp_path / "a.png", np.zeros([1, 2, 2, 1]))
    assert not (tmp_path / "a.png").exists()


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, to look at what is in them."""
    drawn = []
    make = plots.figures.new_figure

    def new_figure(*size):
        drawn.append(make(*size))
        return drawn[-1]

    monkeypatch.setattr(plots.figures, "new_figure", new_figure)
    return drawn


def test_history_has_a_panel_for_each_term(tmp_path, figures):
    history = {
        "loss": [3.0, 2.0, 1.0, 0.5],
        "bpd": [4.0, np.nan, np.inf, 2.0],
        "nll": [10, 9, 8, 7],
        "kl": [0.0, 1.0, 2.0, 3.0],
        "val_loss": [3.5, 2.5],
        "val_fid": [80.0],
    }
    plots.plot_history(history, tmp_path / "new" / "history.png")

    assert read_picture(tmp_path / "new" / "history.png").shape[:2] == (680, 1500)
    panels = figures[0].axes
    assert [panel.get_title() for panel in panels] == ["loss", "bpd", "nll", "kl", "fid"]
    assert [panel.get_ylabel() for panel in panels] == [
        "loss", "bits per dimension", "nats", "nats", "fid",
    ]  # fmt: skip
    assert {panel.get_xlabel() for panel in panels} == {"epoch"}

    training, validation = panels[0].lines
    assert (training.get_label(), validation.get_label()) == ("training", "validation")
    np.testing.assert_array_equal(training.get_xydata(), [[1, 3], [2, 2], [3, 1], [4, 0.5]])
    np.testing.assert_array_equal(validation.get_xydata(), [[2, 3.5], [4, 2.5]])
    np.testing.assert_array_equal(panels[1].lines[0].get_ydata(), [4, np.nan, np.nan, 2])
    (only,) = panels[4].lines
    assert only.get_label() == "validation"
    np.testing.assert_array_equal(only.get_xydata(), [[4, 80]])


def test_history_of_one_epoch_shows_a_point(tmp_path, figures):
    # What `fit` returns does, too.
    plots.plot_history(types.SimpleNamespace(history={"bpd": [3.0]}), tmp_path / "fit.png")
    assert (tmp_path / "fit.png").is_file()
    plots.plot_history({"bpd": [3.0]}, tmp_path / "history.png")
    (line,) = figures[0].axes[0].lines
    assert line.get_marker() == "o"


@pytest.mark.parametrize("history", [{}, {"loss": []}])
def test_empty_history_is_refused(tmp_path, history):
    with pytest.raises(ValueError, match="`history`"):
        plots.plot_history(history, tmp_path / "history.png")


def test_scatter_draws_the_finite_points(tmp_path, figures):
    points = [[0, 1], [2, 3], [np.nan, 0], [0, np.inf]]
    plots.save_scatter(tmp_path / "new" / "points.png", points)
    assert read_picture(tmp_path / "new" / "points.png").shape[:2] == (600, 600)
    (dots,) = figures[0].axes[0].collections
    np.testing.assert_array_equal(dots.get_offsets(), [[0, 1], [2, 3]])

    plots.save_scatter(tmp_path / "none.png", np.full([3, 2], np.nan))
    with pytest.raises(ValueError, match=r"`points`.*\(3, 3\)"):
        plots.save_scatter(tmp_path / "bad.png", np.zeros([3, 3]))


def test_matplotlib_is_lazy_and_pyplot_is_never_imported(tmp_path):
    # The package is imported alone, in a fresh interpreter: other imports prove nothing about it.
    program = """
import sys, types
sys.modules["tfgen"] = types.ModuleType("tfgen")
sys.modules["tfgen"].__path__ = [sys.argv[1]]
from tfgen import plots
assert "matplotlib" not in sys.modules and "PIL" not in sys.modules
plots.plot_history({"loss": [1, 2]}, sys.argv[2])
assert "matplotlib.figure" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    package = str(pathlib.Path(plots.__file__).parents[1])
    command = [sys.executable, "-c", program, package, str(tmp_path / "history.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


class Plane:
    """A model of the plane: a standard normal distribution, as `save_density` sees it."""

    event_shape = (2,)

    def sample(self, num_samples, condition, seed):
        return np.random.default_rng(seed).normal(size=(num_samples, 2)) + (condition or 0)

    def log_prob(self, x, condition, batch_size):
        assert batch_size < len(x)
        return -0.5 * np.sum((x - (condition or 0)) ** 2, -1) + 1000


def test_save_density(tmp_path):
    path = tmp_path / "new" / "density.png"
    plots.save_density(path, Plane(), np.zeros((50, 2)))
    three = read_picture(path)
    plots.save_density(path, Plane(), extent=(-3, 3, -3, 3))
    two = read_picture(path)
    assert (three.shape[1], two.shape[1]) == (1500, 1000)
    # The density is bright in the middle of its panel and dark at its edge.
    panel = two[:, 500:, :3].astype(int).sum(-1)
    middle = panel[200:300, 220:320]
    assert middle.max() > 600 and (panel < 60).sum() > 1000
    plots.save_density(path, Plane(), condition=5.0)
    assert (read_picture(path) != two).any()


def test_save_density_refuses(tmp_path):
    model = Plane()
    with pytest.raises(ValueError, match=r"`points` must have shape \[n, 2\]"):
        plots.save_density(tmp_path / "a.png", model, np.zeros((5, 3)))
    model.event_shape = (3,)
    with pytest.raises(ValueError, match=r"`model` must have events of shape \[2\].*\[3\]"):
        plots.save_density(tmp_path / "a.png", model)


def test_pictures_of_latents_refuse():
    two = types.SimpleNamespace(encode=lambda x, condition: np.zeros((len(x), 2)))
    draw, x = functools.partial(plots.save_traversals, "a.png", two), np.zeros((8, 8, 1))
    for num_steps in (1, 2.5, "3"):
        words = f"`num_steps` must be a whole number from 2 to 1000; got {num_steps!r}"
        with pytest.raises(ValueError, match=words):
            plots.save_interpolations("a.png", two, x[None], x[None], num_steps)
        with pytest.raises(ValueError, match=words):
            draw(x, num_steps=num_steps)
    for latents in (2, [0, -1], 0.5):
        with pytest.raises(ValueError, match="`latents` must be a whole number from 0 to 1; got"):
            draw(x, latents=latents)
    with pytest.raises(ValueError, match="`extent` must be"):
        draw(x, extent=-1)


def test_plots_has_its_public_names():
    assert dir(plots) == [
        "as_drawn", "can_draw", "comfortable_scale", "image_grid", "paired_grid", "plot_history",
        "save_animation", "save_density", "save_image", "save_interpolations", "save_pairs",
        "save_samples", "save_scatter", "save_traversals",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["callbacks", "data", "metrics", "objectives", "optimizers", "plots"]
)
def test_namespaces_hold_public_names_only(name):
    package = getattr(tfgen, name)
    assert dir(package) == sorted(package.__all__)
    assert all(callable(getattr(package, each)) for each in dir(package))

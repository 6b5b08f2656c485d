"""Every example script runs, at toy size."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import zoo

import tfgen

FOLDER = Path(__file__).parents[1] / "examples"
# Arguments that make a script quick, and what it leaves.
SCRIPTS = {
    "two_moons": (["--epochs", "1"], {"density.png", "model.keras"}),
    "lossy_codes": (["--epochs", "1", "--filters", "4", "4"], {"vae.png", "vlae.png"}),
    "variational_inference": (["--steps", "5"], {"posterior.png"}),
    "mode_dropping": (["--steps", "1000"], {"modes.png"}),
    "table": (
        ["--epochs", "1", "--rows", "200"],
        {"pairs.png", "samples.csv", "model.keras"},
    ),
    "score_with_beam": (
        ["--rows", "500"],
        {"export", "rows.csv", "scores-00000-of-00001.csv"},
    ),
    "class_conditional_glow": (
        ["--epochs", "1", "--num-steps", "1"],
        {"classes.png", "morphs.png"},
    ),
}
SLOW = ["class_conditional_glow", "lossy_codes", "score_with_beam", "table"]
# The last tests run it.
QUICK = [name for name in SCRIPTS if name not in (*SLOW, "mode_dropping")]


# They need a server: `test_server_load.py` runs them.
SERVED = {"serving_client"}


def test_every_script_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SCRIPTS) | SERVED


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a script with its arguments, functions of it exchanged, and looks for its files."""

    def run(name, **functions):
        arguments, files = SCRIPTS[name]
        monkeypatch.setattr(sys, "argv", [name, *arguments, "--out", str(tmp_path / "out")])
        main = runpy.run_path(str(FOLDER / f"{name}.py"))["main"]
        for key, exchange in functions.items():
            main.__globals__[key] = exchange(main.__globals__[key])
        main()
        assert {path.name for path in (tmp_path / "out").iterdir()} == files

    return run


@pytest.mark.parametrize("name", QUICK + zoo.slow(*SLOW))
def test_runs(name, run, capsys, tmp_path):
    run(name)
    if name == "two_moons":
        text = capsys.readouterr().out
        integral = float(text.split("integrates to ")[1].split()[0])
        assert abs(integral - 1) < 0.01
    if name == "score_with_beam":
        scored = np.loadtxt(tmp_path / "out/scores-00000-of-00001.csv", delimiter=",", skiprows=1)
        model = tfgen.NSF.from_preset("nsf_pinwheel")
        assert len(scored) == 500
        np.testing.assert_allclose(
            scored[:, 2], model.log_prob(scored[:, :2]), rtol=1e-4, atol=1e-4
        )


def shares_off(run, rows, kinds, steps, monkeypatch):
    """Coverages of the modes that `mode_dropping` finds, by row and by the kind of training, and
    the shares of samples off them."""
    found = {row: {} for row in rows}

    def recorded(fit):
        def record(row, kind, steps):
            samples, found[row][kind] = fit(row, kind, steps)
            return samples, found[row][kind]

        return record

    def some(names):
        return lambda every: {name: every[name] for name in names}

    monkeypatch.setitem(SCRIPTS, "mode_dropping", (["--steps", str(steps)], {"modes.png"}))
    run("mode_dropping", fit=recorded, ROWS=some(rows), WEIGHTS=some(kinds))
    return [
        (
            {kind: each.num_covered for kind, each in found[row].items()},
            {kind: 1 - each.on_modes for kind, each in found[row].items()},
        )
        for row in rows
    ]


# Trains a model of each kind.
@pytest.mark.slow
def test_both_cover_with_fewer_samples_off_the_modes(run, monkeypatch):
    """The direction of the figures in the slides of Lucas et al., for a model that can hold it."""
    kinds = ("likelihood", "both")
    ((modes, off),) = shares_off(run, ["1-D, a network"], kinds, 500, monkeypatch)
    assert modes == {"likelihood": 2, "both": 2}
    assert off["both"] < 0.85 * off["likelihood"]


@pytest.mark.slow
def test_likelihood_covers_and_a_critic_drops(run, monkeypatch):
    rows = ["1-D, one normal", "1-D, a network", "2-D, a network"]
    kinds = ("likelihood", "critic", "both")
    normal, network, plane = shares_off(run, rows, kinds, 1000, monkeypatch)
    assert normal[0] == {"likelihood": 2, "critic": 1, "both": 2}
    assert normal[1]["critic"] < normal[1]["both"] < normal[1]["likelihood"]
    for (modes, off), num_modes in ((network, 2), (plane, 8)):
        assert modes["likelihood"] == modes["both"] == num_modes
        assert off["both"] < 0.7 * off["likelihood"]
        assert off["critic"] < 0.7 * off["likelihood"]

"""Every example script runs, at toy size."""

import runpy
import sys
from pathlib import Path

import pytest
import zoo

FOLDER = Path(__file__).parents[1] / "examples"
# Arguments that make a script quick, and what it leaves.
SCRIPTS = {
    "two_moons": (["--epochs", "1"], {"density.png", "model.keras"}),
    "lossy_codes": (["--epochs", "1", "--filters", "4", "4"], {"vae.png", "vlae.png"}),
    "variational_inference": (["--steps", "5"], {"posterior.png"}),
    "mode_dropping": (["--steps", "1000"], {"modes.png"}),
    "class_conditional_glow": (
        ["--epochs", "1", "--num-steps", "1"],
        {"classes.png", "morphs.png"},
    ),
}
SLOW = ["class_conditional_glow", "lossy_codes"]
# The last test runs it.
QUICK = [name for name in SCRIPTS if name not in (*SLOW, "mode_dropping")]


def test_every_script_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SCRIPTS)


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
def test_runs(name, run, capsys):
    run(name)
    if name == "two_moons":
        text = capsys.readouterr().out
        integral = float(text.split("integrates to ")[1].split()[0])
        assert abs(integral - 1) < 0.01


def test_likelihood_covers_and_a_critic_drops(run):
    """The direction of the figures in the slides of Lucas et al.: coverage, and what is off."""
    every = {1: {}, 2: {}}

    def recorded(fit):
        def record(num_dims, kind, steps):
            samples, every[num_dims][kind] = fit(num_dims, kind, steps)
            return samples, every[num_dims][kind]

        return record

    run("mode_dropping", fit=recorded)
    found = every[1]
    modes = {kind: each.num_covered for kind, each in found.items()}
    assert modes == {"likelihood": 2, "critic": 1, "both": 2}
    assert found["likelihood"].on_modes < found["both"].on_modes < found["critic"].on_modes
    found = every[2]
    assert found["likelihood"].num_covered == found["both"].num_covered == 8
    off = {kind: 1 - each.on_modes for kind, each in found.items()}
    assert off["both"] < 0.7 * off["likelihood"]
    assert off["critic"] < 0.7 * off["likelihood"]

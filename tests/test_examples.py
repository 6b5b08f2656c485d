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
    "mode_dropping": (["--steps", "50"], {"modes.png"}),
    "class_conditional_glow": (
        ["--epochs", "1", "--num-steps", "1"],
        {"classes.png", "morphs.png"},
    ),
}
SLOW = ["class_conditional_glow", "lossy_codes"]


def test_every_script_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in SLOW] + zoo.slow(*SLOW))
def test_runs(name, tmp_path, monkeypatch, capsys):
    arguments, files = SCRIPTS[name]
    monkeypatch.setattr(sys, "argv", [name, *arguments, "--out", str(tmp_path / "out")])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    if name == "two_moons":
        text = capsys.readouterr().out
        integral = float(text.split("integrates to ")[1].split()[0])
        assert abs(integral - 1) < 0.01


def test_likelihood_covers_and_a_critic_drops():
    """The direction of the figures in the slides of Lucas et al.: coverage, and what is off."""
    script = runpy.run_path(str(FOLDER / "mode_dropping.py"))
    found = {kind: script["fit"](1, kind, 1500)[1] for kind in script["WEIGHTS"]}
    modes = {kind: each.num_covered for kind, each in found.items()}
    assert modes == {"likelihood": 2, "critic": 1, "both": 2}
    assert found["likelihood"].on_modes < found["both"].on_modes < found["critic"].on_modes
    found = {kind: script["fit"](2, kind, 1000)[1] for kind in script["WEIGHTS"]}
    assert found["likelihood"].num_covered == found["both"].num_covered == 8
    off = {kind: 1 - each.on_modes for kind, each in found.items()}
    assert off["both"] < 0.7 * off["likelihood"]
    assert off["critic"] < 0.7 * off["likelihood"]

"""The examples of the documentation run, and its tables say what the code does."""

import ast
import dataclasses
import functools
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zoo

import tfgen
from tfgen.core.family import Family
from tfgen.core.played import Played
from tfgen.core.training import Trainable
from tfgen.utils.random import Stream

ROOT = Path(__file__).parents[1]
EXTENDING = ROOT / "docs" / "extending.md"
PAGES = [EXTENDING, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "tables.md"]
DEVICES = ROOT / "docs" / "guides" / "devices.md"


def sections(path):
    """The python blocks of each section of a page, as one source text by the section's title.

    Each line stands at its number in the page, so that errors name the page's lines.
    """
    lines, found, title, inside = path.read_text().splitlines(), {}, path.stem, False
    for number, line in enumerate(lines):
        if line.startswith("```"):
            inside = line == "```python"
        elif inside:
            found.setdefault(title, [""] * len(lines))[number] = line
        elif line.startswith("## "):
            title = line.removeprefix("## ")
    return {title: "\n".join(source) + "\n" for title, source in found.items()}


def examples(*pages):
    return [
        pytest.param(source, id=f"{path.stem}-{title.replace(' ', '_')}")
        for path in pages
        for title, source in sections(path).items()
    ]


def run(source, folder):
    """Runs a source text as a file of its own, since graphs are made of functions' text."""
    path = folder / "example.py"
    path.write_text(source)
    exec(compile(source, str(path), "exec"), {"__name__": "example"})


# Those that train longest run among the slow tests: `test_table` has such frames, `test_own_family`
# two players.
LONG = ("tables-", "extending-A_second_player", "extending-A_recipe")


@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize("source", [e for e in examples(*PAGES) if not e.id.startswith(LONG)])
def test_examples_run(source, tmp_path, monkeypatch):
    """On few rows, and without the checks of `fit` and of `export`, which take the longest: other
    tests have such families, and slow ones run the examples as they are."""
    whole = tfgen.testing.check_model

    def brief(*args, **kwargs):
        whole(*args, **{**kwargs, "fit": False, "export": False})

    monkeypatch.setattr(tfgen.testing, "check_model", brief)
    monkeypatch.chdir(tmp_path)
    run(re.sub(r"\b500\b", "64", source), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("source", examples(*PAGES))
def test_examples_run_whole(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(source, tmp_path)


@pytest.mark.slow
def test_the_page_of_devices_runs(tmp_path):
    """In a process of its own: another strategy would mix its reductions with the tests' one."""
    for number, text in enumerate(sections(DEVICES).values()):
        path = tmp_path / f"example_{number}.py"
        path.write_text(text)
        subprocess.run([sys.executable, path], check=True, cwd=tmp_path)


# --------------------------------------------------------------------------------- the README


def readme_blocks():
    """Each python block of the README, which stands for itself."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def load_few(*args, load=tfgen.data.load, **kwargs):
    """`tfgen.data.load`, the first rows only."""
    data = load(*args, **kwargs)
    splits = ("train", "test")
    few = {name: tuple(v if v is None else v[:64] for v in getattr(data, name)) for name in splits}
    return dataclasses.replace(data, **few)


def classifier_of_few(data, classifier=tfgen.metrics.classifier):
    return classifier(data, "extractors", num_steps=2, verbose=False)


@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize("number", [0, 6, *zoo.slow(1, 2, 3, 4, 5)])
def test_the_readme_runs(number, tmp_path, monkeypatch):
    """Blocks run at toy size: few rows, one epoch, one step of the extractor's training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tfgen.data, "load", load_few)
    monkeypatch.setattr(tfgen.metrics, "classifier", classifier_of_few)
    run(re.sub(r"epochs=\d+", "epochs=1, verbose=0", readme_blocks()[number]), tmp_path)


@pytest.mark.slow
def test_the_readmes_block_of_devices_runs(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(readme_blocks()[7])
    subprocess.run([sys.executable, path], check=True, cwd=tmp_path)


def test_every_block_of_the_readme_is_run():
    assert len(readme_blocks()) == 8


# --------------------------------------------------------------------------------- the tables


def table(title):
    """The rows of the table of a section of `extending.md`, by the name in their first column."""
    section = EXTENDING.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def hooks(cls):
    """Names below the heading of hooks in a class of the core."""
    text = Path(inspect.getsourcefile(cls)).read_text()
    heading = next(n for n, line in enumerate(text.splitlines(), 1) if "# --- hooks" in line)
    names = set()
    for node in ast.walk(ast.parse(text)):
        if getattr(node, "lineno", 0) > heading and node.col_offset == 4:
            if isinstance(node, ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets}
    return names


def zoo_classes():
    """The classes of the families, those that recipes stand on among them."""
    listed = [getattr(tfgen.models, name) for name in tfgen.models.__all__]
    every = {base for cls in listed for base in cls.__mro__}
    return {cls for cls in every if cls.__module__.startswith("tfgen.models.")}


@functools.cache
def source(cls):
    return inspect.getsource(cls)


def overrides(cls, name):
    """True if a class has a value of its own for a hook, in its body or set in its methods."""
    return name in vars(cls) or re.search(rf"self\.{name}(, self\.\w+)* = ", source(cls))


def test_the_table_of_hooks_is_whole():
    listed = set(table("The hooks of a family"))
    own = {"_batch_terms", "term_names", "_needs_adapt", "_adapt"}
    found = hooks(Family) | hooks(Trainable) | hooks(Played)
    assert found - own <= listed, "hooks that the table lacks"
    assert not listed & own
    assert listed - found == {"likelihood", "default_optimizer", "_argument_specs", "_all_layers"}
    text = EXTENDING.read_text()
    assert all(f"`{name}`" in text for name in own)


@pytest.mark.parametrize("name, row", table("The hooks of a family").items())
def test_the_table_of_hooks_says_who_overrides_each(name, row):
    said = set(re.findall(r"`(\w+)`", row[2])) & {cls.__name__ for cls in zoo_classes()}
    assert said == {cls.__name__ for cls in zoo_classes() if overrides(cls, name)}


def test_the_table_of_streams_is_whole():
    numbers = {name: int(row[0]) for name, row in table("Noise and its streams").items()}
    assert numbers == {stream.name: int(stream) for stream in Stream}

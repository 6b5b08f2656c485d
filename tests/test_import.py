"""Importing is quick, and imports point one way."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest
import zoo

import tfgen

ROOT = pathlib.Path(tfgen.__file__).parent
# Each may import those on lines above it, and within itself.
LAYERS = [
    {"utils", "plots", "_version"},
    {"networks", "objectives", "data", "metrics", "optimizers"},
    {"bijectors"},
    {"distributions"},
    {"core", "callbacks"},
    {"models"},
    {"testing", "zoo"},
    {"app"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# Parts beside each other that may see each other; core reads the presets' files.
BESIDE = {("core", "zoo"), ("plots", "utils")}
# Families that build on another one; the others know none.
FAMILIES = {"adversarial": {"latent"}}
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in LEVEL)


def imports(path, inside_functions):
    """The modules of tfgen that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if inside_functions else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("tfgen"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tfgen"):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert part in LEVEL, f"{part} has no place in the order of imports"
    for module in imports(path, inside_functions=True):
        other = module.split(".")[1]
        allowed = other == part or LEVEL[other] < LEVEL[part] or (part, other) in BESIDE
        assert allowed, f"{part} imports {module}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("models/*/*.py")), ids=lambda path: path.stem)
def test_families_do_not_know_each_other(path):
    family = path.parent.name
    for module in imports(path, inside_functions=True):
        if module.startswith("tfgen.models"):
            other = (module.split(".") + [""])[2]
            known = {family} | FAMILIES.get(family, set())
            assert other in known, f"{path.name} of {family} imports {module}"


def test_no_cycles():
    graph = {module: set(imports(path, inside_functions=False)) for module, path in MODULES.items()}
    done, active = set(), []

    def visit(module):
        assert module not in active, " -> ".join([*active, module])
        if module in done or module not in graph:
            return
        active.append(module)
        for other in graph[module]:
            visit(other)
        active.pop()
        done.add(module)

    for module in graph:
        # The package itself imports all for its users.
        if module != "tfgen":
            visit(module)


IMPORT_TIME = """
import sys, time
first = time.process_time()
import keras, tensorflow, tensorflow_probability
tensorflow_probability.distributions, tensorflow_probability.bijectors
start = time.process_time()
import tfgen.data
share = (time.process_time() - start) / (start - first)
print(share, "tensorflow_datasets" in sys.modules)
"""


def test_import_is_quick_and_leaves_tfds_alone():
    """Quick beside importing Keras, TensorFlow and TFP, by the processor's time in one process:
    other load slows both."""
    shares = []
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", IMPORT_TIME],
            env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        share, has_tfds = result.stdout.split()
        assert has_tfds == "False"
        shares.append(float(share))
        if shares[-1] < 0.1:
            return
    raise AssertionError(f"importing tfgen takes {shares} of importing Keras, TensorFlow and TFP")


def run_command(*arguments, cwd=None, **environment):
    """The finished process of the installed command, with its two streams."""
    command = pathlib.Path(sys.executable).with_name("tfgen")
    clean = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [command, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**clean, **environment},
    )


@pytest.mark.parametrize("backend", ["", *zoo.slow("tensorflow")])
def test_the_command_starts_quietly(tmp_path, backend):
    """On TensorFlow, whatever Keras's file of settings names."""
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    arguments = ["train", "RealNVP", "--data", "nowhere", "--out", "run"]
    settings = {"KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path)}
    found = run_command(*arguments, cwd=tmp_path, **settings)
    assert found.returncode == 1 and found.stdout == ""
    assert found.stderr.startswith("Error: ") and found.stderr.count("\n") == 1
    assert "nowhere" in found.stderr


def test_the_command_tells_of_another_backend_in_a_line():
    found = run_command("models", KERAS_BACKEND="jax")
    assert found.returncode == 1 and found.stderr.count("\n") == 1
    assert found.stderr.startswith("Error: tfgen needs Keras on TensorFlow")

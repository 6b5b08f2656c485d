"""The code of guides and notebooks runs, at toy size; of notebooks among the examples, too.

A page has one cell of numbers, tagged `parameters`, that say how large its models and how long its
training are; here smaller ones take their place, and data sets have few rows. `make docs` runs the
pages with the numbers that stand there.
"""

import re
from pathlib import Path

import pytest
import tensorflow as tf
import zoo
from IPython.core.inputtransformer2 import TransformerManager
from test_docs import load_few
from test_docs import run

import tfgen

DOCS = Path(__file__).parents[1] / "docs"
CELL = re.compile(r"^```\{code-cell\}.*\n((?:^:.*\n)*)([\s\S]*?)^```$", re.MULTILINE)
TOY = {
    "quickstart": "epochs = 1",
    "guides/anomalies": "epochs, num_others = 1, 20",
    "guides/compression": "epochs = 1",
    "guides/conditions": "epochs = 1",
    "guides/evaluating": "epochs, num_steps = 1, 5",
    "guides/images": "num_images, epochs = 60, 1",
    "guides/likelihoods": "epochs, num_samples = 1, 4",
    "guides/serving": "",
    "guides/variational_inference": "num_steps, num_samples = 2, 100",
    "notebooks/quickstart": "epochs = 1",
    "notebooks/glow_on_your_images": "num_patches, epochs, num_steps = 32, 1, 1",
    "notebooks/lossy_compression": "epochs, filters = 1, [4, 4, 4]",
    "notebooks/cqf": "epochs, num_steps = 1, 5",
    "notebooks/surrogate_posteriors": "num_steps, num_samples = 2, 100",
    "notebooks/tables": "epochs = 1",
    "../examples/colab_tpu": "num_steps, filters, epochs, rows_each = 1, 4, 1, 16",
}

# Their fits are graphs of all steps, which take longer to make than a few steps do.
FITS = {"guides/variational_inference", "notebooks/surrogate_posteriors"}


def cells(name):
    """Options and source of each cell of a page."""
    return CELL.findall((DOCS / f"{name}.md").read_text(encoding="utf-8"))


def parameters(name):
    return [source for options, source in cells(name) if "[parameters]" in options]


def source(name):
    """The code of a page as one text, with the toy numbers in the place of its own."""
    code = [TOY[name] if "[parameters]" in options else text for options, text in cells(name)]
    # Lines such as %pip are a notebook's only.
    return TransformerManager().transform_cell("\n".join(code))


def test_every_page_with_cells_is_run():
    pages = [path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")]
    found = {str(page) for page in pages if "_build" not in page.parts and cells(page)}
    examples = {f"../examples/{path.stem}" for path in (DOCS.parent / "examples").glob("*.md")}
    assert found | examples == set(TOY)


@pytest.mark.parametrize("name", TOY)
def test_toy_numbers_are_those_of_the_page(name):
    """The same names, so that none of the page's own sizes stays."""
    named = [re.findall(r"^(\w+) = ", text, re.MULTILINE) for text in parameters(name)]
    toy = TOY[name].split(" = ")[0].split(", ") if TOY[name] else []
    assert sum(named, []) == toy


# They train several models, or images, or export; by default the first page and the README run, and
# what pages show has tests of its own.
@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize("name", zoo.slow(*TOY))
def test_the_code_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tfgen.data, "load", load_few)
    tf.config.run_functions_eagerly(name in FITS)
    try:
        run(source(name), tmp_path)
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eager_training")
def test_the_first_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tfgen.data, "load", load_few)
    (block,) = re.findall(r"^```python\n(.*?)^```", (DOCS / "index.md").read_text(), re.M | re.S)
    run(block.replace("epochs=10", "epochs=1, verbose=0"), tmp_path)

"""The documentation builds without a warning; its links lead somewhere, and names have a page."""

import html.parser
import importlib
import inspect
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote
from urllib.parse import urlsplit

import pytest
import zoo

import tfgen
from tfgen.app import zoo_table

ROOT = Path(__file__).parents[1]
PACKAGES = [name for name in tfgen.__all__ if inspect.ismodule(getattr(tfgen, name))]
MODULES = ["tfgen", *(f"tfgen.{name}" for name in sorted(PACKAGES))]


@pytest.fixture(scope="module", params=["basic", *zoo.slow("furo")])
def site(request, tmp_path_factory):
    """The folder of the pages, as `make docs` builds them but for the output of their code, and by
    default in a theme that is quick to write."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"]
    built = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        env={
            **os.environ,
            "TFGEN_DOCS_EXECUTION": "off",
            "TFGEN_DOCS_THEME": request.param,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
    )
    warnings = [line for line in built.stderr.splitlines() if "WARNING: " in line]
    # The first is TensorFlow's.
    warnings = [line for line in warnings if "absl::InitializeLog" not in line]
    assert built.returncode == 0, "\n".join(warnings) or built.stderr
    return folder / "html"


class Page(html.parser.HTMLParser):
    """The addresses that a page leads to, and the places in it that can be led to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def pages(site):
    return {path.resolve(): Page(path) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def described(pages):
    """Full names that have a description on a page of the API."""
    api = [page for path, page in pages.items() if path.parent.name == "api"]
    return {name for page in api for name in page.ids if name.startswith("tfgen.")}


def test_internal_links_lead_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            place = unquote(url.fragment)
            places = pages[target].ids | {""} if target in pages else {place}
            if not target.exists() or place not in places:
                broken.append(f"{path.name}: {link}")
    assert len(pages) > 100
    assert not broken


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_page(module, described):
    package = importlib.import_module(module)
    found = {}
    for other in MODULES:
        exported = importlib.import_module(other)
        for name in exported.__all__:
            value = getattr(exported, name)
            if f"{other}.{name}" in described:
                found[id(value)] = name
    lacking = [name for name in package.__all__ if id(getattr(package, name)) not in found]
    assert not [name for name in lacking if not inspect.ismodule(getattr(package, name))]


def test_members_of_keras_are_left_out(described):
    checked = 0
    for name in described:
        *parents, member = name.split(".")
        owner = importlib.import_module(parents[0])
        for parent in parents[1:]:
            owner = getattr(owner, parent)
        if inspect.isclass(owner):
            checked += 1
            definer = next(cls for cls in owner.__mro__ if member in vars(cls))
            assert definer.__module__.split(".")[0] == "tfgen", name
    assert checked > 100
    assert "tfgen.GenerativeModel.sample" in described
    assert not {"tfgen.Glow.add_weight", "tfgen.GenerativeModel.summary"} & described


def test_members_of_keras_would_be_found(site):
    """The check above goes by identifiers, which Sphinx makes for methods of classes."""
    page = (site / "api" / "tfgen.VAE.html").read_text(encoding="utf-8")
    assert re.search(r'<dt[^>]* id="tfgen.VAE.code_length"', page)


def test_code_that_is_a_public_name_is_a_link(site):
    page = (site / "choosing.html").read_text(encoding="utf-8")
    assert re.search(r'href="api/tfgen.NSF.html#tfgen.NSF"[^>]*><code[^>]*><span[^>]*>NSF<', page)


def test_the_zoo_has_the_table_of_the_command(site):
    page = (site / "zoo.html").read_text(encoding="utf-8")
    rows = zoo_table.rows()
    assert page.count("<tr") == len(rows) + 1
    for row in rows:
        assert re.search(
            rf'<a [^>]*href="api/tfgen[^"]*"[^>]*><code[^>]*><span[^>]*>{row["model"]}<', page
        )


def test_notebooks_are_those_of_their_texts_and_name_the_repository():
    command = [sys.executable, ROOT / "docs" / "write_notebooks.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_picture_is_what_the_script_draws():
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_data_flow.py"))["draw"]()
    assert (ROOT / "docs" / "images" / "data_flow.svg").read_text(encoding="utf-8") == drawn

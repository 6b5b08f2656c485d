"""Configuration of the documentation site; `make docs` builds it into `docs/_build/html`."""

import configparser
import os
import re
import sys
from pathlib import Path

# Before anything imports Keras: here and in the kernels of pages that run code.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]
# Kernels import the tree that the pages are of, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

_setup = configparser.ConfigParser()
_setup.read(ROOT / "setup.cfg", encoding="utf-8")
# The one place of the repository's address. `python docs/write_notebooks.py` writes it into pages.
REPOSITORY = _setup["metadata"]["url"]

project = "tfgen"
author = _setup["metadata"]["author"]
copyright = author
version = release = re.search(r'__version__ = "(.+)"', (ROOT / "tfgen/_version.py").read_text())[1]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
extensions += ["api_pages"]
exclude_patterns = ["_build", "_ext", "**/*.ipynb", "**/.ipynb_checkpoints"]
# A page that cannot be linked to is an error, and so is a name that is nowhere described.
nitpicky = True
# Annotations of fields, of packages whose inventories are not read: a build needs no network.
nitpick_ignore_regex = [("py:.*", r"(numpy|np|tf|tensorflow|keras)\..*")]
# `x` in a docstring is code; `api_pages` makes links of the names that have a page.
default_role = "code"

autodoc_typehints = "none"
# Keras's docstrings of its own methods stay with Keras.
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_display_short_literal_types = True

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# "off" leaves the code of the pages as it stands, without its output: what tests build.
nb_execution_mode = os.environ.get("TFGEN_DOCS_EXECUTION", "cache")
# Pages write files, which belong nowhere in the tree.
nb_execution_in_temp = True
nb_execution_timeout = 1800
nb_execution_raise_on_error = True
nb_execution_show_tb = True
# TensorFlow's notices of devices and libraries; errors stop the build all the same.
nb_output_stderr = "remove"

# The tests look at the links of the text alone, in a theme that is written in half the time.
html_theme = os.environ.get("TFGEN_DOCS_THEME", "furo")
html_title = f"tfgen {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "source_repository": REPOSITORY + "/",
    "source_branch": "main",
    "source_directory": "docs/",
    "navigation_with_keys": True,
}
if html_theme != "furo":
    html_theme_options = {}


def setup(app):
    """What differs between the pages as they stand and the site."""

    def read(app, docname, source):
        # A file outside the site, which readers of the repository are led to.
        source[0] = source[0].replace("](../CONTRIBUTING.md", "](contributing.md")
        if docname == "zoo":
            from tfgen.app import zoo_table

            source[0] = source[0].replace("% the table", zoo_table.markdown())
        if not (ROOT / "docs" / "tables.md").exists():
            source[0] = source[0].replace("\ntables\n", "\n")

    app.connect("source-read", read)

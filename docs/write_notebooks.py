"""Writes the .ipynb beside each text of `docs/notebooks` and `examples`, and the repository's
address into pages.

python docs/write_notebooks.py           # after a text, or the address in setup.cfg, was changed
python docs/write_notebooks.py --check   # names what is out of date, and exits with 1
"""

import argparse
import configparser
import re
import sys
from pathlib import Path

import jupytext

DOCS = Path(__file__).resolve().parent
# An address up to the repository's name, in badges, install lines and links.
ADDRESS = re.compile(
    r"(https://(?:colab\.research\.google\.com/)?github(?:\.com)?/)[\w.-]+/[\w.-]+"
)


def repository():
    """`OWNER/NAME`, from the address in setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read(DOCS.parent / "setup.cfg", encoding="utf-8")
    return setup["metadata"]["url"].removeprefix("https://github.com/")


def notebook(text):
    """The content of the .ipynb file of a text, without output."""
    made = jupytext.reads(text, fmt="md:myst")
    for i, cell in enumerate(made.cells):
        # By default they are drawn at random, and every file would change each time.
        cell["id"] = f"cell-{i}"
    return jupytext.writes(made, fmt="ipynb")


def written():
    """Dict of paths to what they have to hold."""
    texts = [
        p for d in ("docs/notebooks", "examples") for p in sorted((DOCS.parent / d).glob("*.md"))
    ]
    files = {}
    for path in [DOCS / "quickstart.md", DOCS / "guides" / "devices.md", *texts]:
        old = path.read_text(encoding="utf-8")
        files[path] = ADDRESS.sub(lambda match: match[1] + repository(), old)
        if path in texts:
            files[path.with_suffix(".ipynb")] = notebook(files[path])
    return files


def main():
    """Writes the files, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = []
    for path, text in written().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(DOCS.parent)} {'is out of date' if check else 'written'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()

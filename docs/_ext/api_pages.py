"""Sphinx extension: a page for each public name, and links from code to these pages.

`write` makes `docs/api` anew in each build: an index, a page for each group, which is a subpackage
or the models at the top, and one for each name of their `__all__`s. A name that is exported twice,
such as `tfgen.Glow` and `tfgen.models.Glow`, has one page, under the shorter one. A class has the
members that it, or a parent that is not public, defines; those that public parents of this package
describe are links; Keras's own are left out.
"""

import importlib
import inspect
import re
import shutil
import textwrap
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

# Where groups stand in the index: module, title.
GROUPS = {
    "tfgen.models": "Models",
    "tfgen.bijectors": "Bijectors",
    "tfgen.distributions": "Distributions",
    "tfgen.networks": "Networks",
    "tfgen.objectives": "Objectives",
    "tfgen.metrics": "Metrics",
    "tfgen.callbacks": "Callbacks",
    "tfgen.optimizers": "Optimizers",
    "tfgen.data": "Data",
    "tfgen.plots": "Plots",
    "tfgen.testing": "Testing",
    "tfgen.core": "Core",
}


def public_names():
    """Dict of the object behind each public name to the name that its page has."""
    tfgen = importlib.import_module("tfgen")
    found = {}
    for module in ("tfgen", *GROUPS):
        package = importlib.import_module(module)
        for name in package.__all__:
            value = getattr(package, name)
            if not inspect.ismodule(value):
                found.setdefault(value, f"{module}.{name}")
    packages = {f"tfgen.{n}" for n in tfgen.__all__ if inspect.ismodule(getattr(tfgen, n))}
    if packages - set(GROUPS):
        raise ValueError(f"`GROUPS` lacks {', '.join(sorted(packages - set(GROUPS)))}")
    return found


def grouped(pages):
    """Dict of each group's module to its names and pages: all of its `__all__`."""
    groups = {}
    for module in GROUPS:
        package = importlib.import_module(module)
        values = {name: getattr(package, name) for name in sorted(package.__all__, key=str.lower)}
        groups[module] = {name: pages[value] for name, value in values.items()}
    return groups


def is_ours(cls):
    """Whether a class is of this package."""
    return cls.__module__.split(".")[0] == "tfgen"


def attributes_described(cls):
    """Names under "Attributes:" in a class's docstring, described there."""
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    section = re.search(r"^Attributes:\n((?:[ ]+.*\n?|\n)*)", text, re.MULTILINE)
    return set(re.findall(r"^    (\w+):", section[1], re.MULTILINE)) if section else set()


def members(cls):
    """Public members with a docstring of this package, by name, and the class that has it."""
    found = {}
    for parent in filter(is_ours, cls.__mro__):
        for name, value in vars(parent).items():
            value = inspect.unwrap(getattr(value, "__func__", value))
            document = getattr(value, "__doc__", None)
            callable_ = inspect.isroutine(value) or isinstance(value, property)
            callable_ |= hasattr(type(value), "__get__")
            if not name.startswith("_") and callable_ and document:
                found.setdefault(name, parent)
    described = {
        name for parent in filter(is_ours, cls.__mro__) for name in attributes_described(parent)
    }
    return {name: parent for name, parent in found.items() if name not in described}


def divided(cls, pages):
    """Members that stand on the page of a class, and those of public parents, by parent."""
    own, inherited = [], {}
    public = [parent for parent in cls.__mro__[1:] if parent in pages]
    for name, owner in sorted(members(cls).items()):
        at = [parent for parent in public if owner in parent.__mro__ and owner is not cls]
        if at:
            inherited.setdefault(at[-1], []).append(name)
        else:
            own.append(name)
    return own, inherited


def summary(value):
    """First sentence of a docstring, as one line."""
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    paragraph = " ".join(text.split("\n\n")[0].split())
    # Not at "et al. 2017" or "eq. 3".
    first = re.split(r"(?<!\bal)(?<!\beq)(?<!\bFig)\.(?= [A-Z`]|$)", paragraph)[0]
    return first.rstrip(".:;,")


def heading(text, line="="):
    """A title in reStructuredText."""
    return f"{text}\n{line * len(text)}\n\n"


def table(rows):
    """Pairs of a name and what it is, as a table."""
    lines = [".. list-table::", "   :widths: auto", "   :class: api-names", ""]
    for first, second in rows:
        lines += [f"   * - {first}", f"     - {second}"]
    return "\n".join(lines) + "\n\n"


def kind(cls, name):
    """The directive that describes a member."""
    value = inspect.getattr_static(cls, name)
    if isinstance(value, property):
        return "property"
    return "method" if callable(getattr(cls, name)) else "attribute"


def class_page(cls, full, pages):
    """The description of a class."""
    text = f".. autoclass:: {full}\n"
    own, inherited = divided(cls, pages)
    bases = [pages[base] for base in cls.__bases__ if base in pages]
    text += "\n"
    if bases:
        linked = ", ".join(f":py:obj:`~{base}`" for base in bases)
        text += f"   Derives from {linked}.\n\n"
    if own:
        text += "   .. rubric:: Members\n\n"
        for name in own:
            text += f"   .. auto{kind(cls, name)}:: {name}\n\n"
    for parent, names in inherited.items():
        linked = ", ".join(f":py:obj:`{name} <{pages[parent]}.{name}>`" for name in names)
        text += f"   .. rubric:: Members of {parent.__name__}\n\n   {linked}\n\n"
    return text


def page(value, full, pages):
    """The page of a public name."""
    text = f":orphan:\n\n{heading(full)}.. currentmodule:: {full.rpartition('.')[0]}\n\n"
    if inspect.isclass(value):
        return text + class_page(value, full, pages)
    return text + f".. autofunction:: {full}\n"


def write(folder):
    """Writes the pages of the API into a folder, which is made anew."""
    pages = public_names()
    texts = {f"{full}.rst": page(value, full, pages) for value, full in pages.items()}
    index = heading("API") + textwrap.dedent(
        """
        Every public name has a page with its arguments, shapes, errors and examples; the examples
        run in the tests. Members that classes inherit from Keras are described by Keras.

        """
    )
    objects = {full: value for value, full in pages.items()}
    for module, names in grouped(pages).items():
        group = module.rpartition(".")[2]
        rows = [
            (f":py:obj:`{name} <{full}>`", summary(objects[full])) for name, full in names.items()
        ]
        entries = "\n".join(f"   {name} <{full}>" for name, full in names.items())
        texts[f"{group}.rst"] = (
            heading(GROUPS[module])
            + f".. module:: {module}\n\n{summary(importlib.import_module(module))}.\n\n"
            + table(rows)
            + f".. toctree::\n   :hidden:\n\n{entries}\n"
        )
    index += ".. toctree::\n   :maxdepth: 1\n\n"
    index += "".join(f"   {module.rpartition('.')[2]}\n" for module in GROUPS)
    texts["index.rst"] = index
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in texts:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name, text in texts.items():
        path = folder / name
        # Unchanged pages keep their time, so that Sphinx does not read them again.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def places(pages):
    """Dict of what code may call a public thing, or a member of one, to its full name."""
    found = {}
    for value, full in pages.items():
        short = full.rpartition(".")[2]
        called = {full, full.removeprefix("tfgen.")} | ({short} if short[0].isupper() else set())
        found |= dict.fromkeys(called, full)
        if inspect.isclass(value):
            own, inherited = divided(value, pages)
            owners = {name: full for name in own}
            owners |= {name: pages[cls] for cls, names in inherited.items() for name in names}
            for name, owner in owners.items():
                found |= {f"{each}.{name}": f"{owner}.{name}" for each in called}
    return found


def link_code(app, doctree):
    """Makes links of code that is a public name: `Glow`, `Glow(...)`, `VAE.code_length`."""
    titles = (nodes.title, nodes.reference, addnodes.pending_xref, addnodes.desc_signature)
    for node in list(doctree.findall(nodes.literal)):
        full = app.config.tfgen_places.get(re.sub(r"\(.*\)$", "", node.astext(), flags=re.DOTALL))
        if full is None or isinstance(node.parent, titles):
            continue
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=full, refexplicit=True, refwarn=True
        )
        link["refdoc"] = app.env.docname
        node.replace_self(link)
        link += node


def mend(app, what, name, obj, options, lines):
    """Makes docstrings as they are written here ones that reStructuredText reads alike."""
    if what in ("property", "attribute"):
        # Napoleon would take what stands before a colon in the first line for a type.
        lines.insert(0, "\\ ")
    for i, line in enumerate(lines):
        if not line.lstrip().startswith(">>>"):
            # The plural of code: `Player`s.
            line = re.sub(r"(`[^`]+`)(?=[A-Za-z])", r"\1\\ ", line)
            # A letter and a full stop would begin a list.
            lines[i] = re.sub(r"^( +\w+: )([A-Za-z]\.)$", r"\1\\\2", line)


def start(app):
    """Writes the pages before Sphinx looks for them."""
    write(Path(app.srcdir) / "api")
    app.config.tfgen_places = places(public_names())


def setup(app):
    """Connects the extension to a build."""
    app.add_config_value("tfgen_places", {}, "")
    # Before napoleon, which has 500.
    app.connect("autodoc-process-docstring", mend, priority=400)
    app.connect("builder-inited", start)
    app.connect("doctree-read", link_code)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

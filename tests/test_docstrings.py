"""Every public name says what it is, and shows it by an example that runs.

The names are those in `__all__` of the public modules, or, of a module without one, what it
defines itself. The docstring of each has an example that doctest finds.

The methods and properties that a class introduces, or that it has from a base which is not public
itself, are public with it. Each is documented, and shown in an example: its own, that of its class,
or that of another public class that has it. A method that overrides another one means what that one
means, here or in Keras, and may leave both to it.
"""

import doctest
import functools
import importlib
import inspect
import re
import sys

PARTS = [
    "bijectors",
    "distributions",
    "networks",
    "objectives",
    "metrics",
    "callbacks",
    "optimizers",
    "data",
    "plots",
    "models",
    "core",
    "testing",
    "app.runs",
]
MODULES = [importlib.import_module(name) for name in ("tfgen", *(f"tfgen.{p}" for p in PARTS))]


def names_of(module):
    own = (
        name
        for name, value in vars(module).items()
        if name[0] != "_" and getattr(value, "__module__", None) == module.__name__
    )
    return getattr(module, "__all__", None) or own


def public():
    """Public functions and classes by the first name that users have for them."""
    found = {}
    for module in MODULES:
        for name in names_of(module):
            value = getattr(module, name)
            if not inspect.ismodule(value) and value not in found.values():
                found[f"{module.__name__}.{name}"] = value
    return found


def function_of(member):
    """The function behind a method, a property or a class method; None of other members."""
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    elif isinstance(member, property):
        member = member.fget
    elif isinstance(member, functools.cached_property):
        member = member.func
    return member if inspect.isfunction(member) else None


def introduced(cls):
    """The public methods and properties of a class that no class above has, by name."""
    for number, owner in enumerate(cls.__mro__):
        if not owner.__module__.startswith("tfgen.") or (number and owner in PUBLIC.values()):
            return
        above = cls.__mro__[number + 1 :]
        for name, member in vars(owner).items():
            function = function_of(member)
            if function and name[0] != "_" and not any(name in vars(base) for base in above):
                yield name, function


PUBLIC = public()
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
METHODS = [(name, *method) for name, cls in CLASSES.items() for method in introduced(cls)]


@functools.cache
def examples(module):
    """The sources of the examples that doctest runs of a module, by qualified name."""
    found = doctest.DocTestFinder().find(sys.modules[module], module)
    return {
        test.name: "".join(e.source for e in test.examples if doctest.SKIP not in e.options)
        for test in found
    }


def example(value):
    return examples(value.__module__).get(f"{value.__module__}.{value.__qualname__}", "")


def is_shown(cls, method):
    """True if a class that has the method, or the method as that class has it, shows it."""
    family = [other for other in CLASSES.values() if issubclass(other, cls)]
    own = [function_of(inspect.getattr_static(other, method)) for other in family]
    sources = map(example, [*family, *filter(None, own)])
    return re.search(rf"\.{method}\b", "".join(sources))


def test_every_public_name_has_an_example():
    missing = [name for name, value in PUBLIC.items() if not example(value)]
    assert not missing, f"{len(missing)} of {len(PUBLIC)} names have no example"


def test_every_public_method_has_a_docstring():
    missing = [f"{name}.{method}" for name, method, function in METHODS if not function.__doc__]
    assert not missing, f"{len(missing)} of {len(METHODS)} methods have no docstring"


def test_every_public_method_is_shown_in_an_example():
    missing = [
        f"{name}.{method}" for name, method, _ in METHODS if not is_shown(CLASSES[name], method)
    ]
    assert not missing, f"{len(missing)} of {len(METHODS)} methods are in no example"

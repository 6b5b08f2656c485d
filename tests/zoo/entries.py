"""A line of the registry of models, and how its parts are made."""

import dataclasses
import functools
import types
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """A small model and what it promises.

    Args:
        build: constructor, of keyword arguments such as `dtype`.
        likelihood: what its `log_prob` is.
        costly: whether the checks that take longest (XLA, `predict`, float64) run on it too.
        own_parts: whether it needs classes of the tests, which another process has not.
        terms: what it logs beside the loss.
        summed: those of the terms that add up to the loss; None for all.
        weights: dict from such a term to the term that is its weight.
        draws: whether `decode` draws, with noise that depends on the row.
        reconstructs: whether `call` gives examples, and not a number for each.
        falls: the term that training lowers; by default the first.
        compile: arguments of `compile` where the model's own choices take long.
    """

    build: Callable
    likelihood: str = "exact"
    costly: bool = False
    own_parts: bool = False
    terms: tuple = ("nll",)
    summed: tuple | None = None
    weights: dict = dataclasses.field(default_factory=dict)
    draws: bool = False
    reconstructs: bool = False
    falls: str | None = None
    compile: dict = dataclasses.field(default_factory=dict)


def model(build, *args, **kwargs):
    """A line of `MODELS`: what `ModelEntry` does not take goes to the constructor."""
    names = {field.name for field in dataclasses.fields(ModelEntry)}
    facts = {name: kwargs.pop(name) for name in names & set(kwargs)}
    return ModelEntry(functools.partial(build, *args, **kwargs), **facts)


def made(parts, dtype):
    """Parts of a model, those that are functions by being called."""
    makes = (types.FunctionType, functools.partial)
    return {k: part(dtype=dtype) if isinstance(part, makes) else part for k, part in parts.items()}

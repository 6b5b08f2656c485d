"""The zoo on one page: a table of all models, read from their classes."""

import inspect

from tfgen import models
from tfgen.core.family import Family

HEADS = ("model", "likelihood", "data", "conditional by", "latents", "a sample", "trained by")


def listed():
    """Dict from name to class of the public models: those that others stand on have no data to be
    trained on by themselves.

    >>> from tfgen.app import zoo_table
    >>> "Glow" in zoo_table.listed(), "EncoderDecoder" in zoo_table.listed()
    (True, False)
    """
    found = {name: getattr(models, name) for name in models.__all__}
    every = {n: c for n, c in found.items() if inspect.isclass(c) and issubclass(c, Family)}
    return {n: c for n, c in sorted(every.items(), key=lambda kv: kv[0].lower()) if _is_whole(c)}


def _is_whole(cls):
    """True of a class that defines samples or answers, and an objective or a density."""
    if "parts" in inspect.signature(cls.__init__).parameters:
        # What is observed is for a subclass to say.
        return False
    made = [cls._generate is not Family._generate, cls._outputs is not Family._outputs]
    hooks = ("_terms", "_batch_terms", "_log_weight")
    return any(made) and any(getattr(cls, hook) is not getattr(Family, hook) for hook in hooks)


def rows():
    """List of dicts, one for each model, whose keys are the table's heads.

    >>> from tfgen.app import zoo_table
    >>> row = next(row for row in zoo_table.rows() if row["model"] == "IAF")
    >>> row["data"], row["a sample"], row["trained by"]
    ('real, uint8, columns', 'one pass', '`nll` or `bpd`')
    """
    return [_row(name, cls) for name, cls in listed().items()]


def _row(name, cls):
    players = f"; {' and '.join(cls._player_names)}" if len(cls._player_names) > 1 else ""
    return {
        "model": name,
        "likelihood": ", ".join(cls._likelihoods or (cls.likelihood,)),
        "data": ", ".join(cls._kinds),
        "conditional by": _of_y(cls),
        "latents": _of_latents(cls._latents),
        "a sample": cls._sampling or "none",
        "trained by": _of_terms(cls._minimises) + players,
    }


def _of_latents(text):
    if text is None:
        return "none"
    # What no attribute of users' has is said in words.
    words = [word for word in text.split("_") if word not in ("", "num")]
    return " ".join(words) if text.startswith("_") else f"`{text}`"


def _of_y(cls):
    if cls._role == "target":
        return f"none; it learns from: {', '.join(cls._y_kinds)}"
    kinds = list(cls._y_kinds)
    if "label" in kinds and "vector" in kinds:
        kinds.insert(2, "both")
    return ", ".join(kinds)


def _of_terms(text):
    words = (word if word in ("or", "+") else f"`{word}`" for word in text.split())
    return " ".join(words)


def markdown():
    """The table in Markdown.

    >>> from tfgen.app import zoo_table
    >>> zoo_table.markdown().splitlines()[0]
    '| model | likelihood | data | conditional by | latents | a sample | trained by |'
    """
    lines = [HEADS, ["---"] * len(HEADS)]
    lines += [[f"`{row['model']}`", *list(row.values())[1:]] for row in rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The table of the zoo has every model, and says what instances do."""

import functools
import re

import click.testing
import numpy as np
import pytest
import zoo
from test_registry import public

import tfgen
from tfgen.app import cli
from tfgen.app import zoo_table

ROWS = {row["model"]: row for row in zoo_table.rows()}


def words(row, head):
    return re.split(r"[,;] ", row[head])


def row_of(model):
    return ROWS[type(model).__name__]


def test_every_public_model_has_a_row():
    models = public(tfgen.models, tfgen.GenerativeModel) - {tfgen.models.Mapping}
    models |= {tfgen.CycleGAN, tfgen.DomainAdversarial, tfgen.models.Flow}
    assert {cls.__name__ for cls in models} == set(ROWS)


def test_the_command_prints_it():
    printed = click.testing.CliRunner().invoke(cli.main, ["models", "--table"])
    assert printed.exit_code == 0
    lines = printed.output.splitlines()
    assert [head.strip() for head in lines[0].strip("|").split("|")] == list(zoo_table.HEADS)
    for line, row in zip(lines[2:], ROWS.values(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[0] == f"`{row['model']}`" and cells[1:] == list(row.values())[1:]


def check_cells(model):
    """The cells of a model's row but for how it samples, against an instance."""
    row, y = row_of(model), model.data_spec.y
    assert model.likelihood in words(row, "likelihood")
    assert model.data_kind in words(row, "data")
    if y is None:
        assert model.data_spec.role == "condition"
    else:
        kinds = ["label"] * bool(y.num_classes)
        kinds += ["vector" if len(y.shape) == 1 else "image"] if y.shape is not None else []
        target = "none; it learns from: " * (y.role == "target")
        assert row["conditional by"].startswith(target)
        assert target or "learns" not in row["conditional by"]
        assert set(kinds) <= set(re.findall(r"\w+", row["conditional by"]))
    size = type(model)._latents
    assert (model.latent_shape is None) == (size is None) == (row["latents"] == "none")
    if size is not None:
        named = {
            name: getattr(model, name)
            for name in re.findall(r"[a-z]\w*|_\w+", size)
            if name != "sum"
        }
        assert eval(size, {"sum": sum}, named) == np.prod(model.latent_shape)
    terms, *players = row["trained by"].split("; ")
    alternatives = [set(re.findall(r"`(\w+)`", text)) for text in terms.split(" or ")]
    assert any(names <= set(model.term_names) for names in alternatives), model.term_names
    listed = players[0].split(" and ") if players else ["model"]
    assert [player.name for player in model.players] == listed


def test_cells_are_true(case):
    check_cells(case.model)


@pytest.mark.parametrize("cls", [tfgen.CycleGAN, tfgen.DomainAdversarial])
def test_cells_of_mappings_are_true(cls):
    networks = {"filters": 2, "num_blocks": 1, "num_halvings": 1}
    model = cls((8, 8, 1), **networks) if cls is tfgen.CycleGAN else cls(2, 2, features="mlp")
    check_cells(model)
    assert row_of(model)["a sample"] == "none" and not hasattr(model, "sample")


def test_likelihoods_follow_the_partition_function():
    for name in ("rbm", "dbm", "boltzmann"):
        model = zoo.MODELS[name].build()
        found = {model.likelihood}
        model.estimate_partition(num_chains=4, num_steps=4)
        found.add(model.likelihood)
        model.estimate_partition(method="enumeration")
        assert found | {model.likelihood} <= set(words(row_of(model), "likelihood"))


def loops(model):
    """True if a draw runs a loop beside those over the copies of a block."""
    graph = model.graph_function("sample", plain=True).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return any(node.op in ("While", "StatelessWhile") for node in nodes)


# A prior by sweeps, which others have not.
OWN_PRIOR = {"wgan"}


@pytest.mark.parametrize(
    "name",
    zoo.but_slow(
        {"maf", "iaf", "rbm", "gan", "sbn", "made", "afvae"},
        {*zoo.KINDS, "iaf", "afvae"} - OWN_PRIOR,
    ),
)
def test_one_pass_has_no_loop(name):
    model = zoo.untrained(name).model
    first, *other = row_of(model)["a sample"].split("; ")
    fitted = isinstance(model, tfgen.models.latent.codes.FitsCodes) and model.fitted_latents
    said = other[0] if fitted or getattr(model, "autoregressive", False) else first
    assert loops(model) == (not said.startswith("one pass"))


# ------------------------------------------------------------------- what is taken, and refused


def pixel_flow(kind):
    parts = zoo.pixel_flow()
    return tfgen.distributions.PixelFlow(parts.bijector, kind)


@functools.cache
def entries():
    """Dict from a class to the entries of the registry that are of it."""
    found = {}
    for entry in zoo.MODELS.values():
        found.setdefault(type(entry.build()), []).append(entry)
    return found


def takes(entry, **arguments):
    try:
        entry.build(**arguments)
    except (ValueError, TypeError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ROWS) - {"CycleGAN", "DomainAdversarial"}))
def test_kinds_of_data_are_those_that_are_taken(name):
    cls = getattr(tfgen.models, name)
    for kind in ("real", "binary", "uint8"):
        given = [{"data_kind": kind}]
        if cls in (tfgen.VAEF, tfgen.CQF) and kind != "binary":
            given = [{"data_kind": kind, "observation": pixel_flow(kind)}]
        taken = any(takes(entry, **each) for entry in entries()[cls] for each in given)
        assert taken == (kind in words(ROWS[name], "data")), kind


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ROWS) - {"CycleGAN", "DomainAdversarial"}))
def test_conditions_are_those_that_are_taken(name):
    cls = getattr(tfgen.models, name)
    said = ROWS[name]["conditional by"]
    for kind in ("label", "vector", "both", "image"):
        taken = False
        for entry in entries()[cls]:
            shape = entry.build().event_shape
            of_image = (*shape[:2], 1) if len(shape) == 3 else (2, 2, 1)
            given = {
                "label": {"num_classes": 2, "condition_shape": None},
                "vector": {"num_classes": None, "condition_shape": (2,)},
                "both": {"num_classes": 2, "condition_shape": (2,)},
                "image": {"num_classes": None, "condition_shape": of_image},
            }
            taken |= takes(entry, **given[kind])
        if cls is tfgen.models.Flow and kind == "image":
            # The registry's is over vectors.
            tfgen.models.Flow((4, 4, 1), tfgen.bijectors.ActNorm(), condition_shape=(4, 4, 1))
            taken = True
        assert taken == (kind in re.findall(r"\w+", said)), kind


def test_a_kind_that_is_not_listed_is_refused():
    with pytest.raises(ValueError, match=r"`data_kind` must be one of \['real', 'uint8'\]; got"):
        zoo.glow(data_kind="binary")
    with pytest.raises(ValueError, match=r"`condition_shape` must be \[features\]; got"):
        tfgen.MAF(2, condition_shape=(2, 2, 1))

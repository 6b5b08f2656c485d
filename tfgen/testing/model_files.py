"""Checks of the files that models are saved and exported to."""

import pathlib

import keras
import tensorflow as tf

from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.model_outputs import outputs
from tfgen.testing.model_outputs import require_same


def assert_saves(case, folder):
    """A `.keras` file gives back a model that scores and samples as the one saved.

    Args:
        case: `Case`.
        folder: where the file is written.
    """
    model, kind, path = case.model, case.kind, pathlib.Path(folder) / "model.keras"
    with calling(f"{kind}.save"):
        model.save(path)
    with calling("keras.models.load_model"):
        loaded = keras.models.load_model(path)
    name = f"{kind}.save"
    require(
        loaded.compiled == model.compiled,
        f"`{name}`: a model that was {'' if model.compiled else 'not '}compiled must be so loaded",
    )
    one, other = (_figures(case, m) for m in (model, loaded))
    for figure, value in one.items():
        what = f"a loaded model must give the same {figure}"
        require_same(case, name, what, other[figure], value, examples=figure == "samples")
    for player, again in zip(model.players, loaded.players, strict=True):
        if model.compiled:
            require(
                int(again.optimizer.iterations) == int(player.optimizer.iterations),
                f"`{name}`: the optimizer of `{player.name}` must be saved with its state; it "
                f"made {int(player.optimizer.iterations)} steps and comes back with "
                f"{int(again.optimizer.iterations)}",
            )


def assert_exports(case, folder):
    """The SavedModel gives, for the same seed, what the methods give.

    Args:
        case: `Case`.
        folder: where it is written.
    """
    model, kind, path = case.model, case.kind, pathlib.Path(folder) / "export"
    with calling(f"{kind}.export"):
        model.export(path, verbose=False)
        served = tf.saved_model.load(str(path)).signatures
    require(
        set(served) >= set(model.signatures()),
        f"`{kind}.export` must serve {sorted(model.signatures())}; got {sorted(served)}",
    )
    seed, x, n = tf.constant([case.seed, 0]), tf.constant(case.x), len(case.x)
    rows = {
        "seed": tf.fill([n], tf.constant(case.seed, tf.int64)),
        "row": tf.range(n, dtype="int64"),
    }
    condition = case.condition_tensors
    condition = condition if isinstance(condition, dict) else {"condition": condition}
    condition = {k: v for k, v in condition.items() if v is not None}
    given = {
        "log_prob": {"x": x},
        "sample": {
            "num_samples": tf.constant(n),
            "seed": seed,
            "temperature": tf.constant(1.0, model.variable_dtype),
        },
        "encode": {"x": x},
    }
    expected = _figures(case, model)
    for name in model.signatures():
        if name not in given:
            continue
        # The noise of `log_prob` is that of the seed 0, that of the other of the row's own.
        by_row = name == "log_prob" and f"{name}_by_row" in served
        function = served[f"{name}_by_row" if by_row else name]
        with calling(f"{kind}.export, the signature {name}"):
            (got,) = function(**given[name], **condition, **(rows if by_row else {})).values()
        figure = "samples" if name == "sample" else name
        if figure in expected:
            what = f"the signature `{name}` must give what the method gives"
            same = {"examples": name != "log_prob"}
            require_same(case, f"{kind}.export", what, got, expected[figure], **same)


def _figures(case, model):
    """Figures by which a model and its copies are compared."""
    found = {}
    if case.can_score:
        name = "log_prob" if model.has_likelihood else "outputs"
        found[name] = outputs(model, case.x, case.condition, seed=case.seed)
    if model.can_sample:
        found["samples"] = model.sample(len(case.x), case.condition, seed=case.seed)
    if "encode" in model.signatures():
        found["encode"] = model.encode(case.x, case.condition)
    return found

"""Checks of how models are trained: their players, gradients and `fit`."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.core import GenerativeModel
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_gradients
from tfgen.testing.errors import require_shape


def assert_players(case):
    """Players have a loss and the terms that are named; each trainable weight belongs to one.

    Args:
        case: `Case`.
    """
    model, kind, found = case.model, case.kind, set()
    for player in model.players:
        name = _terms_name(case, player)
        with calling(name):
            terms = player.terms(case.batch(), tf.constant([case.seed, 1]), True)
        require(
            isinstance(terms, dict) and "loss" in terms,
            f'`{name}` must give a dict of terms, "loss" among them; got '
            f"{sorted(terms) if isinstance(terms, dict) else type(terms).__name__}",
        )
        for term, value in terms.items():
            value = tf.convert_to_tensor(value)
            shape = (len(case.x),) if value.shape.rank else ()
            require_shape(name, f'the term "{term}"', value, shape, "[batch]")
            require_finite(name, f'the term "{term}"', value)
        found |= set(terms) - {"loss"}
    unnamed, missing = sorted(found - set(model.term_names)), set(model.term_names) - found
    require(
        not unnamed and not missing,
        f"`{kind}._term_names` must name the terms beside the loss, {sorted(found)}; got "
        f"{list(model.term_names)}",
    )
    owners = {}
    for player, variable in ((p, v) for p in model.players for v in p.variables):
        first = owners.setdefault(id(variable), player)
        require(
            first is player,
            f"`{kind}._other_players`: the weight {variable.path} belongs to two players, "
            f"`{first.name}` and `{player.name}`",
        )
    for variable in keras.Model.trainable_variables.fget(model):
        require(
            id(variable) in owners,
            f"`{kind}._other_players`: the weight {variable.path} belongs to no player",
        )


def assert_gradients(case):
    """Each trainable weight of a player has a finite gradient of the player's loss.

    Args:
        case: `Case`.
    """
    for player in case.model.players:
        name, weights = _terms_name(case, player), player.variables
        with calling(name), tf.GradientTape() as tape:
            terms = player.terms(case.batch(), tf.constant([case.seed, 1]), True)
            loss = tf.reduce_mean(terms["loss"])
            loss += sum(tf.cast(extra, loss.dtype) for extra in player.losses)
        words = (
            "gets no gradient of the loss. Use it there, as a tensor, or add it with "
            "`trainable=False`"
        )
        require_gradients(name, weights, tape.gradient(loss, weights), words)


def assert_fits(case, epochs=2):
    """`fit` runs, logs the terms by name, moves weights and leaves them finite; so does `evaluate`.

    The model of the case is trained by it.

    Args:
        case: `Case`.
        epochs: number of passes over the rows.
    """
    model, kind = case.model, case.kind
    with calling(f"{kind}.compile"):
        if case.compile_config is None:
            model.compile()
        else:
            model.compile_from_config(case.compile_config)
    before = [v.numpy() for p in model.players for v in p.variables]
    # The last batch is a smaller one.
    size = len(case.x) // 2 + 1
    with calling(f"{kind}.fit"):
        history = model.fit(case.x, case.y, batch_size=size, epochs=epochs, verbose=0).history
    with calling(f"{kind}.evaluate"):
        results = model.evaluate(case.x, case.y, batch_size=size, verbose=0, return_dict=True)
    for name, logs in ((f"{kind}.fit", history), (f"{kind}.evaluate", results)):
        expected = ["loss", *model.term_names]
        require(
            set(expected) <= set(logs),
            f"`{name}` must log the loss and `term_names`, {expected}; got {sorted(logs)}",
        )
        for term, value in logs.items():
            require_finite(name, f"`{term}`", value)
    for weight in model.weights:
        require_finite(f"{kind}.fit", f"the weight {weight.path}", weight)
    after = [v.numpy() for p in model.players for v in p.variables]
    require(
        not before or not all(map(np.array_equal, before, after)),
        f"`{kind}.fit` changed no weight",
    )


def _terms_name(case, player):
    """The name of the hook that gives a player's terms."""
    if player is not case.model.players[0]:
        return f"{case.kind}, the terms of the player `{player.name}`"
    own = type(case.model)._batch_terms is not GenerativeModel._batch_terms
    return f"{case.kind}.{'_batch_terms' if own else '_terms'}"

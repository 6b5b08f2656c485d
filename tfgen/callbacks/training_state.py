"""The optimizers of a model, of every player that it has, and their state."""


def optimizers(model):
    """Pairs of each optimizer of a model and the variables that it moves."""
    players = getattr(model, "players", ())
    if players:
        return [(player.optimizer, player.variables) for player in players]
    return [(model.optimizer, model.trainable_variables)]


def build_optimizers(model):
    """Makes the state of a model's optimizers, which Keras makes in the first step only."""
    with model.distribute_strategy.scope():
        for optimizer, variables in optimizers(model):
            if not optimizer.built:
                optimizer.build(variables)


def with_states(model, variables):
    """Variables of a model and those of its optimizers, each once."""
    states = [v for optimizer, _ in optimizers(model) for v in optimizer.variables]
    return list({id(v): v for v in [*variables, *states]}.values())

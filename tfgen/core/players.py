"""Players: the sides of a model's training."""

import keras
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.layers import is_frozen
from tfgen.utils.replicas import sum_over_replicas


class Player:
    """One side of a model's training: layers, the objective that they lower, and an optimizer.

    A model has one player at least, the lead, which owns all layers that no other player has; so
    every variable belongs to one player. In a training step the others move first, in their order
    and each `steps` times, then the lead. Keras's `optimizer` is the lead's; that of another player
    is the model's attribute `NAME_optimizer`, and the argument of that name to `compile`.

    Args:
        name: a Python name.
        terms: function of `(batch, seed, training)` that gives a dict of terms, `[batch]` or
            scalars, `"loss"` among them; the others are logged.
        layers: list of layers whose trainable variables it moves.
        default_optimizer: function that makes the optimizer of `compile()` without arguments.
        default_steps: steps in one step of the model.

    Attributes:
        steps: steps in one step of the model.

    >>> import keras, tensorflow as tf, tfgen
    >>> layer = keras.layers.Dense(1)
    >>> layer.build((None, 2))
    >>> player = tfgen.core.Player(
    ...     "critic",
    ...     lambda batch, seed, training: {"loss": layer(batch["x"])[:, 0]},
    ...     [layer],
    ...     lambda: keras.optimizers.SGD(0.1),
    ...     default_steps=2,
    ... )
    >>> player.argument_names, player.is_frozen, player.losses
    (('critic_optimizer', 'critic_steps'), False, [])
    >>> optimizer, steps = player.choose(None, None, others=[])
    >>> player.configure(optimizer, steps, lead=None)
    >>> player.steps, player.optimizer is optimizer, player.loss_scale
    (2, True, None)
    >>> player.require_whole_steps(num_replicas=2)
    >>> player.apply([tf.ones([2, 1]), tf.ones([1])])  # gradients of `player.variables`
    >>> player.all_variables[1].numpy().tolist()
    [-0.10000000149011612]
    """

    def __init__(self, name, terms, layers, default_optimizer, default_steps=1):
        self.name, self.terms, self.layers = name, terms, list(layers)
        self.default_optimizer, self.default_steps = default_optimizer, default_steps
        self.steps, self._optimizer = default_steps, None

    @property
    def optimizer(self):
        """Its Keras optimizer, or None before `compile`."""
        return self._optimizer

    @property
    def all_variables(self):
        """All variables of its layers, each once."""
        return _once(v for layer in self.layers for v in layer.variables)

    @property
    def variables(self):
        """The variables that it moves."""
        return _once(v for layer in self.layers for v in layer.trainable_variables)

    @property
    def losses(self):
        """Losses of its layers: of regularisers, and of activities in the last call."""
        return _once(loss for layer in self.layers for loss in layer.losses)

    @property
    def is_frozen(self):
        """True if none of its layers is trained."""
        return all(is_frozen(layer) for layer in self.layers)

    @property
    def argument_names(self):
        """Names of its arguments to `compile`."""
        return f"{self.name}_optimizer", f"{self.name}_steps"

    def choose(self, optimizer, steps, others):
        """The optimizer and the number of steps that are meant, its own for None.

        Args:
            optimizer: as of `keras.optimizers.get`.
            steps: a positive whole number.
            others: the optimizers of players before it, the lead's first.

        Raises:
            ValueError: no optimizer, or another player's; no such number.
        """
        optimizer_name, steps_name = self.argument_names
        steps = checks.check_count(self.default_steps if steps is None else steps, steps_name)
        optimizer = self.default_optimizer() if optimizer is None else optimizer
        try:
            optimizer = keras.optimizers.get(optimizer)
        except (ValueError, TypeError) as error:
            raise ValueError(f"`{optimizer_name}` is none of Keras's: {error}") from error
        if any(_inner(optimizer) is _inner(other) for other in others):
            raise ValueError(f"`{optimizer_name}` must be another one than `optimizer`")
        return optimizer, steps

    def require_whole_steps(self, num_replicas):
        """Refuses sums of gradients of several steps, on several replicas.

        Raises:
            ValueError: the optimizer sums gradients, and there are several replicas.
        """
        steps = _inner(self.optimizer).gradient_accumulation_steps
        if num_replicas > 1 and steps:
            raise ValueError(
                f"`gradient_accumulation_steps` must be None on {num_replicas} replicas, on which "
                f"Keras's optimizers do not accumulate; got {steps}: take larger batches"
            )

    @property
    def loss_scale(self):
        """The factor of losses and gradients that its optimizer finds for itself, or None."""
        return getattr(self.optimizer, "dynamic_scale", None)

    def apply(self, gradients):
        """One step of its optimizer, whose clipping is of the whole batch's gradients.

        Args:
            gradients: those of `variables`, of this replica's share of the batch, scaled where the
                loss was.
        """
        variables = self.variables
        self.optimizer.apply(_clipped(gradients, self.optimizer), variables)

    def configure(self, optimizer, steps, lead):
        """Takes what was chosen; the loss is scaled where the lead's optimizer scales its own."""
        scaled = keras.optimizers.LossScaleOptimizer
        if isinstance(lead, scaled) and not isinstance(optimizer, scaled):
            optimizer = scaled(optimizer, name=f"{self.name}_loss_scale_optimizer")
        self._optimizer, self.steps = optimizer, steps


class Lead(Player):
    """The first player of a model: the variables, the losses and the optimizer are the model's."""

    def __init__(self, model, terms):
        super().__init__("model", terms, [], model.default_optimizer)
        # Not Keras's to track: the model holds its players.
        self._model = lambda: model

    @property
    def optimizer(self):
        """Keras's `optimizer`, or None before `compile`."""
        return getattr(self._model(), "optimizer", None)

    @property
    def variables(self):
        return self._model().trainable_variables

    @property
    def losses(self):
        return self._model().losses


def _once(things):
    return list({id(thing): thing for thing in things}.values())


def _inner(optimizer):
    return getattr(optimizer, "inner_optimizer", optimizer)


def _clips(optimizer):
    return bool(optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue)


def _clipped(gradients, optimizer):
    """Shares of the clipped sum of the replicas' gradients; what is to be clipped by nobody, or on
    one replica by the optimizer, stays."""
    inner, replica = _inner(optimizer), tf.distribute.get_replica_context()
    if not _clips(inner) or replica is None or replica.num_replicas_in_sync == 1:
        return gradients
    scale = getattr(optimizer, "dynamic_scale", 1.0) * (inner.loss_scale_factor or 1.0)
    given = [g is not None for g in gradients]
    total = sum_over_replicas([tf.convert_to_tensor(g) / scale for g in gradients if g is not None])
    # Shares are within the optimizer's own limit, which leaves them as they are.
    shares = iter([g * scale / replica.num_replicas_in_sync for g in inner._clip_gradients(total)])
    return [next(shares) if there else None for there in given]


def check_players(players):
    """Refuses players that share a name or a layer, the lead first among them.

    Raises:
        ValueError: a name that is none of Python's, or that two have; a layer of two.
    """
    names = [player.name for player in players]
    for name in names:
        if not name.isidentifier() or names.count(name) > 1:
            raise ValueError(f"players must have names of their own, as in Python; got {names}")
    owners = {}
    for player in players[1:]:
        for variable in player.all_variables:
            owner = owners.setdefault(id(variable), player.name)
            if owner != player.name:
                raise ValueError(
                    f"players must share no layer; {variable.path} is one of {owner!r} and of "
                    f"{player.name!r}"
                )

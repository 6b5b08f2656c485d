"""Played: a Keras model that players train; its optimizers and their configuration."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgen.core.players import Lead
from tfgen.core.players import check_players
from tfgen.optimizers import FusedAdam
from tfgen.utils import checks
from tfgen.utils.files import replacing
from tfgen.utils.files import replacing_folder
from tfgen.utils.replicas import on_several_cpus

_COMPILE_ARGUMENTS = (
    "optimizer",
    "run_eagerly",
    "steps_per_execution",
    "jit_compile",
    "auto_scale_loss",
    "check_streams",
)
# What Keras's `compile` takes, and here follows from the model.
_OWN = {
    "loss": "the objective is the model's own: weigh its terms by the constructor's arguments, or "
    "override `compute_loss` in a subclass",
    "loss_weights": "the terms of the objective have weights among the constructor's arguments",
    "metrics": "every term of the objective is logged: add a `keras.metrics.Metric` as an "
    "attribute of a subclass and update it in its `compute_loss`, or give `fit` a callback, such "
    "as those of `tfgen.callbacks`",
    "learning_rate": "the optimizer has it, `keras.optimizers.Adam(learning_rate)`",
    "weighted_metrics": "the terms that are logged count `sample_weight` already",
}


def _is_replaced(filepath, overwrite):
    """True of what is on this machine, and may be overwritten without asking."""
    return "://" not in str(filepath) and (overwrite or not pathlib.Path(filepath).exists())


class Played(keras.Model):
    """Keras model of several players, each with an optimizer; the lead's is Keras's `optimizer`.

    Args:
        data_spec: `DataSpec`.
        dtype: Keras dtype policy.
        name: Keras name.

    Attributes:
        data_spec: the description of its data.
        players: list of `Player`; the first is the lead.
    """

    def __init__(self, data_spec, dtype, name=None):
        # Data are cast where they are used: half precision is for networks only.
        super().__init__(dtype=dtype, name=name, autocast=False)
        self.data_spec = data_spec
        self.players = []
        self._trackers = {}

    def _build_training(self):
        """Creates the state of training: seed, counts, trackers of terms, players."""
        seed = np.random.randint(-(2**31), 2**31, size=2)
        self.noise_seed = self._state("noise_seed", seed, "int32")
        self.adapted = self._state("adapted", np.array(0), "int32")
        # Not the optimizer's count, which stands still while gradients are accumulated.
        self.steps_taken = self._state("steps_taken", np.array(0), "int64")
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.term_names}

    def _build_later_state(self):
        """Creates the state that files of earlier versions end before, in the order in which it
        came: a subclass adds its own after the parent's. Returns the list of it."""
        # Draws afresh outside of `fit`, which go on where a saved model's stopped.
        self.fresh_draws = self._state("fresh_draws", np.array(0), "int64")
        # Steps that were skipped; and less those that were not, but not below 0.
        self.skipped_steps = self._state("skipped_steps", np.array(0), "int64")
        self.strikes = self._state("strikes", np.array(0), "int32")
        return [self.fresh_draws, self.skipped_steps, self.strikes]

    def _build_players(self):
        self._later = len(self._build_later_state())
        self.players = [Lead(self, self._batch_terms), *self._other_players()]
        check_players(self.players)

    def load_own_variables(self, store):
        own = self._trainable_variables + self._non_trainable_variables
        missing = len(own) - len(store.keys())
        if not 0 <= missing <= self._later:
            raise ValueError(
                f"{type(self).__name__} has {len(own)} weights of its own; the file has "
                f"{len(store.keys())}: was it written by a model of other arguments?"
            )
        for i, variable in enumerate(own[: len(own) - missing]):
            variable.assign(store[str(i)])

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        """All state there is, for `tf.train.Checkpoint`: TensorFlow finds attributes only, and not
        all of Keras's variables are in such. Numbered, beside what it finds."""
        children = super()._trackable_children(save_type, **kwargs)
        if save_type != "checkpoint" or not self.built:
            return children
        kept = {id(v) for v in (*self.weights, *self.metrics_variables)}
        # What a user put into the model has numbers of its own, lest it move those of the others.
        apart = {id(v) for v in self._replaceable_variables()}
        groups = {
            "weight": [v for v in self.weights if id(v) not in apart],
            "replaceable": self._replaceable_variables(),
            # Metrics begin anew in every epoch.
            "other": [v for v in self.variables if id(v) not in kept],
        }
        for player in self.players:
            optimizer = player.optimizer
            groups[f"{player.name}_state"] = [] if optimizer is None else optimizer.variables
        numbered = {f"{k}_{i}": v.value for k, vs in groups.items() for i, v in enumerate(vs)}
        return {**children, **numbered}

    def _replaceable_variables(self):
        """Variables that are not there in every model of these arguments."""
        return []

    def _lookup_dependency(self, name, cached_dependencies=None):
        found = super()._lookup_dependency(name, cached_dependencies)
        # Asked for every attribute that is set; those numbered here end in a number.
        if found is None and cached_dependencies is None and name[-1:].isdigit():
            found = self._trackable_children().get(name)
        return found

    def _state(self, name, value, dtype):
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=dtype,
            trainable=False,
            aggregation="only_first_replica",
            initializer=lambda shape, dtype: tf.constant(value, dtype),
        )

    # --- players --------------------------------------------------------------

    @property
    def trainable_variables(self):
        """The lead's, which `optimizer` is for; those of another player are its `variables`."""
        others = {id(v) for p in self.players[1:] for v in p.all_variables}
        return [v for v in super().trainable_variables if id(v) not in others]

    @property
    def trainable_weights(self):
        return self.trainable_variables

    # Those of Keras's `optimizer` and the others are all that there are.
    @property
    def non_trainable_variables(self):
        return super().non_trainable_variables + [v for p in self.players[1:] for v in p.variables]

    @property
    def non_trainable_weights(self):
        return super().non_trainable_weights + [v for p in self.players[1:] for v in p.variables]

    @property
    def losses(self):
        others = {id(loss) for p in self.players[1:] for loss in p.losses}
        return [loss for loss in super().losses if id(loss) not in others]

    # --- compile --------------------------------------------------------------

    def compile(
        self,
        optimizer=None,
        loss=None,
        *,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
        check_streams=True,
        **players,
    ):
        """Configures training. The objective is the model's own.

        Args:
            optimizer: Keras optimizer, or None for the model's own choice. Of a model with several
                players it is the first one's.
            loss: None; another one is refused, as all that follows from the model is.
            run_eagerly: as in Keras.
            steps_per_execution: as in Keras.
            jit_compile: as in Keras; `"auto"` is XLA on accelerators and plain
                graphs on CPUs, where convolutions in a loop are slow under XLA.
            auto_scale_loss: as in Keras.
            check_streams: whether all batches of data sets and iterators are checked, in their
                pipeline, and refused with their number. With False only the first one is.
            **players: for each further player its optimizer and the number of its steps before each
                one of the first player's: of a `GAN` `critic_optimizer` and `critic_steps`. None
                is the model's own choice. Keras's callbacks of learning rates and
                `SwapEMAWeights` act on `optimizer` alone; averages that an optimizer keeps
                (`use_ema=True`) are in its player's weights when `fit` ends.

        Raises:
            ValueError: an argument that is none of these; the message says what to do instead.
        """
        known = self.player_argument_names
        for name, value in {"loss": loss, **players}.items():
            if name in known or (name in _OWN and value is None):
                continue
            why = _OWN.get(name, f"its arguments are {list(_COMPILE_ARGUMENTS) + known}")
            raise ValueError(f"`compile` of a {type(self).__name__} takes no `{name}`: {why}")
        if steps_per_execution != "auto":
            checks.check_count(steps_per_execution, "steps_per_execution")
        if steps_per_execution != 1 and on_several_cpus(self.distribute_strategy):
            raise ValueError(
                "`steps_per_execution` must be 1 on several CPU devices, between which "
                f"TensorFlow's loops cannot pass values; got {steps_per_execution!r}"
            )
        optimizer = self.default_optimizer() if optimizer is None else optimizer
        optimizers = [keras.optimizers.get(optimizer)]
        # All are looked at before any is taken.
        chosen = []
        for player in self.players[1:]:
            given = [players.get(name) for name in player.argument_names]
            chosen.append(player.choose(*given, others=optimizers))
            optimizers.append(chosen[-1][0])
        with self.distribute_strategy.scope():
            super().compile(
                optimizer=optimizers[0],
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=jit_compile,
                auto_scale_loss=auto_scale_loss,
            )
        self._given_jit_compile = jit_compile
        self.data_spec.checks_streams = checks.check_bool(check_streams, "check_streams")
        for player, settings in zip(self.players[1:], chosen, strict=True):
            player.configure(*settings, lead=self.optimizer)
            # As attributes Keras saves the optimizers with the model.
            for name, value in zip(
                player.argument_names, (player.optimizer, player.steps), strict=True
            ):
                setattr(self, name, value)
        # Variables exist before any checkpoint is read.
        with self.distribute_strategy.scope():
            for player in self.players:
                player.require_whole_steps(self.distribute_strategy.num_replicas_in_sync)
                player.optimizer.build(player.variables)

    # --- files ----------------------------------------------------------------

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """Keras's `save`, to a file that ends in .keras, and is whole before it is there.

        Arguments as in `keras.Model.save`, where `zipped=False` writes a folder.
        """
        plain = not (zipped is False or str(filepath).startswith("hf://"))
        if plain and not str(filepath).endswith(".keras"):
            raise ValueError(
                "`filepath` must end in .keras, the one format that holds this model with its "
                f"training; got {str(filepath)!r}: `save_weights` writes .weights.h5, `export` a "
                "SavedModel"
            )
        if not _is_replaced(filepath, overwrite):
            return super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)
        with (replacing if plain else replacing_folder)(filepath) as path:
            super().save(path, zipped=zipped, **kwargs)

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        """Keras's `save_weights`; a file is whole before it is there."""
        if max_shard_size is not None or not _is_replaced(filepath, overwrite):
            return super().save_weights(filepath, overwrite, max_shard_size)
        with replacing(filepath) as path:
            super().save_weights(path)

    # --- configuration --------------------------------------------------------

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        # "auto" is decided where the model is loaded, not where it was saved.
        config = {**config, "jit_compile": self._given_jit_compile}
        config["check_streams"] = self.data_spec.checks_streams
        for player in self.players[1:]:
            saved = keras.optimizers.serialize(player.optimizer), player.steps
            config |= zip(player.argument_names, saved, strict=True)
        return config

    @property
    def player_argument_names(self):
        """Names of the arguments that `compile` takes for the players beside the lead."""
        return [name for player in self.players[1:] for name in player.argument_names]

    @property
    def compile_argument_names(self):
        """Names of the arguments that `compile` takes of this model."""
        return (*_COMPILE_ARGUMENTS, *self.player_argument_names)

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**{k: v for k, v in config.items() if k in self.compile_argument_names})

    def default_optimizer(self):
        """The optimizer of `compile()` without arguments."""
        return FusedAdam(1e-3)

    # --- hooks ----------------------------------------------------------------

    # Names of the terms that are logged, beside the loss.
    term_names = ()
    # Those among them of which neither less nor more is better.
    _unordered_terms = frozenset()

    def _batch_terms(self, batch, seed, training):
        """The lead's terms of a batch: dict of `[batch]` or scalars, `"loss"` among them."""
        raise NotImplementedError(f"{type(self).__name__} must implement _batch_terms")

    def _other_players(self):
        """List of the players beside the lead."""
        return []

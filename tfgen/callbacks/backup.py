"""The state of training in files that are whole, for a run that is interrupted to go on from."""

import json
import os
import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfgen.callbacks.training_state import build_optimizers
from tfgen.callbacks.training_state import optimizers
from tfgen.callbacks.training_state import with_states
from tfgen.utils.files import digest
from tfgen.utils.files import remove_unfinished
from tfgen.utils.files import replacing
from tfgen.utils.replicas import is_multi_worker

_NAME = re.compile(r"epoch_(\d+)\.npz")
# Hex digits of a SHA-256, at the end of the file.
_DIGITS = 64
# What Keras's callbacks that look back know of earlier epochs.
_COUNTS = ("best", "wait", "cooldown_counter", "best_epoch", "stopped_epoch")


class Damaged(ValueError):
    """A file that is not what was written."""


class Backup(keras.callbacks.Callback):
    """Callback that keeps the state of training, and takes it up when `fit` is called again.

    At the end of each epoch it writes one file, `epoch_000001.npz`: weights, seeds and counts of
    the model, the state of the optimizers of every player, the epoch and the steps, with a checksum
    of all. A file appears when it is whole, and the last two are kept. `fit` with the same
    arguments, by a model made by the same code, then goes on from the newest that is whole and
    follows the unbroken run to the bit; if one is damaged, a line says so.

    `keras.callbacks.BackupAndRestore` writes weights and epoch one after the other and in place: a
    run that is killed meanwhile may train an epoch too many, or not go on at all. An epoch that
    lost its weights to NaN is not kept.

    Place it last, after the callbacks that it keeps something of.

    Args:
        directory: folder of the files; made if missing. Each run, and each of several workers, has
            its own; workers go on from the newest epoch that all of them have.
        files: files that belong to the state, such as the log of a `CSVLogger`: what the other
            callbacks have written to them is kept, and put back. Of a fresh start there are none:
            they are removed.
        callbacks: callbacks that look back at earlier epochs, such as
            `keras.callbacks.ReduceLROnPlateau` and `EarlyStopping`: their counts and best values
            are kept.

    Raises:
        ValueError: at the start of training if the directory holds the state of another model.
        OSError: a file could not be written.

    >>> import tempfile, keras, numpy as np
    >>> from tfgen.callbacks import Backup
    >>> folder = tempfile.mkdtemp()
    >>> def train(epochs):
    ...     keras.utils.set_random_seed(0)
    ...     model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    ...     model.compile("adam", loss="mse")
    ...     x = np.ones([4, 1], "float32")
    ...     return model.fit(x, x, epochs=epochs, verbose=0, callbacks=[Backup(folder)])
    >>> train(epochs=3).epoch
    [0, 1, 2]
    >>> train(epochs=5).epoch
    [3, 4]
    >>> sorted(file.name for file in Path(folder).iterdir())
    ['epoch_000004.npz', 'epoch_000005.npz']
    """

    def __init__(self, directory, files=(), callbacks=()):
        super().__init__()
        self.directory = Path(directory)
        self.files = [Path(file) for file in files]
        self.callbacks = list(callbacks)
        # The last two that are whole, the file and the steps taken then; what `restore` found.
        self._kept, self._steps = [], 0
        self._notes = None

    def restore(self, model):
        """Takes up the newest state that is whole; `fit` does it, if it was not done before.

        Args:
            model: the Keras model, built and compiled.

        Returns:
            The epochs that are done: int, 0 where there is nothing to go on from.

        Raises:
            ValueError: the directory holds the state of another model.

        >>> import tempfile, keras
        >>> from tfgen.callbacks import Backup
        >>> model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
        >>> model.compile("adam", loss="mse")
        >>> Backup(tempfile.mkdtemp()).restore(model)
        0
        """
        remove_unfinished(self.directory)
        self._kept, self._steps = [], _steps_taken(model)
        strategy = model.distribute_strategy
        read, damaged = {}, []
        for file in sorted(self._found(), key=_epoch_of, reverse=True):
            try:
                read[_epoch_of(file)] = file, *_read(file)
            except Damaged:
                damaged.append(file.name)
                continue
            if not is_multi_worker(strategy) or len(read) == 2:
                break
        epoch = max(epochs_of_all_workers(list(read), strategy), default=0)
        arrays, notes = {}, {"epoch": 0, "files": {}, "callbacks": []}
        if epoch:
            file, arrays, notes = read[epoch]
            self._kept = [file]
        if damaged:
            instead = self._kept[0].name if self._kept else "the start: there is no other file"
            print(
                f"Backup: {', '.join(damaged)} in {self.directory} is damaged; going on from "
                f"{instead}",
                flush=True,
            )
        if self._kept:
            _assign(model, arrays, notes, self._kept[0])
            self._steps = notes["steps"]
        for file in self.files:
            text = notes["files"].get(file.name)
            if text is None:
                file.unlink(missing_ok=True)
            else:
                with replacing(file) as path:
                    path.write_bytes(os.fsencode(text))
        self._notes = notes, arrays
        return notes["epoch"]

    def set_model(self, model):
        super().set_model(model)
        # Before training begins, when other callbacks copy weights and open files.
        if self._notes is None:
            self.restore(model)

    def on_train_begin(self, logs=None):
        notes, arrays = self._notes
        # Not before: callbacks begin anew at the start of training.
        for i, counts in enumerate(notes["callbacks"][: len(self.callbacks)]):
            vars(self.callbacks[i]).update(counts)
            best = [arrays[name] for name in arrays if name.startswith(f"callback_{i}_")]
            if best:
                self.callbacks[i].best_weights = best
        # As Keras's own callback does.
        self.model._initial_epoch = notes["epoch"]
        self._notes = None

    def on_epoch_end(self, epoch, logs=None):
        steps = _steps_taken(self.model)
        moved = [v for _, variables in optimizers(self.model) for v in variables]
        finite = np.isfinite((logs or {}).get("loss", 0.0)).all() and all(
            np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in moved
        )
        # Without a step more, weights were put back to what they had been.
        if not finite or steps == self._steps:
            return
        file = self.directory / f"epoch_{epoch + 1:06d}.npz"
        self._write(file, epoch + 1, steps)
        self._kept, self._steps = [*self._kept[-1:], file], steps
        for other in self._found():
            if other not in self._kept:
                other.unlink()

    def on_train_end(self, logs=None):
        # `fit` without this callback begins at its own `initial_epoch` again.
        self.model._initial_epoch = None

    def _found(self):
        return [file for file in self.directory.glob("*.npz") if _NAME.fullmatch(file.name)]

    def _write(self, file, epoch, steps):
        variables = _variables(self.model)
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(variables)}
        counts = []
        for i, callback in enumerate(self.callbacks):
            state = {name: vars(callback)[name] for name in _COUNTS if name in vars(callback)}
            counts.append({k: v for k, v in state.items() if v is None or np.isscalar(v)})
            for j, best in enumerate(getattr(callback, "best_weights", None) or []):
                arrays[f"callback_{i}_{j:06d}"] = best
        texts = {f.name: os.fsdecode(f.read_bytes()) for f in self.files if f.is_file()}
        notes = {"epoch": epoch, "steps": steps, "files": texts, "callbacks": counts}
        with replacing(file) as path:
            with open(path, "wb") as opened:
                np.savez(opened, notes=json.dumps(notes, default=float), **arrays)
            with open(path, "r+b") as opened:
                opened.write(digest(opened).encode())


def epochs_of_all_workers(epochs, strategy):
    """The epochs that every process has which trains together with this one.

    Args:
        epochs: list of int, at most two.
        strategy: the `tf.distribute` strategy.
    """
    if not is_multi_worker(strategy):
        return epochs
    own = np.zeros([1, 2], np.int64)
    own[0, : len(epochs)] = epochs

    @tf.function
    def gathered():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_gather(own, 0))

    found = strategy.experimental_local_results(gathered())[0].numpy()
    return [epoch for epoch in epochs if (found == epoch).any(1).all()]


def _read(file):
    """The arrays and the notes of a file.

    Raises:
        Damaged: it is not what was written.
    """
    with open(file, "rb") as opened:
        size = file.stat().st_size - _DIGITS
        if size < 0 or digest(opened, size).encode() != opened.read():
            raise Damaged(f"{file} is damaged: its checksum is another one")
        opened.seek(0)
        with np.load(opened) as found:
            arrays = {name: found[name] for name in found.files}
    return arrays, json.loads(str(arrays.pop("notes")))


def _assign(model, arrays, notes, file):
    """Gives a model the state that a file holds.

    Raises:
        ValueError: it is that of another model.
    """
    if not model.built:
        raise ValueError(f"Backup needs a model that is built, to go on from {file}")
    build_optimizers(model)
    variables = _variables(model)
    values = [arrays[name] for name in arrays if name.startswith("variable_")]
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [value.shape for value in values]:
        raise ValueError(
            f"{file} holds the state of another model, or one of another version: its variables "
            f"and its optimizers' are {len(values)}, this model's {len(variables)}, or their "
            "shapes differ; give the folder of another run, or none"
        )
    for variable, value in zip(variables, values, strict=True):
        # NumPy has no name for bfloat16, and reads bytes.
        variable.assign(value.view(variable.numpy().dtype) if value.dtype.kind == "V" else value)
    if _steps_taken(model) != notes["steps"]:
        raise ValueError(
            f"{file} is of {notes['steps']} steps, and this model counts "
            f"{_steps_taken(model)} in it: it is of another version"
        )


def _variables(model):
    """All that changes in training: weights, random seeds, the state of optimizers."""
    return with_states(model, model.variables)


def _steps_taken(model):
    count = getattr(model, "steps_taken", model.optimizer.iterations)
    return int(keras.ops.convert_to_numpy(count))


def _epoch_of(file):
    return int(_NAME.fullmatch(file.name)[1])

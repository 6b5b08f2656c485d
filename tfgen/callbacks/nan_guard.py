"""A guard that stops training at the first value that is not finite."""

from typing import NamedTuple

import keras
import numpy as np

from tfgen.callbacks.training_state import build_optimizers
from tfgen.callbacks.training_state import with_states


class StoppedAt(NamedTuple):
    """Place where training stopped.

    Attributes:
        epoch: int, counted from 1 as in Keras's progress bar.
        step: int, counted from 1 within the epoch.
        term: name of the logged term that was not finite, or `"weights"`.
    """

    epoch: int
    step: int
    term: str


class NaNGuard(keras.callbacks.Callback):
    """Callback that stops training when a logged value or a weight is NaN or infinite.

    Logged values are looked at after each batch and, with those of the validation, at the end of
    each epoch; weights at the end of each epoch (TensorFlow's kernel of a dense layer with a ReLU
    makes 0 of NaN, so that a model may be lost and log nothing of it) and after each step that a
    tfgen model skips. Such a step, whose loss or gradients are not finite, is as one of no gradient
    and left out of the logs, so training goes on after a few. `keras.callbacks.TerminateOnNaN`
    looks at `loss` only and says neither which term went wrong nor where, and it leaves the weights
    at NaN.

    Args:
        restore_weights: bool; if True, the weights and the state of the optimizers, of every
            player that the model has, are put back as they were at the end of the last epoch in
            which all of them were finite, or at the start of training where there was none. This
            keeps a copy of both in main memory.

    Attributes:
        stopped_at: `StoppedAt(epoch, step, term)`, or None after a good run. The term is the first
            that is not finite; `loss`, which is made of the others, is named only if nothing else
            is wrong, and `weights` if no term is. With `steps_per_execution` > 1 Keras calls back
            only after so many steps, and the step is the last of them.

    Example:

        >>> import keras
        >>> import numpy as np
        >>> from tfgen.callbacks import NaNGuard
        >>> model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
        >>> model.compile("sgd", loss="mse")
        >>> x = np.ones([8, 2], "float32")
        >>> x[5] = np.nan
        >>> guard = NaNGuard()
        >>> _ = model.fit(x, x[:, :1], batch_size=4, shuffle=False, verbose=0, callbacks=[guard])
        NaNGuard: stopped in epoch 1, step 2: loss is nan.
        >>> guard.stopped_at
        StoppedAt(epoch=1, step=2, term='loss')
    """

    def __init__(self, restore_weights=False):
        super().__init__()
        self.restore_weights = restore_weights
        self.stopped_at = None
        self._epoch = self._step = None
        self._kept = None

    def on_train_begin(self, logs=None):
        self.stopped_at = None
        self._kept = None
        if self.restore_weights:
            if self.model.built:
                # Now: the first step is too late for a copy of the state.
                build_optimizers(self.model)
            self._keep("the start of training")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if self.stopped_at is not None:
            return
        self._step = int(batch) + 1
        wrong = _wrong(logs)
        strikes = getattr(self.model, "strikes", None)
        if not wrong and strikes is not None and strikes.numpy() and not self._has_finite_weights():
            wrong = {"weights": np.nan}
        if wrong:
            self._stop(wrong)

    def _has_finite_weights(self):
        return all(_is_finite(weight) for weight in self.model.weights)

    def _stop(self, wrong):
        term = next((name for name in wrong if name != "loss"), "loss")
        self.stopped_at = StoppedAt(self._epoch, self._step, term)
        self.model.stop_training = True

        values = ", ".join(f"{name} is {np.asarray(value)}" for name, value in wrong.items())
        message = f"NaNGuard: stopped in epoch {self._epoch}, step {self._step}: {values}."
        if self.restore_weights:
            message += f" {self._restore()}"
        # The progress bar leaves its line open.
        print(f"\n{message}" if (self.params or {}).get("verbose") == 1 else message)

    def on_epoch_end(self, epoch, logs=None):
        # What an epoch's last update made of the weights shows in no logged value yet.
        wrong = _wrong(logs)
        finite = not wrong and self._keep(f"the end of epoch {epoch + 1}")
        if not finite and self.stopped_at is None:
            self._stop(wrong or {"weights": np.nan})

    def on_train_end(self, logs=None):
        self._kept = None

    def _keep(self, when):
        """Copies weights and optimizers' state, if that is asked for and all are finite.

        Returns:
            True if the weights are finite.
        """
        finite = self._has_finite_weights()
        if finite and self.restore_weights and self.model.built:
            variables = with_states(self.model, self.model.weights)
            copies = [(variable, variable.numpy()) for variable in variables]
            # An optimizer that holds an infinite value spoils the weights at its next step.
            if all(_is_finite(value) for _, value in copies):
                self._kept = when, copies
        return finite

    def _restore(self):
        """Puts the copy back and returns a sentence that says so."""
        if self._kept is None:
            return "There were no finite weights to go back to."
        when, copies = self._kept
        for variable, value in copies:
            variable.assign(value)
        return f"The weights are again those of {when}."


def _wrong(logs):
    return {name: value for name, value in (logs or {}).items() if not _is_finite(value)}


def _is_finite(value):
    return bool(np.isfinite(keras.ops.convert_to_numpy(value)).all())

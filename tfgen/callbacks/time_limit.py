"""A limit of the time that training takes."""

import time

import keras


class TimeLimit(keras.callbacks.Callback):
    """Callback that stops training after a number of minutes, and logs the `seconds` spent.

    The epoch in which the time runs out ends early: its validation and the other callbacks'
    end-of-epoch work still happen.

    Args:
        minutes: the limit: float of at least 0; None only logs.
        spent: seconds that an interrupted run has spent before: float.

    Raises:
        ValueError: `minutes` is negative or not a number.

    >>> import keras, numpy as np
    >>> from tfgen.callbacks import TimeLimit
    >>> model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> x = np.ones([4, 1], "float32")
    >>> history = model.fit(x, x, epochs=9, verbose=0, callbacks=[TimeLimit(minutes=0)])
    >>> len(history.history["seconds"])
    1
    """

    def __init__(self, minutes=None, spent=0.0):
        super().__init__()
        if minutes is not None and not minutes >= 0:
            raise ValueError(f"`minutes` must be at least 0 or None; got {minutes}")
        self.minutes = minutes
        self.spent = spent

    def on_train_begin(self, logs=None):
        self._start = time.monotonic() - self.spent

    def on_train_batch_end(self, batch, logs=None):
        if self.minutes is not None and self._seconds() >= 60 * self.minutes:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["seconds"] = round(self._seconds(), 1)

    def _seconds(self):
        return time.monotonic() - self._start

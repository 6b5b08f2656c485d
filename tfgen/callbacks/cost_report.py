"""The cost of a training, told when it begins."""

import time

import keras

# The first step makes the graph.
_FROM, _TO = 1, 4


class CostReport(keras.callbacks.Callback):
    """Callback that prints what a training will cost: parameters and steps before the first step,
    and the time after the fourth.

    >>> import keras, numpy as np
    >>> from tfgen.callbacks import CostReport
    >>> model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> x = np.ones([4, 1], "float32")
    >>> history = model.fit(x, x, batch_size=2, verbose=0, callbacks=[CostReport()])
    Sequential: 2 parameters; 2 steps in an epoch.
    """

    def on_train_begin(self, logs=None):
        self._seen, self._start = 0, None
        steps = self.params.get("steps")
        parameters = f"{type(self.model).__name__}: {self.model.count_params():,} parameters"
        print(parameters + (f"; {steps:,} steps in an epoch." if steps else "."), flush=True)

    def on_train_batch_end(self, batch, logs=None):
        self._seen += 1
        if self._seen == _FROM:
            self._start = time.monotonic()
        elif self._seen == _TO and self.params.get("steps"):
            step = (time.monotonic() - self._start) / (_TO - _FROM)
            epoch = step * self.params["steps"]
            total = epoch * self.params["epochs"]
            print(
                f" {_words(step)} a step: about {_words(epoch)} an epoch, {_words(total)} for all "
                f"{self.params['epochs']}.",
                flush=True,
            )


def _words(seconds):
    """A time in the unit that suits it."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "min"), (1, "s")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{1000 * seconds:.0f} ms" if seconds < 2 else f"{seconds:.1f} s"

"""The cost of a training, told when it begins."""

import time

import keras

from tfgen.utils.amounts import as_amount
from tfgen.utils.amounts import as_time
from tfgen.utils.step_cost import count_step
from tfgen.utils.step_cost import held_by
from tfgen.utils.step_cost import traced_step

# The first step makes the graph.
_FROM, _TO = 1, 4


class CostReport(keras.callbacks.Callback):
    """Callback that prints what a training will cost: weights and steps before the first step, and
    the time after the fourth.

    `tfgen cost` tells more, and before there are data.

    Args:
        batch_size: rows in a batch of a tfgen model, whose step is then counted, too, which takes
            as long as making its graph; None leaves that out.

    >>> import keras, numpy as np
    >>> from tfgen.callbacks import CostReport
    >>> model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> x = np.ones([4, 1], "float32")
    >>> history = model.fit(x, x, batch_size=2, verbose=0, callbacks=[CostReport()])
    Sequential: 2 parameters (8 B, and 12 B of the optimizer); 2 steps in an epoch.
    """

    def __init__(self, batch_size=None):
        super().__init__()
        self.batch_size = batch_size

    def on_train_begin(self, logs=None):
        self._seen, self._start = 0, None
        steps, held = self.params.get("steps"), held_by(self.model)
        print(
            f"{type(self.model).__name__}: {held.num_parameters:,} parameters "
            f"({as_amount(held.parameter_bytes, 'B')}, and {as_amount(held.optimizer_bytes, 'B')} "
            f"of the optimizer)" + (f"; {steps:,} steps in an epoch." if steps else "."),
            flush=True,
        )
        if self.batch_size is not None:
            cost = count_step(traced_step(self.model, self.batch_size))
            print(
                f" A step of {self.batch_size} rows: {as_amount(cost.flops_of(), 'FLOP')}, "
                f"{as_amount(cost.activation_bytes, 'B')} of activations.",
                flush=True,
            )

    def on_train_batch_end(self, batch, logs=None):
        self._seen += 1
        if self._seen == _FROM:
            self._start = time.monotonic()
        elif self._seen == _TO and self.params.get("steps"):
            step = (time.monotonic() - self._start) / (_TO - _FROM)
            epoch = step * self.params["steps"]
            total = epoch * self.params["epochs"]
            print(
                f" {as_time(step)} a step: about {as_time(epoch)} an epoch, {as_time(total)} for "
                f"all {self.params['epochs']}.",
                flush=True,
            )

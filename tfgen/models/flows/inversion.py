"""A check that a flow's inputs come back from its outputs, which reversible memory stands on."""

import warnings

import keras
import numpy as np

from tfgen.bijectors import Repeat

# Gradients may be further off, by fifty times in benchmarks/drift.py.
LIMIT = 1e-3


def is_rebuilt(bijector):
    """True if gradients of the bijector are of inputs that are rebuilt from outputs."""
    layers = bijector._flatten_layers()
    return any(isinstance(layer, Repeat) and layer.memory == "reversible" for layer in layers)


class InversionCheck(keras.callbacks.Callback):
    """Callback that warns, once, of a flow whose inputs are rebuilt with errors of more than a
    thousandth.

    `fit` has it for flows with `memory="reversible"`. It looks at one batch, at the end of
    every epoch.

    Args:
        batch: dict of `"x"` and, of conditional flows, `"condition"`.
    """

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_begin(self, logs=None):
        self._warned = False

    def on_epoch_end(self, epoch, logs=None):
        if self._warned:
            return
        errors = self.model.inversion_error(self.batch["x"], self.batch.get("condition"))
        worst = np.max(errors)
        # One that is not a number, too.
        if not worst <= LIMIT:
            self._warned = True
            warnings.warn(
                f"after epoch {epoch + 1} inputs rebuilt from the flow's outputs are off by up to "
                f'{worst:.2g} of their size, and gradients with `memory="reversible"` with them: '
                "the map is too ill-conditioned, as of great scales. Take "
                '`memory="recompute"`, or `dtype="float64"`, a transform of bounded scale '
                '("sigmoid_affine", "additive"), or a smaller learning rate',
                stacklevel=2,
            )

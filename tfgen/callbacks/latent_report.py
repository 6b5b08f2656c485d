"""A report, while a model trains, of whether its latents are used."""

import keras

from tfgen.metrics import latent_usage
from tfgen.metrics.latents import check_usable
from tfgen.utils import checks


class LatentReport(keras.callbacks.Callback):
    """Callback that prints at the end of epochs what the latents carry, and whether it is nothing.

    Args:
        x: examples to look at, `[n, *event_shape]`; some hundreds do.
        condition: the conditions of `x`, one for all or one for each, for a conditional model.
        every: epochs between reports: positive int.

    Attributes:
        reports: dict from epoch, counted from 1, to `tfgen.metrics.LatentUsage`.

    Raises:
        ValueError: `every` < 1; at the start of training if the model has no posterior, or `x`
            does not fit it.

    >>> import numpy as np, tfgen
    >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
    >>> model.compile()
    >>> report = tfgen.callbacks.LatentReport(np.eye(4))
    >>> _ = model.fit(np.eye(4), verbose=0, callbacks=[report])  # doctest: +ELLIPSIS
    epoch 1, latents: KL ... nats (... bits), ...
    """

    def __init__(self, x, condition=None, every=1):
        super().__init__()
        self.x, self.condition = x, condition
        self.every = checks.check_count(every, "every")
        self.reports = {}

    def on_train_begin(self, logs=None):
        # Bad input is told now rather than after an epoch.
        check_usable(self.model, self.x)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            usage = latent_usage(self.model, self.x, self.condition)
            self.reports[epoch + 1] = usage
            print(f"\nepoch {epoch + 1}, {usage}", flush=True)

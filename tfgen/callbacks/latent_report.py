"""See whether a model's latents are used while it trains."""

import keras

from tfgen.metrics import latent_usage
from tfgen.metrics.latents import check_usable
from tfgen.utils import checks


class LatentReport(keras.callbacks.Callback):
    """Prints at the end of epochs what the latents carry, and says plainly when it is nothing.

    Args:
        x: examples to look at, `[n, *event_shape]`; some hundreds do.
        condition: their conditions, for a conditional model.
        every: epochs between reports.

    Attributes:
        reports: dict from epoch, counted from 1, to `tfgen.metrics.LatentUsage`.

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

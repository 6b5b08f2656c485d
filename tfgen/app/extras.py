"""Callbacks that a run's settings ask for."""

import importlib.util

import keras

from tfgen.app import pictures
from tfgen.utils import checks


class BestAverages(keras.callbacks.EarlyStopping):
    """`EarlyStopping` that keeps the averaged weights, where the optimizer averages: those that
    validation is of, and that a training ends with."""

    def on_epoch_end(self, epoch, logs=None):
        raw = self.model.get_weights()
        for player in self.model.players:
            player.optimizer.finalize_variable_values(player.variables)
        super().on_epoch_end(epoch, logs)
        self.model.set_weights(raw)


def extras(net, settings, out, is_chief):
    """Callbacks of a run that look back, and that write for TensorBoard.

    Args:
        net: the compiled `tfgen.GenerativeModel`.
        settings: dict of the run's settings.
        out: `pathlib.Path` of the run folder.
        is_chief: False for hosts that write nothing for others.

    Returns:
        List of Keras callbacks.

    Raises:
        ValueError: a setting that does not fit the model, or TensorBoard is not installed.
    """
    found = []
    patience = settings["early_stopping"]
    if patience is not None:
        checks.check_count(patience, "early_stopping")
        if net.likelihood == "none" and len(net.players) > 1:
            raise ValueError(
                f"`early_stopping` needs a validation loss; {type(net).__name__} is trained "
                "against a critic alone, and its loss says nothing of its samples"
            )
        found.append(
            BestAverages("val_loss", patience=patience, mode="min", restore_best_weights=True)
        )
    if settings["tensorboard"] and is_chief:
        if importlib.util.find_spec("tensorboard") is None:
            raise ValueError("`tensorboard` is not installed: pip install tensorboard")
        folder = out / "tensorboard"
        found += [
            keras.callbacks.TensorBoard(folder, write_graph=False),
            *pictures.for_tensorboard(folder, net),
        ]
    return found

"""Curves of a training run."""

import numpy as np

from tfgen.plots import figures

# The units of the logged terms that have one, by the name without `val_`.
_UNITS = {
    "bpd": "bits per dimension",
    "nll": "nats",
    "negative_elbo": "nats",
    "reconstruction": "nats",
    "kl": "nats",
    "kl_bits": "bits",
    "neg_log_prior": "nats",
    "log_volume": "nats",
}


def plot_history(history, path):
    """Draws the course of every logged term, epoch by epoch.

    One panel for each term, with its `val_` counterpart in the same panel. Values that are not
    finite, or beyond 1e30, leave a gap. A list shorter than the longest one is taken as measured at
    every second, third, ... epoch, as `validation_freq` gives it.

    Args:
        history: what `fit` returns; or a dict from a term's name to a list of its values, one for
            each epoch.
        path: the file; its suffix names the format. Folders that are missing are made.

    Raises:
        ValueError: there is nothing to draw.

    Example:

        >>> import os, tempfile
        >>> from tfgen.plots import plot_history
        >>> path = os.path.join(tempfile.mkdtemp(), "history.png")
        >>> plot_history({"bpd": [5.0, 4.1, 3.8], "val_bpd": [4.9, 4.2, 4.0]}, path)
        >>> os.path.exists(path)
        True
    """
    history = getattr(history, "history", history)
    history = {name: np.asarray(values, float) for name, values in history.items() if len(values)}
    if not history:
        raise ValueError("`history` must hold at least one term with one epoch. It is empty.")
    num_epochs = max(len(values) for values in history.values())
    # A dict, not a set, keeps the order in which the terms were logged.
    terms = list(dict.fromkeys(name.removeprefix("val_") for name in history))

    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    figure = figures.new_figure(5 * columns, 3.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(terms) :]:
        panel.remove()
    for panel, term in zip(panels, terms, strict=False):
        for name, label, color in ((term, "training", "C0"), (f"val_{term}", "validation", "C1")):
            if name in history:
                values = history[name]
                every = num_epochs // len(values)
                epochs = every * np.arange(1, len(values) + 1)
                # Beyond, Matplotlib's differences of them overflow.
                finite = np.where(np.abs(values) < 1e30, values, np.nan)
                # Few points carry a mark: a single one would draw no line at all.
                marker = "o" if len(values) <= 30 else None
                panel.plot(epochs, finite, label=label, color=color, marker=marker, markersize=3)
        panel.set(title=term, xlabel="epoch", ylabel=_UNITS.get(term, term))
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        panel.grid(alpha=0.3)
        panel.legend()
    figures.make_folder(path)
    figure.savefig(path)

"""Scores of a user's own examples by a trained model."""

import csv

import numpy as np

from tfgen import data as data_module
from tfgen import metrics
from tfgen.app import evaluation
from tfgen.app.opened import data_settings
from tfgen.app.opened import open_model
from tfgen.app.run_folder import write_json
from tfgen.app.settings import load_data
from tfgen.data.binarise import draw_bits
from tfgen.data.rows import Rows
from tfgen.data.rows import load_rows
from tfgen.data.table import read_frame
from tfgen.utils.files import read_json
from tfgen.utils.files import replacing

_QUANTILES = "train_log_prob.json"


def score(run, data, *, out=None, num_samples=None, data_dir=None, seed=0):
    """Scores examples one by one: how likely a trained model finds each.

    Args:
        run: the run folder, or a preset with weights: name, folder or handle.
        data: the examples: an image, a folder of images (of any size: they are cropped and resized
            to the model's), a .npy, .npz, .csv or .tsv file; or the name of a data set inside the
            package or of TFDS, whose test split is then scored.
        out: `.csv` file to write; None writes none.
        num_samples: draws for `estimate_log_prob`, of models with a bound; by default the bound.
        data_dir: folder of prepared TFDS data sets, in the place of the run's.
        seed: int, of the noise, and of black and white pixels drawn from grey levels.

    Returns:
        Dict of columns, lists with a value for each example: `name` (the file, or the number of
        the row), `log_prob` in nats, `bits_per_dim` (of uint8 and binary data), and `percentile`:
        the percentage of the training examples that are less likely. A low one is unusual; but a
        high one is no proof, since data of another kind can be more likely than those trained on
        (Nalisnick et al. 2019, "Do Deep Generative Models Know What They Don't Know?",
        arXiv:1810.09136).

    Raises:
        ValueError: `run` is no trained model, it has no likelihood, or the examples do not fit it.
        OSError: there are no such files, or `out` cannot be written.

    >>> from tfgen.app import runs
    >>> columns = runs.score("nsf_pinwheel", "two_moons")
    >>> list(columns)
    ['name', 'log_prob', 'percentile']
    """
    opened = open_model(run, data_dir)
    net = opened.net
    evaluation.partition_rows(net)
    if not net.has_likelihood:
        raise ValueError(f"{type(net).__name__} has no likelihood to score examples by")
    rows = _rows(data, opened, data_dir)
    x = rows.x
    if net.data_kind == "binary" and x.max() > 1:
        x = draw_bits((x / np.float32(255)).astype(np.float32), seed)
    if net.condition_shape is not None and rows.y is None:
        raise ValueError(
            f"{data}: this model is conditional, and needs a label or a condition for each "
            f"example; its classes are {opened.class_names or net.num_classes}"
        )
    y = rows.y if net.condition_shape is not None else None
    if num_samples and net.likelihood in ("bound", "estimate"):
        log_prob = net.estimate_log_prob(x, num_samples, y, seed=seed).numpy()
    else:
        log_prob = net.log_prob(x, y, seed=seed).numpy()
    columns = {"name": rows.names, "log_prob": log_prob.tolist()}
    if net.data_kind != "real" and net.likelihood != "manifold":
        columns["bits_per_dim"] = metrics.bits_per_dim(log_prob, net.num_dims).tolist()
    columns["percentile"] = np.interp(
        log_prob, _quantiles(opened), np.arange(101), left=0, right=100
    ).tolist()
    if out is not None:
        with replacing(out) as path, open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow([v if isinstance(v, str) else f"{v:.6g}" for v in row])
    return columns


def _rows(data, opened, data_dir):
    net = opened.net
    columns = getattr(net, "columns", None)
    if columns is not None:
        frame = read_frame(data)
        return Rows([str(i) for i in range(len(frame))], *columns.arrays(frame))
    if not data_module.is_path(data, data_dir):
        settings = {**opened.settings, "data": str(data), "data_dir": data_dir}
        size = list(net.event_shape[:2]) if len(net.event_shape) == 3 else None
        x, y = load_data({"seed": 0, **settings, "image_size": size}).test
        if x.shape[1:] != net.event_shape:
            raise ValueError(
                f"{data}: the model takes examples of shape {list(net.event_shape)}; got "
                f"{list(x.shape[1:])}"
            )
        return Rows([str(i) for i in range(len(x))], x, y)
    return load_rows(data, net.event_shape, opened.class_names, opened.settings.get("target"))


def _quantiles(opened):
    """Percentiles of the log-likelihoods of training examples, kept once they are known."""
    if opened.folder is None:
        if "train_log_prob" in opened.metadata:
            return opened.metadata["train_log_prob"]
        return evaluation.log_prob_quantiles(opened.net, load_data(data_settings(opened)))
    kept = opened.folder / _QUANTILES
    if kept.is_file() and kept.stat().st_mtime >= (opened.folder / "model.keras").stat().st_mtime:
        return read_json(kept, ("percentiles",))["percentiles"]
    found = evaluation.log_prob_quantiles(opened.net, load_data(data_settings(opened)))
    write_json(kept, {"percentiles": found})
    return found


def summary(columns):
    """Lines for people: the least likely examples, and the average."""
    order = np.argsort(columns["log_prob"])
    count = len(order)
    shown = [
        f"{columns['name'][i]}: {columns['log_prob'][i]:.2f} nats, percentile "
        f"{columns['percentile'][i]:.0f}"
        for i in order[:5]
    ]
    return [
        f"{count} examples, {np.mean(columns['log_prob']):.2f} nats on average; least likely:",
        *(f"  {line}" for line in shown),
    ]

"""Several models on one data set, with the same time for each: a table, and a page to look at."""

import html
import json
import re
import time
from pathlib import Path

import numpy as np

from tfgen import metrics
from tfgen import plots
from tfgen.app import evaluation
from tfgen.app import pictures
from tfgen.app import runs
from tfgen.app.run_folder import load_model
from tfgen.app.run_folder import read_history
from tfgen.app.run_folder import write_json
from tfgen.app.settings import load_data
from tfgen.app.settings import make_model
from tfgen.app.settings import recipes
from tfgen.data.hints import nearest
from tfgen.plots import figures
from tfgen.utils import checks
from tfgen.utils.files import replacing

# Without a preset for the data, until the time is over.
_MANY_EPOCHS = 10_000
_NUM_SAMPLED = 64
_COLUMNS = {
    "model": "model",
    "bits": "bits per dimension, or nats",
    "frechet": "Frechet distance",
    "seconds": f"seconds for {_NUM_SAMPLED} samples",
    "parameters": "parameters",
    "epochs": "epochs",
    "minutes": "minutes of training",
}


def compare(
    out,
    data,
    models,
    *,
    minutes=20.0,
    data_dir=None,
    image_size=None,
    binarise=None,
    extractor=None,
    cache_dir=None,
    seed=0,
    verbose=0,
):
    """Trains models on one data set, each for the same time, and compares them.

    A model takes the preset of its class that is named after the data set, where there is one of
    data of this kind, and the recipe's defaults elsewhere. Each model's run stays in a folder of
    its own below `out`; given again, the comparison goes on where it was interrupted.

    Args:
        out: folder of the comparison: runs, `compare.json`, and `index.html`, a page with the
            table, the course of training, and samples side by side.
        data: name or path of a data set, see `tfgen.data.load`.
        models: names of recipes: list of str, or a str with commas between them.
        minutes: minutes of training of all models together, divided evenly.
        data_dir: folder of prepared TFDS data sets; None for the default one of TFDS.
        image_size: int or `(height, width)` that images are cropped and resized to.
        binarise: `"static"` or `"dynamic"`, for images as binary data.
        extractor: features for the Frechet distance of samples of images, see
            `evaluation.get_extractor`; by default those of a classifier of the data's labels,
            where they have some, and no distance elsewhere.
        cache_dir: folder of classifiers, see `tfgen.metrics.classifier`.
        seed: non-negative int, of weights, order and noise.
        verbose: 0, 1 or 2: Keras's verbosity of each training.

    Returns:
        List of dicts, a row for each model: `model`, `bits` with `bits_unit` and `likelihood` (the
        kind of figure; None without a likelihood), `frechet` and `extractor` (None where there is
        none), `seconds` for 64 samples, `parameters`, `epochs`, `minutes` and `minutes_given`: a
        model whose first epoch takes longer than it was given finishes that.

    Raises:
        ValueError: an unknown model or data set, or `out` holds something else.
        OSError: `out` cannot be written to.
    """
    out = Path(out)
    names = [n.strip() for n in models.split(",")] if isinstance(models, str) else list(models)
    known = recipes()
    for name in names:
        if name not in known:
            raise ValueError(
                f"`models` must be among {sorted(known)}; got {name!r}.{nearest(name, known)}"
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`models` must be different ones, at least one; got {names}")
    if not checks.check_weight(minutes, "minutes"):
        raise ValueError(f"`minutes` must be greater than 0; got {minutes!r}")
    settings = {"data_dir": data_dir, "image_size": image_size, "binarise": binarise, "seed": seed}
    examples = load_data({"data": data, **settings})
    presets = {name: _preset(known[name], data, examples) for name in names}
    for name in names:
        # What does not fit the data is told before hours have been spent.
        named = {"model": name, "preset": presets[name], "overrides": {}, "learning_rate": None}
        make_model(named, examples)
    features = _features(extractor, examples, cache_dir)
    rows = []
    for name in names:
        run, preset = out / name, presets[name]
        print(f"{name}: {preset or 'default settings'}", flush=True)
        runs.train(
            run,
            name,
            data,
            preset=preset,
            epochs=None if preset else _MANY_EPOCHS,
            max_minutes=minutes / len(names),
            num_validation=200,
            export=False,
            verbose=verbose,
            **settings,
        )
        row = _row(run, name, examples, features)
        rows.append({"preset": preset, **row, "minutes_given": round(minutes / len(names), 2)})
        write_json(out / "compare.json", rows)
    with replacing(out / "curves.png") as path:
        _draw_curves(out, names, path)
    with replacing(out / "index.html") as path:
        path.write_text(_page(rows, examples))
    return rows


def _features(extractor, examples, cache_dir):
    """The extractor, and the features of the held-out images; None without."""
    if len(examples.event_shape) != 3 or (extractor is None and not examples.num_classes):
        return None
    extractor = evaluation.get_extractor(extractor or "classifier", examples, cache_dir)
    return extractor, metrics.reference(extractor, examples.test[0], None, examples.kind)


def _preset(cls, data, examples):
    """Name of the preset of a class that is for these data, or None."""
    of_class = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
    for name in {f"{of_class}_{data}"} & {*cls.presets()}:
        config = cls.read_preset(name)["model"]
        if config["class_name"].split(">")[-1] != cls.__name__:
            continue
        if tuple(config["config"]["event_shape"]) != examples.event_shape:
            continue
        # What a configuration leaves open is known once there is a model.
        if cls.from_preset(name, load_weights=False).data_kind == examples.kind:
            return name
    return None


def _row(run, name, examples, features):
    net = load_model(run)
    history = read_history(run)
    evaluated = json.loads((run / "evaluation.json").read_text())
    own = [r for r in evaluated if r["name"].startswith(f"{type(net).__name__} (")]
    likelihood = next((r for r in own if "squared error" not in r["name"]), None)
    row = {
        "model": name,
        "bits": likelihood and likelihood["value"],
        "interval": likelihood and likelihood["interval"],
        "bits_unit": likelihood and likelihood["unit"],
        "likelihood": net.likelihood,
        "frechet": None,
        "extractor": None,
        "seconds": None,
        "parameters": net.count_params(),
        "epochs": len(history.get("seconds", ())),
        "minutes": round(history.get("seconds", [0.0])[-1] / 60, 2),
    }
    if net.can_sample:
        condition = pictures.conditions(net, examples, _NUM_SAMPLED)
        # The first call makes the graph.
        net.sample(_NUM_SAMPLED, condition, seed=0)
        start = time.perf_counter()
        net.sample(_NUM_SAMPLED, condition, seed=1).numpy()
        row["seconds"] = round(time.perf_counter() - start, 3)
        if features is not None:
            extractor, real = features
            count = len(examples.test[0])
            samples = net.sample(count, pictures.conditions(net, examples, count), seed=0).numpy()
            quality = metrics.sample_quality(extractor, real, samples, ["frechet"], net.data_kind)
            row["frechet"], row["extractor"] = quality.scores["frechet"], str(quality.extractor)
    return row


def table(rows):
    """Lines of the table, for a terminal."""
    cells = [list(_COLUMNS.values()), *(list(_texts(row).values()) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells]  # fmt: skip


def _texts(row):
    bits = "no likelihood"
    if row["bits"] is not None:
        unit = "" if row["bits_unit"] == "bits per dimension" else f" {row['bits_unit']}"
        bits = f"{row['bits']:.3f}{unit} ({row['likelihood']})"
    return {
        "model": row["model"],
        "bits": bits,
        "frechet": "-" if row["frechet"] is None else f"{row['frechet']:.1f}",
        "seconds": "-" if row["seconds"] is None else f"{row['seconds']:.2f}",
        "parameters": f"{row['parameters']:,}",
        "epochs": str(row["epochs"]),
        "minutes": f"{row['minutes']:.1f} of {row['minutes_given']:.1f}",
    }


def _draw_curves(out, names, path):
    figure = figures.new_figure(8, 4.5)
    panel = figure.subplots()
    for name in names:
        history = read_history(out / name)
        term = next((t for t in ("val_bpd", "val_nll", "val_loss") if t in history), None)
        if term is None:
            continue
        values = np.asarray(history[term])
        panel.plot(np.asarray(history["seconds"]) / 60, values, label=f"{name} ({term[4:]})")
    panel.set(xlabel="minutes of training", ylabel="validation: bits per dimension, or nats")
    panel.grid(alpha=0.3)
    if panel.lines:
        panel.legend()
    figure.savefig(path)


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: 0.35rem 0.8rem; border-bottom: 1px solid #ccc; text-align: right; }
th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 700; }
.samples { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 18rem; max-width: 26rem; }
img { max-width: 100%; height: auto; }
"""


def _page(rows, examples):
    def best(name):
        # Figures of different kinds, a bound and a density, are not ranked.
        kinds = {(row["bits_unit"], row["likelihood"]) for row in rows if row["bits"] is not None}
        known = [row[name] for row in rows if row[name] is not None]
        return None if not known or (name == "bits" and len(kinds) > 1) else min(known)

    lowest = {name: best(name) for name in ("bits", "frechet", "seconds")}
    head = "".join(f"<th>{html.escape(text)}</th>" for text in _COLUMNS.values())
    body = ""
    for row in rows:
        cells = ""
        for name, text in _texts(row).items():
            is_best = name in lowest and row[name] is not None and row[name] == lowest[name]
            cells += f"<td{' class=best' if is_best else ''}>{html.escape(text)}</td>"
        body += f"<tr>{cells}</tr>\n"
    drawn = plots.can_draw(examples.event_shape)
    shown = "".join(
        f"<figure><figcaption>{html.escape(row['model'])}</figcaption>"
        f'<a href="{html.escape(row["model"])}/samples.png">'
        f'<img src="{html.escape(row["model"])}/samples.png" alt="Samples"></a></figure>\n'
        for row in rows
        if drawn and row["seconds"] is not None
    )
    extractors = sorted({row["extractor"] for row in rows if row["extractor"]})
    note = f" Features of the Frechet distance: {', '.join(extractors)}." if extractors else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(examples.name)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>Models of {html.escape(examples.name)}</h1>
<p>{html.escape(repr(examples))}. Figures are of held-out examples; lower is better in all columns
from the second to the fourth. A bound is at most the likelihood, so a model with a bound may be
better than it says.{html.escape(note)}</p>
<table><thead><tr>{head}</tr></thead><tbody>
{body}</tbody></table>
<h2>Training</h2>
<img src="curves.png" alt="Validation figures by minutes of training">
<h2>Samples</h2>
<div class="samples">
{shown}</div>
</body></html>
"""

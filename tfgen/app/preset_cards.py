"""Presets with weights, made of runs: a folder with a card that says where they come from."""

import json
import os
import platform
from pathlib import Path

from tfgen import data as data_module
from tfgen import plots
from tfgen.app import evaluation
from tfgen.app import pictures
from tfgen.app.opened import data_settings
from tfgen.app.opened import open_model
from tfgen.app.run_folder import read_history
from tfgen.app.settings import as_command
from tfgen.app.settings import load_data
from tfgen.app.settings import read_training
from tfgen.core.preset_folders import CARD
from tfgen.core.preset_folders import METADATA
from tfgen.models import GenerativeModel
from tfgen.utils.files import read_json
from tfgen.utils.files import replacing

# Of the settings of a run, those that say what its data are.
_DATA = ("data", "table", "binarise", "image_size", "seed", "condition", "target")
_LICENCES = {
    "mnist": "MNIST (LeCun, Cortes and Burges): CC BY-SA 3.0",
    "fashion_mnist": "Fashion-MNIST (Zalando SE): MIT",
    "fashion_mnist_small": "Fashion-MNIST (Zalando SE): MIT",
    "omniglot_small": "Omniglot (Lake et al.): MIT",
    "diabetes": "Diabetes data of Efron et al. 2004, as in scikit-learn: BSD-3-Clause",
    "digits": "Optical recognition of handwritten digits (UCI): CC BY 4.0",
}


def make_preset(
    run,
    folder,
    *,
    description=None,
    weights_dtype="float32",
    extractor=None,
    cache_dir=None,
    data_dir=None,
):
    """Makes a preset with weights of a finished run, and scores it as it is written.

    The folder then has, beside what `save_to_preset` writes, the run's data, seed and time and the
    figures in `metadata.json`, `samples.png`, and a card, `README.md`.

    Args:
        run: the run folder.
        folder: the folder to write.
        description: a line about the model; by default that of the run's preset, if it had one.
        weights_dtype: as of `save_to_preset`; the figures are those of the weights written.
        extractor: as in `runs.evaluate`: the card then has Frechet distances of samples, too.
        cache_dir: folder of classifiers, see `tfgen.metrics.classifier`.
        data_dir: folder of prepared TFDS data sets, in the place of the run's.

    Returns:
        List of dicts, the figures, as `runs.evaluate` returns them.

    Raises:
        ValueError: `run` is no folder of a finished run, or a bad argument.
        OSError: `folder` cannot be written to.

    >>> import tempfile, tfgen
    >>> from tfgen.app import runs
    >>> run, folder = tempfile.mkdtemp(), tempfile.mkdtemp()
    >>> small = {"num_layers": 1, "hidden_units": [4]}
    >>> _ = runs.train(
    ...     run, "RealNVP", "two_moons", overrides=small, epochs=1, export=False, verbose=0
    ... )
    >>> rows = runs.make_preset(run, folder, description="Two moons.")
    >>> tfgen.RealNVP.read_preset(folder)["metadata"]["figures"] == rows
    True
    """
    opened = open_model(run, data_dir)
    if opened.folder is None:
        raise ValueError(f"`run` must be the folder of a run; got the preset {str(run)!r}")
    folder = Path(folder)
    preset = opened.settings.get("preset")
    if description is None:
        description = GenerativeModel.read_preset(preset).get("description", "") if preset else ""
    examples = load_data(data_settings(opened))
    seconds = read_history(opened.folder).get("seconds", [0.0])
    about = {
        "run": {name: opened.settings.get(name) for name in _DATA if opened.settings.get(name)},
        "epochs": len(seconds),
        "training_minutes": round(seconds[-1] / 60, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    # A path is of this machine alone.
    about["run"]["data"] = Path(about["run"]["data"]).name
    about["run"]["class_names"] = examples.class_names
    # Before it is written: it goes with the weights.
    evaluation.partition_rows(opened.net)
    opened.net.save_to_preset(
        folder,
        description,
        weights_dtype=weights_dtype,
        metadata=about,
        training=read_training(opened.settings),
    )
    written = GenerativeModel.from_preset(folder)
    x, y = pictures.taken_by(written, examples.test)
    rows = evaluation.likelihood_rows(written, examples, x, y)
    if extractor is not None:
        rows += evaluation.quality_rows(written, examples, x, y, extractor, cache_dir)
    about = {**read_json(folder / METADATA), "figures": rows}
    if written.has_likelihood:
        about["train_log_prob"] = evaluation.log_prob_quantiles(written, examples)
    with replacing(folder / METADATA) as path:
        path.write_text(json.dumps(about, indent=2) + "\n")
    drawn = plots.can_draw(written.event_shape) or examples.columns is not None
    if drawn and written.can_sample:
        with replacing(folder / "samples.png") as path:
            pictures.save_gallery(written, examples, path)
    with replacing(folder / CARD) as path:
        path.write_text(_card(folder, written, description, about, opened, examples))
    return rows


def _card(folder, net, description, about, opened, examples):
    """Text of the card."""
    name = folder.name
    kind = type(net).__name__
    data, seed = about["run"]["data"], opened.settings["seed"]
    samples = "" if not (folder / "samples.png").is_file() else "![Samples](samples.png)\n\n"
    own = "points that tfgen makes" if data in data_module.names() else "the data's own"
    licence = _LICENCES.get(data, own)
    figures = "\n".join(
        f"| {row['name']} | {_figure(row)} | {row['unit']} |" for row in about["figures"]
    )
    versions = ", ".join(f"{n} {about[f'{n}_version']}" for n in ("tfgen", "keras", "tensorflow"))
    size = f"{about['parameter_count']:,} parameters, {about['weights_dtype']} weights"
    return f"""---
library_name: keras
tags: [tfgen, keras, generative-model]
---

# {name}

{description}

{samples}```python
import tfgen

model = tfgen.{kind}.from_preset("{name}")
{"model.sample(16)" if examples.columns is None else "model.columns.to_frame(model.sample(16))"}
```

| | |
|---|---|
| model | `tfgen.{kind}`, {size} |
| data | {data}, {len(examples.train[0]):,} training examples; licence: {licence} |
| training | `{as_command(opened.settings)}` |
| seed | {seed} |
| time | {about["epochs"]} epochs, {about["training_minutes"]} minutes beside other work |
| machine | {about["machine"]} |
| versions | {versions} |

| measure, of held-out examples | value | unit |
|---|---|---|
{figures}

What `log_prob` of this model means: `{net.likelihood}`. `tfgen evaluate {name}` gives these figures
again (intervals are of 95 per cent, of the mean over the held-out examples).

Limits: trained for minutes on processors and on this data set alone, as an example and a start for
tuning; it is no state of the art, and its samples may repeat what the data hold of their makers'
choices.
"""


def _figure(row):
    if "interval" not in row:
        return f"{row['value']:.4f}"
    low, high = row["interval"]
    return f"{row['value']:.4f} ({low:.4f} to {high:.4f})"

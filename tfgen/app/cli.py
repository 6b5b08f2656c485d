"""The `tfgen` command."""

import sys

import click

from tfgen.app.command_group import NAME
from tfgen.app.command_group import Commands
from tfgen.app.command_group import as_settings
from tfgen.app.command_group import debug_option
from tfgen.app.devices import STRATEGIES

_MOST = 10**6  # samples: they are held in memory


@click.group(
    cls=Commands, params=[debug_option()], context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="tfgen")
def main():
    """Train, sample and evaluate deep generative models."""


@main.command()
@click.argument("model", type=NAME, required=False)
@click.option(
    "--data", required=True, type=NAME, help="Name or path; `tfgen datasets` lists names."
)
@click.option("--out", required=True, type=NAME, help="Folder of the run.")
@click.option("--data-dir", type=NAME, help="Folder of prepared TFDS data sets.")
@click.option("--download", is_flag=True, help="Let TFDS download the data set.")
@click.option("--image-size", type=int, help="Crop and resize images to this many pixels.")
@click.option(
    "--binarise",
    type=click.Choice(["static", "dynamic"]),
    help="Images as 0 and 1, drawn once or afresh in each step.",
)
@click.option(
    "--table", is_flag=True, help="Read a .csv or .tsv file as a table with columns of all kinds."
)
@click.option(
    "--condition",
    multiple=True,
    metavar="COLUMN",
    help="A column of a table that is given and not modelled; repeatable.",
)
@click.option(
    "--target",
    metavar="COLUMN",
    help="The column of a .csv or .tsv file of numbers that holds the labels, names of classes "
    "among them, or the conditions; default the one named y, if there is one.",
)
@click.option("--preset", type=NAME, help="A configuration to train; `tfgen models` lists names.")
@click.option(
    "--from-preset",
    type=NAME,
    help="A trained model to go on from: a preset with weights, or the folder of a run; MODEL may "
    "then be left out.",
)
@click.option(
    "--class-conditional", is_flag=True, help="Conditional on the labels, all that the data have."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    callback=as_settings,
    metavar="KEY=VALUE",
    help="A constructor argument, such as num_steps=8; repeatable.",
)
@click.option("--epochs", type=click.IntRange(1), help="Default: the preset's, else 10.")
@click.option("--batch-size", type=click.IntRange(1), help="Default: the preset's, else 32.")
@click.option(
    "--learning-rate", type=float, help="A constant one, in the preset's place (not of a critic)."
)
@click.option("--ema", type=float, help="Momentum of averaged weights, such as 0.999.")
@click.option(
    "--early-stopping",
    type=click.IntRange(1),
    metavar="EPOCHS",
    help="Stop after so many epochs without a lower validation loss; the best weights stay.",
)
@click.option("--tensorboard", is_flag=True, help="Logs and samples for TensorBoard, in the run.")
@click.option(
    "--latents",
    type=click.Choice(["gaussian", "gmm", "flow", "autoregressive"]),
    help="What is fitted to the latents after training.",
)
@click.option(
    "--num-validation",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Held-out examples scored after each epoch.",
)
@click.option("--max-minutes", type=float, help="Stop training after that time.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--export/--no-export", default=True, help="Write a SavedModel, too, or not.")
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="auto",
    show_default=True,
    help="Devices: all GPUs of this machine, the hosts of TF_CONFIG, a TPU, or one device.",
)
@click.option(
    "--verbose",
    type=click.IntRange(0, 2),
    help="As for fit; default 1 on a terminal, else 2, a line for each epoch.",
)
def train(**settings):
    """Train MODEL, or go on with an interrupted run: give the same command again.

    MODEL is a name that `tfgen models` lists, or module:Class, a registered class of your own.
    """
    from tfgen.app import runs

    out = settings.pop("out")
    rows = runs.train(out, settings.pop("model"), settings.pop("data"), **settings)
    if rows is None:
        click.echo("Trained; the first host evaluates, and has the run.")
        return
    _table(rows)
    stopped = runs.read_stopped(out)
    if stopped:
        click.echo(f"Training stopped early, the figures are of the last finite weights: {stopped}")
        sys.exit(1)


_DATA_DIR = click.option("--data-dir", type=NAME, help="Folder of prepared TFDS data sets.")


@main.command()
@click.argument("run", type=NAME)
@_DATA_DIR
@click.option("--num-examples", type=click.IntRange(1), help="Held-out examples; default all.")
@click.option(
    "--num-samples", type=click.IntRange(1, _MOST), help="Also estimate with so many draws."
)
@click.option(
    "--extractor",
    type=NAME,
    help="Also score images by Frechet distance: classifier (trained on the data's labels and "
    "kept), inception (keras.applications), a .keras file or the folder of a SavedModel.",
)
@click.option("--cache-dir", type=NAME, help="Where classifiers are kept.")
def evaluate(run, **settings):
    """Score the held-out examples of RUN, the folder of a run or a preset with weights."""
    from tfgen.app import runs

    _table(runs.evaluate(run, **settings))


@main.command()
@click.argument("run", type=NAME)
@click.option(
    "--out", required=True, type=NAME, help="Folder of versions; or a file, see --format."
)
@click.option(
    "--format",
    type=click.Choice(["tf_saved_model", "onnx", "litert"]),
    default="tf_saved_model",
    show_default=True,
    help="The latter two are a file with one signature that needs no noise.",
)
@click.option("--signature", help="That signature; default log_prob or, without it, decode.")
def export(run, out, **settings):
    """Write RUN, the folder of a run or a preset with weights, for serving without tfgen."""
    from tfgen.app import runs

    click.echo(runs.export(run, out, **settings))


@main.command()
@click.argument("run", type=NAME)
@click.option("--num", type=click.IntRange(1, _MOST), default=64, show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("--seed", type=int, help="Default: a new one each time.")
@click.option("--label", help="Name or number, for a class-conditional model; default all in turn.")
@click.option(
    "--given",
    multiple=True,
    callback=as_settings,
    metavar="COLUMN=VALUE",
    help="A value of a column of a table that the model is conditional on; repeatable.",
)
@click.option(
    "--out",
    type=NAME,
    help="A .png, .npy or .csv file, or a folder for a PNG of each image; default in RUN.",
)
@_DATA_DIR
def sample(run, num, **settings):
    """Draw samples from RUN, the folder of a run or a preset with weights."""
    from tfgen.app import runs

    click.echo(runs.sample(run, num, **settings))


@main.command()
@click.argument("run", type=NAME)
@click.option(
    "--data",
    required=True,
    type=NAME,
    help="An image, a folder of images, a .npy, .npz, .csv or .tsv file, or a data set's name.",
)
@click.option("--out", type=NAME, help="A .csv file, with a row for each example.")
@click.option("--num-samples", type=click.IntRange(1, _MOST), help="Estimate with so many draws.")
@_DATA_DIR
@click.option("--seed", type=int, default=0, show_default=True)
def score(run, **settings):
    """Score your own examples, one by one, by RUN, the folder of a run or a preset."""
    from tfgen.app import runs
    from tfgen.app import scores

    for line in scores.summary(runs.score(run, settings.pop("data"), **settings)):
        click.echo(line)


@main.command()
@click.option("--data", required=True, type=NAME, help="Name or path of a data set.")
@click.option("--models", required=True, type=NAME, help="Names with commas between them.")
@click.option("--out", required=True, type=NAME, help="Folder of the comparison.")
@click.option(
    "--minutes", type=float, default=20.0, show_default=True, help="Of training, all together."
)
@_DATA_DIR
@click.option("--image-size", type=int, help="Crop and resize images to this many pixels.")
@click.option("--binarise", type=click.Choice(["static", "dynamic"]))
@click.option("--extractor", type=NAME, help="As for evaluate; default the data's classifier.")
@click.option("--cache-dir", type=NAME, help="Where classifiers are kept.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
def compare(out, data, models, **settings):
    """Train several models on one data set, with the same time for each, and compare them."""
    from tfgen.app import compare as comparison

    for line in comparison.table(comparison.compare(out, data, models, **settings)):
        click.echo(line)
    click.echo(f"Samples side by side: {out}/index.html")


@main.command()
@click.argument("run", type=NAME)
@click.option("--out", required=True, type=NAME, help="Folder of the preset.")
@click.option("--description", help="A line about the model.")
@click.option(
    "--weights-dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="float16 takes half of the space, bfloat16 two fifths.",
)
@click.option("--extractor", type=NAME, help="As for evaluate: scores of samples for the card.")
@click.option("--cache-dir", type=NAME, help="Where classifiers are kept.")
@_DATA_DIR
def preset(run, out, **settings):
    """Make a preset of RUN, to give to others: weights, configuration and a card."""
    from tfgen.app import runs

    _table(runs.make_preset(run, out, **settings))


@main.command()
@click.argument("source", type=NAME)
@click.option("--batch", type=click.IntRange(1), help="Rows of a step; default the preset's.")
@click.option(
    "--devices", type=click.IntRange(1), default=8, show_default=True, help="To project to."
)
def cost(source, batch, devices):
    """Count a training step of SOURCE, a preset or the folder of a run, and say what it takes.

    The time of a step here is found by timing its operations one by one, which takes a while.
    """
    from tfgen.app import costs

    for line in costs.lines(costs.cost(source, batch_size=batch, num_devices=devices)):
        click.echo(line)


@main.command()
@click.argument("source", type=NAME)
@click.option("--host", type=NAME, default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="0 takes one that is free.",
)
@click.option("--name", type=NAME, help="Of the model, in addresses; default SOURCE's.")
@click.option(
    "--max-batch-rows",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Rows that are computed at a time, of several clients together.",
)
@click.option(
    "--batch-delay-ms",
    type=click.FloatRange(0, 1000),
    default=2.0,
    show_default=True,
    help="Milliseconds that the first rows of a batch wait for others.",
)
@click.option(
    "--max-rows", type=click.IntRange(1), default=1024, show_default=True, help="Of a request."
)
@click.option(
    "--max-body-mib",
    type=click.FloatRange(0, 1024, min_open=True),
    default=16.0,
    show_default=True,
    help="Of a request, in MiB.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    default=60.0,
    show_default=True,
    help="In which a request must come, and in which its answer must be computed.",
)
def serve(source, **settings):
    """Serve a model over HTTP: SOURCE is the folder of a run, a preset with weights, or the folder
    of a SavedModel.

    It answers as TensorFlow Serving does (/v1/models/NAME:predict), and at /sample, /log_prob,
    /encode and /decode; /healthz tells whether it is ready, /metrics has figures for Prometheus.
    SIGTERM lets requests end.
    """
    from tfgen.app import serving

    serving.serve(source, echo=click.echo, **settings)


@main.command()
@click.option("--table", is_flag=True, help="All models in a table, in Markdown.")
def models(table):
    """List the models and their presets."""
    from tfgen.app import runs

    if table:
        from tfgen.app import zoo_table

        click.echo(zoo_table.markdown())
        return
    for name, cls in runs.recipes().items():
        first_paragraph = " ".join(cls.__doc__.split("\n\n")[0].split())
        click.echo(f"{name}: {first_paragraph}")
        for preset, description in cls.presets().items():
            # Those of subclasses are theirs.
            if cls.read_preset(preset)["model"]["class_name"].split(">")[-1] == name:
                trained = " [trained]" if cls.read_preset(preset)["has_weights"] else ""
                click.echo(f"  {preset}{trained}: {description}")


@main.command()
def datasets():
    """List the data sets inside the package."""
    from tfgen import data

    for name in data.names():
        found = data.load(name)
        click.echo(f"{found!r}\n  {found.description}")
    click.echo(
        "Also: names of TensorFlow Datasets (--data-dir, --download), a folder of images, "
        "a .npy, .npz, .csv or .tsv file."
    )


def _table(rows):
    if not rows:
        click.echo("This model has no likelihood: give an --extractor, to score its samples.")
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        spread = ""
        if "interval" in row:
            spread = f" ± {(row['interval'][1] - row['interval'][0]) / 2:.4f}"
        click.echo(f"{row['name']:{width}}  {row['value']:8.4f}{spread} {row['unit']}")


if __name__ == "__main__":
    main()

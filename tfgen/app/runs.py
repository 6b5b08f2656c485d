"""Runs: training that can be interrupted, the evaluation of its result, and samples from it.

A run has a folder. It holds

- `run.json`, the settings; `history.csv` and `history.png`; `checkpoint/`, for resuming;
  `samples/`, pictures of some epochs; `stopped.json`, where a run became NaN, and
  `stopped_early.json`, where nothing became better; `.lock`, which a
  process that trains holds;
- in the end `model.keras`, `export/1/` (a SavedModel; of a run that went on and has other weights
  `export/2/`, and so on), `samples.png` and `evaluation.json`;
- of images also `nearest.png`, samples and the training examples nearest to them, and of the
  models that can draw them
    - `resampled.png` (models with levels): the top level's latents kept, the others drawn anew;
      this and the samples of flows over images are at temperature 0.8;
    - `decompressed.png` (latent-variable models): held-out images, and images drawn given their
      latents;
    - `reconstructed.png` (models with an encoder and a decoder): the means given them;
    - `inpainted.png` (PixelCNN): the lower half drawn anew;
    - `completed.png` (models of any order of the values): the upper half drawn anew;
    - `chains.png` (models that sample by chains): their states over time;
    - `filters.png` (energies with layers): what the first hidden units look at;
    - `interpolated.png`: images on the way between the latents of held-out ones, and
      `traversed.png` (models with an encoder and a decoder): what single latents do.

Of several hosts the first one, the chief, writes all this; each of the others has a folder beside,
such as `OUT.worker_1`, with what it resumes from.
"""

import contextlib
import os
import sys
from pathlib import Path

import keras

from tfgen import data as data_module
from tfgen import models
from tfgen import plots
from tfgen.app import evaluation
from tfgen.app import pictures
from tfgen.app.devices import get_strategy
from tfgen.app.devices import worker_index
from tfgen.app.exports import export
from tfgen.app.exports import export_version
from tfgen.app.extras import extras
from tfgen.app.opened import data_settings
from tfgen.app.opened import open_model
from tfgen.app.preset_cards import make_preset
from tfgen.app.run_folder import load_model
from tfgen.app.run_folder import read_history
from tfgen.app.run_folder import read_stopped
from tfgen.app.run_folder import taken
from tfgen.app.run_folder import write_json
from tfgen.app.sampling import sample
from tfgen.app.scores import score
from tfgen.app.settings import load_data
from tfgen.app.settings import make_model
from tfgen.app.settings import recipes
from tfgen.app.settings import trained_class
from tfgen.callbacks import Backup
from tfgen.callbacks import CostReport
from tfgen.callbacks import LatentReport
from tfgen.callbacks import NaNGuard
from tfgen.callbacks import TimeLimit
from tfgen.models.latent.encoder_decoder import FITS
from tfgen.utils import checks
from tfgen.utils.files import replacing
from tfgen.utils.replicas import is_multi_worker

__all__ = [
    "evaluate",
    "export",
    "load_model",
    "make_preset",
    "read_history",
    "read_stopped",
    "recipes",
    "sample",
    "score",
    "train",
]

# There once training was stopped early.
_EARLY = "stopped_early.json"
# Examples that reports on latents are about.
_NUM_REPORTED = 500


def train(
    out,
    model,
    data,
    *,
    data_dir=None,
    download=False,
    image_size=None,
    binarise=None,
    table=False,
    condition=(),
    target=None,
    preset=None,
    from_preset=None,
    overrides=None,
    class_conditional=False,
    epochs=None,
    batch_size=None,
    learning_rate=None,
    ema=None,
    early_stopping=None,
    tensorboard=False,
    latents=None,
    num_validation=2000,
    max_minutes=None,
    seed=0,
    export=True,
    strategy="auto",
    verbose=None,
    callbacks=(),
):
    """Trains a model, or goes on with an interrupted run, and evaluates it.

    Args:
        out: the run folder: a new or empty one, or that of a run with these settings.
        model: name of a recipe, one of `recipes()`; `module:Class`, a registered class of one's
            own; or None, with `from_preset`.
        data: name or path of a data set, see `tfgen.data.load`.
        data_dir: folder of prepared TFDS data sets; None for the default one of TFDS.
        download: bool; True lets TFDS download a data set that is not there.
        image_size: int or `(height, width)` that images are cropped and resized to; None keeps
            them.
        binarise: `"static"` or `"dynamic"`, for images as binary data; None keeps the grey levels.
        table: True reads `data`, a .csv or .tsv file, as a `tfgen.data.Table`: whole numbers,
            categories, dates and missing values are taken for what they are.
        condition: names of columns of such a table that are given and not modelled; they imply
            `table`.
        target: the column of a .csv or .tsv file of numbers that is y, as in `tfgen.data.load`.
        preset: name or folder of a preset, whose configuration is trained from the start; None
            takes the recipe's own defaults.
        from_preset: a trained model to go on from, on these data: a preset with weights (name,
            folder or handle) or the folder of a run. It is compiled anew with its class's
            defaults.
        overrides: dict of constructor arguments, which go before those of the preset.
        class_conditional: True makes the model conditional on the labels of the data, with
            `num_classes` of theirs.
        epochs: epochs in all; by default those of the preset, else 10.
        batch_size: rows in a batch; by default that of the preset, else 32.
        learning_rate: a constant learning rate of the first player's optimizer, in place of the
            default or the preset's; other players, such as a critic, keep theirs.
        ema: momentum of an average of the weights, such as 0.999, which validates, samples and is
            saved; None keeps what the preset says.
        early_stopping: epochs without a lower validation loss after which training stops, and the
            best weights are taken back; None never stops.
        tensorboard: True writes logs for TensorBoard, pictures of samples included, to
            `tensorboard/` in the run folder.
        latents: kind of distribution that is fitted to the latents of the training examples in
            the end, see `fit_latents`; by default a mixture (`"gmm"`) for autoencoders and
            injective flows, an autoregressive distribution of the codes for a `VQVAE`, and none for
            others.
        num_validation: number of held-out examples scored after each epoch: of the validation
            split, where the data have one, else of the test split.
        max_minutes: minutes after which training stops; None for no limit.
        seed: non-negative int, of weights, order and noise.
        export: False leaves the SavedModel out; else it is a new version in `export/`, unless the
            last one there has these weights.
        strategy: devices: `"auto"`, `"mirrored"`, `"multiworker"`, `"tpu"` or `"none"`, see
            `tfgen.app.devices.get_strategy`. A run may go on on others.
        verbose: 0, 1 or 2, Keras's verbosity; by default 1 on a terminal, and 2, a line for each
            epoch, in a file.
        callbacks: more Keras callbacks; what they add to an epoch's logs is in the history.

    Returns:
        List of dicts `name`, `value`, `unit`: the evaluation, see `evaluate`. Of several hosts the
        first one evaluates; the others return None.

    Raises:
        ValueError: bad settings, or a folder that holds a run with others, or one in which another
            process trains.
        OSError: the folder cannot be written to.

    >>> import tempfile
    >>> from tfgen.app import runs
    >>> small = {"num_layers": 1, "hidden_units": [4]}
    >>> folder = tempfile.mkdtemp()
    >>> rows = runs.train(
    ...     folder, "RealNVP", "two_moons", overrides=small, epochs=1, export=False, verbose=0
    ... )
    >>> rows[0]["name"], rows[0]["unit"]
    ('RealNVP (exact, 2000 held-out examples)', 'nats')
    >>> runs.load_model(folder).event_shape, runs.read_stopped(folder)
    ((2,), None)
    >>> sorted(runs.read_history(folder))
    ['loss', 'nll', 'seconds', 'skipped_steps', 'val_loss', 'val_nll']
    """
    out = Path(out)
    for name, value in (("learning_rate", learning_rate), ("max_minutes", max_minutes)):
        if value is not None and not checks.check_weight(value, name):
            raise ValueError(f"`{name}` must be greater than 0; got {value!r}")
    settings = {
        "model": trained_class(from_preset) if model is None else model,
        "data": str(data),
        "data_dir": data_dir and os.path.abspath(data_dir),
        "image_size": image_size,
        "binarise": binarise,
        "table": bool(table),
        "condition": list(condition),
        "target": target,
        "preset": preset and str(preset),
        "from_preset": from_preset and _absolute(from_preset),
        "overrides": overrides or {},
        "class_conditional": class_conditional,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "ema": ema,
        "early_stopping": early_stopping,
        "tensorboard": tensorboard,
        "latents": latents,
        "num_validation": num_validation,
        "max_minutes": max_minutes,
        "seed": seed,
    }
    if data_dir is None and str(data) not in data_module.names() and Path(data).exists():
        # A path, for whoever evaluates the run from another folder.
        settings["data"] = os.path.abspath(data)
    if verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    devices = get_strategy(strategy)
    index = worker_index(devices)
    if max_minutes is not None and devices is not None and is_multi_worker(devices):
        raise ValueError(
            "`max_minutes` is of one host's clock: with several, which stop at one step, give "
            f"`epochs`; got {max_minutes!r}"
        )
    if index:
        out = out.with_name(f"{out.name}.worker_{index}")
    with taken(out, settings):
        return _train(out, settings, download, devices, not index, export, verbose, callbacks)


def _absolute(source):
    """A folder's absolute path, for whoever reads the settings from elsewhere; else the name."""
    return os.path.abspath(source) if os.path.isdir(source) else str(source)


def _train(out, settings, download, devices, is_chief, export, verbose, callbacks):
    examples = load_data(settings, download)
    settings["class_names"] = examples.class_names
    if (out / _EARLY).is_file() and (out / "model.keras").is_file():
        # The checkpoint is of the last epoch, the model of the best one.
        print("Training stopped early before, and is done.", flush=True)
        return evaluate(out, net=load_model(out), examples=examples) if is_chief else None
    keras.utils.set_random_seed(settings["seed"])
    with devices.scope() if devices else contextlib.nullcontext():
        net, training = make_model(settings, examples)
    kind = _check_latents(net, settings["latents"])
    epochs = training["epochs"]
    every = max(1, epochs // 10)
    write_json(out / "run.json", settings)
    (out / "stopped.json").unlink(missing_ok=True)

    history = out / "history.csv"
    callbacks = [*callbacks, *extras(net, settings, out, is_chief)]
    backup = Backup(out / "checkpoint", files=[history], callbacks=callbacks)
    done = backup.restore(net)
    spent = read_history(out).get("seconds", [0.0])[-1]
    x, y = pictures.taken_by(net, examples.train)
    held_out = examples.test if examples.validation is None else examples.validation
    validation = pictures.taken_by(
        net, tuple(a if a is None else a[: settings["num_validation"]] for a in held_out)
    )
    if done:
        print(f"Going on after epoch {done} of {epochs} ({spent:.0f} s)", flush=True)
    guard = NaNGuard(restore_weights=True)
    # Validation is of the averaged weights, where the optimizer keeps such, as all is in the end;
    # pictures and reports of epochs are of those in training.
    optimizer = getattr(net.optimizer, "inner_optimizer", net.optimizer)
    averaged = [keras.callbacks.SwapEMAWeights()] if optimizer.use_ema else []
    log = keras.callbacks.CSVLogger(str(history), append=True)
    minutes = settings["max_minutes"]
    watched = [guard, *averaged, *callbacks]
    if is_chief:
        watched = [
            *([CostReport()] if verbose else []),
            # It adds the seconds to what the others log.
            TimeLimit(minutes, spent),
            *watched,
            *pictures.of_epochs(out, net, examples, every),
            *_reports(net, validation, every, verbose),
            # In every row of the file, which has the columns of its first.
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: logs.setdefault("skipped_steps", 0)
            ),
            log,
        ]
    if done < epochs and (minutes is None or spent < 60 * minutes):
        try:
            net.fit(
                x,
                y,
                batch_size=training["batch_size"],
                epochs=epochs,
                validation_data=validation,
                validation_batch_size=256,
                verbose=verbose if is_chief else 0,
                # Last: what it keeps is complete when the rest of the epoch is written.
                callbacks=[*watched, backup],
            )
        finally:
            # Keras leaves the file open when a run is interrupted.
            if log.csv_file is not None:
                log.csv_file.close()
        if any(getattr(c, "stopped_epoch", 0) for c in callbacks):
            write_json(out / _EARLY, {"epochs": len(net.history.epoch) + done})
        if guard.stopped_at:
            write_json(out / "stopped.json", guard.stopped_at._asdict())
    elif done:
        # `fit` ends with this.
        for player in net.players:
            player.optimizer.finalize_variable_values(player.variables)
    # Whatever becomes of the fit.
    if is_chief:
        net.save(out / "model.keras")
    if kind is not None:
        # By all hosts: a flow is trained by them together.
        _fit_latents(net, x, y, kind, settings, verbose)
    if not is_chief:
        return None
    if evaluation.partition_rows(net) or kind is not None:
        net.save(out / "model.keras")
    if export:
        export_version(net, settings, out / "export", verbose)
    history = {k: v for k, v in read_history(out).items() if k not in ("seconds", "skipped_steps")}
    if history:
        with replacing(out / "history.png") as path:
            plots.plot_history(history, path)
    pictures.of_run(out, net, examples)
    return evaluate(out, net=net, examples=examples)


def evaluate(
    run,
    *,
    data_dir=None,
    num_examples=None,
    num_samples=None,
    extractor=None,
    cache_dir=None,
    net=None,
    examples=None,
):
    """Scores the held-out examples of a run, or of the data that a preset was trained on.

    Args:
        run: the run folder, or a preset with weights: name, folder or handle.
        data_dir: folder of prepared TFDS data sets, in the place of the run's.
        num_examples: number of held-out examples; all by default.
        num_samples: draws for `estimate_log_prob`; by default only the likelihood itself is
            computed, which is all there is to know if it is exact.
        extractor: `"classifier"`, `"inception"`, a path or a `tfgen.metrics.FeatureExtractor`, see
            `evaluation.get_extractor`. If given, as many reconstructions and samples are scored by
            Frechet distance from the held-out images, whose features are kept in `reference.npz`.
        cache_dir: folder of classifiers, see `tfgen.metrics.classifier`.
        net: the run's model, if it and `examples` are at hand; else both are loaded.
        examples: the run's `tfgen.data.Data`.

    Returns:
        List of dicts `name`, `value`, `unit`, and `interval` of means over examples (95 per
        cent), one for each row of the table; of a run also written to `evaluation.json`.

    Raises:
        ValueError: `run` is neither, or `extractor` is unknown or does not fit the data.

    >>> from tfgen.app import runs
    >>> rows = runs.evaluate("nsf_pinwheel", num_examples=100)
    >>> rows[0]["name"]
    'NSF (exact, 100 held-out examples)'
    """
    folder = Path(run)
    if net is None:
        opened = open_model(run, data_dir)
        net, folder = opened.net, opened.folder
        examples = examples or load_data(data_settings(opened))
    x, y = (a if a is None else a[:num_examples] for a in pictures.taken_by(net, examples.test))
    rows = evaluation.likelihood_rows(net, examples, x, y, num_samples)
    if extractor is not None:
        cache = folder and folder / "reference.npz"
        rows += evaluation.quality_rows(net, examples, x, y, extractor, cache_dir, cache)
    if folder is not None:
        write_json(folder / "evaluation.json", rows)
    return rows


def _check_latents(net, latents):
    """Returns the kind of distribution to fit to the latents in the end, or None."""
    kinds = net.latent_kinds if isinstance(net, models.EncoderDecoder) else ()
    if latents is None:
        return net.usual_latents if kinds else None
    if latents not in kinds:
        raise ValueError(
            f"`latents` must be one of {list(kinds or FITS)}, for a model with an encoder and a "
            f"decoder; got {latents!r} for {type(net).__name__}"
        )
    return latents


def _fit_latents(net, x, y, kind, settings, verbose):
    if verbose:
        print(f"Fitting the latents ({kind}) ...", flush=True)
    arguments = {"verbose": verbose} if kind in ("flow", "autoregressive") else {}
    try:
        net.fit_latents(x, kind, y, seed=settings["seed"], **arguments)
    except ValueError as error:
        if settings["latents"] is not None:
            raise
        print(f"The latents were not fitted: {error}", flush=True)


def _reports(net, validation, every, verbose):
    if not (verbose and hasattr(net, "code_length")):
        return []
    x, y = (a if a is None else a[:_NUM_REPORTED] for a in validation)
    return [LatentReport(x, y, every=every)]

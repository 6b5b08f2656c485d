"""Run folders: training that can be interrupted, and what is made of its result.

A run folder holds `run.json` (the settings), `history.csv` and `history.png`,
`checkpoint/` (for resuming), `samples/` (one picture for some epochs), and in the end
`model.keras`, `export/` (a SavedModel), `samples.png` and `evaluation.json`; for images also
`resampled.png` (models with levels: the top level's latents kept, the others drawn anew; this and
the samples of flows over images at temperature 0.8), `decompressed.png` (latent-variable models:
held-out images, and what is drawn given their latents), `reconstructed.png` (autoencoders),
`inpainted.png` (PixelCNN: the lower half drawn anew) and `nearest.png` (samples, and the training
examples nearest to them). `stopped.json` says where a run became NaN.
"""

import csv
import inspect
import json
from pathlib import Path

import keras
import numpy as np

from tfgen import data as data_module
from tfgen import evaluation
from tfgen import models
from tfgen import pictures
from tfgen import plots
from tfgen.callbacks import LatentReport
from tfgen.callbacks import NaNGuard
from tfgen.callbacks import TimeLimit
from tfgen.models.encoder_decoder import FITS
from tfgen.utils import checks

# Settings that may change when a run goes on.
_FREE = ("epochs", "max_minutes")
# Arguments that only code can give.
_NOT_SET = ("self", "args", "kwargs", "event_shape", "bijector", "parts", "networks")
# Examples that reports on latents are about.
_NUM_REPORTED = 500


def recipes():
    """The models that need no more than an `event_shape`, by name."""
    found = {}
    for name in models.__all__:
        cls = getattr(models, name)
        if not issubclass(cls, models.GenerativeModel) or cls is models.GenerativeModel:
            continue
        required = [
            p.name
            for p in inspect.signature(cls).parameters.values()
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        if required == ["event_shape"]:
            found[name] = cls
    return found


def train(
    out,
    model,
    data,
    *,
    data_dir=None,
    download=False,
    image_size=None,
    binarise=None,
    preset=None,
    overrides=None,
    epochs=None,
    batch_size=None,
    learning_rate=None,
    latents=None,
    num_validation=2000,
    max_minutes=None,
    seed=0,
    verbose=1,
    callbacks=(),
):
    """Trains a model, or goes on with an interrupted run, and evaluates it.

    Args:
        out: the run folder.
        model: name of a recipe.
        data: name or path, as for `tfgen.data.load`.
        data_dir: as for `tfgen.data.load`.
        download: as for `tfgen.data.load`.
        image_size: as for `tfgen.data.load`.
        binarise: as for `tfgen.data.load`.
        preset: name or folder; by default the recipe's own defaults.
        overrides: dict of constructor arguments.
        epochs: by default the preset's, else 10.
        batch_size: by default the preset's, else 32.
        learning_rate: a constant one, in the place of the preset's; not of a critic.
        latents: what is fitted to the latents of the training examples in the end, as for
            `fit_latents`; by default a mixture (`"gmm"`) for models without a density of the data.
        num_validation: how many held-out examples are scored after each epoch.
        max_minutes: training stops after that time.
        seed: of weights, order and noise.
        verbose: as for `fit`.
        callbacks: more callbacks; what they add to an epoch's logs is in the history.

    Returns:
        The evaluation, as `evaluate` returns it.

    Raises:
        ValueError: bad settings, or a folder that holds a run with others.
    """
    out = Path(out)
    for name, value in (("learning_rate", learning_rate), ("max_minutes", max_minutes)):
        if value is not None and not checks.check_weight(value, name):
            raise ValueError(f"`{name}` must be greater than 0; got {value!r}")
    settings = {
        "model": model,
        "data": str(data),
        "data_dir": data_dir and str(Path(data_dir).resolve()),
        "image_size": image_size,
        "binarise": binarise,
        "preset": preset and str(preset),
        "overrides": overrides or {},
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "latents": latents,
        "num_validation": num_validation,
        "max_minutes": max_minutes,
        "seed": seed,
    }
    if data_dir is None and str(data) not in data_module.names() and Path(data).exists():
        # A path, for whoever evaluates the run from another folder.
        settings["data"] = str(Path(data).resolve())
    _check_same_run(out, settings)
    examples = _load_data(settings, download)
    keras.utils.set_random_seed(seed)
    net, training = _make_model(settings, examples)
    kind = _check_latents(net, latents)
    epochs = epochs or training.get("epochs", 10)
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps(settings, indent=2))
    (out / "stopped.json").unlink(missing_ok=True)

    done, spent = _resume(out)
    x, y = pictures.taken_by(net, examples.train)
    validation = pictures.taken_by(
        net, tuple(a if a is None else a[:num_validation] for a in examples.test)
    )
    if done:
        print(f"Going on after epoch {done} of {epochs} ({spent:.0f} s)", flush=True)
    guard = NaNGuard(restore_weights=True)
    # Validation is of the averaged weights, where the optimizer keeps such, as all is in the end;
    # pictures and reports of epochs are of those in training.
    optimizer = getattr(net.optimizer, "inner_optimizer", net.optimizer)
    averaged = [keras.callbacks.SwapEMAWeights()] if optimizer.use_ema else []
    log = keras.callbacks.CSVLogger(str(out / "history.csv"), append=True)
    backup = keras.callbacks.BackupAndRestore(
        str(out / "checkpoint"), double_checkpoint=True, delete_checkpoint=False
    )
    if done < epochs and (max_minutes is None or spent < 60 * max_minutes):
        try:
            net.fit(
                x,
                y,
                batch_size=batch_size or training.get("batch_size", 32),
                epochs=epochs,
                validation_data=validation,
                validation_batch_size=256,
                verbose=verbose,
                callbacks=[
                    # It adds the seconds to what the others log.
                    TimeLimit(max_minutes, spent),
                    guard,
                    *averaged,
                    *callbacks,
                    *pictures.of_epochs(out, net, examples, every=max(1, epochs // 10)),
                    *_reports(net, validation, every=max(1, epochs // 10), verbose=verbose),
                    log,
                    # Last: what it keeps is complete when the rest of the epoch is written.
                    backup,
                ],
            )
        finally:
            # Keras leaves the file open when a run is interrupted.
            if log.csv_file is not None:
                log.csv_file.close()
        if guard.stopped_at:
            (out / "stopped.json").write_text(json.dumps(guard.stopped_at._asdict()))
    elif done:
        # As in `fit`: from the last but one, if the last was cut off.
        backup.set_model(net)
        backup.on_train_begin()
        # What `fit` ends with.
        net.optimizer.finalize_variable_values(net.trainable_weights)
    # Whatever becomes of the fit.
    net.save(out / "model.keras")
    if kind is not None:
        _fit_latents(net, x, y, kind, given=latents, seed=seed, verbose=verbose)
        net.save(out / "model.keras")
    net.export(out / "export", verbose=bool(verbose))
    history = read_history(out)
    history.pop("seconds", None)
    if history:
        plots.plot_history(history, out / "history.png")
    pictures.of_run(out, net, examples)
    return evaluate(out, net=net, examples=examples)


def evaluate(
    run,
    *,
    num_examples=None,
    num_samples=None,
    extractor=None,
    cache_dir=None,
    net=None,
    examples=None,
):
    """Scores the held-out examples of a run.

    Args:
        run: the run folder.
        num_examples: how many held-out examples; all by default.
        num_samples: draws for `estimate_log_prob`; by default only the likelihood itself, which
            is all there is to know if it is exact.
        extractor: also scores as many reconstructions and samples by Frechet distance from the
            held-out images, whose features are kept in `reference.npz`; `"classifier"`,
            `"inception"`, a path or a `tfgen.metrics.FeatureExtractor`, as for
            `evaluation.get_extractor`.
        cache_dir: folder of classifiers; see `tfgen.metrics.classifier`.
        net: the run's model, if it is at hand.
        examples: the run's data, if they are at hand.

    Returns:
        List of dicts `name`, `value`, `unit`, one for each row of the table; also written to
        `evaluation.json`.
    """
    run = Path(run)
    settings = _settings(run)
    net = net or load_model(run)
    examples = examples or _load_data(settings)
    x, y = (a if a is None else a[:num_examples] for a in pictures.taken_by(net, examples.test))
    rows = evaluation.likelihood_rows(net, examples, x, y, num_samples)
    if extractor is not None:
        cache = run / "reference.npz"
        rows += evaluation.quality_rows(net, examples, x, y, extractor, cache_dir, cache)
    (run / "evaluation.json").write_text(json.dumps(rows, indent=2))
    return rows


def sample(run, num_samples, *, out=None, temperature=1.0, seed=None, label=None):
    """Draws from a run's model into a picture, or an array where there is no picture.

    Args:
        run: the run folder.
        num_samples: how many.
        out: file to write, `.png`, `.npy` or, of vectors, `.csv`; by default `drawn.png` in the
            run folder, or `drawn.npy` for data that are neither images nor points of the plane.
        temperature: as for the model's `sample`.
        seed: as for the model's `sample`.
        label: the label, for a model conditional on labels; by default all in turn. Models with
            other conditions draw for those of the held-out examples in turn.

    Returns:
        The file's path.
    """
    net = load_model(run)
    condition = label
    if label is None and net.condition_shape is not None:
        examples = None if net.num_classes else _load_data(_settings(Path(run)))
        condition = pictures.conditions(net, examples, num_samples)
    samples = net.sample(num_samples, condition, temperature, seed).numpy()
    drawn = plots.can_draw(net.event_shape)
    out = Path(out) if out else Path(run) / f"drawn{'.png' if drawn else '.npy'}"
    if out.suffix == ".npy":
        np.save(out, samples)
    elif out.suffix == ".csv" and samples.ndim == 2:
        np.savetxt(out, samples, "%.9g", ",")
    elif out.suffix == ".png" and drawn:
        plots.save_samples(out, samples)
    else:
        raise ValueError(
            f"`out` must end in .npy (or .png, for images and points; .csv, for vectors); got {out}"
        )
    return out


def load_model(run):
    """The trained model of a run folder."""
    file = Path(run) / "model.keras"
    if not file.is_file():
        raise ValueError(f"`run` must be a folder with a finished run; no {file}")
    return keras.models.load_model(file)


def read_history(run):
    """`history.csv` of a run folder: dict from term to a list with one value an epoch."""
    file = Path(run) / "history.csv"
    if not file.is_file():
        return {}
    with open(file, newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = [n for n in (rows[0] if rows else {}) if n != "epoch"]
    return {name: [float(row[name]) for row in rows] for name in names}


def read_stopped(run):
    """Where a run became NaN: dict of `epoch`, `step` and `term`, or None."""
    file = Path(run) / "stopped.json"
    return json.loads(file.read_text()) if file.is_file() else None


def _settings(run):
    file = Path(run) / "run.json"
    if not file.is_file():
        raise ValueError(f"`run` must be the folder of a run; no {file}")
    return json.loads(file.read_text())


def _check_same_run(out, settings):
    if not (out / "run.json").is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(
                f"`out` must be a new folder or that of a run; {out} is a file or has other files"
            )
        return
    if not (out / "checkpoint").exists() and not (out / "model.keras").exists():
        # Nothing has been trained there.
        return
    before = _settings(out)
    settings = json.loads(json.dumps(settings))
    for name, value in settings.items():
        if name not in _FREE and before.get(name) != value:
            raise ValueError(
                f"`out` {out} holds a run with {name} = {before.get(name)!r}, now {value!r}: "
                "give the same settings to go on with it, or another folder"
            )


def _load_data(settings, download=False):
    size = settings["image_size"]
    return data_module.load(
        settings["data"],
        data_dir=settings["data_dir"],
        download=download,
        image_size=tuple(size) if isinstance(size, list) else size,
        binarise=settings.get("binarise"),
        seed=settings["seed"],
    )


def _make_model(settings, examples):
    """The compiled model and the preset's training settings."""
    known = recipes()
    cls = known.get(settings["model"])
    if cls is None:
        raise ValueError(f"`model` must be one of {sorted(known)}; got {settings['model']!r}")
    overrides = settings["overrides"]
    accepted = {
        name
        for klass in cls.__mro__[: cls.__mro__.index(models.GenerativeModel) + 1]
        for name in inspect.signature(klass.__init__).parameters
        if name not in _NOT_SET
    }
    unknown = sorted(set(overrides) - accepted)
    if unknown:
        raise ValueError(
            f"`overrides` has {unknown}, which {cls.__name__} does not take; it takes "
            f"{sorted(accepted)}"
        )
    training = {}
    if settings["preset"]:
        content = cls.read_preset(settings["preset"])
        training = content.get("training", {})
        shape = tuple(content["model"]["config"]["event_shape"])
        if shape != tuple(examples.event_shape):
            raise ValueError(
                f"`preset` {settings['preset']!r} is for data of shape {list(shape)}; "
                f"{examples.name} has {list(examples.event_shape)}"
            )
        net = cls.from_preset(settings["preset"], **overrides)
    else:
        net = cls(examples.event_shape, **{"data_kind": examples.kind, **overrides})
        net.compile()
    if settings["learning_rate"] is not None:
        # Anew: a schedule cannot be replaced.
        config = net.get_compile_config()
        config["optimizer"]["config"]["learning_rate"] = settings["learning_rate"]
        net.compile_from_config(config)
    return net, training


def _resume(out):
    """Epochs and seconds that the checkpoint holds; the history is cut to them."""
    metadata = out / "checkpoint" / "training_metadata.json"
    done = json.loads(metadata.read_text())["epoch"] if metadata.is_file() else 0
    file = out / "history.csv"
    if not file.is_file():
        return done, 0.0
    lines = file.read_text().splitlines()
    # Without a line, if it was interrupted in the first epoch.
    kept = lines[:1] + [line for line in lines[1:] if int(line.split(",")[0]) < done]
    if len(kept) <= 1:
        file.unlink()
        return done, 0.0
    file.write_text("\n".join(kept) + "\n")
    return done, read_history(out)["seconds"][-1]


def _check_latents(net, latents):
    """The kind of distribution to fit to the latents in the end, or None."""
    if latents is None:
        density = net.likelihood not in ("manifold", "none")
        return "gmm" if isinstance(net, models.EncoderDecoder) and not density else None
    if latents not in FITS or not isinstance(net, models.EncoderDecoder):
        raise ValueError(
            f"`latents` must be one of {list(FITS)}, for a model with an encoder and a decoder; "
            f"got {latents!r} for {type(net).__name__}"
        )
    return latents


def _fit_latents(net, x, y, kind, given, seed, verbose):
    if verbose:
        print(f"Fitting the latents ({kind}) ...", flush=True)
    arguments = {"verbose": verbose} if kind == "flow" else {}
    try:
        net.fit_latents(x, kind, y, seed=seed, **arguments)
    except ValueError as error:
        if given is not None:
            raise
        print(f"The latents were not fitted: {error}", flush=True)


def _reports(net, validation, every, verbose):
    if not (verbose and hasattr(net, "code_length")):
        return []
    x, y = (a if a is None else a[:_NUM_REPORTED] for a in validation)
    return [LatentReport(x, y, every=every)]

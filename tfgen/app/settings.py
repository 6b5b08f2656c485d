"""The model and the data that the settings of a run name."""

import contextlib
import inspect
import json
import shlex
from pathlib import Path

import keras

from tfgen import data
from tfgen import models
from tfgen.app.opened import open_model
from tfgen.app.own_modules import import_own
from tfgen.app.run_folder import read_settings
from tfgen.data.hints import nearest

# Arguments that only code can give.
_NOT_SET = (
    *("self", "args", "kwargs", "event_shape"),
    *("bijector", "step", "mixing", "parts", "networks"),
)


def recipes():
    """Models that need no more than an `event_shape`: dict from name to class.

    >>> from tfgen.app import runs
    >>> "Glow" in runs.recipes(), "Flow" in runs.recipes()
    (True, False)
    """
    found = {}
    for name in models.__all__:
        cls = getattr(models, name)
        if not issubclass(cls, models.GenerativeModel) or cls is models.GenerativeModel:
            continue
        required = [
            p.name
            for p in inspect.signature(cls.__init__).parameters.values()
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        if required == ["self", "event_shape"]:
            found[name] = cls
    return found


def make_model(settings, examples):
    """Makes the compiled model of a run.

    Args:
        settings: dict, as `run.json` holds it.
        examples: the `tfgen.data.Data` to train on.

    Returns:
        The model, and the dict of `epochs` and `batch_size`: those of the settings, else of the
        preset, else the defaults.

    Raises:
        ValueError: an unknown model, or a preset or overrides that do not fit it or the data.
    """
    if settings.get("from_preset"):
        return _with_optimizer(_tuned(settings, examples), settings), _completed(settings, {})
    cls = _recipe(settings["model"])
    overrides = dict(settings["overrides"])
    if settings.get("class_conditional"):
        if not examples.num_classes:
            raise ValueError(f"`class_conditional`: {examples.name} has no labels")
        overrides = {"num_classes": examples.num_classes, **overrides}
    accepted = {
        name
        for klass in cls.__mro__[: cls.__mro__.index(models.GenerativeModel) + 1]
        for name in inspect.signature(klass.__init__).parameters
        if name not in _NOT_SET
    }
    unknown = sorted(set(overrides) - accepted)
    if unknown:
        raise ValueError(
            f"`overrides` has {unknown}, which {cls.__name__} does not take."
            f"{nearest(unknown[0], accepted)} It takes {sorted(accepted)}"
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
        with _fitting(overrides):
            net = cls.from_preset(settings["preset"], load_weights=False, **overrides)
    else:
        with _fitting(overrides):
            net = cls(examples.event_shape, **{**_described(cls, examples), **overrides})
        net.compile()
    return _with_optimizer(net, settings), _completed(settings, training)


def _described(cls, examples):
    """Arguments that say what the data are."""
    if examples.columns is None:
        return {"data_kind": examples.kind}
    if not issubclass(cls, models.Flow):
        raise ValueError(
            f"`table` is for flows of vectors, such as NSF, MAF and RealNVP; got {cls.__name__}"
        )
    shape = examples.columns.condition_shape
    given = {} if shape is None else {"condition_shape": shape}
    return {"columns": examples.columns, **given}


def _recipe(name):
    """Class of a recipe: a name of the package's, or `module:Class`."""
    if ":" in name:
        return _own_class(name)
    known = recipes()
    if name not in known:
        raise ValueError(
            f"`model` must be one of {sorted(known)}, or module:Class; got {name!r}."
            f"{nearest(name, known)}"
        )
    return known[name]


def _own_class(name):
    """Class of a user's own module, of which the working folder may be the place."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_own(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"`model` {name!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, models.GenerativeModel)):
        raise ValueError(
            f"`model` {name!r} must be a class of tfgen.GenerativeModel; got {found!r}"
        )
    if ">" not in keras.saving.get_registered_name(found):
        raise ValueError(
            f"`model` {name!r} must be registered, to be saved: "
            '@keras.saving.register_keras_serializable(package="...")'
        )
    return found


def trained_class(source):
    """Name of the class of a trained model, as `train` takes it.

    Args:
        source: the folder of a run, or a preset.

    Raises:
        ValueError: there is no such model.
    """
    if source is None:
        raise ValueError(
            f"`model` must be the name of a recipe, one of {sorted(recipes())}, where there is no "
            "`from_preset`"
        )
    if (Path(source) / "run.json").is_file():
        return read_settings(Path(source))["model"]
    content = models.GenerativeModel.read_preset(source)
    return content["model"]["class_name"].split(">")[-1]


def read_training(settings):
    """Arguments of `fit` with which a run of these settings trains.

    Args:
        settings: dict, as `run.json` holds it.

    Returns:
        Dict of `batch_size` and `epochs`.
    """
    training = {}
    if settings.get("preset"):
        training = models.GenerativeModel.read_preset(settings["preset"]).get("training", {})
    return _completed(settings, training)


def _completed(settings, training):
    return {
        "batch_size": settings.get("batch_size") or training.get("batch_size", 32),
        "epochs": settings.get("epochs") or training.get("epochs", 10),
    }


# In the order of the command; paths of one machine are left out.
_OPTIONS = (
    *("image_size", "binarise", "table", "target", "preset", "from_preset", "class_conditional"),
    *("epochs", "batch_size", "learning_rate", "ema", "early_stopping", "latents", "max_minutes"),
)


def as_command(settings):
    """Command line that trains a run of these settings, without the folders of a machine.

    Args:
        settings: dict, as `run.json` holds it.
    """
    words = ["tfgen", "train", settings["model"], "--data", Path(settings["data"]).name]
    for key, value in settings["overrides"].items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--set", shlex.quote(f"{key}={text}")]
    for name in settings.get("condition") or ():
        words += ["--condition", shlex.quote(name)]
    for name in _OPTIONS:
        value = settings.get(name)
        if value not in (None, False):
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [shlex.quote(str(value))]
    return " ".join([*words, "--seed", str(settings["seed"]), "--out", "RUN"])


def _tuned(settings, examples):
    """The trained model that a run starts from, compiled anew."""
    if settings["preset"] or settings["overrides"] or settings.get("class_conditional"):
        raise ValueError(
            "`from_preset` is a trained model as it is: it goes without `preset`, "
            "`overrides` and `class_conditional`"
        )
    source = settings["from_preset"]
    net = open_model(source, name="from_preset").net
    name = settings["model"].rpartition(":")[2]
    if name not in [cls.__name__ for cls in type(net).__mro__]:
        raise ValueError(f"`from_preset` {source!r} is a {type(net).__name__}, not a {name}")
    for what, of_model, of_data in (
        ("shape", tuple(net.event_shape), tuple(examples.event_shape)),
        ("kind", "real" if getattr(net, "columns", None) else net.data_kind, examples.kind),
    ):
        if of_model != of_data:
            raise ValueError(
                f"`from_preset` {source!r} is of data of {what} {of_model!r}; {examples.name} has "
                f"{of_data!r} (see `image_size` and `binarise`)"
            )
    net.compile()
    return net


def _with_optimizer(net, settings):
    """The model with what the settings say of its first player's optimizer."""
    changes = {}
    if settings["learning_rate"] is not None:
        # Anew: a schedule cannot be replaced.
        changes["learning_rate"] = settings["learning_rate"]
    if settings.get("ema") is not None:
        changes |= {"use_ema": True, "ema_momentum": settings["ema"]}
    if changes:
        config = net.get_compile_config()
        config["optimizer"]["config"].update(changes)
        net.compile_from_config(config)
    return net


@contextlib.contextmanager
def _fitting(overrides):
    """Context manager in which errors that no check of an argument raised name the overrides."""
    try:
        yield
    except (TypeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
        if not overrides:
            raise
        raise ValueError(f"`overrides` {str(overrides)[:200]} do not fit: {error}") from error


def load_data(settings, download=False):
    """Loads the data set of a run.

    Args:
        settings: dict, as `run.json` holds it.
        download: bool; True lets TFDS download a data set that is not there.

    Returns:
        A `tfgen.data.Data`.
    """
    if settings.get("from_preset") and data.is_frame(settings["data"]):
        columns = getattr(open_model(settings["from_preset"]).net, "columns", None)
        if columns is not None:
            # The model's own: what is new in the table is refused by name.
            return data.table_of(settings["data"], columns, settings["seed"])
    if settings.get("table") or settings.get("condition"):
        if settings.get("target"):
            raise ValueError(
                "`target` is the column of a table of numbers; of a `table` the column that is "
                f"given is a `condition`; got {settings['target']!r}"
            )
        table = data.Table.from_csv(
            settings["data"],
            condition=settings.get("condition") or (),
            missing="indicator",
            seed=settings["seed"],
        )
        return table.as_data(settings["data"])
    size = settings["image_size"]
    return data.load(
        settings["data"],
        data_dir=settings["data_dir"],
        download=download,
        image_size=tuple(size) if isinstance(size, list) else size,
        binarise=settings.get("binarise"),
        target=settings.get("target"),
        seed=settings["seed"],
    )

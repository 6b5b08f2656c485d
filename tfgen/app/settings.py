"""The model and the data that the settings of a run name."""

import contextlib
import inspect

from tfgen import data
from tfgen import models
from tfgen.data.hints import nearest

# Arguments that only code can give.
_NOT_SET = (
    *("self", "args", "kwargs", "event_shape"),
    *("bijector", "step", "mixing", "parts", "networks"),
)


def recipes():
    """Returns the models that need no more than an `event_shape`: dict from name to class."""
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
        The model, and the dict of the preset's training settings (`epochs`, `batch_size`), empty
        without a preset.

    Raises:
        ValueError: an unknown model, or a preset or overrides that do not fit it or the data.
    """
    known = recipes()
    cls = known.get(settings["model"])
    if cls is None:
        hint = nearest(settings["model"], known)
        raise ValueError(
            f"`model` must be one of {sorted(known)}; got {settings['model']!r}.{hint}"
        )
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
            net = cls.from_preset(settings["preset"], **overrides)
    else:
        with _fitting(overrides):
            net = cls(examples.event_shape, **{"data_kind": examples.kind, **overrides})
        net.compile()
    if settings["learning_rate"] is not None:
        # Anew: a schedule cannot be replaced.
        config = net.get_compile_config()
        config["optimizer"]["config"]["learning_rate"] = settings["learning_rate"]
        net.compile_from_config(config)
    return net, training


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
    size = settings["image_size"]
    return data.load(
        settings["data"],
        data_dir=settings["data_dir"],
        download=download,
        image_size=tuple(size) if isinstance(size, list) else size,
        binarise=settings.get("binarise"),
        seed=settings["seed"],
    )

"""Presets: configurations, and weights where there are some, in folders."""

import datetime
import json
import warnings

import keras
import numpy as np
import tensorflow as tf

from tfgen._version import __version__
from tfgen.core.preset_folders import CONFIG
from tfgen.core.preset_folders import METADATA
from tfgen.core.preset_folders import WEIGHTS
from tfgen.core.preset_folders import find_folder
from tfgen.core.preset_folders import shipped_folders
from tfgen.core.preset_folders import write_weights
from tfgen.data.hints import nearest
from tfgen.utils import checks
from tfgen.utils.files import digest
from tfgen.utils.files import read_json
from tfgen.utils.files import replacing_folder

# What a configuration that anyone may have written ends in.
_REFUSED = (
    *(ValueError, TypeError, KeyError, AttributeError, OSError, MemoryError, OverflowError),
    tf.errors.OpError,
)


def list_presets(cls):
    """Names of the presets of this class in the package, with their descriptions.

    Returns:
        Dict from name to description. `read_preset(name)["has_weights"]` says which are trained.

    >>> import tfgen
    >>> "glow_mnist" in tfgen.Glow.presets()
    True
    """
    found = {}
    for folder in shipped_folders():
        preset = json.loads((folder / CONFIG).read_text())
        if issubclass(_model_class(preset), cls):
            found[folder.name] = preset["description"]
    return found


def read_preset(cls, preset):
    """Content of a preset.

    Args:
        preset: a name among `presets()`, a folder that `save_to_preset` wrote, or a handle, as
            `from_preset` takes it.

    Returns:
        Dict of `description`, `model` (its class and configuration), `training` (arguments of
        `compile`, and `batch_size` and `epochs` where they are known), `has_weights`, and
        `metadata`: versions, date and, of trained presets, the data and how they were scored.

    Raises:
        ValueError: no such preset, one of another class, or a damaged one.

    >>> import tfgen
    >>> preset = tfgen.Glow.read_preset("glow_mnist")
    >>> preset["model"]["config"]["num_levels"]
    2
    """
    return _read(cls, preset)[1]


def _read(cls, preset):
    """The folder of a preset, and its content."""
    folder = find_folder(preset, cls.presets())
    file = folder / CONFIG
    content = read_json(file, ("model",))
    try:
        found = _model_class(content)
        _ = content["model"]["config"]["event_shape"]
        training = content.get("training", {})
        for name in ("epochs", "batch_size"):
            if training.get(name) is not None:
                checks.check_count(training[name], name)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {error!r} in its model or its training") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not issubclass(found, cls):
        raise ValueError(f"`preset` {str(preset)!r} is a {found.__name__}, not a {cls.__name__}")
    metadata = folder / METADATA
    return folder, {
        **content,
        "metadata": read_json(metadata, ()) if metadata.is_file() else {},
        "has_weights": (folder / WEIGHTS).is_file(),
    }


def load_preset(cls, preset, load_weights=True, **overrides):
    """A compiled model from a preset: trained, where the preset has weights.

    Args:
        preset: a name among `presets()`; a folder that `save_to_preset` wrote; or a handle,
            `hf://OWNER/NAME` (with `@REVISION`) or `kaggle://OWNER/MODEL/FRAMEWORK/VARIATION`,
            which takes `pip install 'tfgen[huggingface]'` or `'tfgen[kaggle]'`.
        load_weights: False leaves the weights out: a model of this configuration, to train.
        **overrides: constructor arguments that replace the preset's. Weights must fit the model
            that they make.

    Returns:
        The model, with the preset's weights if it has any; of one without there is a warning,
        unless `load_weights` is False.

    Raises:
        ValueError: no such preset, one of another class, a damaged one, or weights that do not
            fit the overrides.

    >>> import tfgen
    >>> model = tfgen.Glow.from_preset("glow_mnist", load_weights=False, num_steps=1, filters=4)
    >>> model.event_shape
    (28, 28, 1)
    """
    folder, content = _read(cls, preset)
    weights = folder / WEIGHTS if load_weights and content["has_weights"] else None
    try:
        model = _load(weights, content, overrides)
    except _REFUSED as error:
        hint = ""
        if weights is not None and overrides and "could not be loaded" in str(error):
            hint = (
                f". Its weights may not fit the overrides {sorted(overrides)}: with "
                "load_weights=False there is a model to train"
            )
        raise ValueError(f"`preset` {str(preset)!r} cannot be loaded: {error}{hint}") from error
    if load_weights and weights is None:
        warnings.warn(
            f"the preset {str(preset)!r} is a configuration without weights, so the model is "
            "untrained: `fit` it (load_weights=False says that this is meant)",
            stacklevel=2,
        )
    return model


def _load(weights, content, overrides):
    # In files "affine" is what it was in version 0.1.
    overrides = {k: "exp_affine" if v == "affine" else v for k, v in overrides.items()}
    config = {**content["model"]["config"], **overrides}
    model = _model_class(content).from_config(config)
    if weights is not None:
        _check_weights(weights, content)
        # Before there is an optimizer, of which a preset has nothing.
        model.load_weights(weights)
        wrong = [w.path for w in model.weights if not _is_finite(w)]
        if wrong:
            raise ValueError(f"{weights} holds NaN or inf in {wrong[0]}, of {len(wrong)} weights")
    training = content.get("training", {})
    model.compile_from_config(_completed(model, training))
    return model


def save_preset(
    model, folder, description="", *, weights_dtype="float32", metadata=None, training=None
):
    """Writes a preset, for `from_preset(folder)`: a folder that can be given to others as it is.

    It holds `config.json` (the model and how it was compiled), `metadata.json` (versions, number
    of parameters, date), and `model.weights.h5` (the weights, and nothing of the optimizers).
    Files of an earlier preset are replaced when all are whole.

    Args:
        folder: the folder to write.
        description: a line about the model.
        weights_dtype: `"float32"`; `"float16"` for half of the space; `"bfloat16"`, float16 numbers
            of 8 significant bits, for two fifths. Look at the figures again: with fewer bits
            networks of exact densities of images may lose.
        metadata: dict of more that is known of the model, for `metadata.json`: values of JSON.
        training: dict that goes before what `compile` was given, such as `batch_size`, `epochs`
            or an `optimizer` as `read_preset` has them.

    Raises:
        ValueError: an unknown `weights_dtype`.
        OSError: the folder cannot be written to.

    >>> import tempfile, tfgen
    >>> model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,))
    >>> folder = tempfile.mkdtemp()
    >>> model.save_to_preset(folder, "a small flow")
    >>> tfgen.RealNVP.from_preset(folder).count_params() == model.count_params()
    True
    """
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError(f"`metadata` must be a dict; got {metadata!r}")
    content = {
        "description": description,
        "model": {
            "class_name": keras.saving.get_registered_name(type(model)),
            "config": model.get_config(),
        },
        "training": {},
    }
    if model.compiled:
        config = model.get_compile_config()
        for name in _kept(model):
            content["training"][name] = config[name]
    content["training"].update(training or {})
    about = {
        "tfgen_version": __version__,
        "keras_version": keras.__version__,
        "tensorflow_version": tf.__version__,
        "date_saved": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "parameter_count": model.count_params(),
        "weights_dtype": weights_dtype,
        **(metadata or {}),
    }
    with replacing_folder(folder) as path:
        write_weights(model, path / WEIGHTS, weights_dtype)
        with open(path / WEIGHTS, "rb") as file:
            content["weights_sha256"] = digest(file)
        (path / CONFIG).write_text(json.dumps(content, indent=2) + "\n")
        (path / METADATA).write_text(json.dumps(about, indent=2, allow_nan=False) + "\n")


def _check_weights(weights, content):
    """Refuses weights that are not those that were written with a preset's configuration."""
    expected = content.get("weights_sha256")
    if expected is None:
        # Of an earlier version, or put there by hand.
        return
    with open(weights, "rb") as file:
        found = digest(file)
    if found != expected:
        raise ValueError(
            f"{weights} is damaged, or of another model: its SHA-256 is {found}, that in "
            f"{CONFIG} {expected}; of weights that you put there remove `weights_sha256`"
        )


def _is_finite(weight):
    values = weight.numpy()
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _completed(model, training):
    """A preset's arguments of `compile`; what its optimizers leave open is the class's own."""
    config = {name: training[name] for name in _kept(model) if name in training}
    for player in model.players:
        name = "optimizer" if player is model.players[0] else player.argument_names[0]
        own = keras.optimizers.serialize(player.default_optimizer())
        given = config.get(name)
        # Keras's Adam has the arguments of the one that takes its place.
        alike = {own["class_name"], "Adam" if own["class_name"] == "FusedAdam" else None}
        if isinstance(given, dict) and given["class_name"] in alike:
            config[name] = {**given, "config": {**own["config"], **given["config"]}}
    return config


def _kept(model):
    """Names of the arguments of `compile` that a preset keeps: the players'."""
    return ["optimizer", *model.player_argument_names]


def _model_class(preset):
    name = preset["model"]["class_name"]
    found = keras.saving.get_registered_object(name if ">" in name else f"tfgen>{name}")
    if found is None:
        known = [n.removeprefix("tfgen>") for n in keras.saving.get_custom_objects()]
        raise ValueError(
            f"its model class {name!r} is not known; import it first.{nearest(name, known)}"
        )
    return found

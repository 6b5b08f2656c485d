"""Presets: configurations, and weights where there are some, in folders."""

import importlib.resources
import json
import pathlib

import keras

from tfgen.data.hints import nearest
from tfgen.utils.files import digest
from tfgen.utils.files import read_json
from tfgen.utils.files import replacing_folder

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"


def list_presets(cls):
    """Names of the presets of this class, with their descriptions."""
    found = {}
    for file in sorted(importlib.resources.files("tfgen.zoo").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".json"):
            preset = json.loads(file.read_text())
            if issubclass(_model_class(preset), cls):
                found[file.name.removesuffix(".json")] = preset["description"]
    return found


def read_preset(cls, preset):
    """The content of a preset: `description`, `model`, `training`.

    Args:
        preset: a name among `presets()`, or a folder that `save_to_preset` wrote.

    Raises:
        ValueError: no such preset, one of another class, or a damaged one.
    """
    file = pathlib.Path(preset) / _CONFIG
    if not file.is_file():
        file = importlib.resources.files("tfgen.zoo") / f"{preset}.json"
        if not file.is_file():
            raise ValueError(
                f"`preset` must be a folder with a config.json or one of "
                f"{list(cls.presets())}; got {str(preset)!r}"
            )
    content = read_json(file, ("model",))
    try:
        found = _model_class(content)
        _ = content["model"]["config"]["event_shape"], content.get("training", {}).get("epochs")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {error!r} in its model or its training") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not issubclass(found, cls):
        raise ValueError(f"`preset` {str(preset)!r} is a {found.__name__}, not a {cls.__name__}")
    return content


def load_preset(cls, preset, **overrides):
    """A compiled model from a preset.

    Args:
        preset: a name among `presets()`, or a folder that `save_to_preset` wrote.
        **overrides: constructor arguments that replace the preset's.

    Returns:
        The model, with the preset's weights if it has any.

    Raises:
        ValueError: no such preset, one of another class, or a damaged one.
    """
    content = cls.read_preset(preset)
    try:
        return _load(pathlib.Path(preset) / _WEIGHTS, content, overrides)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ValueError(f"`preset` {str(preset)!r} cannot be loaded: {error}") from error


def _load(weights, content, overrides):
    # In files "affine" is what it was in version 0.1.
    overrides = {k: "exp_affine" if v == "affine" else v for k, v in overrides.items()}
    config = {**content["model"]["config"], **overrides}
    model = _model_class(content).from_config(config)
    if weights.is_file():
        _check_weights(weights, content)
        # Before there is an optimizer, which a model that was not compiled has saved none of.
        model.load_weights(weights)
    training = content.get("training", {})
    model.compile_from_config(_completed(model, training))
    return model


def save_preset(model, folder, description=""):
    """Writes `config.json` and `model.weights.h5`, for `from_preset(folder)`.

    Files of an earlier one are replaced when both are whole.
    """
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
    with replacing_folder(folder) as path:
        model.save_weights(path / _WEIGHTS)
        with open(path / _WEIGHTS, "rb") as file:
            content["weights_sha256"] = digest(file)
        (path / _CONFIG).write_text(json.dumps(content, indent=2))


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
            f"{_CONFIG} {expected}; of weights that you put there remove `weights_sha256`"
        )


def _completed(model, training):
    """A preset's arguments of `compile`; what its optimizers leave open is the class's own."""
    config = {name: training[name] for name in _kept(model) if name in training}
    for player in model.players:
        name = "optimizer" if player is model.players[0] else player.argument_names[0]
        own = keras.optimizers.serialize(player.default_optimizer())
        given = config.get(name)
        if isinstance(given, dict) and given["class_name"] == own["class_name"]:
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

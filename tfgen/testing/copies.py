"""Copies of parts and models by their configurations, for checks that change weights."""

import inspect
import json

import keras
import numpy as np

from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.utils.recorded import serialized

# Keras's own arguments, which it saves in its own way.
_KERAS = ("name", "trainable", "dtype", "activity_regularizer")


def round_trip(made):
    """The object that the JSON text of another's configuration describes.

    Args:
        made: layer or model.

    Raises:
        CheckError: it cannot be saved, or no object comes of it.
    """
    kind = type(made).__name__
    with calling(f"{kind}.get_config"):
        config = json.dumps(keras.saving.serialize_keras_object(made))
    hint = (
        f"A saved {kind} is found by its registered name: decorate each class of your own with "
        "`keras.saving.register_keras_serializable(package=...)`, and let `__init__` take what "
        "`get_config` gives."
    )
    with calling(f"{kind}.from_config", hint):
        copy = keras.saving.deserialize_keras_object(json.loads(config))
    require(
        type(copy) is type(made),
        f"`{kind}.from_config` gives a {type(copy).__name__}, where a {kind} was saved",
    )
    return copy


def copied(made, build=None):
    """A copy by the configuration, with each argument and with the weights if there are any.

    Args:
        made: layer or model.
        build: function that builds the copy, if `made` may not have been built.
    """
    copy = round_trip(made)
    require_arguments_kept(made, copy)
    if build is not None:
        build(copy)
    if made.built:
        copy_weights(made, copy)
    return copy


def copy_weights(made, copy):
    """Gives a copy the weights of what it is a copy of.

    Raises:
        CheckError: it has other weights.
    """
    kind = type(made).__name__
    shapes = [[tuple(w.shape) for w in part.weights] for part in (made, copy)]
    require(
        shapes[0] == shapes[1],
        f"a {kind} made again from its configuration has weights of other shapes: {shapes[1]}, "
        f"where the first has {shapes[0]}",
    )
    copy.set_weights(made.get_weights())


def perturb(layer, seed=0, scale=0.3):
    """Shifts every trainable weight by noise, and returns the layer.

    Output layers that start at zero make inversion, log-determinants and causality hold trivially.
    The noise of a kernel is divided by the square root of what it sums over, as in initialisers.

    Args:
        layer: Keras layer or model, which is changed.
        seed: of the noise.
        scale: standard deviation of the noise of a vector.
    """
    rng = np.random.default_rng(seed)
    for weight in (w for w in layer.weights if w.trainable):
        deviation = scale / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        weight.assign_add(deviation * rng.normal(size=weight.shape))
    return layer


def require_arguments_kept(made, copy):
    """Checks that a copy made from a configuration has the arguments of the first, inside too.

    Args:
        made: layer or model.
        copy: what its configuration gives.

    Raises:
        CheckError: an argument is lost; the message names it.
    """
    pairs = zip(made._flatten_layers(), copy._flatten_layers(), strict=False)
    for one, other in [(made, copy), *pairs]:
        if type(one) is type(other):
            _require_own_arguments(one, other)


def _require_own_arguments(made, copy):
    kind = type(made).__name__
    first, second = (_saved({"class_name": kind, "config": p.get_config()}) for p in (made, copy))
    first, second = first["config"], second["config"]
    for name, value in first.items():
        require(
            json.dumps(second.get(name)) == json.dumps(value),
            f"`{kind}.get_config`: the argument `{name}` is lost: {_short(value)} comes back as "
            f"{_short(second.get(name))}",
        )
    for name in _arguments(made):
        values = [_value(part, name) for part in (made, copy)]
        if name in first or name in _KERAS or not all(known for known, _ in values):
            continue
        before, after = (value for _, value in values)
        if json.dumps(before) != json.dumps(after):
            raise CheckError(
                f"`{kind}.get_config`: the argument `{name}` is lost: {_short(before)} comes "
                f"back as {_short(after)}. Write no `get_config`, or add `{name}` to it"
            )


def _saved(config):
    """A configuration as JSON holds it, without what depends on whether layers are built, and
    without layers' names, which count on where they are not given."""
    if isinstance(config, list | tuple):
        return [_saved(part) for part in config]
    if not isinstance(config, dict):
        return config
    config = {k: v for k, v in config.items() if k != "build_config"}
    inner = config.get("config")
    if isinstance(inner, dict) and config.get("class_name") != "DTypePolicy":
        config["config"] = {k: v for k, v in inner.items() if k != "name"}
    return {k: _saved(v) for k, v in config.items()}


def _short(value):
    text = repr(value)
    return text if len(text) < 100 else f"{text[:97]}..."


def _arguments(made):
    """Names of the arguments of the constructor that was called."""
    if hasattr(made, "_recorded"):
        return list(made._recorded()[0])
    kinds = inspect.signature(type(made).__init__).parameters.values()
    named = [p.name for p in kinds if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [name for name in named if name != "self"]


def _value(made, name):
    """The value of an argument as JSON holds it, after whether it is known and plain."""
    missing = object()
    value = getattr(made, name, missing)
    if value is missing and hasattr(made, "_recorded"):
        value = made._recorded()[0].get(name, missing)
    if value is missing or isinstance(value, keras.layers.Layer):
        return False, None
    plain = serialized(value)
    try:
        json.dumps(plain)
    except TypeError:
        return False, None
    return True, plain

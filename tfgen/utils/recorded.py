"""Configurations that follow from the constructor's arguments, of models and of their parts.

Keras records the arguments of a layer that writes no `get_config`, where all of them are plain
values. Here they may also be layers, schedules and other Keras objects, and a class below
another needs no `get_config` of its own either.
"""

import functools
import inspect
import types

import keras
import numpy as np

_MISSING = object()
# Of an argument that no keyword can give back: positional ones without a name.
_UNNAMED = object()
_TUPLE = "__tuple__"


class Recorded(type):
    """Metaclass of layers and models that keep the arguments of their constructors.

    They are the arguments of the outermost constructor and, where it passes `**kwargs` on, those of
    its parents that were left at their defaults: so an object stays what it was made as, though a
    default may be another one in another version.

    `_after_init()` runs once the outermost constructor is done: a subclass may set attributes after
    `super().__init__()`, and what is made of them is made after that.
    """

    def __new__(mcls, name, bases, namespace, **kwargs):
        if "__init__" in namespace:
            namespace["__init__"] = _recording(namespace["__init__"])
        return super().__new__(mcls, name, bases, namespace, **kwargs)

    @property
    def __signature__(cls):
        """The constructor's, for `inspect.signature` and `help`."""
        signature = inspect.signature(cls.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made._after_init()
        given = _given(vars(made).pop("_calls", ()))
        # As attributes stand now: one that differs when the configuration is asked for was set
        # later, and counts.
        initial = {k: _snapshot(getattr(made, _attribute(made, k), _MISSING)) for k in given}
        # In a function, out of sight of Keras's tracking: arguments may be layers.
        later = set()
        made._recorded = lambda: (given, initial, later)
        return made


def _attribute(made, name):
    """Name of an argument's attribute: its own, but for those that a class says are Keras's."""
    return getattr(type(made), "_attributes", {}).get(name, name)


def _recording(init):
    """The constructor, which notes its arguments on what it makes."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError:
            # Python's own message names the function.
            return init(self, *args, **kwargs)
        vars(self).setdefault("_calls", []).append(bound)
        init(self, *args, **kwargs)

    # Keras binds arguments by it, too.
    __init__.__signature__ = signature
    return __init__


def _given(calls):
    """Arguments by name from the calls of constructors, the outermost first."""
    given = {}
    for depth, bound in enumerate(calls):
        parameters, passes_on = list(bound.signature.parameters.values())[1:], False
        explicit = {name: _snapshot(value) for name, value in bound.arguments.items()}
        for parameter in parameters:
            name = parameter.name
            if parameter.kind is parameter.VAR_KEYWORD:
                passes_on = True
                # Of inner calls they are the outermost one's, or decided on the way.
                given |= {} if depth else explicit.get(name, {})
            elif parameter.kind is parameter.VAR_POSITIONAL:
                given |= {f"*{name}": _UNNAMED} if explicit.get(name) and not depth else {}
            elif name not in explicit:
                given.setdefault(name, parameter.default)
            elif not depth:
                nameless = parameter.kind is parameter.POSITIONAL_ONLY
                given[name] = _UNNAMED if nameless else explicit[name]
        if not passes_on:
            break
    return given


def recorded_config(made, but=(), parts=False):
    """The configuration of an object of a `Recorded` class: its constructor's arguments.

    An attribute of an argument's name that was set after construction takes the argument's place.
    Tuples and arrays come back as such to classes outside of tfgen; tfgen's own take lists.

    Args:
        made: the object.
        but: names of arguments to leave out.
        parts: True to save the layer that was made for an argument left open, as it is now (frozen,
            say); with False such an argument stays None.

    Returns:
        Dict for `deserialized`, which survives JSON.

    Raises:
        NotImplementedError: an argument is nothing that can be saved, and no attribute of its
            name is either.
    """
    given, initial, later = made._recorded()
    exact = type(made).__module__.partition(".")[0] != "tfgen"
    config = {}
    for name, value in given.items():
        if name in but:
            continue
        attribute = _attribute(made, name)
        # Keras's own state is no argument, whatever its name.
        is_keras = hasattr(keras.Model, attribute) or attribute == "optimizer"
        now = initial[name] if is_keras else getattr(made, attribute, _MISSING)
        of_part = parts and value is None and isinstance(now, keras.layers.Layer)
        changed = not _unchanged(initial[name], now)
        first_now = changed or (of_part and name not in later)
        candidates = (now, value) if first_now else (value, now)
        for candidate in candidates:
            saved = serialized(candidate, exact)
            if saved is not _MISSING:
                break
        else:
            owner = type(made).__name__
            if value is _UNNAMED:
                raise NotImplementedError(
                    f"the argument `{name}` of {owner} has no keyword to give it by: name it, or "
                    "write `get_config` and `from_config`"
                )
            raise NotImplementedError(
                f"the argument `{name}` of {owner} cannot be saved: got {value!r}. Give it as a "
                "plain value, a Keras object or a function under "
                "`keras.saving.register_keras_serializable`, keep such a one as the attribute "
                f"`{name}`, or write `get_config` and `from_config`"
            )
        config[name] = saved
    return config


def set_default(made, name, value):
    """Sets the attribute of an argument that was left open, whose configuration stays None.

    For networks that are made when shapes are known: a copy may be built for other shapes.
    """
    setattr(made, name, value)
    if hasattr(made, "_recorded"):
        _, initial, later = made._recorded()
        initial[name] = value
        later.add(name)


def _snapshot(value):
    """A copy of lists and the like, whose items may be exchanged later; other things themselves."""
    if isinstance(value, list | tuple):
        parts = map(_snapshot, value)
        return tuple(parts) if isinstance(value, tuple) else list(parts)
    if isinstance(value, dict):
        return {name: _snapshot(part) for name, part in value.items()}
    return value


def _unchanged(before, now):
    """True if an attribute is still the one it was; layers and the like are by identity."""
    if before is now:
        return True
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        return len(before) == len(now) and all(map(_unchanged, before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        return before.keys() == now.keys() and all(_unchanged(before[k], now[k]) for k in before)
    plain = bool | int | float | str
    return isinstance(before, plain) and type(before) is type(now) and before == now


def serialized(value, exact=False):
    """A value as configurations hold it, or a marker that there is no way to save it.

    Args:
        value: anything.
        exact: whether tuples and arrays are marked as such, or become lists.
    """
    if isinstance(value, str | bool | int | float | None):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return keras.saving.serialize_keras_object(value) if exact else value.tolist()
    if isinstance(value, list | tuple):
        parts = [serialized(part, exact) for part in value]
        if any(part is _MISSING for part in parts):
            return _MISSING
        marked = exact and isinstance(value, tuple)
        return {"class_name": _TUPLE, "config": {"items": parts}} if marked else parts
    if isinstance(value, dict):
        parts = {name: serialized(part, exact) for name, part in value.items()}
        # JSON would make names of other keys.
        named = all(isinstance(name, str) for name in parts)
        return parts if named and all(p is not _MISSING for p in parts.values()) else _MISSING
    if isinstance(value, keras.DTypePolicy):
        return keras.dtype_policies.serialize(value)
    if isinstance(value, types.FunctionType):
        registered = keras.saving.get_registered_name(value) != value.__name__
        public = value.__module__.partition(".")[0] == "keras"
        known = value.__name__ != "<lambda>" and (registered or public)
        return keras.saving.serialize_keras_object(value) if known else _MISSING
    if hasattr(value, "get_config") and not isinstance(value, type):
        return keras.saving.serialize_keras_object(value)
    return _MISSING


def deserialized(config):
    """The arguments that a configuration holds, with the objects in it made."""
    return {name: _deserialized(value) for name, value in config.items()}


def _deserialized(value):
    if isinstance(value, list | tuple):
        return type(value)(_deserialized(part) for part in value)
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == _TUPLE:
        return tuple(_deserialized(value["config"]["items"]))
    if "class_name" in value and "config" in value:
        return keras.saving.deserialize_keras_object(value)
    return {name: _deserialized(part) for name, part in value.items()}

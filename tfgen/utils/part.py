"""Layers whose configuration follows from their constructor, and that a summary can show."""

import collections.abc
import inspect

import keras

from tfgen.utils.recorded import Recorded
from tfgen.utils.recorded import deserialized
from tfgen.utils.recorded import recorded_config

# Keras's own part of a configuration.
_KERAS = ("name", "trainable", "dtype", "activity_regularizer")


class overridable:  # noqa: N801
    """A property in whose place an attribute of its name may be set, by a subclass, say."""

    def __init__(self, compute):
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, made, owner=None):
        return self if made is None else self.compute(made)


class Listing(collections.abc.Sequence):
    """Layers to be shown. Keras looks for weights in lists and tuples, but not in these.

    Args:
        layers: list of Keras layers.
    """

    def __init__(self, layers):
        self._shown = layers

    def __len__(self):
        return len(self._shown)

    def __getitem__(self, i):
        layer = self._shown[i]
        inside = getattr(layer, "layers", ())
        plain = isinstance(inside, collections.abc.Sequence)
        plain = plain and all(isinstance(part, keras.layers.Layer) for part in inside)
        return layer if plain else _Shown(layer)

    def __repr__(self):
        return repr(list(self))


class _Shown:
    """Layer whose own attribute `layers` holds something else than layers."""

    def __init__(self, layer):
        self._layer = layer

    @property
    def __class__(self):
        return type(self._layer)

    @property
    def layers(self):
        return Listing(list({id(layer): layer for layer in self._layer._layers}.values()))

    def __getattr__(self, name):
        return getattr(self._layer, name)


class Configured(keras.layers.Layer, metaclass=Recorded):
    """Layer whose configuration is its constructor's arguments, other layers among them.

    A subclass needs no `get_config` of its own, as long as its arguments are plain values or
    registered Keras objects.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        layers: the layers directly inside, as `summary(expand_nested=True)` shows them.
    """

    # Names of arguments that `get_config` of this class writes itself.
    _saved_apart = ()

    def _after_init(self):
        """Runs once the outermost constructor is done."""

    @overridable
    def layers(self):
        """The layers directly inside, as `summary(expand_nested=True)` shows them."""
        return Listing(self._shown_layers())

    def _shown_layers(self):
        return list({id(layer): layer for layer in self._layers}.values())

    def get_config(self):
        # Without this Keras guesses the arguments, and refuses dtype policies among them.
        own = recorded_config(self, but=(*_KERAS, *self._saved_apart), parts=True)
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        """The layer that a configuration describes, with the objects inside it made."""
        config = deserialized(config)
        taken = inspect.signature(cls.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
            # A constructor may leave Keras's arguments out.
            left = {k: config.pop(k) for k in _KERAS if k in config and k not in taken}
            made = cls(**config)
            made.name, made.trainable = left.get("name", made.name), left.get("trainable", True)
            return made
        return cls(**config)


class Part(Configured):
    """A part that the model around it builds: Keras does not build it when it loads the model.

    Args:
        **kwargs: `keras.layers.Layer` arguments.
    """

    def get_build_config(self):
        return None

"""TFP distributions as bases."""

import inspect

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.base import Base
from tfgen.utils import checks
from tfgen.utils.random import row_seeds
from tfgen.utils.recorded import deserialized


def _classes(module, base):
    """The classes of a module that a file may name, by name."""
    public = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {k: v for k, v in public.items() if isinstance(v, type) and issubclass(v, base)}


_CLASSES = {
    "tfd": _classes(tfp.distributions, tfp.distributions.Distribution),
    "tfb": _classes(tfp.bijectors, tfp.bijectors.Bijector),
}


@keras.saving.register_keras_serializable(package="tfgen")
class FromTFD(Base):
    """Base that is a `tfd.Distribution` over vectors, with fixed parameters.

    A model's `base=` takes the distribution itself. It is saved as the names of TFP's classes with
    their numbers; to train parameters, write a `Base`. Only its own draws are known, so
    `temperature` must be 1.

    Args:
        distribution: `tfd.Distribution` of event shape `[size]` and batch shape `[]`.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: not such a distribution, one of another dtype, or one that cannot be saved.

    >>> import numpy as np, tensorflow_probability as tfp, tfgen
    >>> uniform = tfp.distributions.Sample(tfp.distributions.Uniform(-1.0, 1.0), 2)
    >>> base = tfgen.distributions.FromTFD(uniform)
    >>> base.build((None, 2))
    >>> [round(float(v), 4) for v in base.log_prob(np.zeros((1, 2), "float32"))]
    [-1.3863]
    """

    allows_temperature = False
    _saved_apart = ("distribution",)

    def __init__(self, distribution, **kwargs):
        super().__init__(**kwargs)
        checks.check_instance(distribution, tfp.distributions.Distribution, "distribution")
        fully = tfp.distributions.FULLY_REPARAMETERIZED
        self.reparameterized = distribution.reparameterization_type == fully
        shapes = [distribution.batch_shape, distribution.event_shape]
        if [getattr(shape, "rank", None) for shape in shapes] != [0, 1]:
            raise ValueError(
                f"`base` must have batch shape [] and event shape [size]; got {shapes[0]} and "
                f"{shapes[1]}: see `tfd.Independent` and `tfd.Sample`"
            )
        if distribution.dtype != self.variable_dtype:
            raise ValueError(
                f"`base` must be of the model's dtype, {self.variable_dtype}; got "
                f"{tf.as_dtype(distribution.dtype).name}"
            )
        if not _is_continuous(distribution):
            raise ValueError(f"`base` must be continuous; got {distribution}")
        self._content = _to_json(distribution)
        self.distribution = distribution

    def build(self, input_shape):
        super().build(input_shape)
        if tuple(self.distribution.event_shape) != (self.size,):
            raise ValueError(
                f"`base` must have event shape [{self.size}], one value for each latent; got "
                f"{self.distribution.event_shape}"
            )

    def log_prob(self, z, condition=None):
        value = self.distribution.log_prob(tf.cast(z, self.distribution.dtype))
        return tf.cast(value, self.variable_dtype)

    def noise(self, seed, start, num_rows):
        return row_seeds(seed, start, num_rows)

    def sample(self, noise, condition=None, temperature=1.0):
        # Callers of Python are told before; those of a SavedModel, here.
        one = tf.ones([], self.variable_dtype)
        check = tf.debugging.assert_equal(
            tf.cast(temperature, one.dtype), one, "`temperature` must be 1 for this base"
        )
        with tf.control_dependencies([] if check is None else [check]):
            noise = tf.identity(noise)
        draws = tf.map_fn(
            lambda seed: self.distribution.sample(seed=seed),
            noise,
            fn_output_signature=self.distribution.dtype,
        )
        return tf.cast(tf.ensure_shape(draws, [None, self.size]), self.variable_dtype)

    def to_tfd(self, condition=None):
        return self.distribution

    def get_config(self):
        return {**super().get_config(), "distribution": self._content}

    @classmethod
    def from_config(cls, config):
        content = config.get("distribution")
        try:
            distribution = _from_json(content)
        except Exception as error:  # constructors of TFP raise what they please
            raise ValueError(
                "`base` must be the configuration of a TFP distribution; got "
                f"{str(content)[:200]} ({type(error).__name__}: {error})"
            ) from error
        return cls(
            **{**deserialized({**config, "distribution": None}), "distribution": distribution}
        )


def _is_continuous(distribution):
    """True unless a distribution has no bijector onto its support, as discrete ones."""
    if isinstance(distribution, tfp.distributions.MixtureSameFamily):
        # It has none, either.
        return _is_continuous(distribution.components_distribution)
    if isinstance(distribution, tfp.distributions.Mixture):
        return all(map(_is_continuous, distribution.components))
    try:
        return distribution.experimental_default_event_space_bijector() is not None
    except NotImplementedError:
        return True


def _to_json(value):
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_to_json(v) for v in value]
    for module, classes in _CLASSES.items():
        name = type(value).__name__
        if classes.get(name) is type(value):
            defaults = inspect.signature(type(value).__init__).parameters
            parameters = {
                k: _to_json(v) for k, v in value.parameters.items() if v is not defaults[k].default
            }
            return {module: name, "parameters": parameters}
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, np.ndarray | np.generic | tf.Tensor):
        array = np.asarray(value)
        return {"array": array.tolist(), "dtype": array.dtype.name}
    raise ValueError(
        "`base` must be made of TFP's own distributions and bijectors, numbers and arrays, to be "
        f"saved with the model; got {type(value).__name__} inside. For trained parameters, write a "
        "`tfgen.distributions.Base`"
    )


def _from_json(content):
    if isinstance(content, list):
        return [_from_json(v) for v in content]
    if not isinstance(content, dict):
        return content
    if "dtype" in content:
        dtype = tf.as_dtype(content["dtype"])
        if not (dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex):
            raise ValueError(f"{dtype.name} is no dtype of numbers")
        return np.array(content["array"], dtype.as_numpy_dtype) if "array" in content else dtype
    # A file may say anything: no other names than those of these classes are looked up.
    for module, classes in _CLASSES.items():
        if module in content:
            if content[module] not in classes:
                raise ValueError(f"{module} has no distribution or bijector {content[module]!r}")
            parameters = {k: _from_json(v) for k, v in content["parameters"].items()}
            return classes[content[module]](**parameters)
    raise ValueError(f"{sorted(content)} describes none")

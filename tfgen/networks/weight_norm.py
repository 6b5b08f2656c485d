"""Weight normalisation with data-dependent initialisation."""

import contextlib

import keras
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.part import Configured


@keras.saving.register_keras_serializable(package="tfgen")
class WeightNorm(Configured, keras.layers.Wrapper):
    """Layer whose kernel is `gain * kernel / |kernel|` for each output unit.

    From Salimans and Kingma 2016, "Weight Normalization: A Simple Reparameterization to Accelerate
    Training of Deep Neural Networks", arXiv:1602.07868, eq. 2.

    Inside `data_dependent_init`, a call sets gain and bias such that the layer's output has mean 0
    and standard deviation `init_scale` over the batch and all positions (eq. 5 and 6).

    Args:
        layer: Keras layer with `kernel` and `bias` and without an activation.
        init_scale: standard deviation of the outputs after the initialisation.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a layer with an activation; on `build`, one without a kernel or a bias.

    >>> import keras, numpy as np, tfgen
    >>> layer = tfgen.networks.WeightNorm(keras.layers.Dense(4))
    >>> x = np.random.default_rng(0).normal(3, 2, (100, 8)).astype("float32")
    >>> with tfgen.networks.data_dependent_init(layer):
    ...     y = layer(x)
    >>> bool(np.allclose(np.std(layer(x), axis=0), 1, atol=1e-3))
    True
    """

    def __init__(self, layer, init_scale=1.0, **kwargs):
        super().__init__(layer, **kwargs)
        if getattr(layer, "activation", None) not in (None, keras.activations.linear):
            raise ValueError("`layer` must have no activation: apply it after WeightNorm")
        self.init_scale = checks.check_weight(init_scale, "init_scale")
        self.initialising = False

    def build(self, input_shape):
        build_once(self.layer, input_shape)
        kernel, bias = (getattr(self.layer, name, None) for name in ("kernel", "bias"))
        if kernel is None or bias is None or kernel.shape[-1:] != bias.shape:
            raise ValueError(
                "`layer` must have a kernel whose last axis is the outputs, and a bias; got "
                f"{type(self.layer).__name__}"
            )
        self.gain = self.add_weight(
            name="gain",
            shape=kernel.shape[-1:],
            initializer=lambda shape, dtype: tf.cast(_norm(kernel.value), dtype),
        )

    @property
    def kernel(self):
        """The kernel in effect.

        >>> import keras, numpy as np, tfgen
        >>> layer = tfgen.networks.WeightNorm(keras.layers.Dense(4))
        >>> layer.build((None, 8))
        >>> bool(np.allclose(np.linalg.norm(layer.kernel, axis=0), layer.gain))
        True
        """
        # In the precision of weights: squares of half precision vanish.
        kernel = tf.cast(tf.convert_to_tensor(self.layer.kernel), self.variable_dtype)
        gain = tf.cast(tf.convert_to_tensor(self.gain), self.variable_dtype)
        return kernel * (gain / tf.maximum(_norm(kernel), 1e-12))

    @property
    def bias(self):
        """The bias of the layer inside.

        >>> import keras, tfgen
        >>> layer = tfgen.networks.WeightNorm(keras.layers.Dense(4))
        >>> layer.build((None, 8))
        >>> layer.bias is layer.layer.bias
        True
        """
        return self.layer.bias

    def call(self, inputs):
        outputs = self._outputs(inputs)
        if not self.initialising:
            return outputs
        # A layer that is used several times is set at its first use.
        self.initialising = False
        axes = list(range(outputs.shape.rank - 1))
        mean, variance = tf.nn.moments(tf.cast(outputs, self.variable_dtype), axes)
        # A constant unit keeps its scale.
        deviation = tf.where(variance > 1e-12, tf.sqrt(variance), tf.ones_like(variance))
        scale = self.init_scale / deviation
        self.gain.assign(self.gain * scale)
        self.bias.assign((self.bias - mean) * scale)
        return self._outputs(inputs)

    def _outputs(self, inputs):
        # A scope hides the one around it: the bias, too, is what it is there.
        bias = tf.cast(tf.convert_to_tensor(self.layer.bias), self.variable_dtype)
        state = [(self.layer.kernel, self.kernel), (self.layer.bias, bias)]
        with keras.StatelessScope(state_mapping=state):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


@contextlib.contextmanager
def data_dependent_init(*layers):
    """Scope in which the first call of every `WeightNorm` inside `layers` initialises it.

    Args:
        *layers: Keras layers. Frozen ones keep their weights.

    References:
        Salimans and Kingma, Weight Normalization: A Simple Reparameterization to Accelerate
        Training of Deep Neural Networks, 2016, arXiv:1602.07868, eq. 5 and 6.

    >>> import keras, numpy as np, tfgen
    >>> layer = tfgen.networks.WeightNorm(keras.layers.Dense(1))
    >>> x = np.array([[1.0], [3.0]], "float32")
    >>> with tfgen.networks.data_dependent_init(layer):
    ...     y = layer(x)
    >>> np.abs(y).round(3).tolist()
    [[1.0], [1.0]]
    """
    found = [part for layer in layers for part in layer._flatten_layers()]
    # What is frozen has its weights from elsewhere.
    found = [part for part in found if isinstance(part, WeightNorm) and part.trainable]
    for part in found:
        part.initialising = True
    try:
        yield
    finally:
        for part in found:
            part.initialising = False


def _norm(kernel):
    return tf.sqrt(tf.reduce_sum(kernel**2, list(range(kernel.shape.rank - 1))))


class WeightNormed(Configured):
    """Base of networks whose layers have `WeightNorm`, or not.

    Args:
        weight_norm: True for `WeightNorm` of every layer.
        **kwargs: `keras.layers.Layer` arguments.
    """

    def __init__(self, weight_norm=True, **kwargs):
        super().__init__(**kwargs)
        self.weight_norm = checks.check_bool(weight_norm, "weight_norm")

    def _new(self, layer, *args, init_scale=1.0, **kwargs):
        """New layer of a class, wrapped in `WeightNorm` where the network has it."""
        settings = {"kernel_initializer": "he_normal", "dtype": self.dtype_policy}
        made = layer(*args, **settings, **kwargs)
        if not self.weight_norm:
            return made
        return WeightNorm(made, init_scale, dtype=self.dtype_policy)

    def _dense(self, units):
        return self._new(keras.layers.Dense, units)

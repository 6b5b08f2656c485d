"""Networks for conditional maps: hidden features, then an output layer that starts small."""

import math

import keras
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.part import Configured


@keras.saving.register_keras_serializable(package="tfgen")
class MLP(Configured):
    """Multilayer perceptron: dense hidden layers, each with an activation.

    Weights and biases start uniform, see `uniform_start`.

    Shapes: `[batch, size]` -> `[batch, hidden_units[-1]]`.

    Args:
        hidden_units: width of each hidden layer.
        activation: name of an activation, or one.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a width that is no positive number, or another `activation`.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.MLP((32, 16))(np.zeros((2, 3), "float32")).shape
    TensorShape([2, 16])
    """

    def __init__(self, hidden_units=(256, 256), activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = checks.as_shape(hidden_units, "hidden_units")
        self.activation = keras.activations.get(activation)
        policy = self.dtype_policy
        self.layers = [
            keras.layers.Dense(u, self.activation, dtype=policy) for u in self.hidden_units
        ]

    def build(self, input_shape):
        for layer, size in zip(self.layers, (input_shape[-1], *self.hidden_units), strict=False):
            # Two, since one initialiser always gives the same numbers.
            layer.kernel_initializer = uniform_start(size)
            layer.bias_initializer = uniform_start(size)
            layer.build((None, size))

    def call(self, inputs):
        return _call(self.layers, inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.hidden_units[-1])


@keras.saving.register_keras_serializable(package="tfgen")
class ConvNet(Configured):
    """Glow's conditioner: a 3x3 and a 1x1 convolution with ReLU.

    From Kingma and Dhariwal 2018, "Glow: Generative Flow with Invertible 1x1 Convolutions",
    arXiv:1807.03039, section 3.3; the 3x3 output layer is the `Head`.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`.

    Args:
        filters: number of hidden channels.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: `filters` is no positive number.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.ConvNet(16)(np.zeros((2, 8, 8, 3), "float32")).shape
    TensorShape([2, 8, 8, 16])
    """

    def __init__(self, filters=512, **kwargs):
        super().__init__(**kwargs)
        self.filters = checks.check_count(filters, "filters")
        self.layers = [_conv(self.filters, size, self.dtype_policy) for size in (3, 1)]

    def build(self, input_shape):
        _build(self.layers, input_shape)

    def call(self, inputs):
        return _call(self.layers, inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="tfgen")
class ResNet(Configured):
    """RealNVP's image conditioner: pre-activation residual blocks.

    From Dinh et al. 2017, "Density estimation using Real NVP", arXiv:1605.08803, section 3.6,
    without their batch normalisation, so that
    the density of an image does not depend on its batch.

    Shapes: `[batch, height, width, channels]` -> `[batch, height, width, filters]`.

    Args:
        filters: number of hidden channels.
        num_blocks: number of residual blocks of two 3x3 convolutions.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: `filters` or `num_blocks` is no positive number.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.ResNet(16, 2)(np.zeros((2, 8, 8, 3), "float32")).shape
    TensorShape([2, 8, 8, 16])
    """

    def __init__(self, filters=64, num_blocks=4, **kwargs):
        super().__init__(**kwargs)
        self.filters = checks.check_count(filters, "filters")
        self.num_blocks = checks.check_count(num_blocks, "num_blocks")
        policy = self.dtype_policy
        self.stem = _conv(self.filters, 3, policy, activation=None)
        self.first = [_conv(self.filters, 3, policy) for _ in range(self.num_blocks)]
        # The second convolution of a block starts at zero: the block at the identity.
        self.second = [
            _conv(self.filters, 3, policy, activation=None, kernel_initializer="zeros")
            for _ in range(self.num_blocks)
        ]

    def build(self, input_shape):
        self.stem.build(input_shape)
        for layer in self.first + self.second:
            layer.build(self.compute_output_shape(input_shape))

    def call(self, inputs):
        x = self.stem(inputs)
        for first, second in zip(self.first, self.second, strict=True):
            x += second(first(tf.nn.relu(x)))
        return tf.nn.relu(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="tfgen")
class Head(Configured):
    """Output layer that starts at zero, or near it: Dense for vectors, a 3x3 convolution for
    images.

    Without the learned gain of Glow's `Conv2dZeros`: it made training diverge at the learning
    rates at which these flows train best.

    Args:
        units: size of the last axis of the output.
        spread: of the kernel before training, as a part of that of `uniform_start`.
        **kwargs: `keras.layers.Layer` arguments.

    Shapes: `[batch, ..., any]` -> `[batch, ..., units]`.

    Raises:
        ValueError: `units` is no positive number.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.Head(4)(np.ones((2, 3), "float32")).numpy().tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    def __init__(self, units, spread=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = checks.check_count(units, "units")
        self.spread = checks.check_weight(spread, "spread")

    def build(self, input_shape):
        image = len(input_shape) == 4
        inputs = input_shape[-1] * (9 if image else 1)
        start = {
            "kernel_initializer": uniform_start(inputs, self.spread),
            "dtype": self.dtype_policy,
        }
        if image:
            self.layer = keras.layers.Conv2D(self.units, 3, padding="same", **start)
        else:
            self.layer = keras.layers.Dense(self.units, **start)
        self.layer.build(input_shape)

    def call(self, inputs):
        return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)


def uniform_start(size, spread=1.0):
    """Initialiser of the kernel and the bias of a layer: uniform within `spread / sqrt(size)`.

    Biases that are zero put the kinks of all units at the same place: of few inputs, networks then
    learn slowly.

    Args:
        size: number of inputs of the layer.
        spread: 0 for zeros.
    """
    if not spread:
        return keras.initializers.Zeros()
    bound = spread / math.sqrt(size)
    return keras.initializers.RandomUniform(-bound, bound)


def _conv(filters, size, policy, activation="relu", kernel_initializer="he_normal"):
    return keras.layers.Conv2D(
        filters,
        size,
        padding="same",
        activation=activation,
        kernel_initializer=kernel_initializer,
        dtype=policy,
    )


def _build(layers, shape):
    for layer in layers:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)


def _call(layers, x):
    for layer in layers:
        x = layer(x)
    return x

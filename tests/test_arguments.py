"""No argument of a network is taken and left aside: another value changes something, or is refused.

What changes may be outputs, in training or not, weights, their regularisers and constraints.
"""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_bijectors import arguments

from tfgen import networks
from tfgen.networks import MLP

VECTORS, IMAGES, NARROW, LARGE = (3, 6), (3, 4, 4, 2), (3, 2), (2, 8, 8, 1)
CONV = {"filters": (4, 4), "strides": (2, 1), "kernel_size": 3}
OTHER_CONV = {
    "filters": (4, 5),
    "strides": (1, 2),
    "kernel_size": 2,
    "batch_norm": False,
    "spectral_norm": True,
    "activation": "tanh",
}
SMALL = {"filters": (4,), "units": 5}
OTHER_RESNET = {
    "filters": (5,),
    "num_blocks": 2,
    "units": 4,
    "spectral_norm": True,
    "weight_norm": False,
}
STACK = {"filters": 4, "num_layers": 3}
MASKED, CAUSAL = {"filters": 3}, {"filters": 3, "kernel_size": (1, 2), "axis": 2}
# Arguments of a small one of each class, the shape of what it is called on, and other values.
CLASSES = {
    "MLP": ({"hidden_units": (4,)}, VECTORS, {"hidden_units": (5,), "activation": "tanh"}),
    "ConvNet": ({"filters": 4}, IMAGES, {"filters": 5}),
    "ResNet": ({"filters": 4, "num_blocks": 1}, IMAGES, {"filters": 5, "num_blocks": 2}),
    "Head": ({"units": 4, "spread": 1.0}, VECTORS, {"units": 5, "spread": 0.0}),
    "MinibatchFeatures": ({"num_features": 2}, VECTORS, {"num_features": 3, "num_values": 5}),
    "Critic": (
        {"network": MLP((4,))},
        VECTORS,
        {
            "network": MLP((5,)),
            "minibatch_features": 2,
            "spectral_norm": True,
            "conditioning": "joint",
            "num_classes": 3,
        },
    ),
    "MADE": (
        {"hidden_units": (8, 8), "output_spread": 1.0},
        VECTORS,
        {
            "num_params": 3,
            "hidden_units": (9, 9),
            "ordering": "reverse",
            "residual": True,
            "activation": "tanh",
            "num_masks": 2,
            "direct": True,
            "output_spread": 0.0,
        },
    ),
    "ConvEncoder": (CONV, IMAGES, OTHER_CONV),
    "ConvDecoder": (
        {"sides": (4, 4), **CONV},
        NARROW,
        {"sides": (4, 6), **OTHER_CONV},
    ),
    "ResNetEncoder": (SMALL, IMAGES, OTHER_RESNET),
    "ResNetDecoder": ({"sides": (4, 4), **SMALL}, NARROW, {"sides": (4, 6), **OTHER_RESNET}),
    "PixelCNNStack": (
        STACK,
        IMAGES,
        {
            "filters": 5,
            "num_layers": 2,
            "kernel_size": 5,
            "num_mixers": 1,
            "tied": True,
            "weight_norm": False,
            "deep_context": True,
        },
    ),
    "GatedPixelCNNStack": (
        STACK,
        IMAGES,
        {"filters": 5, "num_layers": 2, "kernel_size": 5, "weight_norm": False},
    ),
    "WeightNorm": (
        {"layer": keras.layers.Dense(4)},
        VECTORS,
        {"layer": keras.layers.Dense(5), "init_scale": 0.5},
    ),
    "MaskedConv2D": (MASKED, IMAGES, {"filters": 4, "kernel_size": 5, "mask": "A"}),
    "CausalConv2D": (
        CAUSAL,
        IMAGES,
        {"filters": 4, "kernel_size": (1, 3), "axis": 1, "strict": False},
    ),
    "RowLSTM": ({"filters": 4}, IMAGES, {"filters": 6, "kernel_size": 5}),
    "DiagonalBiLSTM": ({"filters": 4}, IMAGES, {"filters": 6}),
    "PixelRNNStack": (
        {"filters": 4, "num_layers": 1, "kernel_size": 3},
        IMAGES,
        {"kind": "row", "filters": 6, "num_layers": 2, "kernel_size": 5},
    ),
    "PatchCritic": ({"filters": 4, "num_halvings": 1}, LARGE, {"filters": 5, "num_halvings": 0}),
    "ResNetTranslator": (
        {"num_channels": 1, "filters": 4, "num_blocks": 1, "num_halvings": 1},
        LARGE,
        {"num_channels": 2, "filters": 6, "num_blocks": 2, "num_halvings": 2},
    ),
    "GradientReversal": ({}, VECTORS, {"weight": 0.5}),
}
# What some see beside their inputs.
CONDITIONS = {"Critic": {"condition": (3, 2)}, "PixelCNNStack": {"context": (3, 4, 4, 1)}}
OF_LAYERS = {"dtype": "float64", "trainable": False}
OF_CONVOLUTIONS = {
    "strides": 2,
    "padding": "causal",
    "data_format": "channels_first",
    "dilation_rate": 2,
    "groups": 2,
    "activation": "tanh",
    "use_bias": False,
    "kernel_initializer": "ones",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "bias_regularizer": "l2",
    "activity_regularizer": "l2",
    "kernel_constraint": "non_neg",
    "bias_constraint": "non_neg",
}


def cases():
    for name, (_, _, others) in CLASSES.items():
        convolution = issubclass(getattr(networks, name), keras.layers.Conv2D)
        for argument in {**others, **OF_LAYERS, **(OF_CONVOLUTIONS if convolution else {})}:
            # Where there are no weights nothing is trained.
            if (name, argument) != ("GradientReversal", "trainable"):
                yield name, argument


def facts(layer, shape):
    """All that an argument may change, as lists and texts."""
    keras.utils.set_random_seed(0)
    given = CONDITIONS.get(type(layer).__name__, {}).items()
    conditions = {name: np.ones(size, layer.variable_dtype) for name, size in given}
    layer.build(shape, *(value.shape for value in conditions.values()))
    values = np.random.default_rng(0).normal(size=shape).astype(layer.variable_dtype)
    if isinstance(layer, networks.WeightNorm):
        with networks.data_dependent_init(layer):
            layer(values)
    training = "training" in inspect.signature(layer.call).parameters
    modes = [{"training": True}, {"training": False}] if training else [{}]
    runs = [layer(values, **conditions, **mode) for mode in modes]
    if isinstance(layer, networks.GradientReversal):
        # Its outputs are its inputs.
        values = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(values)
            total = tf.reduce_sum(layer(values))
        runs.append(tape.gradient(total, values))
    outputs = [np.asarray(run).round(5).tolist() for run in runs]
    weights = [(w.shape, w.dtype, w.regularizer, w.constraint) for w in layer.weights]
    weights.append(len(layer.trainable_variables))
    return str((outputs, weights, [float(loss) for loss in layer.losses]))


def made(name, **others):
    return getattr(networks, name)(**{**CLASSES[name][0], **others})


@pytest.fixture(scope="module")
def usual():
    return {name: facts(made(name), CLASSES[name][1]) for name in CLASSES}


@pytest.mark.parametrize("name, argument", [*cases()])
def test_another_value_changes_something_or_is_refused(usual, name, argument):
    _, shape, others = CLASSES[name]
    value = {**OF_CONVOLUTIONS, **OF_LAYERS, **others}[argument]
    try:
        layer = made(name, **{argument: value})
    except ValueError as error:
        assert f"`{argument}`" in str(error)
        return
    assert facts(layer, shape) != usual[name]


def test_every_argument_of_every_network_has_another_value():
    layers = {
        name
        for name in networks.__all__
        if inspect.isclass(getattr(networks, name))
        and issubclass(getattr(networks, name), keras.layers.Layer)
    }
    assert layers == set(CLASSES)
    convolutions = set(inspect.signature(keras.layers.Conv2D).parameters) - {"kwargs"}
    assert convolutions <= set(OF_CONVOLUTIONS) | {"filters", "kernel_size"}
    keras_own = arguments(keras.layers.Conv2D)
    for name, (_, _, others) in CLASSES.items():
        assert arguments(getattr(networks, name)) - keras_own <= set(others), name

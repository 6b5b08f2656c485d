"""Networks that turn images into the features that samples are judged by."""

import json
import re
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen.metrics.inputs import as_images
from tfgen.utils import checks
from tfgen.utils.files import fingerprint


class Extracted(NamedTuple):
    """Features `[n, d]` and class probabilities `[n, classes]` (None of no classifier)."""

    features: np.ndarray
    probabilities: np.ndarray | None


class FeatureExtractor:
    """A network with a name and a hash, without which its scores mean nothing.

    Images of any kind are brought to 0..1 (uint8 by 255, bits as they are), resized where that is
    asked for, grey ones repeated to as many channels as the network has, and then mapped to
    `input_range`. A subclass has `hash`, `is_classifier` and `_outputs`.

    Args:
        name: what it is called beside its scores.
        input_shape: `(height, width, channels)` of the network, None where any will do.
        input_range: what the network wants black and white as.
        resize: whether images of other sizes are resized to the network's, bilinearly and
            without aliasing; else they are an error.
    """

    is_classifier = False

    def __init__(self, name, input_shape, input_range, resize):
        self.name = name
        self.input_shape = tuple(input_shape)
        self.input_range = tuple(float(end) for end in input_range)
        self.resize = checks.check_bool(resize, "resize")
        if self.resize and None in self.input_shape[:2]:
            raise ValueError(f"`resize` needs a network of one size; got {self.input_shape}")
        self._run = tf.function(self._prepare_and_run, reduce_retracing=True)

    @property
    def hash(self):
        """12 hex digits of weights, architecture and preprocessing, equal in every process."""
        raise NotImplementedError

    def __str__(self):
        return f"{self.name} ({self.hash})"

    def __call__(self, images, data_kind=None, batch_size=256):
        """Features of images, float32 `[n, d]`; arguments as for `extract`."""
        return self.extract(images, data_kind, batch_size).features

    def probabilities(self, images, data_kind=None, batch_size=256):
        """Class probabilities of images, float32 `[n, classes]`; arguments as for `extract`."""
        if not self.is_classifier:
            raise ValueError(
                f"{self.name} gives no class probabilities: use a classifier, whose last layer is "
                "a softmax, or for a SavedModel name the output that holds them"
            )
        return self.extract(images, data_kind, batch_size).probabilities

    def extract(self, images, data_kind=None, batch_size=256):
        """Features and probabilities from one pass over the images, to the last one.

        Args:
            images: `[n, h, w, c]`: uint8, floats in 0..1, bool or 0 and 1.
            data_kind: `"uint8"`, `"real"` or `"binary"`; by default the type tells, but for
                integers that are all 0 or 1.
            batch_size: images computed at a time.

        Returns:
            `Extracted(features, probabilities)`.

        Raises:
            ValueError: bad images, or images that do not fit the network.
        """
        images, highest = as_images(images, data_kind)
        self._check_fit(images.shape[1:])
        step = checks.check_count(batch_size, "batch_size")
        outputs = [
            self._run(tf.constant(images[i : i + step].astype(np.float32) / np.float32(highest)))
            for i in range(0, len(images), step)
        ]
        parts = [np.concatenate(part) for part in zip(*outputs, strict=True)]
        return Extracted(parts[0], parts[1] if self.is_classifier else None)

    def _check_fit(self, shape):
        sizes = (None, None) if self.resize else self.input_shape[:2]
        channels = {self.input_shape[2], 1 if self.input_shape[2] == 3 else None}
        fits = all(want in (None, came) for want, came in zip(sizes, shape[:2], strict=True))
        if not fits or (self.input_shape[2] and shape[2] not in channels):
            hint = "" if fits else "; `resize=True` brings images to the size of the network"
            raise ValueError(
                f"`images` must fit {self.name}, which takes {list(self.input_shape)}; got "
                f"{list(shape)}{hint}"
            )

    def _prepare_and_run(self, x):
        if self.resize:
            x = tf.image.resize(x, self.input_shape[:2], antialias=True)
        if self.input_shape[2] == 3 and x.shape[-1] == 1:
            x = tf.repeat(x, 3, -1)
        low, high = self.input_range
        return [tf.cast(output, tf.float32) for output in self._outputs(low + (high - low) * x)]

    def _outputs(self, x):
        """A list of features and, of a classifier, probabilities."""
        raise NotImplementedError


class KerasExtractor(FeatureExtractor):
    """Features from a layer of a Keras model.

    Args:
        model: functional or Sequential, over images `[h, w, c]`; a subclassed one can be wrapped:
            `keras.Model(x, model(x))` with an `x = keras.Input(...)`. If its one output is that
            of a softmax layer, it is a classifier.
        layer: name of the layer whose output `[n, d]` the features are; by default they are what
            a last `Dense` layer takes, or the model's output where it does not end with one.
        name: by default the model's own.
        input_range: what the model wants black and white as.
        resize: whether images are resized to the model's size.

    >>> import keras, numpy as np
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(5), keras.layers.Dense(2)]
    >>> extractor = KerasExtractor(keras.Sequential([keras.Input([4, 4, 1]), *layers]), name="net")
    >>> print(extractor)  # doctest: +ELLIPSIS
    net (...)
    >>> extractor(np.ones([3, 4, 4, 1])).shape
    (3, 5)
    """

    def __init__(self, model, layer=None, name=None, input_range=(0.0, 1.0), resize=False):
        inputs = getattr(checks.check_instance(model, keras.Model, "model"), "inputs", None)
        if not inputs or len(inputs) > 1 or len(inputs[0].shape) != 4:
            raise ValueError(
                "`model` must be a built functional or Sequential model of images [h, w, c]; got "
                f"a {type(model).__name__} with inputs {inputs}"
            )
        # The last layer that has weights: an activation may follow.
        last = next((each for each in reversed(model.layers) if each.weights), None)
        if layer is not None:
            features = model.get_layer(layer).output
        else:
            features = last.input if isinstance(last, keras.layers.Dense) else model.outputs[0]
        if len(features.shape) != 2:
            raise ValueError(
                f"`layer` must be one whose output is [n, d]; got {list(features.shape)}"
            )
        self.is_classifier = len(model.outputs) == 1 and _is_softmax(model.layers[-1])
        outputs = [features, model.outputs[0]] if self.is_classifier else [features]
        self._model = keras.Model(inputs, outputs)
        super().__init__(name or model.name, inputs[0].shape[1:], input_range, resize)

    @property
    def hash(self):
        # Not kept: the model may be trained further.
        weights = [w.numpy() for w in self._model.weights]
        return fingerprint(
            _architecture(self._model), json.dumps([self.input_range, self.resize]), *weights
        )

    def _outputs(self, x):
        return tf.nest.flatten(self._model(x, training=False))


def inception_v3():
    """The InceptionV3 of `keras.applications`: 2048 pooled features and 1000 classes of ImageNet,
    from images of any size.

    Keras downloads its weights, 96 MB, when this is called for the first time. It is not the
    Inception of 2015 that published scores are of, and its scores do not compare with those.
    """
    return KerasExtractor(
        keras.applications.InceptionV3(weights="imagenet"),
        name="keras_inception_v3_not_tf_2015",
        input_range=(-1.0, 1.0),
        resize=True,
    )


def _is_softmax(layer):
    softmax = getattr(layer, "activation", None) is keras.activations.softmax
    return softmax or isinstance(layer, keras.layers.Softmax)


def _architecture(model):
    """The model's configuration without names, which differ from process to process."""
    parts = [
        part
        for layer in model._flatten_layers()
        for part in [layer, *getattr(layer, "operations", ())]
    ]
    numbers = {part.name: f'"#{i}"' for i, part in enumerate(parts)}
    config = json.loads(model.to_json())
    config.pop("compile_config", None)
    return re.sub(r'"([^"]*)"', lambda m: numbers.get(m[1], m[0]), json.dumps(config))

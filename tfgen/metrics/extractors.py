"""Feature extractors: networks that turn images into the features that samples are judged by."""

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
    """Result of `FeatureExtractor.extract`.

    Attributes:
        features: float32 `[n, d]`.
        probabilities: class probabilities, float32 `[n, classes]`; None without a classifier.
    """

    features: np.ndarray
    probabilities: np.ndarray | None


class FeatureExtractor:
    """A network with a name and a hash, without which its scores mean nothing.

    Images of any kind are brought to 0..1 (uint8 by 255, bits as they are), resized where that is
    asked for, grey ones repeated to as many channels as the network has, and then mapped to
    `input_range`. A subclass implements `hash` and `_outputs`, and sets `is_classifier`.

    Args:
        name: name printed beside its scores.
        input_shape: `(height, width, channels)` of the network, None where any will do.
        input_range: `(black, white)`, the values that the network takes for them.
        resize: bool; True resizes images of other sizes to the network's, bilinearly and without
            aliasing; False makes them an error.

    Raises:
        ValueError: `resize` for a network without a size.

    >>> import numpy as np, tensorflow as tf, tfgen
    >>> class Means(tfgen.metrics.FeatureExtractor):  # of each channel
    ...     hash = "0123456789ab"
    ...     def __init__(self):
    ...         super().__init__("means", (None, None, None), (0.0, 1.0), resize=False)
    ...     def _outputs(self, x):
    ...         return [tf.reduce_mean(x, [1, 2])]
    >>> print(Means(), Means()(np.full([2, 4, 4, 3], 255, "uint8"))[0].tolist())
    means (0123456789ab) [1.0, 1.0, 1.0]
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
        """Hash of weights, architecture and preprocessing: 12 hex digits, the same everywhere."""
        raise NotImplementedError

    def __str__(self):
        return f"{self.name} ({self.hash})"

    def __call__(self, images, data_kind=None, batch_size=256):
        """Computes the features of images.

        Args:
            images: `[n, h, w, c]`: uint8, floats in 0..1, bool or 0 and 1.
            data_kind: `"uint8"`, `"real"`, `"binary"` or None, see `extract`.
            batch_size: images computed at a time.

        Returns:
            float32 `[n, d]`.

        Raises:
            ValueError: bad images, or images that do not fit the network.
        """
        return self.extract(images, data_kind, batch_size).features

    def probabilities(self, images, data_kind=None, batch_size=256):
        """Computes the class probabilities of images.

        Args:
            images: `[n, h, w, c]`: uint8, floats in 0..1, bool or 0 and 1.
            data_kind: `"uint8"`, `"real"`, `"binary"` or None, see `extract`.
            batch_size: images computed at a time.

        Returns:
            float32 `[n, classes]`.

        Raises:
            ValueError: the network is no classifier, or images that do not fit it.

        >>> import keras, numpy as np, tfgen
        >>> layers = [keras.layers.Flatten(), keras.layers.Dense(5, activation="softmax")]
        >>> model = keras.Sequential([keras.Input([4, 4, 1]), *layers])
        >>> tfgen.metrics.KerasExtractor(model).probabilities(np.ones([3, 4, 4, 1])).shape
        (3, 5)
        """
        if not self.is_classifier:
            raise ValueError(
                f"{self.name} gives no class probabilities: use a classifier, whose last layer is "
                "a softmax, or for a SavedModel name the output that holds them"
            )
        return self.extract(images, data_kind, batch_size).probabilities

    def extract(self, images, data_kind=None, batch_size=256):
        """Computes features and class probabilities in one pass over the images.

        Args:
            images: `[n, h, w, c]`: uint8, floats in 0..1, bool or 0 and 1.
            data_kind: `"uint8"`, `"real"` or `"binary"`; by default the dtype tells, but for
                integers that are all 0 or 1, which are an error.
            batch_size: images computed at a time.

        Returns:
            `Extracted(features, probabilities)`, of all images, the ragged last batch included.

        Raises:
            ValueError: bad images, or images that do not fit the network.

        >>> import keras, numpy as np, tfgen
        >>> model = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()])
        >>> extracted = tfgen.metrics.KerasExtractor(model).extract(np.ones([3, 4, 4, 1]))
        >>> extracted.features.shape, extracted.probabilities
        ((3, 16), None)
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
        """Computes a list of features and, for a classifier, class probabilities.

        Args:
            x: float32 tensor `[batch, h, w, c]` in `input_range`.

        Returns:
            List of tensors `[batch, d]` and, if `is_classifier`, `[batch, classes]`.
        """
        raise NotImplementedError


class KerasExtractor(FeatureExtractor):
    """Feature extractor from a layer of a Keras model.

    Args:
        model: functional or Sequential model of images `[h, w, c]`; a subclassed one can be
            wrapped: `keras.Model(x, model(x))` with an `x = keras.Input(...)`. If its one output
            is that of a softmax layer, it is a classifier.
        layer: name of the layer whose output `[n, d]` the features are; by default they are the
            input of a last `Dense` layer, or the model's output where it does not end with one.
        name: name printed beside the scores; by default the model's own.
        input_range: `(black, white)`, the values that the model takes for them.
        resize: bool; True resizes images to the model's size.

    Raises:
        ValueError: the model is not built, or takes or gives tensors of other shapes.

    >>> import keras, numpy as np
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(5), keras.layers.Dense(2)]
    >>> extractor = KerasExtractor(keras.Sequential([keras.Input([4, 4, 1]), *layers]), name="net")
    >>> print(extractor)  # doctest: +ELLIPSIS
    net (...)
    >>> extractor(np.ones([3, 4, 4, 1])).shape, len(extractor.hash)
    ((3, 5), 12)
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
    """Makes an extractor of the InceptionV3 of `keras.applications`, for images of any size.

    It has 2048 pooled features and the 1000 classes of ImageNet. Keras downloads its weights,
    96 MB, when this is called for the first time. It is not the Inception of 2015 that published
    scores are of, and its scores do not compare with those.

    Returns:
        A `KerasExtractor`.

    The example has another network in its place, so that nothing is downloaded.

    References:
        Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015,
        arXiv:1512.00567.

    >>> import keras, tfgen
    >>> from unittest import mock
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(9, activation="softmax")]
    >>> network = keras.Sequential([keras.Input([75, 75, 3]), *layers])
    >>> with mock.patch("keras.applications.InceptionV3", return_value=network):
    ...     extractor = tfgen.metrics.inception_v3()
    >>> extractor.name, extractor.input_shape, extractor.is_classifier
    ('keras_inception_v3_not_tf_2015', (75, 75, 3), True)
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
    """Returns the model's configuration without names, which differ from process to process."""
    parts = [
        part
        for layer in model._flatten_layers()
        for part in [layer, *getattr(layer, "operations", ())]
    ]
    numbers = {part.name: f'"#{i}"' for i, part in enumerate(parts)}
    config = json.loads(model.to_json())
    config.pop("compile_config", None)
    return re.sub(r'"([^"]*)"', lambda m: numbers.get(m[1], m[0]), json.dumps(config))

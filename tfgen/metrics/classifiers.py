"""A small classifier of a data set's own classes, as a feature extractor."""

import os
import re
import time
from pathlib import Path

import keras
import numpy as np

from tfgen.metrics.extractors import KerasExtractor
from tfgen.metrics.inputs import as_images
from tfgen.utils import checks
from tfgen.utils.files import fingerprint
from tfgen.utils.files import replacing
from tfgen.utils.keras_files import load_keras

_BATCH_SIZE = 128
_NUM_FEATURES = 64
_RATE = 2e-3  # at the start


def classifier(data, cache_dir=None, seed=0, num_steps=1000, verbose=True):
    """Trains a convolutional network with 64 features on the labels of a data set.

    It is kept under a name that goes by the data and all settings, and trained only where there
    is no such file. The global random states stay as they are.

    Args:
        data: `tfgen.data.Data` of images with integer labels.
        cache_dir: folder where it is kept; by default `tfgen` in `$XDG_CACHE_HOME` or `~/.cache`.
        seed: non-negative int, of the initial weights and the order of the images.
        num_steps: steps of training, of 128 images each: positive int.
        verbose: bool; True prints the accuracy on the test split.

    Returns:
        A `KerasExtractor`, which gives class probabilities, too.

    Raises:
        ValueError: data that are not images, or have no labels.

    >>> import tempfile, tfgen
    >>> data = tfgen.data.load("digits")
    >>> print(classifier(data, tempfile.mkdtemp(), num_steps=5, verbose=False))
    classifier_digits (...)
    """
    num_steps = checks.check_count(num_steps, "num_steps")
    seed = checks.check_int(seed, "seed", 0, 2**31)
    _check_labelled(data)
    # A path may be the name.
    label = "classifier_" + re.sub(r"\W+", "_", Path(data.name).stem)
    model = _network(data.event_shape, data.num_classes, seed)
    # The untrained network's hash says its architecture, and by its weights the seed.
    untrained = KerasExtractor(model, name=label).hash
    settings = f"{num_steps} {_BATCH_SIZE} {_RATE} {data.kind}"
    key = fingerprint(untrained, settings, *data.train)
    folder = Path(cache_dir) if cache_dir else _default_folder()
    path = folder / f"{label}_{key}.keras"
    start = time.monotonic()
    if path.exists():
        model = load_keras(path, "remove it, and it is trained again", compile=False)
    else:
        _fit(model, data, seed, num_steps)
        with replacing(path) as temporary:
            model.save(temporary)
    extractor = KerasExtractor(model, name=label)
    if verbose:
        x, y = data.test
        correct = extractor.probabilities(x, data.kind).argmax(1) == y
        print(
            f"{extractor}: {100 * correct.mean():.2f} % of {len(y)} test images right, "
            f"{time.monotonic() - start:.0f} s, {path}",
            flush=True,
        )
    return extractor


def _check_labelled(data):
    if not data.num_classes or len(data.event_shape) != 3:
        raise ValueError(
            "`data` must be images [h, w, c] with integer labels, for a classifier to learn; got "
            f"{data!r}"
        )


def _default_folder():
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tfgen"


def _network(shape, num_classes, seed):
    """Makes convolutions that halve the image until it is 7 pixels high or wide at most."""
    layers = keras.layers
    # Each layer gets its own seed: without, Keras draws one from Python's global state.
    seeds = iter(np.random.SeedSequence(seed).generate_state(16).tolist())
    common = {"activation": "relu", "dtype": "float32"}

    def start():
        return keras.initializers.HeNormal(next(seeds))

    x = inputs = keras.Input(shape, dtype="float32")
    x = layers.Conv2D(16, 3, padding="same", kernel_initializer=start(), **common)(x)
    filters = 32
    while filters == 32 or min(x.shape[1:3]) > 7:
        x = layers.Conv2D(filters, 3, 2, "same", kernel_initializer=start(), **common)(x)
        filters = 64
    x = layers.Flatten(dtype="float32")(x)
    x = layers.Dropout(0.25, seed=next(seeds), dtype="float32")(x)
    x = layers.Dense(_NUM_FEATURES, kernel_initializer=start(), **common)(x)
    common["activation"] = "softmax"
    return keras.Model(inputs, layers.Dense(num_classes, kernel_initializer=start(), **common)(x))


def _fit(model, data, seed, num_steps):
    x, y = data.train
    images, highest = as_images(x, "real" if x.dtype.kind == "f" else data.kind)

    def batches():
        rng = np.random.default_rng(seed)
        size = min(_BATCH_SIZE, len(y))
        while True:
            order = rng.permutation(len(y))
            # The rows that are left over come in another pass.
            for rows in order[: len(y) // size * size].reshape(-1, size):
                batch = images[rows].astype(np.float32) / np.float32(highest)
                if data.kind == "binary":  # of probabilities, where binarisation is dynamic
                    batch = (rng.random(batch.shape) < batch).astype(np.float32)
                yield batch, y[rows]

    rate = keras.optimizers.schedules.CosineDecay(_RATE, num_steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(batches(), steps_per_epoch=num_steps, shuffle=False, verbose=0)

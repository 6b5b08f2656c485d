"""Image data sets of TensorFlow Datasets, by name, as numpy arrays."""

import json
import os
import pathlib
import re
import sys

import numpy as np

from tfgen.data.dataset import Data
from tfgen.data.dataset import array_kind
from tfgen.data.dataset import hold_out
from tfgen.data.images import check_memory
from tfgen.data.images import parse_image_size
from tfgen.data.images import stack_images


def known_names():
    """Returns the names of all data sets that the installed TFDS has code for: a list of str.

    >>> "mnist" in known_names()
    True
    """
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def is_known(name, data_dir=None):
    """Returns True where TFDS has code for `name`, or `data_dir` holds a folder of that name.

    A config or version after the name (`emnist/letters`, `mnist:3.0.1`) is not looked at.

    >>> is_known("emnist/letters"), is_known("no_such_data")
    (True, False)
    """
    base = _base_name(name)
    return bool(base) and (_folder(name, data_dir).is_dir() or base in known_names())


def load_tfds(name, data_dir=None, download=False, image_size=None, seed=0):
    """Loads an image data set of TFDS into memory.

    Test images are the split "test", else "validation", else 10 per cent held out of "train". Where
    there is a "test", a "validation" is kept beside it.
    Labels come from the feature "label" where there is one.

    Args:
        name: Any name that `tfds.load` takes: `mnist`, `emnist/letters`, `mnist:3.0.1`, or the
            name of a prepared data set in `data_dir` that TFDS has no code for.
        data_dir: Folder of prepared data sets; None for the default one of TFDS.
        download: bool; True downloads and prepares a data set that is not there.
        image_size: int or `(height, width)`; required where the images differ in size.
        seed: Non-negative int, by which a test split is held out, where one is made.

    Returns:
        A `Data`; x is uint8 [n, h, w, c], y is int64 [n] or None.

    Raises:
        FileNotFoundError: The data are not there and `download` is False; known at once,
            without the network.
        ValueError: Files that cannot be read, no uint8 image feature, no training split, images
            that differ in size without `image_size`, or more than 8 GB.
    """
    size = parse_image_size(image_size)  # a bad one should not cost a download first
    builder = _builder(name, data_dir, download)
    splits = _choose_splits(name, builder.info.splits)
    image_key, label_key = _choose_features(name, builder.info.features)
    count = sum(builder.info.splits[split].num_examples for split in splits)
    shape = builder.info.features[image_key].shape
    if None not in shape:
        check_memory(count, (*(size or shape[:2]), shape[2]))

    labels = []

    def images():
        for split in splits:
            for image, label in _examples(builder, split, image_key, label_key):
                labels.append(label)
                yield f"an image of {name}", image

    x = stack_images(images(), count, size)
    y = np.array(labels, np.int64) if label_key else None
    ends = np.cumsum([builder.info.splits[split].num_examples for split in splits])[:-1]
    parts = zip(np.split(x, ends), np.split(y, ends) if label_key else [None] * 3, strict=False)
    train, test, validation = [*parts, None, None][:3]
    if test is None:
        train, test = hold_out(x, y, seed)

    label = builder.info.features[label_key] if label_key else None
    num_classes = getattr(label, "num_classes", None)
    return Data(
        name=name,
        kind=array_kind(x),
        train=train,
        test=test,
        validation=validation,
        num_classes=num_classes,
        class_names=tuple(label.names) if num_classes else None,
        description=" ".join((builder.info.description or "").split()),
    )


def _base_name(name):
    return re.split("[/:]", name)[0]


def _data_dir(data_dir):
    if data_dir is None:
        import tensorflow_datasets as tfds

        data_dir = tfds.core.constants.DATA_DIR
    return pathlib.Path(os.path.expanduser(data_dir))


def _folder(name, data_dir):
    return _data_dir(data_dir) / _base_name(name)


def _builder(name, data_dir, download):
    import tensorflow_datasets as tfds

    data_dir = _data_dir(data_dir)
    _check_features(_folder(name, data_dir))
    try:
        # Not `tfds.load` or `tfds.builder`: where the files are missing, those ask a server and
        # wait minutes for it when there is no network. This one also reads data sets that TFDS
        # has no code for.
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=str(data_dir))
    except tfds.core.DatasetNotFoundError as error:
        if not download:
            folder = _folder(name, data_dir)
            place = folder if folder.is_dir() else data_dir
            there = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
            raise FileNotFoundError(
                f"the TFDS data set {name!r} is not in {data_dir} "
                f"({place} has: {', '.join(there) or 'nothing'}). Pass download=True (command "
                "line: --download) to fetch it, or data_dir: the folder that has it"
            ) from error
    except Exception as error:  # each of its files has errors of its own
        raise _unreadable(name, error) from error
    try:
        builder = tfds.builder(name, data_dir=str(data_dir))
        builder.download_and_prepare()
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"the TFDS data set {name!r} was not prepared: {error}") from error
    return builder


def _check_features(folder):
    """Refuses data whose files name a class of another package: TFDS would import what they say."""
    for file in sorted(folder.rglob("features.json")):
        try:
            named = list(_named_classes(json.loads(file.read_text())))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{file}: not a readable TFDS file: {error}") from error
        for name in named:
            module = name.rpartition(".")[0]
            known = module in sys.modules or module.startswith("tensorflow_datasets.")
            if module and not known:
                raise ValueError(
                    f"{file}: names the class {name!r}, which is not of TFDS: import {module} "
                    "first, if you trust it"
                )


def _named_classes(content):
    """Yields the names of classes in the JSON of a feature, which may hold JSON as text."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if key in ("pythonClassName", "python_class_name", "type") and isinstance(value, str):
            yield value
        if key == "json" and isinstance(value, str):
            value = json.loads(value)
        if isinstance(value, dict | list):
            yield from _named_classes(value)


def _unreadable(name, error):
    # What follows the first line are hints for those who write such a file.
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ValueError(f"the TFDS data set {name!r} cannot be read: {reason}")


def _choose_splits(name, splits):
    if "train" not in splits:
        raise ValueError(f"{name}: expected a split 'train', got {sorted(splits)}")
    return ["train", *(split for split in ("test", "validation") if split in splits)]


def _choose_features(name, features):
    """Returns the keys of the image and of the label (or None)."""
    import tensorflow_datasets as tfds

    features = dict(features)
    keys = [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8
    ]
    if "image" in keys:
        keys = ["image"]
    if len(keys) != 1:
        raise ValueError(
            f"{name}: expected a uint8 feature 'image', or only one uint8 image feature, got "
            f"{features}. Make a tf.data pipeline of it and pass that to `model.fit` instead"
        )
    label = features.get("label")
    scalar = label is not None and label.shape == () and np.issubdtype(label.np_dtype, np.integer)
    return keys[0], "label" if scalar else None


def _examples(builder, split, image_key, label_key):
    """Yields `(image, label or None)` of a split, in the order of the files."""
    import tensorflow_datasets as tfds

    # Batches save much time, but need images of one size.
    batch_size = 1 if None in builder.info.features[image_key].shape else 256

    def pick(example):
        return example[image_key], example[label_key] if label_key else 0

    try:
        dataset = builder.as_dataset(split=split).map(pick).batch(batch_size)
        for images, labels in tfds.as_numpy(dataset):
            for image, label in zip(images, labels, strict=True):
                yield image, label if label_key else None
    except Exception as error:  # of TensorFlow's readers, and of TFDS where files are missing
        raise _unreadable(builder.name, error) from error

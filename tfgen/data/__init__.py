"""Data sets by name, as numpy arrays: `load` and `names`; tables of pandas: `Table`."""

import dataclasses
import os

import numpy as np

from tfgen.data import embedded
from tfgen.data import files
from tfgen.data import tfds
from tfgen.data import toy
from tfgen.data.binarise import binarise as _binarise
from tfgen.data.columns import Columns
from tfgen.data.dataset import Data
from tfgen.data.hints import nearest
from tfgen.data.images import stack_images
from tfgen.data.labels import repeat_labelled
from tfgen.data.readers import is_table
from tfgen.data.table import Table
from tfgen.data.table import is_frame  # noqa: F401  for runs
from tfgen.data.table import table_of  # noqa: F401  for runs
from tfgen.utils import checks

__all__ = ["Columns", "Data", "Table", "load", "names", "repeat_labelled", "stack_channels"]


def __dir__():
    return sorted(__all__)


_REAL = {"fashion_mnist_small": embedded.fashion_mnist_small, "digits": embedded.digits}
_NUM_TOY_TRAIN, _NUM_TOY_TEST = 10_000, 2_000


def names():
    """Returns the names of the data sets inside the package, which need no network.

    Returns:
        List of str.

    >>> names()[:3]
    ['fashion_mnist_small', 'digits', 'diabetes']
    """
    return [*_REAL, *embedded.TABLES, *toy.GENERATORS]


def load(
    name, *, data_dir=None, download=False, image_size=None, binarise=None, target=None, seed=0
):
    """Loads a data set into memory by its name or path.

    Args:
        name: One of `names()` (`"diabetes"` is a table with columns of several kinds, as `Table`
            gives it); or a path: a folder of images (subfolders are the classes), a .npy file, a
            .npz file with keys `x` and perhaps `y`, a .csv or .tsv table of numbers, whose column
            named `target`, or else `y`, becomes y; or else a name of TensorFlow Datasets, such as
            `mnist` or `emnist/letters`. A name that is also a file or folder here is a path, unless
            `data_dir` is given.
        data_dir: Folder of prepared TFDS data sets; None for the default one of TFDS.
        download: bool; True lets TFDS download a data set that is not there.
        image_size: int or `(height, width)` in pixels: images are cropped at the centre and
            resized to it. Required where a source's images differ in size.
        binarise: `"static"`, for images as binary data that are drawn once, alike for every seed;
            `"dynamic"`, where the training images are drawn afresh in each step; None leaves the
            grey levels.
        target: header of the column of a .csv or .tsv table that becomes y, of numbers or of names
            of classes; None for the one named `y`, if there is one.
        seed: Non-negative int, from which generated sets are drawn, and the 10 per cent that are
            held out as test from a source without a test split. Other data sets do not depend on
            it.

    Returns:
        A `Data`.

    Raises:
        ValueError: An unknown name, a bad seed, an unusable source, `image_size` for data that are
            not images, or a `target` that is no column.
        FileNotFoundError: No such path, or a TFDS data set that is not there while `download`
            is False.

    >>> data = load("fashion_mnist_small")
    >>> x, y = data.train
    >>> x.shape, x.dtype, y.shape
    ((1800, 28, 28, 1), dtype('uint8'), (1800,))
    >>> load("two_moons", seed=1)
    Data('two_moons', real [2], 10000 train, 2000 test)
    """
    checks.check_instance(name, (str, os.PathLike), "name")
    checks.check_int(seed, "seed", 0, 2**63 - 1)
    data = _load(name, data_dir, download, image_size, target, seed)
    return data if binarise is None else _binarise(data, binarise)


def stack_channels(data, num_train=10_000, num_test=2_000, seed=0):
    """Stacks three independent examples as the channels of an image, as in "stacked MNIST".

    Ten classes become a thousand, which shows how many modes a model drops (Metz et al. 2017,
    section 3.3.1).

    Args:
        data: a `Data` of images with one channel and labels.
        num_train: number of training examples: positive int.
        num_test: number of test examples: positive int.
        seed: non-negative int, by which the examples are chosen.

    Returns:
        A `Data` of images `[height, width, 3]`, whose label is `(first * k + second) * k + third`
        where `data` has `k` classes.

    Raises:
        ValueError: `data` are not images with one channel and labels, or a bad number.

    References:
        Metz et al., Unrolled Generative Adversarial Networks, 2017, arXiv:1611.02163.

    >>> stack_channels(load("digits"), num_train=100, num_test=10)
    Data('digits_stacked', uint8 [8, 8, 3], 100 train, 10 test, 1000 classes)
    """
    checks.check_instance(data, Data, "data")
    k = data.num_classes
    if len(data.event_shape) != 3 or data.event_shape[-1] != 1 or not k:
        raise ValueError(f"`data` must be images with one channel and labels; got {data!r}")
    rng = np.random.default_rng(checks.check_int(seed, "seed", 0, 2**63 - 1))
    splits = {}
    for split, count in (("train", num_train), ("test", num_test)):
        x, y = getattr(data, split)
        chosen = rng.integers(len(x), size=(checks.check_count(count, f"num_{split}"), 3))
        stacked = np.moveaxis(x[chosen][..., 0], 1, -1)
        splits[split] = stacked, y[chosen].astype("int64") @ np.array([k * k, k, 1])
    return dataclasses.replace(
        data,
        name=f"{data.name}_stacked",
        num_classes=k**3,
        class_names=None,
        validation=None,
        description=f"Three examples of {data.name} as the channels of an image.",
        **splits,
    )


def _load(name, data_dir, download, image_size, target, seed):
    if target is not None and not (
        is_path(name, data_dir) and is_table(name) and not os.path.isdir(os.path.expanduser(name))
    ):
        raise ValueError(
            f"`target` is the column of a .csv or .tsv table; got {target!r} for {name}"
        )
    if isinstance(name, str) and name in _REAL:
        return _resized(_REAL[name](), image_size)
    if isinstance(name, str) and name in names():
        if image_size is not None:
            raise ValueError(f"image_size: {name} has no images, got {image_size!r}")
        return _toy(name, seed) if name in toy.GENERATORS else _table(name)
    if is_path(name, data_dir):
        return files.load_files(name, image_size, seed, target)
    if tfds.is_known(name, data_dir):
        return tfds.load_tfds(name, data_dir, download, image_size, seed)
    raise _unknown(name)


def _toy(name, seed):
    generate = toy.GENERATORS[name]
    # An even and an odd seed: no test set is another seed's training set.
    return Data(
        name=name,
        kind="real",
        train=(generate(_NUM_TOY_TRAIN, 2 * seed), None),
        test=(generate(_NUM_TOY_TEST, 2 * seed + 1), None),
        description=generate.__doc__.splitlines()[0],
    )


def _table(name):
    description = embedded.TABLES[name].__doc__.splitlines()[0]
    return dataclasses.replace(Table.from_csv(name).as_data(name), description=description)


def _resized(data, image_size):
    if image_size is None:
        return data
    splits = {
        split: (stack_images(((data.name, image) for image in x), len(x), image_size), y)
        for split, (x, y) in data.splits.items()
    }
    return dataclasses.replace(data, **splits)


def is_path(name, data_dir=None):
    """True for what `load` takes as a path, and not as the name of a data set.

    Args:
        name: str or path object.
        data_dir: as in `load`.
    """
    if isinstance(name, str) and name in names():
        return False
    path = os.fspath(name)
    if not isinstance(name, str) or path.startswith((".", "~")) or os.path.isabs(path):
        return True
    if os.path.splitext(path)[1].lower() in files.ARRAY_SUFFIXES:
        return True
    if data_dir is None and os.path.exists(path):
        return True
    # A slash is also how TFDS writes a config: emnist/letters.
    separated = any(sep in path for sep in (os.sep, os.altsep) if sep)
    return separated and not tfds.is_known(path, data_dir)


def _unknown(name):
    hint = nearest(name, names() + tfds.known_names())
    return ValueError(
        f"unknown data set {name!r}.{hint} Expected one of {', '.join(names())}; or a name of "
        "TensorFlow Datasets (with data_dir, if it is one that you prepared); or the path of a "
        "folder of images, of a .npy file, of a .npz file with keys x and y, or of a .csv table"
    )

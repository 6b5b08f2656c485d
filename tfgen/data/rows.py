"""Examples of a user's own, one by one and with their names, as a trained model takes them."""

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from tfgen.data.files import ARRAY_SUFFIXES
from tfgen.data.files import IMAGE_SUFFIXES
from tfgen.data.files import list_images
from tfgen.data.hints import nearest
from tfgen.data.images import stack_images
from tfgen.data.readers import read_arrays
from tfgen.data.readers import read_images


class Rows(NamedTuple):
    """Examples with their names.

    Attributes:
        names: list of str: files below the folder, or numbers of rows.
        x: `[n, *event_shape]` array: uint8, or float32.
        y: `[n]` int64 labels, float conditions, or None.
    """

    names: list
    x: np.ndarray
    y: np.ndarray | None


def load_rows(path, event_shape, class_names=None, target=None):
    """Loads all examples of a file or folder, and prepares them for a model.

    Images of any size are cropped and resized to the model's, and become grey where it has one
    channel, colour where it has three. Nothing is held out or shuffled.

    Args:
        path: an image, a folder of images (those in subfolders have the subfolder as their class),
            or a .npy, .npz, .csv or .tsv file as `load` takes it.
        event_shape: shape of an example of the model.
        class_names: names of the classes that the model knows; those of the folder or the table
            must be among them. None numbers the data's own in alphabetical order.
        target: header of the column of a table that is y, as of `load`; other data have none.

    Returns:
        `Rows`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is none of these, or its examples do not fit the model.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "points.npy"
    ...     np.save(path, np.zeros([3, 2]))
    ...     rows = load_rows(path, (2,))
    >>> rows.names, rows.x.shape
    (['0', '1', '2'], (3, 2))
    """
    path = pathlib.Path(os.path.expanduser(path))
    event_shape = tuple(event_shape)
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return _images(path, event_shape, class_names)
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise ValueError(
            f"{path}: expected an image, a folder of images or a file "
            f"({', '.join(sorted(ARRAY_SUFFIXES))})"
        )
    arrays = read_arrays(path, target)
    x, y = arrays["x"], arrays.get("y")
    if "class_names" in arrays:
        y = _known_labels([arrays["class_names"][label] for label in y], class_names)
    if x.dtype == np.uint8 and x.ndim == len(event_shape) + 1 == 4 and x.shape[1:] != event_shape:
        x = stack_images(((str(path), image) for image in x), len(x), event_shape[:2])
    if x.shape[1:] != event_shape:
        raise ValueError(
            f"{path}: the model takes examples of shape {list(event_shape)}; got x {list(x.shape)}"
        )
    return Rows([str(i) for i in range(len(x))], x, y)


def _images(path, event_shape, class_names):
    if len(event_shape) != 3 or event_shape[-1] not in (1, 3):
        raise ValueError(
            f"{path}: the model takes examples of shape {list(event_shape)}, no images"
        )
    found = list_images(path) if path.is_dir() else [(path, None)]
    if not found:
        raise ValueError(f"{path}: no image files ({', '.join(sorted(IMAGE_SUFFIXES))})")
    files = [file for file, _ in found]
    mode = "L" if event_shape[-1] == 1 else "RGB"
    x = stack_images(read_images(files, mode), len(files), event_shape[:2])
    folder = path if path.is_dir() else path.parent
    names = [file.relative_to(folder).as_posix() for file in files]
    labels = [label for _, label in found]
    if None in labels:
        return Rows(names, x, None)
    return Rows(names, x, _known_labels(labels, class_names))


def _known_labels(labels, class_names):
    """Numbers of the names of classes; None where some are no classes of the model, which are of
    use to one without a condition."""
    known = list(class_names or sorted(set(labels)))
    if set(labels) - set(known):
        return None
    return np.array([known.index(label) for label in labels], np.int64)


def label_number(label, num_classes, class_names=None):
    """Number of a class.

    Args:
        label: its number, or its name among `class_names`; capitals count only between names that
            differ in nothing else.
        num_classes: number of classes.
        class_names: their names, or None.

    Returns:
        int.

    Raises:
        ValueError: there is no such class.

    >>> label_number("sneaker", 10, ["Boot", "Sneaker"]), label_number("3", 10)
    (1, 3)
    """
    names = [str(name) for name in class_names or ()]
    text = label if isinstance(label, str) else str(label)
    if text in names:
        return names.index(text)
    # `export_inputs.label_numbers` is the same in a graph.
    found = [number for number, name in enumerate(names) if name.lower() == text.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"`label` must be one of {[names[i] for i in found]}, which differ in capitals only; "
            f"got {text[:100]!r}"
        )
    if re.fullmatch("[0-9]{1,9}", text) and int(text) < num_classes:
        return int(text)
    expected = f"0 to {num_classes - 1}" + (f", or one of {names}" if names else "")
    raise ValueError(f"`label` must be {expected}; got {text[:100]!r}.{nearest(text, names)}")

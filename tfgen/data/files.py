"""Data of a user's own: a folder of images, tables in .csv files, arrays in .npy and .npz files."""

import os
import pathlib

import numpy as np

from tfgen.data.dataset import Data
from tfgen.data.dataset import array_kind
from tfgen.data.dataset import hold_out
from tfgen.data.images import stack_images
from tfgen.data.readers import check_regular
from tfgen.data.readers import read_arrays
from tfgen.data.readers import read_images
from tfgen.utils.digits import as_reals
from tfgen.utils.values import check_finite

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
# Subfolders of splits beside `train`; the first that is there is the test.
_HELD_OUT = ("test", "validation", "val")
ARRAY_SUFFIXES = {".npy", ".npz", ".csv", ".tsv"}


def load_files(path, image_size=None, seed=0, target=None):
    """Loads a folder of images or an array file, as `load_folder` and `load_arrays` do.

    Args:
        path: str or path object; `~` is the home folder.
        image_size: int or `(height, width)` in pixels: crop and resize every image to it.
        seed: Non-negative int, by which the test split is held out.

    Returns:
        A `Data`.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: It is neither a folder nor an array file, or its content does not fit.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "points.npy"
    ...     np.save(path, np.zeros([50, 3]))
    ...     data = load_files(path)
    >>> data.kind, data.train[0].shape, data.test[0].shape
    ('real', (45, 3), (5, 3))
    """
    # Of a user that there is none of, pathlib raises a RuntimeError without the path.
    path = pathlib.Path(os.path.expanduser(path))
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    if path.is_dir():
        return load_folder(path, image_size, seed)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return load_arrays(path, image_size, seed, target)
    raise ValueError(
        f"{path}: expected a folder of images or a file ({', '.join(sorted(ARRAY_SUFFIXES))})"
    )


def load_folder(path, image_size=None, seed=0):
    """Loads the images in a folder and its subfolders.

    Images in subfolders have labels: the classes are the subfolders in alphabetical order.
    Subfolders named `train`, `test` and `validation` (or `val`) are splits instead, each of them
    laid out in this way; without `test`, the images of `validation` are the test.
    Names that begin with a dot are passed over. Grey images give one channel if all of them are
    grey; else all become RGB, and transparency is dropped.

    Args:
        path: The folder: a `pathlib.Path`.
        image_size: int or `(height, width)`; required where the images differ in size.
        seed: Non-negative int, by which a test split is held out, where there is no subfolder of
            one.

    Returns:
        A `Data` of kind "uint8".

    Raises:
        ValueError: No images, images both beside and in subfolders, sizes that differ without
            `image_size`, an unreadable file or one of another format, more than 8 bits per channel,
            or more than 8 GB.
        OSError: A subfolder that cannot be read.
    """
    parts = [list_images(path)]
    names = {class_name for _, class_name in parts[0]}
    if "train" in names and len(names) > 1 and names <= {"train", *_HELD_OUT}:
        parts = [list_images(path / n) for n in ("train", *_HELD_OUT) if n in names]
    if len(parts) > 1 and names >= {"validation", "val"}:
        raise ValueError(f"{path}: expected one of validation and val, got both")
    if not parts[0]:
        raise ValueError(f"{path}: no image files ({', '.join(sorted(IMAGE_SUFFIXES))})")
    found = sum(parts, [])
    unlabelled = [file for file, class_name in found if class_name is None]
    if unlabelled and len(unlabelled) < len(found):
        raise ValueError(
            f"{path}: expected images either all in subfolders (the classes) or none, got "
            f"{unlabelled[0]} beside subfolders with images"
        )
    x = stack_images(read_images([file for file, _ in found]), len(found), image_size)
    y = class_names = None
    if not unlabelled:
        class_names = tuple(sorted({class_name for _, class_name in found}))
        y = np.array([class_names.index(class_name) for _, class_name in found], np.int64)
    if len(parts) == 1:
        splits = _held_out(path, x, y, seed)
    else:
        ends = np.cumsum([len(part) for part in parts])[:-1]
        of_y = [None] * len(parts) if y is None else np.split(y, ends)
        splits = list(zip(np.split(x, ends), of_y, strict=True))
    return Data(
        name=str(path),
        kind="uint8",
        train=splits[0],
        test=splits[1],
        validation=splits[2] if len(splits) > 2 else None,
        num_classes=len(class_names) if class_names else None,
        class_names=class_names,
        description=f"{len(found)} images from a folder.",
    )


def load_arrays(path, image_size=None, seed=0, target=None):
    """Loads an array from a .npy file, or `x` and perhaps `y` from a .npz file or a table.

    A table, .csv (commas) or .tsv (tabs), holds a number in every field. It may have a line of
    names above; the column named `target`, or `y`, then becomes y, and all others x. A column y of
    whole numbers from 0 on, smaller than the number of rows, holds labels, and so does one of names
    of classes; any other holds conditions. Empty lines and those that begin with # are passed over.

    Args:
        path: The file: a `pathlib.Path`. x is uint8 [n, ...] (kind "uint8", or "binary" where
            it holds 0 and 1 alone), bool (kind "binary") or floating [n, ...] (kind "real", cast to
            float32). y is [n] integer labels 0, 1, ... or
            floating [n, ...] conditions.
        image_size: int or `(height, width)`; only for x uint8 [n, h, w, c].
        seed: Non-negative int, by which the test split is held out.
        target: Header of the column of a table that is y; None for `y`.

    Returns:
        A `Data`.

    Raises:
        ValueError: Not a readable file, no key `x`, no such column, or arrays of other types and
            shapes.
    """
    arrays = read_arrays(path, target)
    x, y = arrays["x"], arrays.get("y")
    if x.dtype == bool:
        x = x.astype(np.uint8)
    if x.ndim < 2 or not x.size or not (x.dtype == np.uint8 or np.issubdtype(x.dtype, np.floating)):
        raise ValueError(
            f"{path}: expected x uint8 (0..255) or floating, [n, ...] of rank 2 or more, got "
            f"{x.dtype} {list(x.shape)}{_hint_for(x)}"
        )
    if image_size is not None:
        if x.dtype != np.uint8 or x.ndim != 4:
            raise ValueError(
                f"{path}: image_size needs x uint8 [n, h, w, c], got {x.dtype} {list(x.shape)}"
            )
        x = stack_images(((str(path), image) for image in x), len(x), image_size)
    num_classes = None
    if y is not None:
        y, num_classes = _check_labels(path, y, len(x))
    kind = array_kind(x)
    train, test = _held_out(path, _as_float32(path, x, "x") if kind == "real" else x, y, seed)
    return Data(
        name=str(path),
        kind=kind,
        train=train,
        test=test,
        num_classes=num_classes,
        class_names=arrays.get("class_names"),
        description=f"{len(x)} examples from an array file.",
    )


def _held_out(path, x, y, seed):
    try:
        return hold_out(x, y, seed)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _hint_for(x):
    if x.ndim == 1 and x.dtype.kind in "fiub":
        return ": save one column as x[:, None]"
    if x.dtype.kind in "iu":
        return ': save grey levels as x.astype("uint8"), other numbers as x.astype("float32")'
    return ""


def _as_float32(path, numbers, name):
    # Checked here, where rows still have the numbers that they have in the file.
    hint = ""
    try:
        with np.errstate(over="ignore"):
            check_finite(numbers.astype(np.float32), name)
        hint = " and pass it the array: from files come float32 numbers"
        return as_reals(numbers, np.float32, name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}{hint}") from error


def _check_labels(path, y, count):
    integers = np.issubdtype(y.dtype, np.integer)
    if not (integers or np.issubdtype(y.dtype, np.floating)) or y.ndim < 1 or len(y) != count:
        raise ValueError(
            f"{path}: expected y integer [{count}] or floating [{count}, ...], got "
            f"{y.dtype} {list(y.shape)}"
        )
    if not integers:
        return _as_float32(path, y, "y"), None
    if y.ndim != 1 or y.min() < 0 or y.max() >= 2**31:
        raise ValueError(
            f"{path}: expected labels 0, 1, ... of shape [{count}], got {list(y.shape)} from "
            f"{y.min()} to {y.max()}"
        )
    return y.astype(np.int64), int(y.max()) + 1


def list_images(folder):
    """List of `(file, top subfolder's name or None)` of all images below a folder, sorted."""
    found = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        parts = pathlib.Path(parent).relative_to(folder).parts
        for name in names:
            file = pathlib.Path(parent, name)
            if file.suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                check_regular(file)
                found.append((file, parts[0] if parts else None))
    return sorted(found, key=lambda item: item[0])


def _raise(error):
    raise error

"""Readers of files that are not trusted: they run no code and take no more memory than is there."""

import array
import contextlib
import csv
import math
import os
import stat
import warnings
import zipfile

import numpy as np

from tfgen.data import images
from tfgen.data.hints import nearest

# Pillow goes by what a file holds, not by its name, and knows formats that other programs render.
_IMAGE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LONGEST_LINE = 10**7  # characters of a table's row: of an endless file not all is looked for


def is_table(path):
    """True for the names of tables that are read as text: .csv and .tsv files.

    Args:
        path: str or path object.
    """
    return os.path.splitext(path)[1].lower() in _DELIMITERS


def check_regular(file):
    """Refuses what is no regular file: to read it could wait, or go on, for ever.

    Args:
        file: A `pathlib.Path`.

    Raises:
        ValueError: It is a folder, a pipe, a device, a socket, or a link that leads nowhere.
    """
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise ValueError(f"{file}: not a readable file: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        kinds = {"p": "a named pipe", "c": "a device", "b": "a device", "s": "a socket"}
        kind = kinds.get(stat.filemode(mode)[0], "a folder")
        raise ValueError(f"{file}: expected a regular file, got {kind}")


def read_arrays(path, target=None):
    """Reads a .npy, .npz, .csv or .tsv file.

    Args:
        path: The file: a `pathlib.Path`.
        target: Header of the column of a table that is `y`; None takes the one named y, if there
            is one. Other files have none.

    Returns:
        Dict of the array `x` and perhaps `y`, and of `class_names`, a tuple, where a table's `y`
        are names.

    Raises:
        ValueError: No readable file of such a kind, or one that takes more than 8 GB.
    """
    check_regular(path)
    try:
        return _read(path, target)
    except Exception as error:  # zip and table readers have errors of their own
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path}: not a readable array file: {reason}") from error


def _read(path, target):
    suffix, size = path.suffix.lower(), path.stat().st_size
    images.check_bytes(size, "the file")
    if is_table(path):
        return _read_table(path, _DELIMITERS[suffix], target)
    if suffix == ".npy":
        with open(path, "rb") as file:
            return {"x": _read_array(file, size, "x")}
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename.removesuffix(".npy"): part for part in archive.infolist()}
        if "x" not in parts:
            raise ValueError(f"expected the keys x and perhaps y, got {sorted(parts)[:10]}")
        arrays = {}
        for name in ("x", "y"):
            if name in parts:
                with archive.open(parts[name]) as file:
                    arrays[name] = _read_array(file, parts[name].file_size, name)
        return arrays


def _read_array(file, size, name):
    """Reads an array in the .npy format, if it is one of numbers and all that it says is there.

    Args:
        file: The open file.
        size: Number of bytes in it.
        name: The array's name, for errors.
    """
    headers = {(1, 0): np.lib.format.read_array_header_1_0}
    headers[2, 0] = np.lib.format.read_array_header_2_0
    version = np.lib.format.read_magic(file)
    if version not in headers:
        raise ValueError(f"{name} has version {version} of the format, which numbers do not need")
    shape, _, dtype = headers[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds pickled Python objects: to read these could run code")
    if dtype.kind not in "biuf":
        raise ValueError(f"expected {name} of numbers, got {dtype} {list(shape)}")
    # Memory is taken by the header, before the data are read.
    count = math.prod(shape)
    needed, there = count * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or needed > there:
        raise ValueError(
            f"{name} should be {dtype} {list(shape)}, {needed} bytes, and there are {there}: the "
            "file was cut off, or is not what it says"
        )
    # Reals come as float32.
    images.check_bytes(max(needed, 4 * count * (dtype.kind == "f")), f"{name} {list(shape)}")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _read_table(path, delimiter, target):
    """Reads `x` float64 [n, columns] and, if there is such a column, `y` [n]."""
    names, width, values = None, 0, array.array("d")
    # The names of classes, numbered as they come, where the first row has one; else None.
    column_of_y, classes = None, None
    # Bytes that are no text are told with their line.
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        rows = csv.reader(_lines(file), delimiter=delimiter, strict=True)
        for line, row in _numbered(rows):
            fields = [field.strip() for field in row]
            if fields in ([], [""]) or fields[0].startswith("#"):
                continue
            if names is None:
                width = len(fields)
                names = [] if any(map(_is_number, fields)) else fields
                column_of_y = _column_of_y(names, target)
                if names:
                    continue
            if len(fields) != width:
                raise ValueError(f"line {line} has {len(fields)} fields, the first has {width}")
            if not values and column_of_y is not None and not _is_number(fields[column_of_y]):
                classes = {}
            for column, field in enumerate(fields):
                if column == column_of_y and classes is not None:
                    if not field or _is_number(field):
                        raise ValueError(
                            f"line {line}, column {column + 1} must be the name of a class, as in "
                            f"the lines before; got {field[:40]!r}"
                        )
                    values.append(classes.setdefault(field, len(classes)))
                    continue
                try:
                    values.append(_as_number(field))
                except ValueError as error:
                    raise ValueError(
                        f"line {line}, column {column + 1} must be {error}; got {field[:40]!r} "
                        f"(fields are divided by {delimiter!r})"
                    ) from None
            images.check_bytes(8 * len(values), f"the table up to line {line}")
    if names is None:
        raise ValueError("it is empty")
    if not values:
        raise ValueError("there are no rows below the names")
    table = np.array(values).reshape(-1, width)
    if column_of_y is None:
        return {"x": table}
    y = table[:, column_of_y]
    x = np.delete(table, column_of_y, axis=1)
    if classes is not None:
        # In the order of the alphabet, as folders of images are.
        class_names, order = np.unique(list(classes), return_inverse=True)
        y = order[y.astype(np.int64)]
        return {"x": x, "y": y, "class_names": tuple(class_names.tolist())}
    labels = not (y % 1).any() and y.min() >= 0 and y.max() < len(y)
    return {"x": x, "y": y.astype(np.int64) if labels else y[:, np.newaxis]}


def _column_of_y(names, target):
    """Number of the column that is y, or None."""
    name = "y" if target is None else target
    if target is None and name not in names:
        return None
    if names.count(name) != 1:
        raise ValueError(
            f"expected one column named {name}, got {names.count(name)}.{nearest(name, names)}"
        )
    return names.index(name)


def _lines(file):
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), start=1):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"line {number} has more than {_LONGEST_LINE} characters")
        try:
            line.encode()
        except UnicodeEncodeError:
            raise ValueError(f"line {number} is not in UTF-8: save the table so") from None
        yield line


def _numbered(rows):
    """Yields the rows of a `csv.reader` with their lines' numbers in the file."""
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error


def _as_number(field):
    # Python takes 1_0 for 10, and digits of all scripts.
    if "_" in field or not field.isascii() or not _is_number(field):
        raise ValueError("a number")
    number = float(field)
    largest = float(np.finfo(np.float32).max)
    if not -largest <= number <= largest:
        raise ValueError(f"a finite number, up to {largest:.2g}")
    return number


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_images(files, mode=None):
    """Reads image files.

    Args:
        files: List of `pathlib.Path`s.
        mode: `"L"` makes all grey, `"RGB"` all coloured; None coloured where one of them is.

    Yields:
        `(file, uint8 [h, w, c])`; c is 1 for grey images, 3 for coloured ones.

    Raises:
        ValueError: No readable image, of another format, of more than 8 bits per channel, or of so
            many pixels that Pillow warns of it.
    """
    from PIL import ImageOps

    modes = set()
    for file in files:
        with _opened(file) as image:
            # Pillow clips deeper pixels to 255 without a word when it converts them.
            if image.mode.startswith(("I", "F")):
                raise ValueError(
                    f"expected at most 8 bits per channel, got Pillow mode {image.mode}"
                )
            modes.add(image.mode)
    mode = mode or ("L" if modes <= {"1", "L", "LA"} else "RGB")
    for file in files:
        with _opened(file) as image:
            # Cameras store the picture as the sensor lay, and how to turn it.
            pixels = np.asarray(ImageOps.exif_transpose(image).convert(mode))
        yield file, pixels.reshape(*pixels.shape[:2], -1)


@contextlib.contextmanager
def _opened(file):
    """Context manager of a Pillow image; errors within it name the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Of images of twice as many pixels it is an error.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_IMAGE_FORMATS) as image:
                yield image
    except Exception as error:  # decoders raise what they please
        reason = str(error) or type(error).__name__
        raise ValueError(f"{file}: not a readable image: {reason}") from error

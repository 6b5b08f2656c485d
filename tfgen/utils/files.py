"""Files and folders that are written whole or not at all, and fingerprints."""

import contextlib
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

# What is being written is beside what it will be, under such a name.
_TEMPORARY = re.compile(r"\.tfgen-(\d+)-")


@contextlib.contextmanager
def replacing(path):
    """Context manager of a file that takes the place of another once it is written.

    Readers of `path` find the old file or the new one, also meanwhile, after an interruption and
    on a full disk. Folders that are missing are made.

    Args:
        path: the file to replace: str or path object.

    Yields:
        The `pathlib.Path` to write to, in the same folder and with a name that ends alike.

    Raises:
        OSError: it could not be written; the error names `path`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "new" / "a.txt") as path:
    ...     _ = path.write_text("whole")
    >>> [file.name for file in (folder / "new").iterdir()]
    ['a.txt']
    """
    # What a link points to is replaced, and not the link.
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with _naming(path):
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path):
    """Context manager of a folder that takes the place of another once all of it is written.

    A folder that holds other files, too, keeps them: in it the entries are replaced, one by one,
    when all are written.

    Args:
        path: the folder to replace: str or path object.

    Yields:
        The `pathlib.Path` of an empty folder to write to.

    Raises:
        OSError: it could not be written; the error names `path`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing_folder(folder / "new") as path:
    ...     _ = (path / "a.txt").write_text("whole")
    >>> [file.name for file in (folder / "new").iterdir()]
    ['a.txt']
    """
    path = Path(os.path.realpath(path))
    # Some folders cannot be moved.
    fixed = path.is_dir() and (os.path.ismount(path) or not os.access(path.parent, os.W_OK))
    temporary = _beside(path / path.name if fixed else path)
    temporary.mkdir(parents=True)
    try:
        with _naming(path):
            yield temporary
            for file in temporary.rglob("*"):
                _flush(file)
            # Files last: by `saved_model.pb` and `config.json` readers know that all is there.
            new = sorted((entry.is_file(), entry.name) for entry in temporary.iterdir())
            new = [name for _, name in new]
            if path.is_dir() and {entry.name for entry in path.iterdir()} - {*new}:
                for name in new:
                    _take_place(temporary / name, path / name)
            else:
                _take_place(temporary, path)
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder):
    """Removes what `replacing` and `replacing_folder` left in a folder when they were killed.

    Args:
        folder: `pathlib.Path`; there may be no such folder.
    """
    for path in folder.glob(".tfgen-*"):
        found = _TEMPORARY.match(path.name)
        # A process may have the number of one that was killed; it is not writing yet.
        if found and (int(found[1]) == os.getpid() or not _is_running(int(found[1]))):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def read_json(path, required=()):
    """Reads a JSON file that holds a dict.

    Args:
        path: `pathlib.Path`, or what has its `read_bytes`.
        required: names that it must have.

    Returns:
        The dict.

    Raises:
        ValueError: it holds something else; the message names the file.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it must hold JSON; {error}") from error
    missing = [name for name in required if not isinstance(content, dict) or name not in content]
    if missing or not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it must hold {missing or 'a dict'}")
    return content


def digest(file, size=None):
    """Returns the SHA-256 of a file that is open for reading.

    Args:
        file: the open binary file, read from where it is.
        size: bytes to read; None reads to the end.

    Returns:
        64 hex digits.
    """
    found, left = hashlib.sha256(), float("inf") if size is None else size
    while chunk := file.read(int(min(left, 2**20))):
        found.update(chunk)
        left -= len(chunk)
    return found.hexdigest()


def fingerprint(*parts):
    """Returns the first 12 hex digits of the SHA-256 of texts, bytes and arrays.

    It is equal in every process.

    Args:
        *parts: str, bytes or numpy arrays, whose dtype and shape count, too.

    Returns:
        A str.

    >>> fingerprint("a", np.zeros(2)) == fingerprint("a", np.zeros([2, 1]))
    False
    """
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            part = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        else:
            part = part.encode() if isinstance(part, str) else part
            found.update(f"{len(part)} ".encode())
        found.update(part)
    return found.hexdigest()[:12]


def _beside(path):
    """The name under which something is written; nothing has it."""
    beside = path.with_name(f".tfgen-{os.getpid()}-{path.name}")
    if beside.is_dir():
        shutil.rmtree(beside)
    return beside


def _take_place(new, path):
    """Moves a file or a folder to a place where there may be one."""
    if not path.is_dir():
        os.replace(new, path)
        return
    # The system replaces no folder that holds something.
    old = _beside(path.with_name(f"old-{path.name}"))
    os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(path):
    """Has the disk keep a file, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _naming(path):
    """Context manager in which errors of the system name a file, where they name none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Another user's.
        return True
    return True

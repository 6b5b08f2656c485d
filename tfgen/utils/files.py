"""Files that are written whole or not at all, and fingerprints."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def replacing(path):
    """Context manager of a file that takes the place of another once it is written.

    Readers of `path` find the old file or the new one, also meanwhile and after an interruption.
    Folders that are missing are made.

    Args:
        path: the file to replace: str or path object.

    Yields:
        The `pathlib.Path` to write to, in the same folder and with the same suffix.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "new" / "a.txt") as path:
    ...     _ = path.write_text("whole")
    >>> [file.name for file in (folder / "new").iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: some writers go by it.
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            part = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        else:
            part = part.encode() if isinstance(part, str) else part
            digest.update(f"{len(part)} ".encode())
        digest.update(part)
    return digest.hexdigest()[:12]

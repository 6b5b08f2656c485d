"""Files that are whole or not there."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def replacing(path):
    """A file name to write to, which takes the place of `path` once it is written.

    Whoever reads `path` meanwhile, or after an interruption, finds the old file or the new one.
    Folders that are missing are made.

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
    """The first 12 hex digits of the SHA-256 of texts, bytes and arrays: equal in every process.

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

"""Files of a run folder: the settings, the model, the history of training; who works in it."""

import contextlib
import csv
import fcntl
import io
import json
import os
from pathlib import Path

from tfgen.utils.files import read_json
from tfgen.utils.files import remove_unfinished
from tfgen.utils.files import replacing
from tfgen.utils.keras_files import load_keras

# Settings that may change when a run goes on.
_FREE = ("epochs", "max_minutes")

_LOCK = ".lock"
# What version 0.1 left in `checkpoint/`.
_OLD_CHECKPOINT = "latest.weights.h5"


def load_model(run):
    """Loads the trained model of a run folder.

    Args:
        run: the run folder.

    Returns:
        A `tfgen.GenerativeModel`.

    Raises:
        ValueError: there is no `model.keras`: the run is not finished; or it is damaged.

    >>> from tfgen.app import runs
    >>> runs.load_model("nowhere")
    Traceback (most recent call last):
    ...
    ValueError: `run` must be a folder with a finished run; no nowhere/model.keras
    """
    file = Path(run) / "model.keras"
    if not file.is_file():
        raise ValueError(f"`run` must be a folder with a finished run; no {file}")
    return load_keras(file, "`tfgen train` with the run's settings writes it again")


def read_history(run):
    """Reads `history.csv` of a run folder.

    Args:
        run: the run folder.

    Returns:
        Dict from a term's name to a list of floats, one for each epoch; empty without a file. A
        row that is being written is left out.

    Raises:
        ValueError: it is damaged.

    >>> import tempfile
    >>> from tfgen.app import runs
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "history.csv").write_text("epoch,loss\\n0,2.5\\n1,1.5\\n")
    >>> runs.read_history(folder)
    {'loss': [2.5, 1.5]}
    """
    file = Path(run) / "history.csv"
    if not file.is_file():
        return {}
    try:
        whole = file.read_bytes().rpartition(b"\n")[0].decode()
        rows = list(csv.DictReader(io.StringIO(whole, newline=""), strict=True))
        names = [n for n in (rows[0] if rows else {}) if n != "epoch"]
        if [int(row["epoch"]) for row in rows] != list(range(len(rows))):
            raise ValueError("its epochs are not one after the other")
        return {name: [float(row[name]) for row in rows] for name in names}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{file} is damaged ({error}); `tfgen train` with the run's settings writes it again"
        ) from error


def read_stopped(run):
    """Reads the place where a run became NaN.

    Args:
        run: the run folder.

    Returns:
        Dict of `epoch`, `step` and `term`, see `tfgen.callbacks.NaNGuard`; None for a good run.

    >>> import tempfile
    >>> from tfgen.app import runs
    >>> runs.read_stopped(tempfile.mkdtemp()) is None
    True
    """
    file = Path(run) / "stopped.json"
    return read_json(file, ("epoch", "step", "term")) if file.is_file() else None


def read_settings(run):
    """Reads `run.json` of a run folder.

    Args:
        run: `pathlib.Path` of the run folder.

    Returns:
        Dict of the settings that the run was started with.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    file = Path(run) / "run.json"
    if not file.is_file():
        raise ValueError(f"`run` must be the folder of a run; no {file}")
    return read_json(file, ("model", "data", "data_dir", "image_size", "seed"))


def check_same_run(out, settings):
    """Checks that a run with these settings may start, or go on, in a folder.

    Args:
        out: `pathlib.Path` of the folder.
        settings: dict of the settings now.

    Raises:
        ValueError: the folder holds other files, or a run with other settings.
    """
    if not (out / "run.json").is_file():
        if out.exists() and (not out.is_dir() or {p.name for p in out.iterdir()} - {_LOCK}):
            raise ValueError(
                f"`out` must be a new folder or that of a run; {out} is a file or has other files"
            )
        return
    if not (out / "checkpoint").exists() and not (out / "model.keras").exists():
        # Nothing has been trained there.
        return
    before = read_settings(out)
    settings = json.loads(json.dumps(settings))
    for name, value in settings.items():
        if name not in _FREE and before.get(name) != value:
            raise ValueError(
                f"`out` {out} holds a run with {name} = {before.get(name)!r}, now {value!r}: "
                "give the same settings to go on with it, or another folder"
            )
    if (out / "checkpoint" / _OLD_CHECKPOINT).exists():
        raise ValueError(
            f"`out` {out} holds a run of version 0.1, whose models compute otherwise: go on with "
            "it in that version, or give another folder"
        )


@contextlib.contextmanager
def taken(out, settings):
    """Context manager of a run folder that this process alone works in.

    Args:
        out: `pathlib.Path` of the folder; made if missing.
        settings: dict of the settings of the run.

    Raises:
        ValueError: the folder holds other files, or a run with other settings, or one that another
            process works on.
        OSError: it cannot be written to.
    """
    # A folder that is not ours is left as it is.
    check_same_run(out, settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        why = f"`out` cannot be written to ({error.strerror})"
        raise OSError(error.errno, why, str(out)) from error
    try:
        _lock(lock, out)
        # What another process did meanwhile.
        check_same_run(out, settings)
        remove_unfinished(out)
        yield
    finally:
        os.close(lock)


def _lock(file, out):
    """Locks a file that is open: the system lets go of it however the process ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"`out` {out} is where another process trains: wait for it, or give another folder"
        ) from error
    except OSError as error:
        # Some file systems of clusters have no locks.
        print(f"{out} cannot be locked ({error}): let no other process train in it", flush=True)


def write_json(file, content):
    """Writes a JSON file, whole or not at all.

    Args:
        file: `pathlib.Path`.
        content: dict or list.
    """
    with replacing(file) as path:
        path.write_text(json.dumps(content, indent=2))

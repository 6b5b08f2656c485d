"""Files of a run folder: the settings, the model, the history of training, the checkpoint."""

import csv
import json
from pathlib import Path

import keras

# Settings that may change when a run goes on.
_FREE = ("epochs", "max_minutes")


def load_model(run):
    """Loads the trained model of a run folder.

    Args:
        run: the run folder.

    Returns:
        A `tfgen.GenerativeModel`.

    Raises:
        ValueError: there is no `model.keras`: the run is not finished.
    """
    file = Path(run) / "model.keras"
    if not file.is_file():
        raise ValueError(f"`run` must be a folder with a finished run; no {file}")
    return keras.models.load_model(file)


def read_history(run):
    """Reads `history.csv` of a run folder.

    Args:
        run: the run folder.

    Returns:
        Dict from a term's name to a list of floats, one for each epoch; empty without a file.
    """
    file = Path(run) / "history.csv"
    if not file.is_file():
        return {}
    with open(file, newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = [n for n in (rows[0] if rows else {}) if n != "epoch"]
    return {name: [float(row[name]) for row in rows] for name in names}


def read_stopped(run):
    """Reads the place where a run became NaN.

    Args:
        run: the run folder.

    Returns:
        Dict of `epoch`, `step` and `term`, see `tfgen.callbacks.NaNGuard`; None for a good run.
    """
    file = Path(run) / "stopped.json"
    return json.loads(file.read_text()) if file.is_file() else None


def read_settings(run):
    """Reads `run.json` of a run folder.

    Args:
        run: `pathlib.Path` of the run folder.

    Returns:
        Dict of the settings that the run was started with.

    Raises:
        ValueError: there is no such file.
    """
    file = Path(run) / "run.json"
    if not file.is_file():
        raise ValueError(f"`run` must be the folder of a run; no {file}")
    return json.loads(file.read_text())


def check_same_run(out, settings):
    """Checks that a run with these settings may start, or go on, in a folder.

    Args:
        out: `pathlib.Path` of the folder.
        settings: dict of the settings now.

    Raises:
        ValueError: the folder holds other files, or a run with other settings.
    """
    if not (out / "run.json").is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
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


def resume_from(out):
    """Cuts the history of a run folder to the epochs that its checkpoint holds.

    Args:
        out: `pathlib.Path` of the run folder.

    Returns:
        The epochs that are done, and the seconds that they took: `(int, float)`.
    """
    metadata = out / "checkpoint" / "training_metadata.json"
    done = json.loads(metadata.read_text())["epoch"] if metadata.is_file() else 0
    file = out / "history.csv"
    if not file.is_file():
        return done, 0.0
    lines = file.read_text().splitlines()
    # Without a line, if it was interrupted in the first epoch.
    kept = lines[:1] + [line for line in lines[1:] if int(line.split(",")[0]) < done]
    if len(kept) <= 1:
        file.unlink()
        return done, 0.0
    file.write_text("\n".join(kept) + "\n")
    return done, read_history(out)["seconds"][-1]

"""Importing this imports Keras on TensorFlow, or says why it is not."""

import contextlib
import importlib
import os
import pathlib
import sys
import tempfile


def _import_keras():
    """Imports Keras on TensorFlow, or raises an ImportError that says why it is not."""
    chosen = os.environ.get("KERAS_BACKEND")
    came = f"the environment variable KERAS_BACKEND is {chosen!r}"
    if "keras" in sys.modules:
        chosen = importlib.import_module("keras").backend.backend()
        came = f"Keras was imported before and runs on {chosen!r}"
    elif not chosen:
        # Keras's file of settings may name another one for programs that leave it open; for this
        # one it must be TensorFlow. Programs that this one starts are left as they are.
        os.environ["KERAS_BACKEND"] = "tensorflow"
        try:
            importlib.import_module("keras")
        finally:
            del os.environ["KERAS_BACKEND"]
            if chosen is not None:
                os.environ["KERAS_BACKEND"] = chosen
        return
    if chosen != "tensorflow":
        raise ImportError(
            f"tfgen needs Keras on TensorFlow; {came}: set KERAS_BACKEND=tensorflow in the "
            "environment, or in `os.environ` before anything imports Keras (~/.keras/keras.json "
            "names the backend where the variable does not)"
        )
    importlib.import_module("keras")


@contextlib.contextmanager
def _quietly():
    """Context manager that holds back what TensorFlow's C++ code writes to standard error while it
    is loaded, before it can be told to log less, and shows it where loading fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


# The command has lines of its own; to other programs TensorFlow may say what it will.
if sys.stderr is not None and pathlib.Path(sys.argv[0] or "python").stem == "tfgen":
    try:
        with _quietly():
            _import_keras()
    except ImportError as error:
        sys.exit(f"Error: {error}")
else:
    _import_keras()

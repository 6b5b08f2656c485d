"""Importing this imports Keras on TensorFlow, or says why it is not."""

import importlib
import os
import sys


def _import_keras():
    """Imports Keras on TensorFlow, or raises an ImportError that says why it is not."""
    chosen = os.environ.get("KERAS_BACKEND")
    if "keras" not in sys.modules and not chosen:
        # Keras's file of settings may name another one for programs that leave it open; for this
        # one it must be TensorFlow. Programs that this one starts are left as they are.
        os.environ["KERAS_BACKEND"] = "tensorflow"
        try:
            importlib.import_module("keras")
        finally:
            del os.environ["KERAS_BACKEND"]
            if chosen is not None:
                os.environ["KERAS_BACKEND"] = chosen
    came = f"the environment variable KERAS_BACKEND is {chosen!r}"
    if "keras" in sys.modules:
        chosen = importlib.import_module("keras").backend.backend()
        came = f"Keras was imported before and runs on {chosen!r}"
    if chosen != "tensorflow":
        raise ImportError(
            f"tfgen needs Keras on TensorFlow; {came}: set KERAS_BACKEND=tensorflow in the "
            "environment, or in `os.environ` before anything imports Keras (~/.keras/keras.json "
            "names the backend where the variable does not)"
        )


_import_keras()

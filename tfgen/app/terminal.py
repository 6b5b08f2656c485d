"""Warnings that the command keeps off the terminal."""

import contextlib
import logging


@contextlib.contextmanager
def without_retracing():
    """Context without TensorFlow's warnings of functions traced again: each model has its own."""

    def keeps(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(keeps)
    try:
        yield
    finally:
        logger.removeFilter(keeps)

"""Modules of a user's own, for commands that name them."""

import importlib
import os
import sys


def import_own(name):
    """Imports a module, of which the working folder may be the place, and returns it.

    Args:
        name: the module's name.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)

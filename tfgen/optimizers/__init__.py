"""Optimizers that Keras lacks."""

from tfgen.optimizers.radam import RAdam

__all__ = ["RAdam"]

"""Figures of merit."""

from tfgen.metrics.likelihood import bits_per_dim
from tfgen.metrics.yardsticks import histogram_bits_per_dim
from tfgen.metrics.yardsticks import png_bits_per_dim

__all__ = ["bits_per_dim", "histogram_bits_per_dim", "png_bits_per_dim"]

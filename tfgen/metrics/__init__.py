"""Figures of merit."""

from tfgen.metrics.latents import LatentUsage
from tfgen.metrics.latents import active_units
from tfgen.metrics.latents import latent_usage
from tfgen.metrics.likelihood import bits_per_dim
from tfgen.metrics.yardsticks import histogram_bits_per_dim
from tfgen.metrics.yardsticks import png_bits_per_dim

__all__ = [
    "LatentUsage",
    "active_units",
    "bits_per_dim",
    "histogram_bits_per_dim",
    "latent_usage",
    "png_bits_per_dim",
]

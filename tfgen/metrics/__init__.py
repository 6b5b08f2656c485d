"""Figures of merit: likelihoods, sample quality, coverage, and the use of latents."""

from tfgen.metrics.annealing import Annealed
from tfgen.metrics.annealing import AnnealingPath
from tfgen.metrics.annealing import ais
from tfgen.metrics.classifiers import classifier
from tfgen.metrics.coverage import ModeCoverage
from tfgen.metrics.coverage import mode_coverage
from tfgen.metrics.coverage import nearest_examples
from tfgen.metrics.coverage import nearest_mode
from tfgen.metrics.coverage import stacked_modes
from tfgen.metrics.extractors import FeatureExtractor
from tfgen.metrics.extractors import KerasExtractor
from tfgen.metrics.extractors import inception_v3
from tfgen.metrics.frechet import Moments
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.frechet import moments
from tfgen.metrics.gradients import GradientVariance
from tfgen.metrics.gradients import gradient_variance
from tfgen.metrics.inception import InceptionScore
from tfgen.metrics.inception import inception_score
from tfgen.metrics.kernel import KernelDistance
from tfgen.metrics.kernel import kernel_distance
from tfgen.metrics.latents import LatentUsage
from tfgen.metrics.latents import active_units
from tfgen.metrics.latents import latent_usage
from tfgen.metrics.likelihood import bits_per_dim
from tfgen.metrics.neighbours import PrecisionRecall
from tfgen.metrics.neighbours import precision_recall
from tfgen.metrics.quality import Quality
from tfgen.metrics.quality import sample_quality
from tfgen.metrics.references import Reference
from tfgen.metrics.references import reference
from tfgen.metrics.saved_models import SavedModelExtractor
from tfgen.metrics.yardsticks import histogram_bits_per_dim
from tfgen.metrics.yardsticks import png_bits_per_dim

__all__ = [
    "Annealed",
    "AnnealingPath",
    "FeatureExtractor",
    "GradientVariance",
    "InceptionScore",
    "KerasExtractor",
    "KernelDistance",
    "LatentUsage",
    "ModeCoverage",
    "Moments",
    "PrecisionRecall",
    "Quality",
    "Reference",
    "SavedModelExtractor",
    "active_units",
    "ais",
    "bits_per_dim",
    "classifier",
    "frechet_distance",
    "gradient_variance",
    "histogram_bits_per_dim",
    "inception_score",
    "inception_v3",
    "kernel_distance",
    "latent_usage",
    "mode_coverage",
    "moments",
    "nearest_examples",
    "nearest_mode",
    "png_bits_per_dim",
    "precision_recall",
    "reference",
    "sample_quality",
    "stacked_modes",
]


def __dir__():
    return sorted(__all__)

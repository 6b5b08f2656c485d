"""What is minimised."""

from tfgen.objectives.elbo import elbo_terms
from tfgen.objectives.injective import injective_flow_terms
from tfgen.objectives.likelihood import log_det_penalty

__all__ = ["elbo_terms", "injective_flow_terms", "log_det_penalty"]

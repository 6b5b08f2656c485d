"""Objectives that models minimise, as functions of tensors."""

from tfgen.objectives.adversarial import critic_loss
from tfgen.objectives.adversarial import generator_loss
from tfgen.objectives.adversarial import gradient_penalty
from tfgen.objectives.elbo import elbo_terms
from tfgen.objectives.injective import injective_flow_terms
from tfgen.objectives.likelihood import log_det_penalty

__all__ = [
    "critic_loss",
    "elbo_terms",
    "generator_loss",
    "gradient_penalty",
    "injective_flow_terms",
    "log_det_penalty",
]


def __dir__():
    return sorted(__all__)

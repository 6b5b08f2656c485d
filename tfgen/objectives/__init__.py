"""What is minimised."""

from tfgen.objectives.likelihood import log_det_penalty

__all__ = ["log_det_penalty"]

"""Models that play against a critic."""

from tfgen.models.adversarial.cqf import CQ
from tfgen.models.adversarial.cqf import CQF
from tfgen.models.adversarial.cqf import VAEF
from tfgen.models.adversarial.critic_player import Adversarial
from tfgen.models.adversarial.gan import GAN
from tfgen.models.adversarial.gan import WGAN

__all__ = [
    "Adversarial",
    "CQ",
    "CQF",
    "GAN",
    "VAEF",
    "WGAN",
]


def __dir__():
    return sorted(__all__)

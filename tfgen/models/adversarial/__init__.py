"""Models that play against a critic."""

from tfgen.models.adversarial.bigan import BiGAN
from tfgen.models.adversarial.cqf import CQ
from tfgen.models.adversarial.cqf import CQF
from tfgen.models.adversarial.cqf import VAEF
from tfgen.models.adversarial.critic_player import Adversarial
from tfgen.models.adversarial.cyclegan import CycleGAN
from tfgen.models.adversarial.domain_adversarial import DomainAdversarial
from tfgen.models.adversarial.gan import GAN
from tfgen.models.adversarial.gan import WGAN
from tfgen.models.adversarial.mapping import Mapping
from tfgen.models.adversarial.semi_supervised import SemiSupervisedGAN

__all__ = [
    "Adversarial",
    "CQ",
    "CQF",
    "GAN",
    "VAEF",
    "WGAN",
    "SemiSupervisedGAN",
    "BiGAN",
    "CycleGAN",
    "DomainAdversarial",
    "Mapping",
]


def __dir__():
    return sorted(__all__)

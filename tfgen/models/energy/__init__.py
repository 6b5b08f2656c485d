"""Models of energies: densities up to a partition function."""

from tfgen.models.energy.boltzmann_machine import BoltzmannMachine
from tfgen.models.energy.conv_rbm import ConvRBM
from tfgen.models.energy.dbm import DBM
from tfgen.models.energy.dbn import DBN
from tfgen.models.energy.rbm import RBM

__all__ = [
    "BoltzmannMachine",
    "ConvRBM",
    "DBM",
    "DBN",
    "RBM",
]


def __dir__():
    return sorted(__all__)

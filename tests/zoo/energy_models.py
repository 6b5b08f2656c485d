"""The models with an energy of the registry."""

import tfgen

from .entries import model

CHAINS = {
    "likelihood": "unnormalised",
    "terms": ("contrast", "reconstruction", "negative_pseudo_likelihood"),
    "summed": ("contrast",),
    "falls": "reconstruction",
}
BY_VALUE = {**CHAINS, "terms": CHAINS["terms"][:2]}
QUICK = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.3}}}
IN_TURN = {**CHAINS, "terms": (*BY_VALUE["terms"], "layer")}
UP_DOWN = {**IN_TURN, "terms": (*IN_TURN["terms"], "recognition_loss")}

ENERGY = {
    "rbm": model(tfgen.RBM, (3, 2, 1), 4, sample_steps=5, num_classes=2, **CHAINS),
    "rbm_real": model(
        tfgen.RBM, 3, 4, sample_steps=5, data_kind="real", condition_shape=(2,), **BY_VALUE
    ),
    "rbm_uint8": model(
        tfgen.RBM,
        (2, 2, 1),
        4,
        hidden="relu",
        estimator="fpcd",
        num_chains=6,
        sample_steps=5,
        data_kind="uint8",
        num_bits=3,
        **BY_VALUE,
    ),
    "dbm": model(
        tfgen.DBM,
        (3, 2, 1),
        (4, 3),
        num_chains=6,
        gibbs_steps=2,
        layer_steps=3,
        sample_steps=5,
        compile=QUICK,
        **IN_TURN,
    ),
    "convrbm": model(tfgen.ConvRBM, (5, 5, 1), 2, 2, sample_steps=5, compile=QUICK, **CHAINS),
    "convrbm_real": model(
        tfgen.ConvRBM,
        (4, 6, 2),
        3,
        3,
        pool_size=1,
        estimator="pcd",
        num_chains=6,
        sample_steps=5,
        data_kind="real",
        **BY_VALUE,
    ),
    "boltzmann": model(
        tfgen.BoltzmannMachine,
        (3, 2, 1),
        3,
        num_chains=6,
        gibbs_steps=1,
        sample_steps=3,
        **BY_VALUE,
    ),
    "boltzmann_visible": model(
        tfgen.BoltzmannMachine,
        (3, 2, 1),
        estimator="pseudo_likelihood",
        # Of more, chains with equal noise meet, whatever their labels.
        sample_steps=1,
        num_classes=2,
        likelihood="unnormalised",
        terms=("negative_pseudo_likelihood", "reconstruction"),
        summed=("negative_pseudo_likelihood",),
    ),
    "dbn": model(
        tfgen.DBN,
        (3, 2, 1),
        (4, 3),
        layer_steps=3,
        sample_steps=5,
        compile=QUICK,
        **UP_DOWN,
    ),
    "dbn_real": model(
        tfgen.DBN,
        3,
        (4, 3, 2),
        layer_steps=2,
        sample_steps=5,
        data_kind="real",
        num_classes=2,
        **UP_DOWN,
    ),
    "dbm_uint8": model(
        tfgen.DBM,
        (2, 2, 1),
        (3, 2, 3),
        estimator="cd",
        gibbs_steps=1,
        sample_steps=5,
        num_classes=2,
        data_kind="uint8",
        num_bits=3,
        **IN_TURN,
    ),
}

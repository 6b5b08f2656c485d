"""Neural spline flows."""

import keras

from tfgen.bijectors import Autoregressive
from tfgen.bijectors import Coupling
from tfgen.bijectors import InvertibleConv
from tfgen.bijectors import Spline
from tfgen.models.flows.vector_flow import VectorFlow
from tfgen.networks import MADE
from tfgen.networks import MLP
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class NSF(VectorFlow):
    """Neural spline flow (Durkan et al. 2019, "Neural Spline Flows", arXiv:1906.04032):
    rational-quadratic splines in couplings (RQ-NSF (C), one pass either way) or in autoregressive
    maps (RQ-NSF (AR), samples by fixed-point sweeps).

    Couplings are followed by an invertible linear map that starts as a reversal (section 4.1),
    autoregressive maps by a reversal.

    Args:
        event_shape: `[size]`.
        num_layers: maps.
        hidden_units: widths of their networks.
        num_bins: bins of a spline.
        bound: splines act on [-bound, bound] and are the identity outside; the data are
            standardised, so that few of them are.
        autoregressive: autoregressive maps instead of couplings.
        **kwargs: `memory`, see `bijectors.Repeat`, and `Flow` arguments: `data_kind`,
            `condition_shape`, `num_classes`, `base`, `num_bits`, `pixels`, `num_init_batches`,
            `columns`, `dtype`, `name`.

    Raises:
        ValueError: events that are not vectors, or sizes that are no positive numbers.

    >>> import numpy as np, tfgen
    >>> model = tfgen.NSF(3, num_layers=2, hidden_units=(16,))
    >>> model.compile()
    >>> history = model.fit(np.random.normal(size=(64, 3)), verbose=0)
    >>> model.log_prob(np.zeros((5, 3))).shape, model.sample(4).shape
    (TensorShape([5]), TensorShape([4, 3]))
    """

    _sampling = "one pass; sweeps over the values if `autoregressive`"

    def __init__(
        self,
        event_shape,
        num_layers=5,
        hidden_units=(256, 256),
        num_bins=8,
        bound=3.0,
        autoregressive=False,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        spline = Spline(num_bins, bound)
        autoregressive = checks.check_bool(autoregressive, "autoregressive")
        if autoregressive:
            network = MADE(spline.num_params, hidden_units, dtype=dtype)
            step, mixing = Autoregressive(spline, network, dtype=dtype), None
        else:
            network = MLP(hidden_units, dtype=dtype)
            step = Coupling(spline, network=network, dtype=dtype)
            mixing = InvertibleConv("reverse", dtype=dtype)
        super().__init__(
            event_shape, step, spline, num_layers, mixing=mixing, dtype=dtype, **kwargs
        )
        self.hidden_units, self.autoregressive = network.hidden_units, autoregressive
        self.num_bins, self.bound = spline.num_bins, spline.bound

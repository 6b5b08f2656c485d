"""MAF and IAF."""

import keras

from tfgen.bijectors import Autoregressive
from tfgen.bijectors import Invert
from tfgen.bijectors.transforms import serialize_transform
from tfgen.bijectors.transforms import vector_transform
from tfgen.models.flows.vector_flow import VectorFlow
from tfgen.networks import MADE
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class MAF(VectorFlow):
    """Masked autoregressive flow (Papamakarios et al. 2017, "Masked Autoregressive Flow for Density
    Estimation", arXiv:1705.07057): densities in one pass, samples by fixed-point sweeps
    (`bijectors.Autoregressive`).

    Without the paper's batch normalisation: the density of an example does not depend on the others
    in its batch. `"affine"` is `bijectors.ExpAffine`; transforms that do not rescale have an
    ActNorm before them.

    Args:
        event_shape: `[size]`.
        num_layers: autoregressive maps; each sees the dimensions in the reverse order of the
            one before.
        hidden_units: widths of their networks.
        transform: `"additive"`, `"affine"`, `"gated"`, `"spline"` or a `Transform`.
        residual: True for networks of residual blocks.
        **kwargs: `memory`, see `bijectors.Repeat`, and `Flow` arguments: `data_kind`,
            `condition_shape`, `num_classes`, `base`, `num_bits`, `pixels`, `num_init_batches`,
            `columns`, `dtype`, `name`.

    Raises:
        ValueError: events that are not vectors, or sizes that are no positive numbers.

    >>> import numpy as np, tfgen
    >>> model = tfgen.MAF(3, num_layers=2, hidden_units=(16,))
    >>> model.compile()
    >>> history = model.fit(np.random.normal(size=(64, 3)), verbose=0)
    >>> model.log_prob(np.zeros((5, 3))).shape, model.sample(4).shape
    (TensorShape([5]), TensorShape([4, 3]))
    """

    # Data -> latent is the way that takes one pass.
    _quick_density = True
    _sampling = "sweeps over the values"

    def __init__(
        self,
        event_shape,
        num_layers=5,
        hidden_units=(512, 512),
        transform="affine",
        residual=False,
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        elementwise = vector_transform(transform)
        network = MADE(
            elementwise.num_params,
            hidden_units,
            residual=residual,
            output_spread=elementwise.output_spread,
            dtype=dtype,
        )
        step = Autoregressive(elementwise, network, dtype=dtype)
        if not self._quick_density:
            step = Invert(step, dtype=dtype)
        super().__init__(
            event_shape, step, elementwise, num_layers, mixing=None, dtype=dtype, **kwargs
        )
        self.hidden_units, self.residual = network.hidden_units, network.residual
        self.transform = elementwise

    def get_config(self):
        # A name may mean another transform in another version.
        return {
            **super().get_config(),
            "transform": serialize_transform(self.transform, vector_transform),
        }


@keras.saving.register_keras_serializable(package="tfgen")
class IAF(MAF):
    """Inverse autoregressive flow (Kingma et al. 2016, "Improving Variational Inference with
    Inverse Autoregressive Flow", arXiv:1606.04934): samples in one pass, densities of data by
    fixed-point sweeps.

    Arguments as for `MAF`; `transform="gated"` is the paper's update (eq. 13 and 14).

    >>> import numpy as np, tfgen
    >>> model = tfgen.IAF(3, num_layers=2, hidden_units=(16,), transform="gated")
    >>> model.sample(4).shape, model.log_prob(np.zeros((5, 3))).shape
    (TensorShape([4, 3]), TensorShape([5]))
    """

    _quick_density = False
    _sampling = "one pass"

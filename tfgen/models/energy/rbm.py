"""RBM: one visible and one hidden layer, linked to each other alone."""

import keras
import tensorflow as tf

from tfgen.models.energy.layered import Layered


@keras.saving.register_keras_serializable(package="tfgen")
class RBM(Layered):
    """Restricted Boltzmann machine (Smolensky 1986; Hinton 2002, "Training Products of Experts by
    Minimizing Contrastive Divergence", Neural Computation 14; recipes of Hinton 2010, "A Practical
    Guide to Training Restricted Boltzmann Machines").

    `p(x, h) = exp(-energy(x, h)) / Z`. Hidden units are independent given an example, so the free
    energy is exact; the partition function is estimated, see `estimate_partition`.

    Latents are hidden units: `encode` gives their means, `decode` the likeliest example given them.

    Args:
        event_shape: shape of one example.
        num_hidden: number of hidden units.
        hidden: their kind: `"bernoulli"`, or `"relu"`, normal and truncated at 0 (Su et al. 2017,
            arXiv:1611.04920), of data that are no reals.
        estimator: how gradients are estimated: `"cd"`, `"pcd"`, `"fpcd"`, `"pseudo_likelihood"` or
            `"nce"`; see `models.energy.TrainedByChains`.
        gibbs_steps: steps of the chains in one step of training, the k of CD-k.
        num_chains: number of persistent chains, of `"pcd"` and `"fpcd"`.
        fast_rate: rate of the fast weights of `"fpcd"`.
        sample_steps: steps of the chains of `sample`.
        data_kind: `"binary"`; `"real"`, normal given the hidden units, of learned variances (Cho et
            al. 2011); or `"uint8"`, categorical.
        num_bits: bits of a value that the model sees of uint8 data.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`. Conditions shift all biases.

    Raises:
        ValueError: another kind, or sizes that are no positive numbers; persistent chains of a
            conditional model; `"relu"` for reals.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.RBM((8, 8, 1), num_hidden=8, sample_steps=20)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.likelihood, model.sample(3).shape
    ('unnormalised', TensorShape([3, 8, 8, 1]))
    >>> total = model.estimate_partition(method="enumeration")
    >>> model.likelihood, model.log_prob(x).shape
    ('exact', TensorShape([32]))
    """

    _latents = "num_hidden"

    def __init__(
        self,
        event_shape,
        num_hidden=500,
        hidden="bernoulli",
        estimator="cd",
        gibbs_steps=1,
        num_chains=100,
        fast_rate=0.01,
        sample_steps=1000,
        data_kind="binary",
        num_bits=8,
        dtype=None,
        **kwargs,
    ):
        super().__init__(
            event_shape,
            (num_hidden,),
            hidden,
            estimator=estimator,
            gibbs_steps=gibbs_steps,
            num_chains=num_chains,
            fast_rate=fast_rate,
            sample_steps=sample_steps,
            data_kind=data_kind,
            num_bits=num_bits,
            dtype=dtype,
            **kwargs,
        )
        self.num_hidden = self.units[1].size

    def default_optimizer(self):
        """Stochastic gradient descent with momentum, Hinton 2010, sections 7 and 9."""
        return keras.optimizers.SGD(0.05, momentum=0.5)

    # --- hooks ----------------------------------------------------------------

    def _flip_rises(self, values, features, chosen):
        inputs = self.units[0].inputs(values)
        biases = self._biases(features)
        (field,) = self._fields(1, {0: inputs}, biases)
        # By what each chosen value changes: one column of the links.
        change = 1 - 2 * tf.gather(values, chosen, axis=1, batch_dims=1)
        columns = tf.gather(self._weight(self.kernels[0]), chosen)
        bias = tf.gather(tf.broadcast_to(biases[0], tf.shape(values)), chosen, axis=1, batch_dims=1)
        now = self.units[1].log_normaliser(field)[:, None]
        then = self.units[1].log_normaliser(field[:, None] + change[..., None] * columns)
        return now - then - change * bias

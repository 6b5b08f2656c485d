"""DBM: several hidden layers, each linked to the next in both directions."""

import keras
import tensorflow as tf

from tfgen.models.energy.layered import Layered
from tfgen.models.energy.layers_in_turn import layer_contrast
from tfgen.models.energy.layers_in_turn import layer_in_turn
from tfgen.models.energy.layers_in_turn import mean_above
from tfgen.models.energy.layers_in_turn import require_layers
from tfgen.models.energy.mean_field import MeanField
from tfgen.utils import checks
from tfgen.utils.random import fold_in


@keras.saving.register_keras_serializable(package="tfgen")
class DBM(MeanField, Layered):
    """Deep Boltzmann machine (Salakhutdinov and Hinton 2009, "Deep Boltzmann Machines", AISTATS).

    Hidden layers hang on each other, so given an example they are known by a mean field: the free
    energy is a bound from above, and `log_prob`, once the partition function is estimated, the
    variational bound of the paper's section 2.2. `estimate_log_prob` tightens it by importance
    weights of draws from the mean field.

    Latents are the hidden units of all layers: `encode` gives their means, `decode` the likeliest
    example given those of the first.

    Args:
        event_shape: shape of one example.
        hidden_units: width of each hidden layer, two or more.
        estimator: `"pcd"`, persistent chains, or `"cd"`, chains from the data.
        gibbs_steps: steps of the chains in one step of training.
        num_chains: number of persistent chains.
        layer_steps: steps in which each layer is trained by itself before all are trained together:
            the pretraining of section 3.1, in which what a layer will have from both sides it has
            twice from the one. The term `layer` says which one it is; 0 stands for all. XLA, and so
            a TPU, takes models of 0 alone.
        mean_field_steps: steps of the mean field.
        sample_steps: steps of the chains of `sample`.
        data_kind: `"binary"`, `"real"` or `"uint8"`, as of `RBM`.
        num_bits: bits of a value that the model sees of uint8 data.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`. Conditions shift all biases, and take `estimator="cd"`.

    Raises:
        ValueError: fewer than two hidden layers, another kind, or sizes that are no positive
            numbers; persistent chains of a conditional model.

    Warns:
        RuntimeWarning: `log_prob` and what is like it, where the mean field has not settled.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 6))
    >>> model = tfgen.DBM(6, hidden_units=(4, 3), num_chains=10, sample_steps=20)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> total = model.estimate_partition(method="enumeration")
    >>> model.likelihood, model.log_prob(x).shape, model.encode(x).shape
    ('bound', TensorShape([32]), TensorShape([32, 7]))
    """

    _estimators = ("pcd", "cd")
    _unordered_terms = Layered._unordered_terms | {"layer"}
    _likelihoods = ("unnormalised", "estimate", "bound")
    _latents = "sum(hidden_units)"

    def __init__(
        self,
        event_shape,
        hidden_units=(500, 1000),
        estimator="pcd",
        gibbs_steps=5,
        num_chains=100,
        layer_steps=0,
        mean_field_steps=20,
        sample_steps=1000,
        data_kind="binary",
        num_bits=8,
        dtype=None,
        **kwargs,
    ):
        require_layers(hidden_units)
        super().__init__(
            event_shape,
            hidden_units,
            estimator=estimator,
            gibbs_steps=gibbs_steps,
            num_chains=num_chains,
            sample_steps=sample_steps,
            data_kind=data_kind,
            num_bits=num_bits,
            dtype=dtype,
            **kwargs,
        )
        self.hidden_units = tuple(self._hidden_sizes)
        self.layer_steps = checks.check_int(layer_steps, "layer_steps", 0, 2**62)
        # Keras's: XLA does not compile the gradients of `layer_in_turn`.
        self.supports_jit = not layer_steps
        self.mean_field_steps = checks.check_count(mean_field_steps, "mean_field_steps")

    def default_optimizer(self):
        """Stochastic gradient descent with momentum, slow enough for the chains."""
        return keras.optimizers.SGD(0.01, momentum=0.5)

    def _mean_field_gap(self, x, condition):
        biases = self._biases(self._features(condition))
        means = self._means(self._values(x), biases)
        moved = zip(means[1:], self._next_means(means, biases)[1:], strict=True)
        return tf.reduce_max(tf.concat([tf.abs(a - b) for a, b in moved], -1), -1)

    # --- hooks ----------------------------------------------------------------

    def _log_weight_of(self, x, condition):
        features = self._features(condition)
        means = self._means(self._values(x), self._biases(features))[2::2]
        return self._weight_by_draws(x, condition, means)

    def _term_names(self):
        return (*super()._term_names(), "layer")

    def _terms_and_chains(self, x, condition, noise, training):
        def together():
            terms, states = super(DBM, self)._terms_and_chains(x, condition, noise, training)
            return {**terms, "layer": tf.zeros([], self.variable_dtype)}, states

        if not (training and self.layer_steps):
            return together()
        biases = self._biases(self._features(condition))
        values = self._values(x)
        last = len(self.units) - 2
        # How often each layer counts what is below it and what is above.
        twice = [(2 if i == 0 else 1, 2 if i == last else 1) for i in range(last + 1)]
        factors = [1.0 if i in (0, last) else 2.0 for i in range(last + 1)]

        def alone(i):
            below = self.units[0].inputs(values)
            for j in range(i):
                below = mean_above(self, j, below, biases, twice[j], factors[j])
            loss = layer_contrast(
                self, i, values, below, biases, fold_in(noise[0], i), noise[1], twice[i], factors[i]
            )
            terms = {
                "loss": loss,
                "contrast": loss,
                "reconstruction": tf.stop_gradient(
                    self._reconstruction_error(values, self._features(condition))
                ),
                "layer": tf.constant(i + 1.0, self.variable_dtype),
            }
            chains = self.chains.states if self.chains else ()
            return terms, tuple(tf.convert_to_tensor(state) for state in chains)

        return layer_in_turn(self, alone, together)

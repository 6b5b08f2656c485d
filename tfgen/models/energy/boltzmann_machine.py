"""BoltzmannMachine: binary units that are all linked to each other."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.energy.estimators import TrainedByChains
from tfgen.models.energy.mean_field import MeanField
from tfgen.models.energy.mean_field import negative_entropy
from tfgen.models.energy.units import Bernoulli
from tfgen.utils import checks
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class BoltzmannMachine(MeanField, TrainedByChains):
    """Boltzmann machine with links inside its layers (Ackley, Hinton and Sejnowski 1985, "A
    Learning Algorithm for Boltzmann Machines", Cognitive Science 9), for small sizes.

    `p(x, h) = exp(-energy) / Z` over binary units `s = (x, h)`, with the energy
    `-sum_(i<j) link_ij s_i s_j - sum_i bias_i s_i`. A Gibbs step draws one unit after the other
    given all others. Without hidden units the free energy is the energy; hidden ones are known by
    a mean field given an example (Peterson and Anderson 1987), a bound as of a `DBM`.

    Args:
        event_shape: shape of one example.
        num_hidden: number of hidden units, 0 for none.
        estimator: `"pcd"`, persistent chains, `"cd"`, chains from the data, or
            `"pseudo_likelihood"` without hidden units.
        gibbs_steps: steps of the chains in one step of training.
        num_chains: number of persistent chains.
        mean_field_steps: steps of the mean field.
        sample_steps: steps of the chains of `sample`.
        dtype: Keras dtype policy.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `name`. Conditions shift all biases, and take another estimator than `"pcd"`.

    Raises:
        ValueError: another kind, a number that is negative, persistent chains of a conditional
            model; the pseudo-likelihood of hidden units.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 4))
    >>> model = tfgen.BoltzmannMachine(4, estimator="pseudo_likelihood")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> total = model.estimate_partition(method="enumeration")
    >>> model.likelihood, model.log_prob(x).shape
    ('exact', TensorShape([32]))
    """

    _estimators = ("pcd", "cd", "pseudo_likelihood")
    _likelihoods = ("unnormalised", "estimate", "exact", "bound")

    def __init__(
        self,
        event_shape,
        num_hidden=0,
        estimator="pcd",
        gibbs_steps=5,
        num_chains=100,
        mean_field_steps=30,
        sample_steps=1000,
        dtype=None,
        **kwargs,
    ):
        super().__init__(
            event_shape,
            estimator=estimator,
            gibbs_steps=gibbs_steps,
            num_chains=num_chains,
            sample_steps=sample_steps,
            dtype=dtype,
            **kwargs,
        )
        self.num_hidden = checks.check_int(num_hidden, "num_hidden", 0, 2**31)
        if estimator == "pseudo_likelihood" and num_hidden:
            raise ValueError(
                '`estimator` "pseudo_likelihood" is of a machine without hidden units, as it sums '
                f"over their states; got `num_hidden` {num_hidden}"
            )
        self.mean_field_steps = checks.check_count(mean_field_steps, "mean_field_steps")

    @property
    def _num_hidden_units(self):
        return self.num_hidden

    @property
    def _free_energy_is_exact(self):
        return not self.num_hidden

    def _build_parts(self):
        super()._build_parts()
        size = self.num_dims + self.num_hidden
        self.unit = Bernoulli(1)
        self.links = self.add_weight(
            name="links",
            shape=(size, size),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
        )
        self.bias = self.add_weight(name="bias", shape=(size,), initializer="zeros")
        # Of the independent values that chains start from.
        self.base_field = self._state("base_field", np.zeros(size), self.variable_dtype)
        self.condition_layer = None
        if self.features_shape is not None:
            self.condition_layer = keras.layers.Dense(
                size, use_bias=False, name="condition", dtype=self.variable_dtype
            )
            self.condition_layer.build(self.features_shape)
        self._build_estimator([size])

    def default_optimizer(self):
        """Stochastic gradient descent with momentum."""
        return keras.optimizers.SGD(0.05, momentum=0.5)

    # --- machinery ------------------------------------------------------------

    def _values(self, x):
        return tf.reshape(tf.cast(x, self.variable_dtype), [-1, self.num_dims])

    def _links(self):
        """The symmetric matrix of links, none from a unit to itself."""
        below = tf.linalg.band_part(self._weight(self.links), -1, 0)
        below = tf.linalg.set_diag(below, tf.zeros_like(below[0]))
        return below + tf.transpose(below)

    def _bias(self, features):
        bias = self._weight(self.bias)[None]
        return bias if features is None else bias + self.condition_layer(features)

    def _product(self, states, links):
        """Fields of units, `states @ links`."""
        states, links = (tf.cast(v, self.compute_dtype) for v in (states, links))
        return tf.cast(tf.matmul(states, links), self.variable_dtype)

    def _means(self, values, features):
        """Means of the hidden units of the mean field, `[batch, num_hidden]`."""
        step = self._mean_step(values, features)
        start = tf.fill([tf.shape(values)[0], self.num_hidden], tf.constant(0.5, values.dtype))
        return tf.while_loop(
            lambda i, _: i < self.mean_field_steps,
            lambda i, means: (i + 1, 0.5 * (means + step(means))),
            (tf.constant(0), start),
        )[1]

    def _mean_step(self, values, features):
        """Function from means to those that they lead to: links among hidden units may let them
        swing, so `_means` goes half of the way."""
        links, bias = self._links(), self._bias(features)
        given = (
            bias[:, self.num_dims :]
            + self._product(values, links[: self.num_dims])[:, self.num_dims :]
        )
        among = links[self.num_dims :, self.num_dims :]
        return lambda means: tf.sigmoid(given + self._product(means, among))

    def _mean_field_gap(self, x, condition):
        values, features = self._values(x), self._features(condition)
        if not self.num_hidden:
            return tf.zeros(tf.shape(values)[:1], values.dtype)
        means = self._means(values, features)
        return tf.reduce_max(tf.abs(self._mean_step(values, features)(means) - means), -1)

    def _conditionals(self, values, features):
        """Log-probabilities of values given all others, hidden units at their means,
        `[batch, values]`."""
        means = tf.stop_gradient(self._means(values, features))
        states = tf.concat([values, means], -1)
        fields = self._bias(features) + self._product(states, self._links())
        fields = fields[:, : self.num_dims]
        return values * fields - tf.nn.softplus(fields)

    # --- hooks of an energy ---------------------------------------------------

    def _density(self, parity, states, features, beta):
        (units,), beta = states, tf.cast(beta, self.variable_dtype)
        bias = beta * self._bias(features) + (1 - beta) * self.base_field
        linear = tf.reduce_sum(units * bias, -1)
        # The last axis of `beta`, where it has one, is that of the units.
        pairs = 0.5 * tf.reduce_sum(beta * units * self._product(units, self._links()), -1)
        return linear + pairs

    def _log_density(self, states, features, beta):
        return self._density(0, states, features, beta)

    def _gibbs(self, states, features, seed, start, beta, temperature=1.0):
        (units,), beta = states, tf.cast(beta, self.variable_dtype)
        size, count = units.shape[1], tf.shape(units)[0]
        bias = beta * self._bias(features) + (1 - beta) * self.base_field
        bias = tf.broadcast_to(bias, [count, size])
        links = self._links()
        noise = row_uniform(seed, start, count, (size,), units.dtype)
        noise = tf.clip_by_value(noise, 1e-7, 1 - 1e-7)

        def body(i, units):
            pull = self._product(units, links[:, i][:, None])
            drawn = self.unit.draw(
                noise[:, i, None], bias[:, i, None] + beta * pull, None, temperature
            )
            here = tf.one_hot(i, size, dtype=units.dtype)
            return i + 1, units + here * (drawn - units)

        return (tf.while_loop(lambda i, _: i < size, body, (tf.constant(0), units))[1],)

    def _start_states(self, seed, start, num_rows, temperature=1.0):
        size = self.num_dims + self.num_hidden
        field = tf.broadcast_to(self.base_field, [num_rows, size])
        return (Bernoulli(size).sample(seed, start, field, None, temperature),)

    def _log_base_partition(self):
        return tf.reduce_sum(tf.nn.softplus(tf.convert_to_tensor(self.base_field)))

    def _states_of(self, values, features, seed, start):
        if not self.num_hidden:
            return (values,)
        means = self._means(values, features)
        noise = row_uniform(seed, start, tf.shape(values)[0], (self.num_hidden,), values.dtype)
        return (tf.concat([values, tf.cast(noise < means, values.dtype)], -1),)

    def _hidden_of(self, states):
        return (states[0][:, self.num_dims :],)

    def _examples(self, states, features, seed, start, temperature):
        x = tf.reshape(states[0][:, : self.num_dims], [-1, *self.event_shape])
        return tf.cast(x, tf.uint8)

    def _free_energy(self, values, features):
        if not self.num_hidden:
            return -self._log_density((values,), features, 1.0)
        means = tf.stop_gradient(self._means(values, features))
        # Of independent units the mean of the energy is the energy of the means.
        energy = -self._log_density((tf.concat([values, means], -1),), features, 1.0)
        return energy + tf.reduce_sum(negative_entropy(means), -1)

    def _energy(self, x, hidden, condition):
        values = self._values(x)
        states = values if hidden is None else tf.concat([values, hidden], -1)
        return -self._log_density((states,), self._features(condition), 1.0)

    def _enumerable(self):
        size = self.num_dims + self.num_hidden
        return size, 0, [size]

    def _log_weight_of(self, x, condition):
        means = self._means(self._values(x), self._features(condition))
        return self._weight_by_draws(x, condition, (means,))

    # --- hooks of the estimators ----------------------------------------------

    def _term_names(self):
        names = super()._term_names()
        return names[:2] if self.num_hidden else names

    def _reconstruction_error(self, values, features):
        return -tf.reduce_sum(self._conditionals(values, features), -1)

    def _pseudo_likelihood(self, values, features, seed, start, num_flips):
        return tf.reduce_sum(self._conditionals(values, features), -1)

    # --- initialisation -------------------------------------------------------

    def _is_adaptive(self):
        return True

    # As many random rows as there are, up to 4,096.
    num_init_batches = None

    def _initialise(self, parts):
        """Sets the visible biases from the means of the data, Hinton 2010, section 8.1."""
        values = tf.concat([self._values(x) for x, *_ in parts], 0)
        # One more of each state, so that no value is certain.
        mean = (tf.reduce_sum(values, 0) + 1) / tf.cast(len(values) + 2, values.dtype)
        field = tf.math.log(mean) - tf.math.log1p(-mean)
        field = tf.concat([field, tf.zeros([self.num_hidden], field.dtype)], 0)
        self.bias.assign(field)
        self.base_field.assign(field)

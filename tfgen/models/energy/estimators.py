"""The gradients of an energy model's likelihood: what takes the place of its partition function."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.energy.energy_model import EnergyModel
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform
from tfgen.utils.replicas import sum_over_replicas

# Of Tieleman and Hinton 2009, section 5: what a fast weight keeps of itself in each step.
_FAST_DECAY = 0.95
# Values of an example that a step of pseudo-likelihood looks at; of fewer all.
_NUM_FLIPS = 32
# The name under which the objective is logged.
_OBJECTIVES = {
    "cd": "contrast",
    "pcd": "contrast",
    "fpcd": "contrast",
    "pseudo_likelihood": "negative_pseudo_likelihood",
    "nce": "noise_contrast",
}
_PERSISTENT = ("pcd", "fpcd")


class Chains(keras.layers.Layer):
    """Persistent Gibbs chains, kept with the weights; of fast weights their excess, too.

    Args:
        sizes: sizes of the parts of a state.
        num_chains: number of chains.
        fast_shapes: shapes of the weights that have a fast companion.
        **kwargs: `keras.layers.Layer` arguments.
    """

    def __init__(self, sizes, num_chains, fast_shapes=(), **kwargs):
        super().__init__(**kwargs)

        def state(name, shape, initializer="zeros"):
            return self.add_weight(
                name=name,
                shape=shape,
                trainable=False,
                aggregation="only_first_replica",
                initializer=initializer,
            )

        def draw(shape, dtype):
            return tf.constant(np.random.binomial(1, 0.5, shape), dtype)

        self.states = [state(f"states_{i}", (num_chains, n), draw) for i, n in enumerate(sizes)]
        self.fast = [state(f"fast_{i}", shape) for i, shape in enumerate(fast_shapes)]
        self.built = True


class TrainedByChains(EnergyModel):
    """`EnergyModel` whose gradients are estimated: by chains, or without a partition function.

    Args:
        event_shape: shape of one example.
        estimator: one of the class's `_estimators`:

            - `"cd"`: contrastive divergence (Hinton 2002, "Training Products of Experts by
              Minimizing Contrastive Divergence"): chains of `gibbs_steps` from the data, biased;
            - `"pcd"`: persistent chains (Tieleman 2008, "Training Restricted Boltzmann Machines
              using Approximations to the Likelihood Gradient"), kept with the weights;
            - `"fpcd"`: these with fast weights (Tieleman and Hinton 2009, "Using Fast Weights to
              Improve Persistent Contrastive Divergence"), which mix faster;
            - `"pseudo_likelihood"` (Besag 1975): each value given all others, of binary data;
            - `"nce"`: noise-contrastive estimation (Gutmann and Hyvarinen 2010): a classifier of
              examples and of independent values of the same means.
        gibbs_steps: steps of the chains in one step of training.
        num_chains: number of persistent chains.
        fast_rate: rate of the fast weights of `"fpcd"`.
        **kwargs: `EnergyModel` arguments.

    Raises:
        ValueError: another `estimator`; persistent chains of a conditional model.
    """

    _estimators = tuple(_OBJECTIVES)
    _unordered_terms = frozenset({"contrast"})

    def __init__(
        self,
        event_shape,
        estimator="cd",
        gibbs_steps=1,
        num_chains=100,
        fast_rate=0.01,
        **kwargs,
    ):
        super().__init__(event_shape, **kwargs)
        if estimator not in self._estimators:
            raise ValueError(
                f"`estimator` must be one of {list(self._estimators)}; got {estimator!r}"
            )
        if estimator in _PERSISTENT and self.condition_shape is not None:
            raise ValueError(
                f"`estimator` {estimator!r} has chains that no condition belongs to: a conditional "
                'model takes "cd" or "pseudo_likelihood"'
            )
        if estimator == "pseudo_likelihood" and self.data_kind != "binary":
            raise ValueError(
                f'`estimator` "pseudo_likelihood" needs binary data; got {self.data_kind!r}'
            )
        self.estimator = estimator
        self._shifts = {}
        self.gibbs_steps = checks.check_count(gibbs_steps, "gibbs_steps")
        self.num_chains = checks.check_count(num_chains, "num_chains")
        self.fast_rate = checks.check_weight(fast_rate, "fast_rate")

    def _build_estimator(self, sizes):
        """Makes what the estimator keeps, for states of parts of these sizes."""
        self.chains = None
        if self.estimator in _PERSISTENT:
            fast = self._fast_weights() if self.estimator == "fpcd" else ()
            shapes = [tuple(weight.shape) for weight in fast]
            kind = {"name": "chains", "dtype": self.variable_dtype}
            self.chains = Chains(sizes, self.num_chains, shapes, **kind)
        if self.estimator == "nce":
            self.nce_log_partition = self.add_weight(
                name="nce_log_partition", shape=(), initializer="zeros"
            )

    def _fast_weights(self):
        return list(self._trainable_variables)

    @contextlib.contextmanager
    def _shifted(self, weights, shifts):
        """Scope in which `_weight` gives weights with something added to each."""
        self._shifts = {id(w): shift for w, shift in zip(weights, shifts, strict=True)}
        try:
            yield
        finally:
            self._shifts = {}

    def _weight(self, variable):
        """A weight as a tensor: what energies are computed with."""
        value = tf.convert_to_tensor(variable)
        shift = self._shifts.get(id(variable))
        return value if shift is None else value + shift

    # --- hooks of the contract ------------------------------------------------

    def _term_names(self):
        names = [_OBJECTIVES[self.estimator], "reconstruction"]
        if self.data_kind == "binary" and "pseudo_likelihood" in self._estimators:
            names.append("negative_pseudo_likelihood")
        return tuple(dict.fromkeys(names))

    def _terms_noise(self, seed, start, num_rows):
        return seed, tf.cast(start, tf.int64)

    def _terms(self, x, condition, noise, training):
        terms, states = self._terms_and_chains(x, condition, noise, training)
        if training and states:
            for kept, state in zip(self.chains.states, states, strict=True):
                kept.assign(tf.stop_gradient(state))
        return terms

    def _terms_and_chains(self, x, condition, noise, training):
        """The terms, and the states that persistent chains have after them: `()` without such."""
        seed, start = noise
        values, features = self._values(x), self._features(condition)
        states = ()
        if self.estimator == "pseudo_likelihood":
            loss = -self._pseudo_likelihood(values, features, seed, start, _NUM_FLIPS)
        elif self.estimator == "nce":
            loss = self._noise_contrast(values, features, seed, start)
        elif self.estimator == "cd":
            loss = self._contrast(values, features, seed, start)
        else:
            loss, states = self._persistent_contrast(values, features, seed, training)
        terms = {_OBJECTIVES[self.estimator]: loss, "loss": loss}
        terms["reconstruction"] = tf.stop_gradient(self._reconstruction_error(values, features))
        if "negative_pseudo_likelihood" in set(self.term_names) - set(terms):
            likelihood = self._pseudo_likelihood(values, features, seed, start, 1)
            terms["negative_pseudo_likelihood"] = -tf.stop_gradient(likelihood)
        return terms, states

    # The free energy of examples less that of chains: its gradient is that of the negative
    # log-likelihood, as far as the chains have come.

    def _contrast(self, values, features, seed, start):
        states = self._states_of(values, features, fold_in(seed, Stream.LATENTS), start)
        states = self._walk(states, features, seed, start, tf.constant(self.gibbs_steps))
        states = tf.nest.map_structure(tf.stop_gradient, states)
        return self._free_energy(values, features) + self._log_density(states, features, 1.0)

    def _persistent_contrast(self, values, features, seed, training):
        """The contrast, and the states of the chains."""
        states = tuple(tf.convert_to_tensor(state) for state in self.chains.states)
        if training:
            # The same on each replica, whose share of the batch has other rows.
            steps = tf.constant(self.gibbs_steps)
            states = self._walk_fast(values, features, states, seed, steps)
        states = tf.nest.map_structure(tf.stop_gradient, states)
        negative = tf.reduce_mean(self._log_density(states, features, 1.0))
        return self._free_energy(values, features) + negative, states

    def _walk_fast(self, values, features, states, seed, steps):
        """The chains after their steps; of fast weights by the sum of both."""
        if not self.chains.fast:
            return self._walk(states, features, seed, 0, steps)
        weights = self._fast_weights()
        shifts = [tf.zeros_like(w) for w in weights]
        # Before the weights are shifted: replicas, which take turns wherever they exchange
        # something, share this model.
        count = sum_over_replicas(tf.cast(tf.shape(values)[0], values.dtype))
        share = 1 / sum_over_replicas(tf.ones([], values.dtype))
        with (
            tf.GradientTape(watch_accessed_variables=False) as tape,
            self._shifted(weights, shifts),
        ):
            tape.watch(shifts)
            free = self._free_energy(tf.stop_gradient(values), features)
            loss = tf.reduce_sum(free) / count
            loss += share * tf.reduce_mean(self._log_density(states, features, 1.0))
        gradients = [sum_over_replicas(g) for g in tape.gradient(loss, shifts)]
        fast = [
            _FAST_DECAY * tf.convert_to_tensor(kept) - self.fast_rate * gradient
            for kept, gradient in zip(self.chains.fast, gradients, strict=True)
        ]
        for kept, value in zip(self.chains.fast, fast, strict=True):
            kept.assign(value)
        with self._shifted(weights, fast):
            states = self._walk(states, features, seed, 0, steps)
        return states

    def _noise_contrast(self, values, features, seed, start):
        """The loss of a classifier of examples and noise, Gutmann and Hyvarinen 2010, eq. 3."""
        num_rows = tf.shape(values)[0]
        noise = self._start_states(fold_in(seed, Stream.FAKES), start, num_rows)[0]
        odds = [self._log_odds(v, features) for v in (values, noise)]
        return tf.nn.softplus(-odds[0]) + tf.nn.softplus(odds[1])

    def _log_odds(self, values, features):
        """The logarithm of how much likelier values are by the model than by noise."""
        log_partition = self._log_base_partition() + self.nce_log_partition
        return -self._free_energy(values, features) - log_partition - self._log_base(values)

    def _pseudo_likelihood(self, values, features, seed, start, num_flips):
        """Sum of the log-probabilities of values given all others, `[batch]`; where there are more
        than `num_flips`, by as many of them."""
        num_rows, size = tf.shape(values)[0], self.num_dims
        if size <= num_flips:
            chosen = tf.broadcast_to(tf.range(size)[None], [num_rows, size])
        else:
            uniform = row_uniform(
                fold_in(seed, Stream.BETWEEN), start, num_rows, (num_flips,), values.dtype
            )
            # One of each stretch, so that none comes twice.
            edges = np.linspace(0, size, num_flips + 1)
            low, width = (tf.constant(v, values.dtype) for v in (edges[:-1], np.diff(edges)))
            chosen = tf.minimum(tf.cast(low + width * uniform, tf.int32), size - 1)
        # What the free energy rises by where one value is another.
        rises = self._flip_rises(values, features, chosen)
        share = tf.cast(size / min(size, num_flips), values.dtype)
        return -share * tf.reduce_sum(tf.nn.softplus(-rises), 1)

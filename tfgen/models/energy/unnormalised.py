"""Densities known up to their partition function, and how that is found and kept."""

import math

import numpy as np
import tensorflow as tf

from tfgen.core.model import GenerativeModel
from tfgen.metrics import ais
from tfgen.metrics.annealing import Annealed
from tfgen.metrics.annealing import AnnealingPath
from tfgen.utils import checks

# States of units that are enumerated, at most: 2^20.
_MOST_STATES = 20
# States enumerated at a time.
_CHUNK = 2**12
_ANNEALED, _ENUMERATED = 1, 2


class Unnormalised(GenerativeModel):
    """Model of a density whose partition function is not known before `estimate_partition`.

    A subclass gives `_log_unnormalised`, and the hooks of `EnergyModel` that walk the path to it.

    Arguments as for `GenerativeModel`.
    """

    _likelihoods = ("unnormalised", "estimate", "exact")
    # Whether `_log_unnormalised` is no bound.
    _free_energy_is_exact = True

    def _build_parts(self):
        labels = [self.num_classes] if self._has_labels_alone else []
        # The estimate, and the ends of its interval; for each label, where there are labels.
        self.log_partition = self._state("log_partition", np.zeros([3, *labels]), "float64")
        # Of the weights that it is of.
        self.partition_sums = self._state("partition_sums", np.zeros(2), "float64")
        self.partition_kind = self._state("partition_kind", np.array(0), "int32")

    @property
    def _has_labels_alone(self):
        return bool(self.num_classes) and not self.condition_shape

    @property
    def likelihood(self):
        """`"unnormalised"`; `"estimate"`, `"exact"` or `"bound"` once the partition function is
        known."""
        if not self.built:
            return "unnormalised"
        # In the middle of tracing, too.
        with tf.init_scope():
            kind = int(self.partition_kind.numpy())
            if kind and not np.allclose(self._weight_sums(), self.partition_sums.numpy(), 1e-9):
                kind = 0
        if kind == _ENUMERATED:
            return "exact" if self._free_energy_is_exact else "bound"
        return "estimate" if kind else "unnormalised"

    # --- what users call ------------------------------------------------------

    def estimate_partition(
        self, method="ais", num_chains=100, num_steps=10_000, condition=None, seed=0
    ):
        """Estimates the partition function and keeps it with the weights: `log_prob` needs it.

        Args:
            method: `"ais"`, annealed importance sampling (`tfgen.metrics.ais`), or `"enumeration"`,
                the sum over all states, of models of few units.
            num_chains: number of annealed chains.
            num_steps: steps of each.
            condition: None; of a model with labels the partition functions of all are estimated,
                one with vectors has none that could be kept.
            seed: integer or two integers.

        Returns:
            `tfgen.metrics.annealing.Annealed`, or a list of them, one for each label. Of sums all
            ends of intervals are the sum itself.

        Raises:
            ValueError: a model that is conditional on vectors, or too large to enumerate.

        Warns:
            RuntimeWarning: as `tfgen.metrics.ais` does.

        >>> import tfgen
        >>> model = tfgen.RBM(6, num_hidden=4)
        >>> found = model.estimate_partition(num_chains=20, num_steps=30)
        >>> model.likelihood, found.low < found.log_partition < found.high
        ('estimate', True)
        >>> model.estimate_partition(method="enumeration").reverse is None
        True
        """
        methods = ("ais", "enumeration")
        if method not in methods:
            raise ValueError(f"`method` must be one of {list(methods)}; got {method!r}")
        if condition is not None or (self.condition_shape and len(self.condition_shape)):
            raise ValueError(
                f"`estimate_partition` of a {type(self).__name__} needs no vectors as conditions, "
                "as each of them has a partition function of its own"
            )
        labels = [None] if self.num_classes is None else range(self.num_classes)
        found = []
        for label in labels:
            if method == "ais":
                path = self.annealing_path(label)
                found.append(ais(path, num_chains, num_steps, seed=seed))
            else:
                total = float(self._enumerated(label))
                found.append(Annealed(total, total, total, None, math.inf, 1, 1))
        values = np.array([[f.log_partition, f.low, f.high] for f in found]).T
        self.log_partition.assign(values if self.num_classes else values[:, 0])
        self.partition_kind.assign(_ANNEALED if method == "ais" else _ENUMERATED)
        self.partition_sums.assign(self._weight_sums())
        return found if self.num_classes else found[0]

    def annealing_path(self, label=None):
        """Distributions from independent values to this model, for `tfgen.metrics.ais`.

        Args:
            label: the label that is given, of a model with labels.

        Returns:
            `tfgen.metrics.annealing.AnnealingPath`.

        >>> import tfgen
        >>> path = tfgen.RBM(6, num_hidden=4).annealing_path()
        >>> round(float(path.log_partition), 3)  # of ten units of two states
        6.931
        """
        features = self._features_of(label)
        return AnnealingPath(
            self._start_states,
            lambda states, beta: self._log_density(states, features, beta),
            lambda states, beta, seed, start: self._gibbs(states, features, seed, start, beta),
            self._log_base_partition(),
        )

    # --- machinery ------------------------------------------------------------

    def _weight_sums(self):
        """Sum and sum of squares of the weights, by which others are told from them, however they
        came to be: by training, a loop of one's own, a file or by hand."""
        # Frozen ones among them.
        weights = [w for layer in self._flatten_layers() for w in layer._trainable_variables]
        flat = [w.numpy().ravel().astype("float64") for w in weights]
        return np.array([sum(v.sum() for v in flat), sum(v @ v for v in flat)])

    def _features_of(self, label):
        if self.num_classes is None:
            return None
        label = checks.check_int(label, "label", 0, self.num_classes - 1)
        return self._features(tf.constant([label]))

    def _enumerated(self, label):
        """The logarithm of the sum over all states."""
        count, which, sizes = self._enumerable() or (math.inf, None, None)
        if count > _MOST_STATES:
            raise ValueError(
                f'`method="enumeration"` needs a layer of at most {_MOST_STATES} units of two '
                'states; take "ais"'
            )
        features, total = self._features_of(label), -math.inf
        for start in range(0, 2**count, _CHUNK):
            number = np.arange(start, min(start + _CHUNK, 2**count))
            bits = (number[:, None] >> np.arange(count)) & 1
            parts = np.split(bits.astype(self.variable_dtype), np.cumsum(sizes)[:-1], axis=1)
            logs = self._density(which, parts, features, 1.0)
            total = np.logaddexp(total, float(tf.reduce_logsumexp(tf.cast(logs, tf.float64))))
        return total

    def _require_likelihood(self):
        if not self.has_likelihood:
            with tf.init_scope():
                known = int(self.partition_kind.numpy())
            why = "was estimated for other weights" if known else "is not known"
            raise ValueError(
                f"the partition function of this {type(self).__name__} {why}: call "
                "`estimate_partition()` first, or take `log_prob_unnormalised`"
            )
        # The parent's would sum all weights again.
        self.require_samples()

    # --- hooks of the contract ------------------------------------------------

    def _log_weight(self, x, condition, noise):
        log_unnormalised = self._log_unnormalised(x, condition, noise)
        return log_unnormalised - self._log_partition_of(condition)

    def _log_partition_of(self, condition):
        log_partition = tf.cast(self.log_partition, self.variable_dtype)[0]
        if not self._has_labels_alone:
            return log_partition
        return tf.gather(log_partition, tf.cast(condition, tf.int32))

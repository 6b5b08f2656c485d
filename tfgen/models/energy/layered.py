"""Layers of units, each linked to the next alone."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.energy.estimators import TrainedByChains
from tfgen.models.energy.mean_field import negative_entropy
from tfgen.models.energy.units import Bernoulli
from tfgen.models.energy.units import Categorical
from tfgen.models.energy.units import Normal
from tfgen.models.energy.units import Rectified
from tfgen.utils import checks
from tfgen.utils.random import fold_in

HIDDEN = {"bernoulli": Bernoulli, "relu": Rectified}


class Layered(TrainedByChains):
    """Energy model of a visible and some hidden layers, each linked to the next alone.

    So all layers of even number are independent given those between, and the other way round: a
    Gibbs step draws all of these, then all of those. A state of a chain is the even layers, the
    visible one first; the odd ones are summed out.

    The energy is `-sum_i bias_i s_i - sum_i s_i kernel_i s_(i+1)`, plus `x^2 / (2 variance)` of
    normal values, whose bias and links are divided by the variance (Cho et al. 2011, "Improved
    Learning of Gaussian-Bernoulli Restricted Boltzmann Machines"), and `h^2 / 2` of rectified
    units.

    Args:
        event_shape: shape of one example.
        hidden_units: width of each hidden layer.
        hidden: kind of the hidden units, `"bernoulli"` or `"relu"`.
        num_bits: bits of a value that the model sees of uint8 data, each a unit of `2^num_bits`
            states.
        **kwargs: `TrainedByChains` arguments.
    """

    _kinds = ("binary", "real", "uint8")
    # Of several hidden layers.
    mean_field_steps = 20
    # Number of the lowest layer whose links go both ways.
    _bottom = 0
    _latents = "_num_hidden_units"

    def __init__(self, event_shape, hidden_units, hidden="bernoulli", **kwargs):
        super().__init__(event_shape, **kwargs)
        sizes = [checks.check_count(size, "hidden_units") for size in hidden_units]
        if hidden not in HIDDEN:
            raise ValueError(f"`hidden` must be one of {list(HIDDEN)}; got {hidden!r}")
        if hidden == "relu" and self.data_kind == "real":
            raise ValueError(
                '`hidden` "relu" is for binary and uint8 data: with normal values the energy has '
                "no lower bound"
            )
        self.hidden = hidden
        self.units = [self._visible_units(), *(HIDDEN[hidden](size) for size in sizes)]

    def _visible_units(self):
        if self.data_kind == "uint8":
            return Categorical(self.num_dims, 2**self.num_bits)
        return {"binary": Bernoulli, "real": Normal}[self.data_kind](self.num_dims)

    def _build_parts(self):
        super()._build_parts()
        num_fields = [units.num_fields for units in self.units]
        self.biases = [
            self.add_weight(name=f"bias_{i}", shape=(n,), initializer="zeros")
            for i, n in enumerate(self._bias_sizes(num_fields))
        ]
        self.kernels = self._build_links(num_fields)
        self.log_variance = None
        if self.data_kind == "real":
            self.log_variance = self.add_weight(
                name="log_variance", shape=(self.num_dims,), initializer="zeros"
            )
        # The fields of independent values with the means of the data, where chains start.
        self.base_field = self._state("base_field", np.zeros(num_fields[0]), self.variable_dtype)
        self.condition_layer = None
        if self.features_shape is not None:
            self.condition_layer = keras.layers.Dense(
                sum(num_fields), use_bias=False, name="condition", dtype=self.variable_dtype
            )
            self.condition_layer.build(self.features_shape)
        self._build_estimator([units.size for units in self.units[self._bottom :: 2]])

    def _bias_sizes(self, num_fields):
        """Numbers of biases of the layers: one for each field, or for each map of such."""
        return num_fields

    def _build_links(self, num_fields):
        # Small ones, Hinton 2010, section 8.
        pairs = enumerate(zip(num_fields[:-1], num_fields[1:], strict=True))
        return [
            self.add_weight(
                name=f"kernel_{i}",
                shape=shape,
                initializer=keras.initializers.RandomNormal(stddev=0.01),
            )
            for i, shape in pairs
        ]

    @property
    def _scales_x(self):
        return self.data_kind == "real"

    @property
    def _free_energy_is_exact(self):
        return len(self.units) == 2

    @property
    def latent_shape(self):
        """Shape of the hidden units, those of all layers one after the other."""
        return (self._num_hidden_units,) if self.built else None

    @property
    def _num_hidden_units(self):
        return sum(self._hidden_sizes)

    @property
    def _hidden_sizes(self):
        return [units.size for units in self.units[1:]]

    # --- cores of latents -----------------------------------------------------

    def _energy(self, x, hidden, condition):
        values, biases = self._values(x), self._biases(self._features(condition))
        hidden = tf.split(hidden, self._hidden_sizes, -1)
        total = self._mean_energy(values, [self.units[0].inputs(values), *hidden], biases)
        return total + sum(u.quadratic(h) for u, h in zip(self.units[1:], hidden, strict=True))

    def _encode(self, x, condition):
        means = self._means(self._values(x), self._biases(self._features(condition)))
        return tf.concat(means[1:], -1)

    def _decode(self, z, condition):
        first = tf.split(z, self._hidden_sizes, -1)[0]
        field = self._biases(self._features(condition))[0] + self._down(0, first)
        half = tf.fill([tf.shape(field)[0], self.num_dims], tf.constant(0.5, field.dtype))
        return self._as_data(self.units[0].draw(half, field, self._precision(), 0.0))

    # --- examples and values --------------------------------------------------

    def _values(self, x):
        """Values as units have them, `[batch, D]`: reals standardised, levels from 0."""
        x = tf.cast(x, self.variable_dtype)
        if self.data_kind == "real":
            x = (x - self.x_loc) / self.x_scale
        elif self.data_kind == "uint8":
            x = tf.floor(x / 2 ** (8 - self.num_bits))
        return tf.reshape(x, [-1, self.num_dims])

    def _examples(self, states, features, seed, start, temperature):
        return self._as_data(states[0])

    def _as_data(self, values):
        x = tf.reshape(values, [-1, *self.event_shape])
        if self.data_kind == "real":
            return x * self.x_scale + self.x_loc
        return tf.cast(x * (2 ** (8 - self.num_bits) if self.data_kind == "uint8" else 1), tf.uint8)

    def _log_units(self):
        if self.data_kind != "real":
            return super()._log_units()
        return tf.reduce_sum(tf.math.log(tf.broadcast_to(self.x_scale, self.event_shape)))

    # --- fields ---------------------------------------------------------------

    def _product(self, values, kernel, transpose=False):
        values, kernel = (tf.cast(v, self.compute_dtype) for v in (values, kernel))
        return tf.cast(tf.matmul(values, kernel, transpose_b=transpose), self.variable_dtype)

    def _biases(self, features):
        """The biases of all layers, `[1 or batch, num_fields]`; normal ones by their precision."""
        biases = [self._weight(bias)[None] for bias in self.biases]
        # Of maps each has one.
        biases = [
            tf.tile(bias, [1, units.num_fields // bias.shape[1]])
            for bias, units in zip(biases, self.units, strict=True)
        ]
        if features is not None:
            sizes = [units.num_fields for units in self.units]
            offsets = tf.split(self.condition_layer(features), sizes, -1)
            biases = [bias + offset for bias, offset in zip(biases, offsets, strict=True)]
        if self.log_variance is not None:
            biases[0] *= self._precision()
        return biases

    def _precision(self):
        return None if self.log_variance is None else tf.exp(-self._weight(self.log_variance))

    def _up(self, i, inputs):
        """The fields that layer `i` gives to the one above it."""
        if i == 0 and self.log_variance is not None:
            inputs *= self._precision()
        return self._product(inputs, self._weight(self.kernels[i]))

    def _down(self, i, inputs):
        """The fields that layer `i + 1` gives to layer `i`."""
        field = self._product(inputs, self._weight(self.kernels[i]), transpose=True)
        return field * self._precision() if i == 0 and self.log_variance is not None else field

    def _numbers(self, parity):
        """The numbers of every other layer, from the lowest or the next on."""
        return range(self._bottom + parity, len(self.units), 2)

    def _fields(self, parity, inputs, biases):
        """The fields of the layers of a parity, given the inputs of those of the other."""
        fields = []
        for i in self._numbers(parity):
            field = biases[i]
            if i > self._bottom:
                field += self._up(i - 1, inputs[i - 1])
            if i + 1 < len(self.units):
                field += self._down(i, inputs[i + 1])
            fields.append(field)
        return fields

    def _tempered(self, i, field, beta):
        """Field and precision of a layer between independent values and the model."""
        field = beta * field
        if i:
            return field, None
        field += (1 - beta) * self.base_field
        precision = self._precision()
        return field, None if precision is None else 1 - beta + beta * precision

    def _inputs(self, parity, states):
        """Dict from the numbers of layers of a parity to their inputs."""
        numbered = zip(self._numbers(parity), states, strict=True)
        return {i: self.units[i].inputs(values) for i, values in numbered}

    # --- hooks of an energy ---------------------------------------------------

    def _density(self, parity, states, features, beta):
        """The log of the sum over the layers of the other parity, `[n]`."""
        beta = tf.cast(beta, self.variable_dtype)
        inputs, biases = self._inputs(parity, states), self._biases(features)
        total = 0.0
        for (i, own), values in zip(inputs.items(), states, strict=True):
            field, precision = self._tempered(i, biases[i], beta)
            total += tf.reduce_sum(own * field, -1) - self.units[i].quadratic(values, precision)
        fields = self._fields(1 - parity, inputs, biases)
        for i, field in zip(self._numbers(1 - parity), fields, strict=True):
            total += self.units[i].log_normaliser(*self._tempered(i, field, beta))
        return total

    def _log_density(self, states, features, beta):
        return self._density(0, states, features, beta)

    def _gibbs(self, states, features, seed, start, beta, temperature=1.0):
        beta = tf.cast(beta, self.variable_dtype)
        biases, number = self._biases(features), 0
        for parity in (1, 0):
            inputs, drawn = self._inputs(1 - parity, states), []
            fields = self._fields(parity, inputs, biases)
            for i, field in zip(self._numbers(parity), fields, strict=True):
                field, precision = self._tempered(i, field, beta)
                noise = fold_in(seed, number)
                drawn.append(self.units[i].sample(noise, start, field, precision, temperature))
                number += 1
            states = tuple(drawn)
        return states

    def _start_states(self, seed, start, num_rows, temperature=1.0):
        drawn = []
        for number, i in enumerate(self._numbers(0)):
            units = self.units[i]
            zero = tf.zeros([num_rows, units.num_fields], self.variable_dtype)
            field, precision = self._tempered(i, zero, 0.0)
            noise = fold_in(seed, number)
            drawn.append(units.sample(noise, start, field, precision, temperature))
        return tuple(drawn)

    def _log_base(self, values):
        """Log-density of independent values of the data's means, `[n]`, up to its constant."""
        zero = tf.zeros([1, self.units[0].num_fields], self.variable_dtype)
        return self.units[0].log_prob(values, *self._tempered(0, zero, 0.0))

    def _base_of(self, i):
        zero = tf.zeros([1, self.units[i].num_fields], self.variable_dtype)
        return self.units[i].log_normaliser(*self._tempered(i, zero, 0.0))[0]

    def _log_base_partition(self):
        return sum(self._base_of(i) for i in range(self._bottom, len(self.units)))

    def _states_of(self, values, features, seed, start):
        """States whose visible layer is given, the others drawn by their means."""
        if len(self.units) == 2:
            return (values,)
        means, drawn = self._means(values, self._biases(features)), [values]
        for i in range(2, len(self.units), 2):
            odds = tf.math.log(means[i]) - tf.math.log1p(-means[i])
            drawn.append(self.units[i].sample(fold_in(seed, i), start, odds))
        return tuple(drawn)

    def _free_energy(self, values, features):
        if len(self.units) == 2:
            return -self._log_density((values,), features, 1.0)
        biases = self._biases(features)
        # At the means where the bound has no slope in them.
        means = self._means(values, biases)
        means = [means[0], *(tf.stop_gradient(mean) for mean in means[1:])]
        total = self._mean_energy(values, means, biases)
        return total + sum(tf.reduce_sum(negative_entropy(mean), -1) for mean in means[1:])

    def _mean_energy(self, values, means, biases):
        """The energy of values with independent hidden units of these means, `[batch]`."""
        total = 0.0
        for i, mean in enumerate(means):
            field = biases[i] if i == 0 else biases[i] + self._up(i - 1, means[i - 1])
            total -= tf.reduce_sum(mean * field, -1)
        return total + self.units[0].quadratic(values, self._precision())

    def _means(self, values, biases):
        """List of the inputs of the visible and the means of the hidden layers given values; of
        several hidden layers those of the mean field."""
        means = [self.units[0].inputs(values)]
        if len(self.units) == 2:
            return [*means, self.units[1].mean(biases[1] + self._up(0, means[0]))]
        for i in range(1, len(self.units)):
            # As if what is above gave what is below gives (Salakhutdinov and Hinton 2009).
            twice = 2.0 if i + 1 < len(self.units) else 1.0
            means.append(tf.sigmoid(biases[i] + twice * self._up(i - 1, means[i - 1])))
        _, means = tf.while_loop(
            lambda i, _: i < self.mean_field_steps,
            lambda i, means: (i + 1, self._next_means(means, biases)),
            (tf.constant(0), means),
        )
        return means

    def _next_means(self, means, biases):
        """One step of the mean field: the hidden layers of even number, then the others."""
        means = list(means)
        for parity in (0, 1):
            fields = self._fields(parity, means, biases)
            for i, field in zip(self._numbers(parity), fields, strict=True):
                if i:
                    means[i] = tf.sigmoid(field)
        return means

    def _reconstruction_error(self, values, features):
        """Negative log-density of examples given the means of what they make of the first hidden
        layer, `[batch]`."""
        biases = self._biases(features)
        means = self._means(values, biases)
        field = biases[0] + self._down(0, means[1])
        return -self.units[0].log_prob(values, field, self._precision())

    def _enumerable(self):
        """The number of units, the parity and the sizes of the layers of that with the fewest units
        of two states, or None."""
        found = []
        for parity in (0, 1):
            units = [self.units[i] for i in self._numbers(parity)]
            if all(u.num_states == 2 for u in units):
                found.append((sum(u.size for u in units), parity, [u.size for u in units]))
        return min(found, default=None)

    # --- initialisation -------------------------------------------------------

    def _is_adaptive(self):
        return self.data_kind != "real"

    # As many random rows as there are, up to 4,096.
    num_init_batches = None

    def _initialise(self, parts):
        """Sets the visible biases from the means of the data, Hinton 2010, section 8.1."""
        inputs = [self.units[0].inputs(self._values(x)) for x, *_ in parts]
        count = sum(len(part) for part in inputs)
        mean = sum(tf.reduce_sum(part, 0) for part in inputs)
        # One more of each state, so that no value is certain.
        states = self.units[0].num_states
        mean = (mean + 1) / (count + states)
        field = tf.math.log(mean)
        if states == 2:
            field -= tf.math.log1p(-mean)
        self.biases[0].assign(field)
        self.base_field.assign(field)

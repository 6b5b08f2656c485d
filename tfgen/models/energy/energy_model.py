"""EnergyModel: energies, and the chains that sample them."""

import tensorflow as tf

from tfgen.core.chains import sample_chains
from tfgen.core.symbolic import for_each_row
from tfgen.models.energy.unnormalised import Unnormalised
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_seeds_of
from tfgen.utils.random import row_uniform


class EnergyModel(Unnormalised):
    """Model of a density `exp(-free_energy(x)) / Z`, whose partition function Z is not known.

    `likelihood` is `"unnormalised"`, and `log_prob` refuses, until `estimate_partition` has been
    called; then it is `"estimate"`, or where all states were summed over `"exact"`, and `"bound"`
    where the free energy is a bound. Other weights make it `"unnormalised"` again. `model(x)`
    and `predict` give `log_prob_unnormalised`.

    Samples are the last states of Gibbs chains, one for each sample.

    A subclass implements the hooks at the end of the class. Conditions are labels, vectors or both.

    Args:
        event_shape: shape of one example.
        data_kind: one of the `_kinds` of the class.
        sample_steps: steps of the chains of `sample`.
        **kwargs: `GenerativeModel` arguments.

    Raises:
        ValueError: another `data_kind`, or conditions that are no vectors.
    """

    _kinds = ("binary",)
    _y_kinds = ("label", "vector")
    _sampling = "a chain"
    _minimises = "contrast or negative_pseudo_likelihood"

    def __init__(self, event_shape, data_kind="binary", sample_steps=1000, **kwargs):
        super().__init__(event_shape, data_kind=data_kind, **kwargs)
        self.sample_steps = checks.check_count(sample_steps, "sample_steps")

    # --- what users call ------------------------------------------------------

    def energy(self, x, hidden=None, condition=None, batch_size=256):
        """Energies of examples together with hidden units, `[n]`, in nats.

        Args:
            x: `[n, *event_shape]`.
            hidden: `[n, hidden units]`, those of several layers one after the other; None for a
                model without such.
            condition: as in `log_prob`.
            batch_size: rows computed at a time.

        >>> import tfgen
        >>> tfgen.RBM(2, num_hidden=3).energy([[0, 1]], [[0, 0, 0]]).shape
        TensorShape([1])
        """
        if (hidden is None) == bool(self._num_hidden_units):
            raise ValueError(
                f"`hidden` must be {self._num_hidden_units or 'None, of no'} hidden units; got "
                f"{'None' if hidden is None else 'some'}"
            )
        rows = {"x": x} if hidden is None else {"x": x, "hidden": hidden}
        return self._map_rows("energy", condition, batch_size, None, rows, {})

    def free_energy(self, x, condition=None, batch_size=256):
        """`-log sum_h exp(-energy(x, h))`, up to a constant that no weight changes, in nats.

        Args:
            x: `[n, *event_shape]`.
            condition: as in `log_prob`.
            batch_size: rows computed at a time.

        Returns:
            `[n]` tensor; of a model of several hidden layers its mean-field bound from above.

        >>> import tfgen
        >>> tfgen.RBM(2, num_hidden=1).free_energy([[0, 1], [1, 1]]).shape
        TensorShape([2])
        """
        return -self.log_prob_unnormalised(x, condition, batch_size)

    def log_prob_unnormalised(self, x, condition=None, batch_size=256):
        """`log_prob` plus the logarithm of the partition function, in nats: `[n]`.

        Arguments as in `free_energy`.

        >>> import tfgen
        >>> model = tfgen.RBM(2, num_hidden=1)
        >>> (model.log_prob_unnormalised([[0, 1]]) + model.free_energy([[0, 1]])).numpy().tolist()
        [0.0]
        """
        # As of `log_prob`, the noise where there is any.
        return self._map_examples("log_prob_unnormalised", x, condition, batch_size, 0)

    def sample(
        self,
        num_samples,
        condition=None,
        temperature=1.0,
        seed=None,
        batch_size=256,
        per_condition=False,
        num_steps=None,
        from_data=None,
        num_temperatures=1,
    ):
        """Draws examples: the last states of as many Gibbs chains.

        Args:
            num_samples: number of examples.
            condition: one condition for all, or one for each sample.
            temperature: temperature of the chains, `p(x, h)^(1 / temperature)`; 0 for the way
                downhill from the likeliest start, which is the same for all.
            seed: integer or two integers; None draws afresh.
            batch_size: chains at a time.
            per_condition: True for `num_samples` examples of each of n conditions.
            num_steps: steps of each chain; None for `sample_steps`.
            from_data: examples that the chains start from, `[num_samples, *event_shape]`; None for
                noise.
            num_temperatures: number of chains for each example, at inverse temperatures from 1 down
                to that of the noise, which exchange their states after each step (parallel
                tempering; Desjardins et al. 2010, "Parallel Tempering for Training of Restricted
                Boltzmann Machines", AISTATS): so that examples come from all modes.

        Returns:
            `[num_samples, *event_shape]` tensor, or `[n, num_samples, *event_shape]`.

        Raises:
            ValueError: for a bad argument, by its name.
        """
        if num_steps is None and from_data is None and num_temperatures == 1:
            return super().sample(
                num_samples, condition, temperature, seed, batch_size, per_condition
            )
        num_temperatures = checks.check_count(num_temperatures, "num_temperatures")
        common = condition, seed, batch_size, per_condition, num_steps, from_data
        if num_temperatures == 1:
            temperature = self._as_temperature(temperature)
            return sample_chains(self, num_samples, *common, temperature=temperature)
        if from_data is not None or temperature != 1:
            raise ValueError(
                "`num_temperatures` must be 1 where chains start `from_data` or have a "
                f"`temperature` of their own; got {num_temperatures}"
            )
        count = tf.constant(num_temperatures)
        return sample_chains(
            self, num_samples, *common, core="tempered_chain", num_temperatures=count
        )

    # --- machinery ------------------------------------------------------------

    # Number of units that an example says nothing of.
    _num_hidden_units = 0

    def _log_units(self):
        """The logarithm of the unit that values are measured in, in the data's."""
        return tf.zeros([], self.variable_dtype)

    def _argument_specs(self):
        count, hidden = tf.TensorSpec([], tf.int32, name="num_temperatures"), None
        if self._num_hidden_units:
            shape = [None, self._num_hidden_units]
            hidden = tf.TensorSpec(shape, self.variable_dtype, name="hidden")
        return {**super()._argument_specs(), "num_temperatures": count, "hidden": hidden}

    def _walk(self, states, features, seed, start, num_steps, temperature=1.0):
        """The states of chains after `num_steps` steps."""
        seed = fold_in(seed, Stream.CHAINS)

        def body(i, states):
            noise = fold_in(seed, i)
            return i + 1, self._gibbs(states, features, noise, start, 1.0, temperature)

        return tf.while_loop(lambda i, _: i < num_steps, body, (tf.constant(0), states))[1]

    def _chain_of(self, states, features, seed, start, num_steps, temperature=1.0):
        """The examples that chains from these states end in."""
        states = self._walk(states, features, seed, start, num_steps, temperature)
        return self._examples(states, features, fold_in(seed, Stream.DATA), start, temperature)

    # --- cores ----------------------------------------------------------------

    def _log_prob_unnormalised(self, x, condition, seed, start):
        noise = self._log_prob_noise(seed, start, tf.shape(x)[0])
        return self._log_unnormalised(x, condition, noise)

    def _chain(self, condition, num_rows, seed, start, num_steps, temperature):
        features, seed = self._features(condition), fold_in(seed, Stream.SAMPLES)
        noise = fold_in(seed, Stream.LATENTS)
        states = self._start_states(noise, start, num_rows, temperature)
        return self._chain_of(states, features, seed, start, num_steps, temperature)

    def _chain_from(self, x, condition, seed, start, num_steps, temperature):
        features, seed = self._features(condition), fold_in(seed, Stream.SAMPLES)
        states = self._states_of(self._values(x), features, fold_in(seed, Stream.LATENTS), start)
        return self._chain_of(states, features, seed, start, num_steps, temperature)

    def _tempered_chain(self, condition, num_rows, seed, start, num_steps, num_temperatures):
        count, seed = num_temperatures, fold_in(seed, Stream.SAMPLES)
        own = features = self._features(condition)
        if features is not None:
            own = for_each_row(features, num_rows)
            features = tf.repeat(own, count, axis=0)
        # The chains of an example are rows one after the other, the model's own the first.
        first, numbers = start * tf.cast(count, start.dtype), tf.range(num_rows * count)
        top = tf.cast(tf.maximum(count - 1, 1), self.variable_dtype)
        betas = 1 - tf.cast(numbers % count, self.variable_dtype)[:, None] / top
        states = self._start_states(fold_in(seed, Stream.LATENTS), first, num_rows * count)
        steps = fold_in(seed, Stream.CHAINS)

        def body(i, states):
            noise = fold_in(steps, i)
            states = self._gibbs(states, features, noise, first, betas)
            # The neighbour on the one side, then that on the other; at the ends none.
            side = tf.where((numbers % count + i) % 2 == 0, 1, -1)
            place = numbers % count + side
            other = numbers + tf.where((place >= 0) & (place < count), side, 0)
            theirs = tf.nest.map_structure(lambda s: tf.gather(s, other), states)
            gain = self._log_density(theirs, features, betas)
            gain -= self._log_density(states, features, betas)
            noise = fold_in(noise, Stream.BETWEEN)
            uniform = row_uniform(noise, first, num_rows * count, (), gain.dtype)
            # One draw for both of a pair.
            uniform = tf.gather(uniform, tf.minimum(numbers, other))
            swapped = tf.math.log(uniform) < gain + tf.gather(gain, other)
            return i + 1, tf.nest.map_structure(
                lambda own, their: tf.where(_beside(swapped, own), their, own), states, theirs
            )

        _, states = tf.while_loop(lambda i, _: i < num_steps, body, (tf.constant(0), states))
        states = tf.nest.map_structure(lambda s: s[::count], states)
        return self._examples(states, own, fold_in(seed, Stream.DATA), start, 1.0)

    # --- hooks of the contract ------------------------------------------------

    def _log_unnormalised(self, x, condition, noise):
        """`_log_weight` but for the partition function, `[batch]`."""
        return -self._free_energy(self._values(x), self._features(condition)) - self._log_units()

    def _outputs(self, x, condition, seed, start):
        return self._log_prob_unnormalised(x, condition, seed, start)

    def _sample_noise(self, seed, start, num_rows):
        return row_seeds_of(seed, start, num_rows)

    def _generate(self, noise, condition, temperature):
        seeds, rows = noise
        steps, features = tf.constant(self.sample_steps), self._features(condition)
        start = self._start_states(
            fold_in(seeds, Stream.LATENTS), rows, tf.shape(rows)[0], temperature
        )
        return self._chain_of(start, features, seeds, rows, steps, temperature)

    # --- hooks of an energy ---------------------------------------------------

    # A state of a chain is a tuple of tensors `[n, ...]`; `features` are those of a condition, and
    # `beta`, a scalar or `[n, 1]`, the inverse temperature between independent values, 0, and the
    # model, 1. What a state does not have is summed out.

    def _values(self, x):
        """Examples as the energy takes them."""
        raise NotImplementedError(f"{type(self).__name__} must implement _values")

    def _free_energy(self, values, features):
        """`[batch]`, or a bound of it from above."""
        raise NotImplementedError(f"{type(self).__name__} must implement _free_energy")

    def _energy(self, x, hidden, condition):
        """`[batch]`, of examples and hidden units."""
        raise NotImplementedError(f"{type(self).__name__} must implement _energy")

    def _log_density(self, states, features, beta):
        """`[n]`, up to the partition function."""
        raise NotImplementedError(f"{type(self).__name__} must implement _log_density")

    def _gibbs(self, states, features, seed, start, beta, temperature=1.0):
        """The states after a step."""
        raise NotImplementedError(f"{type(self).__name__} must implement _gibbs")

    def _start_states(self, seed, start, num_rows, temperature=1.0):
        """States of `beta` 0."""
        raise NotImplementedError(f"{type(self).__name__} must implement _start_states")

    def _states_of(self, values, features, seed, start):
        """States of examples, what is hidden drawn."""
        raise NotImplementedError(f"{type(self).__name__} must implement _states_of")

    def _examples(self, states, features, seed, start, temperature):
        """Examples of states, in the data's type."""
        raise NotImplementedError(f"{type(self).__name__} must implement _examples")

    def _log_base_partition(self):
        """The logarithm of the partition function at `beta` 0."""
        raise NotImplementedError(f"{type(self).__name__} must implement _log_base_partition")

    def _enumerable(self):
        """Units of two states that the partition function is a sum over: their number, a number
        that `_density` takes, and the sizes of the parts of a state; None where it is none."""
        return None

    def _density(self, which, states, features, beta):
        """`_log_density` of the states that `_enumerable` names, `[n]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement _density")


def _beside(by_row, values):
    """Values of rows `[n]` in the shape of others, `[n, 1, ...]`."""
    return tf.reshape(by_row, [-1] + [1] * (values.shape.rank - 1))

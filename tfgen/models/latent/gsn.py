"""GSN: a chain of corruption and reconstruction whose states are samples."""

import keras
import tensorflow as tf

from tfgen.core.chains import sample_chains
from tfgen.core.model import GenerativeModel
from tfgen.distributions import Bernoulli
from tfgen.distributions import Factorised
from tfgen.networks import MLP
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_seeds_of
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class GSN(GenerativeModel):
    """Generative stochastic network (Bengio et al. 2014, "Deep Generative Stochastic Networks
    Trainable by Backprop", arXiv:1306.1091): an example is corrupted and drawn again given what is
    left, over and over; a network learns to undo the corruption, and the chain samples.

    Corruption replaces each value with a probability by a fair coin's. With walk-back the chain
    itself runs for some steps from an example, and the network learns to get back from each (Bengio
    et al. 2013, "Generalized Denoising Auto-Encoders as Generative Models", arXiv:1305.6663,
    section 4); of one step it is a denoising autoencoder.

    There is no `log_prob`: the density is the chain's stationary one, which nobody knows. A Parzen
    window over samples is no substitute: in many dimensions it says little of either the
    likelihood or the samples (Theis et al. 2016, "A note on the evaluation of generative models",
    arXiv:1511.01844, section 3.2). `model(x)` and `predict` give reconstructions of what they are
    given.

    Args:
        event_shape: shape of one example.
        network: layer from values -1 and 1, `[batch, size]`, to features `[batch, size]`; by
            default an `MLP` of two layers of 500.
        corruption: probability that a value is replaced, above 0 and up to 1.
        walkback_steps: steps of the chain in one step of training.
        sample_steps: steps of the chains of `sample`.
        data_kind: `"binary"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    The logs hold `denoising`, the mean negative log-probability of an example given a state of its
    chain.

    Raises:
        ValueError: a corruption of none or of more than all, another `data_kind`, conditions that
            are no vectors.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 6))
    >>> model = tfgen.GSN(6, corruption=0.3, walkback_steps=2, sample_steps=10)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> first = model.sample(3)
    >>> model.sample(3, from_data=first, num_steps=5).shape, model.predict(x, verbose=0).shape
    (TensorShape([3, 6]), (32, 6))
    """

    _kinds = ("binary",)
    _y_kinds = ("label", "vector")
    _sampling = "a chain"
    _minimises = "denoising"

    def __init__(
        self,
        event_shape,
        network=None,
        corruption=0.4,
        walkback_steps=5,
        sample_steps=100,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=data_kind, dtype=dtype, **kwargs)
        self.corruption = checks.check_positive(corruption, "corruption")
        if self.corruption > 1:
            raise ValueError(f"`corruption` must be a probability above 0; got {corruption!r}")
        self.walkback_steps = checks.check_count(walkback_steps, "walkback_steps")
        self.sample_steps = checks.check_count(sample_steps, "sample_steps")
        kind = {"dtype": self.dtype_policy}
        if network is None:
            network = MLP((500, 500), "relu", **kind)
        self.network = checks.check_instance(network, keras.layers.Layer, "network")
        self.observation = Factorised(Bernoulli(**kind), **kind)
        checks.check_same_dtype(self, network=network)

    def _build_parts(self):
        num_features = 0 if self.features_shape is None else self.features_shape[-1]
        shape = (None, self.num_dims + num_features)
        build_once(self.network, shape)
        self.observation.build(self.network.compute_output_shape(shape), self.event_shape)

    # --- what users call ------------------------------------------------------

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
    ):
        """Draws examples: the last states of as many chains.

        Args:
            num_samples: number of examples.
            condition: one condition for all, or one for each sample.
            temperature: of each draw; below 1 less is corrupted, too, and at 0 nothing: chains are
                then all the same, and take the likeliest values from zeros on.
            seed: integer or two integers; None draws afresh.
            batch_size: chains at a time.
            per_condition: True for `num_samples` examples of each of n conditions.
            num_steps: steps of each chain; None for `sample_steps`.
            from_data: states that the chains go on from, `[num_samples, *event_shape]`, such as
                samples; None for fair coins.

        Returns:
            `[num_samples, *event_shape]` tensor, or `[n, num_samples, *event_shape]`.

        Raises:
            ValueError: for a bad argument, by its name.
        """
        if num_steps is None and from_data is None:
            return super().sample(
                num_samples, condition, temperature, seed, batch_size, per_condition
            )
        common = condition, seed, batch_size, per_condition, num_steps, from_data
        temperature = self._as_temperature(temperature)
        return sample_chains(self, num_samples, *common, temperature=temperature)

    # --- steps ----------------------------------------------------------------

    def _corrupted(self, values, noise, temperature=1.0):
        """Values 0 and 1, some of which are a fair coin's, by uniform noise `[batch, 2, size]`."""
        coins = tf.cast(noise[:, 1] < 0.5, values.dtype)
        share = self.corruption * tf.minimum(tf.cast(temperature, values.dtype), 1.0)
        return tf.where(noise[:, 0] < share, coins, values)

    def _restored(self, values, features, training=False):
        """Features of the observation, of values 0 and 1."""
        inputs = 2 * values - 1
        if features is not None:
            inputs = tf.concat([inputs, features], -1)
        return self.network(inputs, training=training)

    def _values(self, x):
        return tf.reshape(tf.cast(x, self.variable_dtype), [-1, self.num_dims])

    def _step_noise(self, seed, start, num_rows):
        shape = (3, self.num_dims)
        return row_uniform(seed, start, num_rows, shape, self.variable_dtype)

    def _drawn(self, noise, restored, temperature=1.0):
        noise = tf.reshape(noise, [-1, *self.observation._shape])
        return self._values(self.observation.sample(noise, restored, temperature))

    def _walk(self, values, features, noise, num_steps, temperature):
        """The states of chains after some steps, `[batch, size]`."""
        seed, start = noise
        seed = fold_in(seed, Stream.CHAINS)

        def step(i, values):
            noise = self._step_noise(fold_in(seed, i), start, tf.shape(values)[0])
            restored = self._restored(self._corrupted(values, noise, temperature), features)
            return i + 1, self._drawn(noise[:, 2], restored, temperature)

        return tf.while_loop(lambda i, _: i < num_steps, step, (tf.constant(0), values))[1]

    def _from_coins(self, condition, noise, num_steps, temperature):
        seed, start = noise
        coins = row_uniform(
            fold_in(seed, Stream.LATENTS),
            start,
            tf.shape(start)[0],
            (self.num_dims,),
            self.variable_dtype,
        )
        values = tf.cast(temperature * (0.5 - coins) > 0, self.variable_dtype)
        return self._events(
            self._walk(values, self._features(condition), noise, num_steps, temperature)
        )

    def _events(self, values):
        return tf.reshape(tf.cast(values, tf.uint8), [-1, *self.event_shape])

    # --- cores ----------------------------------------------------------------

    def _chain(self, condition, num_rows, seed, start, num_steps, temperature):
        noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, num_rows)
        return self._from_coins(condition, noise, num_steps, temperature)

    def _chain_from(self, x, condition, seed, start, num_steps, temperature):
        noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, tf.shape(x)[0])
        features = self._features(condition)
        return self._events(self._walk(self._values(x), features, noise, num_steps, temperature))

    # --- hooks ----------------------------------------------------------------

    def _term_names(self):
        return ("denoising",)

    def _terms_noise(self, seed, start, num_rows):
        shape = (self.walkback_steps, 3, self.num_dims)
        seed = fold_in(seed, Stream.LATENTS)
        return row_uniform(seed, start, num_rows, shape, self.variable_dtype)

    def _terms(self, x, condition, noise, training):
        values, features, total = self._values(x), self._features(condition), 0.0
        for k in range(self.walkback_steps):
            restored = self._restored(self._corrupted(values, noise[:, k]), features, training)
            total -= self.observation.log_prob(x, restored)
            values = tf.stop_gradient(self._drawn(noise[:, k, 2], restored))
        loss = total / self.walkback_steps
        return {"loss": loss, "denoising": loss}

    def _sample_noise(self, seed, start, num_rows):
        return row_seeds_of(seed, start, num_rows)

    def _generate(self, noise, condition, temperature):
        return self._from_coins(condition, noise, tf.constant(self.sample_steps), temperature)

    @property
    def _output_event_shape(self):
        return self.event_shape

    def _outputs(self, x, condition, seed, start):
        restored = self._restored(self._values(x), self._features(condition))
        return self.observation.decode(None, restored)

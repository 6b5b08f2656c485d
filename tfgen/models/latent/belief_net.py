"""Belief nets: layers of binary units above a binary example, and a way up that recognises them."""

import keras
import tensorflow as tf

from tfgen.core.model import GenerativeModel
from tfgen.distributions.discrete import BinaryUnits
from tfgen.models.latent.discrete_latents import DiscreteLatents
from tfgen.models.latent.discrete_latents import Draws
from tfgen.models.latent.discrete_latents import Estimated
from tfgen.models.latent.discrete_latents import hard
from tfgen.models.latent.discrete_latents import log_weights
from tfgen.models.latent.estimators import get_estimator
from tfgen.utils import checks
from tfgen.utils.random import row_uniform


class Rungs(keras.layers.Layer):
    """Maps from each layer to the next, logits of values.

    Args:
        sizes: sizes of the layers, in the order of the maps.
        num_features: features of the condition, beside each layer.
        **kwargs: `keras.layers.Layer` arguments.
    """

    def __init__(self, sizes, num_features, **kwargs):
        super().__init__(**kwargs)
        self.maps = []
        for i, (size, to) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            self.maps.append(keras.layers.Dense(to, name=f"rung_{i}", dtype=self.dtype_policy))
            self.maps[-1].build((None, size + num_features))
        self.built = True

    def logits(self, i, inputs, features):
        """Logits of the layer after layer `i`, `[batch, size]`."""
        if features is not None:
            inputs = tf.concat([inputs, features], -1)
        return tf.cast(self.maps[i](inputs), self.variable_dtype)


class BeliefNet(DiscreteLatents, GenerativeModel):
    """Binary example below 1 to 4 layers of binary units, each given the one above it, and a way up
    in which each is given the one below.

    Args:
        event_shape: shape of one example.
        hidden_units: widths of the layers, from the example up.
        data_kind: `"binary"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: other widths, another `data_kind`, or conditions that are no vectors.
    """

    likelihood = "bound"
    _kinds = ("binary",)
    _y_kinds = ("label", "vector")
    _latents = "hidden_units[-1]"
    _minimises = "negative_elbo or negative_bound"

    def __init__(self, event_shape, hidden_units=(200,), data_kind="binary", **kwargs):
        try:
            sizes = tuple(hidden_units)
        except TypeError:
            sizes = ()
        if not 1 <= len(sizes) <= 4:
            raise ValueError(f"`hidden_units` must be 1 to 4 widths; got {hidden_units!r}")
        super().__init__(event_shape, data_kind=data_kind, **kwargs)
        self.hidden_units = tuple(checks.check_count(n, "hidden_units") for n in sizes)
        self.units = [BinaryUnits(n) for n in self.hidden_units]
        self._visible = BinaryUnits(self.num_dims)

    def _build_parts(self):
        sizes, kind = [self.num_dims, *self.hidden_units], {"dtype": self.dtype_policy}
        num_features = 0 if self.features_shape is None else self.features_shape[-1]
        self.recognition = Rungs(sizes, num_features, name="recognition", **kind)
        self.generation = Rungs(sizes[::-1], num_features, name="generation", **kind)
        self.top_bias = self.add_weight(name="top_bias", shape=(sizes[-1],), initializer="zeros")
        self.top_condition = None
        if num_features:
            self.top_condition = keras.layers.Dense(
                sizes[-1], use_bias=False, name="top_condition", **kind
            )
            self.top_condition.build((None, num_features))

    @property
    def latent_shape(self):
        """Shape of the top layer."""
        return self.hidden_units[-1:]

    # --- ways up and down -----------------------------------------------------

    def _values(self, x):
        return tf.reshape(tf.cast(x, self.variable_dtype), [-1, self.num_dims])

    def _top(self, features):
        logits = tf.convert_to_tensor(self.top_bias)[None]
        if features is None:
            return logits
        return logits + tf.cast(self.top_condition(features), self.variable_dtype)

    def _below(self, i, values, features):
        """Logits of layer `i` given the one above it; of layer 0 those of examples."""
        return self.generation.logits(len(self.units) - 1 - i, 2 * values - 1, features)

    def _draws(self, x, condition, noise, draw=hard, training=False):
        num_samples, step = noise.shape[1], tf.convert_to_tensor(self.steps_taken)
        noise = tf.split(tf.reshape(noise, [-1, self._num_units]), [u.size for u in self.units], -1)

        def each(values):
            several = num_samples > 1 and values is not None
            return tf.repeat(values, num_samples, 0) if several else values

        features, values = self._features(condition), self._values(x)
        # Once, whatever the number of draws.
        logits = each(self.recognition.logits(0, 2 * values - 1, features))
        features, layers, inputs, log_q = each(features), [each(values)], [], []
        for i, units in enumerate(self.units):
            inputs.append(units.inputs(layers[-1]))
            if i:
                logits = self.recognition.logits(i, inputs[-1], features)
            layers.append(draw(units, noise[i], logits, step))
            log_q.append(units.log_prob(layers[-1], logits))
        log_p = self._log_joint(layers, features)
        log_p, log_q = (
            [tf.reshape(log, [-1, num_samples]) for log in logs] for logs in (log_p, log_q)
        )
        return Draws(log_p, log_q, inputs)

    def _log_joint(self, layers, features):
        """Log-probabilities of each layer given the one above, the examples' first."""
        logs = []
        for i, units in enumerate([self._visible, *self.units[:-1]]):
            logs.append(units.log_prob(layers[i], self._below(i, layers[i + 1], features)))
        top = self._top(features) + tf.zeros_like(layers[-1])
        return [*logs, self.units[-1].log_prob(layers[-1], top)]

    def _log_up(self, layers, features):
        """Log-probability of the layers above the lowest, each given the one below, `[batch]`."""
        total = 0.0
        for i, units in enumerate(self.units):
            logits = self.recognition.logits(i, 2 * layers[i] - 1, features)
            total += units.log_prob(layers[i + 1], logits)
        return total

    def _drawn_down(self, noise, features, temperature=1.0):
        """List of the layers drawn from the model, the examples first."""
        sizes = [self.num_dims, *(units.size for units in self.units)]
        *noise, top = tf.split(noise, sizes, -1)
        logits = self._top(features) + tf.zeros_like(top)
        layers = [self.units[-1].sample(top, logits, temperature)]
        for i in reversed(range(len(self.units))):
            logits = self._below(i, layers[0], features)
            layers.insert(0, BinaryUnits(sizes[i]).sample(noise[i], logits, temperature))
        return layers

    # --- hooks ----------------------------------------------------------------

    def _log_prob_noise(self, seed, start, num_rows):
        return self._latent_noise(seed, start, num_rows, 1)

    def _log_weight(self, x, condition, noise):
        return log_weights(self._draws(x, condition, noise))[:, 0]

    def _sample_noise(self, seed, start, num_rows):
        shape = (self.num_dims + self._num_units,)
        return row_uniform(seed, start, num_rows, shape, self.variable_dtype)

    def _as_examples(self, values):
        return tf.reshape(tf.cast(values, tf.uint8), [-1, *self.event_shape])

    def _generate(self, noise, condition, temperature):
        layers = self._drawn_down(noise, self._features(condition), temperature)
        return self._as_examples(layers[0])

    def _encode(self, x, condition):
        features, z = self._features(condition), self._values(x)
        for i in range(len(self.units)):
            z = tf.sigmoid(self.recognition.logits(i, 2 * z - 1, features))
        return z

    def _decode(self, z, condition):
        features = self._features(condition)
        for i in reversed(range(len(self.units))):
            z = tf.sigmoid(self._below(i, z, features))
        return self._as_examples(z > 0.5)


@keras.saving.register_keras_serializable(package="tfgen")
class SigmoidBeliefNet(Estimated, BeliefNet):
    """Sigmoid belief network (Neal 1992, "Connectionist Learning of Belief Networks"): layers of
    binary units, each a logistic regression on the layer above, trained by the bound of a
    posterior that goes up the same way (Mnih and Gregor 2014, "Neural Variational Inference and
    Learning in Belief Networks", arXiv:1402.0030).

    The latents are discrete, and the posterior's gradients are estimated. `log_prob` is the bound
    by one draw, `estimate_log_prob` by many; both are of the discrete model, whatever the
    estimator. Latents are the means of the top layer: `encode` goes up, `decode` down by means, to
    the likeliest example.

    Args:
        event_shape: shape of one example.
        hidden_units: widths of the 1 to 4 layers, from the example up.
        estimator: `"reinforce"` (NVIL), `"vimco"`, `"gumbel"`, `"straight_through"` or a
            `models.Estimator`.
        data_kind: `"binary"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`. Conditions stand beside the layer that each one is given.

    Raises:
        ValueError: other widths, estimators or kinds of data.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.SigmoidBeliefNet((8, 8, 1), hidden_units=(6, 4), estimator="vimco")
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape, model.encode(x).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]), TensorShape([32, 4]))
    """

    def __init__(
        self,
        event_shape,
        hidden_units=(200,),
        estimator="reinforce",
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        dtype = checks.as_policy(dtype)
        super().__init__(event_shape, hidden_units, data_kind, dtype=dtype, **kwargs)
        self.estimator = get_estimator(estimator, dtype)
        checks.check_same_dtype(self, estimator=self.estimator)

    def _build_parts(self):
        super()._build_parts()
        self.estimator.build([self.num_dims, *self.hidden_units[:-1]])

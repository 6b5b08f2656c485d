"""Estimators of the gradients of a bound whose latents are discrete: each in the others' place."""

import keras
import numpy as np
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule
from keras.optimizers.schedules import PolynomialDecay

from tfgen.utils import checks
from tfgen.utils.part import Part
from tfgen.utils.replicas import sum_over_replicas

# Steps at which a schedule of temperatures is looked at.
_STEPS = (0, *(10**i for i in range(7)))


class Estimator(Part):
    """Estimator of the gradient of a lower bound, whose latents are discrete.

    A model draws layers of latents, the first given the example, and has the log-probabilities of
    all: `log_p[0]` of the example given the first layer, `log_p[i]` of layer `i` given the next,
    or, of the last one, the prior's, and `log_q[i]` of layer `i + 1` given the one below. An
    estimator makes of these a number whose gradient is the estimate. A subclass implements
    `objective`, and `draw` where its training needs other draws than the model's.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        num_samples: draws of the latents for each example.
        relaxes: True if the draws of training are others than the model's own.

    >>> import tensorflow as tf, tfgen
    >>> class Pathwise(tfgen.models.Estimator):
    ...     def objective(self, log_p, log_q, inputs, training):
    ...         return self.bound(tf.add_n(log_p) - tf.add_n(log_q)), {}
    >>> estimator = Pathwise()
    >>> objective, terms = estimator.objective([tf.zeros([1, 2])] * 2, [tf.ones([1, 2])], [], True)
    >>> objective.numpy().tolist(), estimator.num_samples, estimator.relaxes, estimator.term_names
    ([-1.0], 1, False, ())
    >>> from tfgen.distributions.discrete import BinaryUnits
    >>> noise, logits = tf.constant([[0.5]]), tf.constant([[3.0]])
    >>> estimator.draw(BinaryUnits(1), noise, logits, step=0).numpy().tolist()
    [[1.0]]
    """

    num_samples = 1
    relaxes = False
    term_names = ()
    # Whether its bound is another one than that of one draw.
    multi_sample = False

    def build(self, input_sizes):
        """Makes its weights, given the sizes of what each layer of latents is drawn from."""

    def compute_output_shape(self, input_sizes):
        return (None,)

    def bound(self, log_weights):
        """The bound that is trained, `[batch]`, of the log-weights of the draws, `[batch, k]`."""
        return tf.reduce_mean(log_weights, -1)

    def draw(self, units, noise, logits, step):
        """Draws of training: the model's own, which have no gradient.

        Args:
            units: what is drawn, such as `BinaryUnits`.
            noise: uniform in [0, 1), of the shape of the logits.
            logits: `[batch, size]`.
            step: number of steps that were taken.
        """
        return tf.stop_gradient(units.sample(noise, logits))

    def objective(self, log_p, log_q, inputs, training):
        """Returns a number whose gradient is the estimate.

        Args:
            log_p: list of log-probabilities of the model, `[batch, k]` each.
            log_q: list of those of the draws, `[batch, k]`.
            inputs: list of what each layer was drawn from, `[batch * k, size]`.
            training: True in training, where it may keep what it learns of them.

        Returns:
            The objective, `[batch]`, to be made large, and a dict of terms to be logged.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement objective")


@keras.saving.register_keras_serializable(package="tfgen")
class Reinforce(Estimator):
    """Score function with baselines: NVIL (Mnih and Gregor 2014, "Neural Variational Inference and
    Learning in Belief Networks", arXiv:1402.0030, eq. 8 and section 2.3).

    The signal of a layer is the part of the bound that its draw has a part in. Baselines that know
    nothing of the draw are subtracted; the estimate stays unbiased.

    Args:
        baseline: `"learned"`, a network of one hidden layer of what the draw is given, on top of a
            running mean; `"mean"`, the latter alone; None.
        normalise: True to divide signals by their running standard deviation where it is above 1
            (section 2.3.2 there): the gradients of the posterior are then shorter.
        hidden_units: width of the baseline's hidden layer.
        momentum: of the running mean and variance.
        num_samples: draws for each example.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `baseline`, or a `momentum` that is not within [0, 1).

    >>> import tfgen
    >>> estimator = tfgen.models.Reinforce("mean")
    >>> model = tfgen.SigmoidBeliefNet(4, hidden_units=(3,), estimator=estimator)
    >>> model.estimator.term_names
    ()
    >>> tfgen.models.Reinforce().term_names
    ('baseline_loss',)
    """

    def __init__(
        self,
        baseline="learned",
        normalise=False,
        hidden_units=100,
        momentum=0.8,
        num_samples=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if baseline not in ("learned", "mean", None):
            raise ValueError(
                f'`baseline` must be one of ["learned", "mean", None]; got {baseline!r}'
            )
        self.baseline, self.normalise = baseline, checks.check_bool(normalise, "normalise")
        self.hidden_units = checks.check_count(hidden_units, "hidden_units")
        self.momentum = checks.check_weight(momentum, "momentum")
        if self.momentum >= 1:
            raise ValueError(f"`momentum` must be within [0, 1); got {momentum!r}")
        self.num_samples = checks.check_count(num_samples, "num_samples")
        self.term_names = ("baseline_loss",) * (baseline == "learned")

    def build(self, input_sizes):
        shape = (len(input_sizes),)
        kept = {"shape": shape, "trainable": False, "aggregation": "only_first_replica"}
        self.means = self.add_weight(name="means", initializer="zeros", **kept)
        self.variances = self.add_weight(name="variances", initializer="ones", **kept)
        self.networks = []
        if self.baseline == "learned":
            for i, size in enumerate(input_sizes):
                hidden = keras.layers.Dense(self.hidden_units, "tanh", dtype=self.variable_dtype)
                # Nothing at first, as if there were the mean alone.
                last = keras.layers.Dense(
                    1, kernel_initializer="zeros", name=f"baseline_{i}", dtype=self.variable_dtype
                )
                hidden.build((None, size))
                last.build((None, self.hidden_units))
                self.networks += [hidden, last]

    def objective(self, log_p, log_q, inputs, training):
        means = tf.unstack(tf.convert_to_tensor(self.means), num=len(log_q))
        variances = tf.unstack(tf.convert_to_tensor(self.variances), num=len(log_q))
        objective, error, found = tf.reduce_mean(tf.add_n(log_p), -1), 0.0, []
        for i, log in enumerate(log_q):
            signal = tf.stop_gradient(tf.add_n(log_p[i:]) - tf.add_n(log_q[i:]))
            found.append(signal)
            if self.baseline:
                signal -= means[i]
            if self.normalise:
                signal /= tf.maximum(tf.sqrt(variances[i]), 1.0)
            if self.networks:
                hidden, last = self.networks[2 * i : 2 * i + 2]
                guess = tf.reshape(last(hidden(tf.stop_gradient(inputs[i]))), tf.shape(signal))
                error += tf.reduce_mean((signal - guess) ** 2, -1)
                signal -= tf.stop_gradient(guess)
            objective += tf.reduce_mean(signal * log, -1)
        if training and (self.baseline or self.normalise):
            self._keep(tf.stack(found), means, variances)
        if not self.networks:
            return objective, {}
        return objective - error, {"baseline_loss": error}

    def _keep(self, signals, means, variances):
        """Moves the running mean and variance towards those of the batch, of all replicas."""
        count = tf.cast(tf.size(signals[0]), signals.dtype)
        sums = tf.reduce_sum(signals, [1, 2]), tf.reduce_sum(signals**2, [1, 2])
        total, squares, count = sum_over_replicas([*sums, count])
        mean = total / count
        variance = tf.maximum(squares / count - mean**2, 0.0)
        for kept, old, now in (
            (self.means, means, mean),
            (self.variances, variances, variance),
        ):
            kept.assign(self.momentum * tf.stack(old) + (1 - self.momentum) * now)


@keras.saving.register_keras_serializable(package="tfgen")
class Vimco(Estimator):
    """VIMCO (Mnih and Rezende 2016, "Variational Inference for Monte Carlo Objectives",
    arXiv:1602.06725, eqs. 7 to 10): the bound of several draws, of which each has the others for
    its baseline. Unbiased for that bound.

    Args:
        num_samples: draws for each example, two or more.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: fewer than two draws.

    >>> import tfgen
    >>> estimator = tfgen.models.Vimco(num_samples=5)
    >>> model = tfgen.SigmoidBeliefNet(4, hidden_units=(3,), estimator=estimator)
    >>> model.term_names[0]
    'negative_bound'
    """

    multi_sample = True

    def __init__(self, num_samples=10, **kwargs):
        super().__init__(**kwargs)
        self.num_samples = checks.check_int(num_samples, "num_samples", 2, 10_000)

    def bound(self, log_weights):
        return tf.reduce_logsumexp(log_weights, -1) - np.log(self.num_samples)

    def objective(self, log_p, log_q, inputs, training):
        log_weights, count = tf.add_n(log_p) - tf.add_n(log_q), self.num_samples
        bound, logs = self.bound(log_weights), tf.stop_gradient(log_weights)
        # In the place of each draw the geometric mean of the others.
        others = (tf.reduce_sum(logs, -1, keepdims=True) - logs) / (count - 1)
        replaced = tf.where(np.eye(count, dtype=bool), others[:, :, None], logs[:, None, :])
        signals = tf.stop_gradient(bound)[:, None] - self.bound(replaced)
        return bound + tf.reduce_sum(signals * tf.add_n(log_q), -1), {}


class Pathwise(Estimator):
    """Estimator whose draws have a gradient of the logits, through which that of the bound goes.

    Args:
        num_samples: draws for each example.
        **kwargs: `keras.layers.Layer` arguments.
    """

    relaxes = True

    def __init__(self, num_samples=1, **kwargs):
        super().__init__(**kwargs)
        self.num_samples = checks.check_count(num_samples, "num_samples")

    def objective(self, log_p, log_q, inputs, training):
        return self.bound(tf.add_n(log_p) - tf.add_n(log_q)), {}


@keras.saving.register_keras_serializable(package="tfgen")
class GumbelSoftmax(Pathwise):
    """Relaxed draws: Concrete ones (Maddison et al. 2017, "The Concrete Distribution",
    arXiv:1611.00712) or Gumbel-softmax (Jang et al. 2017, "Categorical Reparameterization with
    Gumbel-Softmax", arXiv:1611.01144).

    The gradient is that of the bound's own formula at relaxed values, biased the less the lower the
    temperature, and with more variance then. What is reported is the bound of the discrete model.

    Args:
        temperature: a number above 0, or a Keras schedule of such, of the steps taken; by default
            one from 1 to 0.5 in 30,000 steps.
        num_samples: draws for each example.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a temperature that is 0, or that a schedule lets become 0.

    >>> import tfgen
    >>> estimator = tfgen.models.GumbelSoftmax(temperature=0.5)
    >>> model = tfgen.SigmoidBeliefNet(4, hidden_units=(3,), estimator=estimator)
    >>> float(estimator.temperature_at(10))
    0.5
    """

    term_names = ("temperature",)

    def __init__(self, temperature=None, num_samples=1, **kwargs):
        super().__init__(num_samples, **kwargs)
        if temperature is None:
            temperature = PolynomialDecay(1.0, 30_000, 0.5)
        self.temperature = checks.as_weight_or_schedule(temperature, "temperature")
        scheduled = isinstance(self.temperature, LearningRateSchedule)
        for step in _STEPS if scheduled else (0,):
            value = float(self.temperature_at(step))
            if not value > 0:
                when = f" at step {step}" if scheduled else ""
                raise ValueError(
                    f"`temperature` must stay above 0, where draws have a gradient; got {value:g}"
                    f"{when}"
                )

    def temperature_at(self, step):
        """The temperature after so many steps, a scalar."""
        if isinstance(self.temperature, LearningRateSchedule):
            return tf.cast(self.temperature(step), self.variable_dtype)
        return tf.constant(self.temperature, self.variable_dtype)

    def draw(self, units, noise, logits, step):
        return units.relaxed(noise, logits, self.temperature_at(step))


@keras.saving.register_keras_serializable(package="tfgen")
class StraightThrough(Pathwise):
    """The model's own draws, with the gradient of their means (Bengio et al. 2013, "Estimating or
    Propagating Gradients Through Stochastic Neurons", arXiv:1308.3432): biased, with little
    variance.

    Args:
        num_samples: draws for each example.
        **kwargs: `keras.layers.Layer` arguments.

    >>> import tfgen
    >>> estimator = tfgen.models.StraightThrough(num_samples=2)
    >>> model = tfgen.SigmoidBeliefNet(4, hidden_units=(3,), estimator=estimator)
    >>> model.estimator.num_samples
    2
    """

    def draw(self, units, noise, logits, step):
        mean = units.mean(logits)
        return tf.stop_gradient(units.sample(noise, logits) - mean) + mean


ESTIMATORS = {
    "reinforce": Reinforce,
    "vimco": Vimco,
    "gumbel": GumbelSoftmax,
    "straight_through": StraightThrough,
}


def get_estimator(estimator, dtype=None):
    """The estimator of a name, or the one that was given.

    Args:
        estimator: `"reinforce"` (NVIL), `"vimco"`, `"gumbel"`, `"straight_through"`, or an
            `Estimator`.
        dtype: dtype policy of one made from a name.

    Raises:
        ValueError: another name, or something else.

    >>> get_estimator("vimco").num_samples
    10
    """
    if isinstance(estimator, Estimator):
        return estimator
    if not isinstance(estimator, str) or estimator not in ESTIMATORS:
        raise ValueError(
            f"`estimator` must be one of {list(ESTIMATORS)} or an Estimator; got {estimator!r}"
        )
    return ESTIMATORS[estimator](dtype=dtype)

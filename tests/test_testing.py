"""The public checks: good parts pass, and each kind of broken one is told by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import zoo

import tfgen
from tfgen import bijectors
from tfgen import distributions
from tfgen import networks
from tfgen.testing import CheckError
from tfgen.testing import check_bijector
from tfgen.testing import check_model
from tfgen.testing import check_observation
from tfgen.testing.bijectors import Passes
from tfgen.testing.bijectors import assert_log_det_is_the_jacobians
from tfgen.testing.bijectors import assert_to_tfp_is_the_layer
from tfgen.testing.bijectors import inverse_error
from tfgen.utils.random import row_normal

registered = keras.saving.register_keras_serializable(package="test_testing")


def words(check, *args, **kwargs):
    """The words of a check that fails."""
    with pytest.raises(CheckError) as raised:
        check(*args, **kwargs)
    return str(raised.value)


# ------------------------------------------------------------------------------------- bijectors


def coupling(dtype):
    network = networks.MLP((4,), dtype=dtype)
    return bijectors.Coupling("affine", network=network, dtype=dtype)


# The contract of bijectors runs the single checks in float64.
@pytest.mark.parametrize("dtype", ["float32", *zoo.slow("float64")])
@pytest.mark.parametrize(
    "make, shape, arguments",
    [
        (bijectors.ActNorm, 3, {}),
        (bijectors.Standardise, 3, {}),
        (bijectors.Squeeze, (4, 4, 3), {}),
        (bijectors.InvertibleConv, 4, {}),
        (coupling, 3, {"condition_shape": 2}),
        (
            lambda dtype: bijectors.Logit(dtype=dtype),
            3,
            {"x": np.random.default_rng(0).uniform(0, 256, (3, 3))},
        ),
    ],
)
def test_good_bijectors_pass(make, shape, arguments, dtype):
    check_bijector(make(dtype=dtype), shape, **arguments)


class Broken(bijectors.ActNorm):
    """An ActNorm whose results a subclass changes."""

    def _inverse(self, x, condition):
        return self.change(x, *super()._inverse(x, condition))

    def change(self, x, z, log_det):
        return z, log_det


@registered
class OnePerCentOff(Broken):
    def change(self, x, z, log_det):
        return z, 1.01 * log_det


@registered
class WrongShape(Broken):
    def change(self, x, z, log_det):
        return z, log_det[:, None]


@registered
class NotInverse(Broken):
    def change(self, x, z, log_det):
        return z + 0.01, log_det


@registered
class SeesRows(Broken):
    def change(self, x, z, log_det):
        return z - tf.reduce_mean(z, 0), log_det


@registered
class WrongType(Broken):
    def change(self, x, z, log_det):
        return z, tf.cast(log_det, "float64")


@registered
class NotANumber(Broken):
    def change(self, x, z, log_det):
        return z / tf.zeros_like(z), log_det


@registered
class NoPair(Broken):
    def change(self, x, z, log_det):
        return z


@registered
class Raises(Broken):
    def change(self, x, z, log_det):
        return z, log_det + tf.zeros([5])


@registered
class BatchInGraph(Broken):
    def change(self, x, z, log_det):
        return z, log_det + tf.zeros([x.shape[0]])


@registered
class WrongEventShape(bijectors.Squeeze):
    def forward_event_shape(self, latent_shape):
        return tuple(latent_shape)


@registered
class OwnView(bijectors.ActNorm):
    def to_tfp(self, condition=None):
        return tfp.bijectors.Invert(super().to_tfp(condition))


@pytest.mark.parametrize(
    "make, expected",
    [
        (OnePerCentOff, "`OnePerCentOff._inverse`: the log-determinant must be that of the Jac"),
        (WrongShape, "`WrongShape._inverse`: the log-determinant must have shape [batch] = [3]; "),
        (NotInverse, "`NotInverse._forward`: x must come back from `_inverse`; at [0, "),
        (SeesRows, "`SeesRows._inverse`: rows must not see each other: the value of a row alone"),
        (WrongType, "`WrongType._inverse`: the log-determinant must be of dtype float32; got flo"),
        (NotANumber, "`NotANumber._inverse`: the latents must be finite; 12 of 12 values are not"),
        (NoPair, "`NoPair._inverse` must give a pair, the value and the log-determinant"),
        (Raises, "`Raises._inverse` raised InvalidArgumentError: "),
        (BatchInGraph, "`BatchInGraph._inverse in a graph` raised "),
    ],
)
def test_a_broken_bijector_is_told_by_name(make, expected):
    message = words(check_bijector, make(), 4)
    assert message.startswith(expected)
    assert "Graph execution error" not in message


def test_shapes_and_views_of_bijectors():
    message = words(check_bijector, WrongEventShape(), (4, 4, 1))
    assert message.startswith("`WrongEventShape.forward_event_shape` must undo")
    layer = OwnView()
    layer.build((None, 3))
    layer.shift.assign([1.0, 2.0, 3.0])
    message = words(assert_to_tfp_is_the_layer, Passes(layer, np.ones((2, 3), "float32")))
    assert message.startswith("`OwnView.to_tfp`: the value of `inverse` must be the layer's")


class Times(bijectors.Bijector):
    """`x = k z`."""

    def __init__(self, k=1.0, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])

    def _log_det(self, x):
        return tf.fill(tf.shape(x)[:1], tf.cast(x.shape[-1] * np.log(self.k), x.dtype))

    def _forward(self, z, condition):
        return z * self.k, self._log_det(z)

    def _inverse(self, x, condition):
        return x / self.k, -self._log_det(x)


@registered
class Kept(Times):
    pass


@registered
class Lost(Times):
    def get_config(self):
        config = super().get_config()
        del config["k"]
        return config


@registered
class LostInside(keras.layers.Layer):
    """A plain Keras layer that forgets how large it is."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.dense = keras.layers.Dense(4)
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.factor * self.dense(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)

    def get_config(self):
        return super().get_config()


def test_a_lost_argument_is_told_by_name():
    check_bijector(Kept(3.0), 2)
    expected = "`Lost.get_config`: the argument `k` is lost: 3.0 comes back as 1.0."
    assert words(check_bijector, Lost(3.0), 2).startswith(expected)
    assert words(check_bijector, bijectors.Chain([Lost(3.0)]), 2).startswith(expected)
    message = words(check_bijector, bijectors.Coupling(network=LostInside(3.0)), 3)
    assert message.startswith("`LostInside.get_config`: the argument `factor` is lost: 3.0 comes")


def test_a_bijector_that_was_not_registered_is_told_so():
    class Hidden(Times):
        pass

    message = words(check_bijector, Hidden(2.0), 2)
    assert message.startswith("`Hidden.from_config` raised TypeError")
    assert "keras.saving.register_keras_serializable" in message


@registered
class Unused(Times):
    """A map with a weight that nothing depends on."""

    def build(self, inputs_shape, condition_shape=None):
        super().build(inputs_shape, condition_shape)
        self.unused = self.add_weight(name="unused", shape=(2,))


def test_a_weight_without_a_gradient_is_told_by_name():
    message = words(check_bijector, Unused(2.0), 2)
    assert message.startswith("`Unused._inverse`: the weight unused")
    assert "gets no gradient" in message


def test_a_users_bijector_stays_as_it_is():
    layer = bijectors.InvertibleConv()
    check_bijector(layer, 3)
    assert not layer.built
    layer.build((None, 3))
    before = layer.get_weights()
    check_bijector(layer, 3)
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_arguments_of_check_bijector():
    with pytest.raises(ValueError, match="`bijector` must be"):
        check_bijector(keras.layers.Dense(2), 3)
    with pytest.raises(ValueError, match="`x` must have shape"):
        check_bijector(bijectors.ActNorm(), 3, x=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="two rows"):
        check_bijector(bijectors.ActNorm(), 3, num_rows=1)


def test_the_single_checks_of_a_bijector():
    layer = bijectors.ActNorm(dtype="float64")
    layer.build((None, 3))
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert inverse_error(Passes(layer, x)) < 1e-12
    assert_log_det_is_the_jacobians(Passes(layer, x), tolerance=1e-6)


# ---------------------------------------------------------------------------------- observations


def small_pixelcnn():
    network = networks.PixelCNNStack(4, 1, num_mixers=1)
    return distributions.AutoregressivePixels(network=network)


@pytest.mark.parametrize(
    "make, shape, arguments",
    [
        (distributions.Bernoulli, 4, {}),
        (lambda: distributions.Factorised(distributions.Normal()), (2, 3, 2), {}),
        (lambda: distributions.Normal("per_value", dtype="float64"), 3, {}),
        (lambda: distributions.DiscretisedLogistic(1, 2), 2, {}),
        (distributions.Bernoulli, (2, 3, 1), {"features_shape": (2, 3, 4)}),
        (distributions.Deterministic, 3, {"has_density": False}),
        (lambda: distributions.PixelFlow(bijectors.Standardise(), num_bits=5), (2, 2, 1), {}),
        # The model around it is checked in the contract suite.
        pytest.param(small_pixelcnn, (2, 2, 1), {"features_shape": None}, marks=pytest.mark.slow),
    ],
)
def test_good_observations_pass(make, shape, arguments):
    check_observation(make(), shape, **arguments)


@registered
class LeavesRange(distributions.DiscretisedLogistic):
    def sample(self, noise, params, temperature=1.0):
        return super().sample(noise, params, temperature) + 1


@registered
class NoiseOfChunks(distributions.Normal):
    def noise(self, seed, start, num_rows, shape):
        return tf.random.stateless_normal([num_rows, *shape], seed)


@registered
class NoiseWithoutSeed(distributions.Normal):
    def noise(self, seed, start, num_rows, shape):
        return row_normal(tf.constant([0, 0]), start, num_rows, shape, self.variable_dtype)


@registered
class NotNormalised(distributions.Bernoulli):
    def log_prob(self, x, params):
        return super().log_prob(x, params) - 0.1


@registered
class OtherDraws(distributions.Bernoulli):
    """Draws ones where the density says zeros."""

    def sample(self, noise, params, temperature=1.0):
        return super().sample(noise, -params, temperature)


@registered
class PerValue(distributions.Factorised):
    """An observation whose log-probabilities are not summed."""

    def log_prob(self, x, features, noise=None):
        return super().log_prob(x, features, noise)[:, None]


@registered
class NoGradient(distributions.Normal):
    def log_prob(self, x, params):
        return super().log_prob(x, tf.stop_gradient(params))


@registered
class ColdNoise(distributions.Normal):
    def sample(self, noise, params, temperature=1.0):
        return super().sample(noise, params, 0.5 + temperature)


@registered
class WrongDecode(distributions.Factorised):
    def decode(self, noise, features):
        return tf.cast(super().decode(noise, features), tf.float32)


@registered
class NotDrawn(distributions.Normal):
    reparameterized = False

    def sample(self, noise, params, temperature=1.0):
        return super().sample(noise, params, temperature)


@registered
class DrawsAnyway(distributions.Factorised):
    def rsample(self, noise, features, temperature=1.0):
        return self.sample(noise, features, temperature)


@pytest.mark.parametrize(
    "make, shape, expected",
    [
        (
            lambda: LeavesRange(num_bits=5),
            2,
            "`Factorised(LeavesRange).sample`: draws of uint8 data must be multiples of 8 in 0..",
        ),
        (
            NoiseOfChunks,
            3,
            "`Factorised(NoiseOfChunks).noise`: a row's noise must depend on the seed and on its",
        ),
        (NoiseWithoutSeed, 3, "`Factorised(NoiseWithoutSeed).noise` gives the same for two seeds"),
        (
            NotNormalised,
            2,
            "`Factorised(NotNormalised).log_prob`: the probabilities of all 4 states must sum to 1;"
            " they sum to 0.81",
        ),
        (OtherDraws, 2, "`Factorised(OtherDraws).sample`: draws must follow `log_prob`; the state"),
        (
            lambda: PerValue(distributions.Normal()),
            3,
            "`PerValue.log_prob`: log-probabilities must have shape [batch] = [4]; got [4, 1]",
        ),
        (NoGradient, 3, "`Factorised(NoGradient).log_prob` has no gradient of the features"),
        (ColdNoise, 3, "`Factorised(ColdNoise).sample`: at temperature 0 draws must be the mode"),
        (
            lambda: WrongDecode(distributions.Bernoulli()),
            3,
            "`WrongDecode.decode`: examples must be of dtype uint8; got float32",
        ),
        (
            lambda: DrawsAnyway(NotDrawn()),
            3,
            "`DrawsAnyway.rsample` gives draws, though `reparameterized` is False",
        ),
        (distributions.Deterministic, 3, "`Factorised(Deterministic).log_prob` raised NotImpl"),
    ],
)
def test_a_broken_observation_is_told_by_name(make, shape, expected):
    assert words(check_observation, make(), shape).startswith(expected)


def test_a_users_observation_stays_as_it_is():
    observation = distributions.Factorised(distributions.Normal())
    check_observation(observation, 3)
    assert not observation.built
    with pytest.raises(ValueError, match="`observation` must be"):
        check_observation(bijectors.ActNorm(), 3)


# ---------------------------------------------------------------------------------------- models

X = np.random.default_rng(0).normal(1, 2, size=(8, 3)).astype("float32")


@registered
class Gauss(tfgen.GenerativeModel):
    """Independent normal values, which subclasses break."""

    likelihood = "exact"

    def _build_parts(self):
        self.loc = self.add_weight(name="loc", shape=self.event_shape, initializer="zeros")
        self.log_scale = self.add_weight(name="log_scale", shape=self.event_shape)

    def _log_weight(self, x, condition, noise):
        z = (x - self.loc) * tf.exp(-self.log_scale)
        return tf.reduce_sum(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - self.log_scale, -1)

    def _generate(self, noise, condition, temperature):
        return self.loc + temperature * tf.exp(self.log_scale) * noise


def test_good_models_pass():
    check_model(Gauss(3), X)


# `test_own_family` and the examples of the documentation pass, too.
@pytest.mark.slow
def test_good_flows_pass():
    model = tfgen.RealNVP(3, num_layers=1, hidden_units=(4,), condition_shape=(2,))
    check_model(model, X, X[:, :2], export=False)


def test_a_users_model_stays_as_it_is():
    model = Gauss(3)
    model.compile(keras.optimizers.SGD(0.1))
    before = model.get_weights()
    check_model(model, X, export=False)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(model.optimizer.iterations) == 0


@registered
class Column(Gauss):
    def _log_weight(self, x, condition, noise):
        return super()._log_weight(x, condition, noise)[:, None]


@registered
class IgnoresSeed(Gauss):
    def _sample_noise(self, seed, start, num_rows):
        return super()._sample_noise(tf.constant([0, 0]), start, num_rows)


@registered
class OwnNoise(Gauss):
    def _generate(self, noise, condition, temperature):
        return super()._generate(tf.random.normal(tf.shape(noise)), condition, temperature)


@registered
class NoiseByChunk(Gauss):
    def _sample_noise(self, seed, start, num_rows):
        return tf.random.stateless_normal([num_rows, *self.event_shape], seed)


@registered
class NoGradientOfScale(Gauss):
    def _log_weight(self, x, condition, noise):
        return tf.reduce_sum(-0.5 * (x - self.loc) ** 2, -1)


@registered
class Double(Gauss):
    def _generate(self, noise, condition, temperature):
        return tf.cast(super()._generate(noise, condition, temperature), tf.float64)


@registered
class Mixes(Gauss):
    """A row's density depends on the other rows."""

    def _log_weight(self, x, condition, noise):
        return super()._log_weight(x - tf.reduce_mean(x, 0), condition, noise)


@registered
class NoSamples(Gauss):
    def _generate(self, noise, condition, temperature):
        raise NotImplementedError("no samples yet")


@registered
class AlwaysWarm(Gauss):
    def _generate(self, noise, condition, temperature):
        return super()._generate(noise, condition, 1.0)


@registered
class Unnamed(Gauss):
    def _terms(self, x, condition, noise, training):
        terms = super()._terms(x, condition, noise, training)
        return {**terms, "more": terms["loss"]}


@registered
class LosesSpread(Gauss):
    def __init__(self, event_shape, spread=1.0, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.spread = spread

    def get_config(self):
        config = super().get_config()
        del config["spread"]
        return config


@registered
class NotFinite(Gauss):
    def _log_weight(self, x, condition, noise):
        return super()._log_weight(x, condition, noise) - np.inf


@pytest.mark.parametrize(
    "make, expected",
    [
        (Column, "`Column._log_weight`: what it gives must have shape [batch] = [8]; got [8, 1]"),
        (NotFinite, "`NotFinite._log_weight`: what it gives must be finite; 8 of 8 values are not"),
        (IgnoresSeed, "`IgnoresSeed.sample` gives the same samples for the seeds 5 and 6"),
        (OwnNoise, "`OwnNoise.sample`: the same seed must give the same samples"),
        (NoiseByChunk, "`NoiseByChunk._sample_noise`: a row's noise must depend on the seed and"),
        (NoGradientOfScale, "`NoGradientOfScale._terms`: the weight "),
        (Double, "`Double._generate`: what it gives must be of dtype float32; got float64"),
        (Mixes, "`Mixes.log_prob`: batch_size=1 must give what one batch gives: rows must not"),
        (NoSamples, "`NoSamples._generate` raised NotImplementedError: no samples yet"),
        (AlwaysWarm, "`AlwaysWarm.sample`: at temperature 0 samples must be the mode"),
        (Unnamed, "`Unnamed._term_names` must name the terms beside the loss, ['more', 'nll']"),
        (
            lambda shape: LosesSpread(shape, 2.0),
            "`LosesSpread.get_config`: the argument `spread` is lost: 2.0 comes back as 1.0",
        ),
    ],
)
def test_a_broken_model_is_told_by_name(make, expected):
    message = words(check_model, make(3), X, export=False)
    assert message.startswith(expected)
    assert "Graph execution error" not in message


def test_a_broken_bijector_inside_a_model():
    model = tfgen.models.Flow(3, WrongShape())
    message = words(check_model, model, X)
    assert message.startswith("`Flow._log_weight`: what it gives must have shape [batch] = [8]; ")


def test_bad_arguments_of_check_model():
    with pytest.raises(ValueError, match="`model` must be"):
        check_model(keras.Sequential(), X)
    with pytest.raises(ValueError, match="`x` must have shape"):
        check_model(Gauss(3), X[:, :2])
    with pytest.raises(ValueError, match="two rows"):
        check_model(Gauss(3), X[:1])

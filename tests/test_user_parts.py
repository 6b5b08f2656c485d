"""Parts that users write keep their constructor's arguments, without a `get_config`."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tfgen import bijectors
from tfgen import distributions
from tfgen import networks

registered = keras.saving.register_keras_serializable(package="test_user_parts")


def reloaded(part):
    """The part as a file gives it back."""
    config = json.dumps(keras.saving.serialize_keras_object(part))
    return keras.saving.deserialize_keras_object(json.loads(config))


def log_det_of(x, value):
    return tf.fill(tf.shape(x)[:1], tf.cast(value, x.dtype))


@registered
class Times(bijectors.Bijector):
    def __init__(self, k=1.0, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def _forward(self, z, condition):
        return z * self.k, log_det_of(z, z.shape[-1] * np.log(self.k))

    def _inverse(self, x, condition):
        return x / self.k, log_det_of(x, -x.shape[-1] * np.log(self.k))


@registered
class Hidden(bijectors.Bijector):
    """Its argument is kept under another name."""

    def __init__(self, k, **kwargs):
        super().__init__(**kwargs)
        self._k = k

    def _forward(self, z, condition):
        return z * self._k, log_det_of(z, z.shape[-1] * np.log(self._k))

    def _inverse(self, x, condition):
        return x / self._k, log_det_of(x, -x.shape[-1] * np.log(self._k))


@registered
class Product(bijectors.Bijector):
    """Its argument is a tuple."""

    def __init__(self, factors=None, **kwargs):
        super().__init__(**kwargs)
        self.factors = factors

    def _forward(self, z, condition):
        k = np.prod(self.factors + (1.0,))
        return z * k, log_det_of(z, z.shape[-1] * np.log(k))

    def _inverse(self, x, condition):
        k = np.prod(self.factors + (1.0,))
        return x / k, log_det_of(x, -x.shape[-1] * np.log(k))


@registered
class Shift(bijectors.Bijector):
    """Its argument is a layer, which makes the shift of the condition."""

    def __init__(self, network, *, dtype=None, **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self._network = network

    def build(self, inputs_shape, condition_shape=None):
        if not self._network.built:
            self._network.build(condition_shape)

    def _forward(self, z, condition):
        return z + tf.cast(self._network(condition), z.dtype), log_det_of(z, 0)

    def _inverse(self, x, condition):
        return x - tf.cast(self._network(condition), x.dtype), log_det_of(x, 0)


@registered
class Plain(Times):
    """Its constructor takes nothing of Keras's."""

    def __init__(self, k=1.0):
        super().__init__(k)


x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Times(k=3.0),
        lambda: Times(3.0),
        lambda: Times(np.float32(3)),
        lambda: Times(k=3.0, dtype=keras.DTypePolicy("float64"), name="thrice", trainable=False),
        lambda: Hidden(3.0),
        lambda: Product((1.0, 3.0)),
        lambda: Plain(3.0),
    ],
)
@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: bijectors.Invert(b, dtype=b.dtype)])
def test_a_bijector_is_the_same_map(make, wrap):
    layer = wrap(make())
    copy = reloaded(layer)
    assert type(copy) is type(layer)
    assert copy.compute_dtype == layer.compute_dtype
    assert copy.trainable == layer.trainable
    for a, b in zip(copy.inverse_and_log_det(x), layer.inverse_and_log_det(x), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    # Built ones, too.
    assert json.dumps(reloaded(layer).get_config()) == json.dumps(layer.get_config())


def test_a_repeated_bijector_is_the_same_map():
    layer = bijectors.Repeat(Times(k=3.0), 2)
    np.testing.assert_allclose(reloaded(layer).inverse_and_log_det(x)[0], x / 9, rtol=1e-6)


def test_keras_names_come_back():
    copy = reloaded(Times(k=3.0, name="thrice", trainable=False))
    assert (copy.name, copy.trainable) == ("thrice", False)
    plain = Plain(3.0)
    plain.trainable = False
    assert not reloaded(plain).trainable


@pytest.mark.parametrize("policy", ["float64", keras.DTypePolicy("mixed_bfloat16")])
def test_an_argument_may_be_a_layer(policy):
    condition = np.ones((5, 2), "float32")
    layer = Shift(keras.layers.Dense(3, "tanh", dtype=policy), dtype=policy)
    layer.inverse_and_log_det(x, condition=condition)
    copy = reloaded(layer)
    assert copy.built
    assert copy.network_dtype.name == layer.network_dtype.name
    copy.set_weights(layer.get_weights())
    for a, b in zip(
        copy.inverse_and_log_det(x, condition=condition),
        layer.inverse_and_log_det(x, condition=condition),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_weights_of_an_argument_are_saved(tmp_path):
    layer = Shift(keras.layers.Dense(3))
    condition = np.ones((5, 2), "float32")
    latents, _ = layer.inverse_and_log_det(x, condition=condition)
    model = keras.Sequential([layer])
    model.built = True
    model.save_weights(tmp_path / "some.weights.h5")
    copy = reloaded(layer)
    other = keras.Sequential([copy])
    other.built = True
    other.load_weights(tmp_path / "some.weights.h5")
    np.testing.assert_array_equal(copy.inverse_and_log_det(x, condition=condition)[0], latents)


def test_values_that_files_hold_differently_come_back():
    given = (1, "two", [3.0, None], {"four": (5,)})
    assert reloaded(Times(given)).k == given
    array = np.arange(3, dtype="int16")
    got = reloaded(Times(array)).k
    assert got.dtype == array.dtype
    assert got.tolist() == [0, 1, 2]
    assert reloaded(Times(keras.activations.relu)).k is keras.activations.relu
    assert reloaded(Times(squared)).k is squared


@registered
def squared(x):
    return x**2


def unregistered(x):
    return x


@pytest.mark.parametrize(
    "value", [lambda x: x, unregistered, object(), {1, 2}, {1: 2}, [object()], Times]
)
def test_a_value_that_cannot_be_saved_is_refused(value):
    with pytest.raises(NotImplementedError, match="argument `k` of Times cannot be saved.*write"):
        keras.saving.serialize_keras_object(Times(value))


def test_an_attribute_may_be_saved_in_its_place():
    layer = Times(lambda: 3.0)
    layer.k = 3.0
    assert reloaded(layer).k == 3.0


@registered
class Nameless(Times):
    def __init__(self, *k):
        super().__init__(*k)


def test_arguments_without_a_name_are_refused():
    with pytest.raises(NotImplementedError, match=r"`\*k` of Nameless has no keyword"):
        Nameless(3.0).get_config()
    assert Nameless().get_config()["name"]


def test_a_value_that_was_set_later_is_saved():
    layer = Times(k=3.0)
    layer.k = 5.0
    assert reloaded(layer).k == 5.0
    norm = bijectors.ActNorm()
    norm.epsilon = 0.5
    assert reloaded(norm).epsilon == 0.5
    chain = bijectors.Chain([bijectors.Flatten()])
    chain.bijectors.append(Times(2.0))
    assert len(reloaded(chain).bijectors) == 2
    coupling = bijectors.Coupling()
    coupling.transform = bijectors.SigmoidAffine(floor=0.5)
    assert reloaded(coupling).transform.floor == 0.5


def test_a_list_that_is_used_again_is_saved_as_it_was():
    parts = [bijectors.Flatten()]
    chain = bijectors.Chain(parts)
    parts.clear()
    assert len(reloaded(chain).bijectors) == 1


def test_a_part_that_was_made_for_none_is_saved_as_it_is():
    observation = distributions.Factorised(distributions.Normal())
    assert reloaded(observation).element.scale == "shared"
    pixels = distributions.AutoregressivePixels()
    pixels.network.trainable = False
    assert not reloaded(pixels).network.trainable
    # But for a network that is made for a shape.
    coupling = bijectors.Coupling()
    coupling.build((None, 4))
    assert coupling.get_config()["network"] is None


# ------------------------------------------------------------------------------------ transforms


@registered
class Scale(bijectors.Transform):
    num_params = 1

    def __init__(self, factor=1.0, offsets=()):
        self._factor = factor
        self.offsets = offsets

    def __call__(self, params):
        return tfp.bijectors.Scale(self._factor + 0 * params[..., 0])


def test_a_transform_keeps_its_arguments():
    copy = reloaded(Scale(3.0, (1, 2)))
    assert (copy._factor, copy.offsets) == (3.0, (1, 2))
    for cls in (bijectors.Coupling, bijectors.Elementwise, bijectors.Autoregressive):
        layer = cls(Scale(3.0))
        layer.build((None, 3))
        got = reloaded(layer)
        got.set_weights(layer.get_weights())
        expected = layer.inverse_and_log_det(x)
        for a, b in zip(got.inverse_and_log_det(x), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_transform_that_cannot_be_saved_is_refused():
    with pytest.raises(NotImplementedError, match="argument `factor` of Scale cannot be saved"):
        bijectors.Coupling(Scale(object())).get_config()


# ------------------------------------------------------------------------- parts of distributions


@registered
class Laplace(distributions.OutputDistribution):
    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self._scale = scale

    def num_params(self, channels):
        return channels

    def log_prob(self, x, params):
        return tf.reduce_sum(tfp.distributions.Laplace(params, self._scale).log_prob(x), -1)

    def sample(self, noise, params, temperature=1.0):
        return params

    def mean(self, params):
        return params


@registered
class OneValue(distributions.Observation):
    def __init__(self, element, offset=(0.0,), **kwargs):
        super().__init__(**kwargs)
        self.element, self._offset = element, offset

    def log_prob(self, x, features, noise=None):
        return self.element.log_prob(x, features + self._offset)


@registered
class Around(distributions.Posterior):
    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self._scale = scale


@registered
class Wide(distributions.StandardNormal):
    def __init__(self, width=1.0, **kwargs):
        super().__init__(**kwargs)
        self._width = width

    def log_prob(self, z, condition=None):
        return super().log_prob(z / self._width) - self.size * np.log(self._width)


@registered
class Named(distributions.FromTFD):
    def __init__(self, distribution, label="", **kwargs):
        super().__init__(distribution, **kwargs)
        self._label = label


def test_an_output_distribution_keeps_its_arguments():
    copy = reloaded(Laplace(3.0))
    assert copy._scale == 3.0
    np.testing.assert_array_equal(copy.log_prob(x, x + 1), Laplace(3.0).log_prob(x, x + 1))


@pytest.mark.parametrize(
    "make", [distributions.Factorised, distributions.PixelFlow, distributions.AutoregressivePixels]
)
def test_one_inside_an_observation_keeps_its_arguments(make):
    arguments = {"data_kind": "real"} if make is distributions.PixelFlow else {}
    copy = reloaded(make(element=Laplace(3.0), **arguments))
    assert type(copy) is make
    assert copy.element._scale == 3.0


def test_an_observation_keeps_its_arguments():
    layer = OneValue(Laplace(3.0), (1.0, 2.0, 3.0))
    copy = reloaded(layer)
    assert copy._offset == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(copy.log_prob(x, x), layer.log_prob(x, x))


def test_a_posterior_keeps_its_arguments():
    assert reloaded(Around(3.0))._scale == 3.0


def test_a_base_keeps_its_arguments():
    for layer in (Wide(3.0), distributions.Transformed(bijectors.ActNorm(), Wide(3.0))):
        copy = reloaded(layer)
        for base in (layer, copy):
            base.build((None, 3))
        np.testing.assert_array_equal(copy.log_prob(x), layer.log_prob(x))


def test_a_base_of_tfp_keeps_its_arguments():
    normal = tfp.distributions.MultivariateNormalDiag([0.0, 1.0])
    assert reloaded(Named(normal, "some"))._label == "some"


# --------------------------------------------------------------------------------------- networks


@registered
class TwoHeads(networks.MLP):
    def __init__(self, hidden_units, heads=(1,), **kwargs):
        super().__init__(hidden_units, activation="tanh", **kwargs)
        self._heads = heads


@registered
class Wrapped(networks.ConvEncoder):
    def __init__(self, inner, **kwargs):
        super().__init__((4,), (2,), **kwargs)
        self._inner = inner


def test_a_network_keeps_its_arguments():
    layer = TwoHeads((8, 4), (2, 3))
    expected = layer(x)
    copy = reloaded(layer)
    # Keras builds it, as it does any network.
    assert copy.built
    assert copy._heads == (2, 3)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(x), expected)


def test_arguments_of_a_base_class_are_kept():
    copy = reloaded(Wrapped(keras.layers.Dense(2), batch_norm=False, activation="relu"))
    assert not copy.batch_norm
    assert copy.activation is keras.activations.relu
    assert copy._inner.units == 2


# ----------------------------------------------------------------------------- whole, in a file


def test_a_model_of_own_parts_loads_as_it_was(tmp_path):
    bijector = bijectors.Chain([Times(k=3.0), Product((2.0,)), bijectors.Coupling(Scale(3.0))])
    model = tfgen.Flow(3, bijector, base=Wide(3.0))
    model.save(tmp_path / "own.keras")
    copy = keras.models.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(copy.log_prob(x), model.log_prob(x))

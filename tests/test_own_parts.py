"""Bijectors, distributions and networks of tfgen itself, in files and in summaries."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp
from keras.src.utils import summary_utils

from tfgen import bijectors
from tfgen import distributions
from tfgen import networks
from tfgen.bijectors.transforms import serialize_transform
from tfgen.bijectors.transforms import vector_transform


def reloaded(part):
    """The part as a file gives it back."""
    config = json.dumps(keras.saving.serialize_keras_object(part))
    return keras.saving.deserialize_keras_object(json.loads(config))


@pytest.mark.parametrize(
    "make",
    [
        lambda: networks.MLP((4,), keras.activations.tanh),
        lambda: networks.MLP([4], keras.layers.LeakyReLU(0.3)),
        lambda: networks.MADE(3, (8, 8), "random", residual=True),
        lambda: networks.MADE(ordering=[2, 0, 1]),
        lambda: networks.MaskedConv2D(4, 5, "A", kernel_regularizer="l2"),
        lambda: networks.CausalConv2D(4, (1, 2), 2, strict=False),
        lambda: networks.WeightNorm(keras.layers.Dense(3), 0.1),
        lambda: networks.PixelCNNStack(tied=True, weight_norm=False),
        lambda: networks.GatedPixelCNNStack(num_layers=1, weight_norm=False),
        lambda: networks.ResNetEncoder(spectral_norm=True, weight_norm=False),
        lambda: networks.ResNetDecoder((5, 7), units=9),
        lambda: networks.ConvDecoder((5, 7), kernel_size=3),
        lambda: networks.MinibatchFeatures(3),
        lambda: networks.Critic(networks.MLP((4,)), minibatch_features=3),
        lambda: bijectors.Dequantise(3),
        lambda: bijectors.Permutation(np.array([2, 0, 1])),
        lambda: distributions.IAFPosterior(2, (8,)),
        lambda: distributions.autoregressive_flow(2, (8,)),
        lambda: distributions.real_nvp(4, 1),
        lambda: bijectors.vector_couplings(5, (8,), "affine"),
        lambda: bijectors.Split(bijectors.Flatten()),
        lambda: distributions.FromTFD(tfp.distributions.MultivariateNormalDiag([0.0, 1.0])),
    ],
)
def test_own_parts_come_back_whole(make):
    layer = make()
    copy = reloaded(layer)
    assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
    for name, value in layer.get_config().items():
        assert hasattr(layer, name)
        if isinstance(value, bool | int | float | tuple):
            assert getattr(copy, name) == getattr(layer, name)


def test_affine_maps_are_saved_under_names_that_say_which():
    priors = {bijectors.Elementwise: 10.0}
    for cls in (bijectors.Coupling, bijectors.Elementwise, bijectors.Autoregressive):
        for given in ("sigmoid_affine", bijectors.SigmoidAffine()):
            assert type(cls(given).transform) is bijectors.SigmoidAffine
            assert cls(given).get_config()["transform"] == "sigmoid_affine"
        for given in ("affine", "exp_affine"):
            assert cls(given).transform.limit == priors.get(cls, 3.0)
            assert cls(given).get_config()["transform"] == "exp_affine"
            assert reloaded(cls(given)).transform.limit == priors.get(cls, 3.0)
        assert reloaded(cls(bijectors.ExpAffine(2.0))).transform.limit == 2.0
        # In files of version 0.1.
        old = {**cls().get_config(), "transform": "affine"}
        assert type(cls.from_config(old).transform) is bijectors.SigmoidAffine
    assert '"affine"' not in json.dumps(bijectors.Split(bijectors.Flatten(), "affine").get_config())


def test_recipes_for_vectors_mean_the_exponential_one():
    vector = vector_transform

    def given(transform):
        return serialize_transform(vector(transform), vector)

    assert type(vector("affine")) is bijectors.ExpAffine
    assert type(vector("exp_affine")) is bijectors.ExpAffine
    assert type(vector("sigmoid_affine")) is bijectors.SigmoidAffine
    assert given("affine") == "exp_affine"
    assert given("spline") == "spline"
    assert vector(given(bijectors.Spline())).bound == 5.0


@pytest.mark.parametrize("old, new", [("Affine", "SigmoidAffine"), ("LogScale", "ExpAffine")])
def test_files_with_old_names_of_transforms_load(old, new):
    config = {
        "module": "tfgen.bijectors.transforms",
        "class_name": old,
        "config": {"floor": 0.5} if old == "Affine" else {"limit": 2.0},
        "registered_name": f"tfgen>{old}",
    }
    got = keras.saving.deserialize_keras_object(config)
    assert type(got).__name__ == new
    assert got.get_config() == config["config"]
    assert getattr(bijectors, old) is getattr(bijectors, new)
    assert old not in dir(bijectors)


# -------------------------------------------------------------------------------------- summaries


def rows(model):
    """The rows of a summary with all layers, each its cells."""
    text = []
    model.summary(expand_nested=True, line_length=200, print_fn=text.append)
    lines = [line.strip("│ ") for line in text[0].split("\n") if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")] for line in lines]


def built(part, *shapes, **arguments):
    part.build(*shapes, **arguments)
    return part


def shown_shape(part):
    return re.sub(r"\[.*?\]", "", summary_utils.format_layer_shape(part))


IMAGES = (None, 8, 8, 2)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: built(bijectors.ActNorm(), (None, 3)), "(None, 3)"),
        (lambda: built(bijectors.Squeeze(), IMAGES), "(None, 4, 4, 8)"),
        (lambda: built(bijectors.Split(bijectors.Flatten()), IMAGES), "(None, 128)"),
        (lambda: built(bijectors.Coupling(), (None, 3), (None, 2)), "(None, 3)"),
        (lambda: built(bijectors.Repeat(bijectors.Coupling(), 2), (None, 3)), "(None, 3)"),
        (lambda: built(distributions.StandardNormal(), (None, 3)), "(None, 3)"),
        (lambda: built(distributions.IAFPosterior(1, (8,)), (None, 9), latent_dim=2), "(None, 2)"),
        (lambda: built(distributions.Factorised(), (None, 9), (8, 8, 1)), "(None, 8, 8, 1)"),
        (
            lambda: built(distributions.AutoregressivePixels(), None, (8, 8, 1)),
            "(None, 8, 8, 1)",
        ),
        (lambda: built(distributions.PixelFlow(), (None, 9), IMAGES[1:]), "(None, 8, 8, 2)"),
        (lambda: built(networks.MADE(2, (8,)), (None, 3), (None, 2)), "(None, 3, 2)"),
        (lambda: built(networks.PixelCNNStack(4), IMAGES, IMAGES), "(None, 8, 8, 4)"),
        (lambda: built(networks.GatedPixelCNNStack(4), IMAGES), "(None, 8, 8, 4)"),
        (lambda: built(networks.ConvEncoder((4,), (2,)), IMAGES), "(None, 64)"),
        (lambda: built(networks.ResNetDecoder((8, 8), (4,)), (None, 3)), "(None, 8, 8, 4)"),
        (lambda: built(networks.Critic(networks.MLP((4,))), (None, 3), (None, 2)), "(None)"),
    ],
)
def test_a_summary_shows_the_shape(make, expected):
    part = make()
    assert shown_shape(part) == expected
    for inner in part._flatten_layers(include_self=False):
        # Keras never builds an Identity.
        if inner._build_shapes_dict:
            assert shown_shape(inner).startswith("("), inner


def test_a_summary_shows_the_layers_inside(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    network = networks.GatedPixelCNNStack(4, num_layers=1, weight_norm=False)
    pixels = distributions.AutoregressivePixels(distributions.Bernoulli(), network)
    pixels.build((None, 9), (8, 8, 1))
    step = bijectors.Chain([bijectors.ActNorm(), bijectors.Coupling()])
    flow = bijectors.Chain([bijectors.Repeat(step, 5)])
    flow.build((None, 4))
    model = keras.Model()
    model.parts = [pixels, flow]
    shown = {re.sub(r"_?\d* \(", " (", row[0]): row[1:] for row in rows(model)}
    # Of one copy.
    assert shown["└ act_norm (ActNorm)"] == ["(None, 4)", "8"]
    names = ["repeat (Repeat)", "mlp (MLP)", "head (Head)", "causal_conv2d (CausalConv2D)"]
    for name in names:
        shape, count = shown[f"└ {name}"]
        assert shape.startswith("(None, ")
        assert int(count.replace(",", "")) > 0


def test_output_shapes_are_those_of_a_call():
    layer = built(bijectors.Split(bijectors.Flatten()), IMAGES)
    shapes = layer.compute_output_shape(IMAGES)
    assert shapes == ((None, 128), (None,))
    images = keras.Input(IMAGES[1:])
    z, log_det = layer(images)
    assert (z.shape, log_det.shape) == shapes
    back, _ = layer(z, inverse=False)
    assert back.shape == IMAGES


def test_layers_inside_are_listed():
    chain = bijectors.Chain([bijectors.ActNorm(), bijectors.Coupling()])
    chain.build((None, 3))
    assert list(chain.layers) == chain.bijectors
    assert len(chain.bijectors[1].layers) == 2
    repeat = bijectors.Repeat(chain, 3)
    assert list(repeat.layers) == [repeat.step]
    assert not bijectors.ActNorm().layers

    class Own(bijectors.Chain):
        def __init__(self, **kwargs):
            super().__init__([bijectors.ActNorm()], **kwargs)
            # An attribute that many layers have.
            self.layers = [keras.layers.Dense(2)]

    assert len(Own().layers) == 1


@pytest.mark.parametrize("package", [bijectors, distributions, networks])
def test_namespaces_show_public_names_only(package):
    assert dir(package) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


# ------------------------------------------------------------------------------- stacks and names


def test_stacks_keep_one_part_and_the_other_in_turn():
    made = []

    def network():
        made.append(networks.ResNet(4, 1))
        return made[-1]

    parts = bijectors.image_couplings("checkerboard", 3, network)
    kinds = [bijectors.ActNorm, bijectors.Coupling]
    assert [type(part) for part in parts] == 3 * kinds
    assert [part.flip for part in parts[1::2]] == [False, True, False]
    assert [part.network for part in parts[1::2]] == made
    assert {part.mask for part in parts[1::2]} == {"checkerboard"}


@pytest.mark.parametrize("num_layers", [3, 4, 5])
@pytest.mark.parametrize("transform", ["affine", "additive"])
def test_couplings_of_vectors(num_layers, transform):
    flow = bijectors.vector_couplings(num_layers, (8,), transform)
    flow.build((None, 4))
    first, *rest = flow.bijectors
    assert type(first) is bijectors.Standardise
    steps = []
    for part in rest:
        times = part.times if isinstance(part, bijectors.Repeat) else 1
        steps += times * (part.step if times > 1 else part).bijectors
    couplings = [step for step in steps if isinstance(step, bijectors.Coupling)]
    assert [step.flip for step in couplings] == [bool(i % 2) for i in range(num_layers)]
    # Shifts do not rescale.
    norms = len(steps) - len(couplings)
    assert norms == (num_layers if transform == "additive" else 0)


@pytest.mark.parametrize("event_shape", [(6,), (8, 8, 1)])
@pytest.mark.parametrize("role", ["encoder", "decoder", "generator", "critic"])
@pytest.mark.parametrize("name", [None, "mlp", "conv", "resnet"])
def test_networks_by_name(event_shape, role, name):
    if len(event_shape) == 1 and name in ("conv", "resnet"):
        with pytest.raises(ValueError, match=r"`some` must be one of \['mlp'\] .* got '"):
            networks.get_network(name, role, event_shape, name="some")
        return
    network = networks.get_network(name, role, event_shape, "float64", spectral_norm=True)
    makes_images = role in ("decoder", "generator")
    shape = (None, 3) if makes_images else (None, *event_shape)
    network.build(shape)
    out = network.compute_output_shape(shape)
    images = makes_images and len(event_shape) == 3 and name != "mlp"
    assert len(out) == (4 if images else 2)
    assert not images or out[1:3] == event_shape[:2]
    assert {w.dtype for w in network.weights} == {"float64"}
    normed = [
        part
        for part in network._flatten_layers()
        if isinstance(part, keras.layers.SpectralNormalization)
    ]
    assert bool(normed) == (role == "critic" and len(event_shape) == 3 and name != "mlp")
    assert networks.get_network(network, role, event_shape) is network


def test_the_network_that_none_means():
    for role, kind in (
        ("encoder", networks.ResNetEncoder),
        ("decoder", networks.ResNetDecoder),
        ("generator", networks.ConvDecoder),
        ("critic", networks.ConvEncoder),
    ):
        assert type(networks.get_network(None, role, (8, 8, 1))) is kind
    got = networks.get_network(None, "decoder", (8, 8, 1), default="conv")
    assert type(got) is networks.ConvDecoder

"""No public model or map without its checks."""

import inspect

import keras
import pytest
import zoo

import tfgen
from tfgen import bijectors
from tfgen import distributions
from tfgen import models
from tfgen.models.adversarial import Adversarial
from tfgen.models.batches import Batches
from tfgen.models.chunks import Chunked
from tfgen.models.conditions import Conditional
from tfgen.models.initialise import WeightNormInit
from tfgen.models.presets import Presets
from tfgen.models.training import Trainable
from tfgen.networks import WeightNorm


def public(module, base):
    classes = [getattr(module, name) for name in module.__all__]
    return {c for c in classes if inspect.isclass(c) and issubclass(c, base)} - zoo.ABSTRACT


@pytest.fixture(scope="module")
def built():
    return {name: entry.build() for name, entry in zoo.MODELS.items()}


def test_every_model_is_registered(built):
    registered = {type(model) for model in built.values()}
    assert public(models, tfgen.GenerativeModel) <= registered
    assert registered == {type(built[name]) for name in built.keys() - zoo.VARIANTS}
    assert not zoo.VARIANTS - built.keys()


def test_recipes_leave_the_contract_to_its_parts():
    """One training step, one data path, one way to run a core, one kind of preset."""
    for part in (Trainable, Batches, Chunked, Conditional, Presets):
        kept = {name for name, value in vars(part).items() if callable(value)}
        kept -= {"__init__", "default_optimizer"}
        assert kept
        for model in public(models, tfgen.GenerativeModel):
            for cls in model.__mro__[: model.__mro__.index(tfgen.GenerativeModel)]:
                if cls is Adversarial:
                    # The second player's step is around the first's, which stays what it is.
                    continue
                assert not kept & set(vars(cls)), f"{cls.__name__} overrides {part.__name__}"


def test_every_layer_is_built(built):
    """What is not, Keras would build by a call as of a plain model: under replicas it fails."""
    for name, model in built.items():
        assert all(layer.built for layer in model._flatten_layers()), name


def test_models_with_weight_normalisation_initialise_it(built):
    for name, model in built.items():
        normed = any(isinstance(part, WeightNorm) for part in model._flatten_layers())
        assert not normed or isinstance(model, WeightNormInit), name


def test_every_bijector_is_registered():
    registered = {type(entry.build(dtype="float32")) for entry in zoo.BIJECTORS.values()}
    found = public(bijectors, bijectors.Bijector) | public(models, bijectors.Bijector)
    assert found <= registered


def test_every_transform_is_registered():
    layers = [entry.build(dtype="float32") for entry in zoo.BIJECTORS.values()]
    registered = {type(layer.transform) for layer in layers if hasattr(layer, "transform")}
    assert public(bijectors, bijectors.Transform) <= registered


def test_every_other_layer_is_part_of_a_model(built):
    layers = public(bijectors, keras.layers.Layer) - public(bijectors, bijectors.Bijector)
    # Bases have tests of their own.
    layers |= public(distributions, keras.layers.Layer) - public(distributions, distributions.Base)
    used = set()
    for model in built.values():
        used |= {type(layer) for layer in model._flatten_layers()}
    assert layers <= used


def test_perturb_leaves_no_trainable_weight_as_it_was():
    layer = zoo.coupling()
    layer.build((None, 4))
    before = [w.numpy() for w in layer.trainable_variables]
    zoo.perturb(layer)
    for weight, old in zip(layer.trainable_variables, before, strict=True):
        assert (weight.numpy() != old).all()


def test_an_entry_keeps_its_word(case):
    assert case.model.likelihood == case.entry.likelihood
    assert case.model.term_names == case.entry.terms

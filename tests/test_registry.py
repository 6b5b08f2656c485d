"""No public model or map without its checks."""

import inspect
import itertools

import keras
import pytest
import zoo

import tfgen
from tfgen import bijectors
from tfgen import distributions
from tfgen import models
from tfgen.core.model import GenerativeModel
from tfgen.core.training import Trainable


def public(module, base):
    classes = [getattr(module, name) for name in module.__all__]
    return {c for c in classes if inspect.isclass(c) and issubclass(c, base)} - zoo.ABSTRACT


@pytest.fixture(scope="module")
def built():
    return {name: entry.build() for name, entry in zoo.MODELS.items()}


def test_every_model_is_registered(built):
    registered = {type(model) for model in built.values()}
    assert public(models, tfgen.GenerativeModel) <= registered
    # By default all are tested but those that are another recipe with other arguments.
    tested = {type(built[name]) for name in built.keys() - zoo.VARIANTS}
    assert all(is_configuration(cls) for cls in registered - tested)
    assert not zoo.VARIANTS - built.keys()


def is_configuration(cls):
    """True for a class that has nothing of its own but a constructor."""
    return not {name for name, value in vars(cls).items() if callable(value)} - {"__init__"}


def test_recipes_leave_the_contract_to_the_core():
    """One training step, one data path, one way to run a core, one kind of preset."""
    own = GenerativeModel.__mro__[: GenerativeModel.__mro__.index(keras.Model)]
    # One line of classes, none of which knows those below it.
    assert all(cls.__bases__ == (base,) for cls, base in itertools.pairwise(own))
    training = own[own.index(Trainable) :]
    hooks = {"__init__", "default_optimizer", "_batch_terms", "_other_players", "_outputs"}
    # What a file holds beside the weights is the family's to say.
    hooks |= {"_replaceable_variables", "load_own_variables"}
    kept = {name for cls in training for name, value in vars(cls).items() if callable(value)}
    kept -= {*hooks, "_needs_adapt", "_adapt", "_check_batches", "_own_callbacks"}
    assert kept >= {"fit", "train_step", "compile", "get_compile_config"}
    for model in public(models, tfgen.GenerativeModel):
        for cls in model.__mro__[: model.__mro__.index(tfgen.GenerativeModel)]:
            assert not kept & set(vars(cls)), f"{cls.__name__} overrides {kept & set(vars(cls))}"


def test_players_have_every_variable_once(built):
    for name, model in built.items():
        owned = [id(v) for player in model.players for v in player.variables]
        assert len(owned) == len(set(owned)), name
        assert set(owned) == {id(v) for v in model.variables if v.trainable}, name


def test_every_layer_is_built(built):
    """Keras builds the others by a call as of a plain model, which fails under replicas."""
    for name, model in built.items():
        assert all(layer.built for layer in model._flatten_layers()), name


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

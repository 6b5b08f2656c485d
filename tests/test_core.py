"""The pieces of the core by themselves: no model is needed to use or to test them."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.core.data_spec import DataSpec
from tfgen.core.players import Player
from tfgen.core.players import check_players
from tfgen.core.row_functions import RowFunctions
from tfgen.utils.random import row_normal
from tfgen.utils.recorded import Recorded
from tfgen.utils.recorded import recorded_config

X = np.arange(6.0).reshape(3, 2)
LABELS, VECTORS = np.array([0, 2, 1]), np.arange(9.0).reshape(3, 3)


# ------------------------------------------------------------------------------------ DataSpec


def test_y_is_a_condition_a_target_or_ignored():
    for spec, name in (
        (DataSpec(2, num_classes=3), "condition"),
        (DataSpec(2, num_classes=3, role="target"), "target"),
    ):
        assert spec.arrays(X, LABELS)[name].tolist() == [0, 2, 1]
        batch = spec.batch((tf.constant(X), tf.constant(LABELS)))
        assert set(batch) == {"x", "row", name}
        assert [None if v is None else v.shape[0] for v in spec.unpack(batch)] == [3, 3, None]
        with pytest.raises(ValueError, match="`y` is missing: (this model is|training needs)"):
            spec.arrays(X)
    assert spec.condition is None
    assert spec.check_condition(None, 3) is None
    with pytest.raises(ValueError, match="`condition` was given, but this model is unconditional"):
        spec.check_condition(LABELS, 3)
    assert set(DataSpec(2).arrays(X, LABELS)) == {"x"}
    assert set(DataSpec(2).batch((X, LABELS))) == {"x", "row"}
    with pytest.raises(ValueError, match="`role` must be one of .* got 'weight'"):
        DataSpec(2, role="weight")


@pytest.mark.parametrize("given", [(LABELS, VECTORS), {"label": LABELS, "vector": VECTORS}])
def test_a_label_and_a_vector(given):
    spec = DataSpec(2, condition_shape=(3,), num_classes=3)
    for got in (spec.arrays(X, given)["condition"], spec.batch((X, given))["condition"]):
        np.testing.assert_array_equal(got["label"], LABELS)
        np.testing.assert_array_equal(got["vector"], VECTORS)
    one = spec.check_condition((1, VECTORS[0]), 3)
    assert one["label"].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(one["vector"], VECTORS[[0, 0, 0]])
    assert {s.name for s in spec.condition_spec.values()} == {"label", "vector"}
    weighed = spec.weigh(spec.arrays(X, given), {2: 5.0})
    assert weighed["sample_weight"].numpy().tolist() == [1.0, 5.0, 1.0]


@pytest.mark.parametrize(
    "given, words",
    [
        (LABELS, "`y` must be a pair of labels and vectors, or a dict .* got a ndarray"),
        ({"label": LABELS}, r"`y` must be a pair .* got a dict of \['label'\]"),
        ((VECTORS, LABELS), "`y label` must have shape"),
        ((LABELS, VECTORS[:, :2]), "`y vector` must have shape"),
        ((LABELS + 1, VECTORS), "`y label` must hold labels in 0..2"),
        ((LABELS[:2], VECTORS), "the same number of rows; `x` has 3, `y` has 2"),
        (None, "`y` is missing: this model is conditional on pairs of an integer label"),
    ],
)
def test_a_bad_pair_is_told_by_name(given, words):
    with pytest.raises(ValueError, match=words):
        DataSpec(2, condition_shape=(3,), num_classes=3).arrays(X, given)


def test_pairs_reach_batches_of_arrays_and_of_data_sets():
    spec = DataSpec(2, condition_shape=(3,), num_classes=3)
    streams = [
        spec.evaluation_batches(X, (LABELS, VECTORS), batch_size=2),
        spec.stream(
            tf.data.Dataset.from_tensor_slices((X, (LABELS, VECTORS))).batch(2), number_on=True
        ),
    ]
    for stream in streams:
        batches = list(stream)
        assert [b["row"].numpy().tolist() for b in batches] == [[0, 1], [2]]
        labels = np.concatenate([b["condition"]["label"] for b in batches])
        vectors = np.concatenate([b["condition"]["vector"] for b in batches])
        np.testing.assert_array_equal(labels, LABELS)
        np.testing.assert_array_equal(vectors, VECTORS)


# -------------------------------------------------------------------------------- RowFunctions


def row_functions():
    def shifted(x, seed, start, scale, condition):
        noise = row_normal(seed, start, tf.shape(x)[0], (2,))
        return x + scale * noise + (0 if condition is None else condition["vector"][:, :2])

    def drawn(num_rows, seed, start):
        return row_normal(seed, start, num_rows, (2,))

    vector = tf.TensorSpec([None, 3], name="vector")
    specs = {
        "x": tf.TensorSpec([None, 2], name="x"),
        "seed": tf.TensorSpec([2], tf.int32, name="seed"),
        "start": tf.TensorSpec([], tf.int64, name="start"),
        "num_rows": tf.TensorSpec([], tf.int32, name="num_rows"),
        "scale": tf.TensorSpec([], name="scale"),
        "condition": None,
    }
    cores = {"shifted": shifted, "drawn": drawn}
    plain = RowFunctions(cores.get, lambda: specs)
    return plain, RowFunctions(cores.get, lambda: {**specs, "condition": {"vector": vector}})


def test_cores_get_what_their_signature_asks_for_in_chunks():
    plain, conditional = row_functions()
    x, scale = X.astype("float32"), tf.constant(2.0)
    expected = plain.run("shifted", 3, 256, 7, x=x, scale=scale, condition=None)
    np.testing.assert_allclose(expected - x, 2 * plain.run("drawn", 3, 256, 7), rtol=1e-5)
    for size in (1, 2, 3):
        got = plain.run("shifted", 3, size, 7, x=x, scale=scale)
        np.testing.assert_array_equal(got, expected)
    condition = {"vector": VECTORS.astype("float32")}
    got = conditional.run("shifted", 3, 2, 7, x=x, scale=scale, condition=condition)
    np.testing.assert_allclose(got, expected + VECTORS[:, :2], rtol=1e-5)
    kept = plain.function("drawn")
    assert plain.function("drawn") is kept
    plain.clear()
    assert plain.function("drawn") is not kept


# ------------------------------------------------------------------------------------- Players


def player(**arguments):
    layers = [keras.layers.Dense(2), keras.layers.Dense(1, kernel_regularizer="l2")]
    for layer in layers:
        layer.build((None, 2))
    return Player("rival", None, layers, keras.optimizers.Adam, **arguments), layers


def test_a_player_has_the_variables_and_losses_of_its_layers():
    rival, layers = player()
    assert [id(v) for v in rival.variables] == [
        id(v) for layer in layers for v in layer.trainable_variables
    ]
    assert len(rival.losses) == 1
    layers[0].trainable = False
    assert len(rival.variables) == 2
    assert len(rival.all_variables) == 4
    assert not rival.is_frozen
    layers[1].trainable = False
    assert rival.is_frozen


def test_a_players_optimizer_and_steps():
    rival, _ = player(default_steps=3)
    lead = keras.optimizers.SGD()
    rival.configure(*rival.choose(None, None, others=[lead]), lead=lead)
    assert isinstance(rival.optimizer, keras.optimizers.Adam)
    assert rival.steps == 3
    scaled = keras.optimizers.LossScaleOptimizer(lead)
    rival.configure(*rival.choose("sgd", 2, others=[scaled]), lead=scaled)
    assert isinstance(rival.optimizer, keras.optimizers.LossScaleOptimizer)
    assert rival.steps == 2
    for given, words in (
        ((lead, None), "`rival_optimizer` must be another one than `optimizer`"),
        (("descent", None), "`rival_optimizer` is none of Keras's: .*descent"),
        ((None, 0), "`rival_steps` must be a whole number of at least 1; got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            rival.choose(*given, others=[lead])


# ----------------------------------------------------------------------------------- arguments


class Parent(metaclass=Recorded):
    def __init__(self, size, depth=1, width=2):
        self.size, self.depth, self.width = size, depth, width

    def _after_init(self):
        self.made_with = vars(self).get("late", "nothing late")


class Child(Parent):
    def __init__(self, size, depth=3, **kwargs):
        super().__init__(2 * size, depth=depth, **kwargs)
        self.late = "late"


def test_recorded_are_arguments_as_given_and_defaults_left_open():
    child = Child(5)
    assert recorded_config(child) == {"size": 5, "depth": 3, "width": 2}
    assert child.size == 10
    assert recorded_config(Child(5, width=7)) == {"size": 5, "depth": 3, "width": 7}
    assert recorded_config(Child(**recorded_config(child))) == recorded_config(child)
    child.depth = 9
    assert recorded_config(child)["depth"] == 9
    assert recorded_config(child, but=("size",)) == {"depth": 9, "width": 2}


def test_what_is_made_last_comes_after_the_outermost_constructor():
    assert Child(1).made_with == "late"
    assert Parent(1).made_with == "nothing late"


def test_the_signature_is_the_constructors():
    assert list(inspect.signature(Child).parameters) == ["size", "depth", "kwargs"]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size'"):
        Child()


def test_players_have_names_and_layers_of_their_own():
    one, other = player()[0], player()[0]
    with pytest.raises(ValueError, match="players must have names of their own.*'rival', 'rival'"):
        check_players([one, other])
    shared = Player("third", None, one.layers, keras.optimizers.Adam)
    with pytest.raises(ValueError, match="share no layer; .* is one of 'rival' and of 'third'"):
        check_players([Player("model", None, [], None), one, shared])
    with pytest.raises(ValueError, match="names of their own, as in Python; got .'jit compile'"):
        check_players([Player("jit compile", None, [], keras.optimizers.Adam)])
    check_players([Player("model", None, [], None), one])

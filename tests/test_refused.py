"""Batches later than the first are right or refused; errors say what to do."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.core.data_spec import DataSpec
from tfgen.core.export import export
from tfgen.data import files
from tfgen.data.binarise import binarise
from tfgen.data.dataset import Data
from tfgen.utils import checks

SIZE = 4  # rows in a batch; the fault is in row 1 of batch 2
FAULT = 2 * SIZE + 1
REFUSED = (ValueError, tf.errors.InvalidArgumentError)

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 2, 2, 1))
REALS = np.random.default_rng(1).normal(size=(12, 2)).astype("float32")
LABELS = np.arange(12) % 3
NUMBERS = np.random.default_rng(2).normal(size=12).astype("float32")


def spoilt(values, fault, dtype=None):
    values = np.array(values, dtype)
    values[FAULT] = fault
    return values


def batches(parts):
    for i in range(0, 12, SIZE):
        yield tf.nest.map_structure(lambda a, i=i: a[i : i + SIZE], parts)


def dataset(parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(SIZE)


def shapeless(parts):
    """A data set that knows no shape before it is read."""
    signature = tf.nest.map_structure(lambda a: tf.TensorSpec(None, a.dtype), parts)
    return tf.data.Dataset.from_generator(lambda: batches(parts), output_signature=signature)


class Batches(keras.utils.PyDataset):
    def __init__(self, parts, **arguments):
        super().__init__(**arguments)
        self.items = list(batches(parts))

    @property
    def num_batches(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


STREAMS = {"dataset": dataset, "shapeless": shapeless, "generator": batches, "pydataset": Batches}


def read(spec, stream):
    """The batches that a model is given of a stream, after the look at the first."""
    _, stream = spec.peek(stream)
    read = spec.stream(stream)
    if isinstance(read, keras.utils.PyDataset):
        read = map(read.__getitem__, range(read.num_batches))
    return [spec.batch(batch) for batch in read]


# ------------------------------------------------------------------------------ later batches

UINT8, BINARY, REAL = {"kind": "uint8"}, {"kind": "binary"}, {}
LABELLED, NUMBERED = {"num_classes": 3}, {"condition_shape": 1}
BOTH = LABELLED | NUMBERED
LEVELS = r"`x` must hold .*0\.\.255.*; got"
TOLD = {
    "too_bright": (UINT8, (spoilt(IMAGES, 256, "float32"),), f"{LEVELS} values from .* to 256"),
    "16_bits": (UINT8, (spoilt(IMAGES, 60000, "uint16"),), f"{LEVELS} values from .* to 60000"),
    "negative": (UINT8, (spoilt(IMAGES, -1, "int64"),), f"{LEVELS} values from -1 to"),
    "signed": (UINT8, (spoilt(IMAGES // 2, -1, "int8"),), f"{LEVELS} values from -1 to"),
    "broken": (UINT8, (spoilt(IMAGES, 0.5, "float32"),), f"{LEVELS} non-integral values"),
    "no_level": (UINT8, (spoilt(IMAGES, np.nan, "float32"),), "`x` must be finite; row 1"),
    "no_bit": (BINARY, (spoilt(IMAGES > 99, 2, "uint8"),), "`x` must hold 0 or 1 .*; got .* to 2"),
    "no_chance": (BINARY, (spoilt(IMAGES > 99, 1.5, "float32"),), "`x` must hold 0 or 1 .*to 1.5"),
    "nan": (REAL, (spoilt(REALS, np.nan),), r"`x` must be finite; row 1 holds NaN or inf \(1 such"),
    "inf": (REAL, (spoilt(REALS, -np.inf),), "`x` must be finite; row 1"),
    "huge": (REAL, (spoilt(REALS, 1e300, "float64"),), "`x` must be finite; row 1"),
    "label": (LABELLED, (REALS, spoilt(LABELS, 3)), "`y` must hold labels in 0..2; got .* to 3"),
    "far_label": (LABELLED, (REALS, spoilt(LABELS, 2**32)), "`y` must hold labels in 0..2; got"),
    "half_label": (LABELLED, (REALS, spoilt(LABELS, 1.5, "float32")), "`y` must .*non-integral"),
    "number": (NUMBERED, (REALS, spoilt(NUMBERS, np.inf)), "`y` must be finite; row 1"),
    "pair_label": (BOTH, (REALS, (spoilt(LABELS, -1), NUMBERS)), "`y label` must hold labels"),
    "pair_vector": (BOTH, (REALS, (LABELS, spoilt(NUMBERS, np.nan))), "`y vector` must be finite"),
    "target": ({**NUMBERED, "role": "target"}, (REALS, spoilt(NUMBERS, np.nan)), "`y` must be fin"),
    "weight": (LABELLED, (REALS, LABELS, spoilt(NUMBERS**2, -1)), "`sample_weight` must be at lea"),
    "no_weight": (LABELLED, (REALS, LABELS, spoilt(NUMBERS**2, np.nan)), "`sample_weight` must be"),
}


@pytest.mark.parametrize("kind", ["dataset", *zoo.slow("pydataset", "generator", "shapeless")])
@pytest.mark.parametrize("fault", TOLD)
def test_values_of_later_batches_are_told(kind, fault):
    arguments, parts, words = TOLD[fault]
    spec = DataSpec(parts[0].shape[1:], **{"kind": "real", **arguments})
    with pytest.raises(REFUSED, match=rf"(?s){words}.*\(batch 2\)"):
        read(spec, STREAMS[kind](parts))


SIZES = {
    "narrow": (REALS[:SIZE, :1], LABELS[:SIZE], r"`x` must have shape \[n, 2\]; got \[4,? 1\]"),
    "deep": (REALS[:SIZE, None], LABELS[:SIZE], r"`x` must have shape \[n, 2\]; got \[4,? 1,? 2\]"),
    "empty": (REALS[:0], LABELS[:0], r"`x` must have at least one row; got \[0,? 2\]"),
    "short": (REALS[:SIZE], LABELS[:3], "4 examples; got 3|`x` has 4, `y` has 3"),
    "one_hot": (REALS[:SIZE], np.eye(3)[LABELS[:SIZE]].astype(int), r"`y` must have shape \[n\]"),
}


@pytest.mark.parametrize("kind", ["shapeless", "generator", "pydataset"])
@pytest.mark.parametrize("fault", SIZES)
def test_sizes_of_later_batches_are_told(kind, fault):
    *bad, words = SIZES[fault]
    items = [(REALS[:SIZE], LABELS[:SIZE]), tuple(bad)]
    stream = iter(items)
    if kind == "pydataset":
        stream = Batches((REALS, LABELS))
        stream.items = items
    elif kind == "shapeless":
        signature = tuple(tf.TensorSpec(None, a.dtype) for a in items[0])
        stream = tf.data.Dataset.from_generator(lambda: iter(items), output_signature=signature)
    with pytest.raises(REFUSED, match=rf"(?s)({words}).*\(batch 1\)"):
        read(DataSpec(2, **LABELLED), stream)


RIGHT = {
    "levels": (UINT8, (IMAGES.astype("float64"),)),
    "bits": (BINARY, (IMAGES > 99,)),
    "chances": (BINARY, (IMAGES / 255,)),
    "whole_numbers": (REAL, (IMAGES,)),
    "labels": (LABELLED, (REALS, LABELS[:, None].astype("float32"))),
    "two_labels": ({"num_classes": 2}, (REALS, LABELS > 0)),
    "numbers": (NUMBERED, (REALS, NUMBERS)),
    "pairs": (BOTH, (REALS, (LABELS, NUMBERS))),
    "named_pairs": (BOTH, (REALS, {"label": LABELS[:, None], "vector": NUMBERS})),
    "weighed": (NUMBERED, (REALS, NUMBERS, NUMBERS[:, None] ** 2)),
}


@pytest.mark.parametrize("kind", ["shapeless", "pydataset", *zoo.slow("generator", "dataset")])
@pytest.mark.parametrize("form", RIGHT)
def test_what_is_right_is_taken_as_of_arrays(kind, form):
    arguments, parts = RIGHT[form]
    spec = DataSpec(parts[0].shape[1:], **{"kind": "real", **arguments})
    expected = spec.arrays(*parts)
    got = read(spec, STREAMS[kind](parts))
    for name, whole in expected.items():
        joined = tf.nest.map_structure(lambda *a: np.concatenate(a), *(b[name] for b in got))
        tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b), joined, whole)
    if kind in ("dataset", "shapeless"):
        stream = spec.stream(STREAMS[kind](parts)).element_spec["x"]
        assert stream.shape.as_list() == [None, *parts[0].shape[1:]]
    assert np.concatenate([b["row"] for b in got]).tolist() == 3 * [0, 1, 2, 3]


def test_a_later_batch_may_be_of_rows_that_are_alike():
    """Two rows are alike by chance; if all are, digits were lost, which the first batch tells."""
    x = REALS[:10].astype("float64") + 5
    x[-2:, 0] = 5, 5 + 1e-6
    for kind in STREAMS:
        read(DataSpec(2), STREAMS[kind]((x,)))
    x[:2, 0], x[2:SIZE, 0] = 5, 5 + 1e-6
    with pytest.raises(ValueError, match="`x` has values up to 5.* in column 0"):
        read(DataSpec(2), dataset((x,)))


@pytest.fixture(scope="module")
def model():
    model = tfgen.RealNVP(2, num_layers=2, hidden_units=(4,), **NUMBERED)
    model.compile()
    model.adapt(REALS, NUMBERS)
    return model


@pytest.mark.parametrize("method", ["fit", *zoo.slow("evaluate", "predict")])
@pytest.mark.parametrize("kind", ["dataset", *zoo.slow("generator", "pydataset")])
def test_models_refuse_them(model, kind, method):
    steps = {} if kind != "generator" else {"steps_per_epoch" if method == "fit" else "steps": 3}
    stream = STREAMS[kind]((spoilt(REALS, np.nan), NUMBERS))
    with pytest.raises(REFUSED, match=r"`x` must be finite; row 1 .*\(batch 2\)"):
        getattr(model, method)(stream, verbose=0, **steps)


@pytest.mark.slow
def test_models_refuse_them_in_validation_in_adapt_and_on_replicas(model, strategy):
    bad = dataset((spoilt(REALS, np.nan), NUMBERS))
    with pytest.raises(REFUSED, match="`x` must be finite; row 1"):
        model.fit(REALS, NUMBERS, validation_data=bad, verbose=0)
    with pytest.raises(ValueError, match=r"`x` must be finite; row 1 .*\(batch 2\)"):
        model.adapt(bad, num_batches=3)
    with strategy.scope():
        spread = tfgen.RealNVP(2, num_layers=2, hidden_units=(4,), **NUMBERED)
        spread.compile()
    spread.fit(dataset((REALS, NUMBERS)), verbose=0)
    with pytest.raises(REFUSED, match="`x` must be finite; row 1"):
        spread.fit(bad, verbose=0)


def test_single_numbers_are_conditions(model):
    wide = NUMBERS[:, None]
    np.testing.assert_array_equal(model.log_prob(REALS, NUMBERS), model.log_prob(REALS, wide))
    np.testing.assert_array_equal(model.sample(12, NUMBERS, seed=0), model.sample(12, wide, seed=0))
    np.testing.assert_allclose(model((REALS, NUMBERS)), model((REALS, wide)))
    expected = model.evaluate(REALS, wide, batch_size=SIZE, verbose=0)
    assert model.evaluate(REALS, NUMBERS, batch_size=SIZE, verbose=0) == expected
    assert model.evaluate(dataset((REALS, NUMBERS)), verbose=0) == expected
    assert model.evaluate(Batches((REALS, NUMBERS)), verbose=0) == expected


# --------------------------------------------------------------------------------------- splits


def test_splits_of_folders_are_kept(tmp_path):
    from PIL import Image

    def store(folder, count):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((2, 2), i, "uint8")).save(tmp_path / folder / f"{i}.png")

    store("train/a", 5)
    store("val/a", 3)
    data = files.load_folder(tmp_path)
    assert [len(x) for x, _ in data.splits.values()] == [5, 3]
    assert data.validation is None
    assert data.num_classes == 1
    store("test/a", 2)
    data = files.load_folder(tmp_path)
    assert repr(data).endswith("5 train, 3 validation, 2 test, 1 classes)")
    np.testing.assert_array_equal(data.validation[0][:, 0, 0, 0], range(3))
    store("validation/a", 2)
    with pytest.raises(ValueError, match="expected one of validation and val"):
        files.load_folder(tmp_path)


def test_splits_of_tfds_are_kept(tmp_path):
    import tensorflow_datasets as tfds

    counts = {"train": 6, "validation": 3, "test": 2}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="three",
        version="1.0.0",
        data_dir=tmp_path,
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(2, 2, 1))}),
        split_datasets={
            split: [(i, {"image": np.full((2, 2, 1), 40 * count, "uint8")}) for i in range(count)]
            for split, count in counts.items()
        },
        disable_shuffling=True,
    )
    data = tfgen.data.load("three", data_dir=tmp_path)
    for split, count in counts.items():
        x, y = getattr(data, split)
        assert y is None
        assert len(x) == count
        assert (x == 40 * count).all()


def test_all_splits_are_drawn_and_none_moves_another():
    grey = {split: (IMAGES.astype("uint8"), None) for split in ("train", "test")}
    alone = binarise(Data("grey", "uint8", **grey), "static")
    beside = Data("grey", "uint8", **grey, validation=grey["test"])
    for way in ("static", "dynamic"):
        drawn = binarise(beside, way)
        assert drawn.validation[0].max() == 1
        assert drawn.validation[0].dtype == np.uint8
        np.testing.assert_array_equal(drawn.test[0], alone.test[0])


def test_runs_validate_on_the_validation_split(tmp_path, monkeypatch):
    from tfgen.app import runs

    seen = []

    def fit(self, x, *args, validation_data=None, **kwargs):
        seen.append(validation_data[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(tfgen.RealNVP, "fit", fit)
    for validation in (None, (REALS[8:], None)):
        data = Data("d", "real", (REALS[:5], None), (REALS[5:8], None), validation=validation)
        monkeypatch.setattr(runs, "load_data", lambda *args, data=data: data)
        with pytest.raises(KeyboardInterrupt):
            runs.train(tmp_path / str(len(seen)), "RealNVP", "digits", num_validation=2)
    np.testing.assert_array_equal(seen, [REALS[5:7], REALS[8:10]])


# ---------------------------------------------------------------------------------------- hints


def events(shape, kind="real", probabilities=False):
    return lambda x: checks.as_events(x, "x", shape, kind, "float32", probabilities)


def labels(y):
    return checks.as_condition(y, "y", (), 3, "float32", None)


HINTS = [
    (events((2,), "binary", True), REALS, 'of reals give `data_kind="real"`'),
    (events((2, 2, 1), "binary"), IMAGES, 'draw grey levels .*`data_kind="uint8"`'),
    (events((2,), "binary"), np.full((1, 2), 0.5), "only `fit` and `evaluate` draw"),
    (events((2, 2, 1), "uint8"), IMAGES / 255, "multiply data in .0, 1. by 255"),
    (events((2, 2, 1), "uint8"), IMAGES / 127.5 - 1, r"round\(127.5 \* \(x \+ 1\)\)"),
    (events((2, 2, 1), "uint8"), IMAGES * 0.9, "round them"),
    (events((2, 2, 1), "uint8"), IMAGES * 257, "divide levels of 16 bits by 257"),
    (events((2, 2, 1), "uint8"), IMAGES > 99, r'`255 \* x.astype\("uint8"\)`'),
    (events((2, 2, 1)), IMAGES[..., 0], r"`x\[..., None\]`"),
    (events((2, 2, 1)), IMAGES[0], r"one example is `x\[None\]`"),
    (events((2, 2, 3)), np.zeros((5, 3, 2, 2)), r"`numpy.moveaxis\(x, 1, -1\)`"),
    (events((2, 2, 1)), np.zeros((5, 4)), r"`x.reshape\(-1, 2, 2, 1\)`"),
    (events((4,)), IMAGES, r"`x.reshape\(len\(x\), -1\)`"),
    (events((2,)), (REALS, LABELS), "give its parts as arguments of their own"),
    (labels, [1, 2, 3], "count from 0"),
    (labels, [0, -1], "leave rows without a label out"),
    (labels, [0, 9], "`num_classes=10`"),
    (labels, np.eye(3)[[1, 2]], r"`y.argmax\(-1\)`"),
]


@pytest.mark.parametrize("check, given, words", HINTS)
def test_hints_are_of_the_mistake(check, given, words):
    with pytest.raises(ValueError, match=words) as error:
        check(given)
    assert ("grey levels" in str(error.value)) == ("grey levels" in words or "255 \\*" in words)


def test_hints_of_streams(model):
    dictionaries = dataset({"image": REALS, "label": LABELS})
    for stream, words in [
        (tf.data.Dataset.from_tensor_slices((REALS, NUMBERS)), r"single examples: .*`batch\(32\)`"),
        (dictionaries, r"a dict of \['image', 'label'\] as x: .*`map\("),
        (iter([]), "an empty data set .or an iterator that was read before"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.fit(stream, verbose=0)


# --------------------------------------------------------------------------- files and compile


def test_what_keras_takes_elsewhere_is_refused_by_name(model, tmp_path):
    for path in ("m.h5", "folder", tmp_path / "m.hdf5"):
        with pytest.raises(ValueError, match="`filepath` must end in .keras.*; got '.*`export`"):
            model.save(path)
    model.save(tmp_path / "m.keras")
    assert isinstance(keras.saving.load_model(tmp_path / "m.keras"), tfgen.RealNVP)
    for arguments, words in [
        ({"loss": "mse"}, "takes no `loss`: the objective is the model's own"),
        ({"learning_rate": 0.1}, r"takes no `learning_rate`: .*keras.optimizers.Adam\("),
        ({"metrics": ["mse"]}, "takes no `metrics`: every term"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.compile(**arguments)
    with pytest.raises(ValueError, match="takes no `loss`"):
        model.compile("adam", "mse")


def test_export_refuses_by_name(model, tmp_path):
    for arguments, words in [
        ({"format": "jax"}, "`format` must be \"tf_saved_model\", .* got 'jax'"),
        ({"input_signature": [REALS]}, "`input_signature` must be None: .*log_prob, sample"),
        ({"opset_version": 18}, "`export` takes no `opset_version`"),
    ]:
        with pytest.raises(ValueError, match=words):
            export(model, tmp_path / "refused", **arguments)
    assert not (tmp_path / "refused").exists()


# -------------------------------------------------------------------------------------- backend

FAKE = """
import sys, types
backend = types.SimpleNamespace(backend=lambda: {name!r})
sys.modules["keras"] = types.SimpleNamespace(backend=backend)
"""
# What tfgen itself imports is not needed to see what it says first.
IMPORT = """
import importlib.util, os
path = {path!r}
spec = importlib.util.spec_from_file_location("_backend", path)
try:
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
except ImportError as error:
    print(error)
else:
    print("fine", os.environ.get("KERAS_BACKEND"))
"""


def said(backend=None, imported=None, folder=None):
    """The words of importing tfgen, with the variable and a folder of modules as they are given."""
    env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    env |= {} if backend is None else {"KERAS_BACKEND": backend}
    env |= {} if folder is None else {"PYTHONPATH": str(folder)}
    path = os.path.join(os.path.dirname(tfgen.__file__), "_backend.py")
    code = (FAKE.format(name=imported) if imported else "") + IMPORT.format(path=path)
    run = [sys.executable, "-c", code]
    result = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_another_backend_is_refused_by_name():
    wanted = "tfgen needs Keras on TensorFlow; .*KERAS_BACKEND is 'jax': set KERAS_BACKEND=tensorf"
    assert re.match(wanted, said("jax"))
    assert re.match(".*Keras was imported before and runs on 'torch': set", said(imported="torch"))
    assert said(imported="tensorflow") == "fine None"
    assert said("jax", imported="tensorflow") == "fine jax"


@pytest.mark.parametrize("backend", ["", None])
def test_a_variable_that_leaves_it_open(backend, tmp_path):
    """Keras is told of TensorFlow, and the variable is as before."""
    told = "import os\nprint('told', os.environ['KERAS_BACKEND'])\n"
    (tmp_path / "keras.py").write_text(told)
    words = said(backend, folder=tmp_path).splitlines()
    assert words == ["told tensorflow", f"fine {backend}".strip()]

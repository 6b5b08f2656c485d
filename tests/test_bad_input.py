"""Bad input gets a ValueError that names the argument, what was expected and what came."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import bijectors as tfg


def shared(name):
    """A shared model, which nothing here may train."""
    case = zoo.case(name)
    yield case.model
    assert case.untouched()


# The entries are parameters, for the tests of one to share a process with its others.


@pytest.fixture(params=["glow_classes"])
def images(request):
    """A uint8 model of images `[4, 4, 1]` conditional on labels 0, 1, 2."""
    yield from shared(request.param)


@pytest.fixture(params=["realnvp_2"])
def vectors(request):
    """A real model of vectors `[2]`."""
    yield from shared(request.param)


@pytest.fixture(params=["realnvp_condition"])
def conditional(request):
    """A real model of vectors `[2]`, conditional on vectors `[3]`."""
    yield from shared(request.param)


IMAGES = np.zeros((3, 4, 4, 1), "uint8")
LABELS = np.array([0, 1, 2])
X, C = np.zeros((3, 2), "float32"), np.zeros((3, 3), "float32")
NAN, INF = X.copy(), X.copy()
NAN[1, 0], INF[2, 1] = np.nan, -np.inf


class Empty(keras.utils.PyDataset):
    def __len__(self):
        return 0

    def __getitem__(self, i):
        raise IndexError


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(2)


# --------------------------------------------------------------------------------------- data

BAD_VECTORS = [
    (X[0], r"`x` must have shape \[n, 2\]; got \[2\]"),
    (X[:, :, None], r"`x` must have shape \[n, 2\]; got \[3, 2, 1\]"),
    (np.zeros((3, 5)), r"`x` must have shape \[n, 2\]; got \[3, 5\]"),
    (X[:0], r"`x` must have at least one row; got \[0, 2\]"),
    (NAN, "`x` must be finite; row 1 holds NaN or inf"),
    (INF, "`x` must be finite; row 2 holds NaN or inf"),
    (X.astype("float64") + 1e300, "`x` must be finite.*row 0"),
    (X.astype(complex), "`x` must be an array of numbers; got dtype complex128"),
    ([["a", "b"]], "`x` must be an array of numbers"),
    ([[1, 2], [3]], "`x` must be an array of numbers; got list"),
    (None, "`x` is missing"),
]
BAD_IMAGES = [
    (IMAGES[..., 0], r"`x` must have shape \[n, 4, 4, 1\]; got \[3, 4, 4\]"),
    (np.full(IMAGES.shape, 0.5), r"`x` must hold .*0\.\.255.* from 0.5 to 0.5.*multiply"),
    (IMAGES + np.int64(256), r"`x` must hold .*0\.\.255.*; got values from 256 to 256"),
    (IMAGES - np.int64(1), r"`x` must hold .*0\.\.255.*; got values from -1 to -1"),
    (IMAGES + 100.5, r"`x` must hold .*0\.\.255.*; got non-integral values from 100.5"),
    (IMAGES * np.nan, "`x` must be finite; row 0"),
]


@pytest.mark.parametrize("x, words", BAD_VECTORS)
@pytest.mark.parametrize("method", ["log_prob", "bits_per_dim", "encode", "fit", "adapt"])
def test_bad_vectors(vectors, method, x, words):
    with pytest.raises(ValueError, match=words):
        getattr(vectors, method)(x)


@pytest.mark.parametrize("x, words", BAD_IMAGES)
@pytest.mark.parametrize("method", ["log_prob", "evaluate", "fit"])
def test_bad_images(images, method, x, words):
    with pytest.raises(ValueError, match=words):
        getattr(images, method)(x, LABELS)


def test_every_method_checks_x(vectors):
    calls = [
        lambda: vectors.estimate_log_prob(NAN, 2),
        lambda: vectors.reconstruct(NAN),
        lambda: vectors.resample(NAN, 1),
        lambda: vectors.evaluate(NAN),
        lambda: vectors.predict(NAN),
        lambda: vectors.fit(X, validation_data=NAN),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`x` must be finite; row 1"):
            call()
    with pytest.raises(ValueError, match="`a` must be finite; row 1"):
        vectors.interpolate(NAN, X)
    with pytest.raises(ValueError, match="`b` must be finite; row 1"):
        vectors.interpolate(X, NAN)
    with pytest.raises(ValueError, match=r"`z` must have shape \[n, 2\]; got \[3, 3\]"):
        vectors.decode(C)
    with pytest.raises(ValueError, match="`z` must be finite; row 2"):
        vectors.decode(INF)


@pytest.mark.slow
def test_lengths_that_differ(vectors, images, conditional):
    with pytest.raises(ValueError, match="`a` has 3, `b` has 2"):
        vectors.interpolate(X, X[:2])
    with pytest.raises(ValueError, match="`x` has 3, `y` has 2"):
        images.fit(IMAGES, LABELS[:2])
    with pytest.raises(ValueError, match="each of the 3 examples; got .2."):
        vectors.fit(X, sample_weight=np.ones(2))
    with pytest.raises(ValueError, match="`condition` must have one row, or one for each of the 3"):
        conditional.log_prob(X, C[:2])
    with pytest.raises(ValueError, match="`condition` must have one row, or one for each of the 5"):
        images.sample(5, LABELS)


# --------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    "condition, words",
    [
        (None, "`condition` is missing: .* labels in 0..2"),
        ([0, 1, 3], "`condition` must hold labels in 0..2; got values from 0 to 3"),
        ([0, -1, 2], "`condition` must hold labels in 0..2; got values from -1 to 2"),
        ([0, 0.5, 1], "`condition` must hold labels in 0..2; got non-integral"),
        (np.zeros((3, 3)), r"`condition` must have shape \[n\] or \[\]; got \[3, 3\]"),
    ],
)
def test_bad_labels(images, condition, words):
    calls = [
        lambda: images.log_prob(IMAGES, condition),
        lambda: images.sample(3, condition),
        lambda: images.encode(IMAGES, condition),
        lambda: images.decode(np.zeros((3, 16)), condition),
        lambda: images.distribution(condition),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=words):
            call()
    for call in (images.fit, images.evaluate):
        with pytest.raises(ValueError, match=words.replace("condition", "y", 1)):
            call(IMAGES, condition)


@pytest.mark.parametrize(
    "condition, words",
    [
        (None, r"`condition` is missing: .* arrays of shape \[3\]"),
        (C[:, :2], r"`condition` must have shape \[n, 3\] or \[3\]; got \[3, 2\]"),
        (C * np.nan, "`condition` must be finite; row 0"),
        ("red", "`condition` must be an array of numbers"),
    ],
)
def test_bad_conditions(conditional, condition, words):
    for call in (conditional.log_prob, conditional.encode, conditional.bits_per_dim):
        with pytest.raises(ValueError, match=words):
            call(X, condition)
    with pytest.raises(ValueError, match=words.replace("condition", "y", 1)):
        conditional.fit(X, condition)


def test_unexpected_condition(vectors):
    calls = [
        lambda: vectors.log_prob(X, C),
        lambda: vectors.sample(3, C),
        lambda: vectors.decode(X, C),
        lambda: vectors.distribution(C),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`condition` was given, but .* unconditional"):
            call()


# ------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    "name, call",
    [
        ("num_samples", lambda m, n: m.sample(n)),
        ("num_samples", lambda m, n: m.estimate_log_prob(X, n)),
        ("num_steps", lambda m, n: m.interpolate(X, X, n)),
        ("num_batches", lambda m, n: m.adapt(X, num_batches=n)),
        ("batch_size", lambda m, n: m.log_prob(X, batch_size=n)),
        ("batch_size", lambda m, n: m.fit(X, batch_size=n)),
        ("batch_size", lambda m, n: m.evaluate(X, batch_size=n)),
        ("batch_size", lambda m, n: m.predict(X, batch_size=n)),
        ("steps_per_epoch", lambda m, n: m.fit(X, steps_per_epoch=n)),
        ("validation_steps", lambda m, n: m.fit(X, validation_steps=n)),
        ("validation_batch_size", lambda m, n: m.fit(X, validation_batch_size=n)),
    ],
)
@pytest.mark.parametrize("value", [0, -1, 2.5, "many", np.nan])
def test_bad_counts(vectors, name, call, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1"):
        call(vectors, value)


@pytest.mark.parametrize("temperature", [-1, -1e-9, np.nan, np.inf, "hot", None])
def test_bad_temperature(vectors, temperature):
    with pytest.raises(ValueError, match="`temperature` must be a number of at least 0"):
        vectors.sample(3, temperature=temperature)


@pytest.mark.parametrize("seed", [1.5, "one", (1, 2, 3), [0.5, 1]])
def test_bad_seed(vectors, seed):
    for call in (lambda: vectors.sample(3, seed=seed), lambda: vectors.log_prob(X, seed=seed)):
        with pytest.raises(ValueError, match="`seed` must be an integer, two integers or None"):
            call()


def test_bad_num_kept(vectors):
    for value in (-1, 3, 1.5, None, True):
        with pytest.raises(ValueError, match=f"`num_kept` must be .* from 0 to 2; got {value}"):
            vectors.resample(X, value)


# ------------------------------------------------------------------------------------ streams


def test_streams_are_checked_by_their_first_batch(vectors, images):
    streams = [
        (lambda: dataset(NAN), "`x` must be finite; row 1"),
        (lambda: dataset(np.zeros((3, 5))), r"`x` must have .*shape \[n, 2\]; got .*5"),
        (lambda: iter([(NAN,)]), "`x` must be finite; row 1"),
    ]
    for stream, words in streams:
        for method in ("fit", "evaluate", "predict", "adapt"):
            with pytest.raises(ValueError, match=words):
                getattr(vectors, method)(stream())
        with pytest.raises(ValueError, match=words):
            vectors.fit(X, validation_data=stream())
    for data, words in [
        (dataset(IMAGES / 2 + 0.5, LABELS), "`x` must hold"),
        (dataset(IMAGES, LABELS + 2), "`y` must hold labels in 0..2"),
        (dataset(IMAGES, LABELS + 0.5), "`y` must hold labels in 0..2"),
        (dataset(IMAGES, np.eye(3)[LABELS]), r"`y` must have shape \[n\] or \[\]; got \[2, 3\]"),
        (dataset(IMAGES, np.array(["a", "b", "c"])), "`y` must be an array of numbers"),
        (dataset(IMAGES, LABELS, [1.0, np.nan, 1.0]), "`sample_weight` must be finite; row 1"),
        (dataset(IMAGES), "`y` is missing"),
    ]:
        with pytest.raises(ValueError, match=words):
            images.fit(data)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_bad_sample_weights(vectors, method):
    for weights, words in [
        ([1.0, np.nan, 1.0], "must be finite; row 1"),
        ([1.0, -1.0, 1.0], "must be at least 0; got -1"),
        ([1.0, 1.0], r"must have shape \[n\], .* 3 examples; got \[2\]"),
        (2.0, r"must have shape \[n\], .* got \[\]"),
        (np.ones((3, 2)), r"must have shape \[n\], .* got \[3, 2\]"),
    ]:
        with pytest.raises(ValueError, match=f"`sample_weight` {words}"):
            getattr(vectors, method)(X, sample_weight=weights)


def test_bad_class_weights(images):
    for weights, words in [
        ({7: 1.0}, r"must be a dict from labels in 0\.\.2 to weights; got"),
        ([1.0], "must be a dict; got"),
        ({0: np.nan}, "must be a number of at least 0; got nan"),
    ]:
        with pytest.raises(ValueError, match=f"`class_weight` {words}"):
            images.fit(IMAGES, LABELS, class_weight=weights)
    with pytest.raises(ValueError, match="`sample_weight` or `class_weight`, not both"):
        images.fit(dataset(IMAGES, LABELS, np.ones(3)), class_weight={0: 1.0})


def test_single_batches_and_calls(vectors, images):
    for method in ("train_on_batch", "test_on_batch", "predict_on_batch", "__call__"):
        with pytest.raises(ValueError, match="`x` must have .*shape"):
            getattr(vectors, method)(X[:, :1])
    with pytest.raises(ValueError, match="`y` must hold labels in 0..2"):
        images.train_on_batch(IMAGES, LABELS + 2)
    with pytest.raises(ValueError, match="`condition` is missing"):
        images(IMAGES)


def test_empty_streams(vectors):
    for method in ("fit", "adapt"):
        for stream in (dataset(X).take(0), iter([]), Empty()):
            with pytest.raises(ValueError, match="`x` must have at least one batch"):
                getattr(vectors, method)(stream)


def test_what_goes_with_arrays_only(vectors, images):
    with pytest.raises(ValueError, match="`y` must come with `x` when `x` is a .*Dataset"):
        vectors.fit(dataset(X), C)
    with pytest.raises(ValueError, match="`sample_weight` must come with `x`"):
        vectors.fit(dataset(X), sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="`validation_split` needs arrays"):
        vectors.fit(dataset(X), validation_split=0.5)
    with pytest.raises(ValueError, match="`class_weight` needs a model with `num_classes`"):
        vectors.fit(X, class_weight={0: 1.0})
    with pytest.raises(ValueError, match="`sample_weight` or `class_weight`, not both"):
        images.fit(IMAGES, LABELS, sample_weight=np.ones(3), class_weight={0: 1.0})
    with pytest.raises(ValueError, match=r"`validation_split` must lie in \(0, 1\); got 2"):
        vectors.fit(X, validation_split=2)
    with pytest.raises(ValueError, match="batches must be x, .* got"):
        vectors.fit(tf.data.Dataset.from_tensors({"image": X}))


def test_a_data_set_that_is_distributed_already(vectors):
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    with pytest.raises(ValueError, match="`x` must be a tf.data.Dataset.* got a Distributed"):
        vectors.fit(strategy.experimental_distribute_dataset(dataset(X)))


def test_bad_labels_in_a_graph_are_not_numbers(images):
    rows = np.isnan(images((IMAGES, np.array([0, 1, 99]))).numpy())
    assert rows.tolist() == [False, False, True]


def test_arguments_of_compile_have_names(vectors):
    with pytest.raises(TypeError, match="positional"):
        tfgen.RealNVP(2, 1).compile("adam", None, None)


# ------------------------------------------------------------------------------- constructors


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: tfgen.Glow((6, 8, 1), num_levels=2), r"`event_shape` .*2\^num_levels = 4; got"),
        (lambda: tfgen.Glow((8, 8)), r"`event_shape` must be \[height, width, channels\]"),
        (lambda: tfgen.Glow((8, 8, 1), num_levels=0), "`num_levels` must be .* got 0"),
        (lambda: tfgen.Glow((8, 8, 1), num_steps=0), "`num_steps` must be .* got 0"),
        (lambda: tfgen.Glow((8, 8, 1), coupling="cubic"), "`coupling` must be .*got 'cubic'"),
        (lambda: zoo.glow(learned_top="no"), "`learned_top` must be True or False; got 'no'"),
        (lambda: tfgen.RealNVP(2, filters=-3), "`filters` must be .* got -3"),
        (lambda: tfgen.RealNVP(2, num_blocks="x"), "`num_blocks` must be .* got 'x'"),
        (lambda: tfgen.RealNVP(2, base=keras.layers.Dense(2)), "`base` must be .* got <Dense"),
        (lambda: tfgen.Glow((8, 8, 1), filters=0), "`filters` must be .* got 0"),
        (lambda: tfgen.Glow((8, 8, 1), filters=2.5), "`filters` must be .* got 2.5"),
        (lambda: zoo.glow(dtype="float16"), "`dtype` must keep .* got 'float16'"),
        (lambda: tfgen.RealNVP(2, base="gauss"), "`base` must be one of .* got 'gauss'"),
        (lambda: tfgen.RealNVP(2, num_bits=9), "`num_bits` must be .* from 1 to 8; got 9"),
        (lambda: tfgen.RealNVP(2, log_det_penalty=1.0), "`log_det_penalty` .* it has none"),
        (lambda: zoo.glow(log_det_penalty=np.nan), "`log_det_penalty` must be .* got nan"),
        (lambda: zoo.glow(num_bits=9), "`num_bits` must be .* from 1 to 8; got 9"),
        (lambda: zoo.glow(log_det_penalty=-1), "`log_det_penalty` must be .* at least 0; got -1"),
        (lambda: zoo.glow(num_init_batches=0), "`num_init_batches` must be .* got 0"),
        (lambda: zoo.glow(num_classes=0), "`num_classes` must be .* got 0"),
        (lambda: zoo.glow(data_kind="binary"), "`data_kind` must be one of .* got 'binary'"),
        (lambda: zoo.glow(data_kind="text"), "`data_kind` must be one of .* got 'text'"),
        (lambda: tfgen.RealNVP((5, 6, 1)), r"sides divisible by 2\^\(num_levels - 1\) = 2; got"),
        (lambda: tfgen.RealNVP((2, 2)), r"`event_shape` must be \[size\] or .* got \[2, 2\]"),
        (lambda: tfgen.RealNVP(0), "`event_shape` must hold positive .* got 0"),
        (lambda: tfgen.RealNVP((2.5,)), r"`event_shape` must hold .* got \(2.5,\)"),
        (lambda: tfgen.RealNVP("two"), "`event_shape` must hold .* got 'two'"),
        (lambda: tfgen.RealNVP(2, num_layers=0), "`num_layers` must be .* got 0"),
        (lambda: tfgen.RealNVP(2, hidden_units=()), "`hidden_units` must hold positive .* got"),
        (lambda: tfgen.RealNVP(2, condition_shape=()), "`condition_shape=.*` needs `num_classes`"),
        (
            lambda: tfgen.RealNVP(2, condition_shape=(3, 3, 1), num_classes=2),
            r"`condition_shape` must be \[features\], .* `num_classes`; got \[3, 3, 1\]",
        ),
        (lambda: tfgen.RealNVP(2, condition_shape=(2, 2)), r"`condition_shape` .*got \[2, 2\]"),
        (lambda: tfgen.Flow((2,), "affine"), "`bijector` must be .* got 'affine'"),
        (lambda: tfgen.Flow((2,), tfg.ActNorm(), pixels="raw"), "`pixels` must be .* got 'raw'"),
    ],
)
def test_bad_constructor_arguments(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_a_constant_channel_and_a_batch_of_one_are_legal():
    model = zoo.MODELS["glow_colour"].build()
    model.compile(run_eagerly=True)
    x = np.zeros((1, *model.event_shape), "uint8")
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    assert np.isfinite(model.log_prob(x)).all()

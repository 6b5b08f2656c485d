"""Methods of rows on tensors: gradients, graphs under construction, functional models of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.testing import models as testing
from tfgen.utils.random import row_normal

# Chunks of five rows, of which the last one is short.
ROWS, CHUNK = 8, 5
# One for each way to differentiate: through the features of conditions, through an encoder, of a
# generator alone. Of sweeps `test_autoregressive` looks at the gradients.
BRIEF = {"realnvp_condition", "injective_flow", "gan"}
# With vectors and without, with a flow and networks.
SHORT = {"realnvp_condition", "autoencoder"}


@pytest.fixture(params=zoo.but_slow(BRIEF))
def brief_case(request):
    """Cases like `case`, of few models: what is checked is the core's, and the maps of some."""
    yield from zoo.shared(request.param)


@pytest.fixture(params=zoo.but_slow(SHORT))
def short_case(request):
    """Cases like `case`, of few models: what is checked is the core's."""
    yield from zoo.shared(request.param)


def assert_same(case, got, expected, examples=False, tolerance=1e-5):
    """Equal but for rounding, which for pixels may fall beside the edge of a bin."""
    testing.require_same(case, case.name, "must be", got, expected, tolerance, examples=examples)


def has(model, name):
    """True if a model has what a method computes."""
    if name in ("log_prob", "bits_per_dim"):
        bits = model.likelihood != "manifold"
        return model.has_likelihood and (bits or name == "log_prob")
    if name == "decode":
        return model.latent_shape is not None
    return "encode" in model.signatures()


def turned(x):
    return keras.ops.flip(x, 0) if isinstance(x, keras.KerasTensor) else x[::-1]


METHODS = {
    "log_prob": lambda model, x, z, y, **kw: model.log_prob(x, y, seed=5, **kw),
    "bits_per_dim": lambda model, x, z, y, **kw: model.bits_per_dim(x, y, seed=5, **kw),
    "encode": lambda model, x, z, y, **kw: model.encode(x, y, **kw),
    "decode": lambda model, x, z, y, **kw: model.decode(z, y, **kw),
    "reconstruct": lambda model, x, z, y, **kw: model.reconstruct(x, y, **kw),
    "interpolate": lambda model, x, z, y, **kw: model.interpolate(x, turned(x), 2, y, **kw),
}
EXAMPLES = {"decode", "reconstruct", "interpolate"}


def inputs(case):
    """Arrays of examples, latents and conditions of a case; latents None where there are none."""
    x, y = case.some(ROWS)
    shape = case.model.latent_shape
    z = shape and np.random.default_rng(0).normal(size=(ROWS, *shape)).astype("float32")
    return x, z, y


def outputs(case, x, z, y, but=(), **arguments):
    """Outputs of all methods that a model has, by name."""
    return {
        name: method(case.model, x, z, y, **arguments)
        for name, method in METHODS.items()
        if name not in but and has(case.model, name)
    }


def tensor(value):
    return None if value is None else tf.constant(value)


# --------------------------------------------------------------------------------- gradients


def gradients(case, x, z, y, batch_size):
    """Values of the methods that map reals to reals, and gradients of a weighed sum of each."""
    model, found = case.model, {}
    real = {"x": model.data_kind == "real", "z": True, "y": y is not None and y.dtype.is_floating}
    given = {"x": x, "z": z, "y": y}
    for name in ("log_prob", "encode", "decode"):
        own = "z" if name == "decode" else "x"
        continuous = model.data_kind == "real" if name == "decode" else real[own]
        if not has(model, name) or not continuous:
            continue
        # Posteriors and bases know no conditions but through the features of networks.
        sources = [given[k] for k in (own, "y") if real[k]]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            value = METHODS[name](model, x, z, y, batch_size=batch_size)
            weights = row_normal([1, 2], 0, ROWS, tuple(value.shape[1:]))
            total = tf.reduce_sum(weights * value)
        found[name] = value, tape.gradient(total, sources)
    return found


def test_gradients_flow_through_tensors(brief_case):
    case = brief_case
    x, z, y = inputs(case)
    whole = gradients(case, tensor(x), tensor(z), tensor(y), 256)
    chunks = gradients(case, tensor(x), tensor(z), tensor(y), CHUNK)
    for name, (value, found) in whole.items():
        # Bit for bit what arrays give; under a tape TensorFlow compiles it anew.
        expected, method = METHODS[name](case.model, x, z, y), METHODS[name]
        np.testing.assert_array_equal(method(case.model, tensor(x), tensor(z), tensor(y)), expected)
        assert_same(case, value, expected)
        for gradient, other in zip(found, chunks[name][1], strict=True):
            assert gradient is not None, name
            assert np.all(np.isfinite(gradient)) and np.any(gradient), name
            np.testing.assert_allclose(gradient, other, rtol=2e-3, atol=1e-4 * np.std(gradient))


@pytest.mark.parametrize("name", ["gan", *zoo.slow("realnvp_2", "iaf", "glow_real", "vae_real")])
def test_gradients_are_those_of_the_core(name):
    """Gradients go through chunks, too, and are differentiable again."""
    case = zoo.case(name)
    model, (_, z, y) = case.model, inputs(case)
    z, y = tf.constant(z), tensor(y)
    features = [] if y is None else [y]

    def twice(decode):
        with tf.GradientTape() as outer:
            outer.watch([z, *features])
            with tf.GradientTape() as inner:
                inner.watch(z)
                value = tf.reduce_sum(decode() ** 2)
            first = inner.gradient(value, z)
            size = tf.reduce_sum(first**2)
        return [first, *outer.gradient(size, [z, *features])]

    seed = () if "seed" not in model._rows.arguments("decode") else ([0, 0], 0)
    got = twice(lambda: model.decode(z, y, batch_size=CHUNK))
    expected = twice(lambda: model._decode(z, y, *seed))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4 * np.max(np.abs(b)))


def test_gradients_reach_weights_and_variables():
    model = zoo.case("realnvp_condition").model
    z = keras.Variable(np.ones((3, 2), "float32"))
    own = tf.Variable(np.ones((3, 3), "float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.decode(z, own, batch_size=2))
    found = tape.gradient(loss, [z.value, own, *model.bijector.trainable_variables])
    assert all(gradient is not None for gradient in found)


def test_a_list_of_tensors_keeps_gradients():
    model = zoo.case("realnvp_2").model
    row = tf.constant([0.5, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(row)
        loss = tf.reduce_sum(model.log_prob([row, 2 * row]))
    assert np.all(np.isfinite(tape.gradient(loss, row)))


def test_one_condition_for_all_has_a_gradient():
    model = zoo.case("realnvp_condition").model
    condition = tf.constant([0.5, 1.0, -1.0])
    x = zoo.case("realnvp_condition").x
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(condition)
        scored = tf.reduce_sum(model.log_prob(x, condition, batch_size=7))
        drawn = tf.reduce_sum(model.sample(5, condition, seed=0, batch_size=2))
    for value in (scored, drawn):
        assert np.any(tape.gradient(value, condition))


def test_values_of_tensors_are_checked():
    model = zoo.case("realnvp_condition").model
    bad = tf.constant([[0.0, np.nan]])
    condition = tf.zeros([3])
    for call, name in (
        (lambda: model.log_prob(bad, condition), "x"),
        (lambda: model.decode(bad, condition), "z"),
        (lambda: model.decode(tf.zeros([1, 2]), tf.fill([1, 3], np.inf)), "condition"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be finite; row 0"):
            call()


@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_whole_tensors_are_not_cut(num_rows):
    """A seed has as many entries as there are rows here, and a temperature has none."""
    model = zoo.case("vlae").model
    x = zoo.case("vlae").x[:num_rows]
    draws = [
        model.decompress(tf.constant(x), seed=tf.constant([3, 4]), batch_size=size)
        for size in (1, 2, 256)
    ]
    for draw in draws:
        np.testing.assert_array_equal(draw, model.decompress(x, seed=[3, 4]))


# ------------------------------------------------------------------------------------ graphs


def test_graphs_take_symbolic_tensors(short_case):
    case = short_case
    x, z, y = inputs(case)
    given = {k: v for k, v in {"x": x, "z": z, "y": y}.items() if v is not None}
    but = set() if case.entry.costly else {"bits_per_dim", "interpolate"}
    specs = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in given.items()}

    def methods(given):
        return outputs(case, *(given.get(k) for k in "xzy"), but=but)

    function = tf.function(methods).get_concrete_function(specs)
    got = function({k: tf.constant(v) for k, v in given.items()})
    expected = outputs(case, x, z, y, but=but)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert_same(case, got[name], value, name in EXAMPLES, 1e-4)


def test_graphs_take_any_number_of_rows_and_one_condition():
    model = zoo.case("realnvp_condition").model
    z, one = np.random.default_rng(0).normal(size=(600, 2)).astype("float32"), [0.5, 1.0, -1.0]

    @tf.function(input_signature=[tf.TensorSpec([None, 2]), tf.TensorSpec(None)])
    def decode(z, condition):
        return model.decode(z, tf.ensure_shape(condition, [3])), model.decode(z, one)

    for value in decode(z, tf.constant(one)):
        np.testing.assert_allclose(value, model.decode(z, one), rtol=1e-4, atol=1e-4)


def test_graphs_draw_afresh_and_by_seeds():
    model, x = zoo.case("vae").model, zoo.case("vae").x

    @tf.function
    def draw(x, seed=None):
        return model.encode(x, sample=True, seed=seed)

    x = tf.constant(x)
    assert np.any(draw(x) != draw(x))
    np.testing.assert_allclose(draw(x, 4), model.encode(x, sample=True, seed=4), rtol=1e-5)
    np.testing.assert_array_equal(draw(x, tf.constant(4)), draw(x, 4))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([None, 3], r"`x` must have shape \[n, 2\]; got \[None, 3\]"),
        ([2], r"`x` must have shape \[n, 2\]; got \[2\]"),
        ([0, 2], "`x` must have at least one row"),
    ],
)
def test_graphs_refuse_wrong_shapes(shape, words):
    model = zoo.case("realnvp_2").model
    function = tf.function(model.log_prob, autograph=False)
    with pytest.raises(ValueError, match=words):
        function.get_concrete_function(tf.TensorSpec(shape))


def test_graphs_refuse_what_does_not_belong_together():
    model = zoo.case("realnvp_condition").model

    def trace(method, *shapes, dtype=tf.float32):
        specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
        return tf.function(method, autograph=False).get_concrete_function(*specs)

    for method, shapes, words in (
        (model.encode, ([4, 2], [5, 3]), "`condition` must have one row, or one for each of the 4"),
        (model.encode, ([None, 2], [None, 4]), r"`condition` must have shape \[n, 3\]"),
        (model.encode, ([None, 2],), "`condition` is missing"),
        (lambda a, b, y: model.interpolate(a, b, 2, y), ([4, 2], [5, 2], [3]), "`a` has 4, `b`"),
        (zoo.case("realnvp_2").model.encode, ([4, 2], [4, 3]), "this model is unconditional"),
    ):
        with pytest.raises(ValueError, match=words):
            trace(method, *shapes)
    with pytest.raises(ValueError, match="`x` must be a tensor of numbers; got dtype string"):
        trace(zoo.case("realnvp_2").model.encode, [4, 2], dtype=tf.string)


# ------------------------------------------------------------------------------- Keras tensors


def functional(case, but=()):
    """A functional model of all methods, and the arrays that it takes."""
    x, z, y = inputs(case)
    given = {k: v for k, v in {"x": x, "z": z, "y": y}.items() if v is not None}
    names = [name for name in METHODS if has(case.model, name)]
    if names == ["decode"] or "decode" not in names:
        given.pop("x" if names == ["decode"] else "z", None)
    tensors = {k: keras.Input(v.shape[1:], dtype=v.dtype, name=k) for k, v in given.items()}
    made = outputs(case, *(tensors.get(k) for k in "xzy"), but=but)
    return keras.Model(tensors, made), given, outputs(case, x, z, y, but=but)


def test_keras_tensors_give_keras_tensors(short_case):
    case = short_case
    but = {"bits_per_dim", "interpolate", *(() if case.entry.costly else {"reconstruct"})}
    if not any(has(case.model, name) for name in METHODS):
        return
    model, given, expected = functional(case, but)
    got = model(given)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert tuple(model.output[name].shape) == (None, *value.shape[1:])
        assert_same(case, got[name], value, name in EXAMPLES, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", *zoo.slow("autoencoder", "realnvp_condition", "cq")])
def test_functional_models_are_saved_with_one_copy(name, tmp_path):
    case = zoo.case(name)
    model, given, _ = functional(case)
    assert len(model.weights) == len(case.model.weights)
    expected = model.predict(given, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights)
    got = loaded.predict(given, verbose=0)
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-6)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(given)["decode"], model(given)["decode"])
    # The model inside is whole: it goes on as any other, and in the same layer.
    inner = next(layer for layer in loaded.layers if hasattr(layer, "model")).model
    np.testing.assert_allclose(
        inner.sample(3, given.get("y", [None])[0], seed=1),
        case.model.sample(3, given.get("y", [None])[0], seed=1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("order", [1, *zoo.slow(0)])
def test_a_model_beside_its_own_methods_is_saved_once(order, tmp_path):
    flow = zoo.untrained("realnvp_2").model
    x, z = np.ones((4, 2), "float32"), np.zeros((4, 2), "float32")
    a, b = keras.Input((2,)), keras.Input((2,))
    makes = [lambda: flow(a), lambda: flow.decode(b)]
    made = [make() for make in (makes if order else makes[::-1])]
    model = keras.Model([a, b], made)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(flow.weights)
    for got, expected in zip(loaded([x, z]), model([x, z]), strict=True):
        np.testing.assert_array_equal(got, expected)
    for weight in loaded.trainable_variables:
        weight.assign(0 * weight)
    assert np.any(loaded([x, z])[0] != model([x, z])[0])


def test_functional_models_train_the_flow():
    keras.utils.set_random_seed(0)
    flow = tfgen.RealNVP(2, 2, hidden_units=(8,))
    z = keras.Input((2,))
    model = keras.Model(z, keras.layers.Dense(1)(flow.decode(z)))
    model.compile("adam", "mse")
    before = [w.numpy() for w in flow.trainable_variables]
    noise = np.random.default_rng(0).normal(size=(64, 2))
    history = model.fit(noise, noise[:, 0] ** 2, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    moved = [np.any(w != b) for w, b in zip(flow.trainable_variables, before, strict=True)]
    assert all(moved)


def test_functional_models_draw_afresh_but_by_seeds():
    model = zoo.case("vae").model
    x = keras.Input((4,), dtype="uint8")
    draws = keras.Model(x, [model.encode(x, sample=True), model.encode(x, sample=True, seed=3)])
    given = zoo.case("vae").x[:3]
    one, other = draws.predict(given, verbose=0), draws.predict(given, verbose=0)
    assert np.any(one[0] != other[0])
    np.testing.assert_array_equal(one[1], other[1])
    np.testing.assert_allclose(one[1], model.encode(given, sample=True, seed=3), rtol=1e-5)


@pytest.mark.slow
def test_functional_models_with_pairs_and_one_condition(tmp_path):
    flow = zoo.perturb(tfgen.RealNVP(2, 2, num_classes=3, condition_shape=(2,), hidden_units=(8,)))
    x, label = np.ones((4, 2), "float32"), np.array([0, 1, 2, 1])
    vector = np.arange(8.0).reshape(4, 2).astype("float32")
    inputs = keras.Input((2,)), keras.Input((), dtype="int32"), keras.Input((2,))
    outputs = [
        flow.log_prob(inputs[0], (inputs[1], inputs[2])),
        flow.log_prob(inputs[0], {"label": 2, "vector": inputs[2]}),
        flow.log_prob(inputs[0], (1, [0.5, 1.0])),
        flow.sample(2, (inputs[1], inputs[2]), per_condition=True, seed=0),
        *flow.sample_and_log_prob(2, (1, inputs[2]), per_condition=True, seed=0),
    ]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    expected = [
        flow.log_prob(x, (label, vector)),
        flow.log_prob(x, (2, vector)),
        flow.log_prob(x, (1, [0.5, 1.0])),
        flow.sample(2, (label, vector), per_condition=True, seed=0),
        *flow.sample_and_log_prob(2, (1, vector), per_condition=True, seed=0),
    ]
    for made in (model, keras.saving.load_model(tmp_path / "model.keras")):
        for got, wanted in zip(made([x, label, vector]), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_keras_tensors_need_such_beside_them():
    model = zoo.case("realnvp_condition").model
    x, y = keras.Input((2,)), keras.Input((3,))
    with pytest.raises(
        ValueError, match="`condition` must be one for all, or a KerasTensor.*; got 4"
    ):
        model.encode(x, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="`condition` is a KerasTensor: the rows"):
        model.encode(np.zeros((4, 2)), y)
    with pytest.raises(ValueError, match=r"`x` must have shape \[n, 2\]; got \[None, 3\]"):
        model.encode(y, y)


def test_bijectors_take_keras_tensors():
    layer = zoo.bijector_case("chain", "float32").layer
    z = keras.Input((3,))
    model = keras.Model(z, layer.forward_and_log_det(z))
    given = np.ones((2, 3), "float32")
    for got, expected in zip(model(given), layer.forward_and_log_det(given), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("time", [None, *zoo.slow(3)])
def test_time_distributed(time):
    flow, x = zoo.case("realnvp_2").model, np.random.default_rng(0).normal(size=(4, 3, 2))
    steps = keras.Input((time, 2))
    model = keras.Model(steps, keras.layers.TimeDistributed(flow)(steps))
    got = model.predict(x, verbose=0)
    for i in range(3):
        np.testing.assert_allclose(got[:, i], flow.log_prob(x[:, i]), rtol=1e-5)

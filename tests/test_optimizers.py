import math
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.optimizers import FusedAdam
from tfgen.optimizers import RAdam


def reference_steps(weight, gradients, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 2 of the paper, literally, in float64: the weight after every step and rho_t."""
    learning_rate = float(np.float32(learning_rate))  # every Keras optimizer keeps it so
    weight = np.array(weight, np.float64)
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    rho_inf = 2 / (1 - beta_2) - 1
    weights, rhos = [], []
    for t, gradient in enumerate(gradients, start=1):
        gradient = np.array(gradient, np.float64)
        v = beta_2 * v + (1 - beta_2) * gradient**2
        m = beta_1 * m + (1 - beta_1) * gradient
        m_hat = m / (1 - beta_1**t)
        rho = rho_inf - 2 * t * beta_2**t / (1 - beta_2**t)
        if rho > 4:
            inverse_deviation = math.sqrt(1 - beta_2**t) / (np.sqrt(v) + epsilon)
            r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            weight = weight - learning_rate * r * m_hat * inverse_deviation
        else:
            weight = weight - learning_rate * m_hat
        weights.append(weight)
        rhos.append(rho)
    return np.array(weights), np.array(rhos)


def radam_steps(weight, gradients, dtype="float32", **options):
    variable = keras.Variable(np.array(weight), dtype=dtype)
    optimizer = RAdam(**options)
    weights = []
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, dtype)], [variable])
        weights.append(variable.numpy().copy())
    return np.array(weights)


def random_gradients(num_steps, size=3, seed=0):
    # Of very different sizes, as only the rectified steps are free of the scale.
    scales = np.array([1e-4, 1.0, 1e2])[:size]
    return np.random.default_rng(seed).normal(size=(num_steps, size)) * scales


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("beta_2, first_rectified", [(0.999, 5), (0.99, 5), (0.75, 6)])
def test_steps_equal_the_paper_through_the_switch(dtype, tolerance, beta_2, first_rectified):
    gradients = random_gradients(15)
    start = [1.0, -2.0, 0.5]
    expected, rhos = reference_steps(start, gradients, 1e-3, beta_2=beta_2)
    assert np.flatnonzero(rhos > 4)[0] + 1 == first_rectified

    got = radam_steps(start, gradients, dtype, learning_rate=1e-3, beta_2=beta_2)

    assert got.dtype == dtype
    moved_got = np.diff(got, axis=0, prepend=[start])
    moved_expected = np.diff(expected, axis=0, prepend=[start])
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=0)
    # The weight's own rounding is all that the moves may differ by.
    np.testing.assert_allclose(
        moved_got, moved_expected, rtol=tolerance, atol=4 * np.finfo(dtype).eps * 2
    )


def test_two_steps_by_hand():
    # Both before the switch: 1 - 0.1 * 2, then m = 0.9 * 0.2 + 0.1 * 1 = 0.28 over 1 - 0.81.
    got = radam_steps([1.0], [[2.0], [1.0]], "float64", learning_rate=0.1)
    np.testing.assert_allclose(got[:, 0], [0.8, 0.8 - 0.1 * 0.28 / 0.19], rtol=1e-7)


def test_beta_2_of_at_most_point_six_never_rectifies():
    gradients = random_gradients(20)
    for beta_2 in (0.5, 0.6):
        expected, rhos = reference_steps([0.0] * 3, gradients, 0.1, beta_2=beta_2)
        assert (rhos <= 4).all()
        got = radam_steps([0.0] * 3, gradients, "float64", learning_rate=0.1, beta_2=beta_2)
        np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("beta_2", [0.9, 0.999, 0.999999])
@pytest.mark.parametrize("steps_done", [0, 3, 4, 10**3, 10**5, 10**7])
def test_the_scale_is_accurate_at_any_step(beta_2, steps_done):
    optimizer = RAdam(beta_2=beta_2)
    optimizer.iterations.assign(steps_done)
    is_rectified, scale = (x.numpy() for x in optimizer._rectify())

    t = steps_done + 1
    if t < 10:  # where the differences cancel: in exact arithmetic
        power = Fraction(beta_2) ** t
        rho_inf = 2 / (1 - Fraction(beta_2)) - 1
        rho = rho_inf - 2 * t * power / (1 - power)
    else:
        power = beta_2**t
        rho_inf = 2 / (1 - beta_2) - 1
        rho = rho_inf - 2 * t * power / (1 - power)
    assert is_rectified == (rho > 4)
    expected = 1 / (1 - 0.9**t)
    if rho > 4:
        r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        expected *= r * math.sqrt(1 - power)
    np.testing.assert_allclose(scale, expected, rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_stay_finite_and_move(dtype):
    variable = keras.Variable([1.0, 1.0, 1.0], dtype=dtype)
    optimizer = RAdam(learning_rate=0.01)
    for _ in range(20):
        optimizer.apply([tf.constant([0.0, 1e-4, 10.0], dtype)], [variable])
    values = keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32"))
    assert np.isfinite(values).all()
    assert values[0] == 1
    assert values[2] < 0.9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_xla_equals_graph_equals_eager(dtype):
    gradients = random_gradients(12)

    def run(wrap):
        variable = keras.Variable([1.0, -2.0, 0.5], dtype=dtype)
        optimizer = RAdam(learning_rate=0.01)
        optimizer.build([variable])
        step = wrap(lambda gradient: optimizer.apply([gradient], [variable]))
        for gradient in gradients:
            step(tf.constant(gradient, dtype))
        return variable.numpy()

    eager = run(lambda f: f)
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(run(tf.function), eager, rtol=tolerance)
    np.testing.assert_allclose(
        run(lambda f: tf.function(f, jit_compile=True)), eager, rtol=tolerance
    )


def small_model(optimizer):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input([3]), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse", jit_compile=False)
    return model


def regression_data():
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    return x, x @ np.array([[1.0], [-2.0], [3.0]], "float32")


@pytest.mark.parametrize("jit_compile", [False, True])
def test_converges_on_a_quadratic(jit_compile):
    curvature = tf.constant([1.0, 10.0, 0.1])
    variable = keras.Variable([3.0, -3.0, 3.0])
    optimizer = RAdam(learning_rate=0.05)
    optimizer.build([variable])

    @tf.function(jit_compile=jit_compile)
    def step():
        optimizer.apply([curvature * variable], [variable])

    for _ in range(1000):
        step()
    np.testing.assert_allclose(variable.numpy(), [0, 0, 0], atol=1e-3)


def test_keras_file_keeps_the_state(tmp_path):
    x, y = regression_data()
    model = small_model(RAdam(learning_rate=0.02, beta_1=0.8, weight_decay=0.01))
    model.fit(x, y, epochs=4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    assert isinstance(loaded.optimizer, RAdam)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert int(loaded.optimizer.iterations) == 8
    assert len(loaded.optimizer.variables) == 6  # iteration, learning rate, 2 x (m, v)
    for kept, original in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(kept.numpy(), original.numpy())
    # Two more steps agree only if moments and step number came back.
    for each in (model, loaded):
        each.fit(x, y, shuffle=False, verbose=0)
    for kept, original in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(kept.numpy(), original.numpy())


def test_config_round_trip():
    optimizer = RAdam(
        learning_rate=keras.optimizers.schedules.CosineDecay(0.1, 10),
        beta_1=0.8,
        beta_2=0.98,
        epsilon=1e-6,
        weight_decay=0.01,
        clipnorm=2.0,
        use_ema=True,
        ema_momentum=0.9,
        ema_overwrite_frequency=5,
        loss_scale_factor=8.0,
        gradient_accumulation_steps=2,
        name="mine",
    )
    config = keras.optimizers.serialize(optimizer)
    assert config["registered_name"] == "tfgen>RAdam"
    again = keras.optimizers.deserialize(config)
    assert isinstance(again, RAdam)
    # Deserialising writes into the dictionary it is given, so compare with a fresh one.
    assert keras.optimizers.serialize(again) == keras.optimizers.serialize(optimizer)
    assert (again.beta_1, again.beta_2, again.epsilon) == (0.8, 0.98, 1e-6)


def test_learning_rate_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([5], [0.1, 0.0])
    got = radam_steps([1.0], [[1.0]] * 10, learning_rate=schedule)[:, 0]
    assert (np.diff(got[:6]) < 0).all()
    np.testing.assert_array_equal(got[6:], got[6 - 1])


def test_weight_decay_is_decoupled():
    # Without a gradient the weight shrinks by the learning rate times the decay, no more.
    got = radam_steps([2.0], [[0.0]] * 10, "float64", learning_rate=0.1, weight_decay=0.5)
    np.testing.assert_allclose(got[:, 0], 2 * 0.95 ** np.arange(1, 11), rtol=1e-6)


@pytest.mark.parametrize("option", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipping(option):
    expected, _ = reference_steps([0.0], [[0.5]] * 8, 0.1)
    got = radam_steps([0.0], [[40.0]] * 8, learning_rate=0.1, **{option: 0.5})
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_gradient_accumulation_averages_and_counts_updates():
    gradients = np.arange(1.0, 21.0).reshape(20, 1)
    expected, _ = reference_steps([0.0], gradients.reshape(10, 2).mean(1, keepdims=True), 0.1)
    got = radam_steps([0.0], gradients, learning_rate=0.1, gradient_accumulation_steps=2)
    np.testing.assert_allclose(got[1::2], expected, rtol=1e-5)


def test_moving_average_of_weights():
    variable = keras.Variable([0.0])
    optimizer = RAdam(learning_rate=0.1, use_ema=True, ema_momentum=0.5)
    weights = []
    for _ in range(8):
        optimizer.apply([tf.constant([1.0])], [variable])
        weights.append(variable.numpy()[0])
    average = weights[0]
    for weight in weights[1:]:
        average = 0.5 * average + 0.5 * weight
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(variable.numpy(), [average], rtol=1e-5)


def test_loss_scale_optimizer_around_it():
    x, y = regression_data()
    model = small_model(keras.optimizers.LossScaleOptimizer(RAdam(learning_rate=0.05)))
    history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_sparse_gradients_are_stepped_like_dense_ones():
    dense_gradient = np.zeros((4, 2), "float32")
    dense_gradient[1] = [1.0, -2.0]
    sparse_gradient = tf.IndexedSlices(tf.constant([[1.0, -2.0]]), tf.constant([1]), (4, 2))
    results = []
    for gradient in (tf.constant(dense_gradient), sparse_gradient):
        variable = keras.Variable(np.ones((4, 2), "float32"))
        optimizer = RAdam(learning_rate=0.1)
        for _ in range(8):
            optimizer.apply([gradient], [variable])
        results.append(variable.numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0][1] != 1).all()
    assert (results[0][0] == 1).all()


@pytest.mark.parametrize(
    "options", [{"beta_1": 1.0}, {"beta_1": -0.1}, {"beta_2": 0.0}, {"beta_2": 1}, {"epsilon": -1}]
)
def test_bad_options(options):
    (name,) = options
    with pytest.raises(ValueError, match=rf"`{name}` must be .*; got "):
        RAdam(**options)


# ------------------------------------------------------------------------------------ FusedAdam


def adam_steps(cls, dtype="float32", shape=(5, 3), sparse=False, **options):
    """The weight after every step, and the optimizer."""
    start = np.linspace(-1, 1, math.prod(shape)).reshape(shape)
    variable = keras.Variable(start, dtype=dtype, name="weight")
    optimizer, weights = cls(0.01, **options), []
    optimizer.build([variable])
    for gradient in random_gradients(25, size=3):
        gradient = tf.constant(np.broadcast_to(gradient, shape), dtype)
        if sparse:
            gradient = tf.IndexedSlices(gradient[:2], [0, 2], [5, 3])
        optimizer.apply([gradient], [variable])
        weights.append(variable.numpy().astype("float64"))
    return np.array(weights), optimizer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float64"},
        {"dtype": "float16", "epsilon": 1e-3},
        {"amsgrad": True},
        {"weight_decay": 0.1, "clipnorm": 1.0},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
        {"gradient_accumulation_steps": 4},
        {"beta_1": 0.0, "beta_2": 0.9},
        {"sparse": True},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_one_operation_is_kerass_adam(options):
    (ours, optimizer), (theirs, peer) = (
        adam_steps(cls, **options) for cls in (FusedAdam, keras.optimizers.Adam)
    )
    # Keras takes 1 - beta_2 as it is, and powers of beta_2 as of float32, whose difference from 1
    # is another by 1.3e-5 of it.
    tolerance = 1e-2 if options.get("dtype") == "float16" else 2e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance / 100)
    assert np.abs(ours[-1] - ours[0]).max() > 0.01
    for one, other in zip(optimizer.variables, peer.variables, strict=True):
        assert one.path.partition("/")[2] == other.path.partition("/")[2]
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance / 100)


def test_one_operation_is_algorithm_1():
    weights, _ = adam_steps(FusedAdam, "float64", beta_1=0.8, beta_2=0.99, epsilon=1e-8)
    weight, rate = np.linspace(-1, 1, 15).reshape(5, 3), float(np.float32(0.01))
    m = v = np.zeros((5, 3))
    for t, gradient in enumerate(random_gradients(25, size=3), start=1):
        m, v = 0.8 * m + 0.2 * gradient, 0.99 * v + 0.01 * gradient**2
        alpha = rate * math.sqrt(1 - 0.99**t) / (1 - 0.8**t)
        weight = weight - alpha * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(weights[t - 1], weight, rtol=1e-12, atol=1e-14)


def test_one_operation_updates_a_weight():
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = FusedAdam()
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    graph = step.get_concrete_function(tf.TensorSpec([3])).graph.as_graph_def()
    ops = [node.op for function in graph.library.function for node in function.node_def]
    ops += [node.op for node in graph.node]
    assert ops.count("ResourceApplyAdam") == 1
    config = keras.optimizers.serialize(FusedAdam(0.1, beta_1=0.5, name="mine"))
    again = keras.optimizers.deserialize(config)
    assert type(again) is FusedAdam and again.beta_1 == 0.5 and again.name == "mine"

"""Counted costs are those of the arithmetic, and projections follow from them."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.app import calibration
from tfgen.app import costs
from tfgen.app.calibration import Clocks
from tfgen.app.calibration import calibrate
from tfgen.callbacks import CostReport
from tfgen.utils import graph_costs
from tfgen.utils.step_cost import Held
from tfgen.utils.step_cost import count_step
from tfgen.utils.step_cost import held_by
from tfgen.utils.step_cost import traced_step

ROWS = 8


def concrete(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return tf.function(function).get_concrete_function(*specs)


def counted(function, *shapes):
    return count_step(concrete(function, *shapes))


# ------------------------------------------------------------------------------------ operations


def with_gradients(function):
    """The function and the gradients of its sum, named as the parts of a step are."""

    def step(*inputs):
        with tf.GradientTape() as tape, tf.name_scope("forward"):
            tape.watch(inputs)
            y = tf.reduce_sum(tf.tanh(function(*inputs)))
        return tape.gradient(y, inputs)

    return step


@pytest.mark.parametrize(
    ("function", "shapes", "flops"),
    [
        (tf.matmul, ([8, 3], [3, 5]), 2 * 8 * 3 * 5),
        (lambda a, b: tf.matmul(a, b, transpose_a=True), ([3, 8], [3, 5]), 2 * 8 * 3 * 5),
        (tf.matmul, ([4, 8, 3], [4, 3, 5]), 2 * 4 * 8 * 3 * 5),
        (lambda a, b: tf.einsum("bik,bkj->bij", a, b), ([4, 8, 3], [4, 3, 5]), 2 * 4 * 8 * 3 * 5),
    ],
    ids=["matrices", "transposed", "batches", "einsum"],
)
def test_products_of_matrices(function, shapes, flops):
    """The gradient of a product is a product for each of its factors."""
    cost = counted(with_gradients(function), *shapes)
    assert cost.flops["forward", "matmul"] == flops
    assert cost.flops["backward", "matmul"] == 2 * flops


@pytest.mark.parametrize("strides", [1, 2])
def test_convolutions(strides):
    def convolve(x, kernel):
        return tf.nn.conv2d(x, kernel, strides, "SAME")

    cost = counted(with_gradients(convolve), [ROWS, 6, 6, 2], [3, 3, 2, 4])
    positions = ROWS * (6 // strides) ** 2
    assert cost.flops["forward", "conv"] == 2 * positions * 3 * 3 * 2 * 4
    assert cost.flops["backward", "conv"] == 2 * cost.flops["forward", "conv"]


def test_depthwise_and_groups():
    x, kernel = [ROWS, 6, 6, 2], [3, 3, 2, 4]
    depthwise = counted(
        with_gradients(lambda x, k: tf.nn.depthwise_conv2d(x, k, [1] * 4, "SAME")), x, kernel
    )
    assert depthwise.flops["forward", "conv"] == 2 * ROWS * 36 * 9 * 2 * 4
    assert depthwise.flops["backward", "conv"] == 2 * depthwise.flops["forward", "conv"]
    groups = counted(
        with_gradients(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME")), [ROWS, 6, 6, 4], kernel
    )
    assert groups.flops["forward", "conv"] == 2 * ROWS * 36 * 9 * 2 * 4


def test_as_tensorflows_profiler_counts_a_graph_without_loops():
    def f(x, a, kernel):
        return tf.matmul(tf.reshape(tf.nn.conv2d(x, kernel, 1, "VALID"), [ROWS, -1]), a)

    function = concrete(f, [ROWS, 6, 6, 2], [64, 5], [3, 3, 2, 4])
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    profiled = tf.compat.v1.profiler.profile(function.graph, options=options)
    assert count_step(function).flops_of() == profiled.total_float_ops


def test_loops_are_counted_as_often_as_they_run():
    def f(x):
        for i in tf.range(3, 13, 2):
            x = x @ x
            for _ in tf.range(4):
                x = tf.cond(i > 5, lambda x=x: x @ x @ x, lambda x=x: x)
        return x

    assert counted(f, [4, 4]).flops_of(kinds=("matmul",)) == 5 * (1 + 4 * 2) * 2 * 4**3


def test_the_longest_branch_is_counted():
    def f(x):
        number = tf.cast(x[0, 0], tf.int32)
        branches = [lambda: x, lambda: x @ x, lambda: x @ x @ x]
        return tf.switch_case(number, branches)

    assert counted(f, [4, 4]).flops_of(kinds=("matmul",)) == 2 * 2 * 4**3


def test_the_gradient_of_a_loop_runs_as_often():
    def f(x):
        def body(i, y):
            return i + 1, tf.tanh(y @ x)

        return tf.while_loop(lambda i, y: i < 6, body, (0, x), maximum_iterations=6)[1]

    cost = counted(with_gradients(f), [4, 4])
    assert cost.flops["forward", "matmul"] == 6 * 2 * 4**3
    assert cost.flops["backward", "matmul"] == 2 * 6 * 2 * 4**3
    # Of each round the input and the output of the product are kept.
    assert cost.activation_bytes >= 2 * 6 * 4 * 4 * 4


def test_a_loop_over_data_is_refused_by_name():
    def f(x):
        return tf.while_loop(lambda x: tf.reduce_sum(x) > 0, lambda x: (x - 1,), (x,))

    with pytest.raises(ValueError, match="loop '.*while' runs as often as its data say"):
        counted(f, [4])


def test_what_nothing_needs_is_not_counted():
    def f(x):
        x @ x
        return x + tf.ones([4, 4]) @ tf.ones([4, 4])

    assert counted(f, [4, 4]).flops_of() == 4 * 4


def test_elementwise_operations_move_their_inputs_and_outputs():
    cost = counted(lambda x: tf.exp(x), [ROWS, 4])
    assert cost.moved_by() == 2 * ROWS * 4 * 4
    assert cost.flops["other", "elementwise"] == ROWS * 4
    # A part is no more than is taken.
    assert counted(lambda x: x[:2] + 1, [ROWS, 4]).moved_by() <= 4 * 2 * 4 * 4 + 4 + 3 * 16


# ----------------------------------------------------------------------------------------- steps


def flow(num_layers):
    model = tfgen.MAF(6, num_layers=num_layers, hidden_units=(16,))
    model.compile()
    return model


@pytest.mark.parametrize(
    ("num_layers", "num_rows"), [(2, ROWS), pytest.param(5, 2 * ROWS, marks=pytest.mark.slow)]
)
def test_steps_of_deep_flows_are_counted_by_layer(num_layers, num_rows):
    """The layers are one block in a loop."""
    cost = count_step(traced_step(flow(num_layers), num_rows))
    forward = num_layers * 2 * num_rows * (6 * 16 + 16 * 2 * 6)
    assert cost.flops["forward", "matmul"] == forward
    # The first layer's inputs are data, and of no other one.
    saved = 2 * num_rows * 6 * 16
    assert 2 * forward - saved <= cost.flops["backward", "matmul"] <= 2 * forward
    assert cost.flops_of(kinds=("matmul",), parts=("optimizer", "other")) == 0
    # The inputs of both products of each layer, at least.
    assert cost.activation_bytes >= num_layers * num_rows * (6 + 16) * 4


def test_what_is_held_is_of_all_players():
    entry = zoo.MODELS["gan"]
    model = entry.build()
    model.compile(critic_steps=3)
    held, critic = held_by(model), model.players[1]
    size = {p.name: sum(4 * np.prod(v.shape) for v in p.variables) for p in model.players}
    assert held.gradient_bytes == size["model"] + 3 * size[critic.name]
    states = [np.asarray(v).nbytes for p in model.players for v in p.optimizer.variables]
    assert held.optimizer_bytes == sum(states)


QUICK = ["maf", "injective_flow"]
ALL = [name for name in zoo.MODELS if name not in zoo.VARIANTS]
# Densities or samples by as many sweeps as it takes; and layers that are trained in turn, of which
# a branch says how often its gradient's loop runs.
OPEN = {"iaf", "wgan", "dbm"}


@pytest.mark.parametrize("name", [*QUICK, *zoo.slow(*(n for n in ALL if n not in QUICK))])
def test_steps_of_all_models_can_be_counted(name):
    model = zoo.MODELS[name].build()
    model.compile(**zoo.MODELS[name].compile)
    step = traced_step(model, ROWS)
    if name in OPEN:
        with pytest.raises(ValueError, match="loop '.*while.*' runs as often as its data say"):
            count_step(step)
        return
    cost = count_step(step)
    for part in ("forward", "backward"):
        assert cost.flops_of(parts=(part,)) > 0
    assert cost.moved_by(parts=("optimizer",)) > 0
    # But for the zeros that gradients of a loop begin with.
    operations = [e.op for e in cost.operations if not re.search("/while.*/zeros", e.op.name)]
    shapes = [t.shape for op in operations for t in op.outputs if t.dtype.is_floating]
    assert all(shape.is_fully_defined() for shape in shapes)


# ----------------------------------------------------------------------------------- calibration


def test_calibrated_times_are_those_of_the_operations():
    """Of the processor's clock, since others use the machine; within a factor, since they do."""

    def f(a, b):
        for _ in range(4):
            a = tf.nn.relu(a @ b)
        return a

    function = concrete(f, [512, 512], [512, 512])
    a, b = (tf.random.uniform([512, 512]) for _ in range(2))
    measured = []

    def run():
        begin = Clocks.now()
        function(a, b).numpy()
        measured.append(Clocks.now() - begin)

    run()
    measured.clear()
    cost = count_step(function)
    calibrated = calibrate(cost, between=run)
    for _ in range(5):
        run()
    ratio = calibrated.total().processor / Clocks(*np.median(measured, 0)).processor
    assert 0.4 < ratio < 2.5
    assert calibrated.num_timed == 2
    assert set(calibrated.flops_per_second) == {"matmul"}


def test_updates_are_timed_out_of_the_caches_where_they_do_not_write_in_place(monkeypatch):
    """As an update of all weights finds them."""
    w, m = (tf.Variable(tf.ones([2**20])) for _ in range(2))

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape, tf.name_scope("forward"):
            loss = tf.reduce_sum(w * x)
        with tf.name_scope("optimizer"):
            m.assign_add(0.1 * (tape.gradient(loss, w) - m))
            w.assign_sub(m / (tf.sqrt(m) + 1e-3))

    cost = count_step(step.get_concrete_function(tf.TensorSpec([2**20])))
    updates = [each for each in cost.operations if each.part == "optimizer"]
    cold = [each.op.type for each in updates if calibration._is_cold(each)]
    # The others write where the gradient or the root is, or into a variable.
    assert cold == ["Sqrt"]
    assert calibration._updated_bytes(cost) == 2 * 4 * 2**20
    (root,) = (each.op for each in updates if each.op.type == "Sqrt")
    made, real = [], calibration._input
    monkeypatch.setattr(calibration, "_input", lambda *a: made.append(1) or real(*a))
    calibration._seconds(root)
    assert len(made) == 1
    # Each of the copies, of which there are eight at least, reads an input of its own.
    calibration._seconds(root, 2**28, keep=True)
    assert len(made) == 1 + 8


# ----------------------------------------------------------------------------------- projections

DEVICE = costs.Device("device", {}, np.inf, 1e3, link_rate=1e6, start=0.0, hop=1e-5)
STEP = count_step(concrete(lambda x: x, [1]))


def projected(number, per_row=1e-3, per_step=4e-3, gradient_bytes=7_000, batch_size=64):
    held = Held(0, 100, gradient_bytes, 200)
    return costs._projected(DEVICE, number, per_row, per_step, held, STEP, batch_size)


def test_projections_follow_from_rows_and_links():
    one, eight = projected(1), projected(8)
    assert (one.computing, one.all_reduce) == (64e-3 + 4e-3, 0)
    assert eight.computing == pytest.approx(8e-3 + 4e-3)
    bandwidth = 2 * 7 / 8 * 7_000 / (costs.OF_LINKS * 1e6)
    assert eight.all_reduce == pytest.approx(bandwidth + 14 * 1e-5)
    assert eight.memory == 100 + 200 + 7_000
    assert not eight.fits
    assert projected(8, gradient_bytes=700).fits


def test_where_more_devices_do_not_pay():
    found = projected(8)
    alike = found.all_reduce + 4e-3
    assert 1e-3 * found.least_rows >= alike > 1e-3 * (found.least_rows - 1)
    most = projected(found.most_devices)
    assert 64e-3 / most.num_devices >= most.all_reduce + 4e-3
    more = projected(found.most_devices + 1)
    assert 64e-3 / more.num_devices < more.all_reduce + 4e-3
    # Gradients of no size cost the way round alone, 63 times to and fro for a row of 2 ms.
    assert projected(8, per_row=2e-3, per_step=0.0, gradient_bytes=0).most_devices == 64


def test_fewer_rows_than_devices():
    assert projected(256).batch_size == 256
    assert projected(256).computing == pytest.approx(1e-3 + 4e-3)


def test_float64_is_projected_to_no_accelerator():
    model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,), dtype="float64")
    model.compile()
    found = costs.cost_of(model, ROWS, num_devices=1)
    assert [p.name for p in found.projections] == ["this machine"]
    assert "GPUs and TPUs are compiled for, not measured" in "\n".join(costs.lines(found))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": "glow_mnits"}, "`source` .*Did you mean 'glow_mnist'?"),
        ({"source": "vae_mnist", "batch_size": 0}, "`batch_size`"),
        ({"source": "vae_mnist", "num_devices": 1.5}, "`num_devices`"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        costs.cost(**arguments)


def test_the_report_of_a_training_counts_its_step(capsys):
    report, model = CostReport(batch_size=ROWS), flow(2)
    report.set_model(model)
    report.set_params({"steps": 3, "epochs": 1})
    report.on_train_begin()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"MAF: {model.count_params():,} parameters (")
    assert first.endswith("of the optimizer); 3 steps in an epoch.")
    assert f"A step of {ROWS} rows: " in second and "of activations." in second


def test_graph_costs_of_a_keras_model():
    """Parts are told by names; a step of others has all of it in `other`."""
    layer = keras.layers.Dense(3)
    function = concrete(layer, [ROWS, 2])
    found = {graph_costs.part_of(each.op) for each in graph_costs.executed(function)}
    assert found == {"other"}

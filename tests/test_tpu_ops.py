"""Compiled graphs are made of operations and types that TPUs take, in static shapes.

No TPU is needed. The kernels of XLA are registered for CPUs and accelerators alike, each with the
types that it takes, so a graph of others runs on no TPU. Whether XLA compiles what it has kernels
for is for the tests that do so (`test_contract`, `test_training`, `test_adversarial`).
"""

import collections
import functools

import graphs
import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from tensorflow.python.framework import kernels
from tensorflow.python.ops.control_flow_ops import XLAControlFlowContext

import tfgen
from tfgen.utils.random import as_seed

# The arguments of the graphs, which XLA itself puts in.
INPUTS = {"Placeholder"}
# Of TPUs' types (`kTpuAllTypes` in TensorFlow's tpu_defs.h) those that they are made for: float64
# and uint64 are taken, but computed in pairs, slowly.
TYPES = {"bool", "uint8", "int32", "uint32", "int64", "bfloat16", "float32"}
# No numbers: variables, lists of tensors in loops, and the words of assertions, which XLA drops.
TYPES |= {"resource", "variant", "string"}
# TensorFlow's generator has counters of 64 bits without a sign, and takes no others: the row's
# count is made such (Cast), and put beside the seed's half of the counter (StridedSlice, Pack).
# `tf.random.stateless_uniform` has the same operations; XLA computes with pairs of uint32.
COUNTERS = {
    *("StatelessRandomGetKeyCounter", "Cast", "StridedSlice", "Pack"),
    *("StatelessRandomUniformV2", "StatelessRandomNormalV2", "StatelessRandomUniformFullIntV2"),
}

# A flow and networks of two players, quick to trace; half precision on TPUs is bfloat16.
BRIEF = {("maf", "float32"), ("cq", "mixed_bfloat16")}
# Variants with operations of their own, and policies of models with every kind of network.
OWN = {"glow_colour", "nsf_autoregressive", "nsf_table", "vae_pixel_flow", "pixelcnn_gated"}
OWN |= {"pixelrnn_row", "sbn_gumbel", "sbn_vimco", "helmholtz_wake_sleep", "discrete_vae_uint8"}
OWN |= {"vqvae_uint8", "rbm_real", "rbm_uint8", "nade_real", "wgan_clipped", "afvae"}
ALL = {(name, "float32") for name in {*zoo.KINDS} | OWN}
ALL |= {(name, "mixed_bfloat16") for name in ("glow_classes", "vae", "vlae", "pixelrnn", "draw")}
# Trained by layers it is for CPUs and GPUs: what gradients of a switch keep of loops XLA has not.
ARGUMENTS = {"dbm": {"layer_steps": 0}}


@pytest.fixture(params=[*sorted(BRIEF), *zoo.slow(*sorted(ALL - BRIEF))], ids="-".join)
def model(request):
    name, policy = request.param
    entry = zoo.MODELS[name]
    model = entry.build(dtype=policy, **ARGUMENTS.get(name, {}))
    model.compile(**entry.compile)
    return model


@functools.cache
def xla_kernels():
    """The kernels of XLA: by operation, the types that each takes by attribute."""
    # They are registered when XLA is first used.
    tf.function(tf.identity, jit_compile=True)(0.0)
    found = collections.defaultdict(list)
    for kernel in kernels.get_all_registered_kernels().kernel:
        if kernel.device_type == "XLA_CPU_JIT":
            limits = {c.name: {*c.allowed_values.list.type} for c in kernel.constraint}
            found[kernel.op].append(limits)
    return found


def has_kernel(node):
    return any(
        all(graphs.attribute_types(node, name) <= allowed for name, allowed in limits.items())
        for limits in xla_kernels()[node.op]
    )


def faults(function, reals=()):
    """Operations of a graph that TPUs do not take, with their types.

    Args:
        function: concrete function.
        reals: names of types that are allowed beside those of any model.
    """
    found = set()
    for node in graphs.nodes(function):
        of = graphs.types(node)
        strange = of - TYPES - {*reals} - ({"uint64"} if node.op in COUNTERS else set())
        # Between types of other widths a bitcast moves values across the tiles of memory.
        widths = {tf.as_dtype(name).size for name in of} if node.op == "Bitcast" else {}
        if strange or len(widths) > 1 or (node.op not in INPUTS and not has_kernel(node)):
            found.add((node.op, *sorted(of)))
    return found


def fed(model, x, y=None, **arguments):
    """The data set that Keras's `fit` gets of `model.fit`."""
    taken = []

    def take(self, x, **arguments):
        taken.append(x)
        return keras.callbacks.History()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", take)
        model.fit(x, y, verbose=0, **arguments)
    return taken[0]


def step(model, data):
    """The graph of a training step on batches of a data set, as `TPUStrategy` traces it: gradients
    of branches are others there."""

    def train_step(batch):
        context = XLAControlFlowContext()
        context.Enter()
        try:
            return model.train_step(batch)
        finally:
            context.Exit()

    function = tf.function(train_step, autograph=False)
    return function.get_concrete_function(data.element_spec)


def batches(model, num_rows=2 * zoo.BATCH_SIZE):
    x, y = zoo.make_data(model, num_rows)
    return fed(model, x, y, batch_size=zoo.BATCH_SIZE)


def graphs_of(model):
    """All graphs of a model by name: of a step in training, and of what it serves."""
    found = {"train_step": step(model, batches(model))}
    return found | {name: model._rows.function(name) for name in model.signatures()}


def sizes(function):
    """The first axes of what a graph's arguments are."""
    captured = {id(inner) for _, inner in function.graph.captures}
    return {
        tensor.shape[0]
        for tensor in function.graph.inputs
        if id(tensor) not in captured and tensor.shape.rank
    }


def test_graphs_are_of_what_tpus_take(model):
    for key, function in graphs_of(model).items():
        assert faults(function) == set(), key
        if key == "train_step":
            assert sizes(function) == {zoo.BATCH_SIZE}


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (lambda x: tf.linalg.slogdet(x)[1], ("LogMatrixDeterminant", "float32")),
        (lambda x: tf.cast(x, "float64"), ("Cast", "float32", "float64")),
        (lambda x: tf.bitcast(tf.cast(x, "int64"), tf.int32), ("Bitcast", "int32", "int64")),
        (lambda x: tf.signal.fft(tf.cast(x, "complex64")), ("FFT", "complex64")),
        (lambda x: tf.cond(x[0, 0] > 0, lambda: tf.linalg.det(x), lambda: 0.0), None),
    ],
    ids=["operation", "type", "width", "complex", "nested"],
)
def test_faults_are_found(made, fault):
    function = tf.function(made).get_concrete_function(tf.TensorSpec([2, 2]))
    assert (fault or ("MatrixDeterminant", "float32")) in faults(function)


@pytest.mark.parametrize("seed", [0, 7, -1, 2**31, -(2**40) + 5, 2**62 + 3])
def test_a_tensor_is_the_seed_that_its_number_is(seed):
    function = tf.function(as_seed).get_concrete_function(tf.TensorSpec([], tf.int64))
    assert faults(function) == set()
    np.testing.assert_array_equal(function(tf.constant(seed, tf.int64)), as_seed(seed))


def test_radam_has_float64_of_the_step_alone():
    """Numbers of the count of steps: in float32 they would choose the wrong branch, and a few
    scalars cost nothing where float64 is made of pairs."""
    model = zoo.MODELS["realnvp_condition"].build()
    model.compile(tfgen.optimizers.RAdam())
    function = step(model, batches(model))
    assert faults(function, reals=["float64"]) == set()
    wide = [
        t for op in function.graph.get_operations() for t in op.outputs if t.dtype == tf.float64
    ]
    assert wide and all(t.shape == () for t in wide)


X = np.random.default_rng(0).normal(size=[16, 2]).astype("float32")


@pytest.mark.parametrize("replicas", [1, 2])
def test_batches_of_one_size_say_so(replicas):
    """Arrays that batches divide have one size of them, and data sets that drop the rest."""
    spec = zoo.untrained("realnvp_2").model.data_spec
    whole = tf.data.Dataset.from_tensor_slices(X).batch(8, drop_remainder=True)
    for x, batch_size, size in ((X, 8, 8), (X, 16, 16), (X, 6, None), (whole, None, 8)):
        data = spec.evaluation_batches(x, batch_size=batch_size, least_rows=replicas)
        found = {part.shape[0] for part in data.element_spec.values()}
        assert found == {size}
        rows = [row for batch in data for row in batch["row"].numpy()]
        assert rows == list(range(len(X)))


def test_steps_on_arrays_have_one_size():
    model = zoo.untrained("realnvp_2").model
    for x, batch_size, size in ((X, 8, 8), (X[:15], 8, None)):
        data = fed(model, x, batch_size=batch_size)
        assert {part.shape[0] for part in data.element_spec.values()} == {size}
        assert sum(len(batch["row"]) for batch in data) == len(x)

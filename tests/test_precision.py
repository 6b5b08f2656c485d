"""Every model under every dtype policy: types, densities, training, files.

Densities and losses are float32 or wider under all of them; only networks compute in half
precision. What is compared is of one model in two policies, with the same weights, noise and order
of the rows, so all that differs is rounding.
"""

import graphs
import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.utils.random import as_seed

# Largest difference from float32 of log-densities, relative to a nat per dimension or to their
# size, and of reconstructions and scores, relative to 1; bfloat16 keeps 8 bits, float16 11.
OUTPUTS = {"mixed_bfloat16": 2e-2, "mixed_float16": 4e-3, "float64": 1e-5}
# Largest difference of the mean loss of an epoch, relative to 1 or its size. With another seed
# it is up to a tenth.
CURVES = {"mixed_bfloat16": 1e-2, "mixed_float16": 2e-3, "float64": 1e-4}
# Its loss is of the Jacobian of a network with batch normalisation, of eight bits.
ROUGH = {("injective_flow_images", "mixed_bfloat16"): 4e-2}
# Their chains part ways where fields are rounded.
CHAINS = [name for name, entry in zoo.MODELS.items() if entry.likelihood == "unnormalised"]
ROUGH |= {(name, "mixed_bfloat16"): 0.5 for name in CHAINS}
# Of latents of two states a draw beside its probability is the other one: that of a row in 20, by
# which the loss of one differs and an output of the other.
ROUGH[("sbn", "mixed_bfloat16")] = 5e-2
OTHERS = {("helmholtz", "mixed_bfloat16"): 0.1}

# One for each family, quick to trace; an adversarial one is in the test of loss scales.
BRIEF = {
    ("vae", "mixed_bfloat16"),
    ("autoencoder", "mixed_float16"),
}
# Variants are of the same parts as the models that they vary, and those in `PLAIN` as others of
# their family. Of each family one has all policies.
EACH = {"realnvp_2", "vae", "autoencoder", "wgan", "nade", "rbm", "sbn", "draw"}
PLAIN = {"fvsbn", "made", "deep_nade", "flow", "boltzmann", "convrbm_real", "gan_binary", "gan"}
PLAIN |= {"maf", "nsf", "realnvp_condition", "dbm", "discrete_vae", "bigan"}
ALL = {(name, "mixed_bfloat16") for name in zoo.KINDS.keys() - PLAIN}
ALL |= {(name, policy) for name in EACH for policy in OUTPUTS}
ALL.add(("injective_flow_images", "mixed_bfloat16"))


@pytest.fixture(params=[*sorted(BRIEF), *zoo.slow(*sorted(ALL - BRIEF))], ids="-".join)
def each(request):
    """A case in float32, and a policy."""
    name, policy = request.param
    for case in zoo.shared(name):
        yield case, policy


def built(case, policy):
    """A model of the policy with the weights that the case's own began with, compiled."""
    keras.utils.set_random_seed(0)
    first = case.entry.build()
    model = case.entry.build(dtype=policy)
    model.set_weights(first.get_weights())
    model.compile(**case.entry.compile)
    return model


def scaled(model):
    """A bool for each player: that its optimizer scales its loss."""
    return [isinstance(p.optimizer, keras.optimizers.LossScaleOptimizer) for p in model.players]


def iterations(model):
    """Steps that each player's optimizer has taken."""
    optimizers = [player.optimizer for player in model.players]
    return [int(getattr(o, "inner_optimizer", o).iterations) for o in optimizers]


def require_close(got, expected, tolerance, unit=1.0, others=0.0):
    """All but a share of `others` are close."""
    got, expected = (np.asarray(values, "float64") for values in (got, expected))
    differences = np.abs(got - expected) / np.maximum(unit, np.abs(expected))
    assert np.quantile(differences, 1 - others) <= tolerance


def test_a_model_of_each_policy(each, tmp_path):
    case, policy = each
    model, real = built(case, policy), "float64" if policy == "float64" else "float32"
    assert {w.dtype for w in model.trainable_variables} == {real}
    assert scaled(model) == [policy == "mixed_float16"] * len(model.players)
    if policy == "mixed_float16":
        # No step is lost in the search for the scale.
        for player in model.players:
            player.optimizer.dynamic_scale.assign(2.0**7)
    history = case.fit(model, validation_data=None)
    require_close(
        history["loss"], case.history["loss"], ROUGH.get((case.name, policy), CURVES[policy])
    )
    steps = int(model.steps_taken)
    assert iterations(model) == [steps, *(steps * player.steps for player in model.players[1:])]

    # Eagerly: the graphs of what is looked at here are traced below.
    model.set_weights(case.model.get_weights())
    x, y = case.tensors()[:2]
    outputs = zoo.eager_outputs(model, case.x, case.y)
    expected = zoo.eager_outputs(case.model, case.x, case.y)
    if outputs.dtype == tf.uint8:
        # Of pixels any may fall beside the edge of its bin.
        require_close(outputs, expected, OUTPUTS[policy] + 1 / 255, unit=255)
    else:
        unit = 1 if not case.model.has_likelihood else model.num_dims
        others = OTHERS.get((case.name, policy), 0.0)
        require_close(outputs, expected, OUTPUTS[policy], unit, others)
    samples = zoo.eager_samples(model, 3, None if y is None else y[:3])
    reals = [values for values in (outputs, samples) if values.dtype != tf.uint8]
    assert (samples.dtype == tf.uint8) == (model.data_kind != "real")
    if "encode" in model.signatures():
        reals.append(model._encode(x, y))
    if case.model.has_likelihood:
        rows, count = tf.constant(0, tf.int64), tf.constant(2, tf.int64)
        reals.append(model._estimate_log_prob(x, y, as_seed(0), rows, count))
    for values in reals:
        assert values.dtype == real
        assert np.all(np.isfinite(values))

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy == model.dtype_policy
    assert scaled(loaded) == scaled(model)
    layers = zip(loaded._flatten_layers(), model._flatten_layers(), strict=True)
    assert all(a.dtype_policy.name == b.dtype_policy.name for a, b in layers)
    np.testing.assert_array_equal(zoo.eager_outputs(loaded, case.x, case.y), outputs)


@pytest.mark.parametrize("name", ["gan", *zoo.slow("cq", "wgan", "realnvp_2")])
def test_a_loss_scale_is_found(name):
    """Steps whose gradients overflow change no weights and halve the scale, for each player."""
    case = zoo.case(name)
    model, (x, y) = built(case, "mixed_float16"), case.some(zoo.BATCH_SIZE)
    if model._needs_adapt():
        model.adapt(x, y)
    for player in model.players:
        player.optimizer.dynamic_scale.assign(2.0**30)
    moved = [v for player in model.players for v in player.variables]
    before = [v.numpy() for v in moved]
    settings = {"batch_size": zoo.BATCH_SIZE, "verbose": 0}
    model.fit(x, y, **settings)
    assert iterations(model) == [0] * len(model.players)
    for variable, value in zip(moved, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    model.fit(x, y, epochs=24, **settings)
    assert int(model.steps_taken) == 25
    for player, taken in zip(model.players, iterations(model), strict=True):
        steps = 25 * (player.steps if player is not model.players[0] else 1)
        # Every step was taken or has halved the scale.
        assert 0 < taken < steps
        assert player.optimizer.dynamic_scale == 2.0 ** (30 - (steps - taken))
    assert any(np.any(v.numpy() != value) for v, value in zip(moved, before, strict=True))
    model.compile(auto_scale_loss=False)
    assert scaled(model) == [False] * len(model.players)


# What networks compute in half precision, sums over the inputs of a layer among it.
NETWORKS = {
    *("MatMul", "BatchMatMulV2", "Conv2D", "Conv2DBackpropInput", "BiasAdd", "AddV2", "Mul"),
    *("Elu", "LeakyRelu", "Relu", "Sigmoid", "Tanh"),
    *("Cast", "Const", "Fill", "Identity", "IdentityN", "ZerosLike", "SelectV2"),
    *("ConcatV2", "DepthToSpace", "GatherV2", "Pad", "Reshape", "Shape", "Split", "Squeeze"),
    *("Slice", "StridedSlice", "Transpose", "StatelessWhile", "While", "SplitV", "EnsureShape"),
    *("TensorListFromTensor", "TensorListGetItem", "TensorListSetItem", "TensorListStack"),
}
# Derivatives of networks, by the directions of a decoder and of a gradient penalty.
DERIVATIVES = NETWORKS | {
    *(
        "AddN",
        "BiasAddGrad",
        "BroadcastTo",
        "Conv2DBackpropFilter",
        "EluGrad",
        "Less",
        "PartitionedCall",
    ),
    *("Select", "ShapeN", "StridedSliceGrad", "Sum", "Tile"),
}
DIFFERENTIATED = {"injective_flow", "injective_flow_fitted", "injective_flow_images", "wgan"}
QUICK = {"cq", "flow", "vae"}


@pytest.mark.parametrize("name", [*sorted(QUICK), *zoo.slow(*sorted({*zoo.KINDS} - QUICK))])
def test_only_networks_compute_in_half_precision(name):
    """No density, log-determinant, penalty or score is summed, nor a noise drawn, in it."""
    model = zoo.MODELS[name].build(dtype="mixed_bfloat16")
    x, y = zoo.make_data(model, 4)
    batch = {"x": tf.constant(x), "row": tf.range(4, dtype=tf.int64)}
    if y is not None:
        batch[model.data_spec.role] = tf.constant(y)

    def terms():
        return [player.terms(batch, as_seed(0), training=True) for player in model.players]

    functions = [tf.function(terms, autograph=False).get_concrete_function()]
    functions += [model._rows.function(name) for name in model.signatures()]
    found = {
        node.op
        for function in functions
        for node in graphs.nodes(function)
        if "bfloat16" in graphs.types(node)
    }
    assert "MatMul" in found or "Conv2D" in found
    assert found - (DERIVATIVES if name in DIFFERENTIATED else NETWORKS) == set()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "half", "int8_from_float32", 5])
def test_other_policies_are_refused(dtype):
    with pytest.raises(ValueError, match="`dtype` must"):
        tfgen.RealNVP(2, num_layers=2, dtype=dtype)

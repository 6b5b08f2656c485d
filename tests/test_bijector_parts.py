"""Promises of single bijectors, beyond the checks that all share."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import zoo

from tfgen import bijectors as tfg

NUM_LAYERS = 3


def counted(repeat=False):
    """Three couplings whose networks count their evaluations."""
    if repeat:
        bijector = tfg.Repeat(tfg.Coupling(network=zoo.CountedMLP((4,))), NUM_LAYERS)
    else:
        layers = [tfg.Coupling(network=zoo.CountedMLP((4,)), flip=i % 2) for i in range(NUM_LAYERS)]
        bijector = tfg.Chain(layers)
    bijector.build((None, 2))
    zoo.perturb(bijector)
    zoo.CountedMLP.count = 0
    return bijector


x = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("direction", ["inverse_and_log_det", "forward_and_log_det"])
def test_one_conditioner_call_per_layer_and_pass(repeat, direction):
    bijector = counted(repeat)
    getattr(bijector, direction)(x)
    assert zoo.CountedMLP.count == NUM_LAYERS


# --------------------------------------------------------------------------------- TFP's view


def distribution(bijector, condition=None):
    base = tfp.distributions.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    return tfp.distributions.TransformedDistribution(base, bijector.to_tfp(condition))


@pytest.mark.parametrize("repeat", [False, True])
def test_one_conditioner_call_per_layer_and_log_prob_of_the_view(repeat):
    bijector = counted(repeat)
    distribution(bijector).log_prob(x)
    assert zoo.CountedMLP.count == NUM_LAYERS
    distribution(bijector).sample(5)
    assert zoo.CountedMLP.count == 2 * NUM_LAYERS


def test_one_conditioner_call_per_layer_in_a_tfp_chain():
    layers = counted().bijectors
    chain = tfp.bijectors.Chain([layer.to_tfp() for layer in layers])
    base = tfp.distributions.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    tfp.distributions.TransformedDistribution(base, chain).log_prob(x)
    assert zoo.CountedMLP.count == NUM_LAYERS


def test_a_fresh_view_sees_new_weights():
    bijector = counted()
    for _ in range(2):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(distribution(bijector).log_prob(x))
        z, log_det = bijector.inverse_and_log_det(x)
        expected = np.mean(log_det - 0.5 * np.sum(z**2, -1) - np.log(2 * np.pi))
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        for gradient in tape.gradient(value, bijector.trainable_variables):
            assert gradient is not None
        zoo.perturb(bijector, seed=1)


def test_a_view_needs_weights():
    with pytest.raises(ValueError, match="no weights yet"):
        tfg.Coupling().to_tfp()


VIEWED = [name for name in zoo.BIJECTORS if name not in zoo.MASKED]


# One view serves all: every third entry is enough to see it wrong.
@pytest.mark.parametrize("name", [*VIEWED[::3], *zoo.slow(*VIEWED[1::3], *VIEWED[2::3])])
def test_view_is_bijective_and_finite(name):
    """The assertions of TFP's own `assert_bijective_and_finite`, which its wheel leaves out."""
    case = zoo.bijector_case(name)
    view, z, x = case.layer.to_tfp(case.condition), case.z, case.x
    ranks = {"forward": z.ndim - 1, "inverse": x.ndim - 1}
    assert view.forward_min_event_ndims == ranks["forward"]
    assert view.inverse_min_event_ndims == ranks["inverse"]
    assert view.dtype == tf.float64
    assert view.forward_event_shape(z.shape[1:]) == case.shape
    assert view.inverse_event_shape(x.shape[1:]) == z.shape[1:]
    assert view.forward_event_shape_tensor(z.shape).numpy().tolist() == list(x.shape)
    assert view.inverse_event_shape_tensor(x.shape).numpy().tolist() == list(z.shape)
    forward, inverse = view.forward(z), view.inverse(x)
    np.testing.assert_allclose(forward, case.from_z[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(inverse, case.from_x[0], rtol=1e-12, atol=1e-12)
    # New tensors: otherwise TFP's cache answers.
    fresh_x, fresh_z = tf.identity(forward), tf.identity(inverse)
    np.testing.assert_allclose(view.inverse(fresh_x), z, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(view.forward(fresh_z), x, rtol=1e-9, atol=1e-9)
    for given, other in ((z, fresh_x), (fresh_z, x)):
        change = view.forward_log_det_jacobian(given, ranks["forward"])
        assert change.shape == (len(x),)
        assert np.isfinite(change).all()
        back = view.inverse_log_det_jacobian(other, ranks["inverse"])
        np.testing.assert_allclose(-back, change, rtol=1e-9, atol=1e-9)


def test_a_view_takes_any_batch_shape():
    case = zoo.bijector_case("chain_condition")
    rows = np.stack([case.x, case.x + 1])
    view = case.layer.to_tfp(case.condition)
    z = view.inverse(rows)
    assert z.shape == rows.shape
    assert view.inverse_log_det_jacobian(rows, 1).shape == rows.shape[:2]
    np.testing.assert_allclose(z[0], case.from_x[0], rtol=1e-12, atol=1e-12)
    one = case.layer.to_tfp(case.condition[:1])
    expected = case.layer.inverse_and_log_det(case.x[:1], condition=case.condition[:1])[0]
    np.testing.assert_allclose(one.inverse(case.x)[:1], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.inverse(case.x[0]), expected[0], rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------- Repeat


# `test_autoregressive` compares the gradients of a loop in a graph.
@pytest.mark.parametrize("compiled", [False, *zoo.slow(True)])
def test_repeat_is_the_unrolled_chain(compiled):
    case = zoo.bijector_case("repeat")
    chain = tfg.Chain(zoo.unrolled(case.layer), dtype="float64")

    def value_and_gradients(layer, inverse):
        points = tf.constant(case.x)
        with tf.GradientTape() as tape:
            tape.watch(points)
            y, log_det = layer(points, inverse=inverse)
            # Something that weighs every output differently.
            total = tf.reduce_sum(y * tf.sin(tf.range(3.0, dtype="float64"))) + tf.reduce_sum(
                log_det * tf.constant([1.0, 2.0, 3.0], "float64")
            )
        return y, log_det, *tape.gradient(total, [points, *layer.trainable_variables])

    for inverse in (True, False):
        function = tf.function(value_and_gradients) if compiled else value_and_gradients
        y, log_det, d_x, *d_weights = function(case.layer, inverse)
        expected_y, expected_log_det, expected_d_x, *expected = function(chain, inverse)
        np.testing.assert_allclose(y, expected_y, rtol=1e-12)
        np.testing.assert_allclose(log_det, expected_log_det, rtol=1e-12)
        np.testing.assert_allclose(d_x, expected_d_x, rtol=1e-10)
        per_step = len(d_weights)
        for i, gradient in enumerate(d_weights):
            np.testing.assert_allclose(gradient, np.stack(expected[i::per_step]), rtol=1e-9)


def test_repeat_draws_each_copy_afresh():
    repeat = tfg.Repeat(tfg.Chain([tfg.InvertibleConv(), tfg.Permutation("random")]), 4)
    repeat.build((None, 6))
    for weight in repeat.weights:
        if weight.path.endswith(("lower", "order")):
            assert len(np.unique(weight.numpy(), axis=0)) > 1


def test_repeat_trains_its_own_weights_only():
    repeat = tfg.Repeat(zoo.chain(), 3)
    repeat.build((None, 3))
    assert all(w.shape[0] == 3 for w in repeat.weights)
    assert len(repeat.trainable_variables) == len(repeat.step.trainable_variables)
    repeat.trainable = False
    assert not repeat.trainable_variables


def test_a_part_of_the_template_can_be_frozen():
    step = zoo.chain()
    step.bijectors[0].trainable = False
    repeat = tfg.Repeat(step, 3)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    repeat.adapt([x])
    assert len(repeat.trainable_variables) == len(repeat.step.trainable_variables)
    assert not any("log_scale" in w.path for w in repeat.trainable_variables)
    expected = tfg.Chain(zoo.unrolled(repeat)).inverse_and_log_det(x)
    # Too late: neither what is trained nor what is saved changes.
    repeat.step.bijectors[0].trainable = True
    copy = tfg.Repeat.from_config(repeat.get_config())
    copy.build((None, 3))
    copy.set_weights(repeat.get_weights())
    for layer in (repeat, copy):
        assert len(layer.trainable_variables) < len(repeat.step.trainable_variables)
        for a, b in zip(layer.inverse_and_log_det(x), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_repeat_needs_a_step_that_keeps_the_shape():
    with pytest.raises(ValueError, match="keep the shape"):
        tfg.Repeat(tfg.Squeeze(), 2).build((None, 4, 4, 1))
    with pytest.raises(ValueError, match="`times` must be .* at least 1; got 0"):
        tfg.Repeat(tfg.ActNorm(), 0)


# ------------------------------------------------------------------------------ half precision


@pytest.mark.parametrize("policy", ["mixed_bfloat16", *zoo.slow("mixed_float16")])
@pytest.mark.parametrize("name", ["chain", "repeat", "multi_scale_condition", "glow_step"])
def test_networks_compute_in_half_precision_and_flows_do_not(name, policy):
    entry = zoo.BIJECTORS[name]
    keras.utils.set_random_seed(0)
    layer = entry.build(dtype=policy)
    layer.build((None, *entry.shape), entry.condition and (None, entry.condition))
    zoo.perturb(layer)
    half, full = zoo.bijector_case(name, "float32"), layer
    networks = [
        part
        for part in full._flatten_layers()
        if isinstance(part, keras.layers.Dense | keras.layers.Conv2D)
    ]
    assert networks or name == "repeat"
    assert all(part.compute_dtype == policy.removeprefix("mixed_") for part in networks)
    assert all(w.dtype in ("float32", "int32") for w in layer.weights)
    z, log_det = layer.inverse_and_log_det(half.x, condition=half.condition)
    assert z.dtype == log_det.dtype == tf.float32
    # bfloat16 keeps 8 bits.
    np.testing.assert_allclose(z, half.from_x[0], rtol=0.05, atol=0.05)
    np.testing.assert_allclose(log_det, half.from_x[1], rtol=0.05, atol=0.5)


# ------------------------------------------------------------------------------------- maps


def test_permutations():
    z, _ = tfg.Permutation([1, 2, 0]).inverse_and_log_det(np.array([[1.0, 2.0, 3.0]], "float32"))
    assert z.numpy().tolist() == [[2, 3, 1]]
    z, _ = tfg.Permutation().inverse_and_log_det(np.array([[1.0, 2.0, 3.0]], "float32"))
    assert z.numpy().tolist() == [[3, 2, 1]]


def test_gradients_of_permutations():
    x = tf.constant([[1.0, 2.0, 3.0]])
    for way in ("inverse", "forward"):
        layer = tfg.Permutation([2, 0, 1])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, _ = getattr(layer, f"{way}_and_log_det")(x)
            total = tf.reduce_sum(y * [10.0, 20.0, 30.0])
        weights = dict(zip(y.numpy()[0], [10, 20, 30], strict=True))
        assert tape.gradient(total, x).numpy().tolist() == [[weights[v] for v in (1, 2, 3)]]


def test_conditions_are_neither_missing_nor_too_many():
    x, condition = np.ones((2, 3), "float32"), np.ones((2, 2), "float32")
    for cls in (tfg.Coupling, tfg.Elementwise, tfg.Autoregressive):
        with_one, without = cls(), cls()
        with_one.build((None, 3), (None, 2))
        without.build((None, 3))
        with pytest.raises(ValueError, match="`condition` is missing"):
            with_one.inverse_and_log_det(x)
        with pytest.raises(ValueError, match="`condition` was given, but .* without one"):
            without.forward_and_log_det(x, condition=condition)


def test_invertible_conv_starts_orthogonal():
    matrix, log_det = tfg.InvertibleConv().inverse_and_log_det(np.eye(6, dtype="float32"))
    np.testing.assert_allclose(matrix @ tf.transpose(matrix), np.eye(6), atol=1e-5)
    np.testing.assert_allclose(log_det, 0, atol=1e-5)


def test_invertible_conv_starts_as_a_reversal():
    z, log_det = tfg.InvertibleConv("reverse").inverse_and_log_det(np.array([[1.0, 2.0, 3.0]]))
    assert z.numpy().tolist() == [[3, 2, 1]]
    assert log_det.numpy().tolist() == [0]
    with pytest.raises(ValueError, match="`start` must be .* got 'identity'"):
        tfg.InvertibleConv("identity")


def test_mixing_log_dets_are_those_of_every_convolution():
    case = zoo.bijector_case("multi_scale")
    got = case.layer.mixing_log_dets()
    expected = []

    def visit(layer):
        if isinstance(layer, tfg.InvertibleConv):
            expected.append(layer._positions * np.sum(layer.log_abs_u))
        elif isinstance(layer, tfg.Repeat):
            for copy in zoo.unrolled(layer):
                visit(copy)
        else:
            for part in layer._parts():
                visit(part)

    visit(case.layer)
    assert len(expected) == 3
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_dequantise():
    layer = tfg.Dequantise(num_bits=3)
    values = np.arange(256)
    noise = np.random.default_rng(0).uniform(size=256)
    reals = layer(values, noise)
    assert reals.numpy().min() >= 0
    assert reals.numpy().max() < 8
    np.testing.assert_array_equal(layer.quantise(reals), values // 32 * 32)
    assert layer.quantise(reals).dtype == tf.uint8


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: tfg.Coupling(mask="rows"), "`mask` must be one of .* got 'rows'"),
        (lambda: tfg.Coupling("cubic"), "`transform` must be one of .* got 'cubic'"),
        (lambda: tfg.Coupling().build((None, 2, 2)), r"Coupling takes events .* got \[2, 2\]"),
        (lambda: tfg.SigmoidAffine(floor=0), r"`floor` must lie in \(0, 1\); got 0"),
        (lambda: tfg.Permutation([0, 2]), "`order` must be .* hold each index"),
        (lambda: tfg.Permutation("up"), "`order` must be .* got 'up'"),
        (lambda: tfg.Permutation([1, 0]).build((None, 3)), "`order` has 2 indices"),
        (lambda: tfg.Squeeze().build((None, 3, 4, 1)), r"even height and width; got \[3, 4, 1\]"),
        (lambda: tfg.Split(tfg.Flatten()).build((None, 2, 2, 1)), "at least 2 channels"),
        (lambda: tfg.Chain([keras.layers.Dense(1)]), r"`bijectors\[0\]` must be a Bijector; got"),
        (lambda: tfg.Dequantise(num_bits=9), "`num_bits` must be .* got 9"),
        (lambda: tfg.Logit(alpha=0.5), r"`alpha` must lie in \(0, 0.5\); got 0.5"),
    ],
)
def test_bad_arguments_are_named(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_logit_inverts_far_out():
    """Saturated values are those of the number format, not of a margin."""
    for dtype, far in (("float32", 14.0), ("float64", 25.0)):
        logit = tfg.Logit(8, dtype=dtype)
        logit.build((None, 2))
        z = np.array([[-far, far]], dtype)
        x, log_det = logit.forward_and_log_det(z)
        back, back_log_det = logit.inverse_and_log_det(x)
        np.testing.assert_allclose(back, z, rtol=0.05)
        np.testing.assert_allclose(log_det + back_log_det, 0, atol=1.5)

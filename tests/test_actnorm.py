"""Data-dependent initialisation: ActNorm by itself, and inside of what carries batches on."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen import bijectors as tfg
from tfgen.models import GlowStep


def batches_of(shape, num_batches=3, size=16):
    rng = np.random.default_rng(0)
    mean, deviation = np.arange(1, shape[-1] + 1), 1 + np.arange(shape[-1])
    return [
        (mean + deviation * rng.normal(loc=i, size=(size, *shape))).astype("float32")
        for i in range(num_batches)
    ]


def moments(batches):
    """Mean and variance of each channel, as Algorithm 1 pools them over minibatches."""
    batches = [np.asarray(x, "float64").reshape(-1, x.shape[-1]) for x in batches]
    mean = np.mean([x.mean(0) for x in batches], 0)
    return mean, np.mean([(x**2).mean(0) for x in batches], 0) - mean**2


@pytest.mark.parametrize("shape", [(3,), (4, 4, 3)])
@pytest.mark.parametrize("num_batches", [1, 3])
def test_outputs_are_standardised(shape, num_batches):
    batches = batches_of(shape, num_batches)
    layer = tfg.ActNorm()
    outputs = layer.adapt(batches)
    mean, variance = moments(outputs)
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(variance, 1, atol=1e-5)
    for x, z in zip(batches, outputs, strict=True):
        np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], z, rtol=1e-6)


def test_several_minibatches_by_hand():
    # Means 2 and 6, mean squares 5 and 36: 4 and 20.5, although the sizes differ.
    layer = tfg.ActNorm(epsilon=0.0)
    layer.adapt([np.array([[1.0], [3.0]], "float32"), np.array([[6.0]], "float32")])
    deviation = np.sqrt(20.5 - 4.0**2)
    np.testing.assert_allclose(layer.log_scale, [-np.log(deviation)], rtol=1e-6)
    np.testing.assert_allclose(layer.shift, [-4 / deviation], rtol=1e-6)


def test_moments_do_not_cancel_far_from_zero():
    x = (1e3 + np.random.default_rng(0).normal(size=(256, 1))).astype("float32")
    (z,) = tfg.ActNorm().adapt([x])
    np.testing.assert_allclose(np.std(z), 1, atol=1e-3)


@pytest.mark.parametrize("rows", [1, 5])
def test_constant_channel_and_batch_of_one(rows):
    x = np.full((rows, 2), 7.0, "float32")
    layer = tfg.ActNorm(epsilon=1e-6)
    (z,) = layer.adapt([x])
    np.testing.assert_allclose(z, 0, atol=1e-5)
    np.testing.assert_allclose(layer.log_scale, np.zeros(2), atol=1e-6)
    assert np.isfinite(layer.inverse_and_log_det(x + 1)[0]).all()


def test_starts_as_the_identity():
    x = batches_of((3,))[0]
    z, log_det = tfg.ActNorm().inverse_and_log_det(x)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_array_equal(log_det, 0)


# ------------------------------------------------------------------------------ inside others


def actnorm_outputs(bijector, batches):
    """The outputs of every ActNorm, and the batches on the latent side."""
    if isinstance(bijector, tfg.Chain):
        parts = bijector.bijectors
    elif isinstance(bijector, tfg.Repeat):
        parts = zoo.unrolled(bijector)
    elif isinstance(bijector, tfg.Split):
        parts = [] if bijector.prior is None else [bijector.prior]
    else:
        z = [bijector.inverse_and_log_det(x)[0] for x in batches]
        return ([z] if isinstance(bijector, tfg.ActNorm) else []), z
    found = []
    for part in parts:
        more, batches = actnorm_outputs(part, batches)
        found += more
    if isinstance(bijector, tfg.Split):
        kept = batches[0].shape[-1] // 2
        more, rest = actnorm_outputs(bijector.rest, [x[..., :kept] for x in batches])
        found += more
        new = [tf.reshape(x[..., kept:], [len(x), -1]) for x in batches]
        batches = [tf.concat(pair, -1) for pair in zip(new, rest, strict=True)]
    return found, batches


def glow_like():
    rest = tfg.Chain([tfg.Repeat(GlowStep(8), 2), tfg.Flatten()])
    return tfg.Chain([tfg.Squeeze(), tfg.Repeat(GlowStep(8), 3), tfg.Split(rest)])


def vector_chain():
    return tfg.Chain([tfg.Repeat(zoo.chain(), 3), tfg.ActNorm()])


@pytest.mark.parametrize(
    "build, shape, num_actnorms",
    [
        (glow_like, (4, 4, 3), 5),
        pytest.param(vector_chain, (4,), 4, marks=pytest.mark.slow),
    ],
)
def test_every_actnorm_inside_is_standardised(build, shape, num_actnorms):
    bijector = build()
    bijector.build((None, *shape))
    zoo.perturb(bijector)
    batches = batches_of(shape)
    outputs = bijector.adapt(batches)
    found, latents = actnorm_outputs(bijector, batches)
    assert len(found) == num_actnorms
    for z in found:
        mean, variance = moments([x.numpy() for x in z])
        np.testing.assert_allclose(mean, 0, atol=1e-4)
        np.testing.assert_allclose(variance, 1, atol=1e-3)
    for x, z, carried in zip(batches, latents, outputs, strict=True):
        np.testing.assert_allclose(carried, z, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(bijector.inverse_and_log_det(x)[0], z, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("times", [2, 6])
def test_adapting_evaluates_each_block_once(times):
    step = tfg.Chain([tfg.ActNorm(), tfg.Coupling(network=zoo.CountedMLP((4,)))])
    repeat = tfg.Chain([tfg.Repeat(step, times), tfg.Coupling(network=zoo.CountedMLP((4,)))])
    repeat.build((None, 2))
    batches = batches_of((2,))
    zoo.CountedMLP.count = 0
    repeat.adapt(batches)
    assert zoo.CountedMLP.count <= (times + 1) * len(batches)


def test_conditions_are_carried_along():
    repeat = tfg.Repeat(zoo.chain(), 2)
    repeat.build((None, 2), (None, 1))
    zoo.perturb(repeat)
    batches = batches_of((2,))
    conditions = [np.full((len(x), 1), i, "float32") for i, x in enumerate(batches)]
    outputs = repeat.adapt(batches, conditions)
    for x, c, z in zip(batches, conditions, outputs, strict=True):
        expected, _ = repeat.inverse_and_log_det(x, condition=c)
        np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [vector_chain, lambda: tfg.Repeat(tfg.ActNorm(), 2)])
def test_adapting_builds_what_is_not_built(build):
    batches = batches_of((4,))
    bijector = build()
    outputs = bijector.adapt(batches)
    np.testing.assert_allclose(
        bijector.inverse_and_log_det(batches[0])[0], outputs[0], rtol=1e-4, atol=1e-4
    )


def test_only_data_dependent_maps_say_so():
    assert tfg.ActNorm().adaptive
    assert vector_chain().adaptive
    assert glow_like().adaptive
    assert not tfg.Invert(tfg.ActNorm()).adaptive
    assert not tfg.Chain([tfg.Coupling(), tfg.Permutation()]).adaptive
    assert not tfg.Repeat(tfg.Coupling(), 2).adaptive


@pytest.mark.parametrize("recipe", [tfgen.RealNVP, *zoo.slow(tfgen.MAF, tfgen.IAF, tfgen.NSF)])
def test_units_of_vectors_do_not_matter(recipe):
    """Trained on data in other units, a flow has the same density but for the units."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 3)) @ rng.normal(size=(3, 3))
    units = np.array([1e6, 1e-6, 30.0])
    models = []
    for data in (x, x * units + [5e6, 1e-6, -100.0]):
        keras.utils.set_random_seed(0)
        model = recipe(3, num_layers=2, hidden_units=(16,))
        model.compile()
        model.fit(data, epochs=3, verbose=0)
        models.append(model.log_prob(data).numpy())
    np.testing.assert_allclose(models[0] - np.log(units).sum(), models[1], atol=0.02)


@pytest.mark.parametrize("recipe", [tfgen.RealNVP, *zoo.slow(tfgen.MAF)])
def test_columns_that_are_constant_at_first(recipe):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 2))
    x[:, 1] *= np.arange(1000) > 400
    model = recipe(2, num_layers=2, hidden_units=(8,))
    model.compile()
    losses = model.fit(x, epochs=2, shuffle=False, verbose=0).history["nll"]
    assert losses[0] < 20 and losses[1] < losses[0]


def test_standardise_leaves_constants_and_stays():
    layer = tfg.Standardise()
    x = np.array([[7.0, 0.0, 1e-20], [7.0, 0.0, 3e-20]], "float32")
    z = layer.adapt([x])[0]
    np.testing.assert_allclose(z, [[0, 0, -1], [0, 0, 1]], atol=1e-3)
    assert not layer.trainable_variables
    assert layer.adaptive

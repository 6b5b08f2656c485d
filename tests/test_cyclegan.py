"""CycleGAN: two sets of images without pairs, what is kept of them, and what each loss says."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import PatchCritic
from tfgen.networks import ResNetTranslator

SMALL = {"filters": 2, "num_blocks": 1, "num_halvings": 1}


def small(shape=(8, 8, 1), target=None, **arguments):
    return tfgen.CycleGAN(shape, target, **{**SMALL, "buffer_size": 3, **arguments})


def images(num_rows, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).integers(256, size=(num_rows, *shape), dtype="uint8")


def batch_of(model, num_rows=4):
    x, y = images(num_rows, model.event_shape), images(num_rows, model.target_shape, 1)
    rows = tf.range(num_rows, dtype=tf.int64)
    return {"x": tf.constant(x), "target": tf.constant(y, tf.float32), "row": rows}


# ------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize("side", [8, 28, *zoo.slow(256)])
def test_images_keep_their_sides(side):
    network = ResNetTranslator(2, filters=1, num_blocks=1 if side < 256 else None)
    network.build((None, side, side, 3))
    assert network(np.zeros((1, side, side, 3), "float32")).shape == (1, side, side, 2)
    assert len(network.blocks) == (9 if side == 256 else 1)
    critic = PatchCritic(filters=1)
    critic.build((None, side, side, 3))
    scores = critic(np.zeros((1, side, side, 3), "float32"))
    assert (
        scores.shape
        == critic.compute_output_shape((1, side, side, 3))
        == (1, *(2 * [{8: 4, 28: 7, 256: 32}[side]]))
    )


def test_a_critic_scores_patches():
    """Of three halvings 70 pixels, as the paper says: beyond them nothing counts."""
    critic = PatchCritic(filters=1)
    x = tf.Variable(np.random.default_rng(0).normal(size=(1, 160, 160, 1)).astype("float32"))
    critic.build(x.shape)
    # Instance normalisation sees all of the image: without it.
    critic.convs = [(conv, None) for conv, _ in critic.convs]
    with tf.GradientTape() as tape:
        score = critic(x)[0, 10, 10]
    seen = np.argwhere(tape.gradient(score, x).numpy()[0, :, :, 0] != 0)
    assert (np.ptp(seen, 0) + 1).tolist() == [70, 70]


def test_each_image_is_normalised_by_itself():
    for network in (ResNetTranslator(1, **SMALL), PatchCritic(2)):
        x = images(3, (16, 16, 1)).astype("float32") / 255
        network.build((None, 16, 16, 1))
        zoo.perturb(network)
        np.testing.assert_allclose(network(x)[:1], network(x[:1]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"shape": (4, 4, 1), "num_halvings": 2}, "takes images with sides of 8 at least that 4"),
        ({"shape": (10, 8, 1), "num_halvings": 2}, r"that 4 divides; got \[10, 8\]"),
        ({"shape": (8,)}, r"`event_shape` must be \[height, width, channels\]; got \[8\]"),
        ({"target": (16, 16, 1)}, "must have the same sides; got"),
        ({"target": (8, 8, 3), "identity_weight": 1.0}, "`identity_weight` must be 0"),
        ({"buffer_size": -1}, "`buffer_size` must be"),
        ({"data_kind": "binary"}, "`data_kind` must be one of ..real', 'uint8'"),
        ({"generator": ResNetTranslator(2, **SMALL)}, "`generator` must give images"),
        ({"critic": "conv"}, "`critic`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


# ---------------------------------------------------------------------------------------- losses


def test_the_losses_are_the_papers():
    model = zoo.perturb(small(cycle_weight=7.0, identity_weight=3.0))
    batch = batch_of(model)
    x, y = (model._values(batch[name]).numpy() for name in ("x", "target"))
    assert x.min() >= -1 and x.max() <= 1

    def there(values):
        return np.tanh(model.generator(values))

    def back(values):
        return np.tanh(model.back_generator(values))

    def squared(critic, values, wanted):
        return np.mean((critic(values).numpy().reshape(len(values), -1) - wanted) ** 2, -1)

    def apart(a, b):
        return np.abs(a - b).mean((1, 2, 3))

    terms = model._batch_terms(batch, tf.constant([1, 2]), training=True)
    adversarial = squared(model.critic, there(x), 1) + squared(model.back_critic, back(y), 1)
    cycle = apart(back(there(x)), x) + apart(there(back(y)), y)
    identity = apart(there(y), y) + apart(back(x), x)
    for name, expected in (
        ("adversarial", adversarial),
        ("cycle", cycle),
        ("identity", identity),
        ("loss", adversarial + 7 * cycle + 3 * identity),
    ):
        np.testing.assert_allclose(terms[name], expected, rtol=1e-4, err_msg=name)
    terms = model._critic_terms(batch, tf.constant([1, 2]), training=False)
    expected = squared(model.critic, y, 1) + squared(model.critic, there(x), 0)
    expected += squared(model.back_critic, x, 1) + squared(model.back_critic, back(y), 0)
    np.testing.assert_allclose(terms["critic_loss"], expected / 2, rtol=1e-4)


def test_each_player_moves_its_own():
    model = zoo.perturb(small())
    model.compile(run_eagerly=True)
    batch = batch_of(model)
    critics = model.critic.trainable_variables + model.back_critic.trainable_variables
    generators = model.generator.trainable_variables + model.back_generator.trainable_variables
    assert {id(v) for v in model.players[1].variables} == {id(v) for v in critics}
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in generators}
    for player, own in zip(model.players, (generators, critics), strict=True):
        with tf.GradientTape() as tape:
            loss = model._loss(player, batch, tf.constant([1, 2]), training=True)
        assert all(np.isfinite(g).all() for g in tape.gradient(loss, own))


# ---------------------------------------------------------------------------------------- buffers


def test_the_buffer_fills_and_then_exchanges():
    model, made = small(buffer_size=5), tf.constant(images(3), tf.float32)
    seed, start = tf.constant([1, 2]), tf.constant(0, tf.int64)
    shown, kept = model._remembered(model.buffers[0], made, seed, start)
    np.testing.assert_array_equal(shown, made)
    np.testing.assert_array_equal(kept[:3], made)
    model.buffers[0].assign(kept)
    model.num_kept.assign(3)
    # Two more find a place.
    _, kept = model._remembered(model.buffers[0], made, seed, start)
    np.testing.assert_array_equal(kept[3:], made[:2])
    model.buffers[0].assign(kept)
    model.num_kept.assign(5)
    before, exchanged = kept.numpy(), 0
    for k in range(20):
        fresh = tf.constant(images(3, seed=k + 1), tf.float32)
        shown, kept = model._remembered(model.buffers[0], fresh, tf.constant([k, 0]), start)
        for new, one in zip(fresh.numpy(), shown.numpy(), strict=True):
            held = [np.array_equal(new, other) for other in kept.numpy()]
            # Either it is shown and not kept, or kept and an earlier one is shown.
            assert any(held) != np.array_equal(new, one)
            assert np.array_equal(new, one) or any(np.array_equal(one, b) for b in before)
            exchanged += any(held)
    assert 15 < exchanged < 45


def test_more_images_than_places():
    model = small(buffer_size=2)
    made = tf.constant(images(5), tf.float32)
    shown, kept = model._remembered(
        model.buffers[0], made, tf.constant([1, 2]), tf.constant(0, tf.int64)
    )
    np.testing.assert_array_equal(shown, made)
    np.testing.assert_array_equal(kept, made[:2])


# `test_own_family` resumes two players from a file.
@pytest.mark.slow
def test_buffers_are_saved_and_resumed_exactly(tmp_path):
    """A training in two parts, with a file between, is one training."""
    x, y, weights = images(6), images(4, seed=1), []
    for parts in (False, True):
        keras.utils.set_random_seed(0)
        model = small()
        model.compile(run_eagerly=True)
        settings = {"batch_size": 3, "verbose": 0}
        if not parts:
            model.fit((x, y), epochs=2, **settings)
        else:
            model.fit((x, y), **settings)
            model.save(tmp_path / "model.keras")
            assert np.any(model.buffers[0].numpy() != 0) and int(model.num_kept.numpy()) == 3
            model = keras.models.load_model(tmp_path / "model.keras")
            model.fit((x, y), **settings)
        weights.append([w.numpy() for w in model.weights])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------ what users do


def test_sets_of_any_lengths():
    model = small(target=(8, 8, 3))
    model.compile(run_eagerly=True)
    x, y = images(5), images(3, (8, 8, 3))
    longer, repeated = model._sets((x, y), None)
    np.testing.assert_array_equal(longer, x)
    assert len(repeated) == 5
    found = [[np.array_equal(a, b) for b in y].index(True) for a in repeated]
    assert set(found[:3]) == set(found) == {0, 1, 2}
    data = tf.data.Dataset.from_tensor_slices((x[:3], y)).batch(3)
    for arguments in (((x, y),), (x, y), (data,)):
        validation = {"validation_data": (x[:2], y[:1]), "verbose": 0}
        validation |= {"batch_size": 5} if len(arguments) == 2 or arguments[0] is not data else {}
        history = model.fit(*arguments, **validation).history
        assert {"cycle", "val_cycle", "critic_loss"} <= set(history)
    there, here = model.translate(x), model.translate_back(y)
    assert there.dtype == here.dtype == tf.uint8
    assert there.shape == (5, 8, 8, 3) and here.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(model.predict(x, verbose=0), there)
    np.testing.assert_array_equal(model(x), there)
    np.testing.assert_array_equal(model.translate(x, batch_size=2), there)


def test_bad_sets():
    model = small(target=(8, 8, 3))
    model.compile(run_eagerly=True)
    x, y = images(3), images(3, (8, 8, 3))
    for given, message in (
        ((x,), "`x` must be a pair of arrays"),
        (((x, x),), r"`y` must have shape \['n', 8, 8, 3\]|`y` must have"),
        (((y, y),), "`x` must have"),
        (((x, y / 255),), "`y` must hold|`y`"),
        (((x, y[:0]),), "`y` must have at least one|`y`"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(*given, verbose=0)
    with pytest.raises(ValueError, match="`y`"):
        model.translate_back(x)
    with pytest.raises(ValueError, match="`x`"):
        model.translate(y)


@pytest.mark.parametrize("data", zoo.slow("black", "one row", "real"))
def test_hard_data(data):
    """All-black images, batches of one, with critics that win outright."""
    model = small(data_kind="real" if data == "real" else "uint8")
    model.compile(critic_optimizer=keras.optimizers.Adam(1e-2), steps_per_execution=20)
    x = np.zeros_like(images(4)) if data == "black" else images(4)
    x = x.astype("float32") / 255 if data == "real" else x
    y = images(1) if data == "one row" else x
    size = 1 if data == "one row" else 4
    history = model.fit((x, y), batch_size=size, epochs=2, steps_per_epoch=100, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(w.numpy()).all() for w in model.weights)
    assert "skipped_steps" not in history


@pytest.mark.parametrize("mode", [*zoo.slow("xla", "mixed_bfloat16")])
def test_trains_in_other_modes(mode):
    model = small(dtype=None if mode == "xla" else mode)
    model.compile(jit_compile=mode == "xla")
    history = model.fit((images(4), images(4, seed=1)), batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["critic_loss"]).all()


@pytest.mark.slow
def test_a_preset_and_a_frozen_generator(tmp_path):
    model = small()
    model.compile()
    model.save_to_preset(tmp_path / "mine")
    copy = tfgen.CycleGAN.from_preset(tmp_path / "mine")
    x = images(3)
    np.testing.assert_array_equal(copy.translate(x), model.translate(x))


def negatives(num_rows):
    """Digits, other digits as negatives, and what the first are as such."""
    x, y = tfgen.data.load("digits").train
    x = np.pad(x, [(0, 0), (0, 0), (0, 0), (0, 0)])
    first, second = x[:num_rows], x[num_rows : 2 * num_rows]
    return first, 255 - second, functools.partial(np.subtract, 255)


@pytest.mark.slow
def test_digits_become_their_negatives():
    """Without a pair: translated, a digit is near its own negative, and comes back."""
    x, y, truth = negatives(500)
    # The identity loss would hold what is light and what is dark.
    model = small(filters=8, buffer_size=50, cycle_weight=3.0, identity_weight=0.0)
    model.compile(
        keras.optimizers.Adam(5e-4, beta_1=0.5),
        critic_optimizer=keras.optimizers.Adam(5e-4, beta_1=0.5),
    )
    model.fit((x, y), batch_size=4, epochs=5, verbose=0)
    made = model.translate(x).numpy().astype(float)
    error = np.abs(made - truth(x)).mean()
    assert error < 0.5 * np.abs(np.roll(truth(x), 1, 0).astype(float) - truth(x)).mean()
    back = model.translate_back(model.translate(x)).numpy().astype(float)
    assert np.abs(back - x).mean() < 25

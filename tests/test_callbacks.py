import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from PIL import Image

from tfgen.callbacks import Backup
from tfgen.callbacks import NaNGuard
from tfgen.callbacks import SampleGrid

# ---------------------------------------------------------------------------------- NaNGuard


def clean_data(n=32):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def build_model(optimizer="adam", **compile_options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse", jit_compile=False, **compile_options)
    return model


class SpoilWeights(keras.callbacks.Callback):
    """Puts NaN into the weights at the beginning of a batch, as a diverging run does."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.when = (epoch, batch)
        self.epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.when:
            kernel = self.model.trainable_variables[0]
            kernel.assign(np.full(kernel.shape, np.nan))


def test_stops_at_the_first_bad_batch_and_says_where(capsys):
    guard = NaNGuard()
    model = build_model()
    history = model.fit(
        *clean_data(), batch_size=8, epochs=5, verbose=0, callbacks=[SpoilWeights(2, 1), guard]
    )
    assert guard.stopped_at == (3, 2, "loss")
    assert history.epoch == [0, 1, 2]
    assert int(model.optimizer.iterations) == 4 + 4 + 2
    assert capsys.readouterr().out == "NaNGuard: stopped in epoch 3, step 2: loss is nan.\n"
    assert np.isnan(model.get_weights()[0]).any()  # nothing is restored unless asked for


@pytest.mark.parametrize("restore", [False, True])
def test_weights_that_no_term_shows_stop_it_at_the_end_of_the_epoch(restore, capsys):
    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                self.model.trainable_variables[0].assign(np.full((3, 1), np.nan))

    guard, model = NaNGuard(restore_weights=restore), build_model()
    history = model.fit(
        *clean_data(), batch_size=8, epochs=3, verbose=0, callbacks=[Spoil(), guard]
    )
    assert guard.stopped_at == (1, 4, "weights")
    assert history.epoch == [0]
    assert "stopped in epoch 1, step 4: weights is nan." in capsys.readouterr().out
    assert np.isnan(model.get_weights()[0]).any() != restore


def test_an_optimizer_that_is_not_finite_is_not_kept():
    """The square of a gradient may be infinite where no weight is yet."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.Adam(1e-3), loss="mae")
    guard = NaNGuard(restore_weights=True)
    far, y = np.full((4, 1), 1e25, "float32"), np.ones((4, 1), "float32")
    model.fit(far, y, epochs=2, verbose=0, callbacks=[guard])
    assert guard.stopped_at is not None
    model.fit(y, y, verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()


def test_a_good_run_is_left_alone(capsys):
    guard = NaNGuard(restore_weights=True)
    history = build_model().fit(*clean_data(), epochs=3, verbose=0, callbacks=[guard])
    assert guard.stopped_at is None
    assert len(history.epoch) == 3
    assert capsys.readouterr().out == ""


def test_starts_on_a_line_of_its_own_beside_the_progress_bar(capsys):
    build_model().fit(*clean_data(), verbose=1, callbacks=[SpoilWeights(0, 0), NaNGuard()])
    assert "\nNaNGuard: stopped in epoch 1, step 1: loss is nan.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "logs, term, words",
    [
        ({"loss": np.nan, "kl": np.inf, "nll": 1.0}, "kl", "loss is nan, kl is inf."),
        ({"loss": tf.constant(1.0), "kl": tf.constant([-np.inf])}, "kl", "kl is [-inf]."),
        ({"loss": np.float32(np.nan)}, "loss", "loss is nan."),
    ],
)
def test_any_term_counts_and_is_named(capsys, logs, term, words):
    guard = NaNGuard()
    guard.set_model(build_model())
    guard.on_train_begin()
    guard.on_epoch_begin(4)
    guard.on_train_batch_end(0, {"loss": 1.0, "kl": 2})
    guard.on_train_batch_end(1, None)
    assert guard.stopped_at is None
    guard.on_train_batch_end(2, logs)
    guard.on_train_batch_end(3, {"other": np.nan})  # only the first one counts
    assert guard.stopped_at == (5, 3, term)
    assert guard.stopped_at.term == term
    assert guard.model.stop_training
    assert capsys.readouterr().out == f"NaNGuard: stopped in epoch 5, step 3: {words}\n"


def test_steps_per_execution():
    guard = NaNGuard()
    x, y = clean_data(64)
    x[4 * 8 + 3] = np.nan  # in the fifth batch, and so in the second group of three
    model = build_model(steps_per_execution=3)
    model.fit(x, y, batch_size=8, shuffle=False, epochs=3, verbose=0, callbacks=[guard])
    assert guard.stopped_at == (1, 6, "loss")
    assert int(model.optimizer.iterations) == 6


class Recorder(keras.callbacks.Callback):
    """The weights and the optimizer's state at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.states = []

    def on_epoch_end(self, epoch, logs=None):
        self.states.append(state_of(self.model))


def state_of(model):
    return [v.numpy() for v in model.weights + model.optimizer.variables]


def assert_same_state(got, expected):
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("loss_scaled", [False, *zoo.slow(True)])
def test_restores_the_last_finite_epoch_end(capsys, loss_scaled):
    optimizer = keras.optimizers.Adam(0.01)
    if loss_scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model, recorder, guard = build_model(optimizer), Recorder(), NaNGuard(restore_weights=True)
    callbacks = [recorder, SpoilWeights(2, 1), guard]
    model.fit(*clean_data(), batch_size=8, epochs=5, verbose=0, callbacks=callbacks)

    assert guard.stopped_at == (3, 2, "loss")
    assert_same_state(state_of(model), recorder.states[1])
    assert "The weights are again those of the end of epoch 2." in capsys.readouterr().out
    # With Adam's moments still at NaN the next step would spoil the weights at once.
    history = model.fit(*clean_data(), epochs=2, verbose=0, callbacks=[guard])
    assert guard.stopped_at is None
    assert np.isfinite(history.history["loss"]).all()


def test_restores_the_start_if_the_first_epoch_fails(capsys):
    model, guard = build_model(), NaNGuard(restore_weights=True)
    x, y = clean_data()
    model.fit(x, y, epochs=1, verbose=0)  # so that there are moments to restore
    before = state_of(model)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[SpoilWeights(0, 2), guard])
    assert guard.stopped_at == (1, 3, "loss")
    assert_same_state(state_of(model), before)
    assert "those of the start of training" in capsys.readouterr().out


def test_an_update_spoiled_in_the_last_batch_is_not_kept():
    class SpoilAtEpochEnd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.layers[-1].bias.assign([np.inf])

    model, recorder, guard = build_model(), Recorder(), NaNGuard(restore_weights=True)
    callbacks = [recorder, SpoilAtEpochEnd(), guard]
    model.fit(*clean_data(), batch_size=8, epochs=5, verbose=0, callbacks=callbacks)
    assert guard.stopped_at == (2, 4, "weights")
    assert_same_state(state_of(model), recorder.states[0])


def test_no_finite_weights_at_all(capsys):
    model, guard = build_model(), NaNGuard(restore_weights=True)
    model.layers[-1].bias.assign([np.nan])
    model.fit(*clean_data(), verbose=0, callbacks=[guard])
    assert "There were no finite weights to go back to." in capsys.readouterr().out


def test_restores_every_players_optimizer():
    """Optimizers are restored, those among them that were not built before."""
    Player = collections.namedtuple("Player", ["name", "variables", "optimizer"])

    class TwoPlayers(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)
            self.critic = keras.layers.Dense(2)
            self.critic_optimizer = keras.optimizers.Adam(0.1)

        @property
        def players(self):
            return [
                Player("model", self.dense.trainable_variables, self.optimizer),
                Player("critic", self.critic.trainable_variables, self.critic_optimizer),
            ]

        def call(self, x):
            return self.critic(self.dense(x))

    model = TwoPlayers()
    model(np.zeros([1, 3], "float32"))
    model.compile("adam", loss="mse")
    guard = NaNGuard(restore_weights=True)
    guard.set_model(model)
    guard.on_train_begin()
    guard.on_epoch_begin(0)
    for player in model.players:
        player.optimizer.apply([tf.fill(v.shape, np.nan) for v in player.variables])
    guard.on_train_batch_end(0, {"loss": np.nan})
    for optimizer in (model.optimizer, model.critic_optimizer):
        assert int(optimizer.iterations) == 0
        assert all(np.isfinite(v.numpy()).all() for v in optimizer.variables)
    assert all(np.isfinite(v.numpy()).all() for v in model.weights)


# ------------------------------------------------------------------------------------ Backup


def dropout_model():
    """A model with random seeds of its own, and a rate that callbacks change."""
    keras.utils.set_random_seed(0)
    parts = [keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input([3]), *parts])
    model.compile("adam", loss="mse", jit_compile=False)
    return model


def looking_back():
    """Callbacks that look back at earlier epochs; none is better than the first few by so much."""
    reduce = keras.callbacks.ReduceLROnPlateau("loss", patience=2, min_delta=0.1, cooldown=2)
    stop = {"patience": 7, "min_delta": 0.1, "restore_best_weights": True}
    return [reduce, keras.callbacks.EarlyStopping("loss", **stop)]


class Stop(keras.callbacks.Callback):
    """Ends a run in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch, self.now = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, 2):
            raise KeyboardInterrupt


def fit_with_backup(folder, *callbacks, epochs=12, kept=()):
    model = dropout_model()
    settings = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
    backup = Backup(folder, callbacks=kept)
    history = model.fit(*clean_data(), callbacks=[*kept, *callbacks, backup], **settings)
    return model, history


# In the cooldown of a rate.
@pytest.mark.parametrize("epoch", [4, *zoo.slow(0, 1, 8)])
def test_a_backup_goes_on_to_the_bit(tmp_path, epoch):
    """Rates and best weights that other callbacks remember go on, and Keras's random seeds."""
    model, history = fit_with_backup(tmp_path / "unbroken", kept=looking_back())
    rates = history.history["learning_rate"]
    assert len(set(rates)) > 1 and rates[0] == np.float32(1e-3)
    with pytest.raises(KeyboardInterrupt):
        fit_with_backup(tmp_path / "broken", Stop(epoch), kept=looking_back())
    resumed, later = fit_with_backup(tmp_path / "broken", kept=looking_back())
    assert later.epoch == history.epoch[epoch:]
    assert later.history["learning_rate"] == rates[epoch:]
    assert_same_state(state_of(resumed), state_of(model))


def test_a_backup_lets_a_model_train_anew(tmp_path):
    """`fit` without it begins at its own first epoch; with it, it goes on."""
    fit_with_backup(tmp_path, epochs=2)
    model, history = fit_with_backup(tmp_path, epochs=4)
    assert history.epoch == [2, 3]
    assert model.fit(*clean_data(), epochs=2, verbose=0).epoch == [0, 1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch_000003.npz", "epoch_000004.npz"]


def test_a_backup_keeps_no_epoch_of_nan(tmp_path):
    guard = NaNGuard(restore_weights=True)
    for epochs, callbacks in ((4, [SpoilWeights(2, 1), guard]), (4, [SpoilWeights(2, 1)])):
        model, _ = fit_with_backup(tmp_path / str(len(callbacks)), *callbacks, epochs=epochs)
        names = sorted(p.name for p in (tmp_path / str(len(callbacks))).iterdir())
        assert names == ["epoch_000001.npz", "epoch_000002.npz"]
    # Of weights that no term showed, and that were put back, too.
    spoil = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, _: epoch == 2 and spoil.model.layers[-1].bias.assign([np.inf])
    )
    fit_with_backup(tmp_path / "weights", spoil, guard, epochs=4)
    assert guard.stopped_at.term == "weights"
    assert sorted(p.name for p in (tmp_path / "weights").iterdir()) == names
    # It copied what the backup took up, and not what was there before.
    expected, _ = fit_with_backup(tmp_path / "whole", epochs=2)
    model, _ = fit_with_backup(tmp_path / "1", SpoilWeights(2, 0), guard, epochs=4)
    assert guard.stopped_at == (3, 1, "loss")
    assert_same_state(state_of(model), state_of(expected))


def test_a_backup_of_half_precision(tmp_path):
    states = []
    for _ in range(2):
        keras.utils.set_random_seed(len(states))
        model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1, dtype="bfloat16")])
        model.compile("adam", loss="mse", jit_compile=False)
        model.fit(*clean_data(), epochs=1, verbose=0, callbacks=[Backup(tmp_path)])
        states.append(state_of(model))
    assert states[0][0].dtype.name == "bfloat16"
    assert_same_state(states[1], states[0])


# -------------------------------------------------------------------------------- SampleGrid


def read_picture(path, mode=None):
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


class Sampler(keras.Model):
    """A model whose `sample` gives what it is told to and keeps what it was asked."""

    def __init__(self, draw):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.draw = draw
        self.calls = []

    def call(self, x):
        return self.dense(x)

    def sample(self, num_samples, condition=None, temperature=1.0, seed=None):
        self.calls.append(
            dict(num_samples=num_samples, condition=condition, temperature=temperature, seed=seed)
        )
        return self.draw(num_samples)


def fit_with(callback, draw, epochs=1):
    model = Sampler(draw)
    model.compile("sgd", loss="mse", jit_compile=False)
    model.fit(*clean_data(4), epochs=epochs, verbose=0, callbacks=[callback])
    return model


def test_sample_grid_asks_and_writes(tmp_path):
    callback = SampleGrid(
        tmp_path / "new" / "samples", num_images=4, every=2, seed=7, temperature=0.5, condition=3
    )
    images = np.random.default_rng(0).integers(0, 256, [4, 28, 28, 1], dtype=np.uint8)
    model = fit_with(callback, lambda n: tf.constant(images[:n]), epochs=5)

    assert sorted(path.name for path in (tmp_path / "new" / "samples").iterdir()) == [
        "epoch_0002.png",
        "epoch_0004.png",
    ]
    asked = {"num_samples": 4, "condition": 3, "temperature": 0.5, "seed": 7}
    assert model.calls == [asked, asked]
    picture = read_picture(tmp_path / "new" / "samples" / "epoch_0002.png")
    assert picture.shape == (3 * 57, 3 * 57)
    np.testing.assert_array_equal(picture[1::3, 1::3][29:, 29:], images[3, :, :, 0])


def test_sample_grid_defaults(tmp_path):
    model = fit_with(SampleGrid(tmp_path), lambda n: np.zeros([n, 8, 8, 3], np.uint8))
    assert model.calls == [{"num_samples": 36, "condition": None, "temperature": 1.0, "seed": 0}]
    assert read_picture(tmp_path / "epoch_0001.png").shape == (10 * 53, 10 * 53, 3)


def test_sample_grid_of_binary_images(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, [1, 28, 28, 1])
    for dtype in ("float32", "bool"):
        fit_with(SampleGrid(tmp_path, num_images=1), lambda n, d=dtype: bits.astype(d))
        picture = read_picture(tmp_path / "epoch_0001.png")
        np.testing.assert_array_equal(picture[::3, ::3], 255 * bits[0, :, :, 0])


def test_sample_grid_draws_what_is_not_finite_black(tmp_path):
    pixels = np.array([np.nan, np.inf, -np.inf, 2.0, -1.0, 1.0], "float32").reshape(1, 2, 3, 1)
    fit_with(SampleGrid(tmp_path, num_images=1), lambda n: pixels)
    picture = read_picture(tmp_path / "epoch_0001.png")
    np.testing.assert_array_equal(picture[::42, ::42], [[0, 0, 0], [255, 0, 255]])


def test_sample_grid_of_points(tmp_path):
    fit_with(
        SampleGrid(tmp_path, num_images=500),
        lambda n: np.random.default_rng(0).normal(size=[n, 2]).astype("float32"),
    )
    picture = read_picture(tmp_path / "epoch_0001.png", "L")
    assert picture.shape == (600, 600)
    assert 0.002 < (picture[50:500, 120:560] < 200).mean() < 0.5  # dots, and not only dots


def test_sample_grid_refuses(tmp_path):
    for options in ({"num_images": 0}, {"every": 0}, {"temperature": -1.0}):
        ((name, value),) = options.items()
        with pytest.raises(ValueError, match=f"`{name}` must be .*; got {value}"):
            SampleGrid(tmp_path, **options)
    with pytest.raises(ValueError, match=r"\(36, 5\)"):
        fit_with(SampleGrid(tmp_path), lambda n: np.zeros([n, 5]))
    with pytest.raises(ValueError, match="`sample` method.*Sequential"):
        build_model().fit(*clean_data(), verbose=0, callbacks=[SampleGrid(tmp_path)])

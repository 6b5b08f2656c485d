"""Families from outside the package, of public names alone: what a new model costs, and gets."""

import contextlib
import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.callbacks import NaNGuard
from tfgen.core import Player
from tfgen.testing import check_model
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform

# ------------------------------------------------------------------------- an exact likelihood


@keras.saving.register_keras_serializable(package="test_own_family")
class Logistic(tfgen.GenerativeModel):
    """Independent logistic distributions.

    Args:
        event_shape: shape of one example.
        spread: scale at the start.
        **kwargs: `GenerativeModel` arguments.
    """

    likelihood = "exact"

    def __init__(self, event_shape, spread=1.0, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.spread = spread

    def _build_parts(self):
        start = keras.initializers.Constant(math.log(self.spread))
        self.loc = self.add_weight(name="loc", shape=self.event_shape, initializer="zeros")
        self.log_scale = self.add_weight(
            name="log_scale", shape=self.event_shape, initializer=start
        )

    def _log_weight(self, x, condition, noise):
        z = (x - self.loc) * tf.exp(-self.log_scale)
        log_prob = -z - 2 * tf.nn.softplus(-z) - self.log_scale
        return tf.reduce_sum(log_prob, list(range(1, len(x.shape))))

    def _generate(self, noise, condition, temperature):
        # Uniform values of normal ones.
        u = 0.5 * tf.math.erfc(-noise / math.sqrt(2.0))
        u = tf.clip_by_value(u, 1e-6, 1 - 1e-6)
        return self.loc + temperature * tf.exp(self.log_scale) * tf.math.log(u / (1 - u))


# ------------------------------------------------------------------------------ a second player


@keras.saving.register_keras_serializable(package="test_own_family")
class Helmholtz(tfgen.GenerativeModel):
    """Helmholtz machine of binary units, trained by wake-sleep (Hinton et al. 1995, "The
    wake-sleep algorithm for unsupervised neural networks").

    The lead is the generative model, which moves on examples with latents from the encoder; the
    player `recognition` is the encoder, which moves on examples that the generative model draws.

    Args:
        event_shape: `[size]`.
        latent_dim: number of hidden units.
        **kwargs: `GenerativeModel` arguments.
    """

    likelihood = "bound"

    def __init__(self, event_shape, latent_dim=3, data_kind="binary", **kwargs):
        super().__init__(event_shape, data_kind, **kwargs)
        self.latent_dim, self.latent_shape = latent_dim, (latent_dim,)

    def _build_parts(self):
        self.prior = self.add_weight(name="prior", shape=self.latent_shape, initializer="zeros")
        self.decoder = keras.layers.Dense(self.num_dims, dtype=self.variable_dtype)
        self.encoder = keras.layers.Dense(self.latent_dim, dtype=self.variable_dtype)
        self.decoder.build((None, self.latent_dim))
        self.encoder.build((None, self.num_dims))

    def _log_weight(self, x, condition, noise):
        x = tf.cast(x, self.variable_dtype)
        z = drawn(self.encoder(x), noise)
        joint = log_prob(z, self.prior) + log_prob(x, self.decoder(z))
        return joint - log_prob(z, self.encoder(x))

    def _log_prob_noise(self, seed, start, num_rows):
        return row_uniform(seed, start, num_rows, self.latent_shape, self.variable_dtype)

    def _sample_noise(self, seed, start, num_rows):
        shape = (self.latent_dim + self.num_dims,)
        return row_uniform(seed, start, num_rows, shape, self.variable_dtype)

    def _dream(self, noise, temperature):
        z = drawn(self.prior, noise[:, : self.latent_dim], temperature)
        return z, drawn(self.decoder(z), noise[:, self.latent_dim :], temperature)

    def _generate(self, noise, condition, temperature):
        return tf.cast(self._dream(noise, temperature)[1], tf.uint8)

    def _encode(self, x, condition):
        return tf.sigmoid(self.encoder(tf.cast(x, self.variable_dtype)))

    def _decode(self, z, condition):
        return tf.cast(self.decoder(z) > 0, tf.uint8)

    def _term_names(self):
        return (*super()._term_names(), "sleep")

    def _other_players(self):
        layers, optimizer = [self.encoder], keras.optimizers.Adam
        return [Player("recognition", self._sleep_terms, layers, optimizer)]

    def _sleep_terms(self, batch, seed, training):
        num_rows = tf.shape(batch["x"])[0]
        # The number is a stream of its own.
        noise = self._sample_noise(fold_in(seed, 1000), tf.reduce_min(batch["row"]), num_rows)
        z, x = self._dream(noise, 1.0)
        surprise = -log_prob(z, self.encoder(x))
        return {"sleep": surprise, "loss": surprise}


def drawn(logits, noise, temperature=1.0):
    """Zeros and ones of uniform noise, constants to gradients; the likelier at temperature 0."""
    threshold = 0.5 + tf.cast(temperature, noise.dtype) * (noise - 0.5)
    return tf.stop_gradient(tf.cast(tf.sigmoid(logits) > threshold, noise.dtype))


def log_prob(z, logits):
    """Log-probabilities of zeros and ones, `[batch]`."""
    return -tf.reduce_sum(tf.nn.softplus(logits) - z * logits, -1)


# ---------------------------------------------------------------------------------------- sizes


def test_an_exact_family_costs_under_40_lines():
    assert len(inspect.getsource(Logistic).splitlines()) < 40


def test_a_family_of_two_players_costs_under_80_lines():
    parts = (Helmholtz, drawn, log_prob)
    assert sum(len(inspect.getsource(part).splitlines()) for part in parts) < 80


# ---------------------------------------------------------------------------- exact likelihood

REALS = np.random.default_rng(0).normal(2, 3, size=(40, 2)).astype("float32")
BITS = np.random.default_rng(0).integers(0, 2, size=(40, 1)) ^ np.eye(40, 4, dtype=int)


def test_it_keeps_the_contract():
    check_model(Logistic(2, spread=2.0), REALS)


def test_it_integrates_to_one_and_learns():
    model = Logistic(1)
    grid = np.linspace(-40, 40, 4001)[:, None]
    np.testing.assert_allclose(np.exp(model.log_prob(grid)).sum() * 0.02, 1, rtol=1e-4)
    model.compile(keras.optimizers.Adam(0.1))
    history = model.fit(REALS[:, :1], batch_size=20, epochs=20, verbose=0).history
    assert history["nll"][-1] < history["nll"][0] - 0.5
    drawn = model.sample(4000, seed=0).numpy()
    expected = math.pi / math.sqrt(3) * float(tf.exp(model.log_scale)[0])
    np.testing.assert_allclose(drawn.std(), expected, rtol=0.1)


def test_it_is_saved_and_served(tmp_path):
    model = Logistic((2, 2, 1), spread=3.0)
    x = REALS[:4].repeat(2, 1).reshape(4, 2, 2, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.spread == 3.0
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    got = served["log_prob"](x=tf.constant(x))["log_prob"]
    np.testing.assert_allclose(got, model.log_prob(x), rtol=1e-5)
    model.save_to_preset(tmp_path / "preset")
    preset = tfgen.GenerativeModel.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(preset.sample(3, seed=1), model.sample(3, seed=1))


def trained(make, strategy, x, **optimizers):
    """A model trained with stochastic gradient descent, and its history."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make()
        made = {name: keras.optimizers.SGD(0.05) for name in optimizers}
        model.compile(keras.optimizers.SGD(0.05), **made)
    # The last batch is a smaller one.
    return model, model.fit(x, batch_size=16, epochs=2, verbose=0).history


@pytest.mark.parametrize(
    "make, x, optimizers",
    [
        (lambda: Logistic(2), REALS, {}),
        (lambda: Helmholtz(4), BITS, {"recognition_optimizer": None}),
    ],
)
def test_two_replicas_train_as_one(strategy, make, x, optimizers):
    (one, history), (two, other) = (trained(make, s, x, **optimizers) for s in (None, strategy))
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=a.path)
    for term in history:
        np.testing.assert_allclose(history[term], other[term], rtol=1e-5, err_msg=term)


# ---------------------------------------------------------------------------------- two players


def helmholtz(seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = Helmholtz(4)
    model.compile(**arguments)
    return model


def fit(model, **arguments):
    return model.fit(BITS, **{"batch_size": 16, "epochs": 4, "verbose": 0, **arguments})


def state(model):
    """All that training goes on from: weights, and the optimizers' variables."""
    players = [v for player in model.players for v in player.optimizer.variables]
    return [v.numpy() for v in [*model.weights, *players]]


def assert_same_state(one, two):
    for a, b in zip(state(one), state(two), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_players_keep_the_contract():
    check_model(Helmholtz(4), BITS)


def test_both_players_learn():
    model = helmholtz(optimizer=keras.optimizers.Adam(0.05))
    history = fit(model, epochs=20).history
    assert set(history) == {"loss", "nll", "sleep"}
    assert history["nll"][-1] < history["nll"][0] - 0.1
    assert history["loss"] == history["nll"]


def test_each_player_moves_its_own():
    still = helmholtz(optimizer=keras.optimizers.SGD(0.0))
    before = [w.numpy() for w in (still.decoder.kernel, still.prior, still.encoder.kernel)]
    fit(still, epochs=1)
    np.testing.assert_array_equal(still.decoder.kernel, before[0])
    np.testing.assert_array_equal(still.prior, before[1])
    assert not np.array_equal(still.encoder.kernel, before[2])
    still = helmholtz(recognition_optimizer=keras.optimizers.SGD(0.0))
    before = [w.numpy() for w in (still.decoder.kernel, still.encoder.kernel)]
    fit(still, epochs=1)
    assert not np.array_equal(still.decoder.kernel, before[0])
    np.testing.assert_array_equal(still.encoder.kernel, before[1])


def test_compile_takes_the_players_arguments():
    model = helmholtz(recognition_optimizer=keras.optimizers.SGD(0.1), recognition_steps=3)
    assert isinstance(model.recognition_optimizer, keras.optimizers.SGD)
    assert model.players[1].steps == model.recognition_steps == 3
    fit(model, epochs=1)
    assert int(model.optimizer.iterations) == 3
    assert int(model.recognition_optimizer.iterations) == 9
    with pytest.raises(ValueError, match="takes no `critic_steps`: .*'recognition_steps'"):
        model.compile(critic_steps=2)
    with pytest.raises(ValueError, match="`recognition_steps` must be a whole number"):
        model.compile(recognition_steps=0)


def test_resuming_from_a_file_is_exact(tmp_path):
    unbroken = helmholtz(recognition_steps=2)
    fit(unbroken)
    half = helmholtz(recognition_steps=2)
    fit(half, epochs=2)
    half.save(tmp_path / "half.keras")
    keras.utils.set_random_seed(7)
    loaded = keras.models.load_model(tmp_path / "half.keras")
    assert loaded.recognition_steps == 2
    assert int(loaded.optimizer.iterations) == int(half.optimizer.iterations) == 6
    assert int(loaded.recognition_optimizer.iterations) == 12
    assert_same_state(loaded, half)
    fit(loaded, epochs=2)
    assert_same_state(loaded, unbroken)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


# A file is resumed above; `test_callbacks` has the backups.
@pytest.mark.slow
def test_backup_and_restore_follows_the_unbroken_run(tmp_path):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)

    unbroken = helmholtz()
    history = fit(unbroken).history
    with pytest.raises(KeyboardInterrupt):
        fit(helmholtz(), callbacks=[backup(), Interrupt()])
    resumed = helmholtz(seed=7)
    rest = fit(resumed, callbacks=[backup()]).history
    assert_same_state(resumed, unbroken)
    assert rest["sleep"] == history["sleep"][2:]


class Spoil(keras.callbacks.Callback):
    """Puts NaN into a weight of the second player, as a diverging run does."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2:
            kernel = self.model.encoder.kernel
            kernel.assign(np.full(kernel.shape, np.nan))


def test_nan_guard_puts_both_players_back(capsys):
    model = helmholtz()
    fit(model, epochs=1)
    kept = state(model)
    guard = NaNGuard(restore_weights=True)
    fit(model, callbacks=[guard, Spoil()])
    assert guard.stopped_at.epoch == 1
    # The step that finds them lost, which was skipped.
    assert guard.stopped_at.term == "weights"
    assert "NaNGuard: stopped in epoch 1" in capsys.readouterr().out
    for a, b in zip(state(model), kept, strict=True):
        np.testing.assert_array_equal(a, b)

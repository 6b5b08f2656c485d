"""Plain Keras models with the networks of tfgen's, written as Keras's own examples are."""

import time

import keras
import numpy as np
import tensorflow as tf

from contestants import Contestant
from tfgen import networks

LATENTS = 64


class StepTimes(keras.callbacks.Callback):
    """The seconds of every step of `fit`."""

    def on_train_begin(self, logs=None):
        self.ends = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


class Fitted(Contestant):
    """A Keras model that `fit` trains on one batch, over and over; `compile` makes it ready."""

    def train(self, count):
        times = StepTimes()
        # One object for all calls: Keras keeps the compiled step.
        data = tf.data.Dataset.from_tensors(self.x).repeat(count)
        self.model.fit(data, verbose=0, callbacks=[times])
        return np.diff(times.ends).tolist()


def binary_images(batch):
    """Images `[batch, 28, 28, 1]` of 0 and 1."""
    return np.random.default_rng(0).integers(2, size=(batch, 28, 28, 1)).astype("uint8")


def grey_images(batch):
    """Images `[batch, 28, 28, 1]` of uint8."""
    return np.random.default_rng(0).integers(256, size=(batch, 28, 28, 1)).astype("uint8")


class _VAE(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = networks.ConvEncoder(), networks.ConvDecoder((28, 28))
        self.posterior, self.head = keras.layers.Dense(2 * LATENTS), keras.layers.Dense(1)
        self.loss_tracker = keras.metrics.Mean("loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def train_step(self, x):
        with tf.GradientTape() as tape:
            features = self.encoder(tf.cast(x, tf.float32), training=True)
            mean, log_var = tf.split(self.posterior(features), 2, -1)
            z = mean + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mean))
            logits = self.head(self.decoder(z, training=True))
            nll = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(x, tf.float32), logits)
            kl = -0.5 * (1 + log_var - tf.square(mean) - tf.exp(log_var))
            loss = tf.reduce_mean(tf.reduce_sum(nll, [1, 2, 3]) + tf.reduce_sum(kl, -1))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


class VAE(Fitted):
    """Convolutions, 64 latents, binary images."""

    def make(self):
        keras.utils.set_random_seed(0)
        self.model, self.x = _VAE(), binary_images(self.batch)
        self.model.compile(keras.optimizers.Adam(1e-3))


class _GAN(keras.Model):
    def __init__(self):
        super().__init__()
        kind = "conv"
        self.generator = networks.named.get_network(kind, "generator", (28, 28, 1), "float32")
        self.head = keras.layers.Dense(1, activation="tanh")
        self.critic = networks.named.get_network(
            kind, "critic", (28, 28, 1), "float32", spectral_norm=True
        )
        self.score = keras.layers.SpectralNormalization(keras.layers.Dense(1))
        self.trackers = [keras.metrics.Mean("d_loss"), keras.metrics.Mean("g_loss")]

    @property
    def metrics(self):
        return self.trackers

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    def _samples(self, n):
        z = tf.random.normal([n, LATENTS])
        return self.head(self.generator(z, training=True))

    def _scores(self, x):
        return self.score(self.critic(x, training=True), training=True)

    def train_step(self, x):
        n = tf.shape(x)[0]
        cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        fakes = self._samples(n)
        both = tf.concat([fakes, tf.cast(x, tf.float32) / 127.5 - 1], 0)
        labels = tf.concat([tf.zeros([n, 1]), tf.ones([n, 1])], 0)
        with tf.GradientTape() as tape:
            d_loss = cross_entropy(labels, self._scores(both))
        weights = self.critic.trainable_weights + self.score.trainable_weights
        gradients = tape.gradient(d_loss, weights)
        self.d_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        with tf.GradientTape() as tape:
            g_loss = cross_entropy(tf.ones([n, 1]), self._scores(self._samples(n)))
        weights = self.generator.trainable_weights + self.head.trainable_weights
        gradients = tape.gradient(g_loss, weights)
        self.g_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        for tracker, loss in zip(self.trackers, (d_loss, g_loss), strict=True):
            tracker.update_state(loss)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class GAN(Fitted):
    """Convolutions, 64 latents, grey images."""

    def make(self):
        keras.utils.set_random_seed(0)
        self.model, self.x = _GAN(), grey_images(self.batch)
        self.model.compile(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)))

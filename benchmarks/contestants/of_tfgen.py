"""tfgen's own, and what its speed is judged by: its functions alone, and naive loops."""

import costs
import keras
import numpy as np
import tensorflow as tf
from digits import digits

import tfgen
from contestants.of_keras import Fitted
from contestants.of_keras import StepTimes
from contestants.of_keras import binary_images
from contestants.of_keras import grey_images
from tfgen.utils.step_cost import PRODUCTS


class _Model(Fitted):
    """`log_prob` and `sample` are of a batch, through the model's own methods; `alone`, `log_prob`
    through its compiled function."""

    jit_compile = alone = False

    def make(self):
        keras.utils.set_random_seed(0)
        self.x = self.data()
        self.model = self.built()
        self.model.compile(tfgen.optimizers.FusedAdam(1e-3), jit_compile=self.jit_compile)
        if self.alone:
            rows = self.model._rows
            given = {"x": tf.constant(self.x), "seed": tf.constant([0, 0])}
            given["start"] = tf.constant(0, tf.int64)
            self.given = {k: given[k] for k in rows.arguments("log_prob") if k in given}
            self.function = rows.function("log_prob")

    def log_prob(self):
        if self.alone:
            self.function(**self.given).numpy()
        else:
            self.model.log_prob(self.x).numpy()

    def sample(self):
        self.model.sample(self.batch, seed=0).numpy()

    def limit(self):
        """Seconds of the products of matrices and the convolutions of a step, each by itself, and
        of the steps that were run in between."""
        _, calibrated, measured, _ = costs.compared(self.model, self.batch)
        products = [s[0] for (_, kind), s in calibrated.seconds.items() if kind in PRODUCTS]
        return {"limit": float(sum(products)), "train": measured.wall}


class Vectors(_Model):
    """A flow over vectors."""

    def data(self):
        return digits()[: self.batch]

    def built(self):
        sizes = self.size, self.layers, [self.width] * 2
        if "NSF" in self.name:
            return tfgen.NSF(*sizes, 8, autoregressive=self.name != "NSF")
        return getattr(tfgen, self.name)(*sizes)


class Glow(_Model):
    """Glow, on images of uint8."""

    tiny = {"steps_of_flow": 1, "filters": 4, "batch": 1}

    def data(self):
        return np.random.default_rng(0).integers(0, 256, (self.batch, *self.shape), np.uint8)

    def built(self):
        sizes = self.shape, self.levels, self.steps_of_flow, self.filters
        return tfgen.Glow(*sizes, memory=self.memory)


class VAE(_Model):
    """Convolutions, 64 latents, binary images."""

    data_kind = "binary"

    def data(self):
        return binary_images(self.batch)

    def built(self):
        networks = {"encoder": "conv", "decoder": "conv"}
        return tfgen.VAE((28, 28, 1), latent_dim=64, data_kind=self.data_kind, **networks)


class GAN(Fitted):
    """Convolutions, 64 latents, grey images."""

    def make(self):
        keras.utils.set_random_seed(0)
        self.x = grey_images(self.batch)
        self.model = tfgen.GAN((28, 28, 1), latent_dim=64, loss="non_saturating")
        self.model.compile()


# ------------------------------------------------------------------------------ draws of pixels


def moved(model, x):
    """The model, away from its start, where all pixels are likely to be alike."""
    model.adapt(x)
    for weight in model.trainable_variables:
        weight.assign_add(0.1 * tf.random.normal(weight.shape))
    return model


class _Pixels(Fitted):
    """Draws that are made pixel after pixel; `naive` does for each what was done for the others."""

    naive = False

    def make(self):
        keras.utils.set_random_seed(0)
        self.model = moved(self.built(), binary_images(self.batch))
        self.rows = tf.constant([1, 2]), tf.constant(0, tf.int64), self.batch
        self.draw = tf.function(self.drawing(), autograph=False)

    def sample(self):
        self.draw().numpy()


class PixelCNN(_Pixels):
    """A PixelCNN of binary images; the naive loop runs its network for each pixel."""

    def built(self):
        return tfgen.PixelCNN((28, 28, 1), self.filters, network="residual")

    def decoded(self):
        return None

    def drawing(self):
        observation, features = self.model.observation, self.decoded()
        noise = observation.noise(*self.rows)
        if self.naive:
            return lambda: _drawn_naively(observation, noise, features)
        return lambda: observation.sample(noise, features)


class VLAE(PixelCNN):
    """A VLAE of binary images, whose decoder is a PixelCNN given the latents."""

    def built(self):
        return tfgen.VLAE((28, 28, 1), latent_dim=64)

    def decoded(self):
        return self.model.decoder(tf.random.stateless_normal([self.batch, 64], [1, 2]))


def _drawn_naively(observation, noise, features):
    """One pixel after the other, in raster order."""
    height, width, channels = observation.event_shape
    places = tf.reshape(tf.range(height * width), [height, width, 1])
    context = observation._context(features)

    def body(i, x):
        params = observation._params(observation.network(observation.inputs(x), context=context))
        return i + 1, tf.where(places == i, observation.element.sample(noise, params), x)

    start = tf.zeros([tf.shape(noise)[0], height, width, channels], tf.uint8)
    return tf.while_loop(lambda i, x: i < height * width, body, (tf.constant(0), start))[1]


class NADE(_Pixels):
    """A NADE of binary images; the naive loop multiplies all earlier values by the weights anew."""

    def built(self):
        return tfgen.NADE((28, 28, 1), self.units)

    def drawing(self):
        model, noise, one = self.model, self.model._sample_noise(*self.rows), tf.ones([])
        if self.naive:
            return lambda: _nade_naively(model, noise)
        return lambda: model._generate(noise, None, one)


def _nade_naively(model, noise):
    """One value after the other, in the natural order."""
    size, kernel = model.num_dims, tf.convert_to_tensor(model.kernel)

    def body(i, x):
        seen = tf.cast(tf.range(size) < i, x.dtype)
        state = model._start(None) + tf.matmul(x * seen, kernel)
        value = model.element.sample(noise[:, i], model._params_at(state, i))
        here = tf.one_hot(i, size, dtype=x.dtype)
        return i + 1, x + here * (model.element.inputs(value) - x)

    start = tf.zeros([tf.shape(noise)[0], size])
    x = tf.while_loop(lambda i, x: i < size, body, (tf.constant(0), start))[1]
    return model._events(tf.cast(x > 0, tf.uint8))


# --------------------------------------------------------------------------- input


class Input(VAE):
    """A VAE's steps of `fit` on 60,000 images: of an array, of TFDS, or the same batch again."""

    data_kind = "uint8"

    def data(self):
        return grey_images(60_000 if self.source == "array" else self.batch)

    def train(self, count):
        times = StepTimes()
        options = {"verbose": 0, "callbacks": [times]}
        if self.source == "constant":
            return super().train(count)
        if self.source == "array":
            self.model.fit(self.x, batch_size=self.batch, steps_per_epoch=count, **options)
        else:
            import tensorflow_datasets as tfds

            data = tfds.load(self.source, split="train", data_dir=self.data_dir)
            data = data.map(lambda example: example["image"]).shuffle(10_000).repeat()
            data = data.batch(self.batch).prefetch(2)
            self.model.fit(data, steps_per_epoch=count, **options)
        return np.diff(times.ends).tolist()

"""DRAW: a recurrent autoencoder that paints an image step by step."""

import keras
import tensorflow as tf

from tfgen.core.model import GenerativeModel
from tfgen.core.symbolic import for_each_row
from tfgen.distributions import Bernoulli
from tfgen.distributions import NormalPosterior
from tfgen.distributions import StandardNormal
from tfgen.networks import attention_window
from tfgen.objectives import elbo_terms
from tfgen.optimizers import FusedAdam
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_normal


class Memory(keras.layers.Layer):
    """One step of a long short-term memory.

    Args:
        units: size of the state.
        **kwargs: `keras.layers.Layer` arguments.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.gates = keras.layers.Dense(4 * units, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.gates.build((None, input_shape[-1] + self.units))

    def step(self, inputs, state):
        """The state after one more input: what is shown, and what is kept."""
        shown, kept = state
        gates = tf.cast(self.gates(tf.concat([*inputs, shown], -1)), self.variable_dtype)
        take, forget, show, new = tf.split(gates, 4, -1)
        # Remembers at first.
        kept = tf.sigmoid(forget + 1.0) * kept + tf.sigmoid(take) * tf.tanh(new)
        return tf.sigmoid(show) * tf.tanh(kept), kept


@keras.saving.register_keras_serializable(package="tfgen")
class DRAW(GenerativeModel):
    """Deep recurrent attentive writer (Gregor et al. 2015, "DRAW: A Recurrent Neural Network For
    Image Generation", arXiv:1502.04623): binary images, painted in steps, each with latents of its
    own.

    In a step the encoder sees the image and what the canvas lacks, the decoder takes a draw of the
    latents and adds to the canvas (eqs. 3 to 8). Both are long short-term memories, and see and
    paint all of the image, or through a window that the decoder moves (section 3.2). The last
    canvas has the logits of the pixels. All steps are one loop, in training and in draws.

    `log_prob` is the bound by one draw, `estimate_log_prob` that of many. Latents are those of all
    steps, one after the other.

    Args:
        event_shape: shape of one example; with windows `[height, width, channels]`.
        num_steps: number of steps.
        latent_dim: number of latents of a step.
        hidden_units: size of the states of encoder and decoder.
        read_size: side of the window of the encoder; None: it sees all.
        write_size: side of the window of the decoder; None: it paints all.
        data_kind: `"binary"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`. Encoder and decoder are given the condition in each step.

    Raises:
        ValueError: another `data_kind`, windows on what is no image, conditions that are no
            vectors.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.DRAW(
    ...     (8, 8, 1), num_steps=3, latent_dim=2, hidden_units=8, read_size=2, write_size=3
    ... )
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape, model.encode(x).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]), TensorShape([32, 6]))
    """

    likelihood = "bound"
    _kinds = ("binary",)
    _y_kinds = ("label", "vector")
    _latents = "num_steps * latent_dim"
    _sampling = "`num_steps` steps"
    _minimises = "negative_elbo"

    def __init__(
        self,
        event_shape,
        num_steps=10,
        latent_dim=100,
        hidden_units=256,
        read_size=None,
        write_size=None,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=data_kind, dtype=dtype, **kwargs)
        sizes = {"read_size": read_size, "write_size": write_size}
        for name, size in sizes.items():
            if size is not None:
                checks.check_count(size, name)
                if len(self.event_shape) != 3:
                    raise ValueError(
                        f"`{name}` is of windows on images [height, width, channels]; got examples "
                        f"{list(self.event_shape)}"
                    )
        self.read_size, self.write_size = read_size, write_size
        self.num_steps = checks.check_count(num_steps, "num_steps")
        self.latent_dim = checks.check_count(latent_dim, "latent_dim")
        self.hidden_units = checks.check_count(hidden_units, "hidden_units")
        kind = {"dtype": self.dtype_policy}
        self.posterior = NormalPosterior(name="posterior", **kind)
        self.prior = StandardNormal(name="prior", **kind)
        self.element = Bernoulli(**kind)

    def _build_parts(self):
        kind, units = {"dtype": self.dtype_policy}, self.hidden_units
        num_features = 0 if self.features_shape is None else self.features_shape[-1]
        channels = self.event_shape[-1]
        seen = self.num_dims if self.read_size is None else self.read_size**2 * channels
        self.encoder = Memory(units, name="encoder", **kind)
        self.encoder.build((None, 2 * seen + units + num_features))
        self.decoder = Memory(units, name="decoder", **kind)
        self.decoder.build((None, self.latent_dim + num_features))
        self.posterior.build((None, units), self.latent_dim)
        self.prior.build((None, self.latent_dim))
        self.element.build((None, self.num_dims, 1))
        self.canvas = self.add_weight(name="canvas", shape=(self.num_dims,), initializer="zeros")
        painted = self.num_dims if self.write_size is None else self.write_size**2 * channels
        small = keras.initializers.VarianceScaling(0.1)

        def dense(size, name):
            layer = keras.layers.Dense(size, kernel_initializer=small, name=name, **kind)
            layer.build((None, units))
            return layer

        self.brush = dense(painted, "brush")
        self.reader = self.writer = None
        if self.read_size is not None:
            self.reader = dense(attention_window.NUM_PARAMS, "reader")
        if self.write_size is not None:
            self.writer = dense(attention_window.NUM_PARAMS, "writer")

    def default_optimizer(self):
        """Adam with gradients of a bounded length, lest a window jump."""
        return FusedAdam(1e-3, beta_1=0.5, global_clipnorm=5.0)

    @property
    def latent_shape(self):
        """Shape of the latents of all steps."""
        return (self.num_steps * self.latent_dim,)

    # --- what users call ------------------------------------------------------

    def canvases(self, num_samples, condition=None, temperature=1.0, seed=None, batch_size=256):
        """Canvases after each step of draws, as probabilities of 1.

        `sample` of the same seed draws its pixels from the last ones. `plots.save_animation` makes
        a moving picture of them.

        Args:
            num_samples: number of draws.
            condition: one condition for all, or one for each.
            temperature: of the latents.
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.

        Returns:
            `[num_samples, num_steps, *event_shape]` tensor of reals.

        >>> import tfgen
        >>> model = tfgen.DRAW((4, 4, 1), num_steps=3, latent_dim=2, hidden_units=4)
        >>> model.canvases(5).shape
        TensorShape([5, 3, 4, 4, 1])
        """
        num_samples = checks.check_count(num_samples, "num_samples")
        rows, condition = self._row_checks.sampled(num_samples, condition, False)
        temperature = self._as_temperature(temperature)
        return self._rows.run(
            "canvases", rows, batch_size, seed, condition=condition, temperature=temperature
        )

    # --- steps ----------------------------------------------------------------

    def _seen(self, values, canvas, shown):
        """The parts that the encoder sees of examples, and of what the canvas lacks of them."""
        error = values - tf.sigmoid(canvas)
        if self.reader is None:
            return [values, error]
        window = self._window(self.reader, shown, self.read_size)
        images = (tf.reshape(v, [-1, *self.event_shape]) for v in (values, error))
        size = self.read_size**2 * self.event_shape[-1]
        return [tf.reshape(attention_window.read(v, window), [-1, size]) for v in images]

    def _window(self, layer, shown, size):
        params = tf.cast(layer(shown), self.variable_dtype)
        return attention_window.filters(params, self.event_shape[:2], size)

    def _painted(self, z, state, canvas, features):
        """State of the decoder and canvas after one more step."""
        given = [z] if features is None else [z, features]
        state = self.decoder.step(given, state)
        stroke = tf.cast(self.brush(state[0]), self.variable_dtype)
        if self.writer is not None:
            window = self._window(self.writer, state[0], self.write_size)
            sides = (self.write_size, self.write_size, self.event_shape[-1])
            image = attention_window.write(tf.reshape(stroke, [-1, *sides]), window)
            stroke = tf.reshape(image, [-1, self.num_dims])
        return state, canvas + stroke

    def _blank(self, num_rows):
        """State of a memory, and the canvas, before the first step."""
        zeros = tf.zeros([num_rows, self.hidden_units], self.variable_dtype)
        canvas = tf.zeros([num_rows, self.num_dims], self.variable_dtype)
        return (zeros, zeros), canvas + tf.convert_to_tensor(self.canvas)

    def _loop(self, body, state, kept):
        """Runs the steps; returns the last state, and what was kept of each, `[steps, ...]`.

        Args:
            body: function of the step and the state that gives the state and a tensor to be kept.
            state: before the first step.
            kept: size of what is kept of a row.
        """
        kept = tf.TensorArray(self.variable_dtype, self.num_steps, element_shape=[None, kept])

        def step(t, state, kept):
            state, value = body(t, state)
            return t + 1, state, kept.write(t, value)

        _, state, kept = tf.while_loop(
            lambda t, *_: t < self.num_steps,
            step,
            (tf.constant(0), state, kept),
            maximum_iterations=self.num_steps,
        )
        return state, kept.stack()

    def _recognised(self, x, condition, draw):
        """Walks through the steps with an example at hand.

        Args:
            x: `[batch, *event_shape]`.
            condition: of the batch, or None.
            draw: function of the step and the encoder's state that gives latents and their
                log-densities.

        Returns:
            The last canvas, `log p(z)`, `log q(z|x)` and the latents, `[steps, batch, latent_dim]`.
        """
        values = tf.reshape(tf.cast(x, self.variable_dtype), [-1, self.num_dims])
        features = self._features(condition)
        start, canvas = self._blank(tf.shape(values)[0])
        zeros = tf.zeros_like(canvas[:, 0])

        def body(t, state):
            encoder, decoder, canvas, log_prior, log_posterior = state
            given = [*self._seen(values, canvas, decoder[0]), decoder[0]]
            encoder = self.encoder.step(given + [features] * (features is not None), encoder)
            z, log_density = draw(t, encoder[0])
            decoder, canvas = self._painted(z, decoder, canvas, features)
            log_prior += self.prior.log_prob(z)
            return (encoder, decoder, canvas, log_prior, log_posterior + log_density), z

        state, z = self._loop(body, (start, start, canvas, zeros, zeros), self.latent_dim)
        return *state[2:], z

    def _drawn(self, z, condition):
        """Canvases of latents `[steps, batch, latent_dim]`, `[steps, batch, size]`."""
        features = self._features(condition)
        start, canvas = self._blank(tf.shape(z)[1])

        def body(t, state):
            state = self._painted(z[t], *state, features)
            return state, state[1]

        return self._loop(body, (start, canvas), self.num_dims)[1]

    # --- hooks ----------------------------------------------------------------

    def _term_names(self):
        return ("negative_elbo", "reconstruction", "kl", "kl_bits")

    def _latent_noise(self, seed, start, num_rows):
        shape = (self.num_steps, self.latent_dim)
        return row_normal(
            fold_in(seed, Stream.LATENTS), start, num_rows, shape, self.variable_dtype
        )

    def _log_prob_noise(self, seed, start, num_rows):
        return self._latent_noise(seed, start, num_rows)

    def _densities(self, x, condition, noise):
        """`log p(x|z)`, `log p(z)` and `log q(z|x)` at a draw of the posterior."""
        noise = tf.transpose(noise, [1, 0, 2])
        canvas, *logs, _ = self._recognised(
            x, condition, lambda t, shown: self.posterior.sample(noise[t], shown)
        )
        values = tf.reshape(x, [-1, self.num_dims])
        return self.element.log_prob(values, canvas), *logs

    def _log_weight(self, x, condition, noise):
        log_likelihood, log_prior, log_posterior = self._densities(x, condition, noise)
        return log_likelihood + log_prior - log_posterior

    def _terms(self, x, condition, noise, training):
        return elbo_terms(*self._densities(x, condition, noise))

    def _sample_noise(self, seed, start, num_rows):
        for_data = self.element.noise(
            fold_in(seed, Stream.DATA), start, num_rows, (self.num_dims, 1)
        )
        return self._latent_noise(seed, start, num_rows), for_data

    def _generate(self, noise, condition, temperature):
        for_latents, for_data = noise
        z = tf.transpose(tf.cast(temperature, for_latents.dtype) * for_latents, [1, 0, 2])
        canvas = self._drawn(z, condition)[-1]
        drawn = self.element.sample(for_data, canvas[..., None], temperature)
        return tf.reshape(drawn, [-1, *self.event_shape])

    def _canvases(self, condition, num_rows, seed, start, temperature):
        condition = for_each_row(condition, num_rows)
        for_latents, _ = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, num_rows)
        z = tf.transpose(tf.cast(temperature, for_latents.dtype) * for_latents, [1, 0, 2])
        canvases = tf.sigmoid(tf.transpose(self._drawn(z, condition), [1, 0, 2]))
        return tf.reshape(canvases, [-1, self.num_steps, *self.event_shape])

    def _encode(self, x, condition):
        *_, z = self._recognised(
            x, condition, lambda t, shown: (mean := self.posterior.mean(shown), mean[:, 0])
        )
        return tf.reshape(tf.transpose(z, [1, 0, 2]), [-1, *self.latent_shape])

    def _decode(self, z, condition):
        z = tf.reshape(z, [-1, self.num_steps, self.latent_dim])
        canvas = self._drawn(tf.transpose(z, [1, 0, 2]), condition)[-1]
        return tf.reshape(self.element.to_data(tf.sigmoid(canvas)), [-1, *self.event_shape])

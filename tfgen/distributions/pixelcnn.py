"""PixelCNN as an observation model."""

import inspect

import keras
import tensorflow as tf

from tfgen.distributions.elements import Bernoulli
from tfgen.distributions.elements import DiscretisedLogistic
from tfgen.distributions.elements import Normal
from tfgen.distributions.elements import OutputDistribution
from tfgen.distributions.observation import Observation
from tfgen.distributions.observation import PositionHead
from tfgen.networks import PixelCNNStack
from tfgen.networks import PixelRNNStack
from tfgen.networks.pixel_rnn import Raster
from tfgen.networks.wavefront import Wavefront
from tfgen.utils import checks
from tfgen.utils.layers import build_once

# What draws through a network with no more than what each pixel changes.
_RUNNERS = {PixelCNNStack: Wavefront, PixelRNNStack: Raster}


@keras.saving.register_keras_serializable(package="tfgen")
class AutoregressivePixels(Observation):
    """PixelCNN: each pixel given those before it in raster order and the decoder's features.

    The features come in through a map of `context_channels`, as in Chen et al. 2017, "Variational
    Lossy Autoencoder", arXiv:1611.02731, section 4 and appendix A. The field of view is that of
    `network`: a small one leaves what is further apart to the latents.

    Through a `PixelCNNStack` samples are drawn in waves, each of which computes only what is new,
    and through a `PixelRNNStack` one pixel after the other, each of which does;
    through other networks in sweeps over the whole image until nothing changes. Both draw what
    pixel by pixel would, for the same noise.

    Args:
        element: `OutputDistribution`, of the values of one pixel; by default `Bernoulli`.
        network: layer in which a position sees the pixels before it, called with `context=` and
            built with the shapes of both: `PixelCNNStack` (by default, as the paper's),
            `GatedPixelCNNStack`, `PixelRNNStack`.
        context_channels: number of channels of the map that the features become.
        downsample: distance of the pixels that depend on each other. With more than 1 a pixel sees
            only every so manyth one, in both directions, through as wide a window of those: a
            down-sampled receptive field (section 3.1 there), which leaves to the latents what is
            near, and not what is far.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a network that takes no `context`; on `build`, examples that are no images, or
            whose sides are no multiples of `downsample`.

    >>> import numpy as np, tfgen
    >>> observation = tfgen.distributions.AutoregressivePixels()
    >>> observation.build((None, 16), (8, 8, 1))
    >>> x = np.zeros((2, 8, 8, 1), "uint8")
    >>> observation.log_prob(x, np.zeros((2, 16), "float32")).shape
    TensorShape([2])
    """

    def __init__(self, element=None, network=None, context_channels=4, downsample=1, **kwargs):
        super().__init__(**kwargs)
        if element is None:
            element = Bernoulli(dtype=self.dtype_policy)
        if network is None:
            network = PixelCNNStack(dtype=self.dtype_policy)
        self.element = checks.check_instance(element, OutputDistribution, "element")
        self.network = checks.check_instance(network, keras.layers.Layer, "network")
        if "context" not in inspect.signature(network.call).parameters:
            raise ValueError(
                f"`network` must take `context=`, as PixelCNNStack does; got a "
                f"{type(network).__name__}"
            )
        self.context_channels = checks.check_count(context_channels, "context_channels")
        self.downsample = checks.check_count(downsample, "downsample")
        self.data_kind, self.num_bits = self.element.data_kind, self.element.num_bits

    @classmethod
    def of_kind(cls, data_kind, network=None, downsample=1, dtype=None):
        """The one for a kind of data.

        Args:
            data_kind: `"binary"`, `"real"` or `"uint8"`; None for binary.
            network: as for the class.
            downsample: as for the class.
            dtype: dtype policy.

        >>> import tfgen
        >>> tfgen.distributions.AutoregressivePixels.of_kind("uint8").element.num_mixtures
        10
        """
        if data_kind == "uint8":
            element = DiscretisedLogistic(10, dtype=dtype)
        elif data_kind == "real":
            element = Normal("per_value", dtype=dtype)
        else:
            element = Bernoulli(dtype=dtype)
        return cls(element, network, downsample=downsample, dtype=dtype)

    @property
    def receptive_field(self):
        """Rows above, and columns to each side, that a pixel sees at most: `(rows, columns)`; None
        where the network does not say (`reach`).

        >>> import tfgen
        >>> tfgen.distributions.AutoregressivePixels().receptive_field
        (6, 6)
        """
        reach = getattr(self.network, "reach", None)
        return None if reach is None else (reach * self.downsample,) * 2

    def build(self, features_shape, event_shape):
        super().build(features_shape, event_shape)
        if len(self.event_shape) != 3:
            raise ValueError(
                "`event_shape` of a PixelCNN must be [height, width, channels]; got "
                f"{list(self.event_shape)}"
            )
        channels, step = self.event_shape[-1], self.downsample
        if any(side % step for side in self.event_shape[:2]):
            raise ValueError(
                f"`downsample` must divide the sides of the images, {list(self.event_shape[:2])}; "
                f"got {step}"
            )
        self._sides = height, width = tuple(side // step for side in self.event_shape[:2])
        build_once(self.element, (None, *self.event_shape))
        context_shape = None
        if features_shape is not None:
            sides, policy = self.event_shape[:2], self.dtype_policy
            self.to_context = PositionHead(sides, self.context_channels, dtype=policy)
            self.to_context.build(features_shape)
            context_shape = (None, height, width, self.context_channels)
        seen = (None, height, width, channels)
        build_once(self.network, seen, context_shape=context_shape)
        params = self.element.num_params(channels)
        small = keras.initializers.VarianceScaling(0.1)
        self.head = keras.layers.Dense(params, kernel_initializer=small, dtype=self.dtype_policy)
        self.head.build(self.network.compute_output_shape(seen))
        # They know its parts, not what a subclass does with them.
        runner = _RUNNERS.get(type(self.network))
        self._runner = None if runner is None else runner(self.network, height, width)

    def inputs(self, x):
        return self.element.inputs(x)

    def _params(self, features):
        return tf.cast(self.head(features), self.variable_dtype)

    def _context(self, features):
        return None if features is None else self._apart(self.to_context(features))

    def _apart(self, image):
        """Pixels that depend on each other as images of their own, `[batch * downsample ** 2,
        ...]`; None as it is."""
        if image is None or self.downsample == 1:
            return image
        (height, width), step, channels = self._sides, self.downsample, image.shape[-1]
        image = tf.reshape(image, [-1, height, step, width, step, channels])
        image = tf.transpose(image, [0, 2, 4, 1, 3, 5])
        return tf.reshape(image, [-1, height, width, channels])

    def _together(self, image):
        """Images of such parts."""
        if self.downsample == 1:
            return image
        (height, width), step, channels = self._sides, self.downsample, image.shape[-1]
        image = tf.reshape(image, [-1, step, step, height, width, channels])
        image = tf.transpose(image, [0, 3, 1, 4, 2, 5])
        return tf.reshape(image, [-1, height * step, width * step, channels])

    def log_prob(self, x, features, noise=None):
        x = self._apart(x)
        params = self._params(self.network(self.inputs(x), context=self._context(features)))
        each = tf.reduce_sum(self.element.log_prob(x, params), [1, 2])
        step = self.downsample
        return each if step == 1 else tf.reduce_sum(tf.reshape(each, [-1, step * step]), 1)

    def noise(self, seed, start, num_rows):
        return self.element.noise(seed, start, num_rows, self.event_shape)

    def sample(self, noise, features, temperature=1.0, given=None, known=None):
        """Draws `[batch, *event_shape]` in the data's type.

        Args:
            noise: as `noise` gives it.
            features: as for `log_prob`.
            temperature: as for `sample` of the element.
            given: examples, or None.
            known: `[batch, *event_shape]`, True where the pixels of `given` are kept.
        """
        draw = self._sweep if self._runner is None else self._run_waves
        noise, given, known = (self._apart(image) for image in (noise, given, known))
        return self._together(draw(noise, self._context(features), temperature, given, known))

    def _run_waves(self, noise, context, temperature, given, known):
        waves = self._runner
        noise = waves.skew(noise)
        if given is not None:
            given, known = waves.skew(given), waves.skew(known)

        def draw(t, seen):
            pixels = self.element.sample(noise[t], self._params(seen), temperature)
            if given is not None:
                pixels = tf.where(known[t], given[t], pixels)
            return pixels, self.inputs(pixels)

        context = self.network.read_context(context)
        batch, channels = tf.shape(noise)[1], self.event_shape[-1]
        return waves.run(batch, channels, context, draw, self._drawn_dtype)

    def _sweep(self, noise, context, temperature, given, known):
        # Each sweep settles at least one pixel more: those before it are.
        height, width = self._sides

        def sweep(i, x, moved):
            params = self._params(self.network(self.inputs(x), context=context))
            drawn = self.element.sample(noise, params, temperature)
            if given is not None:
                drawn = tf.where(known, given, drawn)
            return i + 1, drawn, tf.reduce_any(drawn != x)

        start = tf.zeros(
            [tf.shape(noise)[0], height, width, self.event_shape[-1]], self._drawn_dtype
        )
        _, x, _ = tf.while_loop(
            lambda i, x, moved: moved,
            sweep,
            (tf.constant(0), start, tf.constant(True)),
            maximum_iterations=height * width,
        )
        return x

    @property
    def _drawn_dtype(self):
        return self.variable_dtype if self.data_kind == "real" else tf.uint8

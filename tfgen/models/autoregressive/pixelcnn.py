"""PixelCNN: an autoregressive model of images."""

import keras
import tensorflow as tf

from tfgen.distributions import AutoregressivePixels
from tfgen.distributions import Bernoulli
from tfgen.distributions import DiscretisedLogistic
from tfgen.models.autoregressive.completing import Completing
from tfgen.networks import GatedPixelCNNStack
from tfgen.networks import PixelCNNStack
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in

NETWORKS = {"residual": PixelCNNStack, "gated": GatedPixelCNNStack}


@keras.saving.register_keras_serializable(package="tfgen")
class PixelCNN(Completing):
    """PixelCNN (van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759):
    each pixel given those before it in raster order.

    With the defaults it is the "unconditional decoder" of Chen et al. 2017. Samples are drawn in
    waves of pixels that do not depend on each other (`networks.Wavefront`).

    Args:
        event_shape: `[height, width, channels]`.
        filters: channels of the masked convolutions.
        num_layers: number of them.
        kernel_size: side of their kernels.
        network: `"residual"` (`networks.PixelCNNStack`), `"gated"`
            (`networks.GatedPixelCNNStack`), or such a layer, whose sizes then count.
        num_mixtures: components of the mixture of discretised logistic distributions (uint8 data).
        num_bits: bits of a value that the model sees of uint8 data.
        data_kind: `"binary"` or `"uint8"`.
        deep_conditions: True for conditions that every layer of a residual network sees, and not
            the first alone; those of a gated one see them in any case.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]` or
            `[height, width, channels]`), `num_classes`, `dtype`, `name`.

    Raises:
        ValueError: another `data_kind` or `network`, or conditions of another shape.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.PixelCNN((8, 8, 1))
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]))
    """

    _kinds = ("binary", "uint8")
    _sampling = "waves over the image; sweeps of another network"

    def __init__(
        self,
        event_shape,
        filters=12,
        num_layers=6,
        kernel_size=3,
        network="residual",
        num_mixtures=10,
        num_bits=8,
        data_kind="binary",
        deep_conditions=False,
        dtype=None,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=data_kind, num_bits=num_bits, dtype=dtype, **kwargs)
        if len(self.condition_shape or ()) not in (0, 1, 3):
            raise ValueError(
                "`condition_shape` must be [features] or [height, width, channels]; got "
                f"{list(self.condition_shape)}"
            )
        sides = (self.condition_shape or ())[:2]
        if len(sides) == 2 and sides != self.event_shape[:2]:
            raise ValueError(
                f"`condition_shape` must have the sides of `event_shape`, "
                f"{list(self.event_shape[:2])}; got {list(self.condition_shape)}"
            )
        kind = {"dtype": self.dtype_policy}
        self.filters, self.num_layers, self.kernel_size = filters, num_layers, kernel_size
        self.num_mixtures = checks.check_count(num_mixtures, "num_mixtures")
        self.deep_conditions = checks.check_bool(deep_conditions, "deep_conditions")
        if isinstance(network, str) and network in NETWORKS:
            deep = {"deep_context": self.deep_conditions} if network == "residual" else {}
            network = NETWORKS[network](filters, num_layers, kernel_size, **deep, **kind)
        elif not isinstance(network, keras.layers.Layer):
            raise ValueError(
                f"`network` must be one of {list(NETWORKS)} or a layer; got {network!r}"
            )
        checks.check_same_dtype(self, network=network)
        element = Bernoulli(**kind)
        if data_kind == "uint8":
            element = DiscretisedLogistic(num_mixtures, num_bits, **kind)
        self.observation = AutoregressivePixels(element, network, **kind)

    def _build_parts(self):
        self.observation.build(self.features_shape, self.event_shape)

    def inpaint(self, x, known, condition=None, temperature=1.0, seed=None, batch_size=256):
        """`x` with the pixels that are not known drawn anew, in raster order, given those before.

        Pixels that come after a gap do not tell what is in it: that is how this model is made.

        Args:
            x: `[n, *event_shape]`.
            known: True for the pixels of `x` to keep: `[n, height, width]` or
                `[height, width]`.
            condition: as in `log_prob`.
            temperature: as in `sample`.
            seed: integer or two integers; None draws afresh.
            batch_size: rows computed at a time.

        Returns:
            `[n, *event_shape]` tensor in the data's type.

        Raises:
            ValueError: a `known` of another shape, or that is not of booleans.

        >>> import numpy as np, tfgen
        >>> model = tfgen.PixelCNN((4, 4, 1), filters=4, num_layers=2)
        >>> x, known = np.ones((2, 4, 4, 1)), np.zeros((4, 4), bool)
        >>> known[:2] = True  # the upper half
        >>> drawn = model.inpaint(x, known, seed=0).numpy()
        >>> drawn.shape, bool(drawn[:, :2].all()), bool(drawn[:, 2:].all())
        ((2, 4, 4, 1), True, False)
        """
        given = condition, temperature, seed, batch_size
        return self._map_known("inpaint", x, known, *given, by_pixel=True)

    # --- hooks ----------------------------------------------------------------

    def _log_weight(self, x, condition, noise):
        return self.observation.log_prob(x, self._features(condition))

    def _sample_noise(self, seed, start, num_rows):
        return self.observation.noise(seed, start, num_rows)

    def _generate(self, noise, condition, temperature):
        return self.observation.sample(noise, self._features(condition), temperature)

    def _inpaint(self, x, known, condition, seed, start, temperature):
        noise = self._sample_noise(fold_in(seed, Stream.SAMPLES), start, tf.shape(x)[0])
        features = self._features(condition)
        return self.observation.sample(noise, features, temperature, given=x, known=known)

"""MADE: an autoencoder that is masked to be a product of conditionals."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.autoregressive.value_by_value import ValueByValue
from tfgen.networks import MADE as Network
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform


# `tfgen>MADE` is `networks.MADE`.
@keras.saving.register_keras_serializable(package="tfgen.models")
class MADE(ValueByValue):
    """Masked autoencoder for distribution estimation.

    From Germain et al. 2015, "MADE: Masked Autoencoder for Distribution Estimation",
    arXiv:1502.03509. All conditionals come from one pass of `networks.MADE`.

    With several masks the model is the mixture of as many networks that share their weights, and
    differ in what their hidden units see (the paper's connectivity-agnostic training) and, with
    `ordering="random"`, in the order of the values (its order-agnostic training). A step of
    training takes one of them, drawn anew; `log_prob` and `evaluate` average the probabilities of
    all, which is exact and costs a pass for each, and each sample is drawn from one of them (at
    temperature 0 from the first).

    Samples are drawn in sweeps over all values, as many as it takes until nothing changes. They are
    what one value after the other would be, for the same noise.

    Args:
        event_shape: shape of one example.
        hidden_units: width of each hidden layer.
        num_masks: number of masks.
        ordering: `"natural"`, `"reverse"`, `"random"` (drawn once for each mask and saved with the
            model) or the list of the values, flattened, from the first to the last.
        direct: True for links from values to the outputs after them, beside the hidden layers.
        residual: True for hidden layers that are residual blocks; see `networks.MADE`.
        activation: name of the activation of the hidden layers, or one.
        num_mixtures: components of the mixture of discretised logistic distributions (uint8 data).
        num_bits: bits of a value that the model sees of uint8 data.
        data_kind: `"binary"` or `"uint8"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: another `data_kind` or `ordering`, conditions that are no vectors, or sizes that
            are no positive numbers.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.MADE((8, 8, 1), hidden_units=(16,), num_masks=2)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]))
    """

    _sampling = "sweeps over the values"

    def __init__(
        self,
        event_shape,
        hidden_units=(500,),
        num_masks=1,
        ordering="natural",
        direct=False,
        residual=False,
        activation="relu",
        num_mixtures=10,
        num_bits=8,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=data_kind, num_bits=num_bits, dtype=dtype, **kwargs)
        self.num_mixtures = checks.check_count(num_mixtures, "num_mixtures")
        self.element = self._element(num_mixtures)
        self.network = Network(
            self.element.num_params(1),
            hidden_units,
            ordering,
            residual,
            activation,
            num_masks=num_masks,
            direct=direct,
            # Components of a mixture that start alike stay alike.
            output_spread=0.0 if data_kind == "binary" else 1.0,
            dtype=self.dtype_policy,
        )
        self.hidden_units, self.ordering = self.network.hidden_units, self.network.ordering
        self.num_masks, self.direct = self.network.num_masks, self.network.direct
        self.residual, self.activation = self.network.residual, self.network.activation

    def _build_parts(self):
        super()._build_parts()
        self.network.build((None, self.num_dims), self.features_shape)

    def _params(self, x, features, mask=0):
        params = self.network.given(features, mask=mask)(x)
        return tf.cast(params, self.variable_dtype)

    # --- hooks ----------------------------------------------------------------

    def _log_weight(self, x, condition, noise):
        """The log-density; with noise that of the mask which this is the number of."""
        x, features = self._values(x), self._features(condition)
        inputs = self.element.inputs(x)

        def through(mask):
            return self._log_prob_of_values(x, self._params(inputs, features, mask))

        if noise is not None:
            return through(noise)
        if self.num_masks == 1:
            return through(0)
        each = tf.stack([through(mask) for mask in range(self.num_masks)])
        return tf.reduce_logsumexp(each, 0) - np.log(self.num_masks)

    def _terms(self, x, condition, noise, training):
        return super()._terms(x, condition, noise if training else None, training)

    def _terms_noise(self, seed, start, num_rows):
        if self.num_masks == 1:
            return None
        # The same for all rows, wherever they are computed.
        noise = row_uniform(fold_in(seed, Stream.LATENTS), 0, 1, (), self.variable_dtype)
        return self._mask_of(noise[0])

    def _mask_of(self, noise):
        """Numbers of masks, of noise in [0, 1)."""
        return tf.cast(self.num_masks * noise, tf.int32)

    def _sample_noise(self, seed, start, num_rows):
        values = super()._sample_noise(fold_in(seed, Stream.DATA), start, num_rows)
        seed = fold_in(seed, Stream.LATENTS)
        return values, row_uniform(seed, start, num_rows, (), self.variable_dtype)

    def _generate(self, noise, condition, temperature):
        # All masks are as likely: at temperature 0 it is the first, whatever the noise.
        noise, masks = noise[0], self._mask_of(noise[1])
        masks = tf.where(temperature > 0, masks, 0)
        features = self._features(condition)

        def draw(mask, values):
            chosen = (masks == mask)[:, None]
            drawn = self._sweep(noise, features, temperature, mask, chosen)
            return mask + 1, tf.where(chosen, drawn, values)

        values = tf.zeros(tf.shape(noise)[:2], tf.uint8)
        if self.num_masks == 1:
            # A mask whose number is known is a constant, which saves products with zeros.
            return self._events(draw(0, values)[1])
        start = (tf.constant(0), tf.ensure_shape(values, [None, self.num_dims]))
        values = tf.while_loop(lambda mask, _: mask < self.num_masks, draw, start)[1]
        return self._events(values)

    def _sweep(self, noise, features, temperature, mask, chosen):
        """Draws through one mask, `[batch, D]`, right where rows are `chosen`, `[batch, 1]`.

        Each sweep settles at least one value more: those before it are.
        """
        network = self.network.given(features, in_blocks=True, mask=mask)

        def sweep(values, moved):
            params = tf.cast(network(self.element.inputs(values)), self.variable_dtype)
            drawn = self.element.sample(noise, params, temperature)[..., 0]
            return drawn, tf.reduce_any((drawn != values) & chosen)

        start = tf.zeros([tf.shape(noise)[0], self.num_dims], tf.uint8)
        return tf.while_loop(
            lambda _, moved: moved,
            sweep,
            (start, tf.constant(True)),
            maximum_iterations=self.num_dims,
        )[0]

"""ConvRBM: a restricted Boltzmann machine whose hidden layer is maps of filters."""

import keras
import tensorflow as tf

from tfgen.models.energy.layered import Layered
from tfgen.models.energy.units import Pooled
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class ConvRBM(Layered):
    """Convolutional restricted Boltzmann machine with probabilistic max-pooling (Lee, Grosse,
    Ranganath and Ng 2009, "Convolutional Deep Belief Networks for Scalable Unsupervised Learning of
    Hierarchical Representations", ICML, sections 3.2 and 3.3).

    Hidden units are maps of filters that see a window of the image each. In a block of a map,
    `pool_size` by `pool_size`, one unit at most is 1; `pooled` gives the probability that one is.
    The free energy is exact, as of an `RBM`.

    Latents are hidden units: `encode` gives their means, `decode` the likeliest image given them.

    Args:
        event_shape: `[height, width, channels]`, of which the filters leave sides that `pool_size`
            divides: `height - kernel_size + 1`, and the width likewise.
        filters: number of filters.
        kernel_size: side of a window.
        pool_size: side of a block; 1 for hidden units that are independent given an image.
        estimator: how gradients are estimated, as of `RBM`.
        gibbs_steps: steps of the chains in one step of training.
        num_chains: number of persistent chains.
        fast_rate: rate of the fast weights of `"fpcd"`.
        sample_steps: steps of the chains of `sample`.
        data_kind: `"binary"`, `"real"` or `"uint8"`, as of `RBM`.
        num_bits: bits of a value that the model sees of uint8 data.
        dtype: Keras dtype policy.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `name`. Conditions shift all biases.

    Raises:
        ValueError: no images, or sides that do not fit; what an `RBM` refuses.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.ConvRBM((8, 8, 1), filters=4, kernel_size=3, sample_steps=20)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.encode(x).shape, model.pooled(x).shape
    (TensorShape([32, 144]), TensorShape([32, 3, 3, 4]))
    """

    def __init__(
        self,
        event_shape,
        filters=24,
        kernel_size=5,
        pool_size=2,
        estimator="cd",
        gibbs_steps=1,
        num_chains=100,
        fast_rate=0.01,
        sample_steps=1000,
        data_kind="binary",
        num_bits=8,
        dtype=None,
        **kwargs,
    ):
        filters = checks.check_count(filters, "filters")
        kernel_size = checks.check_count(kernel_size, "kernel_size")
        pool_size = checks.check_count(pool_size, "pool_size")
        shape = checks.as_shape(event_shape, "event_shape")
        if len(shape) != 3:
            raise ValueError(f"`event_shape` must be [height, width, channels]; got {list(shape)}")
        sides = [side - kernel_size + 1 for side in shape[:2]]
        if min(sides) < 1 or any(side % pool_size for side in sides):
            raise ValueError(
                f"`event_shape` must leave sides that `pool_size` {pool_size} divides, less "
                f"`kernel_size` {kernel_size} and one more; got {list(shape)}, which leaves {sides}"
            )
        pooled = Pooled((*sides, filters), pool_size)
        super().__init__(
            event_shape,
            (pooled.size,),
            estimator=estimator,
            gibbs_steps=gibbs_steps,
            num_chains=num_chains,
            fast_rate=fast_rate,
            sample_steps=sample_steps,
            data_kind=data_kind,
            num_bits=num_bits,
            dtype=dtype,
            **kwargs,
        )
        self.filters, self.kernel_size, self.pool_size = filters, kernel_size, pool_size
        self.units[1] = pooled

    def _bias_sizes(self, num_fields):
        return num_fields[0], self.filters

    def _build_links(self, num_fields):
        height, width, _ = self.event_shape
        side, channels = self.kernel_size, num_fields[0] // (height * width)
        return [
            self.add_weight(
                name="kernel",
                shape=(side, side, channels, self.filters),
                initializer=keras.initializers.RandomNormal(stddev=0.01),
            )
        ]

    def default_optimizer(self):
        """Stochastic gradient descent with momentum, slower than an `RBM`'s: what a filter learns
        is the sum over its places."""
        return keras.optimizers.SGD(0.001, momentum=0.5)

    def pooled(self, x, condition=None, batch_size=256):
        """Probabilities that a block has a unit that is 1, `[n, height, width, filters]`.

        Arguments as in `log_prob`.

        >>> import numpy as np, tfgen
        >>> model = tfgen.ConvRBM((5, 5, 1), filters=3, kernel_size=2, pool_size=4)
        >>> model.pooled(np.zeros((2, 5, 5, 1))).shape
        TensorShape([2, 1, 1, 3])
        """
        return self._map_examples("pooled", x, condition, batch_size)

    def _pooled(self, x, condition):
        biases = self._biases(self._features(condition))
        inputs = self.units[0].inputs(self._values(x))
        return self.units[1].pooled(biases[1] + self._up(0, inputs))

    # --- hooks ----------------------------------------------------------------

    def _product(self, values, kernel, transpose=False):
        values, kernel = (tf.cast(v, self.compute_dtype) for v in (values, kernel))
        shapes = (*self.event_shape[:2], kernel.shape[2]), self.units[1].shape
        if transpose:
            values = tf.reshape(values, [-1, *shapes[1]])
            shape = [tf.shape(values)[0], *shapes[0]]
            fields = tf.nn.conv2d_transpose(values, kernel, shape, 1, "VALID")
        else:
            fields = tf.nn.conv2d(tf.reshape(values, [-1, *shapes[0]]), kernel, 1, "VALID")
        size = self.units[0 if transpose else 1].num_fields
        return tf.cast(tf.reshape(fields, [-1, size]), self.variable_dtype)

    def _flip_rises(self, values, features, chosen):
        now = self._free_energy(values, features)

        def rise(place):
            flips = tf.one_hot(place, values.shape[1], dtype=values.dtype)
            return self._free_energy(values + flips * (1 - 2 * values), features) - now

        rises = tf.map_fn(rise, tf.transpose(chosen), fn_output_signature=values.dtype)
        return tf.transpose(rises)

"""Distributions of codes, categories that stand for an example: independent, and one by one."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.base import Base
from tfgen.distributions.discrete import OneHot
from tfgen.distributions.discrete import OneHotUnits
from tfgen.distributions.pixelcnn import AutoregressivePixels
from tfgen.distributions.posterior import Posterior
from tfgen.networks import PixelCNNStack
from tfgen.utils import checks
from tfgen.utils.random import row_uniform
from tfgen.utils.replicas import sum_over_replicas


class _Codes(Base):
    """Distribution of codes: one-hot vectors side by side, or their indices.

    Args:
        num_categories: number of values of a code.
        indices: True for vectors of indices, as reals.
        **kwargs: `keras.layers.Layer` arguments.
    """

    reparameterized = False

    def __init__(self, num_categories, indices=False, **kwargs):
        super().__init__(**kwargs)
        self.num_categories = checks.check_int(num_categories, "num_categories", 2, 2**20)
        self.indices = checks.check_bool(indices, "indices")

    def build(self, input_shape):
        super().build(input_shape)
        self.groups = groups_of(self.size, 1 if self.indices else self.num_categories)
        self._units = OneHotUnits(self.groups, self.num_categories)

    def _one_hot(self, z):
        """Codes as `[batch, groups, categories]`."""
        if not self.indices:
            return tf.reshape(z, [-1, self.groups, self.num_categories])
        return tf.one_hot(as_indices(z, self.num_categories), self.num_categories, dtype=z.dtype)

    def _codes(self, one_hot):
        """The inverse of `_one_hot`, of values of 0 and 1."""
        if self.indices:
            return tf.cast(tf.argmax(one_hot, -1), self.variable_dtype)
        return tf.reshape(tf.cast(one_hot, self.variable_dtype), [-1, self.size])


def groups_of(size, categories):
    """Number of codes in a vector.

    Raises:
        ValueError: its size is no multiple of the number of categories.
    """
    if size % categories:
        raise ValueError(
            f"codes of {categories} categories need a multiple of {categories} latents; got {size}"
        )
    return size // categories


def as_indices(z, num_categories):
    """The nearest indices to reals."""
    return tf.clip_by_value(tf.cast(tf.round(z), tf.int32), 0, num_categories - 1)


@keras.saving.register_keras_serializable(package="tfgen")
class IndependentCodes(_Codes):
    """Independent codes, all values alike at first.

    Args:
        num_categories: number of values of a code.
        indices: True for vectors of indices, as reals; False for one-hot vectors side by side.
        learned: False for values that stay alike.
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> prior = tfgen.distributions.IndependentCodes(4, indices=True)
    >>> prior.build((None, 2))
    >>> [round(float(v), 4) for v in prior.log_prob(np.zeros((1, 2), "float32"))]
    [-2.7726]
    >>> prior.sample(prior.noise([0, 0], 0, 3)).shape
    TensorShape([3, 2])
    """

    def __init__(self, num_categories, indices=False, learned=True, **kwargs):
        super().__init__(num_categories, indices, **kwargs)
        self.learned = checks.check_bool(learned, "learned")

    def build(self, input_shape):
        super().build(input_shape)
        self.logits = None
        if self.learned:
            self.logits = self.add_weight(
                name="logits", shape=(self._units.size,), initializer="zeros"
            )

    def _logits(self):
        if self.logits is None:
            return tf.zeros([1, self._units.size], self.variable_dtype)
        return tf.convert_to_tensor(self.logits)[None]

    def log_prob(self, z, condition=None):
        z = tf.reshape(self._one_hot(tf.convert_to_tensor(z)), [-1, self._units.size])
        return self._units.log_prob(z, self._logits())

    def noise(self, seed, start, num_rows):
        return row_uniform(seed, start, num_rows, (self._units.size,), self.variable_dtype)

    def sample(self, noise, condition=None, temperature=1.0):
        drawn = self._units.sample(noise, self._logits() + tf.zeros_like(noise), temperature)
        return self._codes(tf.reshape(drawn, [-1, self.groups, self.num_categories]))

    def to_tfd(self, condition=None):
        tfd, shape = tfp.distributions, [self.groups, self.num_categories]
        logits = tf.reshape(self._logits(), shape)
        if self.indices:
            each = tfd.Categorical(logits, dtype=self.variable_dtype)
            return tfd.Independent(each, 1)
        each = tfd.OneHotCategorical(logits, dtype=self.variable_dtype)
        flat = tfp.bijectors.Reshape([self.size], shape)
        return tfd.TransformedDistribution(tfd.Independent(each, 1), flat)


@keras.saving.register_keras_serializable(package="tfgen")
class AutoregressiveCodes(_Codes):
    """Codes one after the other, by a PixelCNN over their places (van den Oord et al. 2017, "Neural
    Discrete Representation Learning", arXiv:1711.00937, section 3.3).

    Args:
        num_categories: number of values of a code.
        sides: height and width of the places; by default all are in one row.
        indices: True for vectors of indices, as reals; False for one-hot vectors side by side.
        filters: channels of the PixelCNN.
        num_layers: number of its layers.
        kernel_size: side of its kernels.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: `sides` whose product is not the number of codes.

    >>> import numpy as np, tfgen
    >>> prior = tfgen.distributions.AutoregressiveCodes(4, (2, 3), indices=True)
    >>> prior.build((None, 6))
    >>> z = prior.sample(prior.noise([0, 0], 0, 3))
    >>> z.shape, prior.log_prob(z).shape
    (TensorShape([3, 6]), TensorShape([3]))
    """

    def __init__(
        self,
        num_categories,
        sides=None,
        indices=False,
        filters=32,
        num_layers=4,
        kernel_size=5,
        **kwargs,
    ):
        super().__init__(num_categories, indices, **kwargs)
        self.sides = None if sides is None else checks.as_shape(sides, "sides")
        self.filters, self.num_layers, self.kernel_size = filters, num_layers, kernel_size
        network = PixelCNNStack(filters, num_layers, kernel_size, dtype=self.dtype_policy)
        element = OneHot(dtype=self.dtype_policy)
        self.pixels = AutoregressivePixels(element, network, dtype=self.dtype_policy)

    def build(self, input_shape):
        super().build(input_shape)
        sides = self.sides or (1, self.groups)
        if len(sides) != 2 or sides[0] * sides[1] != self.groups:
            raise ValueError(
                f"`sides` must be a height and a width with {self.groups} places; got {list(sides)}"
            )
        self._shape = (*sides, self.num_categories)
        self.pixels.build(None, self._shape)

    def log_prob(self, z, condition=None):
        z = self._one_hot(tf.convert_to_tensor(z))
        return self.pixels.log_prob(tf.reshape(z, [-1, *self._shape]), None)

    def noise(self, seed, start, num_rows):
        return self.pixels.noise(seed, start, num_rows)

    def sample(self, noise, condition=None, temperature=1.0):
        drawn = self.pixels.sample(noise, None, temperature)
        return self._codes(tf.reshape(drawn, [-1, self.groups, self.num_categories]))

    def adapt(self, z):
        # Weight normalisation is set in one pass.
        self.log_prob(z)


@keras.saving.register_keras_serializable(package="tfgen")
class OneHotPosterior(Posterior):
    """Independent categories given the features, as one-hot vectors side by side.

    Args:
        num_categories: number of values of each.
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> posterior = tfgen.distributions.OneHotPosterior(4)
    >>> posterior.build((None, 16), latent_dim=8)
    >>> features = np.zeros((3, 16), "float32")
    >>> z, log_prob = posterior.sample(posterior.noise([0, 0], 0, 3), features)
    >>> z.shape, posterior.logits(features).shape
    (TensorShape([3, 8]), TensorShape([3, 8]))
    """

    def __init__(self, num_categories, **kwargs):
        super().__init__(**kwargs)
        self.num_categories = checks.check_int(num_categories, "num_categories", 2, 2**20)

    def build(self, features_shape, latent_dim):
        super().build(features_shape, latent_dim)
        self.units = OneHotUnits(groups_of(latent_dim, self.num_categories), self.num_categories)
        self.head = keras.layers.Dense(latent_dim, dtype=self.dtype_policy)
        self.head.build(features_shape)

    def logits(self, features):
        """Logits of the categories, `[batch, latent_dim]`."""
        return tf.cast(self.head(features), self.variable_dtype)

    def noise(self, seed, start, num_rows):
        return row_uniform(seed, start, num_rows, (self.latent_dim,), self.variable_dtype)

    def sample(self, noise, features):
        logits = self.logits(features)
        z = self.units.sample(noise, logits)
        return z, self.units.log_prob(z, logits)

    def mean(self, features):
        return self.units.mean(self.logits(features))


@keras.saving.register_keras_serializable(package="tfgen")
class CodebookPosterior(Posterior):
    """Index of the nearest vector of a codebook, for each part of the features (van den Oord et al.
    2017, "Neural Discrete Representation Learning", arXiv:1711.00937, eqs. 1 and 2).

    The codebook is no weight that is trained: it follows the moving averages of what is nearest to
    each vector (appendix A.1 there).

    Args:
        num_codes: number of vectors.
        code_dim: their size.
        decay: of the moving averages.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a `decay` that is not within [0, 1); on `build`, features that do not divide
            among the latents.

    >>> import numpy as np, tfgen
    >>> posterior = tfgen.distributions.CodebookPosterior(8, 2)
    >>> posterior.build((None, 12), latent_dim=3)
    >>> features = np.random.default_rng(0).normal(size=(4, 12)).astype("float32")
    >>> vectors = posterior.vectors(features)
    >>> posterior.start(vectors)
    >>> index = posterior.nearest(vectors)
    >>> posterior.move(vectors, index)
    >>> vectors.shape, index.shape, posterior.looked_up(index).shape
    (TensorShape([4, 3, 2]), TensorShape([4, 3]), TensorShape([4, 3, 2]))
    """

    def __init__(self, num_codes, code_dim, decay=0.99, **kwargs):
        super().__init__(**kwargs)
        self.num_codes = checks.check_int(num_codes, "num_codes", 2, 2**20)
        self.code_dim = checks.check_count(code_dim, "code_dim")
        self.decay = checks.check_weight(decay, "decay")
        if self.decay >= 1:
            raise ValueError(f"`decay` must be within [0, 1); got {decay!r}")

    def build(self, features_shape, latent_dim):
        super().build(features_shape, latent_dim)
        if features_shape[-1] % latent_dim:
            raise ValueError(
                f"`encoder` must give features that {latent_dim} latents divide among them; got "
                f"{features_shape[-1]}"
            )
        self._part = features_shape[-1] // latent_dim
        self.head = keras.layers.Dense(self.code_dim, dtype=self.dtype_policy)
        self.head.build((None, latent_dim, self._part))
        kept = {"trainable": False, "aggregation": "only_first_replica"}
        shape = (self.num_codes, self.code_dim)
        draw = keras.initializers.RandomNormal(stddev=1.0)
        self.codebook = self.add_weight(name="codebook", shape=shape, initializer=draw, **kept)
        self.sums = self.add_weight(name="sums", shape=shape, initializer="zeros", **kept)
        self.counts = self.add_weight(
            name="counts", shape=(self.num_codes,), initializer="zeros", **kept
        )

    def vectors(self, features):
        """Vectors of the features, before codes replace them, `[batch, latents, code_dim]`."""
        parts = tf.reshape(features, [-1, self.latent_dim, self._part])
        return tf.cast(self.head(parts), self.variable_dtype)

    def nearest(self, vectors):
        """Indices of the nearest codes, `[batch, latents]`."""
        codebook = tf.convert_to_tensor(self.codebook)
        # Of the squared distance what differs among the codes.
        distance = tf.reduce_sum(codebook**2, -1) - 2 * tf.einsum("bgd,cd->bgc", vectors, codebook)
        return tf.argmin(distance, -1, tf.int32)

    def looked_up(self, index):
        """Vectors of indices, `[batch, latents, code_dim]`."""
        return tf.gather(tf.convert_to_tensor(self.codebook), index)

    def start(self, vectors):
        """Takes vectors of the data for the codes."""
        rows = tf.reshape(vectors, [-1, self.code_dim])
        places = np.arange(self.num_codes) * 7919 % int(rows.shape[0] or tf.shape(rows)[0])
        chosen = tf.gather(rows, places)
        # Lest two codes be the same.
        spread = tf.math.reduce_std(rows, 0) + 1e-3
        noise = row_uniform(tf.constant([3, 1]), 0, self.num_codes, (self.code_dim,), rows.dtype)
        self.codebook.assign(chosen + 0.01 * spread * (noise - 0.5))
        self.sums.assign(self.codebook)
        self.counts.assign(tf.ones_like(self.counts))

    def move(self, vectors, index):
        """Moves the codes towards the mean of the vectors that are nearest to them."""
        chosen = tf.reshape(
            tf.one_hot(index, self.num_codes, dtype=vectors.dtype), [-1, self.num_codes]
        )
        rows = tf.reshape(tf.stop_gradient(vectors), [-1, self.code_dim])
        sums = tf.matmul(chosen, rows, transpose_a=True)
        counts, sums = sum_over_replicas([tf.reduce_sum(chosen, 0), sums])
        counts = self.decay * tf.convert_to_tensor(self.counts) + (1 - self.decay) * counts
        sums = self.decay * tf.convert_to_tensor(self.sums) + (1 - self.decay) * sums
        self.counts.assign(counts)
        self.sums.assign(sums)
        # A code that nothing was near to for long stays where it is.
        used = counts > 1e-3
        moved = sums / tf.where(used, counts, 1.0)[:, None]
        self.codebook.assign(tf.where(used[:, None], moved, tf.convert_to_tensor(self.codebook)))

    def noise(self, seed, start, num_rows):
        return None

    def sample(self, noise, features):
        z = self.mean(features)
        return z, tf.zeros_like(z[:, 0])

    def mean(self, features):
        """Indices of the codes, as reals, `[batch, latent_dim]`."""
        return tf.cast(self.nearest(self.vectors(features)), self.variable_dtype)

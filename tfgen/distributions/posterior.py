"""Approximate posteriors: distributions of latents given features from an encoder."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.bijectors import Autoregressive
from tfgen.bijectors import Bijector
from tfgen.bijectors import Chain
from tfgen.bijectors import Invert
from tfgen.bijectors import Permutation
from tfgen.bijectors import Repeat
from tfgen.networks import MADE
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.part import Part
from tfgen.utils.random import row_normal


class Posterior(Part):
    """Approximate posterior `q(z|x)`, of latents given features from an encoder.

    `build` gets `(None, size)`, the shape of the features, and the number of latents. A subclass
    implements `noise`, `sample` and `mean`. Arguments of the constructor are saved with the model;
    `get_config` need not be written.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        latent_dim: number of latents, once built.

    Raises:
        NotImplementedError: a call of a method that a subclass lacks.

    >>> import keras, numpy as np, tensorflow as tf, tfgen
    >>> from tfgen.utils.random import row_normal
    >>> class UnitScale(tfgen.distributions.Posterior):
    ...     def build(self, features_shape, latent_dim):
    ...         super().build(features_shape, latent_dim)
    ...         self.head = keras.layers.Dense(latent_dim)
    ...         self.head.build(features_shape)
    ...     def noise(self, seed, start, num_rows):
    ...         return row_normal(seed, start, num_rows, (self.latent_dim,), self.variable_dtype)
    ...     def sample(self, noise, features):
    ...         log_prob = -0.5 * tf.reduce_sum(noise**2 + np.log(2 * np.pi), -1)
    ...         return self.mean(features) + noise, log_prob
    ...     def mean(self, features):
    ...         return self.head(features)
    >>> model = tfgen.VAE(4, latent_dim=2, posterior=UnitScale())
    >>> model.encode(np.eye(4)).shape, model.log_prob(np.eye(4)).shape
    (TensorShape([4, 2]), TensorShape([4]))
    """

    def build(self, features_shape, latent_dim):
        self.latent_dim = latent_dim

    def compute_output_shape(self, features_shape, latent_dim):
        return (features_shape[0], latent_dim)

    def noise(self, seed, start, num_rows):
        """Noise that `sample` turns into draws of rows `start` to `start + num_rows`, or None."""
        raise NotImplementedError(f"{type(self).__name__} must implement noise")

    def sample(self, noise, features):
        """Draws `[batch, latent_dim]` and their log-densities `[batch]`, nats.

        Args:
            noise: as `noise` gives it.
            features: `[batch, size]`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement sample")

    def mean(self, features):
        """Mean of the latents or near it, `[batch, latent_dim]`, which stands for an example.

        Args:
            features: `[batch, size]`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement mean")


@keras.saving.register_keras_serializable(package="tfgen")
class NormalPosterior(Posterior):
    """Normal posterior `N(loc, diag(scale^2))`, both from a dense layer over the features.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> posterior = tfgen.distributions.NormalPosterior()
    >>> posterior.build((None, 16), latent_dim=2)
    >>> features = np.zeros((3, 16), "float32")
    >>> z, log_prob = posterior.sample(posterior.noise([0, 0], 0, 3), features)
    >>> z.shape, log_prob.shape
    (TensorShape([3, 2]), TensorShape([3]))
    """

    def build(self, features_shape, latent_dim):
        super().build(features_shape, latent_dim)
        small = keras.initializers.VarianceScaling(0.1)
        self.head = keras.layers.Dense(
            2 * latent_dim, kernel_initializer=small, dtype=self.dtype_policy
        )
        self.head.build(features_shape)

    def noise(self, seed, start, num_rows):
        return row_normal(seed, start, num_rows, (self.latent_dim,), self.variable_dtype)

    def _loc_and_scale(self, features):
        loc, scale = tf.split(tf.cast(self.head(features), self.variable_dtype), 2, -1)
        # 1 at the start; never 0, where no likelihood is too large.
        return loc, tf.nn.softplus(scale + np.log(np.e - 1)) + 1e-4

    def sample(self, noise, features):
        loc, scale = self._loc_and_scale(features)
        constant = 0.5 * self.latent_dim * np.log(2 * np.pi)
        log_prob = -0.5 * tf.reduce_sum(noise**2, -1) - tf.reduce_sum(tf.math.log(scale), -1)
        return loc + scale * noise, log_prob - constant

    def mean(self, features):
        return self._loc_and_scale(features)[0]


@keras.saving.register_keras_serializable(package="tfgen")
class DeterministicPosterior(Posterior):
    """Single point as a posterior, a dense layer of the features; there is no density.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    >>> import numpy as np, tfgen
    >>> posterior = tfgen.distributions.DeterministicPosterior()
    >>> posterior.build((None, 16), latent_dim=2)
    >>> posterior.mean(np.zeros((3, 16), "float32")).shape
    TensorShape([3, 2])
    """

    def build(self, features_shape, latent_dim):
        super().build(features_shape, latent_dim)
        self.head = keras.layers.Dense(latent_dim, dtype=self.dtype_policy)
        self.head.build(features_shape)

    def noise(self, seed, start, num_rows):
        return None

    def sample(self, noise, features):
        return self.mean(features), None

    def mean(self, features):
        return tf.cast(self.head(features), self.variable_dtype)


@keras.saving.register_keras_serializable(package="tfgen")
class IAFPosterior(NormalPosterior):
    """Diagonal normal posterior through inverse autoregressive flow with a context.

    From Kingma et al. 2016, "Improving Variational Inference with Inverse Autoregressive Flow",
    arXiv:1606.04934, Algorithm 1: the context comes from the encoder's features. `mean` is the
    flow's value at the mean of the normal distribution, since that of `z` is not known.

    Args:
        num_steps: steps of the flow; each sees the dimensions in the reverse order of the one
            before.
        hidden_units: widths of their networks.
        context_size: number of values of the context; with 0 or None there is none, and the flow is
            the same for all examples.
        bijector: `Bijector` over latents in the place of the steps, which takes the context as its
            condition. One that was built without a condition gets none, and `context_size` is 0.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: a `bijector` that is initialised from data; on `build`, one that was built for
            other latents or another context.

    >>> import numpy as np, tfgen
    >>> posterior = tfgen.distributions.IAFPosterior(num_steps=2, hidden_units=(8,))
    >>> posterior.build((None, 16), latent_dim=2)
    >>> z, _ = posterior.sample(posterior.noise([0, 0], 0, 3), np.zeros((3, 16), "float32"))
    >>> z.shape
    TensorShape([3, 2])
    """

    def __init__(
        self, num_steps=4, hidden_units=(640, 640), context_size=64, bijector=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_steps = checks.check_count(num_steps, "num_steps")
        self.hidden_units = checks.as_shape(hidden_units, "hidden_units")
        if context_size in (None, 0):
            self.context_size = 0
        else:
            self.context_size = checks.check_count(context_size, "context_size")
        if bijector is None:
            dtype = {"dtype": self.dtype_policy}
            step = Autoregressive("gated", MADE(2, self.hidden_units, **dtype), **dtype)
            step = Chain([Invert(step, **dtype), Permutation(**dtype)], **dtype)
            bijector = Repeat(step, self.num_steps, **dtype)
        self.bijector = checks.check_instance(bijector, Bijector, "bijector")
        if self.bijector.adaptive:
            raise ValueError(
                "`bijector` of a posterior must not be initialised from data, as ActNorm is: there "
                "are no data on its side of the latents"
            )

    def build(self, features_shape, latent_dim):
        super().build(features_shape, latent_dim)
        if self.bijector.built and self.bijector._build_shapes_dict:
            self._check_built(latent_dim, **self.bijector._build_shapes_dict)
        context_shape = None
        if self.context_size:
            context_shape = (None, self.context_size)
            self.to_context = keras.layers.Dense(
                self.context_size, activation="elu", dtype=self.dtype_policy
            )
            self.to_context.build(features_shape)
        build_once(self.bijector, (None, latent_dim), context_shape)

    def _check_built(self, latent_dim, inputs_shape, condition_shape=None):
        """Checks a bijector that was built before it was given, and goes by its condition."""
        if tuple(inputs_shape[1:]) != (latent_dim,):
            raise ValueError(
                f"`bijector` must be over the {latent_dim} latents; got one built for events "
                f"{list(inputs_shape[1:])}"
            )
        if condition_shape is None:
            # As an attribute that is set it is saved: a copy's bijector is not built.
            self.context_size = 0
        elif tuple(condition_shape[1:]) != (self.context_size,):
            raise ValueError(
                "`context_size` must be that of the `bijector`, which was built for conditions "
                f"{list(condition_shape[1:])}; got {self.context_size}"
            )

    def _flow(self, y, features):
        context = None
        if self.context_size:
            context = tf.cast(self.to_context(features), self.variable_dtype)
        return self.bijector.forward_and_log_det(y, condition=context)

    def sample(self, noise, features):
        y, log_prob = super().sample(noise, features)
        z, log_det = self._flow(y, features)
        return z, log_prob - log_det

    def mean(self, features):
        return self._flow(super().mean(features), features)[0]

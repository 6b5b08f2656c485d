"""Base distributions of flows."""

from tfgen.utils.part import Part


class Base(Part):
    """Distribution of the latents of a flow, vectors `[size]`.

    A subclass implements `log_prob`, `noise`, `sample` and `to_tfd`. `build` gets `(None, size)`.
    Arguments of the constructor are saved with the model; `get_config` need not be written.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        allows_temperature: True if `sample` can take a temperature other than 1.
        reparameterized: True if draws have a gradient of the weights.
        size: number of latents, once built.

    >>> import tensorflow as tf, tensorflow_probability as tfp, tfgen
    >>> from tfgen.utils.random import row_uniform
    >>> class Cube(tfgen.distributions.Base):
    ...     allows_temperature = False
    ...     def log_prob(self, z, condition=None):
    ...         return tf.where(tf.reduce_all((z >= 0) & (z < 1), -1), 0.0, float("-inf"))
    ...     def noise(self, seed, start, num_rows):
    ...         return row_uniform(seed, start, num_rows, (self.size,), self.variable_dtype)
    ...     def sample(self, noise, condition=None, temperature=1.0):
    ...         return noise
    ...     def to_tfd(self, condition=None):
    ...         return tfp.distributions.Sample(tfp.distributions.Uniform(), self.size)
    >>> model = tfgen.models.Flow(2, tfgen.bijectors.Chain([]), base=Cube())
    >>> model.log_prob([[0.5, 0.5], [0.5, 1.5]]).numpy().tolist(), model.sample(4).shape
    ([0.0, -inf], TensorShape([4, 2]))
    """

    allows_temperature = True
    reparameterized = True

    def build(self, input_shape):
        self.size = int(input_shape[-1])

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def log_prob(self, z, condition=None):
        """Log-densities `[batch]`, nats.

        Args:
            z: `[batch, size]`.
            condition: `[batch, features]` or None.

        Raises:
            NotImplementedError: a subclass must implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement log_prob")

    def noise(self, seed, start, num_rows):
        """Noise that `sample` turns into draws of rows `start` to `start + num_rows`.

        Args:
            seed: two integers.
            start: number of the first row.
            num_rows: number of rows.

        Returns:
            Tensor, or a structure of tensors, with `num_rows` rows.

        Raises:
            NotImplementedError: a subclass must implement it.

        >>> import tfgen
        >>> base = tfgen.distributions.StandardNormal()
        >>> base.build((None, 2))
        >>> rows = base.noise([0, 0], 0, 4)
        >>> bool((rows[2:] == base.noise([0, 0], 2, 2)).numpy().all())
        True
        """
        raise NotImplementedError(f"{type(self).__name__} must implement noise")

    def sample(self, noise, condition=None, temperature=1.0):
        """Draws `[batch, size]`.

        Args:
            noise: as `noise` gives it.
            condition: `[batch, features]` or None.
            temperature: factor of every standard deviation.

        Raises:
            NotImplementedError: a subclass must implement it.

        >>> import tfgen
        >>> base = tfgen.distributions.IsotropicNormal(3.0)
        >>> base.build((None, 2))
        >>> base.sample(base.noise([0, 0], 0, 1), temperature=0.0).shape
        TensorShape([1, 2])
        """
        raise NotImplementedError(f"{type(self).__name__} must implement sample")

    def to_tfd(self, condition=None):
        """This distribution as a `tfd.Distribution`.

        Weights given as `bijectors.view.current` and `deferred` make them are read at each use,
        and are among its `trainable_variables`.

        Args:
            condition: `[features]`, `[n, features]` for the batch shape `[n]`, or None.

        Raises:
            NotImplementedError: a subclass must implement it.

        >>> import tfgen
        >>> base = tfgen.distributions.IsotropicNormal(3.0)
        >>> base.build((None, 2))
        >>> base.to_tfd().stddev().numpy().tolist()
        [3.0, 3.0]
        """
        raise NotImplementedError(f"{type(self).__name__} must implement to_tfd")

    def adapt(self, z):
        """Initialises bijectors from data, draws `[batch, size]`.

        Args:
            z: latents, a tensor; a base without bijectors ignores them.

        >>> import numpy as np, tfgen
        >>> prior = tfgen.distributions.Transformed(tfgen.bijectors.ActNorm())
        >>> prior.build((None, 1))
        >>> prior.adapt(np.array([[1.0], [3.0]], "float32"))
        >>> prior.sample(np.array([[0.0], [1.0]], "float32")).numpy().round(3).tolist()
        [[2.0], [3.0]]
        """

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
        """
        raise NotImplementedError(f"{type(self).__name__} must implement noise")

    def sample(self, noise, condition=None, temperature=1.0):
        """Draws `[batch, size]`.

        Args:
            noise: as `noise` gives it.
            condition: `[batch, features]` or None.
            temperature: factor of every standard deviation.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement sample")

    def to_tfd(self, condition=None):
        """This distribution as a `tfd.Distribution`.

        Weights given as `bijectors.view.current` and `deferred` make them are read at each use,
        and are among its `trainable_variables`.

        Args:
            condition: `[features]`, `[n, features]` for the batch shape `[n]`, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement to_tfd")

    def adapt(self, z):
        """Initialises bijectors from data, draws `[batch, size]`."""

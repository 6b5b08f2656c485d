"""What a flow's base distribution is."""

from tfgen.utils.part import Part


class Base(Part):
    """A distribution of the latents of a flow, vectors of `[size]`.

    A subclass implements the four methods. `build` gets `(None, size)`.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        allows_temperature: whether `sample` can take a temperature other than 1.
        reparametrised: whether draws have a gradient of the weights.
    """

    allows_temperature = True
    reparametrised = True

    def build(self, input_shape):
        self.size = int(input_shape[-1])

    def log_prob(self, z, condition=None):
        """`[batch, size]` -> `[batch]`, nats; `condition` is `[batch, features]` or None."""
        raise NotImplementedError(f"{type(self).__name__} must implement log_prob")

    def noise(self, seed, start, num_rows):
        """What `sample` turns into draws for rows `start` to `start + num_rows`."""
        raise NotImplementedError(f"{type(self).__name__} must implement noise")

    def sample(self, noise, condition=None, temperature=1.0):
        """Draws `[batch, size]` with every standard deviation times `temperature`."""
        raise NotImplementedError(f"{type(self).__name__} must implement sample")

    def to_tfd(self, condition=None):
        """The same as a `tfd.Distribution`; its batch shape is `[]` or that of the conditions,
        `[features]` or `[n, features]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement to_tfd")

    def adapt(self, z):
        """Data-dependent initialisation of bijectors, from draws `[batch, size]`."""

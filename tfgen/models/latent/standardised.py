"""Observations of standardised reals."""

import tensorflow as tf


class Standardised:
    """Observation model of data that it sees by their location and scale, with the methods of an
    `Observation`: densities, draws and means are in the data's units, and what encoders and critics
    see is of order 1.

    It is no layer: the observation and the two weights are the model's.

    Args:
        observation: `Observation` of reals.
        loc: weight, `[channels]`.
        scale: weight, `[channels]`.
    """

    def __init__(self, observation, loc, scale):
        self.observation, self.loc, self.scale = observation, loc, scale

    def __getattr__(self, name):
        # Noise and what is known of the observation are the same.
        return getattr(self.observation, name)

    def _standard(self, x):
        return (tf.cast(x, self.loc.dtype) - self.loc) / self.scale

    def _in_units(self, values):
        return self.loc + self.scale * values

    def inputs(self, x):
        return self.observation.inputs(self._standard(x))

    def dequantised(self, x, noise):
        return self.observation.dequantised(self._standard(x), noise)

    def log_prob(self, x, features, noise=None):
        density = self.observation.log_prob(self._standard(x), features, noise)
        positions = self.observation.event_shape[:-1]
        log_det = tf.reduce_sum(tf.math.log(tf.convert_to_tensor(self.scale)))
        for size in positions:
            log_det *= size
        return density - log_det

    def sample(self, noise, features, temperature=1.0):
        return self._in_units(self.observation.sample(noise, features, temperature))

    def decode(self, noise, features):
        return self._in_units(self.observation.decode(noise, features))

    def mean(self, features):
        return self._in_units(self.observation.mean(features))

    def adapt(self, x, noise):
        self.observation.adapt(self._standard(x), noise)

"""Bijectors of the registry with points, which tests share."""

import functools

import keras
import numpy as np

from .bijector_entries import BIJECTORS
from .helpers import perturb


class BijectorCase:
    """A built and perturbed bijector with points on its data side."""

    def __init__(self, name, dtype, shape=None, num_rows=3):
        self.entry = entry = BIJECTORS[name]
        self.shape = shape or entry.shape
        keras.utils.set_random_seed(0)
        self.layer = entry.build(dtype=dtype)
        features = self._condition_shape()
        self.layer.build((None, *self.shape), features and (None, *features))
        perturb(self.layer)
        rng = np.random.default_rng(1)
        if self.layer.adaptive and not self.layer.trainable_variables:
            self.layer.adapt([rng.normal(2, 3, (20, *self.shape)).astype(dtype)])
        self.x = rng.normal(size=(num_rows, *self.shape)).astype(dtype)
        if entry.high is not None:
            self.x = rng.uniform(0, entry.high, self.x.shape).astype(dtype)
        self.condition = None
        if entry.condition is not None:
            self.condition = rng.normal(size=(num_rows, *features)).astype(dtype)
        latent_shape = self.layer.inverse_event_shape(self.shape)
        self.z = rng.normal(size=(num_rows, *latent_shape)).astype(dtype)

    def _condition_shape(self):
        """Shape of one condition; an image's sides keep the entry's proportion to the event's."""
        entry = self.entry
        if entry.condition is None or isinstance(entry.condition, int):
            return entry.condition and (entry.condition,)
        *sides, channels = entry.condition
        events = zip(sides, entry.shape, self.shape, strict=False)
        return (*(side * now // then for side, then, now in events), channels)

    def inverse(self, x):
        return self.layer.inverse_and_log_det(x, condition=self.condition)

    def forward(self, z):
        return self.layer.forward_and_log_det(z, condition=self.condition)

    # Value and log-determinant of the ways from either side and back, computed once.

    @functools.cached_property
    def from_x(self):
        return self.inverse(self.x)

    @functools.cached_property
    def from_z(self):
        return self.forward(self.z)

    @functools.cached_property
    def back_to_x(self):
        return self.forward(self.from_x[0])

    @functools.cached_property
    def back_to_z(self):
        return self.inverse(self.from_z[0])


_bijector_cases = {}


def bijector_case(name, dtype="float64"):
    """The case of an entry, shared by the tests."""
    if (name, dtype) not in _bijector_cases:
        _bijector_cases[name, dtype] = BijectorCase(name, dtype)
    return _bijector_cases[name, dtype]

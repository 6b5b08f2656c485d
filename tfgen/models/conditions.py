"""Conditions of a model: checked, and as its parts take them."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.utils import checks


class Conditional:
    """The part of `GenerativeModel` that conditions go through: vectors, images or labels."""

    def _build_embedding(self):
        """What labels become; `features_shape` is that of conditions as parts take them."""
        self.features_shape = None
        if self.num_classes:
            # Orthogonal: as good a start as one-hot vectors, which many classes would make long.
            self.embedding = keras.layers.Dense(
                min(self.num_classes, 64),
                use_bias=False,
                kernel_initializer="orthogonal",
                dtype=self.variable_dtype,
            )
            self.embedding.build((None, self.num_classes))
            self.features_shape = (None, self.embedding.units)
        elif self.condition_shape is not None:
            self.features_shape = (None, *self.condition_shape)

    def _check_condition(self, condition, num_rows, name="condition"):
        return checks.as_condition(
            condition, name, self.condition_shape, self.num_classes, self.variable_dtype, num_rows
        )

    def _features(self, condition):
        """The condition as parts take it: a vector or an image."""
        if condition is None:
            return None
        if self.num_classes:
            condition = tf.cast(condition, tf.int32)
            # Labels out of range, which only later batches of a stream can have: not a number.
            nan = tf.constant(np.nan, self.variable_dtype)
            known = (condition >= 0) & (condition < self.num_classes)
            one_hot = tf.one_hot(condition, self.num_classes, dtype=self.variable_dtype)
            return tf.where(known[:, None], self.embedding(one_hot), nan)
        return tf.cast(condition, self.variable_dtype)

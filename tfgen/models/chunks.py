"""Eager methods: compiled functions that are kept between calls and run chunk by chunk."""

import numpy as np
import tensorflow as tf

from tfgen.utils import checks
from tfgen.utils.random import as_seed


class Chunked:
    """What runs a model's cores for any number of rows in bounded memory.

    A core is a method `_name` that is a pure function of tensors: `_log_prob`,
    `_sample`, ... It gets the number of its first row, on which its noise
    depends, so that results do not depend on the chunks.
    """

    def graph_function(self, name):
        """The compiled core of an eager method, kept for the next call.

        A `tf.function` of keyword arguments for any number of rows: rows `start`
        to `start + n` of a call with this seed. `export` serves the same ones.
        """
        if name not in self._kept_functions:
            core = getattr(self, f"_{name}")
            specs = {k: self._spec(k) for k in self._core_arguments[name]}
            if self.condition_shape is not None:
                specs["condition"] = self._spec("condition")

            def function(**arguments):
                return core(**{"condition": None, **arguments})

            self._kept_functions[name] = tf.function(function).get_concrete_function(**specs)
        return self._kept_functions[name]

    _core_arguments = {
        "log_prob": ("x", "seed", "start"),
        "estimate_log_prob": ("x", "seed", "start", "num_samples"),
        "sample": ("num_rows", "seed", "start", "temperature"),
        "encode": ("x",),
        "decode": ("z",),
    }

    def _spec(self, name):
        real = self.variable_dtype
        data = real if self.data_kind == "real" else tf.uint8
        shape, dtype = {
            "x": ([None, *self.event_shape], data),
            "known": ([None, *self.event_shape], tf.bool),
            "z": ([None, *(self.latent_shape or ())], real),
            "condition": (
                [None, *(self.condition_shape or ())],
                tf.int32 if self.num_classes else real,
            ),
            "seed": ([2], tf.int32),
            "start": ([], tf.int64),
            "num_rows": ([], tf.int32),
            "num_samples": ([], tf.int64),
            "temperature": ([], real),
        }[name]
        return tf.TensorSpec(shape, dtype, name=name)

    def served(self):
        """Names of the functions that `export` serves."""
        names = []
        if self.has_latents:
            names = ["sample"] if self.likelihood == "none" else ["log_prob", "sample"]
        if self.latent_shape and self._has_encoder:
            names.append("encode")
        return names + (["decode"] if self.latent_shape else [])

    def _map_rows(self, name, batch_size, num_rows, seed, **arguments):
        """Runs a core over chunks of rows. Arrays are cut, tensors go to every chunk."""
        batch_size = checks.check_count(batch_size, "batch_size")
        function = self.graph_function(name)
        arguments = {k: v for k, v in arguments.items() if v is not None}
        names = self._core_arguments[name]
        if "seed" in names:
            arguments["seed"] = as_seed(seed)
        parts = []
        for start in range(0, num_rows, batch_size):
            stop = min(start + batch_size, num_rows)
            if "start" in names:
                arguments["start"] = tf.constant(start, tf.int64)
            if "num_rows" in names:
                arguments["num_rows"] = tf.constant(stop - start)
            rows = {
                k: tf.constant(v[start:stop]) if isinstance(v, np.ndarray) else v
                for k, v in arguments.items()
            }
            parts.append(function(**rows))
        return parts[0] if len(parts) == 1 else tf.concat(parts, 0)

"""Checks of models."""

import inspect
import tempfile

import tensorflow as tf

from tfgen.core import GenerativeModel
from tfgen.testing import copies
from tfgen.testing.errors import calling
from tfgen.testing.model_files import assert_exports
from tfgen.testing.model_files import assert_saves
from tfgen.testing.model_outputs import assert_hooks
from tfgen.testing.model_outputs import assert_outputs
from tfgen.testing.model_outputs import assert_samples
from tfgen.testing.model_outputs import outputs
from tfgen.testing.model_outputs import require_same
from tfgen.testing.model_training import assert_fits
from tfgen.testing.model_training import assert_gradients
from tfgen.testing.model_training import assert_players
from tfgen.utils import checks

__all__ = [
    "Case",
    "assert_exports",
    "assert_fits",
    "assert_gradients",
    "assert_hooks",
    "assert_outputs",
    "assert_players",
    "assert_samples",
    "assert_saves",
    "check_model",
    "outputs",
    "require_same",
]


def check_model(model, x, y=None, num_rows=8, seed=0, fit=True, export=True):
    """Checks that a model keeps the contract of `tfgen.GenerativeModel`.

    Looked at are the hooks by name, eagerly and one by one; then densities and samples as users get
    them (shapes, types, range, seeds, chunks, `predict` and `call`), gradients of every weight, the
    players' variables, a short `fit` with its logs, the configuration, the `.keras` file, and the
    SavedModel of `export`. All is done on copies made from the configuration, with weights shifted
    by noise.

    Args:
        model: `tfgen.GenerativeModel`, compiled or not; it stays as it is.
        x: `[n, *event_shape]`, two rows at least.
        y: conditions or targets, if the model takes such.
        num_rows: rows of `x` that are looked at, at most.
        seed: of the noise and of the shifts of the weights.
        fit: False leaves out `fit`, `evaluate` and the state of the optimizers.
        export: False leaves out `export`, which takes the longest.

    Raises:
        CheckError: the first thing that is off, by the name of the method.
        ValueError: no model; data that do not fit it.

    >>> import numpy as np, tfgen
    >>> from tfgen.testing import check_model
    >>> model = tfgen.models.Flow(2, tfgen.bijectors.ActNorm())
    >>> check_model(model, np.random.normal(size=(4, 2)), fit=False, export=False)
    """
    checks.check_instance(model, GenerativeModel, "model")
    case = Case(model, x, y, num_rows, seed)
    assert_hooks(case)
    assert_players(case)
    assert_gradients(case)
    if case.can_score:
        assert_outputs(case)
    if case.model.can_sample:
        assert_samples(case)
    if fit:
        assert_fits(case)
    with tempfile.TemporaryDirectory() as folder:
        assert_saves(case, folder)
        if export:
            assert_exports(case, folder)


class Case:
    """Copy of a model, its weights set from data and shifted by noise, with some rows of data.

    Args:
        model: `GenerativeModel`, which is only read.
        x: `[n, *event_shape]`.
        y: conditions or targets, or None.
        num_rows: rows that are kept, at most.
        seed: of the noise.

    Attributes:
        model: the copy.
        x: array.
        condition: array, dict of arrays, or None.
        y: what `fit` takes beside `x`.
    """

    def __init__(self, model, x, y=None, num_rows=8, seed=0):
        arrays = model.data_spec.arrays(x, y)
        arrays["x"] = model.data_spec.check_x(x)
        num_rows = checks.check_count(num_rows, "num_rows")
        arrays = tf.nest.map_structure(lambda a: a[:num_rows], arrays)
        if len(arrays["x"]) < 2:
            raise ValueError(f"`x` must have two rows at least; got {len(arrays['x'])}")
        self.seed, self.x = seed, arrays["x"]
        self.condition = arrays.get("condition")
        self.y = arrays.get(model.data_spec.role)
        self.kind = type(model).__name__
        self.model = copies.copied(model)
        self.compile_config = model.get_compile_config() if model.compiled else None
        if self.model._needs_adapt():
            with calling(f"{self.kind}.adapt"):
                self.model.adapt(self.x, self.condition, batch_size=len(self.x))
        copies.perturb(self.model, seed)

    @property
    def can_score(self):
        """False if `call` gives nothing for rows of data."""
        return not self.model.has_likelihood or self.model.can_sample

    @property
    def condition_tensors(self):
        """The conditions as cores take them."""
        if self.condition is None:
            return None
        return tf.nest.map_structure(tf.constant, self.condition)

    def batch(self):
        """The batch that players take."""
        rows = tf.range(len(self.x), dtype=tf.int64)
        batch = {"x": tf.constant(self.x), "row": rows}
        if self.y is not None:
            batch[self.model.data_spec.role] = tf.nest.map_structure(tf.constant, self.y)
        return batch

    def core(self, name, **arguments):
        """Calls a core eagerly, with the arguments that its signature asks for."""
        given = {
            "x": tf.constant(self.x),
            "condition": self.condition_tensors,
            "seed": tf.constant([self.seed, 0]),
            "start": tf.constant(0, tf.int64),
            "num_rows": tf.constant(len(self.x)),
            "temperature": tf.constant(1.0, self.model.variable_dtype),
            **arguments,
        }
        method = getattr(self.model, f"_{name}")
        with calling(f"{self.kind}._{name}"):
            return method(**{k: given[k] for k in inspect.signature(method).parameters})

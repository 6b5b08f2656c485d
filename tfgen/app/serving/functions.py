"""Functions: the signatures of a model, and the calls of them that the server makes."""

import numpy as np
import tensorflow as tf

from tfgen.app.serving.batching import Call
from tfgen.core.export_signatures import BY_ROW
from tfgen.data.hints import nearest

CONDITIONS = ("condition", "label", "vector")


class Functions:
    """Compiled functions by name, as calls of rows that go together, or of one caller alone.

    Args:
        signatures: dict of concrete functions: those of `tfgen.core.export_signatures`, or of a
            SavedModel.
        sample_at: concrete function of `seed`, `start`, `num_rows`, `temperature` and perhaps
            `condition`, a model's core by row; None where there is only a SavedModel.

    >>> import tfgen
    >>> from tfgen.app.serving.functions import Functions
    >>> from tfgen.core.export import signatures
    >>> model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))
    >>> functions = Functions(signatures(model))
    >>> call = functions.samples(3, {}, seed=7, temperature=1)
    >>> bool((call.run(call.rows)["samples"] == model.sample(3, seed=7).numpy()).all())
    True
    """

    def __init__(self, signatures, sample_at=None):
        self.signatures, self._sample_at = signatures, sample_at

    def inputs(self, name):
        """The `tf.TensorSpec`s of a signature's inputs by name.

        Raises:
            ValueError: no such signature.
        """
        if name not in self.signatures:
            raise ValueError(
                f"`signature_name` must be one of {list(self.signatures)}; got {name[:100]!r}."
                f"{nearest(name[:100], self.signatures)}"
            )
        specs = tf.nest.flatten(self.signatures[name].structured_input_signature)
        return {spec.name: spec for spec in specs}

    def draws(self, name):
        """True if there is a signature of the same by row: its noise is that of a row's number."""
        return name + BY_ROW in self.signatures

    def rows(self, name, arrays, num_rows, seed=None):
        """The call of a function of rows; of one that draws that of the rows of a seed.

        Args:
            name: of the signature.
            arrays: dict of its inputs, `[num_rows, ...]`.
            num_rows: number of rows.
            seed: int of 64 bits; None where `arrays` have the seeds, or it does not draw.
        """
        if seed is not None and self.draws(name):
            name, arrays = name + BY_ROW, {**arrays, **_numbered(seed, num_rows)}
        return Call(name, self._runner(name), arrays, num_rows)

    def samples(self, num_samples, condition, seed, temperature):
        """The call of samples.

        Args:
            num_samples: number of samples.
            condition: dict of the conditions among the inputs.
            seed: int of 64 bits.
            temperature: number.
        """
        if temperature == 1 and self.draws("sample"):
            return self.rows("sample", condition, num_samples, seed)
        if self._sample_at is not None:
            arrays = {**condition, **_numbered(seed, num_samples)}
            run = self._at(temperature)
            return Call(("sample", temperature), run, arrays, num_samples)
        arrays = {
            **condition,
            "num_samples": np.int32(num_samples),
            "seed": np.array([seed], np.int64).view(np.int32),
            "temperature": np.asarray(temperature),
        }
        return self.alone("sample", arrays, num_samples)

    def alone(self, name, arrays, num_rows=None):
        """The call of a signature as it is, beside no rows of others."""
        if num_rows is None:
            specs = self.inputs(name)
            # A first axis of one length is none of rows.
            free = [k for k in arrays if specs[k].shape.rank and specs[k].shape[0] is None]
            num_rows = max((len(arrays[k]) for k in free), default=1)
        return Call(None, self._runner(name), arrays, num_rows)

    def warm_up(self, names):
        """Calls that run functions once, on one row of zeros.

        Args:
            names: of signatures.
        """
        for name in names:
            zeros = {
                k: np.zeros([1, *spec.shape[1:]], spec.dtype.as_numpy_dtype)
                for k, spec in self.inputs(name).items()
                if k in ("x", "z", *CONDITIONS)
            }
            if name != "sample":
                yield self.rows(name, zeros, 1, seed=0)
                continue
            yield self.samples(1, zeros, 0, 1)
            if self._sample_at is not None:
                yield self.samples(1, zeros, 0, 0.5)

    def _runner(self, name):
        function, specs = self.signatures[name], self.inputs(name)

        def run(arrays):
            tensors = {k: tf.constant(v, specs[k].dtype) for k, v in arrays.items()}
            return {k: v.numpy() for k, v in function(**tensors).items()}

        return run

    def _at(self, temperature):
        specs = self._sample_at.structured_input_signature[1]

        def run(arrays):
            rows = {k: tf.constant(v) for k, v in arrays.items()}
            given = {
                "seed": tf.constant(arrays["seed"].view(np.int32).reshape(-1, 2)),
                "start": rows["row"],
                "num_rows": tf.size(rows["row"]),
                "temperature": tf.constant(temperature, specs["temperature"].dtype),
            }
            if "vector" in rows:
                given["condition"] = {k: rows[k] for k in ("label", "vector")}
            elif "condition" in rows:
                given["condition"] = rows["condition"]
            given = {k: v for k, v in given.items() if k in specs}
            return {"samples": self._sample_at(**given).numpy()}

        return run


def _numbered(seed, num_rows):
    """The seed and the number of each row, `[n]` both."""
    return {"seed": np.full(num_rows, seed, np.int64), "row": np.arange(num_rows)}

"""Served: a model as the server calls it, from Python or from a SavedModel alike."""

import json
import secrets
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgen.app.opened import open_model
from tfgen.app.serving.batching import Call
from tfgen.app.serving.tensors import as_rows
from tfgen.app.serving.tensors import as_tensors
from tfgen.core.export_metadata import FILE
from tfgen.core.export_metadata import find_export
from tfgen.core.export_metadata import read_metadata
from tfgen.core.export_signatures import BY_NAME
from tfgen.core.export_signatures import BY_ROW
from tfgen.core.export_signatures import OF_IMAGE
from tfgen.core.export_signatures import signatures
from tfgen.data.frames import import_pandas
from tfgen.data.hints import nearest
from tfgen.data.rows import label_number
from tfgen.metrics import bits_per_dim
from tfgen.utils import checks
from tfgen.utils.random import as_seed

# The one function beside the signatures: samples by row at a temperature.
_AT = "sample_at"
# Inputs with a value for each row that a caller of these endpoints does not give.
_OF_ROWS = ("seed", "row")


class Served:
    """Model as it is served: functions of tensors, and the checks of what they are given.

    Methods check what a client sends and return `Call`s, for the `Batcher` to run.

    Args:
        name: str, the model's name in addresses.
        functions: dict of concrete functions, the signatures of `tfgen.core.export` or those of
            another SavedModel.
        spec: the `DataSpec` of examples and conditions; None for a SavedModel of another origin,
            whose rows are never put beside those of others, and which has no method but `call`.
        likelihood: what `log_prob` is, as in `GenerativeModel`.
        class_names: names of the labels, or None.
        sample_at: concrete function of `seed`, `start`, `num_rows`, `temperature` and perhaps
            `condition`, a model's core by row; None where there is only the SavedModel.
        check_temperature: function that refuses temperatures that the model does not have, or None.
        version: number, as TensorFlow Serving counts versions.
        max_rows: rows of a request at most.

    >>> import tfgen
    >>> from tfgen.app.serving.served import Served
    >>> served = Served.of("flow", tfgen.RealNVP(2, num_layers=2, hidden_units=(8,)))
    >>> call, describe = served.log_prob({"x": [[0.0, 1.0], [2.0, 3.0]]})
    >>> call.num_rows, list(describe(call.run(call.rows)))
    (2, ['log_prob', 'bits_per_dim', 'likelihood'])
    >>> served.log_prob({"x": [[0.0, "one"]]})
    Traceback (most recent call last):
    ...
    ValueError: `x` must be an array of numbers; got list: encode strings as numbers
    """

    def __init__(
        self,
        name,
        functions,
        spec=None,
        likelihood="none",
        class_names=None,
        sample_at=None,
        check_temperature=None,
        version=1,
        max_rows=1024,
    ):
        self.max_rows = max_rows
        self.name, self.functions, self.spec, self.version = name, functions, spec, version
        self.likelihood, self.class_names = likelihood, class_names
        self._sample_at, self._check_temperature = sample_at, check_temperature
        if self.columns is not None:
            # Says now, not to the clients, that it is not there.
            import_pandas()

    @classmethod
    def of(cls, name, net, class_names=None, max_rows=1024):
        """A model of this process.

        Args:
            name: str.
            net: `GenerativeModel`.
            class_names: names of the labels, or None.
            max_rows: rows of a request at most.
        """
        at = net.graph_function("sample", by_row=True) if "sample" in net.signatures() else None
        return cls(
            name,
            signatures(net, class_names),
            net.data_spec.without_target(),
            net.likelihood,
            class_names,
            at,
            net._check_temperature,
            max_rows=max_rows,
        )

    @property
    def columns(self):
        """The `Columns` of a table, or None."""
        return None if self.spec is None else self.spec.columns

    @property
    def operations(self):
        """Names of the methods that the model has."""
        if self.spec is None:
            return []
        return [n for n in ("log_prob", "sample", "encode", "decode") if n in self.functions]

    # --- what clients ask for, as calls ----------------------------------------

    def call(self, name, inputs):
        """The call of a signature as it is, of inputs by their names.

        Args:
            name: of the signature.
            inputs: dict of nested lists, one for each input.

        Raises:
            ValueError: no such signature, an input that is missing, unknown or unfit.
        """
        specs = self.inputs(name)
        if name == "sample" and self.spec is not None:
            inputs = {"seed": [0, 0], "temperature": 1.0, **inputs}
        refuse_others(inputs, specs)
        for missing in specs.keys() - inputs.keys():
            raise ValueError(f"`{missing}` is missing: the signature {name!r} takes it")
        if self.spec is None:
            return self._alone(name, as_tensors(inputs, specs, finite=False))
        if name.endswith(OF_IMAGE):
            arrays = as_tensors(inputs, specs)
            # Its noise is that of the place in the batch.
            draws = name.removesuffix(OF_IMAGE) + BY_ROW in self.functions
            return Call(None if draws else name, self._runner(name), arrays, self._rows(**arrays))
        if name == "serving_default":
            name = self._default()
        elif name.endswith(BY_NAME):
            name = name.removesuffix(BY_NAME)
            name = "sample" + BY_ROW if name == "sample" else name
        if "vector" in inputs:
            condition = {k: inputs[k] for k in ("label", "vector")}
            inputs = {k: v for k, v in inputs.items() if k not in condition}
            inputs |= {"condition": condition}
        own = {k: v for k, v in inputs.items() if k not in ("x", "condition")}
        arrays = as_tensors(own, self.inputs(name))
        if name == "sample":
            num_rows = self._count(int(arrays["num_samples"]))
            temperature = checks.check_weight(float(arrays["temperature"]), "temperature")
            condition = self._condition(inputs, num_rows)
            return self._sample(num_rows, condition, _joined(arrays["seed"]), temperature)
        if "x" in inputs:
            arrays["x"] = self.spec.check_x(inputs["x"])
        num_rows = self._rows(**arrays)
        arrays |= self._condition(inputs, num_rows)
        return self._of_rows(name, arrays, num_rows, seed=None if "row" in arrays else 0)

    def log_prob(self, given):
        """Log-densities: of `x` [, `condition` or `label`, `seed`].

        Args:
            given: dict of what the client sent.

        Returns:
            Pair of the `Call` and a function from its outputs to the answer's dict.
        """
        self._require("log_prob", given, ("x", "condition", "label", "seed"))
        arrays, num_rows = self._examples(given)
        call = self._of_rows("log_prob", arrays, num_rows, _as_int64(given.get("seed", 0)))

        def describe(outputs):
            found = {"log_prob": outputs["log_prob"]}
            if self.likelihood != "manifold":
                bits = bits_per_dim(tf.constant(found["log_prob"]), self.spec.num_dims)
                found["bits_per_dim"] = np.asarray(bits)
            return {**found, "likelihood": self.likelihood}

        return call, describe

    def sample(self, given):
        """Samples: of `num_samples` [, `condition` or `label`, `temperature`, `seed`].

        Args:
            given: as in `log_prob`. Without a seed a new one is drawn, which the answer tells.

        Returns:
            As `log_prob` does.
        """
        self._require("sample", given, ("num_samples", "condition", "label", "temperature", "seed"))
        num_rows = self._count(given.get("num_samples", 1))
        condition = self._condition(given, num_rows)
        temperature = checks.check_weight(given.get("temperature", 1.0), "temperature")
        seed = given.get("seed")
        # Of as many bits as all readers of JSON have.
        seed = secrets.randbits(53) if seed is None else seed
        call = self._sample(num_rows, condition, _as_int64(seed), temperature)

        def describe(outputs):
            samples = outputs["samples"]
            if self.columns is not None:
                given = condition.get("condition")
                samples = json.loads(
                    self.columns.to_frame(samples, given).to_json(orient="records")
                )
            return {"samples": samples, "seed": seed}

        return call, describe

    def encode(self, given):
        """Latents: of `x` [, `condition` or `label`]. As `log_prob` otherwise."""
        self._require("encode", given, ("x", "condition", "label"))
        arrays, num_rows = self._examples(given)
        return self._of_rows("encode", arrays, num_rows, seed=0), dict

    def decode(self, given):
        """Examples: of `z` [, `condition` or `label`, `seed`]. As `log_prob` otherwise."""
        self._require("decode", given, ("z", "condition", "label", "seed"))
        spec = self.inputs("decode")["z"]
        arrays = {"z": as_rows(given.get("z"), spec, "z")}
        num_rows = self._rows(**arrays)
        arrays |= self._condition(given, num_rows)
        return self._of_rows("decode", arrays, num_rows, _as_int64(given.get("seed", 0))), dict

    # --- checks ----------------------------------------------------------------

    def inputs(self, name):
        """The `tf.TensorSpec`s of a signature's inputs by name.

        Raises:
            ValueError: no such signature.
        """
        if name not in self.functions:
            raise ValueError(
                f"`signature_name` must be one of {list(self.functions)}; got {name[:100]!r}."
                f"{nearest(name[:100], self.functions)}"
            )
        specs = tf.nest.flatten(self.functions[name].structured_input_signature)
        return {spec.name: spec for spec in specs}

    def _default(self):
        """The name that `serving_default` stands for."""
        return next(n for n in ("log_prob", "decode", "sample") if n in self.functions)

    def _require(self, name, given, arguments):
        if name not in self.operations:
            served = ", ".join(f"/{n}" for n in self.operations) or "/v1/models alone"
            raise ValueError(f"this model has no `{name}`; it serves {served}")
        refuse_others(given, arguments)

    def _examples(self, given):
        """Checked examples and their conditions by name, and how many there are."""
        x, condition = given.get("x"), None
        if self.columns is not None and isinstance(x, list) and x and isinstance(x[0], dict):
            x, condition = self.columns.arrays(import_pandas().DataFrame(x))
        x = self.spec.check_x(x)
        if condition is not None:
            given = {"condition": condition, **given}
        num_rows = self._rows(x=x)
        return {"x": x, **self._condition(given, num_rows)}, num_rows

    def _count(self, num_samples):
        """A number of samples, checked before there is anything of this length."""
        num_samples = checks.check_count(num_samples, "num_samples")
        if num_samples > self.max_rows:
            raise ValueError(f"`num_samples` must be at most {self.max_rows}; got {num_samples}")
        return num_samples

    def _rows(self, **arrays):
        """The number of rows of arrays by name, one for all of them."""
        checks.check_same_length(**arrays)
        name, array = next(iter(arrays.items()))
        if len(array) > self.max_rows:
            raise ValueError(f"`{name}` must have at most {self.max_rows} rows; got {len(array)}")
        return len(array)

    def _condition(self, given, num_rows):
        """Checked conditions by the names of the functions' inputs; none where there are none."""
        condition, y = given.get("condition"), self.spec.condition
        if given.get("label") is not None:
            if condition is not None:
                raise ValueError("give `condition` or `label`, not both: they are the same")
            if y is None or not y.num_classes or y.is_pair:
                raise ValueError("`label` was given, but this model is not conditional on a label")
            condition = given["label"]
        if y is not None and y.is_pair:
            if isinstance(condition, dict) and "label" in condition:
                condition = {**condition, "label": self._labels(condition["label"])}
        elif y is not None and y.num_classes:
            condition = self._labels(condition)
        elif self.columns is not None and isinstance(condition, dict):
            condition = self.columns.conditions(condition)
        checked = self.spec.check_condition(condition, num_rows)
        if checked is None:
            return {}
        return checked if isinstance(checked, dict) else {"condition": checked}

    def _labels(self, label):
        """Labels with numbers in the place of names."""
        if isinstance(label, str):
            return label_number(label, self.spec.condition.num_classes, self.class_names)
        if isinstance(label, list):
            return [self._labels(v) if isinstance(v, str) else v for v in label]
        return label

    # --- calls -----------------------------------------------------------------

    def _of_rows(self, name, arrays, num_rows, seed):
        """The call of a function of rows; of one that draws that of the rows of one seed, if that
        is given."""
        if seed is not None and name + BY_ROW in self.functions:
            name, arrays = name + BY_ROW, {**arrays, **_numbered(seed, num_rows)}
        return Call(name, self._runner(name), arrays, num_rows)

    def _sample(self, num_rows, condition, seed, temperature):
        if temperature != 1 and self._check_temperature is not None:
            self._check_temperature(temperature)
        if temperature == 1 and "sample" + BY_ROW in self.functions:
            return self._of_rows("sample", condition, num_rows, seed)
        arrays = {**condition, **_numbered(seed, num_rows)}
        if self._sample_at is not None:
            return Call((_AT, temperature), self._run_at(temperature), arrays, num_rows)
        arrays = {
            **condition,
            "num_samples": np.int32(num_rows),
            "seed": np.array([seed], np.int64).view(np.int32),
            "temperature": np.asarray(temperature),
        }
        return self._alone("sample", arrays, num_rows)

    def _alone(self, name, arrays, num_rows=None):
        if num_rows is None:
            num_rows = max((len(a) for a in arrays.values() if np.ndim(a)), default=1)
        return Call(None, self._runner(name), arrays, num_rows)

    def _runner(self, name):
        function, specs = self.functions[name], self.inputs(name)

        def run(arrays):
            tensors = {k: tf.constant(v, specs[k].dtype) for k, v in arrays.items()}
            return {k: v.numpy() for k, v in function(**tensors).items()}

        return run

    def _run_at(self, temperature):
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

    def warm_up(self):
        """Calls that run each function once, on one row of zeros."""
        for name in self.operations:
            specs = self.inputs(name)
            zeros = {
                k: np.zeros([1, *spec.shape[1:]], spec.dtype.as_numpy_dtype)
                for k, spec in specs.items()
                if k in ("x", "z", "condition", "label", "vector")
            }
            if name != "sample":
                yield self._of_rows(name, zeros, 1, seed=0)
                continue
            yield self._sample(1, zeros, 0, 1.0)
            if self._sample_at is not None:
                yield Call((_AT, 1.0), self._run_at(1.0), {**zeros, **_numbered(0, 1)}, 1)


def refuse_others(given, known):
    """Refuses names of arguments that are not known."""
    for name in given:
        if name not in known:
            raise ValueError(
                f"`{str(name)[:100]}` is no argument: they are {', '.join(known)}."
                f"{nearest(name, known)}"
            )


def _numbered(seed, num_rows):
    """The seed and the number of each row, `[n]` both."""
    return {"seed": np.full(num_rows, seed, np.int64), "row": np.arange(num_rows)}


def _as_int64(seed):
    """A seed, an integer or two of 32 bits, as one integer."""
    whole = isinstance(seed, int) and not isinstance(seed, bool)
    two = isinstance(seed, list) and len(seed) == 2 and all(type(part) is int for part in seed)
    if not whole and not two:
        raise ValueError(f"`seed` must be an integer or two integers; got {str(seed)[:100]}")
    return _joined(as_seed(seed).numpy())


def _joined(pair):
    """Two int32 as the int64 that `as_seed` divides into them."""
    return int(np.ascontiguousarray(pair, np.int32).view(np.int64)[0])


def open_served(source, name=None, max_rows=1024):
    """Opens what is to be served.

    Args:
        source: the folder of a run, a preset with weights, or the folder of a SavedModel or of its
            numbered versions, of which the latest is taken.
        name: str, its name in addresses; by default that of the folder or preset.
        max_rows: rows of a request at most.

    Returns:
        A `Served`.

    Raises:
        ValueError: it is none of these.
        OSError: it cannot be read.
    """
    name = name or Path(str(source).rstrip("/")).resolve().name
    try:
        folder = find_export(source)
    except ValueError:
        opened = open_model(source)
        return Served.of(name, opened.net, opened.class_names, max_rows)
    loaded = tf.saved_model.load(str(folder))
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(f"the SavedModel in {folder} has no signatures to serve")
    version = int(folder.name) if folder.name.isdecimal() else 1
    about = {}
    try:
        metadata = read_metadata(folder)
        about = {
            "spec": metadata.data_spec,
            "likelihood": metadata.likelihood,
            "class_names": metadata.class_names,
        }
    except ValueError:
        if (folder / FILE).exists():
            raise
    served = Served(name, functions, version=version, max_rows=max_rows, **about)
    # The weights live as long as it does.
    served.loaded = loaded
    return served

"""Served: a model as the server calls it, from Python or from a SavedModel alike."""

import secrets

import numpy as np
import tensorflow as tf

from tfgen.app.serving.functions import Functions
from tfgen.app.serving.tensors import as_rows
from tfgen.app.serving.tensors import as_tensors
from tfgen.core.export_signatures import BY_NAME
from tfgen.core.export_signatures import BY_ROW
from tfgen.core.export_signatures import OF_IMAGE
from tfgen.core.export_signatures import default_signature
from tfgen.core.export_signatures import signatures
from tfgen.data.frames import import_pandas
from tfgen.data.hints import nearest
from tfgen.data.rows import label_number
from tfgen.metrics import bits_per_dim
from tfgen.utils import checks
from tfgen.utils.random import as_seed


class Served:
    """Model as it is served: functions of tensors, and the checks of what they are given.

    Methods check what a client sends and return `Call`s, for the `Batcher` to run.

    Args:
        name: str, the model's name in addresses.
        functions: `Functions`.
        spec: the `DataSpec` of examples and conditions; None for a SavedModel of another origin,
            whose rows are never put beside those of others, and which has no method but `call`.
        likelihood: what `log_prob` is, as in `GenerativeModel`.
        class_names: names of the labels, or None.
        check_temperature: function that refuses temperatures that the model does not have, or None.
        version: number, as TensorFlow Serving counts versions.
        max_rows: rows of a request at most.

    >>> import tfgen
    >>> from tfgen.app.serving.served import Served
    >>> served = Served.of("flow", tfgen.RealNVP(2, num_layers=2, hidden_units=(8,)))
    >>> call, describe = served.log_prob({"x": [[0.0, 1.0], [2.0, 3.0]]})
    >>> call.num_rows, list(describe(call.run(call.rows)))
    (2, ['log_prob', 'bits_per_dim', 'likelihood'])
    >>> served.log_prob({"x": [[0.0, 1.0, 2.0]]})
    Traceback (most recent call last):
    ...
    ValueError: `x` must have shape [n, 2]; got [1, 3]
    """

    def __init__(
        self,
        name,
        functions,
        spec=None,
        likelihood="none",
        class_names=None,
        check_temperature=None,
        version=1,
        max_rows=1024,
    ):
        self.max_rows = max_rows
        self.name, self.functions, self.spec, self.version = name, functions, spec, version
        self.likelihood, self.class_names = likelihood, class_names
        self._check_temperature = check_temperature
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
            Functions(signatures(net, class_names), at),
            net.data_spec.without_target(),
            net.likelihood,
            class_names,
            getattr(net, "check_temperature", None),
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
        served = self.functions.signatures
        return [n for n in ("log_prob", "sample", "encode", "decode") if n in served]

    # --- what clients ask for, as calls ----------------------------------------

    def call(self, name, inputs):
        """The call of a signature as it is, of inputs by their names.

        Args:
            name: of the signature.
            inputs: dict of nested lists, one for each input.

        Raises:
            ValueError: no such signature, an input that is missing, unknown or unfit.
        """
        specs = self.functions.inputs(name)
        if name == "sample" and self.spec is not None:
            inputs = {"seed": [0, 0], "temperature": 1.0, **inputs}
        refuse_others(inputs, specs)
        for missing in specs.keys() - inputs.keys():
            raise ValueError(f"`{missing}` is missing: the signature {name!r} takes it")
        if self.spec is None:
            return self.functions.alone(name, as_tensors(inputs, specs, finite=False))
        if name != "sample":
            self._require_few(inputs)
        if name.endswith(OF_IMAGE):
            arrays = as_tensors(inputs, specs)
            num_rows = self._rows(**arrays)
            # Its noise is that of the place in the batch.
            draws = self.functions.draws(name.removesuffix(OF_IMAGE))
            make = self.functions.alone if draws else self.functions.rows
            return make(name, arrays, num_rows)
        if name == "serving_default":
            name = self._default()
        elif name.endswith(BY_NAME) and specs.keys() & {"label", "condition"}:
            # Labels that come as texts become numbers here.
            name = name.removesuffix(BY_NAME)
            name = "sample" + BY_ROW if name == "sample" else name
        if "vector" in inputs:
            condition = {k: inputs[k] for k in ("label", "vector")}
            inputs = {k: v for k, v in inputs.items() if k not in condition}
            inputs |= {"condition": condition}
        own = {k: v for k, v in inputs.items() if k not in ("x", "condition")}
        arrays = as_tensors(own, self.functions.inputs(name))
        if name == "sample":
            num_rows = self._count(int(arrays["num_samples"]))
            temperature = checks.check_weight(float(arrays["temperature"]), "temperature")
            condition = self._condition(inputs, num_rows)
            return self._samples(num_rows, condition, _joined(arrays["seed"]), temperature)
        if "x" in inputs:
            arrays["x"] = self.spec.check_x(inputs["x"])
        num_rows = self._rows(**arrays)
        arrays |= self._condition(inputs, num_rows)
        return self.functions.rows(name, arrays, num_rows, seed=None if "row" in arrays else 0)

    def log_prob(self, given):
        """Log-densities: of `x` [, `condition` or `label`, `seed`].

        Args:
            given: dict of what the client sent.

        Returns:
            Pair of the `Call` and a function from its outputs to the answer's dict.
        """
        self._require("log_prob", given, ("x", "condition", "label", "seed"))
        arrays, num_rows = self._examples(given)
        call = self.functions.rows("log_prob", arrays, num_rows, _as_int64(given.get("seed", 0)))

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
        call = self._samples(num_rows, condition, _as_int64(seed), temperature)

        def describe(outputs):
            samples = outputs["samples"]
            if self.columns is not None:
                given = condition.get("condition")
                samples = _records(self.columns.to_frame(samples, given))
            return {"samples": samples, "seed": seed}

        return call, describe

    def encode(self, given):
        """Latents: of `x` [, `condition` or `label`]. As `log_prob` otherwise."""
        self._require("encode", given, ("x", "condition", "label"))
        arrays, num_rows = self._examples(given)
        return self.functions.rows("encode", arrays, num_rows, seed=0), dict

    def decode(self, given):
        """Examples: of `z` [, `condition` or `label`, `seed`]. As `log_prob` otherwise."""
        self._require("decode", given, ("z", "condition", "label", "seed"))
        spec = self.functions.inputs("decode")["z"]
        self._require_few({"z": given.get("z")})
        arrays = {"z": as_rows(given.get("z"), spec, "z")}
        num_rows = self._rows(**arrays)
        arrays |= self._condition(given, num_rows)
        return self.functions.rows(
            "decode", arrays, num_rows, _as_int64(given.get("seed", 0))
        ), dict

    def warm_up(self):
        """Calls that run each function once."""
        return self.functions.warm_up(self.operations)

    def _samples(self, num_samples, condition, seed, temperature):
        if temperature != 1 and self._check_temperature is not None:
            self._check_temperature(temperature)
        return self.functions.samples(num_samples, condition, seed, temperature)

    # --- checks ----------------------------------------------------------------

    def _default(self):
        """The name that `serving_default` stands for."""
        return default_signature(self.functions.signatures)

    def _require(self, name, given, arguments):
        if name not in self.operations:
            served = ", ".join(f"/{n}" for n in self.operations) or "/v1/models alone"
            raise ValueError(f"this model has no `{name}`; it serves {served}")
        refuse_others(given, arguments)

    def _examples(self, given):
        """Checked examples and their conditions by name, and how many there are."""
        x, condition = given.get("x"), None
        self._require_few({"x": x})
        if self.columns is not None and isinstance(x, list):
            named = [isinstance(row, dict) for row in x]
            if any(named) and not all(named):
                row = named.index(False)
                raise ValueError(
                    "`x` must hold objects by the names of the columns, or lists of numbers, not "
                    f"both; row {row} is a {type(x[row]).__name__}"
                )
            if any(named):
                x, condition = self.columns.arrays(import_pandas().DataFrame(x))
        x = self.spec.check_x(x)
        if condition is not None:
            if given.get("condition") is not None:
                raise ValueError(
                    "`condition` was given twice: by itself, and by its columns in the rows of `x`"
                )
            given = {**given, "condition": condition}
        num_rows = self._rows(x=x)
        return {"x": x, **self._condition(given, num_rows)}, num_rows

    def _count(self, num_samples):
        """A number of samples, checked before there is anything of this length."""
        num_samples = checks.check_count(num_samples, "num_samples")
        if num_samples > self.max_rows:
            raise ValueError(f"`num_samples` must be at most {self.max_rows}; got {num_samples}")
        return num_samples

    def _require_few(self, values):
        """Refuses too many rows before anything is made of them, which may take seconds."""
        for name, value in values.items():
            if isinstance(value, list | np.ndarray) and len(value) > self.max_rows:
                raise ValueError(
                    f"`{name}` must have at most {self.max_rows} rows; got {len(value)}"
                )

    def _rows(self, **arrays):
        """The number of rows of arrays by name, one for all of them."""
        checks.check_same_length(**arrays)
        self._require_few(arrays)
        return len(next(iter(arrays.values())))

    def _condition(self, given, num_rows):
        """Checked conditions by the names of the functions' inputs; none where there are none."""
        condition, y = given.get("condition"), self.spec.condition
        if given.get("label") is not None:
            if condition is not None:
                raise ValueError("give `condition` or `label`, not both: they are the same")
            if y is not None and y.is_pair:
                raise ValueError(
                    "`label` was given, but this model is conditional on a label and a vector: "
                    'give `condition` as {"label": ..., "vector": ...}'
                )
            if y is None or not y.num_classes:
                raise ValueError("`label` was given, but this model is not conditional on a label")
            condition = given["label"]
        if y is not None and y.is_pair:
            if isinstance(condition, dict) and "label" in condition:
                condition = {**condition, "label": self._labels(condition["label"])}
        elif y is not None and y.num_classes:
            condition = self._labels(condition)
        elif self.columns is not None and isinstance(condition, dict):
            self._require_few(condition)
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
            self._require_few({"label": label})
            return [self._labels(v) if isinstance(v, str) else v for v in label]
        return label


def refuse_others(given, known):
    """Refuses names of arguments that are not known."""
    for name in given:
        if name not in known:
            raise ValueError(
                f"`{str(name)[:100]}` is no argument: they are {', '.join(known)}."
                f"{nearest(name, known)}"
            )


def _records(frame):
    """Rows of a frame as dicts of what JSON has: dates in ISO 8601, to the digits of their unit."""
    spans = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    columns = {}
    for name in frame:
        missing, values = frame[name].isna(), frame[name].astype(object)
        columns[name] = [
            None if gone else v.isoformat(timespec=spans[v.unit]) if hasattr(v, "unit") else v
            for gone, v in zip(missing, values, strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _as_int64(seed):
    """A seed, an integer or two of 32 bits, as one integer."""
    # Of longer ones readers of JSON have no digits.
    whole = type(seed) is int and -(2**63) <= seed < 2**64
    two = isinstance(seed, list) and len(seed) == 2 and all(type(part) is int for part in seed)
    if not whole and not two:
        raise ValueError(
            "`seed` must be an integer of at most 64 bits or two of 32; got " + str(seed)[:100]
        )
    return _joined(as_seed(seed).numpy())


def _joined(pair):
    """Two int32 as the int64 that `as_seed` divides into them."""
    return int(np.ascontiguousarray(pair, np.int32).view(np.int64)[0])

"""Checks of models."""

import inspect
import itertools
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tfgen.core import GenerativeModel
from tfgen.testing import copies
from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_data
from tfgen.testing.errors import require_dtype
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_shape
from tfgen.utils import checks

# Of log-densities, relative to one nat per dimension or to their size, by the dtype that networks
# compute in.
TOLERANCE = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-4, "float64": 1e-9}


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
        self.kind, self.compiled = type(model).__name__, model.compiled
        self.model = self.copy(model)
        self.compile_config = model.get_compile_config() if model.compiled else None
        if self.model._needs_adapt():
            with calling(f"{self.kind}.adapt"):
                self.model.adapt(self.x, self.condition, batch_size=len(self.x))
        copies.perturb(self.model, seed)

    def copy(self, model=None):
        """A copy of a model, by default of the one here, with its weights."""
        model = self.model if model is None else model
        copy = copies.round_trip(model)
        copies.require_arguments_kept(model, copy)
        copies.copy_weights(model, copy)
        return copy

    @property
    def can_score(self):
        """Whether `call` gives anything for rows of data."""
        return self.model.likelihood == "none" or self.model.can_sample

    @property
    def condition_tensors(self):
        """The conditions as cores take them."""
        return _each(tf.constant, self.condition)

    def batch(self):
        """The batch that players take."""
        rows = tf.range(len(self.x), dtype=tf.int64)
        batch = {"x": tf.constant(self.x), "row": rows}
        if self.y is not None:
            batch[self.model.data_spec.role] = _each(tf.constant, self.y)
        return batch

    def core(self, name, **arguments):
        """What a core gives eagerly, with the arguments that its signature asks for."""
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


# ------------------------------------------------------------------------------------ assertions


def assert_hooks(case):
    """Each hook of the family, called eagerly, gives what it should.

    Args:
        case: `Case`.
    """
    model, kind, num_rows = case.model, case.kind, len(case.x)
    real, latents = model.variable_dtype, model.latent_shape
    x, condition, one = tf.constant(case.x), case.condition_tensors, tf.constant(1.0, real)
    rows = tf.constant([case.seed, 0]), tf.constant(0, tf.int64), num_rows
    if model.likelihood != "none" and model.can_sample:
        with calling(f"{kind}._log_prob_noise"):
            noise = model._log_prob_noise(*rows)
        _require_rows(f"{kind}._log_prob_noise", model._log_prob_noise, rows)
        name = f"{kind}._log_weight"
        with calling(name):
            log_weight = model._log_weight(x, condition, noise)
        _require_numbers(name, "what it gives", log_weight, (num_rows,), "[batch]", real)
    if model.can_sample:
        with calling(f"{kind}._sample_noise"):
            noise = model._sample_noise(*rows)
        _require_rows(f"{kind}._sample_noise", model._sample_noise, rows)
        with calling(f"{kind}._generate"):
            drawn = model._generate(noise, condition, one)
        _require_examples(case, f"{kind}._generate", "what it gives", drawn)
    if case.can_score:
        name, shape = f"{kind}._outputs", (num_rows, *model._output_event_shape)
        outputs = case.core("outputs")
        require_shape(name, "what it gives", outputs, shape, "[batch, *_output_event_shape]")
        require_finite(name, "what it gives", outputs)
    if latents is not None:
        z = tf.zeros([num_rows, *latents], real)
        if model._has_encoder:
            z, words = case.core("encode"), "[batch, *latent_shape]"
            name = f"{kind}._encode"
            _require_numbers(name, "latents", z, (num_rows, *latents), words, real)
        decoded = case.core("decode", z=z)
        _require_examples(case, f"{kind}._decode", "what it gives", decoded)


def assert_players(case):
    """Players have a loss and the terms that are named; each trainable weight belongs to one.

    Args:
        case: `Case`.
    """
    model, kind, found = case.model, case.kind, set()
    for player in model.players:
        name = _terms_name(case, player)
        with calling(name):
            terms = player.terms(case.batch(), tf.constant([case.seed, 1]), True)
        require(
            isinstance(terms, dict) and "loss" in terms,
            f'`{name}` must give a dict of terms, "loss" among them; got '
            f"{sorted(terms) if isinstance(terms, dict) else type(terms).__name__}",
        )
        for term, value in terms.items():
            value = tf.convert_to_tensor(value)
            shape = (len(case.x),) if value.shape.rank else ()
            require_shape(name, f'the term "{term}"', value, shape, "[batch]")
            require_finite(name, f'the term "{term}"', value)
        found |= set(terms) - {"loss"}
    unnamed, missing = sorted(found - set(model.term_names)), set(model.term_names) - found
    require(
        not unnamed and not missing,
        f"`{kind}._term_names` must name the terms beside the loss, {sorted(found)}; got "
        f"{list(model.term_names)}",
    )
    owners = {}
    for player, variable in ((p, v) for p in model.players for v in p.variables):
        first = owners.setdefault(id(variable), player)
        require(
            first is player,
            f"`{kind}._other_players`: the weight {variable.path} belongs to two players, "
            f"`{first.name}` and `{player.name}`",
        )
    for variable in keras.Model.trainable_variables.fget(model):
        require(
            id(variable) in owners,
            f"`{kind}._other_players`: the weight {variable.path} belongs to no player",
        )


def assert_gradients(case):
    """Each trainable weight of a player has a finite gradient of the player's loss.

    Args:
        case: `Case`.
    """
    for player in case.model.players:
        name, weights = _terms_name(case, player), player.variables
        with calling(name), tf.GradientTape() as tape:
            terms = player.terms(case.batch(), tf.constant([case.seed, 1]), True)
            loss = tf.reduce_mean(terms["loss"])
            loss += sum(tf.cast(extra, loss.dtype) for extra in player.losses)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            require(
                gradient is not None,
                f"`{name}`: the weight {weight.path} gets no gradient of the loss. Use it there, "
                "as a tensor, or add it with `trainable=False`",
            )
            gradient = tf.convert_to_tensor(gradient)
            require_finite(name, f"the gradient of {weight.path}", gradient)


def outputs(model, x, condition=None, **arguments):
    """What `call` gives of examples: log-densities, or, where there are none, reconstructions or
    scores of a critic.

    Args:
        model: `GenerativeModel`.
        x: `[n, *event_shape]`.
        condition: as of `log_prob`.
        **arguments: of `log_prob`.
    """
    if model.likelihood != "none":
        return model.log_prob(x, condition, **arguments)
    if hasattr(model, "critic_score"):
        return model.critic_score(x, condition, **arguments)
    arguments.pop("seed", None)
    return model.reconstruct(x, condition, **arguments)


def assert_outputs(case, tolerance=None):
    """Log-densities have their shape, do not depend on chunks, and are what `call` and `predict`
    give; so have reconstructions and scores where there are none.

    Args:
        case: `Case`.
        tolerance: relative; by default that of the dtype.
    """
    model, x, condition = case.model, case.x, case.condition
    name = f"{case.kind}.log_prob" if model.likelihood != "none" else f"{case.kind}.call"
    with calling(name):
        expected = outputs(model, x, condition, seed=case.seed)
    require_shape(name, "what it gives", expected, (len(x), *model._output_event_shape))
    require_finite(name, "what it gives", expected)
    if model.likelihood != "none":
        require_dtype(name, "what it gives", expected, model.variable_dtype)
    for size in (1, 3):
        with calling(name):
            got = outputs(model, x, condition, seed=case.seed, batch_size=size)
        what = f"batch_size={size} must give what one batch gives: rows must not see each other"
        require_same(case, name, what, got, expected, tolerance)
    expected = outputs(model, x, condition, seed=0)
    inputs = x if condition is None else (x, condition)
    tensors = tf.constant(x) if condition is None else (tf.constant(x), case.condition_tensors)
    with calling(f"{case.kind}.call"):
        called = model(tensors)
    require_same(case, f"{case.kind}.call", f"must give what `{name}` does", called, expected)
    with calling(f"{case.kind}.compute_output_shape"):
        shape = tuple(model.compute_output_shape((None, *model.event_shape)))
    require(
        shape == (None, *called.shape[1:]),
        f"`{case.kind}.compute_output_shape` must give that of `call`, "
        f"{(None, *called.shape[1:])}; got {shape}",
    )
    name = f"{case.kind}.predict"
    with calling(name):
        predicted = model.predict(inputs, batch_size=3, verbose=0)
    require_same(case, name, "must give what `call` does", predicted, called, tolerance)


def assert_samples(case, num_samples=32):
    """Samples have the data's type and range, follow the seed and nothing else, and are the mode at
    temperature 0.

    Args:
        case: `Case`.
        num_samples: number of samples.
    """
    model, name = case.model, f"{case.kind}.sample"
    condition = _each(lambda a: a[0], case.condition)

    def sample(num_samples=num_samples, **arguments):
        with calling(name):
            return np.asarray(model.sample(num_samples, condition, **arguments))

    first = sample(seed=5)
    shape = (num_samples, *model.event_shape)
    kind = model.data_kind, model.num_bits, model.variable_dtype
    require_data(name, "samples", first, shape, *kind)
    require(
        np.array_equal(sample(seed=5), first),
        f"`{name}`: the same seed must give the same samples: `_sample_noise` is to make its noise "
        "of `seed`, and `_generate` draws none",
    )
    require(
        not np.array_equal(sample(seed=6), first),
        f"`{name}` gives the same samples for the seeds 5 and 6: `_sample_noise` is to make its "
        "noise of `seed`, and `_generate` the samples of `noise`",
    )
    require(
        not np.array_equal(sample(), sample()),
        f"`{name}` gives the same samples twice without a seed",
    )
    for size in (1, 5):
        few = sample(8, seed=5, batch_size=size)
        what = f"batch_size={size} must give the samples of one batch: noise is that of the row"
        require_same(case, name, what, few, first[:8], examples=True)
    for count in (1, 3):
        what = f"the first {count} of {num_samples} samples must be those of {count} samples"
        require_same(case, name, what, sample(count, seed=5), first[:count], examples=True)
    part = model._latents_from and getattr(model, model._latents_from)
    if not part or part.allows_temperature:
        mode = sample(2, seed=5, temperature=0.0)
        what = "at temperature 0 samples must be the mode, all the same"
        require_same(case, name, what, mode[0], mode[1], examples=True)
        what = "at temperature 0 the seed must not count"
        other = sample(2, seed=6, temperature=0.0)
        require_same(case, name, what, other, mode, examples=True)
    if condition is not None:
        repeated = _each(lambda a: np.repeat(a[:1], 4, 0), case.condition)
        with calling(name):
            got = model.sample(4, repeated, seed=5)
        what = "one condition for all must be the same as that one for each"
        require_same(case, name, what, got, first[:4], examples=True)


def assert_fits(case, epochs=2):
    """`fit` runs, logs the terms by name, moves weights and leaves them finite; so does `evaluate`.

    The model of the case is trained by it.

    Args:
        case: `Case`.
        epochs: number of passes over the rows.
    """
    model, kind = case.model, case.kind
    with calling(f"{kind}.compile"):
        if case.compile_config is None:
            model.compile()
        else:
            model.compile_from_config(case.compile_config)
    before = [v.numpy() for p in model.players for v in p.variables]
    # The last batch is a smaller one.
    size = len(case.x) // 2 + 1
    with calling(f"{kind}.fit"):
        history = model.fit(case.x, case.y, batch_size=size, epochs=epochs, verbose=0).history
    with calling(f"{kind}.evaluate"):
        results = model.evaluate(case.x, case.y, batch_size=size, verbose=0, return_dict=True)
    for name, logs in ((f"{kind}.fit", history), (f"{kind}.evaluate", results)):
        expected = ["loss", *model.term_names]
        require(
            set(expected) <= set(logs),
            f"`{name}` must log the loss and `term_names`, {expected}; got {sorted(logs)}",
        )
        for term, value in logs.items():
            require_finite(name, f"`{term}`", value)
    for weight in model.weights:
        require_finite(f"{kind}.fit", f"the weight {weight.path}", weight)
    after = [v.numpy() for p in model.players for v in p.variables]
    require(
        not before or not all(map(np.array_equal, before, after)),
        f"`{kind}.fit` changed no weight",
    )


def assert_saves(case, folder):
    """A `.keras` file gives back a model that scores and samples as the one saved.

    Args:
        case: `Case`.
        folder: where the file is written.
    """
    model, kind, path = case.model, case.kind, pathlib.Path(folder) / "model.keras"
    with calling(f"{kind}.save"):
        model.save(path)
    with calling("keras.models.load_model"):
        loaded = keras.models.load_model(path)
    name = f"{kind}.save"
    require(
        loaded.compiled == model.compiled,
        f"`{name}`: a model that was {'' if model.compiled else 'not '}compiled must be so loaded",
    )
    one, other = (_figures(case, m) for m in (model, loaded))
    for figure, value in one.items():
        what = f"a loaded model must give the same {figure}"
        require_same(case, name, what, other[figure], value, examples=figure == "samples")
    for player, again in zip(model.players, loaded.players, strict=True):
        if model.compiled:
            require(
                int(again.optimizer.iterations) == int(player.optimizer.iterations),
                f"`{name}`: the optimizer of `{player.name}` must be saved with its state; it "
                f"made {int(player.optimizer.iterations)} steps and comes back with "
                f"{int(again.optimizer.iterations)}",
            )


def assert_exports(case, folder):
    """The SavedModel gives, for the same seed, what the methods give.

    Args:
        case: `Case`.
        folder: where it is written.
    """
    model, kind, path = case.model, case.kind, pathlib.Path(folder) / "export"
    with calling(f"{kind}.export"):
        model.export(path, verbose=False)
        served = tf.saved_model.load(str(path)).signatures
    require(
        set(served) == set(model.signatures()),
        f"`{kind}.export` must serve {sorted(model.signatures())}; got {sorted(served)}",
    )
    seed, x = tf.constant([case.seed, 0]), tf.constant(case.x)
    condition = case.condition_tensors
    condition = condition if isinstance(condition, dict) else {"condition": condition}
    condition = {k: v for k, v in condition.items() if v is not None}
    given = {
        "log_prob": {"x": x, "seed": seed},
        "sample": {
            "num_samples": tf.constant(len(x)),
            "seed": seed,
            "temperature": tf.constant(1.0, model.variable_dtype),
        },
        "encode": {"x": x},
    }
    expected = _figures(case, model)
    for name in model.signatures():
        if name not in given:
            continue
        with calling(f"{kind}.export, the signature {name}"):
            (got,) = served[name](**given[name], **condition).values()
        figure = "samples" if name == "sample" else name
        if figure in expected:
            what = f"the signature `{name}` must give what the method gives"
            same = {"examples": name != "log_prob"}
            require_same(case, f"{kind}.export", what, got, expected[figure], **same)


# --------------------------------------------------------------------------------------- helpers


def require_same(case, name, what, got, expected, tolerance=None, examples=None):
    """Checks that figures of a model are the same but for rounding.

    Log-densities are compared relative to one nat per dimension or to their size. Examples of
    integers may differ by a level in few places, where a value falls beside the edge of its bin.

    Args:
        case: `Case`.
        name: of the method.
        what: sentence of what should be the same.
        got: array.
        expected: array.
        tolerance: relative; by default that of the dtype.
        examples: whether these are examples; by default, if the outputs of `call` are.
    """
    model = case.model
    if examples is None:
        examples = bool(model._output_event_shape)
    tolerance = TOLERANCE[model.dtype_policy.compute_dtype] if tolerance is None else tolerance
    got, expected = np.asarray(got, "float64"), np.asarray(expected, "float64")
    require(
        got.shape == expected.shape,
        f"`{name}`: {what}; the shapes are {list(got.shape)} and {list(expected.shape)}",
    )
    if examples and model.data_kind != "real":
        level = 1 if model.data_kind == "binary" else 256 >> model.num_bits
        wrong = got != expected
        same = np.abs(got - expected).max() <= level and wrong.mean() <= max(0.01, tolerance)
        at = np.argwhere(wrong)
    else:
        size = np.maximum(1 if examples else model.num_dims, np.abs(expected))
        # Through a map and back examples lose digits.
        wrong = ~(np.abs(got - expected) <= (10 if examples else 1) * tolerance * size)
        same, at = not wrong.any(), np.argwhere(wrong)
    if not same:
        at = tuple(int(i) for i in at[0])
        raise CheckError(
            f"`{name}`: {what}; at {list(at)} the one is {got[at]:.8g}, the other "
            f"{expected[at]:.8g}"
        )


def _each(function, condition):
    """A function of each part of a condition; None where there is none."""
    return None if condition is None else tf.nest.map_structure(function, condition)


def _figures(case, model):
    """Figures by which a model and its copies are compared."""
    found = {}
    if case.can_score:
        name = "log_prob" if model.likelihood != "none" else "outputs"
        found[name] = outputs(model, case.x, case.condition, seed=case.seed)
    if model.can_sample:
        found["samples"] = model.sample(len(case.x), case.condition, seed=case.seed)
    if "encode" in model.signatures():
        found["encode"] = model.encode(case.x, case.condition)
    return found


def _terms_name(case, player):
    """The name of the hook that gives a player's terms."""
    if player is not case.model.players[0]:
        return f"{case.kind}, the terms of the player `{player.name}`"
    own = type(case.model)._batch_terms is not GenerativeModel._batch_terms
    return f"{case.kind}.{'_batch_terms' if own else '_terms'}"


def _require_numbers(name, what, value, shape, words, dtype):
    require_shape(name, what, value, shape, words)
    require_dtype(name, what, value, dtype)
    require_finite(name, what, value)


def _require_examples(case, name, what, value):
    model = case.model
    kind = model.data_kind, model.num_bits, model.variable_dtype
    require_data(name, what, value, case.x.shape, *kind)


def _require_rows(name, noise, rows):
    """Noise depends on the seed and the row alone."""
    seed, _, num_rows = rows
    with calling(name):
        whole = tf.nest.flatten(noise(seed, tf.constant(0, tf.int64), num_rows))
        part = tf.nest.flatten(noise(seed, tf.constant(1, tf.int64), num_rows - 1))
    for a, b in itertools.zip_longest(whole, part):
        if a is None:
            continue
        require(
            len(a.shape) > 0 and (a.shape[0], b.shape[0]) == (num_rows, num_rows - 1),
            f"`{name}` must have as many rows as are asked for, {num_rows} and {num_rows - 1}; got "
            f"shapes {list(a.shape)} and {list(b.shape)}",
        )
        require(
            np.array_equal(a[1:], b),
            f"`{name}`: a row's noise must depend on the seed and on its number, `start` and on; "
            "rows from the second on have another one when the first is left out",
        )

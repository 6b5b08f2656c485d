"""Checks of what models give: their hooks, log-densities and samples."""

import functools

import numpy as np
import tensorflow as tf

from tfgen.testing.errors import CheckError
from tfgen.testing.errors import calling
from tfgen.testing.errors import require
from tfgen.testing.errors import require_data
from tfgen.testing.errors import require_dtype
from tfgen.testing.errors import require_finite
from tfgen.testing.errors import require_noise_of_rows
from tfgen.testing.errors import require_reals
from tfgen.testing.errors import require_shape
from tfgen.testing.tolerances import TOLERANCE


def assert_hooks(case):
    """Each hook of the family, called eagerly, gives what it should.

    Args:
        case: `Case`.
    """
    model, kind, num_rows = case.model, case.kind, len(case.x)
    real, latents = model.variable_dtype, model.latent_shape
    x, condition, one = tf.constant(case.x), case.condition_tensors, tf.constant(1.0, real)
    seed, start = tf.constant([case.seed, 0]), tf.constant(0, tf.int64)
    if model.has_likelihood and model.can_sample:
        name, noise = f"{kind}._log_prob_noise", functools.partial(model._log_prob_noise, seed)
        require_noise_of_rows(name, noise)
        noise = noise(start, num_rows)
        name = f"{kind}._log_weight"
        with calling(name):
            log_weight = model._log_weight(x, condition, noise)
        require_reals(name, "what it gives", log_weight, (num_rows,), "[batch]", real)
    if model.can_sample:
        name, noise = f"{kind}._sample_noise", functools.partial(model._sample_noise, seed)
        require_noise_of_rows(name, noise)
        name = f"{kind}._generate"
        with calling(name):
            drawn = model._generate(noise(start, num_rows), condition, one)
        require_data(name, "what it gives", drawn, x.shape, model)
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
            require_reals(name, "latents", z, (num_rows, *latents), words, real)
        decoded = case.core("decode", z=z)
        require_data(f"{kind}._decode", "what it gives", decoded, x.shape, model)


def outputs(model, x, condition=None, **arguments):
    """Log-densities or, where there are none, what `call` gives: reconstructions, scores.

    Args:
        model: `GenerativeModel`.
        x: `[n, *event_shape]`.
        condition: as of `log_prob`.
        **arguments: of `log_prob`.
    """
    if model.has_likelihood:
        return model.log_prob(x, condition, **arguments)
    settings = {"batch_size": 256, "seed": 0, **arguments}
    return model._map_examples("outputs", x, condition, **settings)


def assert_outputs(case, tolerance=None):
    """Log-densities have their shape, do not depend on chunks, and are what `call` and `predict`
    give; so have reconstructions and scores where there are none.

    Args:
        case: `Case`.
        tolerance: relative; by default that of the dtype.
    """
    model, x, condition = case.model, case.x, case.condition
    name = f"{case.kind}.log_prob" if model.has_likelihood else f"{case.kind}.call"
    with calling(name):
        expected = outputs(model, x, condition, seed=case.seed)
    require_shape(name, "what it gives", expected, (len(x), *model._output_event_shape))
    require_finite(name, "what it gives", expected)
    if model.has_likelihood:
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
    model, name, condition = case.model, f"{case.kind}.sample", None
    if case.condition is not None:
        condition = tf.nest.map_structure(lambda a: a[0], case.condition)

    def sample(num_samples=num_samples, **arguments):
        with calling(name):
            return np.asarray(model.sample(num_samples, condition, **arguments))

    first = sample(seed=5)
    shape = (num_samples, *model.event_shape)
    require_data(name, "samples", first, shape, model)
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
        repeated = tf.nest.map_structure(lambda a: np.repeat(a[:1], 4, 0), case.condition)
        with calling(name):
            got = model.sample(4, repeated, seed=5)
        what = "one condition for all must be the same as that one for each"
        require_same(case, name, what, got, first[:4], examples=True)


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
    if examples and not model.data_spec.is_real:
        level = 1 if model.data_kind == "binary" else 256 >> model.num_bits
        wrong = got != expected
        same = np.abs(got - expected).max() <= level and wrong.mean() <= max(0.01, tolerance)
        at = np.argwhere(wrong)
    else:
        size = np.maximum(1 if examples else model.num_dims, np.abs(expected))
        # Through a map and back examples lose digits.
        wrong = ~(np.abs(got - expected) <= (10 if examples else 1) * tolerance * size)
        if examples and model.data_spec.columns is not None:
            whole = model.data_spec.columns.ranges()[2]
            beside = wrong & whole & (np.abs(got - expected) == 1)
            wrong &= ~beside if beside.mean() <= 0.01 else True
        same, at = not wrong.any(), np.argwhere(wrong)
    if not same:
        at = tuple(int(i) for i in at[0])
        raise CheckError(
            f"`{name}`: {what}; at {list(at)} the one is {got[at]:.8g}, the other "
            f"{expected[at]:.8g}"
        )

"""Functions are traced once: not anew for a second fit, nor for other numbers of rows."""

import collections

import keras
import pytest
import zoo

# What runs in Python while a graph is made of a step, a density, or samples.
HOOKS = ("_terms", "_log_weight", "_generate")
SHORT = ("realnvp_2", "vae", "gan")


def counted(model):
    """Counts the calls of a model's hooks: those of graphs are made in Python once."""
    counts = collections.Counter()

    def count(name, hook):
        def counting(*args, **kwargs):
            counts[name] += 1
            return hook(*args, **kwargs)

        return counting

    for name in HOOKS:
        setattr(model, name, count(name, getattr(model, name)))
    return counts


def use(model, x, y, num_rows):
    some = x[:num_rows], None if y is None else y[:num_rows]
    settings = {"batch_size": 4, "verbose": 0}
    model.fit(*some, epochs=2, validation_data=some, **settings)
    model.evaluate(*some, **settings)
    condition = None if model.data_spec.condition is None else some[1]
    if model.likelihood not in ("none", "unnormalised"):
        model.log_prob(some[0], condition)
    if model.can_sample:
        model.sample(num_rows, condition, seed=0)
        model.sample(num_rows, condition, temperature=0.5)


@pytest.mark.parametrize("name", zoo.but_slow(SHORT, {*SHORT, "glow_classes", "pixelcnn", "rbm"}))
def test_nothing_is_traced_twice(name):
    keras.utils.set_random_seed(0)
    model = zoo.MODELS[name].build()
    model.compile()
    counts = counted(model)
    x, y = zoo.make_data(model)
    use(model, x, y, 11)
    first = dict(counts)
    assert sum(first.values()) > 0
    use(model, x, y, 10)
    assert dict(counts) == first
    # A step, and one with the batch's size left open; the objective may ask for the density.
    assert first.get("_terms", 0) <= 6 and first.get("_generate", 0) <= 6

"""Drawing from a NADE beside loops that do for each value what was done for those before it.

    python benchmarks/nade_sampling.py

One loop runs the model once for each value, the other one product: that of all earlier values with
the weights. All are compiled, and draw from the same noise. Prints seconds, their ratio, and how
many values differ: rounding differs, so a value whose probability lies within it of its noise may.
"""

import argparse

import keras
import tensorflow as tf
from pixelcnn_sampling import seconds

import tfgen


def by_model(model, x, i):
    """Outputs for value `i`, of a pass for all."""
    return model._params(x, None)[:, i]


def by_product(model, x, i):
    """Outputs for value `i`, its hidden layer from all values before it."""
    seen = tf.cast(tf.range(model.num_dims) < i, x.dtype)
    state = model._start(None) + tf.matmul(x * seen, tf.convert_to_tensor(model.kernel))
    return model._params_at(state, i)


def draw_naively(model, noise, params):
    """One value after the other, in the natural order, by `params(model, x, i)`."""
    size = model.num_dims

    def body(i, x):
        value = model.element.sample(noise[:, i], params(model, x, i))
        here = tf.one_hot(i, size, dtype=x.dtype)
        return i + 1, x + here * (model.element.inputs(value) - x)

    start = tf.zeros([tf.shape(noise)[0], size])
    x = tf.while_loop(lambda i, x: i < size, body, (tf.constant(0), start))[1]
    return model._events(tf.cast(x > 0, tf.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--batch", type=int, default=10)
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = tfgen.NADE((args.side, args.side, 1), args.units)
    # Away from its start, where all values are likely to be alike.
    for weight in model.trainable_variables:
        weight.assign_add(0.1 * tf.random.normal(weight.shape))
    noise = model._sample_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), args.batch)
    temperature = tf.ones([])
    quick = tf.function(lambda: model._generate(noise, None, temperature), autograph=False)
    ours, drawn = seconds(quick, 3)
    for name, params in (("the product", by_product), ("the model", by_model)):
        naive = tf.function(lambda p=params: draw_naively(model, noise, p), autograph=False)
        theirs, expected = seconds(naive, 1)
        print(
            f"{ours:.3f} s; {name} once for each value: {theirs:.2f} s, {theirs / ours:.1f} times "
            f"as long; {(drawn != expected).sum()} of {drawn.size} values differ",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Drawing from a PixelCNN beside the usual loop, which runs the network once for each pixel.

    python benchmarks/pixelcnn_sampling.py

Both are compiled, and draw from the same noise. Prints seconds, their ratio, and how many pixels
differ: rounding differs, so a pixel whose probability lies within it of its noise may.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import tfgen


def draw_naively(observation, noise):
    """One pixel after the other, in raster order."""
    height, width, channels = observation.event_shape
    places = tf.reshape(tf.range(height * width), [height, width, 1])

    def body(i, x):
        params = observation._params(observation.network(observation.inputs(x), context=None))
        return i + 1, tf.where(places == i, observation.element.sample(noise, params), x)

    start = tf.zeros([tf.shape(noise)[0], height, width, channels], tf.uint8)
    return tf.while_loop(lambda i, x: i < height * width, body, (tf.constant(0), start))[1]


def seconds(function, rounds):
    """Seconds of the quickest call but the first, which compiles; and the result."""
    result, times = function(), []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function().numpy()
        times.append(time.perf_counter() - start)
    return min(times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, nargs="+", default=[12, 64])
    parser.add_argument("--networks", nargs="+", default=["residual", "gated"])
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    shape = (args.side, args.side, 1)
    x = np.random.default_rng(0).integers(2, size=(args.batch, *shape))
    for network in args.networks:
        for filters in args.filters:
            keras.utils.set_random_seed(0)
            model = tfgen.PixelCNN(shape, filters, network=network)
            model.adapt(x)
            # Away from its start, where all pixels are likely to be alike.
            for weight in model.trainable_variables:
                weight.assign_add(0.1 * tf.random.normal(weight.shape))
            rows = tf.constant([1, 2]), tf.constant(0, tf.int64), args.batch
            noise = model._sample_noise(*rows)
            observation = model.observation
            quick = tf.function(lambda o=observation, n=noise: o.sample(n, None))
            naive = tf.function(lambda o=observation, n=noise: draw_naively(o, n))
            (ours, drawn), (theirs, expected) = seconds(quick, 3), seconds(naive, 1)
            print(
                f"{network}, {filters} filters: {ours:.3f} s, pixel by pixel {theirs:.2f} s, "
                f"{theirs / ours:.0f} times as fast; {(drawn != expected).sum()} of "
                f"{drawn.size} pixels differ",
                flush=True,
            )


if __name__ == "__main__":
    main()

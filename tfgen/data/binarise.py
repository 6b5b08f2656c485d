"""Grey images as black and white ones."""

import dataclasses

import numpy as np

WAYS = ("static", "dynamic")


def binarise(data, way):
    """Makes binary data of grey levels: a pixel is 1 with probability `level / 255`.

    Args:
        data: `Data` of kind `"uint8"`; binary data stay as they are.
        way: `"static"`, where all images are drawn once, alike in every run; or `"dynamic"` (Burda
            et al. 2016), where the training images stay probabilities, from which `fit` draws
            afresh in every step, and those of other splits are drawn once. Likelihoods of the one
            are not comparable with those of the other.

    Returns:
        A `Data` of kind `"binary"`.

    Raises:
        ValueError: `way` is another name, or `data` are of another kind.

    References:
        Burda et al., Importance Weighted Autoencoders, 2016, arXiv:1509.00519.

    >>> from tfgen.data import load
    >>> data = load("digits", binarise="static")
    >>> data, int(data.train[0].max())
    (Data('digits', binary (static) [8, 8, 1], 1500 train, 297 test, 10 classes), 1)
    """
    if way not in WAYS:
        raise ValueError(f"binarise: expected one of {list(WAYS)} or None, got {way!r}")
    if data.kind == "binary":
        if way == "dynamic":
            raise ValueError(
                f"binarise: {data.name!r} holds 0 and 1 already, and no probabilities to draw from "
                'in each step; leave `binarise` out, or give "static"'
            )
        return dataclasses.replace(data, binarised=way)
    if data.kind != "uint8":
        raise ValueError(
            f"binarise: {data.name!r} must have grey levels 0..255 (uint8); it is {data.kind}"
        )
    # One for all runs, or their figures were of other images.
    rng = np.random.default_rng(0x62696E)
    (x_test, y_test), (x, y) = data.test, data.train
    test = _draw(x_test, rng)
    x = (x / np.float32(255)).astype(np.float32) if way == "dynamic" else _draw(x, rng)
    splits = {"train": (x, y), "test": (test, y_test)}
    if data.validation is not None:
        # Last: the draws of the others are those of data without such a split.
        splits["validation"] = _draw(data.validation[0], rng), data.validation[1]
    return dataclasses.replace(data, kind="binary", binarised=way, **splits)


def draw_bits(x, seed=0):
    """Draws binary data from probabilities of 1.

    Args:
        x: numpy array: floats in [0, 1] are probabilities; integers and bools are binary data
            already.
        seed: non-negative int, of the draws.

    Returns:
        uint8 array of the shape of `x` from probabilities; else `x` itself.

    >>> import numpy as np
    >>> draw_bits(np.array([0.0, 1.0])).tolist()
    [0, 1]
    """
    if x.dtype.kind != "f":
        return x
    rng = np.random.default_rng(seed)
    return (rng.random(x.shape, np.float32) < x).astype(np.uint8)


def _draw(x, rng):
    # In parts: the random numbers take eight times the room of the images.
    parts = np.array_split(x, max(1, len(x) // 1000))
    return np.concatenate(
        [(255 * rng.random(part.shape) < part).astype(np.uint8) for part in parts]
    )

"""The 64 pixels of scikit-learn's digits as reals, for every library alike."""

import numpy as np
from sklearn.datasets import load_digits

NUM_TRAIN = 1500


def digits(split="train"):
    """The 64 pixels, 17 levels each, with uniform noise and through a logit; those after the first
    1,500 are the test's."""
    levels = load_digits().data
    levels = levels[:NUM_TRAIN] if split == "train" else levels[NUM_TRAIN:]
    noise = np.random.default_rng(len(levels)).uniform(size=levels.shape)
    part = 0.05 + 0.9 * (levels + noise) / 17
    return np.log(part / (1 - part)).astype("float32")

"""Generated 2-D sets, as the flow literature uses them, roughly within [-4, 4].

Every function takes the number of points and a non-negative int as seed, and returns float32
[num_samples, 2]; equal seeds give equal points. The shapes and noise levels follow FFJORD
(Grathwohl et al., FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models,
2019, arXiv:1810.01367, `lib/toy_data.py`).
"""

import numpy as np


def _start(num_samples, seed):
    if not isinstance(num_samples, int | np.integer) or num_samples < 1:
        raise ValueError(f"num_samples: expected a positive int, got {num_samples!r}")
    return np.random.default_rng(seed)


def _points(x, y):
    return np.stack([x, y], axis=-1).astype(np.float32)


def two_moons(num_samples, seed=0):
    """Two interleaved half circles of radius 2.

    >>> two_moons(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    angle = rng.uniform(0, np.pi, num_samples)
    upper = rng.integers(2, size=num_samples) == 1
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    noise = rng.normal(scale=0.1, size=(2, num_samples))
    return _points(2 * (x + noise[0]) - 1, 2 * (y + noise[1]) - 0.2)


def rings(num_samples, seed=0):
    """Four concentric rings of radius 0.75, 1.5, 2.25 and 3, equally many points on each.

    >>> rings(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    angle = rng.uniform(0, 2 * np.pi, num_samples)
    radius = 0.75 * rng.integers(1, 5, num_samples)
    noise = rng.normal(scale=0.08, size=(2, num_samples))
    return _points(radius * np.cos(angle) + noise[0], radius * np.sin(angle) + noise[1])


def pinwheel(num_samples, seed=0):
    """Five curved arms.

    >>> pinwheel(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    along = 1 + 0.3 * rng.normal(size=num_samples)
    across = 0.1 * rng.normal(size=num_samples)
    arm = rng.integers(5, size=num_samples)
    # The farther out, the farther round: this bends the arms.
    angle = 2 * np.pi * arm / 5 + 0.25 * np.exp(along)
    x = across * np.sin(angle) + along * np.cos(angle)
    y = across * np.cos(angle) - along * np.sin(angle)
    return _points(2 * x, 2 * y)


def checkerboard(num_samples, seed=0):
    """Uniform on eight squares of side 2 of a 4 by 4 board over [-4, 4] x [-4, 4].

    The square around (1, 1) is filled, so the density is 1/32 there and 0 around (-1, 1).

    >>> checkerboard(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    x = rng.uniform(-2, 2, num_samples)
    row = rng.integers(2, size=num_samples) * 2 - 2 + np.floor(x) % 2
    return _points(2 * x, 2 * (row + rng.uniform(0, 1, num_samples)))


def spirals(num_samples, seed=0):
    """Two spirals of one and a half turns, each the other one turned by half a circle.

    >>> spirals(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    # The square root spreads the points evenly along the spiral.
    angle = np.sqrt(rng.uniform(size=num_samples)) * 3 * np.pi
    side = rng.integers(2, size=num_samples) * 2 - 1
    width = rng.uniform(0, 0.5, size=(2, num_samples))
    noise = rng.normal(scale=0.1, size=(2, num_samples))
    x = side * (-np.cos(angle) * angle + width[0]) / 3 + noise[0]
    y = side * (np.sin(angle) * angle + width[1]) / 3 + noise[1]
    return _points(x, y)


def eight_gaussians(num_samples, seed=0):
    """Eight equal normals (standard deviation 0.5 / sqrt 2) on a circle of radius 4 / sqrt 2.

    >>> eight_gaussians(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    angle = 2 * np.pi * rng.integers(8, size=num_samples) / 8
    noise = 0.5 * rng.normal(size=(2, num_samples))
    x, y = 4 * np.cos(angle) + noise[0], 4 * np.sin(angle) + noise[1]
    return _points(x / np.sqrt(2), y / np.sqrt(2))


# The means of `gaussian_grid`, and its standard deviation.
GRID_CENTRES = np.stack(np.meshgrid(*2 * [np.arange(-4.0, 5.0, 2.0)]), -1).reshape(25, 2)
GRID_SCALE = 0.05


def gaussian_grid(num_samples, seed=0):
    """25 equal normals (standard deviation 0.05) on a grid from -4 to 4.

    It shows how many modes a model drops (Lin et al., PacGAN: The Power of Two Samples in
    Generative Adversarial Networks, 2018, arXiv:1712.04086, section 4.1); see `GRID_CENTRES`.

    >>> gaussian_grid(5, seed=0).shape
    (5, 2)
    """
    rng = _start(num_samples, seed)
    centres = GRID_CENTRES[rng.integers(25, size=num_samples)]
    return (centres + GRID_SCALE * rng.normal(size=(num_samples, 2))).astype(np.float32)


GENERATORS = {
    function.__name__: function
    for function in (
        two_moons,
        rings,
        pinwheel,
        checkerboard,
        spirals,
        eight_gaussians,
        gaussian_grid,
    )
}

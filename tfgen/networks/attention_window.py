"""Windows on images: grids of Gaussian filters whose place, spacing and width are given."""

import numpy as np
import tensorflow as tf

# Numbers that a window takes.
NUM_PARAMS = 5


def filters(params, sides, size):
    """Filters of a window (Gregor et al. 2015, "DRAW: A Recurrent Neural Network For Image
    Generation", arXiv:1502.04623, eqs. 19 to 26).

    Args:
        params: centre (column, row), log of the variance, of the spacing and of the intensity,
            `[batch, 5]`.
        sides: height and width of the images.
        size: side of the window.

    Returns:
        Filters of rows, `[batch, size, height]`, and of columns, `[batch, size, width]`, each of
        which sums to 1, and the intensity, `[batch]`.

    >>> import tensorflow as tf
    >>> rows, columns, intensity = filters(tf.zeros([1, 5]), (6, 8), 3)
    >>> rows.shape, columns.shape, intensity.numpy().tolist()
    (TensorShape([1, 3, 6]), TensorShape([1, 3, 8]), [1.0])
    """
    across, down, log_variance, log_step, log_intensity = tf.unstack(params, NUM_PARAMS, -1)
    step = tf.exp(log_step) * (max(sides) - 1) / max(size - 1, 1)
    places = tf.constant(np.arange(size) - (size - 1) / 2, params.dtype) * step[:, None]
    rate = 0.5 * tf.exp(-log_variance)[:, None, None]

    def along(centre, side):
        # The middle of the image is 0, its ends are -1 and 1.
        centres = (side - 1) / 2 + centre[:, None] * (side + 1) / 2 + places
        distance = tf.constant(np.arange(side), params.dtype) - centres[..., None]
        return tf.nn.softmax(-rate * distance**2)

    return along(down, sides[0]), along(across, sides[1]), tf.exp(log_intensity)


def read(image, window):
    """The part of an image, `[batch, height, width, channels]`, that a window shows.

    Args:
        image: the image.
        window: as `filters` gives it.

    >>> import tensorflow as tf
    >>> window = filters(tf.zeros([1, 5]), (6, 8), 3)
    >>> read(tf.ones([1, 6, 8, 1]), window).shape
    TensorShape([1, 3, 3, 1])
    """
    rows, columns, intensity = window
    seen = tf.einsum("bnh,bhwc->bnwc", rows, image)
    seen = tf.einsum("bmw,bnwc->bnmc", columns, seen)
    return intensity[:, None, None, None] * seen


def write(patch, window):
    """Image, `[batch, height, width, channels]`, of a patch `[batch, size, size, channels]` written
    through a window.

    Args:
        patch: the patch.
        window: as `filters` gives it.

    >>> import tensorflow as tf
    >>> window = filters(tf.zeros([1, 5]), (6, 8), 3)
    >>> write(tf.ones([1, 3, 3, 1]), window).shape
    TensorShape([1, 6, 8, 1])
    """
    rows, columns, intensity = window
    image = tf.einsum("bnh,bnmc->bhmc", rows, patch)
    image = tf.einsum("bmw,bhmc->bhwc", columns, image)
    return image / intensity[:, None, None, None]

"""Drawing the pixels of an image in waves: each computes only what the new pixels change."""

import numpy as np
import tensorflow as tf


class Wavefront:
    """Runner of a `PixelCNNStack` over all pixels `(i, j)` of equal `j + slope * i` at once.

    With `slope = reach + 1`, what a masked convolution sees of such a pixel was drawn in earlier
    waves: `width + slope * (height - 1)` waves draw an image exactly as pixel by pixel. Of each
    convolution's input only the columns that later waves still see are kept. An image is skewed for
    it: `[waves, batch, height, channels]`, where wave `t` holds the pixel `(i, t - slope * i)` of
    each row.

    Args:
        stack: built `PixelCNNStack`.
        height: height of the images.
        width: width of the images.
    """

    def __init__(self, stack, height, width):
        self.stack = stack
        self.height, self.width = height, width
        self.reach = stack.kernel_size // 2
        self.slope = self.reach + 1
        self.num_waves = width + self.slope * (height - 1)
        # Number of earlier waves that a convolution sees.
        self.memory = self.slope * self.reach + self.reach
        columns = np.arange(self.num_waves)[:, None] - self.slope * np.arange(height)
        self._valid = (columns >= 0) & (columns < width)
        rows = np.broadcast_to(np.arange(height), columns.shape)
        self._to_skewed = rows * width + np.clip(columns, 0, width - 1)
        i, j = np.mgrid[:height, :width]
        self._to_image = (j + self.slope * i) * height + i

    def skew(self, image):
        """`[batch, height, width, ...]` -> `[waves, batch, height, ...]`."""
        batch, rest = tf.shape(image)[:1], image.shape[3:]
        flat = tf.reshape(image, tf.concat([batch, [self.height * self.width], rest], 0))
        order = [1, 0, 2, *range(3, 3 + len(rest))]
        return tf.transpose(tf.gather(flat, self._to_skewed, axis=1), order)

    def unskew(self, waves):
        """`[waves, batch, height, ...]` -> `[batch, height, width, ...]`."""
        rest = waves.shape[3:]
        order = [1, 0, 2, *range(3, 3 + len(rest))]
        by_row = tf.transpose(waves, order)
        size = [tf.shape(by_row)[0], self.num_waves * self.height, *rest]
        return tf.gather(tf.reshape(by_row, size), self._to_image, axis=1)

    def run(self, batch, channels, context, draw, dtype):
        """Draws images, one wave after the other.

        Args:
            batch: number of images.
            channels: number of channels of an image.
            context: result of `stack.read_context`, or None.
            draw: function of the wave's number and of features `[batch, height, filters]` to
                `(pixels, inputs)`, both `[batch, height, channels]`: the draws, and these as the
                stack sees them.
            dtype: dtype of the pixels.

        Returns:
            The pixels, `[batch, height, width, channels]`.
        """
        kernels = [self._kernels(i) for i in range(self.stack.num_layers)]
        sizes = [channels] + [self.stack.filters] * (self.stack.num_layers - 1)
        real = self.stack.compute_dtype
        history = [tf.zeros([batch, self.height, self.memory, n], real) for n in sizes]
        valid = tf.constant(self._valid)
        context = None if context is None else self.skew(context)

        def wave(t, history, drawn):
            here = valid[t][:, None]
            later = []

            def convolve(i, x):
                # Outside of the image all is zero, as where convolutions are padded.
                x = tf.where(here, x, tf.zeros_like(x))
                seen = tf.concat([history[i], x[:, :, None]], 2)
                later.append(seen[:, :, 1:])
                return self._at_wave(seen, *kernels[i])

            start = tf.zeros([batch, self.height, channels], real)
            added = None if context is None else context[t]
            pixels, inputs = draw(t, self.stack._run(start, added, convolve))
            inputs = tf.where(here, tf.cast(inputs, real), tf.zeros_like(start))
            # The pixels themselves were not there yet when the first convolution read them.
            later[0] = tf.concat([later[0][:, :, :-1], inputs[:, :, None]], 2)
            return t + 1, later, drawn.write(t, pixels)

        shape = [None, self.height, channels]
        drawn = tf.TensorArray(dtype, self.num_waves, element_shape=shape)
        state = (tf.constant(0), history, drawn)
        _, _, drawn = tf.while_loop(
            lambda t, *_: t < self.num_waves, wave, state, maximum_iterations=self.num_waves
        )
        return self.unskew(tf.ensure_shape(drawn.stack(), [self.num_waves, *shape]))

    def _kernels(self, i):
        """Matrices of convolution `i`, one for each row from the upmost down, and the bias."""
        layer = self.stack._layer(i)
        kernel = tf.cast(tf.convert_to_tensor(layer.kernel), self.stack.compute_dtype)
        rows = [kernel[r] for r in range(self.reach)]
        if i:
            rows.append(kernel[self.reach, : self.reach + 1])
        else:
            rows.append(kernel[self.reach, : self.reach])
        return rows, tf.cast(tf.convert_to_tensor(layer.bias), kernel.dtype)

    def _at_wave(self, seen, rows, bias):
        """Masked convolution at the newest of the waves `seen`."""
        taps = []
        for n, kernel in enumerate(rows):
            up = min(self.reach - n, self.height)
            first = self.memory - self.reach - self.slope * (self.reach - n)
            part = seen[:, : self.height - up, first : first + kernel.shape[0]]
            taps.append(tf.pad(part, [[0, 0], [up, 0], [0, 0], [0, 0]]))
        taps = tf.concat(taps, 2)
        size = taps.shape[2] * taps.shape[3]
        kernel = tf.reshape(tf.concat(rows, 0), [size, -1])
        return tf.matmul(tf.reshape(taps, [-1, self.height, size]), kernel) + bias

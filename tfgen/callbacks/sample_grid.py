"""Pictures of a model's samples while it trains."""

from pathlib import Path

import keras

from tfgen import plots
from tfgen.utils import checks
from tfgen.utils.files import replacing


class SampleGrid(keras.callbacks.Callback):
    """Callback that writes a picture of samples at the end of epochs: `epoch_0001.png`, ...

    Images become a grid, points of the plane a scatter plot. With a fixed seed every picture is
    drawn from the same noise, so that one sees what training changes and not what chance does.
    Real-valued images are cut to 0..1, and values that are not finite are drawn black.

    Args:
        directory: folder of the pictures; made if missing, pictures of earlier runs are
            overwritten.
        num_images: samples in a picture: positive int.
        every: epochs between pictures: positive int.
        seed: seed of the samples: int or two int32; None draws afresh every time.
        temperature: factor of every standard deviation in the model's `sample`: float of at
            least 0.
        condition: one condition for all samples or one for each, for a conditional model.

    Raises:
        ValueError: `num_images` or `every` < 1 or `temperature` < 0; at the start of training if
            the model has no `sample`; at the first picture if its samples are neither images
            nor points of the plane.

    Example:

        >>> import os, tempfile
        >>> import keras
        >>> import numpy as np
        >>> from tfgen.callbacks import SampleGrid
        >>> class Noise(keras.Sequential):
        ...     def sample(self, num_samples, condition=None, temperature=1.0, seed=None):
        ...         noise = np.random.default_rng(seed)
        ...         return noise.integers(0, 256, [num_samples, 28, 28, 1], dtype=np.uint8)
        >>> model = Noise([keras.Input([1]), keras.layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> folder = tempfile.mkdtemp()
        >>> x = np.ones([4, 1], "float32")
        >>> _ = model.fit(x, x, epochs=4, verbose=0, callbacks=[SampleGrid(folder, every=2)])
        >>> sorted(os.listdir(folder))
        ['epoch_0002.png', 'epoch_0004.png']
    """

    def __init__(self, directory, num_images=36, every=1, seed=0, temperature=1.0, condition=None):
        super().__init__()
        num_images = checks.check_count(num_images, "num_images")
        every = checks.check_count(every, "every")
        temperature = checks.check_weight(temperature, "temperature")
        self.directory = Path(directory)
        self.num_images = num_images
        self.every = every
        self.seed = seed
        self.temperature = temperature
        self.condition = condition

    def on_train_begin(self, logs=None):
        # Now rather than after an epoch that may have taken hours.
        if not callable(getattr(self.model, "sample", None)):
            raise ValueError(
                f"SampleGrid needs a model with a `sample` method; got {type(self.model).__name__}"
            )
        self.directory.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self._write(self.directory / f"epoch_{epoch + 1:04d}.png")

    def _write(self, path):
        samples = self.model.sample(
            self.num_images,
            condition=self.condition,
            temperature=self.temperature,
            seed=self.seed,
        )
        with replacing(path) as beside:
            plots.save_samples(beside, plots.as_drawn(self.model, samples))

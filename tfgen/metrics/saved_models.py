"""SavedModels as feature extractors."""

import functools
import json
from pathlib import Path

import tensorflow as tf

from tfgen.metrics.extractors import FeatureExtractor
from tfgen.utils.files import fingerprint


class SavedModelExtractor(FeatureExtractor):
    """Feature extractor from a SavedModel, for instance one that other software wrote.

    Args:
        folder: folder of the SavedModel.
        features: name of the output `[n, d]`; may be left out where there is only one output.
        probabilities: name of the output with class probabilities; None without a classifier.
        signature: name of the signature, which must take one tensor of images.
        name: name printed beside the scores; by default the folder's.
        input_range: `(black, white)`, the values that the model takes for them.
        resize: bool; True resizes images to the model's size.

    Raises:
        ValueError: `folder` holds no SavedModel, or it has no such signature or outputs.

    >>> import keras, numpy as np, tempfile
    >>> model = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()])
    >>> folder = tempfile.mkdtemp()
    >>> model.export(folder, verbose=False)
    >>> SavedModelExtractor(folder)(np.ones([3, 4, 4, 1])).shape
    (3, 16)
    """

    def __init__(
        self,
        folder,
        features=None,
        probabilities=None,
        signature="serving_default",
        name=None,
        input_range=(0.0, 1.0),
        resize=False,
    ):
        self.folder = Path(folder)
        if not (self.folder / "saved_model.pb").exists():
            raise ValueError(f"`folder` must be that of a SavedModel; got {str(folder)!r}")
        self._loaded = tf.saved_model.load(str(folder))
        self._signature = signature
        self._serve = _choose(self._loaded.signatures, signature, "signature")
        outputs = self._serve.structured_outputs
        if features is None and len(outputs) == 1:
            (features,) = outputs
        self._names = [features] if probabilities is None else [features, probabilities]
        for argument, output in zip(("features", "probabilities"), self._names, strict=False):
            _choose(outputs, output, argument)
        rank = outputs[features].shape.rank
        if rank not in (None, 2):
            raise ValueError(f"`features` must name an output [n, d]; got one of {rank} axes")
        self.is_classifier = probabilities is not None
        inputs = self._serve.structured_input_signature[1]
        (self._input, spec), *others = inputs.items()
        if others or not spec.dtype.is_floating:
            raise ValueError(f"`signature` must take one tensor of floats; got {inputs}")
        shape = spec.shape[1:] if spec.shape.rank == 4 else [None] * 3
        super().__init__(name or self.folder.name, shape, input_range, resize)

    @functools.cached_property
    def hash(self):
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        parts = [part for f in files for part in (f.name, f.read_bytes())]
        settings = [self._signature, self._names, self.input_range, self.resize]
        return fingerprint(json.dumps(settings), *parts)

    def _outputs(self, x):
        outputs = self._serve(**{self._input: x})
        return [outputs[name] for name in self._names]


def _choose(choices, name, argument):
    if name not in choices:
        raise ValueError(f"`{argument}` must be one of {sorted(choices)}; got {name!r}")
    return choices[name]

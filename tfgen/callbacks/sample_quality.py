"""Scores of a model's samples while it trains."""

import keras

from tfgen.metrics.quality import check_scores
from tfgen.metrics.quality import sample_quality
from tfgen.metrics.references import Reference
from tfgen.metrics.references import reference
from tfgen.utils import checks


class SampleQuality(keras.callbacks.Callback):
    """Callback that adds scores of samples to the logs of epochs, and prints them.

    Place it before callbacks that read the logs, such as `CSVLogger` and `EarlyStopping`. Epochs
    without scores log NaN, so that every epoch has its row; the first one has scores. Samples of
    real numbers are cut to 0..1, and values that are not finite become black, as in pictures.

    Args:
        x: real images `[n, height, width, channels]` in the model's own data kind, or a
            `tfgen.metrics.Reference` of them.
        extractor: the `tfgen.metrics.FeatureExtractor` whose features are compared; its name and
            hash are printed beside the scores.
        every: epochs between scores: positive int.
        num_samples: samples drawn for each score: positive int.
        scores: collection of `"frechet"`, `"kernel"`, `"precision_recall"` and
            `"inception_score"`, see `tfgen.metrics.sample_quality`; None for all that the
            extractor can give.
        seed: non-negative int, of the samples, which have equal noise in every epoch, and of
            random subsets.
        condition: one condition for all samples or one for each, for a conditional model.

    Attributes:
        reports: dict from epoch, counted from 1, to `tfgen.metrics.Quality`.

    Raises:
        ValueError: bad arguments; at the start of training if the model cannot sample, if images
            or conditions do not fit it, or if the scores need more images.

    >>> import keras, numpy as np, tfgen
    >>> model = tfgen.VAE((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp")
    >>> model.compile()
    >>> net = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()], name="pixels")
    >>> x = np.random.default_rng(0).integers(0, 2, [32, 4, 4, 1])
    >>> callback = tfgen.callbacks.SampleQuality(
    ...     x, tfgen.metrics.KerasExtractor(net), num_samples=20, scores=["frechet"]
    ... )
    >>> history = model.fit(x, verbose=0, callbacks=[callback])
    epoch 1, 20 samples against 32 real images by pixels (...): frechet ...
    >>> len(history.history["frechet"])
    1
    """

    def __init__(
        self, x, extractor, every=1, num_samples=1000, scores=None, seed=0, condition=None
    ):
        super().__init__()
        self.x = x
        self.extractor = extractor
        self.every = checks.check_count(every, "every")
        self.num_samples = checks.check_count(num_samples, "num_samples")
        self.scores = scores
        self.seed = checks.check_int(seed, "seed", 0, 2**31)
        self.condition = condition
        self.reports = {}
        self._last = None

    def on_train_begin(self, logs=None):
        # Bad input is told now rather than after an epoch.
        if not hasattr(self.model, "sample") or not hasattr(self.model, "data_kind"):
            raise ValueError(
                "SampleQuality needs a model with `sample` and `data_kind`; got a "
                f"{type(self.model).__name__}"
            )
        self.model.data_spec.check_condition(self.condition, self.num_samples)
        self.model.require_samples()
        if not isinstance(self.x, Reference):
            x = self.model.data_spec.check_x(self.x)
            self.x = reference(self.extractor, x, data_kind=self.model.data_kind)
        check_scores(self.extractor, self.x, self.num_samples, self.scores)
        self._last = None

    def on_epoch_end(self, epoch, logs=None):
        if self._last is None or (epoch + 1) % self.every == 0:
            self._last = self.reports[epoch + 1] = self._score()
            print(f"\nepoch {epoch + 1}, {self._last}", flush=True)
            scores = self._last.scores
        else:
            scores = dict.fromkeys(self._last.scores, float("nan"))
        if logs is not None:
            logs.update(scores)

    def _score(self):
        images = self.model.sample(self.num_samples, condition=self.condition, seed=self.seed)
        return sample_quality(
            self.extractor,
            self.x,
            images,
            self.scores,
            data_kind=self.model.data_kind,
            seed=self.seed,
        )

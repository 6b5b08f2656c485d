"""Measures of a trained model: likelihoods, yardsticks, and the quality of samples."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgen import metrics
from tfgen import models
from tfgen.app import pictures
from tfgen.data.binarise import draw_bits
from tfgen.utils.keras_files import load_keras

_NUM_ON_MANIFOLD = 1000


def likelihood_rows(net, examples, x, y, num_samples=None):
    """Measures the likelihood of held-out examples, and the figures that go with it.

    These are, where they apply, the squared error of reconstructions, an estimate by many samples
    of the noise, the parts of the code length, and the yardsticks of simple codes.

    Args:
        net: a `tfgen.GenerativeModel`.
        examples: the `tfgen.data.Data` that it was trained on.
        x: held-out examples `[n, *event_shape]`.
        y: their conditions `[n, *condition_shape]`, or None.
        num_samples: draws for `estimate_log_prob`; None leaves the estimate out.

    Returns:
        List of dicts `name`, `value`, `unit`, and of means over examples `interval`, in which the
        mean over all such examples lies with 95 per cent.
    """
    rows = partition_rows(net)
    pixels = net.data_kind == "uint8"
    # A density on a manifold is of other dimensions than the pixels.
    in_bits = pixels and net.has_likelihood and net.likelihood != "manifold"
    unit = "bits per dimension" if in_bits else "nats"

    def row(name, log_prob):
        return _mean(
            name, metrics.bits_per_dim(log_prob, net.num_dims) if in_bits else -log_prob, unit
        )

    if net.likelihood == "manifold":
        # Each takes as many passes of the decoder as there are latents.
        x, y = (a if a is None else a[:_NUM_ON_MANIFOLD] for a in (x, y))
    of = f"{len(x)} held-out examples"
    if examples.binarised:
        of += f", {examples.binarised} binarisation"
    kind = f"{type(net).__name__} ({net.likelihood}, {of})"
    if isinstance(net, models.Autoencoder | models.InjectiveFlow):
        error = x.astype("float64") - net.reconstruct(x, y).numpy()
        error = ((error / (255 if pixels else 1)) ** 2).reshape(len(x), -1).sum(1)
        rows.append(_mean(f"{kind}: squared error of reconstructions", error, ""))
    if not net.has_likelihood:
        return rows
    rows.append(row(kind, net.log_prob(x, y).numpy()))
    if num_samples and net.likelihood in ("bound", "estimate"):
        estimate = net.estimate_log_prob(x, num_samples, y).numpy()
        rows.append(row(f"the same, {num_samples} samples of the noise", estimate))
    if hasattr(net, "code_length"):
        for part, bits in net.code_length(x, y).items():
            rows.append(_mean(f"code of the {part}", bits, "bits"))
    # The yardsticks are of all 8 bits.
    eight = getattr(net, "num_bits", 8) == 8
    images = x.ndim == 4 and x.shape[-1] in (1, 3) and x.dtype == np.uint8
    if in_bits and eight and images:
        yardsticks = {
            "PNG files": metrics.png_bits_per_dim(x),
            "histogram of each pixel": metrics.histogram_bits_per_dim(examples.train[0], x),
        }
        rows += [_row(name, value, unit) for name, value in yardsticks.items()]
    return rows


def partition_rows(net):
    """Gives the partition function that a model has beside its `log_prob`; one that is not known
    yet is estimated, and kept with the weights.

    Args:
        net: a `tfgen.GenerativeModel`.

    Returns:
        List of dicts `name`, `value`, `unit`, `interval`, of a model with labels one for each.
        Empty for what has no partition function, or one for each vector that it is given.
    """
    if net.likelihood == "unnormalised" and not net.condition_shape:
        print("Estimating the partition function ...", flush=True)
        net.estimate_partition()
    if not net.has_likelihood or not hasattr(net, "log_partition"):
        return []
    values = net.log_partition.numpy().reshape(3, -1).T.tolist()
    of = [""] if net.num_classes is None else [f" of label {i}" for i in range(len(values))]
    return [
        {**_row(f"log of the partition function{label}", value, "nats"), "interval": [low, high]}
        for label, (value, low, high) in zip(of, values, strict=True)
    ]


def quality_rows(net, examples, x, y, extractor, cache_dir=None, cache=None):
    """Measures the Frechet distance from held-out images of as many images that the model makes.

    Each kind of image has its row: reconstructions, samples, samples of fitted latents. That of
    training images comes first, which no model can be expected to be below.

    Args:
        net: a `tfgen.GenerativeModel` of images.
        examples: the `tfgen.data.Data` that it was trained on.
        x: held-out images `[n, height, width, channels]`.
        y: their conditions `[n, *condition_shape]`, or None.
        extractor: a name, a path or a `FeatureExtractor`, see `get_extractor`.
        cache_dir: folder of classifiers, see `tfgen.metrics.classifier`.
        cache: npz file of the features of `x`, read or written; None keeps none.

    Returns:
        List of dicts `name`, `value`, `unit`; the unit names the extractor.

    Raises:
        ValueError: the data are not images, or the extractor is unknown or does not fit them.
    """
    if len(net.event_shape) != 3:
        raise ValueError(f"`extractor` is for images; the data are {examples!r}")
    extractor = get_extractor(extractor, examples, cache_dir)
    real = metrics.reference(extractor, x, cache, net.data_kind)
    rows = []
    for name, images in _image_sets(net, examples, x, y):
        quality = metrics.sample_quality(extractor, real, images, ["frechet"], net.data_kind)
        name = f"Frechet distance of {len(images)} {name}"
        rows.append(_row(name, quality.scores["frechet"], f"by {quality.extractor}"))
    return rows


def get_extractor(extractor, examples, cache_dir=None):
    """Returns the feature extractor that a name or a path stands for.

    Args:
        extractor: `"classifier"` (trained on the data set's labels, and kept), `"inception"`
            (`keras.applications`, downloaded by Keras), a `.keras` file, the folder of a
            SavedModel, or a `FeatureExtractor`, which is returned as it is.
        examples: the `tfgen.data.Data` that a classifier is trained on.
        cache_dir: folder of classifiers, see `tfgen.metrics.classifier`.

    Returns:
        A `tfgen.metrics.FeatureExtractor`.

    Raises:
        ValueError: `extractor` is none of these.
    """
    if isinstance(extractor, metrics.FeatureExtractor):
        return extractor
    if extractor == "classifier":
        return metrics.classifier(examples, cache_dir)
    if extractor == "inception":
        return metrics.inception_v3()
    path = Path(extractor)
    if path.suffix == ".keras" and path.is_file():
        return metrics.KerasExtractor(load_keras(path, compile=False), name=path.stem)
    if (path / "saved_model.pb").is_file():
        return metrics.SavedModelExtractor(path)
    raise ValueError(
        '`extractor` must be "classifier", "inception", a .keras file or the folder of a '
        f"SavedModel; got {str(extractor)!r}"
    )


def _image_sets(net, examples, x, y):
    """Yields names and images: training, reconstructions, samples by distribution of latents."""
    train, labels = pictures.taken_by(net, examples.train)
    some = train[: len(x)]
    yield "training images", draw_bits(some) if net.data_kind == "binary" else some
    if not isinstance(net, models.EncoderDecoder):
        yield "samples", net.sample(len(x), y, seed=0).numpy()
        return
    yield "reconstructions", net.reconstruct(x, y).numpy()
    # Of pixels as real numbers the mean is looked at, not the noise around it.
    means = net.data_kind == "real"
    kind_of_sample = "decoded samples" if means else "samples"

    def samples():
        return decoded_samples(net, len(x), y) if means else net.sample(len(x), y, seed=0).numpy()

    kept = net.fitted_latents
    try:
        net.set_latents(None)
        if net.can_sample:
            yield f"{kind_of_sample} of the prior", samples()
        if kept is not None and "gaussian" not in net.latent_kinds:
            net.set_latents(kept)
            yield f"{kind_of_sample}, fitted latents", samples()
        for kind in [k for k in ("gaussian", "gmm") if k in net.latent_kinds]:
            net.fit_latents(train, kind, labels)
            yield f"{kind_of_sample}, latents fitted by a {kind}", samples()
    finally:
        net.set_latents(kept)


def decoded_samples(net, num_samples, y=None, seed=0):
    """Decodes draws of the latents of an `EncoderDecoder`, without the observation's noise.

    Args:
        net: the `EncoderDecoder`.
        num_samples: number of samples.
        y: their conditions, or None.
        seed: int, of the draws.

    Returns:
        A numpy array `[num_samples, *event_shape]`.
    """

    @tf.function
    def draw():
        return net.latents.sample(net.latents.noise([seed, 0], 0, num_samples))

    return net.decode(draw().numpy(), y).numpy()


def log_prob_quantiles(net, examples, num_examples=2000):
    """Measures which log-likelihoods training examples have, to rank others among them.

    Args:
        net: a `tfgen.GenerativeModel` with a likelihood.
        examples: the `tfgen.data.Data` that it was trained on.
        num_examples: number of training examples, the first ones.

    Returns:
        List of 101 floats in nats: the lowest, the percentiles 1 to 99, the highest.
    """
    if net.likelihood == "manifold":
        num_examples = min(num_examples, _NUM_ON_MANIFOLD)
    x, y = (a if a is None else a[:num_examples] for a in pictures.taken_by(net, examples.train))
    x = draw_bits(x) if net.data_kind == "binary" else x
    return np.percentile(net.log_prob(x, y).numpy(), np.arange(101)).tolist()


def _mean(name, values, unit):
    """Row of a mean over examples, with the interval that their spread leaves."""
    values = np.asarray(values, "float64")
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    center = values.mean()
    return {**_row(name, center, unit), "interval": [float(center - half), float(center + half)]}


def _row(name, value, unit):
    return {"name": name, "value": float(value), "unit": unit}

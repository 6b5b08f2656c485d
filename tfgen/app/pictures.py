"""Pictures of a run: samples of its model, and the other images that it can draw."""

import numpy as np

from tfgen import metrics
from tfgen import models
from tfgen import plots
from tfgen.callbacks import SampleGrid
from tfgen.utils.files import replacing

# Of flows over images, as papers show them; the pictures of epochs are at 1.
_TEMPERATURE = 0.8


def conditions(net, examples, num_samples):
    """Returns a condition for each sample: all labels, or the held-out conditions, in turn.

    Args:
        net: a `tfgen.GenerativeModel`.
        examples: its `tfgen.data.Data`; None will do for labels.
        num_samples: number of conditions.

    Returns:
        Array `[num_samples, *condition_shape]`; None for an unconditional model.
    """
    if net.condition_shape is None:
        return None
    if net.num_classes:
        return np.arange(num_samples) % net.num_classes
    return np.resize(examples.test[1], (num_samples, *net.condition_shape))


def taken_by(net, split):
    """Returns the examples of a split as a model takes them: with labels if it is conditional.

    Args:
        net: a `tfgen.GenerativeModel`.
        split: `(x, y)` of a `tfgen.data.Data`.

    Returns:
        `(x, y)`; y is None for an unconditional model.

    Raises:
        ValueError: the model is conditional and the data have no labels.
    """
    x, y = split
    if net.condition_shape is not None and y is None:
        raise ValueError("`data` has no labels, which this model is conditional on")
    return x, (y if net.condition_shape is not None else None)


def of_epochs(out, net, examples, every):
    """Returns the callbacks that draw samples while the model trains.

    Args:
        out: `pathlib.Path` of the run folder; pictures go to `samples/` in it.
        net: a `tfgen.GenerativeModel`.
        examples: its `tfgen.data.Data`.
        every: epochs between pictures.

    Returns:
        List of Keras callbacks, empty for models and data without pictures.
    """
    if not plots.can_draw(net.event_shape) or not net.can_sample:
        return []
    return [SampleGrid(out / "samples", every=every, condition=conditions(net, examples, 36))]


def of_run(out, net, examples):
    """Writes the pictures of a trained model into its run folder.

    Args:
        out: `pathlib.Path` of the run folder.
        net: the trained `tfgen.GenerativeModel`.
        examples: its `tfgen.data.Data`.
    """
    is_image = len(net.event_shape) == 3
    temperature = _TEMPERATURE if is_image and isinstance(net, models.Flow) else 1.0
    num_samples = 64 if is_image else 2000
    if plots.can_draw(net.event_shape) and net.can_sample:
        condition = conditions(net, examples, num_samples)
        samples = net.sample(num_samples, condition, temperature, seed=0)
        with replacing(out / "samples.png") as path:
            plots.save_samples(path, plots.as_drawn(net, samples))
    if net.event_shape == (2,) and net.condition_shape is None and net.likelihood == "exact":
        with replacing(out / "density.png") as path:
            plots.save_density(path, net, examples.test[0])
    if not is_image or not plots.can_draw(net.event_shape):
        return
    x, y = (a if a is None else a[:32] for a in taken_by(net, examples.test))
    pairs = {}
    if hasattr(net, "num_top_latents") and net.data_kind == "uint8":
        pairs["resampled"] = x, net.resample(x, net.num_top_latents, temperature, 0, y)
    if hasattr(net, "decompress"):
        pairs["decompressed"] = x, net.decompress(x, y, seed=0)
    elif isinstance(net, models.EncoderDecoder):
        pairs["reconstructed"] = x, net.reconstruct(x, y)
    if hasattr(net, "inpaint"):
        known = np.zeros(x.shape[1:3], bool)
        known[: len(known) // 2] = True
        pairs["inpainted"] = x, net.inpaint(x, known, y, seed=0)
    if net.can_sample:
        # They show whether samples were learned by heart.
        train, _ = taken_by(net, examples.train)
        some = samples[:32].numpy()
        pairs["nearest"] = some, train[metrics.nearest_examples(some, train)]
    for name, images in pairs.items():
        grid = plots.paired_grid(*(plots.as_drawn(net, each) for each in images))
        with replacing(out / f"{name}.png") as path:
            plots.save_image(path, grid, plots.comfortable_scale(x.shape[1]))

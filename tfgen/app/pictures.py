"""Pictures of a run: samples of its model, and the other images that it can draw."""

import keras
import numpy as np
import tensorflow as tf

from tfgen import metrics
from tfgen import models
from tfgen import plots
from tfgen.callbacks import SampleGrid
from tfgen.utils.files import replacing

# Of flows over images, as papers show them; the pictures of epochs are at 1.
_TEMPERATURE = 0.8
_CHAIN_STEPS = (1, 10, 100, 1000)
_CHAINS = 5
# Of pictures of pairs: what is on the left, and what on the right.
_CAPTIONS = {
    "resampled": "left: held-out images; right: all but the top level's latents drawn anew",
    "decompressed": "left: held-out images; right: drawn given their latents",
    "reconstructed": "left: held-out images; right: means given their latents",
    "inpainted": "left: held-out images; right: the lower half drawn anew",
    "completed": "left: held-out images; right: the upper half drawn anew",
    "nearest": "left: samples; right: the nearest training images",
    "chains": "rows: chains, five from noise and five from held-out images; columns: steps "
    + ", ".join(map(str, (0, *_CHAIN_STEPS))),
    "filters": "links of hidden units with the pixels: black to white, each by its largest",
}


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


def _temperature(net):
    is_flow_of_images = len(net.event_shape) == 3 and isinstance(net, models.Flow)
    return _TEMPERATURE if is_flow_of_images else 1.0


def save_gallery(net, examples, path, num_samples=None):
    """Draws samples of a trained model, those of flows over images at temperature 0.8.

    Args:
        net: a `tfgen.GenerativeModel` of images, of points of the plane or of a table.
        examples: its `tfgen.data.Data`; None will do for models of no table and no condition.
        path: the `.png` file to write.
        num_samples: number of samples; by default 64 images, 2,000 points, or as many rows of a
            table as are held for training, at most 1,000.

    Returns:
        The samples: a tensor `[num_samples, *event_shape]`.
    """
    is_table = examples is not None and examples.columns is not None
    if num_samples is None and is_table:
        num_samples = min(1000, len(examples.train[0]))
    num_samples = num_samples or (64 if len(net.event_shape) == 3 else 2000)
    condition = conditions(net, examples, num_samples)
    samples = net.sample(num_samples, condition, _temperature(net), seed=0)
    if is_table:
        save_table(examples, samples, condition, path)
    else:
        plots.save_samples(path, plots.as_drawn(net, samples))
    return samples


def save_table(examples, samples, condition, path):
    """Draws a pair plot of a table's training rows and of samples.

    Args:
        examples: a `tfgen.data.Data` with columns.
        samples: array `[n, numbers]`.
        condition: array of the conditions that they were drawn for, or None.
        path: the `.png` file to write.
    """
    known = examples.columns.to_frame(*examples.train)
    drawn = examples.columns.to_frame(samples, condition)
    plots.save_pairs(path, known, drawn, list(known.columns)[:6])


def save_each(folder, images):
    """Writes a PNG for each image: `0000.png`, `0001.png`, ...

    Args:
        folder: `pathlib.Path`; made if missing.
        images: array `[n, height, width, channels]`, as `tfgen.plots.as_drawn` returns it.
    """
    digits = max(4, len(str(len(images) - 1)))
    for i, image in enumerate(images):
        with replacing(folder / f"{i:0{digits}d}.png") as path:
            plots.save_image(path, plots.image_grid(image[None], padding=0))


def for_tensorboard(folder, net):
    """Callbacks that write pictures of samples for TensorBoard, none for vectors.

    Args:
        folder: `pathlib.Path` of the logs.
        net: a `tfgen.GenerativeModel`.
    """
    if len(net.event_shape) != 3 or not plots.can_draw(net.event_shape) or not net.can_sample:
        return []
    if net.condition_shape is not None and not net.num_classes:
        return []
    writer = tf.summary.create_file_writer(str(folder / "samples"))

    def write(epoch, logs=None):
        samples = net.sample(36, conditions(net, None, 36), seed=0)
        grid = plots.image_grid(plots.as_drawn(net, samples))
        with writer.as_default(step=epoch):
            tf.summary.image("samples", grid[None])
        writer.flush()

    return [keras.callbacks.LambdaCallback(on_epoch_end=write)]


def of_run(out, net, examples):
    """Writes the pictures of a trained model into its run folder.

    Args:
        out: `pathlib.Path` of the run folder.
        net: the trained `tfgen.GenerativeModel`.
        examples: its `tfgen.data.Data`.
    """
    is_image = len(net.event_shape) == 3
    if plots.can_draw(net.event_shape) and net.can_sample:
        with replacing(out / "samples.png") as path:
            samples = save_gallery(net, examples, path)
    if net.event_shape == (2,) and net.condition_shape is None and net.likelihood == "exact":
        with replacing(out / "density.png") as path:
            plots.save_density(path, net, examples.test[0])
    if not is_image or not plots.can_draw(net.event_shape):
        return
    x, y = (a if a is None else a[:32] for a in taken_by(net, examples.test))
    pairs = {}
    if hasattr(net, "num_top_latents") and net.data_kind == "uint8":
        pairs["resampled"] = x, net.resample(x, net.num_top_latents, _temperature(net), 0, y)
    if hasattr(net, "decompress"):
        pairs["decompressed"] = x, net.decompress(x, y, seed=0)
    if isinstance(net, models.EncoderDecoder) and not isinstance(net, models.VLAE):
        pairs["reconstructed"] = x, net.reconstruct(x, y)
    if hasattr(net, "inpaint"):
        known = np.zeros(x.shape[1:3], bool)
        known[: len(known) // 2] = True
        pairs["inpainted"] = x, net.inpaint(x, known, y, seed=0)
    if hasattr(net, "complete"):
        known = np.zeros(net.event_shape, bool)
        known[len(known) // 2 :] = True
        pairs["completed"] = x, net.complete(x, known, y, seed=0)
    if net.can_sample:
        # They show whether samples were learned by heart.
        train, _ = taken_by(net, examples.train)
        some = samples[:32].numpy()
        pairs["nearest"] = some, train[metrics.nearest_examples(some, train)]
    if {"encode", "decode"} <= {*net.signatures()} and net.can_sample:
        ends = 8 if len(x) >= 16 else len(x) // 2
        condition = None if y is None else y[:ends]
        with replacing(out / "interpolated.png") as path:
            plots.save_interpolations(path, net, x[:ends], x[ends : 2 * ends], 9, condition)
        if isinstance(net, models.EncoderDecoder):
            with replacing(out / "traversed.png") as path:
                plots.save_traversals(path, net, x[0], None, 9, 2.5, None if y is None else y[0])
    # Beside each its images' height.
    grids = {
        name: (plots.paired_grid(*(plots.as_drawn(net, each) for each in images)), x.shape[1])
        for name, images in pairs.items()
    }
    if hasattr(net, "sample_steps"):
        grids["chains"] = _chains(net, x, y), x.shape[1]
    filters = _filters(net)
    if filters is not None:
        grids["filters"] = plots.image_grid(filters), filters.shape[1]
    for name, (grid, height) in grids.items():
        with replacing(out / f"{name}.png") as path:
            plots.save_image(path, grid, plots.comfortable_scale(height), _CAPTIONS[name])


def _chains(net, x, y):
    """A grid of states of chains over time, from noise and from examples."""
    rows = min(_CHAINS, len(x))
    condition = None if y is None else y[:rows]
    of_noise, of_data = [], [x[:rows]]
    for num_steps in _CHAIN_STEPS:
        arguments = {"condition": condition, "num_steps": num_steps}
        # The seed of shorter chains: longer ones go on from where those end.
        of_noise.append(net.sample(rows, seed=0, **arguments))
        of_data.append(net.sample(rows, seed=1, from_data=x[:rows], **arguments))
    blank = np.zeros_like(of_data[0])
    states = [np.stack(states, 1) for states in ([blank, *of_noise], of_data)]
    images = np.concatenate(states).reshape(-1, *net.event_shape)
    return plots.image_grid(plots.as_drawn(net, images), columns=1 + len(_CHAIN_STEPS))


def _filters(net):
    """The links of the first hidden units, at most 100, with the pixels: images of floats in
    [0, 1]. None of models that have no such links."""
    kernel = next(iter(getattr(net, "kernels", ())), None)
    if kernel is None:
        return None
    kernel = np.moveaxis(kernel.numpy(), -1, 0)
    if kernel.ndim == 2:
        if kernel.shape[1] != net.num_dims:
            return None
        kernel = kernel.reshape(-1, *net.event_shape)
    if kernel.ndim != 4 or kernel.shape[-1] not in (1, 3):
        return None
    kernel = kernel[:100]
    return 0.5 + kernel / (2 * np.abs(kernel).max((1, 2, 3), keepdims=True) + 1e-12)

"""Samples of a trained model as files."""

import functools
from pathlib import Path

import numpy as np

from tfgen import plots
from tfgen.app import pictures
from tfgen.app.opened import data_settings
from tfgen.app.opened import open_model
from tfgen.app.settings import load_data
from tfgen.data.rows import label_number
from tfgen.utils.files import replacing


def sample(
    run, num_samples, *, out=None, temperature=1.0, seed=None, label=None, given=None, data_dir=None
):
    """Draws from a trained model into a picture, an array, a table, or one picture for each.

    Args:
        run: the run folder, or a preset with weights: name, folder or handle.
        num_samples: number of samples.
        out: file to write, `.png`, `.npy` or, of vectors, `.csv`; of images also a folder, a name
            without a suffix: a PNG for each sample. By default `drawn.png` in the run folder, or
            `drawn.npy` for data that are neither images nor points of the plane; of a preset in
            the working folder, with its name.
        temperature: factor of every standard deviation in the model's `sample`.
        seed: seed of the samples: int or two int32; None draws afresh.
        label: number or name of the class, for a model conditional on labels; by default all in
            turn. Models with other conditions draw for those of the held-out examples in turn.
        given: dict from the name of a column to its value, for models of tables that are
            conditional on columns; by default the values of the held-out rows in turn.
        data_dir: folder of prepared TFDS data sets, in the place of the run's.

    Returns:
        The `pathlib.Path` of the file or folder.

    Raises:
        ValueError: `run` is no trained model, `out` has another suffix, or an unknown `label`.

    >>> import os, tempfile
    >>> from tfgen.app import runs
    >>> path = runs.sample("nsf_pinwheel", 100, out=os.path.join(tempfile.mkdtemp(), "drawn.csv"))
    >>> np.loadtxt(path, delimiter=",").shape
    (100, 2)
    """
    opened = open_model(run, data_dir)
    net = opened.net
    drawn = plots.can_draw(net.event_shape)
    was_open = out is None
    if was_open:
        name = f"drawn{'.png' if drawn else '.npy'}"
        own = f"{str(run).rstrip('/').rpartition('/')[2]}_{name}"
        out = opened.folder / name if opened.folder else own
    out = Path(out)
    writers = {".npy": np.save}
    if drawn:
        writers[".png"] = plots.save_samples
    columns = getattr(net, "columns", None)
    if columns is not None:
        out = out.with_suffix(".csv") if was_open else out
        writers[".png"] = lambda path, rows: pictures.save_table(
            load_data(data_settings(opened)), rows, condition, path
        )
        writers[".csv"] = lambda path, rows: columns.to_frame(rows, condition).to_csv(
            path, index=False
        )
    elif len(net.event_shape) == 1:
        writers[".csv"] = functools.partial(np.savetxt, fmt="%.9g", delimiter=",")
    if drawn and len(net.event_shape) == 3:
        writers[""] = pictures.save_each
    if out.suffix not in writers:
        raise ValueError(
            "`out` must end in .npy (or .png, for images, points and tables; in nothing, for a "
            f"folder of images; .csv, for vectors); got {out}"
        )
    condition = None
    if given:
        if columns is None or net.condition_shape is None:
            raise ValueError(f"`given` {given!r}: this model is conditional on no column")
        condition = np.repeat(columns.conditions(given), num_samples, axis=0)
    elif label is not None:
        if not net.num_classes:
            raise ValueError(f"`label` {label!r}: this model is not conditional on labels")
        condition = label_number(label, net.num_classes, opened.class_names)
    elif net.condition_shape is not None:
        examples = None if net.num_classes else load_data(data_settings(opened))
        condition = pictures.conditions(net, examples, num_samples)
    samples = net.sample(num_samples, condition, temperature, seed).numpy()
    if not out.suffix:
        writers[""](out, plots.as_drawn(net, samples))
        return out
    with replacing(out) as path:
        writers[out.suffix](path, samples)
    return out

"""Folders of presets: of the package, of a path or of a hub; and the weights in them."""

import importlib
import importlib.resources
import os
import pathlib

import h5py
import numpy as np

from tfgen.data.hints import nearest

CONFIG, METADATA, WEIGHTS, CARD = "config.json", "metadata.json", "model.weights.h5", "README.md"

_WEIGHT_DTYPES = ("float32", "float16", "bfloat16")


def shipped_folders():
    """Folders of the presets inside the package, sorted by name."""
    folders = importlib.resources.files("tfgen.zoo").iterdir()
    return sorted((f for f in folders if (f / CONFIG).is_file()), key=lambda f: f.name)


def find_folder(preset, known=None):
    """Folder of a preset.

    Args:
        preset: a preset's name in the package; a folder that `save_to_preset` wrote; or a handle
            of the Hugging Face hub, `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`, or of
            Kaggle, `kaggle://OWNER/MODEL/FRAMEWORK/VARIATION`, which their own client libraries
            download and keep.
        known: names that an error lists; by default all of the package.

    Returns:
        `pathlib.Path` of a folder that holds a `config.json`.

    Raises:
        ValueError: there is none.
        ImportError: a handle of a hub whose client library is not installed.
    """
    if not isinstance(preset, str | os.PathLike):
        raise ValueError(f"`preset` must be a name, a folder or a handle; got {preset!r}")
    preset = os.path.expanduser(preset)
    text = str(preset)
    scheme, colon, handle = text.partition("://")
    if colon:
        if scheme not in _HUBS:
            raise ValueError(
                f"`preset` must begin with {' or '.join(f'{name}://' for name in _HUBS)} where it "
                f"is a handle; got {text!r}"
            )
        folder = pathlib.Path(_HUBS[scheme](handle, text))
        if not (folder / CONFIG).is_file():
            raise ValueError(f"`preset` {text!r} has no {CONFIG}: it is no preset of tfgen")
        return folder
    if (pathlib.Path(preset) / CONFIG).is_file():
        return pathlib.Path(preset)
    shipped = {folder.name: folder for folder in shipped_folders()}
    if text not in shipped:
        known = list(shipped) if known is None else list(known)
        raise ValueError(
            f"there is no `preset` {text!r}.{nearest(text, known)} It must be a folder with a "
            f"{CONFIG}, a handle (hf://..., kaggle://...) or one of {known}"
        )
    return pathlib.Path(shipped[text])


def _from_hugging_face(handle, preset):
    owner_and_name, _, revision = handle.partition("@")
    if owner_and_name.count("/") != 1 or not all(owner_and_name.split("/")):
        raise ValueError(f"`preset` must be hf://OWNER/NAME or with @REVISION; got {preset!r}")
    client = _client("huggingface_hub", "huggingface", preset)
    # Only what a preset is made of: a repository may hold more.
    return client.snapshot_download(
        owner_and_name, revision=revision or None, allow_patterns=[CONFIG, METADATA, WEIGHTS, CARD]
    )


def _from_kaggle(handle, preset):
    if handle.count("/") not in (3, 4) or not all(handle.split("/")):
        raise ValueError(
            f"`preset` must be kaggle://OWNER/MODEL/FRAMEWORK/VARIATION; got {preset!r}"
        )
    return _client("kagglehub", "kaggle", preset).model_download(handle)


_HUBS = {"hf": _from_hugging_face, "kaggle": _from_kaggle}


def _client(module, extra, preset):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"`preset` {preset!r} needs {module}: pip install 'tfgen[{extra}]'"
        ) from error


def write_weights(model, file, dtype="float32"):
    """Writes the weights of a model and nothing of its optimizers.

    Args:
        model: a built `tfgen.GenerativeModel`.
        file: `pathlib.Path` that ends in `.weights.h5`.
        dtype: `"float32"` keeps float weights as they are, `"float16"` takes half of the space, and
            `"bfloat16"`, whose numbers have 8 significant bits and not 11, two fifths. They are
            read back into the model's own type.

    Raises:
        ValueError: an unknown `dtype`.
    """
    if dtype not in _WEIGHT_DTYPES:
        raise ValueError(f"`weights_dtype` must be one of {list(_WEIGHT_DTYPES)}; got {dtype!r}")
    whole = file.with_name(f"whole.{file.name}")
    model.save_weights(whole)
    optimizers = {
        "optimizer",
        *(name for player in model.players for name in player.argument_names),
    }
    try:
        with h5py.File(whole) as source, h5py.File(file, "w") as target:
            _copy(source, target, optimizers, dtype)
    finally:
        whole.unlink()


def _copy(source, target, left_out, dtype):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if name in left_out:
            continue
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name), (), dtype)
            continue
        values = item[()]
        if dtype != "float32" and values.dtype == np.float32:
            values = _halved(values, dtype == "bfloat16")
        kind = {"compression": "gzip", "shuffle": True} if values.ndim else {}
        target.create_dataset(name, data=values, **kind).attrs.update(item.attrs)


def _halved(values, is_coarse):
    """Numbers in float16, where it can hold them; scalars and counts stay as they are. Coarse ones
    have bfloat16's significant bits, and are packed the better."""
    if not values.ndim:
        return values
    with np.errstate(over="ignore"):
        halved = values.astype(np.float16)
    kept = halved
    if is_coarse:
        bits = halved.view(np.uint16).astype(np.uint32)
        kept = ((bits + 4) >> 3 << 3).astype(np.uint16).view(np.float16)
    # Averages and scales of data in units of their own may be out of its range: kept whole.
    return kept if np.isfinite(halved).all() and np.isfinite(kept).all() else values

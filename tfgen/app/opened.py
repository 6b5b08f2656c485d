"""Trained models by one name: the folder of a run, or a preset."""

from pathlib import Path
from typing import NamedTuple

from tfgen.app.run_folder import load_model
from tfgen.app.run_folder import read_settings
from tfgen.core.preset_folders import CONFIG
from tfgen.core.preset_folders import METADATA
from tfgen.data.hints import nearest
from tfgen.models import GenerativeModel


class Opened(NamedTuple):
    """A model and where it comes from.

    Attributes:
        net: the `tfgen.GenerativeModel`.
        settings: dict of the settings of its run, which name its data; empty if they are unknown.
        folder: `pathlib.Path` of the run folder; None for a preset.
        metadata: dict of what a preset says of itself; empty for a run.
    """

    net: GenerativeModel
    settings: dict
    folder: Path | None
    metadata: dict

    @property
    def class_names(self):
        """Names of the classes of the data that the model was trained on: list, or None."""
        return self.settings.get("class_names")


def open_model(source, data_dir=None, name="run", load_weights=True):
    """Loads a trained model.

    Args:
        source: the folder of a finished run; or a preset with weights: its name, its folder, or
            its handle, as `tfgen.GenerativeModel.from_preset` takes them.
        data_dir: folder of prepared TFDS data sets, in the place of the one that the settings
            name; None keeps that.
        name: the argument that errors are about.
        load_weights: False takes the configuration of a preset alone, with weights or without.

    Returns:
        An `Opened`.

    Raises:
        ValueError: `source` is neither, the run is not finished, or the preset has no weights and
            should.
    """
    path = Path(source)
    if path.is_dir() and not (path / CONFIG).is_file():
        net = load_model(path)
        settings, metadata = read_settings(path), {}
    else:
        presets = GenerativeModel.presets()
        if "://" not in str(source) and not path.is_dir() and str(source) not in presets:
            raise ValueError(
                f"`{name}` must be the folder of a run, or a preset (`tfgen models` lists them); "
                f"got {str(source)!r}.{nearest(source, presets)}"
            )
        content = GenerativeModel.read_preset(source)
        if load_weights and not content["has_weights"]:
            raise ValueError(
                f"the preset {str(source)!r} is a configuration without weights: `tfgen train "
                f"{content['model']['class_name'].split('>')[-1]} --preset {source}` trains it"
            )
        net = GenerativeModel.from_preset(source, load_weights=load_weights)
        metadata, path = content["metadata"], None
        settings = _checked(metadata, source)
    if data_dir is not None:
        settings = {**settings, "data_dir": str(data_dir)}
    return Opened(net, settings, path, metadata)


def _checked(metadata, source):
    """The settings of the data in a preset's metadata, which anyone may have written."""
    settings, quantiles = metadata.get("run", {}), metadata.get("train_log_prob", [0.0] * 101)
    data = settings.get("data", "") if isinstance(settings, dict) else None
    if not isinstance(data, str) or Path(data).name != data:
        raise ValueError(
            f"the preset {str(source)!r} is damaged: `run` in its {METADATA} must name its data, "
            f"without a folder; got {settings!r}"
        )
    numbers = isinstance(quantiles, list) and all(isinstance(q, float) for q in quantiles)
    if not numbers or len(quantiles) != 101 or quantiles != sorted(quantiles):
        raise ValueError(
            f"the preset {str(source)!r} is damaged: `train_log_prob` in its {METADATA} must be "
            "101 numbers in order"
        )
    return settings


def data_settings(opened):
    """Settings that `load_data` takes, of the data that a model was trained on.

    Raises:
        ValueError: a preset does not say what they were.
    """
    if "data" not in opened.settings:
        raise ValueError("this preset does not name the data that it was trained on")
    return {"data_dir": None, "image_size": None, "seed": 0, **opened.settings}

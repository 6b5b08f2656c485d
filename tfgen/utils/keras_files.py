"""Keras's files, whose faults are told by their names."""

import zipfile

import keras


def load_keras(file, hint="write it again", **kwargs):
    """The model in a .keras file.

    Args:
        file: path.
        hint: what to do about a file that is damaged.
        **kwargs: as of `keras.models.load_model`.

    Raises:
        ValueError: it is not what was written; the message names the file.
    """
    try:
        # Keras reads weights whose checksum is wrong.
        with zipfile.ZipFile(file) as archive:
            wrong = archive.testzip()
            if wrong is not None or "config.json" not in archive.namelist():
                raise ValueError(f"{wrong or 'config.json'} in it is not what was written")
        return keras.models.load_model(file, **kwargs)
    except Exception as error:
        # Of what is no archive any more anything may come.
        raise ValueError(f"{file} is damaged ({error}); {hint}") from error

"""Portable: what takes a family's models elsewhere, as graphs, exports and presets."""

from tfgen.core.export import export
from tfgen.core.family import Family
from tfgen.core.presets import list_presets
from tfgen.core.presets import load_preset
from tfgen.core.presets import read_preset
from tfgen.core.presets import save_preset


class Portable(Family):
    """Family whose models are exported, and saved as presets.

    Arguments as for `GenerativeModel`.
    """

    def graph_function(self, name, by_row=False, plain=False):
        """The compiled core of an eager method, a concrete `tf.function` of keyword arguments for
        any number of rows: rows `start` to `start + n` of a call with this seed.

        Args:
            name: name of the method.
            by_row: whether each row has a `seed` and a `start` of its own, `[n, 2]` and `[n]`.
            plain: whether the graph is for converters to other formats, not for training: without
                loops over copies of a block, and with products in the place of solves.
        """
        return self._rows.function(name, by_row, plain)

    def signatures(self):
        """Names of the functions that `export` serves."""
        return []

    def export(self, filepath, *args, **kwargs):
        """Writes a SavedModel that serves without tfgen; see `tfgen.core.export.export`."""
        export(self, filepath, *args, **kwargs)

    presets = classmethod(list_presets)
    read_preset = classmethod(read_preset)
    from_preset = classmethod(load_preset)
    save_to_preset = save_preset

    def _map(self, name, x, batch_size):
        """Runs a core over examples alone, once they are checked."""
        x = self._row_checks.rows("x", x)
        return self._rows.run(name, x.shape[0], batch_size, x=x)

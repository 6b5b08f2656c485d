"""Presets: one JSON file each, read by `from_preset`."""

"""Tolerances of the checks, by dtype."""

# Relative, of what networks compute, by the dtype that they compute in.
TOLERANCE = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-4, "float64": 1e-9}

# By the dtype of a map.
INVERSE_ERROR = {"float32": 1e-4, "float64": 1e-10}
LOG_DET_ERROR = {"float32": 1e-4, "float64": 1e-6}
# Of what one computation gives in two ways.
SAME = {"float32": 1e-4, "float64": 1e-9}
ROUNDING = {"float32": 1e-5, "float64": 1e-12}
# Of a map whose networks compute in half precision, in place of each.
HALF = 5e-2


def of_map(table, layer):
    """The tolerance of a map.

    Args:
        table: tolerances by the dtype of a map.
        layer: `Bijector`.
    """
    if layer.network_dtype.compute_dtype in ("float16", "bfloat16"):
        return HALF
    return table[layer.variable_dtype]

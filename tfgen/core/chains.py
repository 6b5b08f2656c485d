"""Samples that are the last states of chains: what models that sample by chains share."""

import tensorflow as tf

from tfgen.utils import checks


def sample_chains(
    model,
    num_samples,
    condition,
    seed,
    batch_size,
    per_condition,
    num_steps,
    from_data,
    core="chain",
    **arguments,
):
    """Runs a chain for each sample, of a number of steps or from states that are given.

    Args:
        model: `GenerativeModel` with `sample_steps` and the cores `_chain`, which takes `num_steps`
            beside what `_sample` does, and `_chain_from`, which takes states `x` in the place of
            `num_rows`.
        num_samples: as in `sample`.
        condition: as in `sample`.
        seed: as in `sample`.
        batch_size: chains at a time.
        per_condition: as in `sample`.
        num_steps: steps of each chain; None for `sample_steps`.
        from_data: states that the chains start from, `[num_samples, *event_shape]`, or None.
        core: name of the core of chains that start from noise.
        **arguments: tensors, further arguments of the core.

    Returns:
        `[num_samples, *event_shape]` tensor, or `[n, num_samples, *event_shape]`.

    Raises:
        ValueError: for a bad argument, by its name.
    """
    num_samples = checks.check_count(num_samples, "num_samples")
    num_steps = model.sample_steps if num_steps is None else num_steps
    num_steps = checks.check_count(num_steps, "num_steps")
    rows, condition = model._row_checks.sampled(num_samples, condition, per_condition)
    if from_data is not None:
        core, arguments["x"] = "chain_from", model.data_spec.check_x(from_data)
        if len(arguments["x"]) != rows:
            raise ValueError(
                f"`from_data` must hold a state for each of {rows} chains; got "
                f"{len(arguments['x'])}"
            )
    arguments |= {"condition": condition, "num_steps": tf.constant(num_steps)}
    x = model._rows.run(core, rows, batch_size, seed, **arguments)
    return tf.reshape(x, [-1, num_samples, *model.event_shape]) if per_condition else x

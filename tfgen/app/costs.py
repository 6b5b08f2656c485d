"""Costs of a training step: here, by count and by calibration, and on other devices, on paper."""

import math
from typing import NamedTuple

import tensorflow as tf

from tfgen.app.calibration import Calibrated
from tfgen.app.calibration import calibrate
from tfgen.app.opened import open_model
from tfgen.app.settings import read_training
from tfgen.utils import checks
from tfgen.utils.amounts import as_amount
from tfgen.utils.amounts import as_time
from tfgen.utils.step_cost import PRODUCTS
from tfgen.utils.step_cost import Held
from tfgen.utils.step_cost import StepCost
from tfgen.utils.step_cost import count_step
from tfgen.utils.step_cost import held_by
from tfgen.utils.step_cost import traced_step

_PER_ROW = ("forward", "backward")
_PER_STEP = ("optimizer", "other")
# The shares of published peaks that projections assume.
OF_FLOPS, OF_MEMORY, OF_LINKS = 0.4, 0.7, 0.7


class Device(NamedTuple):
    """A device by its maker's data sheet.

    Attributes:
        name: what it is called.
        flops: peak of dense products per second, dict by the type that they are computed in.
        memory_rate: bytes per second of its memory.
        memory: bytes of it.
        link_rate: bytes per second from one device to the others, in one direction.
        start: seconds to start a kernel, which no sheet gives: an assumption.
        hop: seconds until a message to the next device arrives: another.
    """

    name: str
    flops: dict
    memory_rate: float
    memory: float
    link_rate: float
    start: float
    hop: float = 0.0


# Products of float32 are TensorFlow's default for each: TF32 on GPUs, passes of bfloat16 on TPUs.
# Links are those of NVLink 3 and 4, and of ICI: half of what the sheets give for both directions.
DEVICES = (
    Device(
        "A100 SXM 80 GB",
        {"float32": 156e12, "float16": 312e12, "bfloat16": 312e12},
        *(2.039e12, 80e9, 300e9, 5e-6, 2e-6),
    ),
    Device(
        "H100 SXM 80 GB",
        {"float32": 494e12, "float16": 989e12, "bfloat16": 989e12},
        *(3.35e12, 80e9, 450e9, 5e-6, 2e-6),
    ),
    # A step is one program there.
    Device("TPU v5e", {"float32": 197e12, "bfloat16": 197e12}, *(819e9, 16e9, 200e9, 0.0, 1e-6)),
)
POD = 256  # chips of a TPU v5e pod
# Between machines such as this one: bytes per second of 10 Gbit/s, and seconds of a message.
ETHERNET, ETHERNET_HOP = 1.25e9, 50e-6


class Projection(NamedTuple):
    """A training step in data parallel on equal devices.

    Attributes:
        name: the device.
        num_devices: their number.
        batch_size: rows of all devices together.
        computing: seconds of computing.
        all_reduce: seconds of adding up gradients, which nothing else is done beside.
        memory: bytes on each device.
        least_rows: rows on each device below which what all of them do alike (all-reduce,
            optimizer, starting operations) takes longer than the rows: more devices hardly pay.
        most_devices: number of devices beyond which it does, for this batch.
        fits: whether the device has this memory.
    """

    name: str
    num_devices: int
    batch_size: int
    computing: float
    all_reduce: float
    memory: float
    least_rows: int
    most_devices: int
    fits: bool


class Cost(NamedTuple):
    """Costs of a step, as `cost` returns them.

    Attributes:
        source: the preset or the run.
        model: name of its class.
        batch_size: rows of a step.
        held: `tfgen.utils.step_cost.Held`.
        step: `tfgen.utils.step_cost.StepCost`.
        calibrated: `tfgen.app.calibration.Calibrated`.
        projections: list of `Projection`, the first of this machine alone.
    """

    source: str
    model: str
    batch_size: int
    held: Held
    step: StepCost
    calibrated: Calibrated
    projections: list


def cost(source, *, batch_size=None, num_devices=8):
    """Counts a training step, calibrates this machine, and projects the step to others.

    Args:
        source: a preset, with weights or without, or the folder of a finished run.
        batch_size: rows of a step, of all devices together; by default that of the preset or run.
        num_devices: number of devices to project to.

    Returns:
        A `Cost`.

    Raises:
        ValueError: there is no such preset or run, or an argument is no positive whole number.

    >>> from tfgen.app.costs import cost
    >>> found = cost("nsf_pinwheel", batch_size=64, num_devices=2)
    >>> found.model, found.held.num_parameters > 0, found.step.flops_of() > 0
    ('NSF', True, True)
    >>> [(p.num_devices, p.name) for p in found.projections[:3]]
    [(1, 'this machine'), (2, 'this machine'), (2, 'A100 SXM 80 GB')]
    """
    if batch_size is not None:
        batch_size = checks.check_count(batch_size, "batch_size")
    num_devices = checks.check_count(num_devices, "num_devices")
    opened = open_model(source, name="source", load_weights=False)
    if batch_size is None:
        settings = opened.settings if opened.folder else {"preset": str(source)}
        batch_size = read_training(settings)["batch_size"]
    return cost_of(opened.net, batch_size, num_devices, str(source))


def cost_of(model, batch_size, num_devices=8, name="model"):
    """The `Cost` of a compiled model; arguments as of `cost`."""
    held, step = held_by(model), count_step(traced_step(model, batch_size))
    calibrated = calibrate(step)
    here = calibrated.total(*_PER_ROW).wall / batch_size, calibrated.total(*_PER_STEP).wall
    about, dtype = (held, step, batch_size), model.dtype_policy.compute_dtype
    links = (ETHERNET, calibrated.start.wall, ETHERNET_HOP)
    local = Device("this machine", {}, math.inf, math.inf, *links)
    projections = [_projected(local, n, *here, *about) for n in sorted({1, num_devices})]
    for device in DEVICES:
        if dtype in device.flops:
            numbers = [num_devices, POD] if device.name.startswith("TPU") else [num_devices]
            times = _on(device, dtype, step, batch_size)
            projections += [_projected(device, n, *times, *about) for n in numbers]
    return Cost(name, type(model).__name__, batch_size, held, step, calibrated, projections)


def _on(device, dtype, step, batch_size):
    """Seconds of a row, and of what is the same for any number of rows, on a device."""

    def seconds(parts):
        products = step.flops_of(parts=parts, kinds=PRODUCTS) / (OF_FLOPS * device.flops[dtype])
        moved = step.moved_by(parts=parts, kinds=("elementwise",))
        return products + moved / (OF_MEMORY * device.memory_rate)

    starts = device.start * sum(each.times for each in step.operations)
    return seconds(_PER_ROW) / batch_size, seconds(_PER_STEP) + starts


def _projected(device, number, per_row, per_step, held, step, batch_size):
    whole = max(batch_size, number)
    rows = math.ceil(whole / number)

    def all_reduce(number):
        moved = ring_bytes(held.gradient_bytes, number)
        # Each part goes round twice: added up, and given to all.
        return moved / (OF_LINKS * device.link_rate) + 2 * (number - 1) * device.hop

    def pays(number):
        return per_row * batch_size / number >= per_step + all_reduce(number)

    memory = held.parameter_bytes + held.optimizer_bytes + held.gradient_bytes
    memory += step.activation_bytes * rows / batch_size
    most = next((n - 1 for n in range(2, batch_size + 1) if not pays(n)), batch_size)
    least = max(1, math.ceil((all_reduce(max(number, 2)) + per_step) / per_row))
    return Projection(
        device.name,
        number,
        whole,
        per_row * rows + per_step,
        all_reduce(number),
        memory,
        least,
        most,
        memory <= device.memory,
    )


def ring_bytes(num_bytes, num_devices):
    """Bytes that each device of a ring sends to add up an array that all have.

    >>> from tfgen.app.costs import ring_bytes
    >>> ring_bytes(1000, 1), ring_bytes(1000, 8)
    (0.0, 1750.0)
    """
    return 2 * (num_devices - 1) / num_devices * num_bytes


# --- the report ----------------------------------------------------------------------------------

_NAMES = {"matmul": "matrix products", "conv": "convolutions", "elementwise": "elementwise"}
_COLUMNS = ("forward", "backward", "optimizer")


def lines(cost):
    """Yields the lines of the report of a `Cost`."""
    held, step, calibrated = cost.held, cost.step, cost.calibrated
    yield f"{cost.source}: a training step of {cost.model}, {cost.batch_size} rows"
    yield (
        f"weights: {held.num_parameters:,} parameters, {as_amount(held.parameter_bytes, 'B')}; "
        f"optimizer {as_amount(held.optimizer_bytes, 'B')}; "
        f"gradients {as_amount(held.gradient_bytes, 'B')}"
    )
    yield f"activations kept for the backward pass: {as_amount(step.activation_bytes, 'B')}"
    yield ""
    yield _row("", *_COLUMNS, "in all")
    for kind in ("matmul", "conv", "elementwise"):
        parts = [step.flops_of(parts=_with_other(part), kinds=(kind,)) for part in _COLUMNS]
        if sum(parts):
            yield _row(_NAMES[kind], *(as_amount(n, "FLOP") for n in (*parts, sum(parts))))
    parts = [step.moved_by(parts=_with_other(p), kinds=("elementwise",)) for p in _COLUMNS]
    yield _row("  which move", *(as_amount(n, "B") for n in (*parts, sum(parts))))
    parts = [calibrated.total(*_with_other(part)).wall for part in _COLUMNS]
    yield _row("time here", *(as_time(s) for s in (*parts, sum(parts))))
    yield ""
    rates = [
        f"{_NAMES[kind]} {as_amount(rate, 'FLOP/s')}"
        for kind, rate in calibrated.flops_per_second.items()
    ]
    rates += [f"elementwise {as_amount(calibrated.bytes_per_second, 'B/s')}"]
    yield f"here: TensorFlow {tf.__version__}, {_threads()}; the operations by themselves:"
    yield f"{', '.join(rates)}, {1e6 * calibrated.start.wall:.1f} us to start one"
    yield ""
    yield from _table(cost.projections)
    yield ""
    yield (
        "least rows: on each device, where what all do alike (all-reduce, optimizer, starting "
        "operations) takes as long as the rows; below, more devices hardly pay."
    )
    yield "most devices: where that is so for this batch. Of fewer rows than devices each has one."
    yield (
        "GPUs and TPUs are compiled for, not measured: their lines assume "
        f"{OF_FLOPS:.0%} of the published peak of products,"
    )
    yield (
        f"{OF_MEMORY:.0%} of the memory's and {OF_LINKS:.0%} of the links', no operations fused, "
        f"{as_time(DEVICES[0].start)} to start each on a GPU,"
    )
    yield (
        f"and one ring in which a message takes {as_time(DEVICES[0].hop)} to the next GPU and "
        f"{as_time(DEVICES[-1].hop)} to the next chip; between machines such as this one "
        f"{as_time(ETHERNET_HOP)}, at 10 Gbit/s."
    )
    if not all(p.fits for p in cost.projections):
        yield "(!): more than the device's memory."


def _with_other(part):
    """The optimizer's part has what is in no other, such as counts of steps."""
    return (part, "other") if part == "optimizer" else (part,)


def _threads():
    number = tf.config.threading.get_intra_op_parallelism_threads()
    return f"{number} threads" if number else "threads as TensorFlow chooses"


def _row(name, *cells):
    return f"{name:16}" + "".join(f"{cell:>14}" for cell in cells)


def _table(projections):
    head = ("batch", "computing", "all-reduce", "a step", "memory", "least rows", "most devices")
    yield f"{'devices':24}" + "".join(f"{cell:>13}" for cell in head)
    for p in projections:
        alone = p.num_devices == 1
        cells = (
            p.batch_size,
            as_time(p.computing),
            "-" if alone else as_time(p.all_reduce),
            as_time(p.computing + p.all_reduce),
            as_amount(p.memory, "B") + ("" if p.fits else " (!)"),
            "-" if alone else p.least_rows,
            "-" if alone else p.most_devices,
        )
        name = f"{p.num_devices} x {p.name}"
        yield f"{name:24}" + "".join(f"{cell:>13}" for cell in cells)

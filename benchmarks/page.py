"""docs/benchmarks.md, of what `run.py` measured."""

from pathlib import Path

import numpy as np
from contests import GROWTH
from race import ratios

INTRODUCTION = """# Benchmarks

```
pip install -e .[benchmarks]
python benchmarks/run.py --data-dir DIR
```

tfgen beside its peers, written by the command above. Every contestant has a process of its own,
and they take turns: in each of {rounds} rounds, or fewer where a call takes long, each runs for a
second or two, and its figure is the median of its steps or calls. A ratio is to the fastest peer,
round by round: the median of the rounds, and in brackets the lowest and the highest. A bar is the
ratio that was aimed at. The first step is the time from calling `fit`, or the peer's first step,
to its end, tracing and compiling included. Memory is the peak of four training steps in a fresh
process, above what it held before the model was made. The limit is the time that the products of
matrices and the convolutions of a step take here, each by itself, as a part of the step that was
run in between.

Measured on {machine}. Only figures of one table can be compared: the machine's speed varies.
"""
MEASURES = {
    "first step": "first step, s",
    "train": "a training step, ms",
    "log_prob": "`log_prob`, ms",
    "sample": "`sample`, ms",
    "memory": "memory, MiB",
}
AXES = {
    "steps_of_flow": "steps of flow in each level, K",
    "filters": "filters",
    "batch": "batch",
    "side": "height and width",
}
# Beside the page's figures: why a bar is not met.
REMARKS = Path(__file__).parent / "remarks.md"


def write(contests, written, docs):
    """Writes the page, and the figure of growth.

    Args:
        contests: dict of names to `Contest`s.
        written: dict of names to what was measured.
        docs: the folder.
    """
    if not written:
        return
    machine = next(reversed(written.values()))["machine"]
    rounds = max(each["rounds"] for each in written.values())
    parts = [INTRODUCTION.format(machine=machine, rounds=rounds)]
    for name, contest in contests.items():
        if name in written:
            parts.append(_table(contest, written[name]["found"]))
    if "largest_batch" in written:
        parts.append(_largest_batch(written["largest_batch"]["found"]))
    if "growth" in written:
        _plot(written["growth"]["found"], docs / "images" / "benchmarks_growth.png")
        parts.append(_growth(written["growth"]["found"]))
    parts.append(REMARKS.read_text())
    (docs / "benchmarks.md").write_text("\n".join(parts))


def _median(found, measure, name):
    seconds = found[measure].get(name)
    if seconds is None:
        return "-"
    unit = {"first step": 1, "memory": 2**-20}.get(measure, 1000)
    value = unit * float(np.median(seconds))
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(contest, found):
    measures = [m for m in contest.measures if m in MEASURES]
    lines = [f"## {contest.title}", "", f"{contest.about[0].upper()}{contest.about[1:]}.", ""]
    lines += [
        "| | " + " | ".join(MEASURES[m] for m in measures) + " |",
        "|---" * (len(measures) + 1) + "|",
    ]
    for name in contest.contestants:
        if name not in found["failed"]:
            row = " | ".join(_median(found, m, name) for m in measures)
            lines.append(f"| {name} | {row} |")
    lines.append("")
    for name, why in found["failed"].items():
        lines += [f"{name} did not run: {why}.", ""]
    rows = [row for name in contest.ours for row in _judged(contest, found, name)]
    if rows:
        lines += ["| | | ratio | to | bar |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _judged(contest, found, name):
    """Rows of one of ours: ratios to peers, and the limit."""
    for measure in contest.measures:
        bar = contest.bars.get((name, measure))
        if measure == "limit":
            limit = found["limit"].get(name)
            if limit:
                part = limit["limit"] / limit["train"]
                yield (
                    f"| {name} | limit of the step | {part:.2f} | {1000 * limit['train']:.0f} ms "
                    f"| {_bar(bar, part >= (bar or 0), 'at least')} |"
                )
            continue
        peers = {k: v for k, v in found[measure].items() if k not in contest.ours}
        ours = found[measure].get(name)
        if not ours or not peers:
            continue
        fastest, ratio, least, most = ratios(ours, peers)
        told = f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}"
        if len(ours) > 1:
            told += f" ({least:.2g} to {most:.2g})"
        judged = ours[0] if measure == "first step" else ratio
        unit = " s" if measure == "first step" else ""
        met = bar is None or judged <= bar
        yield (
            f"| {name} | {measure.replace('train', 'training step')} | {told} | {fastest} "
            f"| {_bar(bar, met, 'at most', unit)} |"
        )


def _bar(bar, met, word, unit=""):
    if bar is None:
        return ""
    return f"{word} {bar:.3g}{unit}: {'met' if met else 'not met'}"


def _largest_batch(found):
    lines = [
        "## The largest batch",
        "",
        "Of a Glow with K=32, L=3 and 512 filters on 32x32x3 images, whose training steps take no "
        "more than 4 GiB above the framework's own.",
        "",
        "| | images |",
        "|---|---|",
        *(f"| {name} | {batch} |" for name, batch in found.items()),
        "",
    ]
    return "\n".join(lines)


def _growth(found):
    names = list(next(iter(next(iter(found.values())).values())))
    lines = [
        "## Growth",
        "",
        "Of a Glow with L=3 from K=8, 64 filters, batch 16 and 32x32x3 images, one size at a time: "
        "MiB of memory.",
        "",
        "![Memory by depth, width, batch and size of images](images/benchmarks_growth.png)",
        "",
    ]
    for axis, rows in found.items():
        lines += [f"| {AXES[axis]} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for value, row in rows.items():
            cells = (
                f"{row[n]['memory'] / 2**20:,.0f}" if "memory" in row[n] else "did not run"
                for n in names
            )
            lines.append(f"| {value} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _plot(found, path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, (axis, rows) in zip(figure.subplots(1, len(GROWTH)), found.items(), strict=True):
        values = [int(value) for value in rows]
        for name in next(iter(rows.values())):
            taken = [row[name].get("memory", np.nan) / 2**20 for row in rows.values()]
            panel.plot(values, taken, marker="o", markersize=3, label=name)
        panel.set_xscale("log", base=2)
        panel.set_ylim(bottom=0)
        panel.set_xticks(values, [str(v) for v in values])
        panel.set_xlabel(AXES[axis].split(",")[0])
    figure.axes[0].set_ylabel("memory, MiB")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=80)

"""tfgen beside its peers: steps, calls and memory, all in one run and in turns.

    python benchmarks/run.py --data-dir DIR        # needs the extra: pip install -e .[benchmarks]
    python benchmarks/run.py glow maf --rounds 9
    python benchmarks/run.py --page                # the page again, of what was measured

Each contestant has a process of its own, bound to as many processors, and they take turns: in every
round each runs for a second or two, and its figure is the median of its steps or calls. Ratios are
to the fastest peer round by round; the median of the rounds is told, and in brackets the lowest and
the highest. Peak memory is that of a fresh process. What was measured stays in `--out`, one file
for each contest, and docs/benchmarks.md is written of all that are there.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

import page
from contests import CONTESTS
from contests import GROWTH
from contests import grown
from contests import inputs
from race import ContestantError
from race import memory
from race import race

LIBRARIES = (
    "tensorflow",
    "keras",
    "torch",
    "zuko",
    "normflows",
    "nflows",
    "jax",
    "flowjax",
    "numpy",
)
DOCS = Path(__file__).resolve().parent.parent / "docs"
GIGABYTES = 4


def tell(line):
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def machine(threads):
    """The machine and the versions, in words."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{platform.machine()} with {os.cpu_count()} processors, {threads} threads for each "
        f"contestant; Python {platform.python_version()}, {versions}"
    )


def growth(threads):
    """Memory as one size grows: dict of axis to value to contestant."""
    found = {}
    for axis, values in GROWTH.items():
        for value in values:
            row = found.setdefault(axis, {}).setdefault(str(value), {})
            for name, (where, sizes) in grown(axis, value).items():
                try:
                    row[name] = {"memory": memory(where, sizes, threads)}
                except ContestantError as error:
                    row[name] = {"failed": str(error)}
            told = ", ".join(
                f"{k} {v['memory'] / 2**20:.0f} MiB" for k, v in row.items() if "memory" in v
            )
            tell(f"  {axis} {value}: {told}")
    return found


def largest_batch(threads):
    """The largest batch of a Glow of width 512 whose steps take no more than 4 GiB above the
    framework's own, found by halving intervals, to one part in eight."""
    found = {}
    for name, (where, sizes) in grown("filters", 512).items():

        def fits(batch, where=where, sizes=sizes, name=name):
            taken = memory(where, {**sizes, "steps_of_flow": 32, "batch": batch}, threads)
            tell(f"  {name}: batch {batch} takes {taken / 2**30:.2f} GiB")
            return taken <= GIGABYTES * 2**30

        least, most = 0, 4
        while fits(most):
            least, most = most, 2 * most
        while most - least > max(1, least // 8):
            middle = (least + most) // 2
            least, most = (middle, most) if fits(middle) else (least, middle)
        found[name] = least
    return found


def main():
    names = [*CONTESTS, "input", "growth", "largest_batch"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contests", nargs="*", help=f"of {names}; by default all")
    parser.add_argument("--data-dir", help="of TFDS with mnist, for its input")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--page", action="store_true", help="write the page only")
    args = parser.parse_args()
    unknown = set(args.contests) - set(names)
    if unknown:
        parser.error(f"contests must be of {names}; got {sorted(unknown)}")
    args.out.mkdir(parents=True, exist_ok=True)
    contests = {**CONTESTS, "input": inputs(args.data_dir)}
    for name in () if args.page else args.contests or names:
        tell(name)
        if name == "growth":
            found = growth(args.threads)
        elif name == "largest_batch":
            found = largest_batch(args.threads)
        else:
            found = race(contests[name], args.threads, args.rounds, tell)
        found = {"machine": machine(args.threads), "rounds": args.rounds, "found": found}
        (args.out / f"{name}.json").write_text(json.dumps(found, indent=1))
    written = {
        name: json.loads((args.out / f"{name}.json").read_text())
        for name in names
        if (args.out / f"{name}.json").is_file()
    }
    page.write(contests, written, DOCS)


if __name__ == "__main__":
    main()

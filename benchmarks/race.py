"""Contestants in processes of their own, which take turns."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

# Threads that a library left spinning go to sleep.
PAUSE = 0.3
# What contestants do in turns, and how often before the first of them.
TIMED, FIRST = ("train", "log_prob", "sample"), 5
# Of one turn, and the fewest and most steps or calls in it. The first ones wait for data.
SECONDS, FEWEST, MOST, LEFT_OUT = 1.5, 3, 40, 2
# A call of more seconds is the only one of its turn.
LONG = 10
# A contestant that takes longer for one answer, as some compilers do, is left out.
LONGEST = 360


class ContestantError(Exception):
    """What a contestant's process said of why it stopped."""


class Process:
    """A contestant in a process of its own, that does what it is told and tells the figures.

    Args:
        where: `"module:Class"` of the contestant.
        sizes: its arguments.
        threads: of the processor, to which the process is bound.
    """

    def __init__(self, where, sizes, threads):
        here = Path(__file__).parent
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        environment |= {"OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, str(here / "worker.py"), where, json.dumps(sizes), str(threads)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def __call__(self, do, *arguments):
        """What the contestant's method gives."""
        self._process.stdin.write(json.dumps([do, *arguments]) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], LONGEST)[0]:
            raise ContestantError(f"not done in {LONGEST} seconds")
        answer = self._process.stdout.readline()
        if not answer:
            raise ContestantError(f"its process ended, with {self._process.wait()}")
        answer = json.loads(answer)
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer["value"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def race(contest, threads, rounds, tell):
    """Runs the contestants of a contest in turns.

    Args:
        contest: a `contests.Contest`.
        threads: of the processor, for each.
        rounds: number of turns of each.
        tell: function that is called with a line of progress.

    Returns:
        Dict of measure to contestant to its seconds, one for each round (of `"first step"` one
        alone), and `"failed"`, of contestants to why they did not run.
    """
    found, running = {measure: {} for measure in contest.measures}, {}
    timed = [measure for measure in contest.measures if measure in TIMED]
    failed, counts = {}, {}

    def attempt(name, do, *arguments):
        try:
            return running[name](do, *arguments)
        except ContestantError as error:
            failed[name] = f"{do}: {error}"
            running.pop(name).__exit__()
            # Rounds that the others have and it has not.
            for figures in found.values():
                figures.pop(name, None)
            tell(f"  {name} did not run: {failed[name]}")
            return None

    def begin(name):
        """The first steps and calls, which make graphs, and how many later ones make a turn."""
        attempt(name, "make")
        for measure in timed:
            count = FIRST if measure == "train" else 1
            seconds = attempt(name, "run", measure, count) if name in running else None
            if seconds and measure != "train" and seconds[0] <= LONG:
                seconds = attempt(name, "run", measure, FIRST)
            if seconds is None:
                return
            if measure == "train" and "first step" in found:
                found["first step"][name] = [seconds[0]]
            each = max(np.median(seconds[LEFT_OUT:] or seconds), 1e-6)
            fewest = FEWEST if each <= LONG else 1
            counts[name, measure] = int(np.clip(SECONDS / each, fewest, MOST))
        tell(f"  {name} is ready")

    try:
        for name, (where, sizes) in contest.contestants.items():
            running[name] = Process(where, sizes, threads)
            begin(name)
        for measure in timed:
            left_out = LEFT_OUT if measure == "train" else 0
            for name in [name for _ in range(rounds) for name in contest.contestants]:
                if name not in running:
                    continue
                time.sleep(PAUSE)
                seconds = attempt(name, "run", measure, counts[name, measure] + left_out)
                if seconds is not None:
                    taken = float(np.median(seconds[left_out:]))
                    found[measure].setdefault(name, []).append(taken)
            tell(f"  {measure}: " + ", ".join(_told(found[measure])))
    finally:
        for process in running.values():
            process.__exit__()
    for name, (where, sizes) in contest.contestants.items():
        if name in failed:
            continue
        try:
            if "memory" in found:
                found["memory"][name] = [memory(where, sizes, threads)]
                tell(f"  {name}: {found['memory'][name][0] / 2**20:.0f} MiB")
            if "limit" in found and (name, "limit") in contest.bars:
                with Process(where, sizes, threads) as process:
                    process("make")
                    found["limit"][name] = process("limit")
        except ContestantError as error:
            tell(f"  {name}: {error}")
    return {**found, "failed": failed}


def _told(found):
    return [f"{name} {1000 * np.median(seconds):.2f} ms" for name, seconds in found.items()]


def memory(where, sizes, threads):
    """Peak bytes of four training steps above what the process held before the model was made,
    when a tiny one of its kind had been trained in it."""
    with Process(where, sizes, threads) as process:
        return process("memory")


def ratios(ours, peers):
    """Ratio to the fastest peer, round by round.

    Args:
        ours: seconds of each round.
        peers: dict of peers to theirs.

    Returns:
        Name of the fastest by its median, the median ratio to it, and the least and the largest.
    """
    fastest = min(peers, key=lambda name: np.median(peers[name]))
    each = np.divide(ours, peers[fastest])
    return fastest, float(np.median(each)), float(each.min()), float(each.max())

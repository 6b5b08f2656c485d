"""A contestant's process: obeys the commands of its standard input, see `race.Process`."""

import gc
import importlib
import json
import os
import sys
from pathlib import Path


def kilobytes(field):
    """A field of this process's memory, as Linux has it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def memory(cls, sizes):
    """Bytes, as `race.memory` says."""
    tiny = cls(**{**sizes, **cls.tiny})
    tiny.make()
    tiny.train(2)
    del tiny
    gc.collect()
    before = kilobytes("VmRSS")
    # The peak counts from here on.
    Path("/proc/self/clear_refs").write_text("5")
    contestant = cls(**sizes)
    contestant.make()
    contestant.train(4)
    return 1024 * (kilobytes("VmHWM") - before)


def main():
    where, sizes, threads = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    # Answers go where they are expected; what libraries print does not.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contestant, cls = None, None
    for line in sys.stdin:
        do, *arguments = json.loads(line)
        try:
            if contestant is None:
                module, _, name = where.partition(":")
                cls = getattr(importlib.import_module(module), name)
                contestant = cls(**sizes)
            value = memory(cls, sizes) if do == "memory" else getattr(contestant, do)(*arguments)
            answer = {"value": value}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[:1]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

"""The models that `benchmarks/run.py` races, by library; each module imports its own alone."""

import abc
import time


class Contestant(abc.ABC):
    """A model of one library, in a process of its own.

    Attributes are the arguments: what the contest says of sizes. `make` builds the model, which is
    not timed; what a contestant takes part in it defines beside.
    """

    def __init__(self, **sizes):
        self.__dict__.update(sizes)

    @abc.abstractmethod
    def make(self):
        """Builds the model, and the data it is trained on."""

    def train(self, count):
        """Seconds of each of `count` training steps; the first of all includes compiling."""
        ends = [time.perf_counter(), *(time.perf_counter() for _ in self.steps(count))]
        return [after - before for before, after in zip(ends, ends[1:], strict=False)]

    def steps(self, count):
        """Yields after each of `count` training steps."""
        raise NotImplementedError(f"{type(self).__name__} is not trained")

    def run(self, measure, count):
        """Seconds of each of `count` steps of `"train"`, or calls of the method that `measure` is
        named after, which returns when all is computed."""
        if measure == "train":
            return self.train(count)
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            getattr(self, measure)()
            seconds.append(time.perf_counter() - start)
        return seconds

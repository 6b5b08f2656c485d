"""Batches made of the rows of many callers, run by one thread."""

import collections
import concurrent.futures
import dataclasses
import threading
import time

import numpy as np


class Overloaded(Exception):
    """The queue is full: the same request may succeed a little later."""


@dataclasses.dataclass
class Call:
    """Rows to be run by a function.

    Args:
        key: hashable; rows of calls with equal keys may stand in one batch. None: this call is run
            alone and whole.
        run: function from a dict of arrays to a dict of arrays with as many rows.
        rows: dict of arrays `[n, ...]`; of a call that is run alone any arrays.
        num_rows: n.
    """

    key: object
    run: object
    rows: dict
    num_rows: int


class _Job:
    """A call on its way: what of it was taken, and the parts of its answer."""

    def __init__(self, call):
        self.call, self.since = call, time.monotonic()
        self.future = concurrent.futures.Future()
        self.taken, self.parts = 0, []

    @property
    def left(self):
        return self.call.num_rows - self.taken

    def finish(self, part):
        """Takes a part of the answer; the last one completes it."""
        self.parts.append(part)
        if sum(stop - start for start, stop, _ in self.parts) < self.call.num_rows:
            return
        outputs = [outputs for _, _, outputs in self.parts]
        if len(outputs) > 1:
            outputs = [{k: np.concatenate([o[k] for o in outputs]) for k in outputs[0]}]
        # False where the caller no longer waits.
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(outputs[0])

    def fail(self, error):
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Batcher:
    """Queue of calls and the one thread that runs them, rows of several callers at a time.

    The functions must give each row the same answer whatever rows stand beside it. A call of more
    rows than a batch is run in several.

    Args:
        max_rows: rows of a batch at most.
        delay: seconds that the first rows of a batch wait for others, if it is not full.
        max_queued: rows in the queue at most; one call is always taken.
        observe: function that is told the rows and the seconds of each batch, or None.

    >>> from tfgen.app.serving.batching import Batcher, Call
    >>> def double(rows):
    ...     return {"y": 2 * rows["x"]}
    >>> batcher = Batcher(max_rows=4)
    >>> calls = [Call("double", double, {"x": np.full(3, i)}, 3) for i in (1, 2)]
    >>> futures = [batcher.submit(call) for call in calls]
    >>> [future.result()["y"].tolist() for future in futures]
    [[2, 2, 2], [4, 4, 4]]
    >>> batcher.close()
    """

    def __init__(self, max_rows=64, delay=0.002, max_queued=4096, observe=None):
        self.max_rows, self.delay, self.max_queued = max_rows, delay, max_queued
        self._observe = observe
        self._jobs, self._closed = collections.deque(), False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="tfgen-serve", daemon=True)
        self._thread.start()

    @property
    def queued(self):
        """Rows that wait."""
        with self._changed:
            return self._count()

    def _count(self):
        return sum(job.left for job in self._jobs if not job.future.done())

    def submit(self, call):
        """Takes a call.

        Args:
            call: `Call`.

        Returns:
            `concurrent.futures.Future` of the dict of outputs; cancelling it takes the rows that
            were not run yet out of the queue.

        Raises:
            Overloaded: the queue is full, or closed.
        """
        job = _Job(call)
        with self._changed:
            if self._closed:
                raise Overloaded("the server stops")
            if self._jobs and self._count() + call.num_rows > self.max_queued:
                raise Overloaded(f"{self._count()} rows are waiting already")
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self, timeout=None):
        """Takes no more calls, runs those that there are, and ends the thread.

        Args:
            timeout: seconds to wait for it; None waits for all.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _work(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                first = self._jobs[0]
                until = first.since + self.delay
                while not self._is_full(first.call.key):
                    left = until - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                batch = self._take(first.call.key)
            if batch:
                self._run(batch)

    def _is_full(self, key):
        if key is None or self._closed:
            return True
        return sum(j.left for j in self._jobs if j.call.key == key) >= self.max_rows

    def _take(self, key):
        """The `(job, start, stop)` of a batch of one key, the oldest rows first."""
        batch, room, waiting = [], self.max_rows, collections.deque()
        for job in self._jobs:
            if job.future.done():
                # Cancelled, or an earlier part of it failed.
                continue
            alone = job.call.key is None
            if job.call.key == key and (room > 0 if not alone else not batch):
                rows = job.left if alone else min(room, job.left)
                batch.append((job, job.taken, job.taken + rows))
                job.taken += rows
                room -= rows
            if job.left:
                waiting.append(job)
        self._jobs = waiting
        return batch

    def _run(self, batch):
        start = time.monotonic()
        try:
            outputs = batch[0][0].call.run(_rows_of(batch))
        except Exception as error:
            # The rows of one caller must not fail those of another.
            if len(batch) == 1:
                batch[0][0].fail(error)
            else:
                for part in batch:
                    self._run([part])
            return
        num_rows, at = sum(stop - start for _, start, stop in batch), 0
        if self._observe is not None:
            self._observe(num_rows, time.monotonic() - start)
        for job, first, last in batch:
            part = outputs
            if len(batch) > 1:
                part = {k: v[at : at + last - first] for k, v in outputs.items()}
            at += last - first
            job.finish((first, last, part))


def _rows_of(batch):
    """The arrays of a batch's rows."""
    parts = []
    for job, start, stop in batch:
        rows = job.call.rows
        whole = stop - start == job.call.num_rows
        parts.append(rows if whole else {k: v[start:stop] for k, v in rows.items()})
    if len(parts) == 1:
        return parts[0]
    return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}

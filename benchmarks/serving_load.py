"""`tfgen serve` under load: 32 clients, 2,000 requests, one in ten malformed; then signals.

    python benchmarks/serving_load.py glow_mnist     # needs the extra: pip install -e .[serve]

The server is a process of its own, the clients are threads of this one, all on this machine and
its cores. Every answer is compared with that of the model itself, asked for these rows alone, one
request after the other. The throughput is compared with that of the compiled functions, called
here in full batches, in turns with the load: the time that all answered rows take so, by the time
until the last of them was answered. All that clients and malformed requests take is in it.
"""

import argparse
import collections
import functools
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfgen.app.opened import open_model
from tfgen.core.export import signatures

BATCH, MOST = 64, 16
OPERATIONS = ("log_prob", "predict", "encode", "decode", "sample")
# As often as each is asked for.
WEIGHTS = {"log_prob": 7, "predict": 7, "encode": 2, "decode": 2, "sample": 2}


class Server:
    """The process of a server, ready to be asked."""

    def __init__(self, source, seconds):
        command = [Path(sys.executable).with_name("tfgen"), "serve", source, "--port", "0"]
        command += ["--seconds", str(seconds), "--name", "served"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # It is told once the server is ready.
        self.line = self.process.stdout.readline()
        if not self.line:
            raise RuntimeError(self.process.stderr.read())
        self.port = int(self.line.split("http://127.0.0.1:")[1].split("/")[0].split(";")[0])

    def memory(self):
        """MiB of it that are in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def figure(self, name):
        """A number of `/metrics`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        return float(text.split(f"\ntfgen_{name} ")[1].split()[0])

    def batches(self):
        """Number, rows and seconds of all batches so far."""
        names = ("batch_rows_count", "batch_rows_sum", "batch_seconds_sum")
        return np.array([self.figure(name) for name in names])

    def processor(self):
        """Seconds that processors spent on it."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, number):
        """Sends a signal; returns the exit code and what was written to standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, errors


# ------------------------------------------------------------------------------ good requests


class Good:
    """A request and the answer that the model itself gives."""

    def __init__(self, net, operation, number, condition):
        rng = np.random.default_rng(number)
        self.operation, self.num_rows = operation, int(rng.integers(1, MOST + 1))
        given = {} if condition is None else {"condition": condition}
        self.exact = operation in ("sample", "decode") and net.data_kind != "real"
        path, body = f"/{operation}", dict(given)
        if operation == "sample":
            body |= {"num_samples": self.num_rows, "seed": number}
            expected = net.sample(self.num_rows, condition, seed=number)
        elif operation == "decode":
            z = rng.normal(size=(self.num_rows, *net.latent_shape)).astype("float32")
            body |= {"z": z.tolist()}
            expected = net.decode(z, condition)
        else:
            x = examples(net, self.num_rows, rng)
            if operation == "predict":
                path = "/v1/models/served:predict"
                rows = [{"x": v, **given} for v in x.tolist()] if given else x.tolist()
                body = {"signature_name": "log_prob", "instances": rows}
            else:
                body |= {"x": x.tolist()}
            method = net.encode if operation == "encode" else net.log_prob
            expected = method(x, condition)
        self.path, self.body = path, json.dumps(body).encode()
        self.expected = expected.numpy()

    def is_right(self, body):
        """True if it is the answer."""
        content = json.loads(body)
        key = {"predict": "predictions", "encode": "z", "decode": "x", "sample": "samples"}
        found = np.array(content[key.get(self.operation, "log_prob")])
        if found.shape != self.expected.shape:
            return False
        if self.exact:
            # In other batches sums are rounded otherwise, which may turn a draw here and there.
            return np.mean(found != self.expected) < 0.01
        return np.allclose(found, self.expected, rtol=1e-3, atol=1e-3)


def examples(net, num_rows, rng):
    """Random examples of a model's kind."""
    shape = (num_rows, *net.event_shape)
    if net.data_kind == "real":
        return rng.normal(size=shape).astype("float32")
    return rng.integers(0, 2 if net.data_kind == "binary" else 256, shape, np.uint8)


def good_requests(net, count):
    """Requests of all operations that the model has, so many of each."""
    condition = 0 if net.num_classes else None
    served = {"predict" if n == "predict" else n for n in (*net.signatures(), "predict")}
    return {
        operation: [Good(net, operation, i, condition) for i in range(count)]
        for operation in OPERATIONS
        if operation in served
    }


# ------------------------------------------------------------------------------- bad requests


def body_of(content):
    return content if isinstance(content, bytes) else json.dumps(content).encode()


BAD = {
    "huge": ("/log_prob", b'{"x": [' + b"1," * 2**23 + b"1]}", {413, 408}),
    "nested": ("/log_prob", b'{"x": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", {400}),
    "nested a little": ("/log_prob", b'{"x": ' + b"[" * 500 + b"]" * 500 + b"}", {400}),
    "NaN": ("/log_prob", {"x": [[float("nan"), 1]]}, {400}),
    "wrong type": ("/log_prob", {"x": {"a": ["b"]}}, {400}),
    "unknown signature": (
        "/v1/models/served:predict", {"signature_name": "sampel", "instances": [1]}, {400}
    ),
    "a million": ("/sample", {"num_samples": 10**6}, {400}),
    "negative": ("/sample", {"num_samples": 1, "temperature": -1}, {400}),
    "no JSON": ("/encode", b"\x00{{", {400}),
    "unknown model": ("/v1/models/other:predict", {"instances": [1]}, {404}),
}  # fmt: skip


def slow_body(port, seconds):
    """Sends a byte now and then; returns the status, 0 for a connection that was closed."""
    with socket.create_connection(("127.0.0.1", port), 3 * seconds) as connection:
        connection.sendall(b"POST /log_prob HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n")
        return dripped(connection, seconds)


def slow_head(port, seconds):
    """The same within the head of a request."""
    with socket.create_connection(("127.0.0.1", port), 3 * seconds) as connection:
        connection.sendall(b"POST /log_prob HTTP/1.1\r\nHost: ")
        return dripped(connection, seconds)


def dripped(connection, seconds):
    until = time.monotonic() + 3 * seconds
    connection.settimeout(seconds / 20)
    while time.monotonic() < until:
        try:
            connection.sendall(b"1")
            answer = connection.recv(100)
            return int(answer.split()[1]) if answer else 0
        except TimeoutError:
            continue
        except OSError:
            return 0
    return -1


def broken_off(port, seconds):
    """Closes in the midst of a body."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(b"POST /sample HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{")
    return 0


RAW = {
    "slow body": (slow_body, {408, 0}),
    "slow head": (slow_head, {0}),
    "broken": (broken_off, {0}),
}


# ----------------------------------------------------------------------------------- the load


class Load:
    """Clients that ask, and what came of it.

    Attributes:
        counts: of all outcomes: of good ones `"right"` and `"busy"`, `"WRONG"`, `"STATUS n"`,
            `"lost"`; of others their kinds.
        rows: answered rows by operation.
        start: time of a clock.
        last_right: that of the last right answer. Slow senders may take longer.
    """

    def __init__(self, server, requests, seconds):
        self.server, self.seconds = server, seconds
        self.left = iter(requests)
        self.counts, self.rows = collections.Counter(), collections.Counter()
        self.memory, self.statuses = [], collections.Counter()
        self.start = self.last_right = 0
        self.lock = threading.Lock()

    def run(self, clients, while_running=None):
        """Runs to the end."""
        threads = [threading.Thread(target=self._client) for _ in range(clients)]
        self.start = time.monotonic()
        for thread in threads:
            thread.start()
        watch = threading.Thread(target=self._watch, args=[threads])
        watch.start()
        if while_running:
            while_running(self)
        for thread in threads:
            thread.join()
        watch.join()

    def _watch(self, threads):
        while any(thread.is_alive() for thread in threads):
            try:
                self.memory.append(self.server.memory())
            except (OSError, IndexError):
                # It has ended.
                return
            time.sleep(0.2)

    def _client(self):
        connection = None
        while True:
            with self.lock:
                request = next(self.left, None)
            if request is None:
                if connection is not None:
                    connection.close()
                return
            if isinstance(request, Good):
                outcome = self._good(connection := self._connected(connection), request)
            else:
                outcome = self._bad(connection := self._connected(connection), request)
            with self.lock:
                self.counts[outcome] += 1

    def _connected(self, connection):
        if connection is not None and connection.sock is not None:
            return connection
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)

    def _ask(self, connection, path, body):
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None, b""
        with self.lock:
            self.statuses[answer.status] += 1
        return answer.status, content

    def _good(self, connection, request):
        for _ in range(100):
            status, content = self._ask(connection, request.path, request.body)
            if status != 429:
                break
            time.sleep(0.1)
        if status is None:
            return "lost"
        if status != 200:
            return f"STATUS {status} of a good request"
        if not request.is_right(content):
            return "WRONG"
        with self.lock:
            self.rows[request.operation] += request.num_rows
            self.last_right = time.monotonic()
        return "right"

    def _bad(self, connection, kind):
        if kind in RAW:
            # It may take longer than the server keeps a connection.
            connection.close()
            send, allowed = RAW[kind]
            try:
                status = send(self.server.port, self.seconds)
            except OSError:
                status = 0
        else:
            path, content, allowed = BAD[kind]
            status, _ = self._ask(connection, path, body_of(content))
        return kind if status in allowed else f"STATUS {status} of {kind}"


def rates(net, least=0.7):
    """Seconds that a row takes in a full batch of each operation's compiled function: of a clock,
    and of all processors."""
    functions, found = signatures(net), {}
    rng = np.random.default_rng(0)
    for name in net.signatures():
        by_row = name + "_by_row" if name + "_by_row" in functions else name
        given = {"x": examples(net, BATCH, rng)} if name in ("log_prob", "encode") else {}
        if name == "decode":
            given["z"] = rng.normal(size=(BATCH, *net.latent_shape)).astype("float32")
        if net.num_classes:
            given["condition"] = np.zeros(BATCH, np.int32)
        if by_row != name:
            given |= {"seed": np.zeros(BATCH, np.int64), "row": np.arange(BATCH)}
        run = functools.partial(in_batch, functions[by_row], given)
        run()
        start, used, count = time.monotonic(), time.process_time(), 0
        while time.monotonic() - start < least:
            run()
            count += BATCH
        took = (time.monotonic() - start, time.process_time() - used)
        found[name] = [seconds / count for seconds in took]
    return {**found, "predict": found.get("log_prob")}


def in_batch(function, given):
    outputs = function(**{k: tf.constant(v) for k, v in given.items()})
    return {k: v.numpy() for k, v in outputs.items()}


def mixed(pool, count, bad_share):
    """So many requests in random order, a share of them bad, of each kind as many."""
    rng = np.random.default_rng(0)
    names = [name for name in pool for _ in range(WEIGHTS[name])]
    kinds = itertools.cycle([*BAD, *RAW])
    for is_bad in rng.permutation(np.arange(count) < bad_share * count):
        if is_bad:
            yield next(kinds)
        else:
            requests = pool[names[rng.integers(len(names))]]
            yield requests[rng.integers(len(requests))]


def stop_gracefully(server, net, clients):
    """SIGTERM while requests run: they are answered, and new ones refused."""
    condition = {"condition": 0} if net.num_classes else {}
    body = body_of({"num_samples": 256, "seed": 1, **condition})
    outcomes, sent = [], threading.Barrier(clients + 1)

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        try:
            connection.request("POST", "/sample", body)
            sent.wait()
            answer = connection.getresponse()
            outcomes.append((answer.status, len(json.loads(answer.read())["samples"])))
        except (OSError, http.client.HTTPException) as error:
            outcomes.append((0, repr(error)))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    # It takes connections in their order, so the others are with it when this one is answered.
    sent.wait()
    server.figure("queued_rows")
    code, errors = server.end(signal.SIGTERM)
    for thread in threads:
        thread.join()
    try:
        socket.create_connection(("127.0.0.1", server.port), 1).close()
        refuses = False
    except OSError:
        refuses = True
    return {"answers": collections.Counter(outcomes), "exit code": code, "errors": errors,
            "refuses new": refuses}  # fmt: skip


def kill_under_load(source, pool, clients, count, seconds):
    """SIGKILL while clients ask: what came is whole and right, the rest are errors."""
    server = Server(source, seconds)
    load = Load(server, mixed(pool, count, 0.0), seconds)

    def kill(load):
        while load.counts["right"] < count / 3:
            time.sleep(0.01)
        server.end(signal.SIGKILL)

    load.run(clients, kill)
    return load.counts


def measure(source, clients=32, count=2000, bad_share=0.1, seconds=10.0, rounds=10, kill=True):
    """Runs it all.

    Other programs take a share of the machine that changes, so the compiled functions and the
    server are measured in turns, and the times of processors beside those of clocks.

    Returns:
        Dict of what was found.
    """
    net = open_model(source).net
    pool = good_requests(net, 12)
    found = {"outcomes": collections.Counter(), "statuses": collections.Counter(), "rows": 0}
    clock, processor, batches, memory = [], [], np.zeros(3), []
    server = Server(source, seconds)
    try:
        # Threads, buffers and allocators grow with the first requests.
        Load(server, mixed(pool, clients * 4, 0.5), seconds).run(clients)
        requests = list(mixed(pool, count, bad_share))
        before = rates(net)
        for number in range(rounds):
            load = Load(server, requests[number::rounds], seconds)
            start, used = server.batches(), server.processor()
            load.run(clients)
            batches += server.batches() - start
            used, after = server.processor() - used, rates(net)
            compiled = [
                sum(n * (before[k][i] + after[k][i]) / 2 for k, n in load.rows.items())
                for i in range(2)
            ]
            clock.append((compiled[0], load.last_right - load.start))
            processor.append((compiled[1], used))
            before = after
            found["outcomes"] += load.counts
            found["statuses"] += load.statuses
            found["rows"] += sum(load.rows.values())
            memory.append(round(max(load.memory)))
        for name, pairs in (("clock", clock), ("processors", processor)):
            compiled, took = np.sum(pairs, 0)
            found |= {
                f"seconds by {name}: compiled functions, server": (compiled, took),
                f"throughput by {name}": compiled / took,
                f"throughput by {name}, of each round": [round(c / t, 2) for c, t in pairs],
            }
        found |= {
            "rows of a batch": batches[1] / batches[0],
            "seconds of all batches": batches[2],
            "MiB in each round": memory,
            "stopped": stop_gracefully(server, net, min(clients, 4)),
        }
    finally:
        server.process.kill()
    if kill:
        found["killed"] = kill_under_load(source, pool, clients, count // 4, seconds)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="?", default="glow_mnist", help="run, preset or export")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--bad-share", type=float, default=0.1)
    given = parser.parse_args()
    found = measure(given.source, given.clients, given.requests, given.bad_share)
    for name, value in found.items():
        if isinstance(value, collections.Counter):
            value = dict(value)
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()

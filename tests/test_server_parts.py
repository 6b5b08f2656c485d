"""Parts of the server by themselves: its queue, its connections, its reading of bodies."""

import asyncio
import contextlib
import json
import threading

import numpy as np
import pytest
import uvicorn
from uvicorn.server import ServerState

from tfgen.app.serving.batching import Batcher
from tfgen.app.serving.batching import Call
from tfgen.app.serving.batching import Overloaded
from tfgen.app.serving.body import parsed
from tfgen.app.serving.wire import timed_protocol


class Recorder:
    """A function of rows that doubles them, waits where it is told to, and keeps its batches."""

    def __init__(self):
        self.batches, self.may_go = [], threading.Event()

    def __call__(self, rows):
        self.may_go.wait(10)
        self.batches.append(rows["x"].tolist())
        if -1 in rows["x"]:
            raise ValueError("no -1")
        return {"y": 2 * rows["x"]}

    def call(self, *x, key="double"):
        return Call(key, self, {"x": np.array(x)}, len(x))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def batcher():
    batcher = Batcher(max_rows=4, delay=0.0, max_queued=16)
    yield batcher
    batcher.close()


def test_rows_of_several_calls_are_one_batch_and_long_calls_several(batcher, recorder):
    # The first is on its way, and the others wait for it.
    first = batcher.submit(recorder.call(0))
    while batcher.queued:
        pass
    calls = [(1,), (2, 3, 4, 5, 6), (7,), (8, 9)]
    futures = [batcher.submit(recorder.call(*x)) for x in calls]
    other = batcher.submit(recorder.call(10, key="other"))
    alone = [batcher.submit(recorder.call(*x, key=None)) for x in ((11, 12, 13, 14, 15), (16,))]
    recorder.may_go.set()
    assert first.result(10)["y"].tolist() == [0]
    for x, future in zip(calls, futures, strict=True):
        assert future.result(10)["y"].tolist() == [2 * v for v in x]
    assert other.result(10)["y"].tolist() == [20]
    assert alone[0].result(10)["y"].tolist() == [22, 24, 26, 28, 30]
    assert alone[1].result(10)["y"].tolist() == [32]
    batches = [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9], [10], [11, 12, 13, 14, 15], [16]]
    assert sorted(recorder.batches) == batches


def test_the_rows_of_one_caller_do_not_fail_those_of_another(batcher, recorder):
    first = batcher.submit(recorder.call(0))
    while batcher.queued:
        pass
    good, bad = batcher.submit(recorder.call(1)), batcher.submit(recorder.call(-1, 5, 6, 7, 8))
    recorder.may_go.set()
    assert first.result(10) and good.result(10)["y"].tolist() == [2]
    with pytest.raises(ValueError, match="no -1"):
        bad.result(10)
    # What was left of it is not run.
    assert batcher.submit(recorder.call(9)).result(10) and [8] not in recorder.batches


def test_a_full_queue_takes_no_more_and_cancelled_rows_are_not_run(batcher, recorder):
    batcher.submit(recorder.call(0))
    while batcher.queued:
        pass
    waiting = batcher.submit(recorder.call(*range(1, 15)))
    with pytest.raises(Overloaded, match="14 rows are waiting"):
        batcher.submit(recorder.call(20, 21, 22))
    assert waiting.cancel()
    other = batcher.submit(recorder.call(20, 21, 22))
    recorder.may_go.set()
    assert other.result(10)["y"].tolist() == [40, 42, 44]
    assert recorder.batches == [[0], [20, 21, 22]]


def test_closing_runs_what_waits_and_takes_no_more(recorder):
    batcher = Batcher(max_rows=4, delay=10.0)
    futures = [batcher.submit(recorder.call(i)) for i in range(2)]
    recorder.may_go.set()
    batcher.close(10)
    assert [future.result(0)["y"].tolist() for future in futures] == [[0], [2]]
    with pytest.raises(Overloaded, match="stops"):
        batcher.submit(recorder.call(1))


# ------------------------------------------------------------------------------- connections


async def application(scope, receive, send):
    """Ten megabytes for everybody."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(10**7)})


def with_server(talk, seconds, max_connections):
    """What comes of a coroutine function of a port where the protocol listens."""

    async def run():
        config = uvicorn.Config(application, lifespan="off", log_level="critical", access_log=False)
        config.load()
        protocol, state = timed_protocol(seconds, max_connections), ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        async with server:
            return await asyncio.wait_for(talk(server.sockets[0].getsockname()[1]), 20)

    return asyncio.run(run())


def test_clients_that_send_the_head_of_a_request_too_slowly_are_cut_off():
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        while b"0\r\n\r\n" not in answer:
            answer = await reader.read(10**6)
        # The connection is kept; the next request comes slowly.
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b"G")
                await writer.drain()
                await asyncio.sleep(0.1)
        return True

    assert with_server(talk, 0.3, 10)


def test_clients_that_read_an_answer_too_slowly_are_cut_off():
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(2)
        size = 0
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(10**6):
                size += len(chunk)
        writer.close()
        return size

    assert with_server(talk, 0.3, 10) < 10**7


def test_clients_that_read_slowly_and_go_on_are_not():
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        size = 0
        while chunk := await reader.read(500_000):
            size += len(chunk)
            await asyncio.sleep(0.02)
        writer.close()
        return size

    assert with_server(talk, 0.4, 10) > 10**7


def test_connections_beyond_the_most_are_told_to_come_again():
    async def talk(port):
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await reader.read()
        for _, each in [*kept, (reader, writer)]:
            each.close()
        return answer

    answer = with_server(talk, 5, 2)
    assert answer.startswith(b"HTTP/1.1 429 ") and b"Retry-After: 1\r\n" in answer


# ------------------------------------------------------------------------------------ bodies

PAD = b' "pad": "' + b"-" * 500 + b'"'
IMAGES = np.arange(24).reshape(2, 3, 2, 2)


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, 3, 4), (1, 1, 24), (24, 1, 1), (2, 3, 2, 2)])
@pytest.mark.parametrize("scale", [1, -0.5, 1e30])
def test_arrays_of_bodies_are_those_that_json_has(shape, scale):
    x = (IMAGES * scale).reshape(shape).tolist()
    for content in ({"x": x, "seed": 0}, {"inputs": {"x": x}}, {"instances": x}, {"z": [], "x": x}):
        for indent in (None, 1):
            body = json.dumps({**content, "pad": "-" * 500}, indent=indent).encode()
            found = parsed(body)
            inside = found.get("inputs", found)
            array = inside["instances" if "instances" in content else "x"]
            assert isinstance(array, np.ndarray) and array.tolist() == x
            del found["pad"]
            as_json = json.loads(json.dumps(found, default=lambda a: a.tolist()))
            assert as_json == content


@pytest.mark.parametrize(
    "text",
    [
        b"[[1, 2], [3]]", b"[[1], 2]", b"[1, [2]]", b"[]", b"[[]]", b'[1, "a"]', b"[1, null]",
        b'{"x": [1]}', b"5", b"[[1, 2], [3, 4], [[5], 6]]", b"[true]", b'[{"x": 1}]',
    ],
)  # fmt: skip
def test_bodies_with_other_things_are_read_as_they_are(text):
    body = b'{"x": ' + text + b"," + PAD + b"}"
    assert parsed(body) == json.loads(body)


@pytest.mark.parametrize(
    "text",
    [
        b"[1[2]]", b"[1 2]", b"[1,]", b"[,1]", b"[1]2", b"[1]]", b"[[1]", b"[01]", b"[+1]", b"[1.]",
        b"[-]", b"[[1][2]]", b"[[1]-[2]]", b"[1e]", b"[[1],,[2]]", b"[.5]",
    ],
)  # fmt: skip
def test_what_is_no_json_stays_none(text):
    with pytest.raises(ValueError, match="the body must be JSON"):
        parsed(b'{"x": ' + text + b"," + PAD + b"}")


def test_what_only_looks_like_an_argument_is_left_alone():
    for body in (
        rb'{"a": "\"x\": [1, 2]",' + PAD + b"}",
        b'{"a": {"x": [1, 2]},' + PAD + b"}",
        b'{"x": [1, 2], "x": [3, 4],' + PAD + b"}",
        b'{"a": ["x", [1, 2]],' + PAD + b"}",
    ):
        assert parsed(body) == json.loads(body)

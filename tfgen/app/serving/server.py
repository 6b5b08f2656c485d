"""`tfgen serve`: a socket, a model, and the way down."""

import contextlib
import gc
import socket
import threading

import uvicorn

from tfgen.app.serving.batching import Batcher
from tfgen.app.serving.http import Limits
from tfgen.app.serving.http import make_app
from tfgen.app.serving.sources import open_served
from tfgen.app.serving.watch import Watch
from tfgen.app.serving.wire import timed_protocol
from tfgen.utils import checks

_CONNECTIONS = 1000


def serve(
    source, *, host="127.0.0.1", port=8501, name=None, max_batch_rows=64, batch_delay_ms=2.0,
    max_rows=1024, max_body_mib=16, seconds=60.0, echo=print,
):  # fmt: skip
    """Serves a model over HTTP until SIGINT or SIGTERM, which let running requests end.

    Args:
        source: the folder of a run, a preset with weights, or the folder of a SavedModel.
        host: address to listen at.
        port: port; 0 for a free one.
        name: the model's name in addresses; by default that of the folder or preset.
        max_batch_rows: rows that are computed at a time.
        batch_delay_ms: milliseconds that the first rows of a batch wait for others.
        max_rows: rows of a request at most.
        max_body_mib: MiB of a request's body at most.
        seconds: in which a request must come, and in which its answer must be computed.
        echo: function that a line is told to once the server is ready.

    Raises:
        ValueError: `source` is no model.
        OSError: the port is in use.
    """
    seconds = checks.check_positive(seconds, "seconds")
    # Before the model, which takes longer to load.
    with _listening(host, port) as listener:
        served = open_served(source, name, max_rows)
        watch = Watch()
        body = int(max_body_mib * 2**20)
        limits = Limits(body, max(2**28, 2 * body), seconds)
        batcher = Batcher(
            max_batch_rows, batch_delay_ms / 1000, max(4 * max_rows, 1024), watch.batch
        )
        app = make_app(served, batcher, limits, watch)
        config = uvicorn.Config(
            app,
            http=timed_protocol(seconds, _CONNECTIONS),
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_keep_alive=max(5, int(seconds)),
            timeout_graceful_shutdown=int(seconds) + 1,
        )
        server = _Server(config, watch)
        address = _address(listener)
        calls = [batcher.submit(call) for call in served.warm_up()]

        def ready():
            for call in calls:
                call.result()
            # The collector is not to look through the objects of TensorFlow and of the model again
            # and again: that took most of the time in which large lists of JSON are read.
            gc.collect()
            gc.freeze()
            if watch.state == "starting":
                watch.state = "ready"
                echo(_first_line(served, address))

        threading.Thread(target=ready, daemon=True).start()
        try:
            server.run(sockets=[listener])
        finally:
            batcher.close(timeout=seconds)


class _Server(uvicorn.Server):
    """uvicorn's server, which ends quietly after a signal and says in `Watch` that it stops."""

    def __init__(self, config, watch):
        super().__init__(config)
        self._watch = watch

    def handle_exit(self, sig, frame):
        self._watch.state = "stopping"
        super().handle_exit(sig, frame)
        # It would be raised again once all is done.
        self._captured_signals.clear()


@contextlib.contextmanager
def _listening(host, port):
    """A socket that listens, closed at the end."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except (socket.gaierror, OverflowError) as error:
        raise OSError(f"`host` {host!r} and `port` {port} are no address: {error}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            # Two that are bound, and no more, may have one port.
            listener.listen()
        except OSError as error:
            raise OSError(
                f"`port` {port} of {host} cannot be listened at ({error.strerror}): give another "
                "one, or 0 for any that is free"
            ) from error
        yield listener


def _address(listener):
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _first_line(served, address):
    if "sample" in served.operations:
        example = f"curl {address}/sample -d '{{\"num_samples\": 4}}'"
    else:
        example = f"curl {address}/v1/models/{served.name}/metadata"
    return f"{served.name} is served at {address}; try: {example}"

"""Figures of the server for Prometheus, and its state."""

import time

import prometheus_client as prometheus
from prometheus_client import exposition

_ENDPOINTS = ("sample", "log_prob", "encode", "decode", "healthz", "metrics")


class Watch:
    """Counts and times of requests and batches, and the state of the server.

    Attributes:
        state: `"starting"`, `"ready"` or `"stopping"`.

    >>> from tfgen.app.serving.watch import Watch
    >>> watch = Watch()
    >>> watch.answered("/sample", 200, 0.1)
    >>> 'tfgen_requests_total{endpoint="sample",status="200"} 1.0' in watch.text()[0].decode()
    True
    """

    def __init__(self):
        self.state = "starting"
        self.registry = prometheus.CollectorRegistry()
        own = {"registry": self.registry}
        prometheus.ProcessCollector(registry=self.registry)
        self.requests = prometheus.Counter(
            "tfgen_requests", "Requests that were answered.", ["endpoint", "status"], **own
        )
        self.seconds = prometheus.Histogram(
            "tfgen_request_seconds", "Time from a request to its answer.", ["endpoint"], **own
        )
        sizes = [2**k for k in range(11)]
        self.batch_rows = prometheus.Histogram(
            "tfgen_batch_rows", "Rows of a batch.", buckets=sizes, **own
        )
        self.batch_seconds = prometheus.Histogram(
            "tfgen_batch_seconds", "Time that a batch took to compute.", **own
        )
        self.queued = prometheus.Gauge("tfgen_queued_rows", "Rows that wait.", **own)

    def follow(self, batcher):
        """Shows how many rows wait in a `Batcher`."""
        self.queued.set_function(lambda: batcher.queued)

    def batch(self, rows, seconds):
        """Counts a batch."""
        self.batch_rows.observe(rows)
        self.batch_seconds.observe(seconds)

    def answered(self, path, status, seconds):
        """Counts a request.

        Args:
            path: of its address.
            status: of its answer.
            seconds: that it took.
        """
        name = path.strip("/")
        if name.startswith("v1/models/"):
            name = "predict" if name.endswith(":predict") else "model"
        elif name not in _ENDPOINTS:
            # One name for whatever clients think of.
            name = "other"
        self.requests.labels(name, str(status)).inc()
        self.seconds.labels(name).observe(seconds)

    def text(self):
        """The figures, bytes, and their media type."""
        return exposition.generate_latest(self.registry), exposition.CONTENT_TYPE_LATEST


class Watched:
    """ASGI application that has its requests counted.

    Args:
        app: the application.
        watch: `Watch`.
    """

    def __init__(self, app, watch):
        self.app, self.watch = app, watch

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.monotonic(), 0

        async def counted(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            return await self.app(scope, receive, counted)
        finally:
            self.watch.answered(scope["path"], status, time.monotonic() - start)

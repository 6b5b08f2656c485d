"""The routes of the server."""

import asyncio
import dataclasses
import json
import pathlib
import re
import tempfile

import fastapi
import numpy as np
import orjson
import tensorflow as tf
from fastapi import Request
from fastapi import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tfgen import plots
from tfgen.app.serving import rest
from tfgen.app.serving.batching import Overloaded
from tfgen.app.serving.body import parsed
from tfgen.app.serving.watch import Watch
from tfgen.app.serving.watch import Watched
from tfgen.data.hints import nearest

_LONGEST = 1000  # characters of an error
_SMALL = 2**18  # bytes of a body that is read at once
# What the checks of values raise.
_OF_CLIENTS = (ValueError, RecursionError, OverflowError, NotImplementedError)


@dataclasses.dataclass
class Limits:
    """Limits to what clients may ask for.

    Args:
        max_body: bytes of a request's body.
        max_held: bytes of the bodies of all requests at a time.
        seconds: in which a body must come, and in which its answer must be computed.
    """

    max_body: int = 16 * 2**20
    max_held: int = 256 * 2**20
    seconds: float = 60.0


class Refused(Exception):
    """Request that is answered by a status of its own.

    Args:
        status: of HTTP.
        message: str.
        **headers: of the answer, with underscores.
    """

    def __init__(self, status, message, **headers):
        super().__init__(message)
        self.status = status
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


def make_app(served, batcher, limits, watch=None):
    """The application: routes over a model, whose functions the batcher runs.

    Args:
        served: `Served`.
        batcher: `Batcher`.
        limits: `Limits`.
        watch: `Watch`, whose figures `/metrics` shows; None makes one.

    Returns:
        ASGI application.
    """
    server = _Server(served, batcher, limits, watch or Watch())
    app = fastapi.FastAPI(title=f"tfgen serve: {served.name}", redoc_url=None)
    model = "/v1/models/{name}"
    one = model + "/versions/{version}"
    for route, answer, example in [
        (model + ":predict", server.predict, {"instances": [[0, 1]]}),
        (one + ":predict", server.predict, {"instances": [[0, 1]]}),
        ("/sample", server.sample, {"num_samples": 16, "temperature": 0.8, "seed": 0}),
        ("/log_prob", server.log_prob, {"x": [[0, 1]]}),
        ("/encode", server.encode, {"x": [[0, 1]]}),
        ("/decode", server.decode, {"z": [[0, 1]]}),
    ]:
        body = {"content": {"application/json": {"schema": {"type": "object", "example": example}}}}
        app.post(route, openapi_extra={"requestBody": body})(answer)
    for route, answer in [
        (model, server.status),
        (one, server.status),
        (model + "/metadata", server.metadata),
        (one + "/metadata", server.metadata),
        ("/healthz", server.healthz),
        ("/metrics", server.metrics),
    ]:
        app.get(route)(answer)
        # Probes of load balancers ask for the head alone.
        app.head(route, include_in_schema=False)(answer)
    for error in (*_OF_CLIENTS, Refused, HTTPException, ClientDisconnect, Exception):
        app.exception_handler(error)(_as_response)
    return Watched(app, server.watch)


class _Server:
    """State that the routes share. They are methods of its own names."""

    def __init__(self, served, batcher, limits, watch):
        self.served, self.batcher, self.limits, self.watch = served, batcher, limits, watch
        self.held = 0
        watch.follow(batcher)

    # --- routes ------------------------------------------------------------------

    async def predict(self, request: Request, name: str, version: str = ""):
        """Outputs of a signature, in the format of TensorFlow Serving's REST API."""
        self._require_model(name, version)
        # No name for the content: it may be large, and is done with before the answer is there.
        call, answer = rest.parse_predict(await self._content(request), self.served)
        outputs = await self._outputs(call)
        return _json(answer(outputs), tokens=not all(map(_is_finite, outputs.values())))

    async def sample(self, request: Request):
        """Samples, as JSON; a grid of images as PNG, for `"format": "png"` or by `Accept`."""
        given = await self._content(request)
        kind = given.pop("format", None)
        if kind is None:
            kind = "png" if _accepts_png(request.headers.get("accept", "")) else "json"
        if kind not in ("json", "png"):
            raise ValueError(f'`format` must be "json" or "png"; got {str(kind)[:100]!r}')
        if kind == "png":
            self._require_pictures()
        call, answer = self.served.sample(given)
        outputs = await self._outputs(call)
        if kind == "png":
            picture = await asyncio.to_thread(self._picture, outputs["samples"])
            return Response(picture, media_type="image/png")
        return _json(answer(outputs))

    async def log_prob(self, request: Request):
        """Log-densities in nats, with bits per dimension."""
        return await self._operation(self.served.log_prob, request)

    async def encode(self, request: Request):
        """Latents of examples."""
        return await self._operation(self.served.encode, request)

    async def decode(self, request: Request):
        """Examples of latents."""
        return await self._operation(self.served.decode, request)

    async def status(self, name: str, version: str = ""):
        """The model's state, as TensorFlow Serving tells it."""
        self._require_model(name, version)
        return _json(rest.status(self.served, self.watch.state == "ready"))

    async def metadata(self, name: str, version: str = ""):
        """The model's signatures, as TensorFlow Serving tells them."""
        self._require_model(name, version)
        return _json(rest.metadata(self.served))

    async def healthz(self):
        """The state: 200 once the functions are compiled, 503 before and while it stops."""
        status = 200 if self.watch.state == "ready" else 503
        return _json({"status": self.watch.state, "model": self.served.name}, status)

    async def metrics(self):
        """Figures for Prometheus."""
        content, media_type = self.watch.text()
        return Response(content, headers={"content-type": media_type})

    # --- the way of a request ------------------------------------------------------

    async def _operation(self, operation, request):
        call, answer = operation(await self._content(request))
        return _json(answer(await self._outputs(call)))

    async def _content(self, request):
        """The object of a request's body."""
        chunks, size = [], 0
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > 4 * self.limits.max_body:
            raise self._too_large(connection="close")
        try:
            # Bodies that are too large are read on, for their senders to see the answer.
            async with asyncio.timeout(self.limits.seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > 4 * self.limits.max_body:
                        raise self._too_large(connection="close")
                    if size > self.limits.max_body:
                        self._release(chunks)
                    else:
                        self._hold(chunk, chunks)
        except TimeoutError:
            self._release(chunks)
            raise Refused(
                408, f"the body must come in {self.limits.seconds:g} s", connection="close"
            ) from None
        except BaseException:
            self._release(chunks)
            raise
        if size > self.limits.max_body:
            raise self._too_large()
        try:
            body = b"".join(chunks)
            # Others are to be answered while a large one is read.
            return await asyncio.to_thread(parsed, body) if size > _SMALL else parsed(body)
        finally:
            self._release(chunks)

    def _too_large(self, **headers):
        most = self.limits.max_body
        return Refused(413, f"the body must have {most} bytes at most", **headers)

    def _hold(self, chunk, chunks):
        if self.held + len(chunk) > self.limits.max_held:
            raise Refused(
                429, "too many bodies are being received", retry_after="1", connection="close"
            )
        self.held += len(chunk)
        chunks.append(chunk)

    def _release(self, chunks):
        self.held -= sum(map(len, chunks))
        chunks.clear()

    async def _outputs(self, call):
        """The outputs of a call, from the thread of the batcher."""
        own = self.served.spec is not None
        if own and call.key is None and call.num_rows > self.batcher.max_rows:
            raise ValueError(
                f"`{'image' if 'image' in call.rows else 'num_samples'}` asks for {call.num_rows} "
                f"rows, more than a batch, {self.batcher.max_rows}, and this function draws noise "
                "that cannot be had in parts: ask for fewer, or serve with more `--max-batch-rows`"
            )
        try:
            future = asyncio.wrap_future(self.batcher.submit(call))
            return await asyncio.wait_for(future, self.limits.seconds)
        except Overloaded as error:
            raise Refused(429, f"too busy: {error}", retry_after="1") from None
        except TimeoutError:
            raise Refused(
                429, f"not computed in {self.limits.seconds:g} s: ask for fewer rows, or later",
                retry_after="5",
            ) from None  # fmt: skip
        except tf.errors.ResourceExhaustedError as error:
            raise Refused(429, "out of memory: ask for fewer rows", retry_after="5") from error
        except tf.errors.OpError as error:
            raise ValueError(f"the model refuses this: {_essence(error.message)}") from error

    # --- checks ----------------------------------------------------------------------

    def _require_model(self, name, version):
        if name != self.served.name:
            near = nearest(name, [self.served.name])
            raise Refused(404, f"the model is {self.served.name!r}; got {name[:100]!r}.{near}")
        if version and version != str(self.served.version):
            raise Refused(404, f"the version is {self.served.version}; got {version[:100]!r}")

    def _require_pictures(self):
        spec = self.served.spec
        if spec is None or not plots.can_draw(spec.event_shape):
            raise ValueError('`format` must be "json": this model makes no pictures')

    def _picture(self, samples):
        if self.served.spec.kind == "binary":
            samples = samples.astype(bool)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "samples.png"
            plots.save_samples(path, samples)
            return path.read_bytes()


def _accepts_png(accept):
    """True if an `Accept` header names PNG, with a weight that is not 0."""
    for kind in accept.lower().split(","):
        name, *parameters = (part.strip() for part in kind.split(";"))
        weights = [p.removeprefix("q=").strip() for p in parameters if p.startswith("q=")]
        if name == "image/png" and not any(re.fullmatch(r"0(\.0*)?", w) for w in weights):
            return True
    return False


def _essence(message):
    """The words of a graph's error for what was wrong, without the node and where that was made."""
    message = message.split("[[{{node")[0]
    if "assertion failed:" in message:
        return message.split("assertion failed:")[-1]
    return message.strip().rpartition("\n")[-1]


def _json(content, status=200, tokens=False):
    """An answer of JSON.

    Args:
        content: dict, with NumPy arrays in it.
        status: of HTTP.
        tokens: whether NaN and inf are written so, as TensorFlow Serving does, or as null.
    """
    if tokens:
        body = json.dumps(content, default=lambda a: a.tolist()).encode()
    else:
        body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


def _is_finite(array):
    """False for an array of floats with others among them."""
    return array.dtype.kind in "OSUiub" or bool(np.isfinite(array.astype(np.float64)).all())


async def _as_response(request, error):
    """The answer to a request that went wrong."""
    status, headers = 500, {}
    message = " ".join(str(error).split())
    if isinstance(error, Refused):
        status, headers = error.status, error.headers
    elif isinstance(error, HTTPException):
        status, message, headers = error.status_code, str(error.detail), error.headers or {}
    elif isinstance(error, ClientDisconnect):
        # Nobody reads it.
        status, message = 400, "disconnected"
    elif isinstance(error, _OF_CLIENTS):
        status = 400
    else:
        message = f"this is a fault of the server: {type(error).__name__}: {message}"
    # JSON has half characters, and UTF-8 has not.
    message = message[:_LONGEST].encode(errors="replace").decode()
    answer = _json({"error": message}, status)
    answer.headers.update(headers)
    return answer

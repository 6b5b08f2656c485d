"""The HTTP server behind `tfgen serve`."""

import importlib.util

_NEEDED = ("fastapi", "uvicorn", "orjson", "prometheus_client")


def serve(source, **settings):
    """Serves a model over HTTP until SIGINT or SIGTERM; see `tfgen.app.serving.server.serve`.

    Raises:
        ValueError: a package is not installed, or what that function raises.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"`tfgen serve` needs {', '.join(missing)}: pip install 'tfgen[serve]' brings all"
        )
    from tfgen.app.serving.server import serve

    serve(source, **settings)

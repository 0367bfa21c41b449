"""An application that has forked by the time it is imported, as one with a pool of processes of its own has."""

from __future__ import annotations

from .forking_app import app, orphan

pid = orphan()


def tell(environ: object, start_response: object) -> list[bytes]:
    list(app({"PATH_INFO": "/go", "QUERY_STRING": ""}, start_response))  # type: ignore[operator]
    return [str(pid).encode()]

"""A right environ and a right server, for the tests of the validators: ours, and the standard library's beside it."""

from __future__ import annotations

import io
import wsgiref.validate
from typing import Any

from twisted_wsgiref import validate

OURS_AND_THEIRS = [validate, wsgiref.validate]
HTML = [("Content-Type", "text/html")]


def environ(**changes: Any) -> dict[str, Any]:
    """Return a right environ; a change to ... removes the key, `wsgi_` stands for `wsgi.`."""
    result: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"one\ntwo\n"),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in changes.items():
        key = name.replace("wsgi_", "wsgi.")
        if value is ...:
            del result[key]
        else:
            result[key] = value
    return result


def serve(module: Any, app: Any, env: Any = None, *, start: Any = None) -> tuple[list[Any], list[bytes]]:
    """Play a right server against `app` in the validator of `module`; return start_response's calls and the blocks."""
    calls: list[Any] = []
    written: list[bytes] = []

    def start_response(*args: Any) -> Any:
        calls.append(args)
        return written.append

    body = module.validator(app)(environ() if env is None else env, start or start_response)
    try:
        written.extend(body)
    finally:
        body.close()
    return calls, written


def hello(env: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", HTML)
    return [b"hello ", b"world"]


class StrOfMyOwn(str):
    __slots__ = ()


def answering(status: Any, headers: Any, body: Any = (b"x",)) -> Any:
    def app(env: dict[str, Any], start_response: Any) -> Any:
        start_response(status, headers)
        return body

    return app

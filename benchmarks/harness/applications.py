"""The WSGI applications that every server is measured with: plain functions, as small as their workload allows.

No server-specific code lives here, and no clever one: what is measured is the server.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

HELLO = b"Hello, world!\n"
BLOCK = b"x" * 65536
SMALL_BLOCK = b"x" * 1024
# Where the file to send is; `environment` makes it.
FILE = os.environ.get("BENCH_FILE", "")
FILE_SIZE = 10 * 1024 * 1024
# Seconds that a call of a database or of another service takes.
SLEEP = 0.005
# Seconds of a core that one CPU-bound request takes: long beside the interpreter's switch interval (5 ms).
BUSY = 0.5


def _fixed(body: bytes) -> Application:
    length = str(len(body))

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
        return [body]

    return application


hello = _fixed(HELLO)
block = _fixed(BLOCK)


def generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Give 64 blocks of 1 KiB one by one; nobody knows the length before."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(64):
        yield SMALL_BLOCK


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Give a file by ``wsgi.file_wrapper`` where there is one, as a framework would."""
    filelike = open(FILE, "rb")  # noqa: SIM115 - the server closes it
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(FILE_SIZE))])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(filelike, 65536) if wrapper is not None else iter(lambda: filelike.read(65536), b"")


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body whole; 400 for one that is shorter than it says."""
    expected = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(expected)
    status = "200 OK" if len(body) == expected else "400 Bad Request"
    return _answer(start_response, status, HELLO)


def sleeper(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Wait as for a database."""
    time.sleep(SLEEP)
    return _answer(start_response, "200 OK", HELLO)


def beside_busy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Say hello; on ``/busy`` only after much computing in Python."""
    if environ["PATH_INFO"] == "/busy":
        end = time.thread_time() + BUSY
        while time.thread_time() < end:
            sum(range(1000))
    return _answer(start_response, "200 OK", HELLO)


def _answer(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


# The frameworks are imported at the first request, so that they weigh nothing in the other workloads.


@cache
def _flask() -> Application:
    from flask import Flask

    application = Flask("benchmark")

    @application.route("/")
    def index() -> tuple[bytes, dict[str, str]]:
        return HELLO, {"Content-Type": "text/plain"}

    return application


def flask_hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Say hello through Flask."""
    return _flask()(environ, start_response)


@cache
def _django() -> Application:
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def index(request: HttpRequest) -> HttpResponse:
        return HttpResponse(HELLO, content_type="text/plain")

    # ROOT_URLCONF may be any object with urlpatterns.
    urls = type("urls", (), {"urlpatterns": [path("", index)]})
    # The middleware that gives answers their Content-Length, as in every project that Django starts.
    middleware = ["django.middleware.common.CommonMiddleware"]
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, MIDDLEWARE=middleware, SECRET_KEY="benchmark")
    django.setup()
    application: Application = get_wsgi_application()
    return application


def django_hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Say hello through Django."""
    return _django()(environ, start_response)

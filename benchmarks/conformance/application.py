"""The application that every server of the table runs: each path does one thing that a server may get wrong.

It tells what reached it in a file, one JSON value a line, so that the questions need not trust the server's answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

RECORD = os.environ.get("CONFORMANCE_RECORD", os.devnull)
#: What /big gives at most, in blocks of 64 KiB: bounded, also on a server that never waits for its client.
BIG_BLOCKS = 1024
SLOW_SECONDS = 1.5

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
TEXT = ("Content-Type", "text/plain")


def note(kind: str, **facts: object) -> None:
    """Append one line to the record; short lines of several threads do not mix."""
    descriptor = os.open(RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps({"kind": kind, **facts}).encode() + b"\n")
    finally:
        os.close(descriptor)


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Do what the path asks; the default is to read the body, and to say what the environ holds."""
    return PATHS.get(environ.get("PATH_INFO", ""), say_environ)(environ, start_response)


def read_body(environ: Environ) -> bytes:
    """Return the request's body, read as a careful application would; with no length and no coding there is none."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        try:
            octets = int(length)
        except ValueError:
            return b""  # that it came here at all is what will be noted
        body = environ["wsgi.input"].read(octets) if octets > 0 else b""
        if len(body) < octets:
            raise EOFError("the body is shorter than its Content-Length")  # as frameworks do
        return body
    return environ["wsgi.input"].read() if "HTTP_TRANSFER_ENCODING" in environ else b""


def say_environ(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Give all of the environ that is text; note the request, once its body is read without an error."""
    body = read_body(environ)
    note(
        "request",
        method=environ.get("REQUEST_METHOD"),
        path=environ.get("PATH_INFO"),
        query=environ.get("QUERY_STRING"),
        expected=environ.get("CONTENT_LENGTH"),
        body=body.decode("latin-1"),
    )
    said = json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}).encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(said)))])
    return [said]


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"hello"]


def no_content(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return [b"a body"]


def not_modified(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("304 Not Modified", [("ETag", '"1"')])
    return iter([b"a body"])


def more(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return iter([b"hel", b"lo, and more"])


def fewer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return iter([b"hello"])


def inject_value(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("X-Note", "a\r\nX-Injected: yes")])
    return [b"hello"]


def inject_name(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("X-Injected: yes\r\nX-Note", "a")])
    return [b"hello"]


def inject_status(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK\r\nX-Injected: yes", [TEXT])
    return [b"hello"]


def late_error(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"a beginning"
    raise RuntimeError("an error after the first byte, as was asked")


def own_connection_error(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise ConnectionResetError("an application's own, from its database")


def leave(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    sys.exit("as was asked")


def hop_by_hop(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Connection", "X-Secret"), ("Keep-Alive", "timeout=5"), ("Content-Length", "5")])
    return [b"hello"]


def read_all(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body; tell its length and its hash."""
    body = read_body(environ)
    said = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(said)))])
    return [said]


def slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(SLOW_SECONDS)
    return hello(environ, start_response)


class Blocks:
    """Blocks of 64 KiB, slowly where `pause` says so, and a note when closed."""

    def __init__(self, token: str, pause: float) -> None:
        self._token = token
        self._pause = pause
        self._left = BIG_BLOCKS

    def __iter__(self) -> Blocks:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._left -= 1
        time.sleep(self._pause)
        return b"%065536d" % self._left  # made anew each time: what is kept costs memory

    def close(self) -> None:
        """Tell that it was called."""
        note("closed", token=self._token)


def big(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Blocks(environ.get("QUERY_STRING", ""), 0.0)


def big_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", str(16 * 2**20))])
    return [b"%016777216d" % 1]


def big_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Give a file of 16 MiB, through ``wsgi.file_wrapper`` where there is one."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.truncate(16 * 2**20)
    start_response("200 OK", [TEXT, ("Content-Length", str(16 * 2**20))])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(file) if wrapper is not None else iter(lambda: file.read(65536), b"")


def trickle(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Blocks(environ.get("QUERY_STRING", ""), 0.01)


PATHS: dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    "/hello": hello,
    "/204": no_content,
    "/304": not_modified,
    "/more": more,
    "/fewer": fewer,
    "/inject-value": inject_value,
    "/inject-name": inject_name,
    "/inject-status": inject_status,
    "/late-error": late_error,
    "/own-connection-error": own_connection_error,
    "/leave": leave,
    "/hop-by-hop": hop_by_hop,
    "/read": read_all,
    "/slow": slow,
    "/big": big,
    "/big-list": big_list,
    "/big-file": big_file,
    "/trickle": trickle,
}

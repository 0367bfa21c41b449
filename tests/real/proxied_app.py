"""An application that shows what arrives through a proxy, and gives every kind of answer that a proxy has to carry."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Of the environ, what proxies are believed about or could leave behind.
NAMES = (
    *("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "PATH_INFO", "CONTENT_LENGTH"),
    *("REQUEST_METHOD", "SERVER_PROTOCOL", "wsgi.url_scheme", "HTTPS", "HTTP_HOST", "HTTP_CONNECTION"),
    *("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST"),
    *("HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PREFIX", "HTTP_TRANSFER_ENCODING"),
)
TAG = '"first"'
BLOCK = b"b" * 4096
BLOCKS = 64


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer by the last part of the path; what is in none of these is told the environ."""
    kind = environ["PATH_INFO"].rpartition("/")[2]
    return ANSWERS.get(kind, tell)(environ, start_response)


def tell(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What there is of `NAMES`."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: environ[name] for name in NAMES if name in environ}).encode()]


def digest(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """How long the body was, and its SHA-256; when it began to come is printed."""
    found, octets = hashlib.sha256(), 0
    while block := environ["wsgi.input"].read(65536):
        if not octets:
            print("the body begins", flush=True)
        octets += len(block)
        found.update(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{octets} {found.hexdigest()}".encode()]


def blocks(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Many blocks of a length that is not told before."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from itertools.repeat(BLOCK, BLOCKS)


def gated(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """One block, and another once there is an octet for it in the named pipe GATE."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    gate = os.open(os.environ["GATE"], os.O_RDWR)
    try:
        os.read(gate, 1)
    finally:
        os.close(gate)
    yield b" and last"


def endless(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Blocks until the client is gone, which is printed; not for ever if nobody says so."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        for _ in range(2000):
            yield BLOCK
            time.sleep(0.01)
        print("nobody left", flush=True)
    finally:
        print("the answer is closed", flush=True)


def cached(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A page with a tag; 304 for who has it."""
    if environ.get("HTTP_IF_NONE_MATCH") == TAG:
        start_response("304 Not Modified", [("ETag", TAG)])
        return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("ETag", TAG), ("Content-Length", "4")])
    return [b"page"]


def nothing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """204."""
    start_response("204 No Content", [])
    return []


def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Which process answered, after a moment: so that something is in flight whenever an instance is told to stop."""
    time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()}".encode()]


def health(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """200; each check is printed with who asked."""
    print("asked for its health by", environ.get("REMOTE_ADDR"), environ["wsgi.url_scheme"], flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]


ANSWERS: dict[str, Callable[..., Iterable[bytes]]] = {
    each.__name__: each for each in (digest, blocks, gated, endless, cached, nothing, slow, health)
}

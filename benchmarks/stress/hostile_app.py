"""The application under load and faults: it answers for every octet, and counts what runs at the same time.

What it tells, it tells in its answers or in the record of `note`; nothing here knows the server.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.conformance.application import note

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

BLOCK = 65536
#: How long /sleep takes: four threads do 200 a second.
SLEEP_SECONDS = 0.02
#: What /numbered answers with, beside its number: large, so that answers that nobody reads fill every buffer.
NUMBERED_OCTETS = 4096

_lock = threading.Lock()
_running = 0
_most_running = 0


def made(seed: str, octets: int) -> bytes:
    """Return the octets that `seed` stands for: the same at both ends, and different for every seed."""
    return random.Random(seed).randbytes(octets)


def _answer(start_response: StartResponse, body: bytes, *more: tuple[str, str]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *more])
    return [body]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Do what the path asks."""
    return PATHS.get(environ["PATH_INFO"], hello)(environ, start_response)


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _answer(start_response, b"hello")


def sleep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(SLEEP_SECONDS)
    return _answer(start_response, b"slept")


def numbered(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the query, and note how many of these run at once."""
    global _running, _most_running  # noqa: PLW0603 - counted over all requests
    with _lock:
        _running += 1
        _most_running = max(_most_running, _running)
    try:
        note("numbered", number=int(environ["QUERY_STRING"]), most=_most_running)
        return _answer(start_response, environ["QUERY_STRING"].encode().rjust(NUMBERED_OCTETS))
    finally:
        with _lock:
            _running -= 1


class Endless:
    """1 GiB, block by block; notes that it was closed."""

    def __init__(self) -> None:
        self._left = 2**30 // BLOCK

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return b"%065536d" % self._left  # made anew each time: what is kept costs memory

    def close(self) -> None:
        """Note it."""
        note("closed")


def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Endless()


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body block by block; answer its length and hash."""
    digest, length = hashlib.sha256(), 0
    while block := environ["wsgi.input"].read(BLOCK):
        digest.update(block)
        length += len(block)
    return _answer(start_response, f"{length} {digest.hexdigest()}".encode())


def _download(octets: int) -> Iterator[bytes]:
    block = made("download", BLOCK)
    for _ in range(octets // BLOCK):
        yield block[:1] + block[1:]  # a copy: what is kept costs memory


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Give as many octets as the query says, in blocks, of a length that only we know."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return _download(int(environ["QUERY_STRING"]))


def download_with_length(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    octets = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(octets))])
    return _download(octets)


def download_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    octets = int(environ["QUERY_STRING"])
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    for block in _download(octets):
        file.write(block)
    file.seek(0)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(octets))])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
    return wrapped


def exchange(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Check the body against the hash that came with it; answer with the nonce, and a body made of it."""
    nonce, size, how = environ["QUERY_STRING"].split("&")
    body = environ["wsgi.input"].read()
    if hashlib.sha256(body).hexdigest() != environ["HTTP_X_HASH"] or environ["HTTP_X_NONCE"] != nonce:
        note("mismatch", nonce=nonce, length=len(body))
    answer = made(nonce, int(size))
    headers = [("Content-Type", "application/octet-stream"), ("X-Nonce", nonce)]
    if how == "list":
        start_response("200 OK", headers)
        return [answer]
    if how == "write":
        write = start_response("200 OK", headers)
        write(answer[:1000])
        write(answer[1000:])
        return []
    if how == "file":
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
        file.write(answer)
        file.seek(0)
        start_response("200 OK", [*headers, ("Content-Length", size)])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped
    start_response("200 OK", headers)
    return (answer[start : start + 10000] for start in range(0, len(answer), 10000))


PATHS: dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    "/sleep": sleep,
    "/numbered": numbered,
    "/endless": endless,
    "/upload": upload,
    "/download": download,
    "/download-with-length": download_with_length,
    "/download-file": download_file,
    "/exchange": exchange,
}

"""The application of `cross_talk`: each byte of an answer is made of its request's nonce, and each mistake is tried.

A request is ``/HOW/NONCE?NONCE&LENGTH&SIZE&READING`` with the nonce in fields, too, and `body_of` it as its body;
whatever does not agree is noted. What is still held of a request when it is over is used once more, by a thread, while
other requests are answered: nothing of that may reach them.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.conformance.application import note
from benchmarks.stress.hostile_app import Environ, StartResponse, hello, made

#: How often a thread tries to send or read through a request that is over, or about to be.
LATE_TRIES = 30
LATE_PAUSE = 0.0002

READINGS = ("all", "pieces", "lines", "some", "none")


def body_of(nonce: str, octets: int) -> bytes:
    """Return the body of the request: not what its answer has."""
    return made(f"body {nonce}", octets)


def late_block(nonce: str) -> bytes:
    """Return what a thread writes too late: in the request's own answer it may be, in no other."""
    return f"<late {nonce}>".encode()


@dataclass
class Asked:
    """A request as the application sees it."""

    environ: Environ
    nonce: str
    length: int
    size: int
    reading: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What every answer says of itself."""
        return [("Content-Type", "application/octet-stream"), ("X-Nonce", self.nonce), ("X-Hash", self.hash)]

    @property
    def hash(self) -> str:
        """Of the answer's body, to be seen also where there is none."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def body(self) -> bytes:
        """The answer's."""
        return made(self.nonce, self.size)

    def blocks(self, octets: int = 8000) -> Iterator[bytes]:
        """Yield the answer's body, block by block."""
        body = self.body
        return (body[start : start + octets] for start in range(0, len(body), octets))

    def mismatch(self, where: str, **facts: object) -> None:
        """Note that something of the request is not its own."""
        note("mismatch", nonce=self.nonce, where=where, **facts)

    def read(self) -> None:
        """Read the body as the request says, and look whether it is its own."""
        stream, expected = self.environ["wsgi.input"], body_of(self.nonce, self.length)
        got = _READ[self.reading](stream)
        whole = self.reading in ("all", "pieces", "lines")
        if got != (expected if whole else expected[: len(got)]):
            self.mismatch("body", reading=self.reading, got=len(got), of=self.length)


def _read_pieces(stream: Any) -> bytes:
    return b"".join(iter(lambda: stream.read(1500), b""))


_READ: dict[str, Callable[[Any], bytes]] = {
    "all": lambda stream: stream.read(),
    "pieces": _read_pieces,
    "lines": b"".join,
    "some": lambda stream: stream.read(100),
    "none": lambda stream: b"",
}


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the path says."""
    if environ["PATH_INFO"] == "/":
        return hello(environ, start_response)
    _, how, nonce = environ["PATH_INFO"].split("/")
    named, length, size, reading = environ["QUERY_STRING"].split("&")
    asked = Asked(environ, nonce, int(length), int(size), reading)
    target = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
    if {named, environ["HTTP_X_NONCE"], environ["HTTP_COOKIE"]} != {nonce} or environ["REQUEST_URI"] != target:
        asked.mismatch("head", target=environ["REQUEST_URI"], named=environ["HTTP_X_NONCE"])
    asked.read()
    return HOWS[how](asked, start_response)


# ---- Right ones ------------------------------------------------------------------------------------------------------


def whole(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    return [asked.body]


def several(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*asked.headers, ("Content-Length", str(asked.size))])
    return tuple(asked.blocks())


def generated(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    return asked.blocks()


def measured(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*asked.headers, ("Content-Length", str(asked.size))])
    return asked.blocks()


def late_start(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    yield b""
    yield from asked.blocks()
    yield b""


def written(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", asked.headers)
    body = asked.body
    write(body[:1000])
    write(body[1000:5000])
    return [body[5000:]]


def filed(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(asked.body)
    file.seek(0)
    start_response("200 OK", [*asked.headers, ("Content-Length", str(asked.size))])
    wrapped: Iterable[bytes] = asked.environ["wsgi.file_wrapper"](file)
    return wrapped


def hinting(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    for _ in range(3):
        asked.environ["wsgi.early_hints"]([("Link", f"</{asked.nonce}>")])
    start_response("200 OK", asked.headers)
    return asked.blocks()


def unchanged(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("304 Not Modified", asked.headers)
    return []


def empty(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", asked.headers)
    return []


# ---- Mistakes --------------------------------------------------------------------------------------------------------


class Deliberate(Exception):
    """What these applications raise; logged once for each."""


def fails(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    raise Deliberate(asked.nonce)


def fails_after_start(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    raise Deliberate(asked.nonce)


def breaks(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    yield asked.body
    raise Deliberate(asked.nonce)


def clears(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    headers, body = asked.headers, asked.body
    asked.environ.clear()
    start_response("200 OK", headers)
    return [body]


def too_much(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    """Give more than its Content-Length: the rest is dropped, and the connection ends."""
    start_response("200 OK", [*asked.headers, ("Content-Length", str(asked.size))])
    yield from asked.blocks()
    yield late_block(asked.nonce)


class _Failing(list[bytes]):
    def close(self) -> None:
        raise SystemExit(9)


def fails_at_close(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    return _Failing([asked.body])


# ---- What is kept too long -------------------------------------------------------------------------------------------


def _again_and_again(act: Callable[[], object]) -> None:
    """Have a thread do it while this request ends and others begin, whatever it raises."""

    def run() -> None:
        for _ in range(LATE_TRIES):
            try:
                act()
            except BaseException:  # it may: to say that the request is over
                pass
            time.sleep(LATE_PAUSE)

    threading.Thread(target=run, daemon=True).start()


def _with_thread(asked: Asked, act: Callable[[], object]) -> Iterator[bytes]:
    """Yield the answer; the thread begins before its end."""
    blocks = list(asked.blocks())
    yield from blocks[:-1]
    _again_and_again(act)
    if random.random() < 0.5:
        time.sleep(2 * LATE_PAUSE)
    yield from blocks[-1:]


def late_write(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    write, block = start_response("200 OK", asked.headers), late_block(asked.nonce)
    return _with_thread(asked, lambda: write(block))


def late_hints(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    hint, link = asked.environ["wsgi.early_hints"], [("Link", f"</{asked.nonce}>")]
    start_response("200 OK", asked.headers)
    return _with_thread(asked, lambda: hint(link))


def late_start_response(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", asked.headers)
    return _with_thread(asked, lambda: start_response("500 Too Late", asked.headers)(late_block(asked.nonce)))


def late_read(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    stream, expected = asked.environ["wsgi.input"], body_of(asked.nonce, asked.length)

    def read() -> None:
        got = stream.read(2000)
        if got not in expected:
            asked.mismatch("late body", got=len(got))

    start_response("200 OK", asked.headers)
    return _with_thread(asked, read)


def late_errors(asked: Asked, start_response: StartResponse) -> Iterable[bytes]:
    errors, gone = asked.environ["wsgi.errors"], asked.environ["twisted_wsgiref.client_disconnected"]
    start_response("200 OK", asked.headers)
    return _with_thread(asked, lambda: (gone(), errors.flush()))


How = Callable[[Asked, StartResponse], Iterable[bytes]]
RIGHT: tuple[How, ...] = (
    *(whole, several, generated, measured, late_start, written, filed, hinting, unchanged, empty),
    *(clears, late_write, late_hints, late_start_response, late_read, late_errors),
)
#: After these the connection ends.
FAULTY: tuple[How, ...] = (fails, fails_after_start, breaks, too_much, fails_at_close)
HOWS: dict[str, How] = {each.__name__.replace("_", "-"): each for each in (*RIGHT, *FAULTY)}

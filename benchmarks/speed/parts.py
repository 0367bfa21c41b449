"""Nanoseconds of each part of a request's path, alone and in one thread; run by `micro` in the environment's Python.

These are looks inside: the parts are private and may change. One that no longer fits is reported as such, not guessed.
Prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
import timeit
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address

from benchmarks.harness.applications import HELLO, hello
from benchmarks.harness.script import run
from benchmarks.harness.workloads import BROWSER
from twisted_wsgiref._connection.answer_queue import AnswerQueue
from twisted_wsgiref._connection.exits import SocketExit
from twisted_wsgiref._gateway.answer import Answer
from twisted_wsgiref._gateway.environ import ConnectionEnviron
from twisted_wsgiref._gateway.fields import format_fields
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.limits import Limits
from twisted_wsgiref._http.reader import HeadReader
from twisted_wsgiref._threads.answer_batch import AnswerBatch
from twisted_wsgiref.service import WSGIService

# The least of so many samples of so many seconds each: what is more is the machine's doing.
_SAMPLES = 7
_SECONDS = 0.1

_LINE = "GET /path?query=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
ONE = (_LINE + "\r\n").encode()
THIRTEEN = (_LINE + "".join(f"{name}: {value}\r\n" for name, value in BROWSER.items()) + "\r\n").encode()
FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(HELLO)))]


class _Void(socket.socket):
    """A socket that takes everything and sends nothing."""

    def send(self, octets: Any, flags: int = 0) -> int:
        """Take all."""
        return len(octets)


class _Transport:
    """What a connection needs of a transport while nothing goes wrong."""

    def __init__(self) -> None:
        self._sock = _Void()

    def getHandle(self) -> socket.socket:
        """Return the socket that is sent on straight."""
        return self._sock

    def getHost(self) -> IPv4Address:
        """Return where the server is."""
        return IPv4Address("TCP", "127.0.0.1", 8000)

    def getPeer(self) -> IPv4Address:
        """Return where the client is."""
        return IPv4Address("TCP", "127.0.0.1", 50000)

    def setTcpNoDelay(self, on: bool) -> None:
        """Do nothing."""


class _Reactor:
    """A reactor that never turns."""

    def callLater(self, seconds: float, call: Any, *args: Any) -> None:
        """Forget it."""

    def callFromThread(self, call: Any, *args: Any) -> None:
        """Forget it."""

    def seconds(self) -> float:
        """Stand still."""
        return 0.0


class Path:
    """A connection with its whole path, but without a reactor, a kernel and a second thread."""

    def __init__(self, application: Any = hello) -> None:
        factory: Any = WSGIService(application, [], reactor=_Reactor())._factory
        factory.target.start = self._take
        self.environ = factory.environ
        self.connection: Any = factory.buildProtocol(None)
        self.connection.makeConnection(_Transport())
        self.runs = True

    def _take(self, exchange: Any) -> None:
        if self.runs:
            exchange.run()
        else:
            self.connection._exchange = None

    def receive(self, octets: bytes) -> None:
        """Serve the request in `octets`, or only make it, where `runs` is false."""
        self.connection.dataReceived(octets)


def _parse(octets: bytes) -> Callable[[], object]:
    limits = Limits(request_line=8190, field=8190, head=32768, fields=100, chunk_line=256, trailers=8190)
    reader = HeadReader(limits)

    def step() -> object:
        reader.feed(octets)
        return reader.take_head()

    return step


def _environ() -> Callable[[], object]:
    connection = ConnectionEnviron(Path().environ, "http", ("127.0.0.1", 8000), ("127.0.0.1", 50000))
    head: Any = _parse(THIRTEEN)()
    return lambda: connection.make(head, 0)


def _fields() -> Callable[[], object]:
    return lambda: format_fields(FIELDS)


def _answer() -> Callable[[], object]:
    coder, exit = HTTP1Coder("bench"), SocketExit(_Void())
    outlet, octets = AnswerQueue(coder, exit, lambda: None, 262144, AnswerBatch(print)), HELLO
    head: Any = _parse(ONE)()
    fields = format_fields(FIELDS)

    def step() -> None:
        outlet.begin()
        Answer(head, outlet).whole("200 OK", fields, octets)
        outlet.finish()

    return step


def _whole(octets: bytes, runs: bool = True) -> Callable[[], object]:
    path = Path()
    path.runs = runs
    path.receive(octets)
    return lambda: path.receive(octets)


CASES: dict[str, Callable[[], Callable[[], object]]] = {
    "parse, 1 field": lambda: _parse(ONE),
    "parse, 13 fields": lambda: _parse(THIRTEEN),
    "environ, 13 fields": _environ,
    "check of 2 response fields": _fields,
    "answer of one block": _answer,
    "received to submitted, 1 field": lambda: _whole(ONE, False),
    "received to submitted, 13 fields": lambda: _whole(THIRTEEN, False),
    "received to sent, hello, 1 field": lambda: _whole(ONE),
    "received to sent, hello, 13 fields": lambda: _whole(THIRTEEN),
}


def nanoseconds(step: Callable[[], object]) -> float:
    """Return what one call of `step` takes."""
    timer = timeit.Timer(step)
    number, seconds = timer.autorange()
    number = max(1, int(number * _SECONDS / max(seconds, 1e-9)))
    return min(timer.repeat(_SAMPLES, number)) / number * 1e9


def memory() -> dict[str, float]:
    """Return what a request with 13 fields holds while the application runs, and what is left after many."""
    seen: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(sys.getallocatedblocks())
        return hello(environ, start_response)

    path = Path(application)
    for _ in range(100):
        path.receive(THIRTEEN)
    if len(seen) < 100:
        raise RuntimeError("the application was not called")
    gc.collect()
    gc.disable()
    before = sys.getallocatedblocks()
    path.receive(THIRTEEN)
    held = seen[-1] - before
    plain = _whole(THIRTEEN)
    plain()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        plain()
    left = (sys.getallocatedblocks() - before) / 1000
    gc.enable()
    tracemalloc.start()
    plain()
    tracemalloc.reset_peak()
    start = tracemalloc.get_traced_memory()[0]
    plain()
    peak = tracemalloc.get_traced_memory()[1] - start
    tracemalloc.stop()
    return {
        "blocks held while the application runs": held,
        "octets held at the peak": peak,
        "blocks left per request, without the cycle collector": left,
    }


def main() -> None:
    """Print the figures."""
    figures: dict[str, float | str] = {}
    for name, make in CASES.items():
        try:
            figures[name] = nanoseconds(make())
        except Exception as error:
            figures[name] = f"does not fit any more: {type(error).__name__}: {error}"
    try:
        kept: dict[str, Any] = memory()
    except Exception as error:
        kept = {"memory": f"does not fit any more: {type(error).__name__}: {error}"}
    print(json.dumps({"nanoseconds": figures, "memory": kept}))


if __name__ == "__main__":
    run(main)

"""Event streams held open by the reactor, and how late each event is: `python -m benchmarks.stress.event_streams`.

Opens 1,000 streams of an `AsyncBody` each, on a server with four threads, and reads events for a few seconds. Tells how
late they were, by one clock for both processes, and asks meanwhile for a page, which needs a thread.
"""

from __future__ import annotations

import selectors
import socket
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.harness.script import run
from tests.real.children import COMMANDS, environment, get, started

STREAMS = 1000
SECONDS = 5.0
#: Seconds between two events of a stream. Each stream has its own times, so that they are spread.
PACE = 0.5


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Stream events, which say when they were made."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    from twisted_wsgiref import AsyncBody

    async def events() -> Any:
        yield b""
        while True:
            await deferLater(reactor, PACE)
            yield b"%.6f\n" % time.time()

    if environ["PATH_INFO"] == "/page":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"page"]
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return AsyncBody(events())


def read(sockets: list[socket.socket]) -> list[float]:
    """Read all that comes for a while; return how late each event was, in milliseconds."""
    late: list[float] = []
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        end = time.monotonic() + SECONDS
        began = time.time()
        while time.monotonic() < end:
            for key, _ in selector.select(0.1):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                now = time.time()
                made = [float(line) for line in data.split(b"\r\n") if b"." in line]
                # Those from before have waited for the last stream to be open.
                late += [(now - each) * 1000 for each in made if each > began]
    return late


def main() -> int:
    """Run it, and tell what came of it."""
    words = [*COMMANDS["python -m"], "benchmarks.stress.event_streams:application", "--bind", "127.0.0.1:0"]
    words += ["--threads", "4", "--linger", "1", "--grace", "20"]
    with started(words, Path.cwd(), environment()) as server:
        port = server.port()
        sockets = []
        for _ in range(STREAMS):
            made = socket.create_connection(("127.0.0.1", port), 10)
            made.sendall(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
            if not made.recv(4096).startswith(b"HTTP/1.1 200"):
                return 1
            sockets.append(made)
        began = time.monotonic()
        get(port, "/page")
        page = (time.monotonic() - began) * 1000
        late = sorted(read(sockets))
        began = time.monotonic()
        status = server.end()
        stop = time.monotonic() - began
        for each in sockets:
            each.close()
    print(f"{STREAMS} streams, {len(late)} events: late by {statistics.median(late):.1f} ms in the median, ", end="")
    print(f"{late[int(len(late) * 0.99)]:.1f} ms at the 99th percentile, {late[-1]:.1f} ms at the most")
    print(f"a page meanwhile: {page:.1f} ms; the stop: {stop:.1f} s, status {status}")
    return status


if __name__ == "__main__":
    run(main)

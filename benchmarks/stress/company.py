"""An application beside resources, files and WebSockets on one port: ``python -m benchmarks.stress.company``.

Requests to all of them in turn on one connection, pipelined; and the 99th percentile of a Django page while WebSockets
and event streams are open on the same port, against that beside as many of another server, in several rounds. Events
are spread over each second, and in a last row written to all streams in one turn of the reactor, for comparison: how
long that turn is, the application decides. The servers run on the first processor, the clients on the last, and those
that only make company let the measured one go first. Needs Django, autobahn, websockets and a Twisted with
`twisted.web.websocket`. Bounded, on the loopback interface. Ends with status 1 if a row does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from importlib import import_module
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.hostile_clients import THREADS, Probe
from benchmarks.stress.hostile_server import HostileServer, Row

_APP = "benchmarks.stress.company_app"
_AT_ONCE = 50  # requests that are sent before the first of them is answered
_MOST = 1.5
_PARTS = 50  # of a second, in each of which so many of the streams get their event


def _server(folder: Path, parts: int = 1) -> HostileServer:
    (folder / "file.txt").write_bytes(b"a file")
    mounts = {
        "/events": f"{_APP}:Events({parts})",
        "/resource": f"{_APP}:Small",
        "/autobahn": f"{_APP}:autobahn_echo",
        "/twisted": f"{_APP}:twisted_echo",
        "/static": f"static:{folder}",
    }
    options = [word for prefix, spec in mounts.items() for word in ("--mount", f"{prefix}={spec}")]
    return HostileServer(folder, "--threads", str(THREADS), *options, application=f"{_APP}:application", processor=0)


def in_turn(folder: Path, requests: int) -> Row:
    """Ask the application, a resource and a file in turn, with HEAD and conditions, on one connection."""
    cases = [
        ("GET", "/?{}", "", 200, b"hello"),
        ("GET", "/resource?{}", "", 200, b"resource {}"),
        ("GET", "/static/file.txt?{}", "", 200, b"a file"),
        ("HEAD", "/resource?{}", "", 200, b""),
        ("GET", "/static/file.txt?{}", "If-None-Match: *\r\n", 304, b""),
    ]
    right = 0
    with _server(folder) as server, socket.create_connection(("127.0.0.1", server.port), 20) as sock:
        sock.settimeout(20)
        file = sock.makefile("rb")
        for start in range(0, requests, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, requests))
            for number in numbers:
                method, target, fields, _, _ = cases[number % len(cases)]
                sock.sendall(f"{method} {target.format(number)} HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode())
            for number in numbers:
                method, _, _, status, body = cases[number % len(cases)]
                answer = HTTPResponse(_Stream(file), method=method)  # type: ignore[arg-type]
                answer.begin()
                read = answer.read()
                right += (answer.status, read) == (status, body.replace(b"{}", b"%d" % number))
    return Row("in turn", f"{requests:,} requests on one connection", f"{right:,} right", right == requests)


class _Stream:
    """What `HTTPResponse` takes for a socket: it reads on in `file`, and can not close it."""

    def __init__(self, file: object) -> None:
        self._file = file

    def makefile(self, mode: str) -> _Stream:
        """Return what is read from."""
        return self

    def close(self) -> None:
        """Leave it open: the next answer comes on it, too."""

    def flush(self) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def beside(folder: Path, sockets: int, streams: int, seconds: float, rounds: int, parts: int) -> Row:
    """Measure a page alone, beside WebSockets and event streams that are used all the time, and beside such of another
    server; the medians count.

    The crowd takes time of both processors, whoever answers it. So the last figure is what a page pays for it anyway,
    and the ratio to that is the price of one port for all.
    """
    alone, shared, apart = [], [], []
    asked, threads, whole = 0, 0, True
    other = folder / "other"
    other.mkdir(exist_ok=True)
    for _ in range(rounds):
        with _server(folder, parts) as server, _server(other, parts) as elsewhere:
            alone.append(Probe(server.port, seconds).read()[2])
            with _crowd_of(server.port, sockets, streams) as crowd:
                threads = max(threads, server.counts().threads)
                count, _, late = Probe(server.port, seconds).read()
            shared.append(late)
            asked += count
            whole &= crowd.exitcode == 0
            with _crowd_of(elsewhere.port, sockets, streams):
                apart.append(Probe(server.port, seconds).read()[2])
    usual, late, anyway = map(statistics.median, (alone, shared, apart))
    measured = (
        f"p99 {usual:.1f} ms alone, {late:.1f} ms beside them: {late / usual:.2f}; {anyway:.1f} ms beside those of "
    )
    measured += f"another server: {late / anyway:.2f} ({asked} asked, {threads} threads)"
    done = f"{sockets} WebSockets, {streams:,} event streams{'' if whole else ', of which some failed'}, "
    done += f"events in {parts} parts" if parts > 1 else "events all at once"
    return Row("beside", done, measured, whole and (late <= _MOST * anyway or parts == 1))


@contextmanager
def _crowd_of(port: int, sockets: int, streams: int) -> Iterator[SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    crowd = context.Process(target=_crowd, args=(port, sockets, streams, ready, over), daemon=True)
    crowd.start()
    try:
        ready.wait(60)
        yield crowd
    finally:
        over.set()
        crowd.join(20)
        if crowd.is_alive():
            crowd.kill()
            crowd.join(5)


def _crowd(port: int, sockets: int, streams: int, ready: Event, over: Event) -> None:
    os.nice(19)
    asyncio.run(_come(port, sockets, streams, ready, over))


async def _come(port: int, sockets: int, streams: int, ready: Event, over: Event) -> None:
    """Open all, use all until `over`; raises if one of them ends before, or says what it should not."""
    connect = import_module("websockets.asyncio.client").connect
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (over.wait(), loop.call_soon_threadsafe(end.set)), daemon=True).start()

    async def stream() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readuntil(b": open\n\n")
        opened.append(1)
        while not end.is_set():
            await reader.readuntil(b"data: now\n\n")
        writer.close()

    async def talk(path: str) -> None:
        async with connect(f"ws://127.0.0.1:{port}/{path}") as sock:
            opened.append(1)
            while not end.is_set():
                await sock.send("message")
                if await sock.recv() != "message":
                    raise RuntimeError("another message came back")
                await asyncio.sleep(1)

    opened: list[int] = []
    tasks = []
    for number in range(streams + sockets):
        which = number - streams
        tasks.append(asyncio.create_task(stream() if which < 0 else talk("autobahn" if which % 2 else "twisted")))
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    while len(opened) < streams + sockets and not any(task.done() for task in tasks):
        await asyncio.sleep(0.05)
    ready.set()
    await asyncio.gather(*tasks)


def main() -> int:
    """Do all rows; return 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress.company")
    add = parser.add_argument
    add("--requests", type=int, default=10_000, help="requests in turn (default: 10000)")
    add("--sockets", type=int, default=100, help="WebSockets, half of each kind (default: 100)")
    add("--streams", type=int, default=1000, help="event streams (default: 1000)")
    add("--seconds", type=float, default=10.0, help="how long each p99 is measured (default: 10)")
    add("--rounds", type=int, default=3, help="how often each p99 is measured (default: 3)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})  # what is started takes it over
    with tempfile.TemporaryDirectory(prefix="company-") as folder:
        first = in_turn(Path(folder), options.requests)
        print(first.line(), flush=True)
        holds = first.holds
        for parts in (_PARTS, 1):
            how = options.sockets, options.streams, options.seconds, options.rounds, parts
            row = beside(Path(folder), *how)
            print(row.line(), flush=True)
            holds &= row.holds
    return 0 if holds else 1


if __name__ == "__main__":
    run(main)

"""Counts the Python calls that one kept-alive request costs, and how often they change module.

A whole service answers on one end of a connected pair of sockets. Nothing runs but what is asked to: the reactor is
turned by hand, its clock stands, and the pool runs each exchange in the thread that wakes it. So the figures are the
same on each machine. The threads' own part (the pool's queue, the wake of a worker) is not in them, and no call of
Twisted, of the standard library or of C.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.environment import CHECKOUT
from benchmarks.harness.script import run
from benchmarks.harness.trees import run_below

# Requests before those that count: what is remembered of a client is known by then.
_BEFORE = 20
# Of so many the shortest counts: a collection of garbage, say, is no request's own.
_COUNTED = 5
_SECONDS = 60

_FIELDS = (
    "Host: 127.0.0.1:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://127.0.0.1/start\r\nCookie: sessionid=9f2c1b7e4d5a\r\n"
    "Upgrade-Insecure-Requests: 1\r\nCache-Control: max-age=0\r\nDNT: 1\r\n\r\n"
)
REQUESTS = {
    "GET": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n",
    "GET, 10 fields": f"GET / HTTP/1.1\r\n{_FIELDS}".encode(),
    "GET with a query": b"GET /path?query=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n",
    "POST of 5 bytes": b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: 5\r\n\r\nhello",
}

Call = tuple[str, str]


# ---- The child -------------------------------------------------------------------------------------------------------


def _hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


class _RunsInPlace:
    """A pool without threads: `wake` runs what was queued, and returns when it is done."""

    sparing = False
    size = threads = 1
    waiting = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        self._jobs: Sequence[Any] = ()

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""

    def sweep(self) -> bool:
        """Forget nobody."""
        return False

    def queue(self, jobs: Sequence[Any], sparing: bool = False) -> Sequence[Any]:
        """Keep `jobs` until `wake`; refuse none."""
        self._jobs = jobs
        return ()

    def wake(self) -> bool:
        """Run what was queued."""
        for job in self._jobs:
            job.run()
        return False

    def forget_low(self) -> None:
        """Have nothing to forget."""

    def when_low(self, callback: Callable[[], None], above: int = 0) -> bool:
        """Say that no more waits than there are threads."""
        return False

    def look(self) -> bool:
        """Say that nothing waits. For trees of before the schedule."""
        return False

    def spare_none(self) -> None:
        """Stay without threads."""

    def put(self, jobs: Sequence[Any]) -> Sequence[Any]:
        """Run `jobs`."""
        self._jobs = jobs
        self.wake()
        return ()

    def running(self) -> list[Any]:
        """Return what is at work: nothing."""
        return []

    def forked(self, heir: bool) -> None:
        """Have no threads that a child could miss."""


def walk(request: bytes) -> list[Call]:
    """Return each call of a function of `twisted_wsgiref` that `request` costs, in order: module and function."""
    from twisted.internet import tcp
    from twisted.internet.address import IPv4Address
    from twisted.internet.selectreactor import SelectReactor

    import twisted_wsgiref
    from twisted_wsgiref.service import WSGIService

    class Standing(SelectReactor):
        def seconds(self) -> float:
            return 1000.0

    class Transport(tcp.Server):
        def getHost(self) -> IPv4Address:
            return IPv4Address("TCP", "127.0.0.1", 8000)

        def getPeer(self) -> IPv4Address:
            return IPv4Address("TCP", "127.0.0.1", 50000)

    class Service(WSGIService):
        make_pool = _RunsInPlace

    folder = os.path.dirname(twisted_wsgiref.__file__) + os.sep
    calls: list[Call] = []

    def note(frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(folder):
            module = code.co_filename[len(folder) : -len(".py")].replace(os.sep, ".")
            calls.append((module, getattr(code, "co_qualname", code.co_name)))  # 3.10 has only the name

    reactor = Standing()
    service = Service(_hello, [], reactor=reactor, clock=reactor.seconds)
    service.startService()
    theirs, ours = socket.socketpair()
    theirs.setblocking(False)
    ours.settimeout(_SECONDS)
    no_port: Any = None
    protocol: Any = service._factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 50000))
    protocol.makeConnection(Transport(theirs, protocol, ("127.0.0.1", 50000), no_port, 0, reactor))
    walks: list[list[Call]] = []
    for number in range(_BEFORE + _COUNTED):
        calls.clear()
        ours.sendall(request)
        sys.setprofile(note if number >= _BEFORE else None)
        reactor.iterate(0)
        sys.setprofile(None)
        answer = ours.recv(65536)
        if not (answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"hello")):
            raise SystemExit(f"answered {answer[:200]!r}")
        walks.append(calls.copy())
    return min(walks[_BEFORE:], key=len)


# ---- The command -----------------------------------------------------------------------------------------------------


def changes(calls: Sequence[Call]) -> int:
    """Return how often one has to turn to another module to read `calls` in their order, the first one included."""
    return sum(index == 0 or calls[index - 1][0] != module for index, (module, _) in enumerate(calls))


def _ask(tree: Path) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = json.loads(run_below(tree, ["-m", "benchmarks.speed.calls", "--child"], _SECONDS))
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Print what `words` ask for, as a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.calls", description="Calls and changes of module of one request."
    )
    add = parser.add_argument
    add("trees", nargs="*", type=Path, metavar="TREE", help="folders with a twisted_wsgiref (default: this checkout)")
    add("--walk", action="store_true", help="also print each call of the first request, in order")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child:
        print(json.dumps({name: walk(request) for name, request in REQUESTS.items()}))
        return 0
    print("| tree | request, kept alive | calls | changes of module | modules |")
    print("| --- | --- | --- | --- | --- |")
    walks = []
    for tree in options.trees or [CHECKOUT]:
        found = _ask(tree)
        walks.append((tree, next(iter(found.values()))))
        for name, calls in found.items():
            modules = len({module for module, _ in calls})
            print(f"| {tree.resolve().name} | {name} | {len(calls)} | {changes(calls)} | {modules} |", flush=True)
    for tree, calls in walks if options.walk else ():
        print(f"\n{tree.resolve().name}:")
        for module, function in calls:
            print(f"  {module:30} {function}")
    return 0


if __name__ == "__main__":
    run(main)

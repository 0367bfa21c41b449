"""What an operator sees while things go wrong: ``python -m benchmarks.stress.watched``.

Two rows: health, metrics and the JSON of the status site while every thread of two workers is stuck; and a client that
counts its answers over a reload and a ``kill -9`` of a worker, beside the server's own counters. Bounded, on the
loopback interface and a UNIX socket. Ends with status 1 if a row does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.hostile_server import HostileServer, Row

_APP = "benchmarks.stress.watched_app:application"
_THREADS = 4
_WORKERS = 2
_SECONDS = 0.05
_PAGES = ("/health/live", "/health/ready", "/metrics", "/status.json", "/")


class Site:
    """The status site behind the UNIX socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, page: str) -> bytes:
        """Return the body of `page`, whatever its status. Raises `OSError` and `HTTPException`."""
        connection = HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(5)
            connection.sock.connect(str(self._path))
            connection.request("GET", page)
            return connection.getresponse().read()
        finally:
            connection.close()

    def served(self) -> int:
        """Return how many requests were answered 200, as the metrics say."""
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith('wsgi_requests_total{method="GET",status="2xx"}'):
                return int(line.split()[1])
        return 0

    def pids(self) -> list[int]:
        """Return the pids of the workers that serve."""
        return [each["pid"] for each in json.loads(self.get("/status.json"))["workers"] if each["state"] == "serving"]


def _server(folder: Path, path: Path) -> HostileServer:
    words = ("--workers", str(_WORKERS), "--threads", str(_THREADS), "--status", f"unix:{path}")
    return HostileServer(folder, *words, application=_APP)


def stuck(folder: Path, rounds: int = 3) -> Row:
    """Have every thread of every worker stuck, and measure how long each page takes."""
    path = folder / "stuck.sock"
    with _server(folder, path) as server:
        site = Site(path)
        _wait(lambda: len(site.pids()) == _WORKERS)
        socks = []
        # A worker takes its share of connections; a few more than there are threads, so that requests wait, too.
        for _ in range(3 * _WORKERS * _THREADS):
            sock = socket.create_connection(("127.0.0.1", server.port), 5)
            sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
            socks.append(sock)
        _wait(lambda: json.loads(site.get("/status.json"))["threads"]["busy"] == _WORKERS * _THREADS)
        _wait(lambda: site.get("/health/ready").startswith(b"saturated"))
        worst = 0.0
        for _ in range(rounds):
            for page in _PAGES:
                start = time.monotonic()
                site.get(page)
                worst = max(worst, time.monotonic() - start)
            time.sleep(0.3)
        ready = site.get("/health/ready").decode().strip()
        for sock in socks:
            sock.close()
    done = f"all {_WORKERS * _THREADS} threads stuck, {len(_PAGES)} pages, {rounds} times"
    return Row("stuck", done, f"slowest {worst * 1000:.1f} ms ({ready})", worst <= _SECONDS)


def counted(folder: Path, requests: int, clients: int = 8) -> Row:
    """Count answers over a reload and a kill, and compare them with the counters, which are read all the time."""
    path = folder / "counted.sock"
    with _server(folder, path) as server:
        site = Site(path)
        _wait(lambda: len(site.pids()) == _WORKERS)
        before = site.served()
        counts = _Counts(requests)
        threads = [threading.Thread(target=counts.ask, args=(server.port,), daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        seen, fallen = before, 0
        steps = _steps(server, site)
        while any(thread.is_alive() for thread in threads):
            # In thirds: a reload after the first, a kill after the second.
            if counts.sent >= requests * (counts.steps + 1) // 3 and counts.steps < 2:
                counts.steps += 1
                next(steps)
            try:
                now = site.served()
            except (OSError, HTTPException):  # whoever was to answer was killed
                continue
            fallen += now < seen
            seen = now
        for thread in threads:
            thread.join(20)
        told = site.served() - before
    # What was in flight in the killed one may have been counted, or not; its client does not know.
    right = counts.answered <= told <= counts.answered + counts.broken and not fallen
    measured = f"{counts.answered:,} answered, {counts.broken} cut off; the server says {told:,}; fell {fallen} times"
    return Row("counted", f"{counts.sent:,} requests, a reload, a kill -9", measured, right and counts.sent >= requests)


class _Counts:
    """What the clients have seen. Each count has a lock, since many clients count."""

    def __init__(self, requests: int) -> None:
        self._lock = threading.Lock()
        self._requests = requests
        self.sent = self.answered = self.broken = self.steps = 0

    def ask(self, port: int) -> None:
        """Ask until enough was asked, on a connection that is made anew where it breaks."""
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            with self._lock:
                if self.sent >= self._requests:
                    break
                self.sent += 1
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                whole = answer.read() == b"hello" and answer.status == 200
            except (OSError, HTTPException):
                whole = False
                connection.close()
            with self._lock:
                self.answered += whole
                self.broken += not whole
        connection.close()


def _steps(server: HostileServer, site: Site) -> Iterator[None]:
    old = site.pids()
    os.kill(server.pid, signal.SIGHUP)
    _wait(lambda: not set(old) & set(site.pids()) and len(site.pids()) == _WORKERS)
    yield
    os.kill(site.pids()[0], signal.SIGKILL)
    yield


def _wait(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `holds` says so. Raises `TimeoutError`."""
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (OSError, HTTPException):
            pass
        if time.monotonic() > end:
            raise TimeoutError("it does not come true")
        time.sleep(0.02)


def main() -> int:
    """Do both rows; return 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress.watched")
    parser.add_argument("--requests", type=int, default=10_000, help="requests that are counted (default: 10000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watched-") as folder:
        rows = [stuck(Path(folder))]
        print(rows[-1].line(), flush=True)
        rows.append(counted(Path(folder), options.requests))
        print(rows[-1].line(), flush=True)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    run(main)

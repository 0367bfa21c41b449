"""A reader of the access log that stops for a minute: ``python -m benchmarks.stress.blocked_sink``.

A server writes its access log to standard output, to a FIFO and to a UNIX socket of syslog, in turn. A client asks all
the time and takes the time of each request: while the reader reads, while it does not (``--seconds``), and when it
reads on. Then the lines that arrived and those that the server says it dropped have to be the requests, none of these
may have been lost or slower than 50 ms, and the memory has to be bounded. Ends with status 1 if a row does not hold.

A machine that is busy with other things makes requests slow by itself: the slowest while the reader reads is beside the
slowest while it does not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.hostile_server import Row
from tests.real.children import PATIENCE, ROOT, SERVING, environment

#: No request may take longer, in seconds.
SLOW = 0.05
#: The server may have so much more memory at the end of the stop, in MiB: the log keeps 32 MiB of lines.
MOST_MORE = 56
_CLIENTS = 8
# Of a line: so long that a minute of any machine brings more of them than the log keeps.
_AGENT = 1500
_BODY = b"hello"
_LOST = re.compile(r"(\d+) lines? of it (?:was|were) lost")


class Reader:
    """Counts the lines that `read` returns the bytes of, but not while it is stopped. `read` returns b"" at the end."""

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        self._read = read
        self.lines = 0
        self._goes = threading.Event()
        self._goes.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more, but for what is being read."""
        self._goes.clear()

    def go_on(self) -> None:
        """Read on."""
        self._goes.set()

    def finish(self) -> int:
        """Read to the end, and return how many lines there were."""
        self.go_on()
        self._thread.join(PATIENCE)
        return self.lines

    def _run(self) -> None:
        while self._goes.wait():
            data = self._read()
            if data is None:  # nothing now
                continue
            if not data:
                return
            self.lines += data.count(b"\n")


@dataclass
class Times:
    """What a client saw: answers, requests without one, and the slowest."""

    answers: int = 0
    lost: int = 0
    slow: int = 0
    slowest: float = 0.0


class Connections:
    """Kept connections to `port`, each with one request under way at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        agent = "a" * _AGENT
        self._request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {agent}\r\n\r\n".encode()

    def ask(self, seconds: float) -> Times:
        """Ask for so long; return the times."""
        found = Times()
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            begun: dict[socket.socket, float] = {}
            socks: dict[int, socket.socket] = {}
            for _ in range(_CLIENTS):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", self._port), 5))
                selector.register(sock, selectors.EVENT_READ)
                socks[sock.fileno()] = sock
                self._send(sock, begun)
            while begun and time.monotonic() < end + 5:
                for key, _ in selector.select(0.5):
                    sock = socks[key.fd]
                    if not sock.recv(65536).endswith(_BODY):
                        found.lost += 1
                        selector.unregister(sock)
                        del begun[sock]
                        continue
                    now = time.monotonic()
                    took = now - begun.pop(sock)
                    found.answers += 1
                    found.slow += took > SLOW
                    found.slowest = max(found.slowest, took)
                    if now < end:
                        self._send(sock, begun)
            found.lost += len(begun)
        return found

    def _send(self, sock: socket.socket, begun: dict[socket.socket, float]) -> None:
        begun[sock] = time.monotonic()
        sock.sendall(self._request)


class Server:
    """A server whose access log goes to `target`, and whose standard output is `output`. Use it in a ``with``."""

    def __init__(self, folder: Path, target: str, output: int) -> None:
        self._log = folder / "server.log"
        words = [sys.executable, "-m", "twisted_wsgiref", "--listen", "tcp:0:interface=127.0.0.1"]
        words += ["--access-log", target, "benchmarks.stress.hostile_app:application"]
        with self._log.open("wb") as log:
            env = environment(PYTHONPATH=str(ROOT), CONFORMANCE_RECORD=str(folder / "record"))
            self.process = subprocess.Popen(
                words, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=log
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def said(self) -> str:
        """Return its log."""
        return self._log.read_text()

    def port(self) -> int:
        """Wait until it serves, and return its port. Raises `TimeoutError`."""
        end = time.monotonic() + PATIENCE
        while (found := SERVING.search(self.said())) is None:
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError(f"it does not serve: {self.said()}")
            time.sleep(0.02)
        return int(found["port"])

    def memory(self) -> float:
        """Return its resident memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found is not None else 0.0

    def end(self) -> None:
        """End it in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def dropped(self) -> int:
        """Return how many lines it says it has dropped."""
        return sum(int(number) for number in _LOST.findall(self.said()))


@contextlib.contextmanager
def standard_output(folder: Path) -> Iterator[tuple[str, int, Callable[[], bytes | None], Callable[[], None]]]:
    """Yield a target, the standard output to have, how to read it, and what to do at the server's end."""
    near, far = os.pipe()
    try:
        yield "-", far, lambda: os.read(near, 1 << 20), lambda: os.close(far)
    finally:
        os.close(near)


@contextlib.contextmanager
def fifo(folder: Path) -> Iterator[tuple[str, int, Callable[[], bytes | None], Callable[[], None]]]:
    """Yield the same for a FIFO."""
    path = folder / "log.fifo"
    os.mkfifo(path)
    near = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    far = os.open(path, os.O_WRONLY)  # without a writer the first read would be the end
    os.set_blocking(near, True)
    try:
        yield str(path), subprocess.DEVNULL, lambda: os.read(near, 1 << 20), lambda: os.close(far)
    finally:
        os.close(near)


@contextlib.contextmanager
def syslog(folder: Path) -> Iterator[tuple[str, int, Callable[[], bytes | None], Callable[[], None]]]:
    """Yield the same for a daemon of syslog's."""
    path = folder / "syslog"
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        daemon.settimeout(0.1)

        def read() -> bytes | None:
            try:
                return daemon.recv(65536) + b"\n"
            except TimeoutError:
                return b"" if over.is_set() else None

        yield f"syslog:{path}", subprocess.DEVNULL, read, over.set


SINKS = {"stdout": standard_output, "fifo": fifo, "syslog": syslog}


def blocked(name: str, folder: Path, seconds: float) -> Row:
    """Stop the reader of the sink `name` for so many seconds."""
    with SINKS[name](folder) as (target, output, read, over), Server(folder, target, output) as server:
        connections = Connections(server.port())
        reader = Reader(read)
        first = connections.ask(0.2)  # the first requests of a server import what it is now known to need
        usual = connections.ask(max(1.0, seconds / 6))
        time.sleep(0.5)
        before = server.memory()
        reader.stop()
        stopped = connections.ask(seconds)
        most = server.memory()
        reader.go_on()
        after = connections.ask(max(1.0, seconds / 6))
        time.sleep(1.0)
        rest = server.memory()
        server.end()
        over()
        lines = reader.finish()
        dropped = server.dropped()
    answers = first.answers + usual.answers + stopped.answers + after.answers
    lost = first.lost + usual.lost + stopped.lost + after.lost
    slowest = [f"{each.slowest * 1000:.0f}" for each in (usual, stopped, after)]
    memory = [f"{each:.0f}" for each in (before, most, rest)]
    measured = (
        f"{stopped.answers:,} requests in the stop, {lost} lost, {stopped.slow} slower than {SLOW * 1000:.0f} ms; "
        f"slowest before, in and after the stop {', '.join(slowest)} ms; "
        f"{lines:,} lines and {dropped:,} dropped of {answers:,}; {', '.join(memory)} MiB"
    )
    holds = not lost and not stopped.slow and lines + dropped == answers and most - before <= MOST_MORE
    return Row(name, f"the reader stops for {seconds:g} s", measured, holds)


def main(words: Sequence[str] | None = None) -> int:
    """Run as `words` say; return 1 if a row does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stress.blocked_sink", description="Nobody reads the log."
    )
    parser.add_argument("sinks", nargs="*", default=list(SINKS), help=f"of {', '.join(SINKS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which the reader stops (default: 60)")
    options = parser.parse_args(words)
    for name in options.sinks:
        if name not in SINKS:
            parser.error(f"there is no sink {name!r}: there are {', '.join(SINKS)}")
    holds = True
    for name in options.sinks:
        with tempfile.TemporaryDirectory(prefix="blocked-sink-") as folder:
            row = blocked(name, Path(folder), options.seconds)
        print(row.line(), flush=True)
        holds &= row.holds
    return 0 if holds else 1


if __name__ == "__main__":
    run(main)

"""A server to be mistreated, and clients that notice: shared by the rows of `faults`."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from benchmarks.harness.secured import listening
from tests.real.children import ROOT, Process, alive, parent_of
from tests.real.secure_client import open_streams

PATIENCE = 30.0

APPLICATION = """
import os, threading, time

VERSION = "@VERSION@"

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    elif path == "/stuck":
        wait_for_ever()
    elif path == "/crash":
        os._exit(7)
    start_response("200 OK", [("Content-Type", "text/plain")])
    # The token comes back, so that an answer that is somebody else's is seen.
    return [f"{environ.get('HTTP_X_ONCE', '')} {os.getpid()} {VERSION}".encode()]

def wait_for_ever():
    threading.Event().wait()
"""


class House(Process):
    """A server in a process of its own, with its workers; gone at the end of the ``with``, whatever happens."""

    #: Whether all of them speak TLS: for the whole run.
    tls: ClassVar[bool] = False

    def __init__(self, folder: Path, *words: str, workers: int = 2) -> None:
        self.folder = folder
        self.port, listens = listening(folder, tls=self.tls)
        if not (folder / "site_under_test.py").exists():
            self.write(APPLICATION.replace("@VERSION@", "1"))
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        command = [sys.executable, "-m", "twisted_wsgiref", "site_under_test:app", "--workers", str(workers)]
        command += ["--listen", listens, "--access-log", "off", *words]
        super().__init__(command, folder, environ, own_session=True)

    def write(self, text: str) -> None:
        """Make `text` the application's code."""
        (self.folder / "site_under_test.py").write_text(text)

    def send(self, number: int) -> None:
        """Send a signal to the parent."""
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        """Return the pids of the workers: children of the processes that fork them, or else of the parent."""
        children = self.children({self.process.pid})
        return sorted(self.children(children) or children)

    def children(self, parents: set[int]) -> set[int]:
        """Return the pids of the children of `parents` that are alive."""
        found = [int(each) for each in os.listdir("/proc") if each.isdigit()]
        return {pid for pid in found if parent_of(pid) in parents and alive(pid)}

    async def until(self, text: str, count: int = 1, patience: float = PATIENCE) -> float:
        """Wait until the log has `text` so many times; return when that was seen."""
        end = time.monotonic() + patience
        while self.look().count(text) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"the server did not say {text!r} {count} times, but:\n{self.said[-3000:]}")
            await asyncio.sleep(0.01)
        return time.monotonic()

    async def serving(self) -> None:
        """Wait until all workers serve."""
        await self.until("serving site_under_test:app on ")

    async def ended(self, patience: float = PATIENCE) -> int | None:
        """Return the status with which the parent ends, None if it does not in time."""
        end = time.monotonic() + patience
        while self.process.poll() is None and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return self.process.returncode

    def sizes(self) -> tuple[int, int, int]:
        """Return descriptors, threads and KiB of memory of all processes together."""
        totals = [0, 0, 0]
        for pid in {self.process.pid, *self.children({self.process.pid}), *self.workers()}:
            try:
                totals[0] += len(os.listdir(f"/proc/{pid}/fd"))
                status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                totals[1] += int(status["Threads"])
                totals[2] += int(status["VmRSS"].split()[0])
            except (OSError, KeyError):
                pass
        return totals[0], totals[1], totals[2]


class Lost(Exception):
    """A request got no answer."""


@dataclass
class Loss:
    """A failure: how it looked, when its connection began, and when it failed.

    A client that lags asks once more on a connection that is dead already: that is no fault of whoever lives.
    """

    what: str
    connected: float
    ended: float


@dataclass
class Tally:
    """What clients saw."""

    answered: int = 0
    refused: list[Loss] = field(default_factory=list)
    lost: list[Loss] = field(default_factory=list)
    misdelivered: int = 0
    bad_status: int = 0
    by_pid: dict[str, int] = field(default_factory=dict)
    first_seen: dict[str, float] = field(default_factory=dict)  # pid or version -> when
    last_seen: dict[str, float] = field(default_factory=dict)

    def take(self, body: str, token: str) -> None:
        """Count an answer."""
        now = time.monotonic()
        got, pid, version = [*body.split(" "), "", ""][:3]
        self.answered += 1
        self.misdelivered += got != token
        self.by_pid[pid] = self.by_pid.get(pid, 0) + 1
        for key in (pid, f"v{version}"):
            self.first_seen.setdefault(key, now)
            self.last_seen[key] = now

    @property
    def failed(self) -> int:
        """How many requests went wrong in any way."""
        return len(self.refused) + len(self.lost) + self.misdelivered + self.bad_status


_tokens: Iterator[int] = itertools.count()


class Client:
    """One connection at a time."""

    def __init__(self, port: int, tally: Tally, *, keep: bool) -> None:
        self.port = port
        self.tally = tally
        self.keep = keep
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._since = 0.0  # when that was begun

    async def ask(self, path: str = "/", patience: float = PATIENCE) -> int:
        """Send a request, and count what comes of it; return the status, 0 for none."""
        token = f"t{next(_tokens)}"
        try:
            streams = await self._connected()
        except OSError as error:
            # A TLS handshake that is broken off has been accepted: it is lost, as a request without TLS is.
            losses = self.tally.lost if isinstance(error, ConnectionResetError) and House.tls else self.tally.refused
            losses.append(Loss(type(error).__name__, self._since, time.monotonic()))
            return 0
        try:
            status, body, last = await asyncio.wait_for(self._exchange(*streams, path, token), patience)
        except (OSError, EOFError, asyncio.TimeoutError, ValueError) as error:
            self.tally.lost.append(Loss(type(error).__name__, self._since, time.monotonic()))
            self.close()
            return 0
        if status == 200:
            self.tally.take(body, token)
        else:
            self.tally.bad_status += 1
        if last or not self.keep:
            self.close()
        return status

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            self.close()  # closed while it was idle: any client notices, and takes another
        if self._streams is None:
            self._since = time.monotonic()
            self._streams = await open_streams(self.port)
        return self._streams

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, token: str
    ) -> tuple[int, str, bool]:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"X-Once: {token}"]
        lines += [] if self.keep else ["Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        else:
            body = await self._chunks(reader)
        return int(head[0].split(" ")[1]), body.decode("latin-1"), fields.get("connection") == "close"

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def loop(self, stop: asyncio.Event, pause: float) -> None:
        """Ask again and again, with a pause between."""
        while not stop.is_set():
            await self.ask()
            await asyncio.sleep(pause)
        self.close()


class Load:
    """Clients that ask all the time, for the length of an ``async with``."""

    def __init__(self, port: int, *, keep: int, fresh: int, rate: float) -> None:
        self.tally = Tally()
        self._stop = asyncio.Event()
        self._pause = (keep + fresh) / rate
        self._clients = [Client(port, self.tally, keep=index < keep) for index in range(keep + fresh)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Tally:
        for index, client in enumerate(self._clients):
            self._tasks.append(asyncio.create_task(client.loop(self._stop, self._pause)))
            if index % 8 == 7:
                await asyncio.sleep(0.01)
        return self.tally

    async def __aexit__(self, *error: object) -> None:
        self._stop.set()
        await asyncio.wait(self._tasks, timeout=PATIENCE)

"""A server as a child process that listens on a port, and what it costs, seen from outside.

What a server costs is read from /proc, over the process and all its children. Nothing here knows what is measured.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.real.children import Process

# An interpreter with Django has to be up within this many seconds, on a busy machine.
_READY_SECONDS = 20.0
_STOP_SECONDS = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not come up, answered wrongly, or is gone; the text says which and shows the end of its output."""


def pinned(core: int | None) -> list[str]:
    """Return the words before a command that keep it on one core; none where that is not wanted or can not be."""
    return [] if core is None or shutil.which("taskset") is None else ["taskset", "-c", str(core)]


def fetch(
    port: int, tls: bool = False, method: str = "GET", path: str = "/", body: bytes | None = None
) -> tuple[int, int]:
    """Return status and length of one answer. Raises `OSError` or `http.client.HTTPException`."""
    connection: http.client.HTTPConnection
    if tls:
        context = ssl._create_unverified_context()  # the certificate was made a minute ago, by us
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Usage:
    """What a process and its children have used: octets of memory, seconds of CPU, context switches."""

    rss: int
    pss: int
    cpu: float
    switches: int


class Running(Process):
    """A server on `port`. Use it in a ``with``: at the end the process and its children are gone."""

    def __init__(self, words: Sequence[str], port: int, output: Path, variables: dict[str, str]) -> None:
        self.port = port
        # A session of its own: of other servers' children some are left if only the parent is ended.
        super().__init__(words, output.parent, {**os.environ, **variables}, output=output, own_session=True)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_ready(self, length: int, tls: bool = False, body: int = 0) -> None:
        """Return once the server answers 200 with `length` octets. Raises `ServerFailed`."""
        end = time.monotonic() + _READY_SECONDS
        said = "it does not listen"
        while time.monotonic() < end:
            self.check_alive()
            try:
                found = fetch(self.port, tls, *(("POST", "/", bytes(body)) if body else ()))
            except ConnectionRefusedError:
                pass
            except (OSError, http.client.HTTPException) as error:
                said = f"{type(error).__name__}: {error}"
            else:
                if found == (200, length):
                    return
                said = f"it answers {found[0]} with {found[1]} octets, not 200 with {length}"
            time.sleep(0.05)
        raise ServerFailed(f"not ready after {_READY_SECONDS:g} s: {said}{self._tail()}")

    def check_alive(self) -> None:
        """Do nothing while the process lives. Raises `ServerFailed`."""
        status = self.process.poll()
        if status is not None:
            raise ServerFailed(f"it ended with status {status}{self._tail()}")

    def stop(self) -> None:
        """End the process and its children: asked first, then killed."""
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.pid, signal.SIGTERM)
            self.process.wait(_STOP_SECONDS)
        self.close()

    def usage(self) -> Usage:
        """Return what has been used up to now; zeros where the kernel has no /proc."""
        rss = pss = switches = 0
        cpu = 0.0
        for pid in self.processes():
            memory = _fields(Path(f"/proc/{pid}/smaps_rollup"))
            rss += memory.get("Rss", 0) * 1024
            pss += memory.get("Pss", 0) * 1024
            times = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
            if times:
                cpu += (int(times[11]) + int(times[12])) / _TICKS
            for status in Path(f"/proc/{pid}/task").glob("*/status"):
                counts = _fields(status)
                switches += counts.get("voluntary_ctxt_switches", 0) + counts.get("nonvoluntary_ctxt_switches", 0)
        return Usage(rss, pss, cpu, switches)

    def _tail(self) -> str:
        text = self.look().strip()
        return f"; its output ends:\n{text[-1500:]}" if text else ""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process, the thread or the whole of /proc is not there
        return ""


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers in a file of "Name: 123 kB" lines."""
    found = {}
    for line in _read(path).splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found

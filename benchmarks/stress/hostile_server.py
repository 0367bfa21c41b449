"""Our server as a child process with the application of `hostile_app`, and what can be seen of it from outside."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.environment import CHECKOUT
from benchmarks.harness.secured import listening
from benchmarks.harness.serving import Running, ServerFailed, pinned
from tests.real.raw_client import ask, request

_READY_SECONDS = 20.0


class Row(NamedTuple):
    """One row of the table: what was done, what was measured, whether it holds."""

    name: str
    done: str
    measured: str
    holds: bool

    def line(self) -> str:
        """Return it as one line."""
        return f"{'holds        ' if self.holds else 'DOES NOT HOLD'} | {self.name} | {self.done} | {self.measured}"


class Counts(NamedTuple):
    """What a server holds on to."""

    descriptors: int
    threads: int
    files: int  # temporary ones, named or without a name


class HostileServer(Running):
    """``python -m twisted_wsgiref`` with `options`; temporary files go into a folder of its own, below `folder`.

    `application` says hello at ``/``. With `processor` the server runs on that one alone, with
    `tls` its ``port`` is a `SecurePort`.
    Use it in a ``with``. Raises `ServerFailed` where it does not come up.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        before: str = "",
        application: str = "benchmarks.stress.hostile_app:application",
        processor: int | None = None,
        tls: bool = False,
    ) -> None:
        port, listens = listening(folder, tls=tls)
        self.log = folder / "server.log"
        self._record = folder / "record"
        self._record.unlink(missing_ok=True)
        self._noted = 0
        self._temporary = folder / "temporary"
        self._temporary.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "twisted_wsgiref", "--listen", listens]
        words += ["--access-log", "off", *options, application]
        if processor is not None:
            words = [*pinned(processor), *words]
        if before:
            words = ["sh", "-c", f'{before}; exec "$@"', "sh", *words]
        variables = {
            "PYTHONPATH": str(CHECKOUT),
            "CONFORMANCE_RECORD": str(self._record),
            "TMPDIR": str(self._temporary),
        }
        super().__init__(words, port, self.log, variables)
        end = time.monotonic() + _READY_SECONDS
        while not self.is_well():
            self.check_alive()
            if time.monotonic() > end:
                self.stop()
                raise ServerFailed(f"not ready after {_READY_SECONDS:g} s")
            time.sleep(0.05)

    def is_well(self, timeout: float = 1.0) -> bool:
        """Return whether it answers within `timeout` seconds."""
        answer = ask(self.port, request("/", lines="Connection: close\r\n"), timeout=timeout)
        return answer is not None and answer.body == b"hello"

    def wait_until_well(self, seconds: float) -> float:
        """Return after how many seconds it answers; more than `seconds` where it does not."""
        start = time.monotonic()
        while not self.is_well(0.5):
            if time.monotonic() - start > seconds:
                break
            time.sleep(0.01)
        return time.monotonic() - start

    def news(self) -> list[dict[str, object]]:
        """Return what the application has noted since this was last asked."""
        octets = self._record.read_bytes() if self._record.exists() else b""
        lines, self._noted = octets[self._noted :], len(octets)
        return [json.loads(line) for line in lines.splitlines()]

    def notes(self) -> Counter[object]:
        """Return how often each kind was noted since this was last asked."""
        return Counter(each["kind"] for each in self.news())

    def _folders(self) -> list[Path]:
        """Return the folders in /proc of the process, its workers, and whoever forks them."""
        return [Path(f"/proc/{pid}") for pid in self.processes()]

    def memory(self, which: str = "VmRSS") -> int:
        """Return the memory of all processes in KiB: VmRSS, or VmHWM for the most of each since `forget_peak`."""
        total = 0
        for process in self._folders():
            with suppress(OSError):
                found = re.search(rf"^{which}:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
                total += int(found[1]) if found else 0
        return total

    def forget_peak(self) -> int:
        """Start VmHWM afresh; return the memory now, in KiB."""
        for process in self._folders():
            with suppress(OSError):
                (process / "clear_refs").write_text("5")
        return self.memory("VmHWM")

    def counts(self) -> Counts:
        """Return what all processes hold on to now."""
        descriptors = threads = files = 0
        for process in self._folders():
            with suppress(OSError):
                threads += len(list((process / "task").iterdir()))
                for entry in (process / "fd").iterdir():
                    with suppress(OSError):
                        target = str(entry.readlink())
                        descriptors += 1
                        files += str(self._temporary) in target
        files += len(list(self._temporary.iterdir()))
        return Counts(descriptors, threads, files)

    def wait_for_counts(self, wanted: Counts, seconds: float) -> tuple[Counts, float]:
        """Return what it holds once that is no more than `wanted`, or at the end of `seconds`; and how long it took."""
        start = time.monotonic()
        while True:
            now, took = self.counts(), time.monotonic() - start
            if all(have <= want for have, want in zip(now, wanted, strict=True)) or took > seconds:
                return now, took
            time.sleep(0.02)

    def log_lines(self) -> list[str]:
        """Return what it has logged."""
        return self.log.read_text("utf-8", "replace").splitlines()

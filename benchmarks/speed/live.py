"""What a request and an idle connection cost a running server, seen from outside: switches, system calls, memory."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.environment import Environment
from benchmarks.harness.idle import ENOUGH, allow_descriptors, size_of_one
from benchmarks.harness.peers import Server
from benchmarks.harness.serving import Running
from benchmarks.harness.start import client_core, drive, start
from benchmarks.harness.workloads import Workload

# System calls that are told one by one; the rest is a sum.
_CALLS_SHOWN = 8


@contextmanager
def _serving(environment: Environment, server: Server, workload: Workload, folder: Path) -> Iterator[Running]:
    with start(environment, server, workload, folder) as running:
        running.wait_until_ready(workload.length, workload.variant.tls, workload.body)
        drive(workload, running.port, 1, client_core(), folder)
        yield running


def switches(
    environment: Environment, server: Server, workload: Workload, seconds: int, folder: Path
) -> dict[str, float]:
    """Return context switches, microseconds of CPU, and the rate of requests. Raises `ServerFailed`."""
    with _serving(environment, server, workload, folder) as running:
        before = running.usage()
        figures = drive(workload, running.port, seconds, client_core(), folder)
        after = running.usage()
    return {
        "context switches per request": (after.switches - before.switches) / figures.requests,
        "CPU microseconds per request": (after.cpu - before.cpu) / figures.requests * 1e6,
        "requests per second": figures.rate,
    }


def system_calls(
    environment: Environment, server: Server, workload: Workload, seconds: int, folder: Path
) -> dict[str, float]:
    """Return system calls per request, by name; empty without strace, or where tracing is not allowed.

    Traced processes are slow, so that more requests share a turn than otherwise. Raises `ServerFailed`.
    """
    if shutil.which("strace") is None:
        return {}
    counts = folder / "strace.txt"
    with _serving(environment, server, workload, folder) as running:
        pids = [word for pid in running.processes() for word in ("-p", str(pid))]
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-o", str(counts), *pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(0.5)  # until it has attached to all threads
            figures = drive(workload, running.port, seconds, client_core(), folder)
        finally:
            tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(10)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait(10)
    return _per_request(counts.read_text() if counts.exists() else "", figures.requests)


def _per_request(table: str, requests: int) -> dict[str, float]:
    """Return the calls in strace's table by request, the most frequent ones by name."""
    calls: dict[str, int] = {}
    for line in table.splitlines():
        words = line.split()
        # "% time, seconds, usecs/call, calls, errors (or nothing), syscall"
        if len(words) in (5, 6) and words[3].isdigit():
            calls[words[-1]] = int(words[3])
    total = calls.pop("total", 0)
    if not total:
        return {}
    shown = sorted(calls.items(), key=lambda item: -item[1])[:_CALLS_SHOWN]
    return {"all": total / requests, **{name: count / requests for name, count in shown}}


def idle_connection(environment: Environment, server: Server, workload: Workload, folder: Path) -> float:
    """Return the bytes that one idle connection, which has had one answer, adds. Raises `ServerFailed`."""
    allow_descriptors(ENOUGH)
    with _serving(environment, server, workload, folder) as running:
        return size_of_one(running, tls=workload.variant.tls)

"""What idle connections cost: ``python -m benchmarks.speed.idle``. See benchmarks/README.md.

Memory: what 1000 connections add, each of which has asked once, or several times, after others that fill the memory
which the start has left free. Speed: one server with 32 busy connections, without and beside 10,000 idle ones in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.harness.environment import CHECKOUT, Environment, interpreter, prepare
from benchmarks.harness.idle import Clients, allow_descriptors, request, size_of_one
from benchmarks.harness.peers import OURS, SERVERS, Server
from benchmarks.harness.script import run
from benchmarks.harness.serving import Running, ServerFailed
from benchmarks.harness.start import client_core, drive, start
from benchmarks.harness.workloads import WORKLOADS, Workload
from benchmarks.harness.wrk import require_wrk
from benchmarks.speed.compare import named, positive

#: Idle connections beside the busy ones.
COUNT = 10_000
# Of ours: more than are asked for, so that none goes for another.
_LIMIT = ("--max-connections", "12000")
# Descriptors that a server without those may have.
_FEW = 1000
_SETTLE_SECONDS = 20.0
_KIB = 1024


@dataclass(frozen=True)
class Kind:
    """Connections whose memory is measured."""

    text: str
    tls: bool
    browser: bool
    times: int  # requests that each has sent


KINDS = (
    Kind("plain, one field", False, False, 1),
    Kind("plain, a browser's 13", False, True, 1),
    Kind("plain, a browser's 13, asked 4 times", False, True, 4),
    Kind("TLS, one field", True, False, 1),
    Kind("TLS, a browser's 13", True, True, 1),
    Kind("TLS, a browser's 13, asked 4 times", True, True, 4),
)


@contextlib.contextmanager
def _serving(environment: Environment, server: Server, tls: bool) -> Iterator[tuple[Running, Workload, Path]]:
    (hello,) = named(WORKLOADS, "hello")
    workload = replace(hello, variant=replace(hello.variant, tls=tls))
    options = _LIMIT if server.name == OURS else ()
    with tempfile.TemporaryDirectory(prefix="idle-") as folder:
        allow_descriptors(COUNT)
        with start(environment, server, workload, Path(folder), options=options) as running:
            running.wait_until_ready(workload.length, tls)
            drive(workload, running.port, 1, client_core(), Path(folder))
            yield running, workload, Path(folder)


def memory(environment: Environment, server: Server, kind: Kind) -> float:
    """Return the bytes of PSS that one idle connection of `kind` adds. Raises `ServerFailed`."""
    with _serving(environment, server, kind.tls) as (running, _, _):
        return size_of_one(running, tls=kind.tls, browser=kind.browser, times=kind.times)


@dataclass(frozen=True)
class Beside:
    """Requests a second, and for each second of the server's CPU time, beside idle ones by the same without them.

    `share` is what the idle ones alone take of a core.
    """

    rates: list[float]
    per_cpu: list[float]
    share: float


def beside(environment: Environment, server: Server, rounds: int, seconds: int, count: int, tls: bool) -> Beside:
    """Return what `count` idle connections leave of the speed, round by round. Raises `ServerFailed`."""
    with _serving(environment, server, tls) as (running, workload, folder):

        def run() -> tuple[float, float]:
            before = running.usage().cpu
            figures = drive(workload, running.port, seconds, client_core(), folder)
            return figures.rate, figures.requests / max(running.usage().cpu - before, 0.01)

        rates, per_cpu, shares = [], [], []
        alone = run()
        for _ in range(rounds):
            with Clients(running.port, tls=tls) as clients:
                clients.add(allow_descriptors(count), request())
                begun, used = time.monotonic(), running.usage().cpu
                time.sleep(seconds)
                shares.append((running.usage().cpu - used) / (time.monotonic() - begun))
                crowded = run()
                clients.check()
            _wait_until_gone(running)
            # What the machine does changes meanwhile: so beside the runs before and after.
            alone, earlier = run(), alone
            rates.append(2 * crowded[0] / (alone[0] + earlier[0]))
            per_cpu.append(2 * crowded[1] / (alone[1] + earlier[1]))
        return Beside(rates, per_cpu, median(shares))


def _wait_until_gone(running: Running) -> None:
    end = time.monotonic() + _SETTLE_SECONDS
    place = Path(f"/proc/{running.pid}/fd")
    while len(list(place.iterdir())) > _FEW:
        if time.monotonic() > end:
            raise ServerFailed("connections that have ended are not closed")
        time.sleep(0.1)


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print as `words` say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.idle", description="What idle connections cost a server."
    )
    add = parser.add_argument
    add("--servers", default=OURS, help="names, separated by commas (default: ours)")
    add("--rounds", type=positive, default=3, help="rounds beside idle ones, and starts for memory (default: 3)")
    add("--duration", type=positive, default=3, help="seconds of each run (default: 3)")
    add("--count", type=positive, default=COUNT, help="idle connections beside the busy ones (default: %(default)s)")
    add("--no-memory", action="store_true", help="leave out the memory of a connection")
    add("--no-speed", action="store_true", help="leave out the speed beside idle ones")
    add("--tls", action="store_true", help="speed beside idle ones over TLS, too")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="folder of its own (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter to measure with (default: this one)")
    options = parser.parse_args(words)
    require_wrk()
    environment = prepare(options.environment, options.python)
    print(interpreter(environment), flush=True)
    for server in named(SERVERS, options.servers):
        with _told(server):
            if not options.no_memory:
                _print_memory(environment, server, options.rounds)
            if not options.no_speed:
                for tls in (False, True) if options.tls else (False,):
                    _print_speed(environment, server, options, tls)
    return 0


def _print_memory(environment: Environment, server: Server, rounds: int) -> None:
    print(f"\n| {server.name}, an idle connection | KiB | least to most |\n| --- | --- | --- |")
    for kind in KINDS:
        if kind.tls and server.listen_tls is None:
            continue
        sizes = [memory(environment, server, kind) / _KIB for _ in range(rounds)]
        print(f"| {kind.text} | {median(sizes):.1f} | {min(sizes):.1f} to {max(sizes):.1f} |", flush=True)


def _print_speed(environment: Environment, server: Server, options: argparse.Namespace, tls: bool) -> None:
    found = beside(environment, server, options.rounds, options.duration, options.count, tls)
    print(
        f"\n{server.name}{', TLS' if tls else ''}, hello beside {options.count:,} idle connections, by hello alone: "
        f"req/s {_spread(found.rates)}, req/cpu-s {_spread(found.per_cpu)}; "
        f"the idle ones take {found.share * 100:.1f} % of a core",
        flush=True,
    )


@contextlib.contextmanager
def _told(server: Server) -> Iterator[None]:
    try:
        yield
    except ServerFailed as error:
        print(f"{server.name} failed: {error}", flush=True)


if __name__ == "__main__":
    run(main)

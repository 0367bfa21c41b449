"""The figures of a comparison: their shape, the ratios between them, the table, and the JSON. Measures nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.peers import OURS

_MIB = 1024 * 1024


@dataclass
class Run:
    """One run of one server: requests a second, microseconds, octets, and shares of a core."""

    rate: float
    p50: float
    p99: float
    errors: int
    rss: int
    pss: int
    server_cpu: float
    client_cpu: float

    @property
    def per_cpu_second(self) -> float:
        """Requests for one second of the server's CPU time: hardly moved by what else the machine does."""
        return self.rate / self.server_cpu if self.server_cpu else 0.0


@dataclass
class ServerResult:
    """All runs of one server in one workload, one for each round; `failure` says why there are fewer."""

    name: str
    note: str
    runs: list[Run]
    failure: str = ""

    def median(self, figure: str) -> float:
        """Return the median of a figure over the rounds."""
        return median(float(getattr(run, figure)) for run in self.runs)

    @property
    def errors(self) -> int:
        """All errors of all rounds."""
        return sum(run.errors for run in self.runs)


@dataclass
class WorkloadResult:
    """One workload: `figure` is the one that its ratios compare."""

    name: str
    text: str
    figure: str
    servers: list[ServerResult]

    def ratios(self, other: ServerResult, figure: str = "") -> list[float]:
        """Return our figure by the other's, round by round: what the machine did in a round, it did to both.

        The figure is the workload's own if none is named.
        """
        ours = next((server.runs for server in self.servers if server.name == OURS), [])
        pairs = zip(ours, other.runs, strict=False)  # a server that failed has fewer rounds
        figure = figure or self.figure
        return [getattr(our, figure) / (getattr(their, figure) or 1) for our, their in pairs]


@dataclass
class Results:
    """A whole comparison."""

    machine: dict[str, Any]
    versions: dict[str, str]
    rounds: int
    seconds: int
    workloads: list[WorkloadResult]


_HEADINGS = ("server", "req/s", "req/cpu-s", "p50 us", "p99 us", "RSS MiB", "PSS MiB", "errors", "ratio", "cpu ratio")


def tables(results: Results) -> str:
    """Return the tables of all workloads."""
    return "\n".join(table(workload) for workload in results.workloads)


def table(result: WorkloadResult) -> str:
    """Return the table of one workload."""
    better = "more is better" if result.figure == "rate" else "less is better"
    figure = "req/s" if result.figure == "rate" else result.figure
    lines = [f"{result.name}: {result.text}; ratio: our {figure} by theirs, {better}"]
    rows = [_HEADINGS, *(_row(result, server) for server in result.servers if server.runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]))
    lines += [f"{server.name} failed: {server.failure}" for server in result.servers if server.failure]
    if any(run.client_cpu > 0.95 for server in result.servers for run in server.runs):
        lines.append("* wrk had no time left on its core: the server may be faster")
    return "\n".join([*lines, ""])


def _row(result: WorkloadResult, server: ServerResult) -> tuple[str, ...]:
    bound = "*" if server.median("client_cpu") > 0.95 else ""
    return (
        server.name,
        f"{server.median('rate'):,.0f}{bound}",
        f"{server.median('per_cpu_second'):,.0f}",
        f"{server.median('p50'):,.0f}",
        f"{server.median('p99'):,.0f}",
        f"{server.median('rss') / _MIB:.1f}",
        f"{server.median('pss') / _MIB:.1f}",
        str(server.errors),
        _ratio(result.ratios(server)) if server.name != OURS else "",
        _ratio(result.ratios(server, "per_cpu_second")) if server.name != OURS else "",
    )


def _ratio(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    return f"{median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"


def save(results: Results, path: Path) -> None:
    """Write everything to `path`, with the medians of the ratios, for people and programs that do not count."""
    found = asdict(results)
    for workload, written in zip(results.workloads, found["workloads"], strict=True):
        for server, row in zip(workload.servers, written["servers"], strict=True):
            row["ratios"] = workload.ratios(server)
            row["ratio"] = median(row["ratios"]) if row["ratios"] else None
            per_cpu = workload.ratios(server, "per_cpu_second")
            row["cpu_ratio"] = median(per_cpu) if per_cpu else None
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def load(path: Path) -> Results:
    """Return what `save` wrote. Raises `SystemExit` where `path` is no such file."""
    try:
        found = json.loads(path.read_text("utf-8"))
        workloads = [_workload(written) for written in found["workloads"]]
        return Results(found["machine"], found["versions"], found["rounds"], found["seconds"], workloads)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path}: no figures of an earlier comparison: {error}") from None


def _workload(written: dict[str, Any]) -> WorkloadResult:
    servers = [
        ServerResult(row["name"], row["note"], [Run(**run) for run in row["runs"]], row["failure"])
        for row in written["servers"]
    ]
    return WorkloadResult(written["name"], written["text"], written["figure"], servers)

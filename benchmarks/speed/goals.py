"""The figures that this server has to show: ``python -m benchmarks.speed.goals``. See benchmarks/README.md.

Each goal asks for a ratio of our figure to another server's, or to that of whichever is the best. Who has a goal in a
workload is measured there, and nobody else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.harness.environment import CHECKOUT, Environment, interpreter, prepare
from benchmarks.harness.peers import OURS, SERVERS
from benchmarks.harness.script import run
from benchmarks.harness.serving import ServerFailed
from benchmarks.harness.workloads import WORKLOADS
from benchmarks.harness.wrk import require_wrk
from benchmarks.speed import idle, report
from benchmarks.speed.compare import Plan, measure_one, named, positive

Figure = TypeVar("Figure")

#: Stands for whichever of `PEERS` is the best.
BEST = "the best"
PEERS = ("granian", "bjoern", "uwsgi", "gunicorn", "waitress")
_KIB = 1024
_PLAIN_KIB, _TLS_KIB, _BESIDE = 8.0, 40.0, 0.95
_HEADINGS = ("workload", "beside", "asked", "measured", "least to most", "by CPU time", "")


@dataclass(frozen=True)
class Goal:
    """In `workload` our figure by that of `peer` has to be at least `asked`; at most, if it is a time.

    `later` says that it is measured only if it is asked for.
    """

    workload: str
    peer: str
    asked: float
    later: bool = False


GOALS = (
    Goal("tls", "granian", 1.0),
    Goal("tls", "gunicorn", 8.0),
    Goal("tls-resumed", "granian", 0.85),
    Goal("tls-full", "granian", 0.9),
    Goal("new", "granian", 0.9),
    Goal("new", "bjoern", 1.0),
    Goal("new", "waitress", 2.4),
    Goal("front", BEST, 1.0),
    Goal("front-unix", BEST, 1.0),
    Goal("hello", "granian", 1.0),
    Goal("hello", "bjoern", 0.75),
    Goal("many", "granian", 1.0),
    Goal("many", "bjoern", 0.75),
    Goal("browser", "granian", 1.3),
    Goal("browser", "bjoern", 1.0),
    Goal("one", "granian", 1.0),
    Goal("post-1k", "granian", 1.05),
    Goal("post-64k", "granian", 1.0),
    Goal("block", "granian", 1.0),
    Goal("processes", "granian", 1.0),
    # The worse of both tables in docs/performance.md.
    Goal("generator", "granian", 2.7, later=True),
    Goal("file", "granian", 1.3, later=True),
    Goal("flask", "granian", 1.05, later=True),
    Goal("django", "granian", 1.06, later=True),
    Goal("busy", "granian", 0.3, later=True),
)


def peers_of(workload: str) -> tuple[str, ...]:
    """Return who is measured in `workload`: we, and whoever has a goal there."""
    asked = [goal.peer for goal in GOALS if goal.workload == workload]
    return (OURS, *(PEERS if BEST in asked else asked))


def rows(result: report.WorkloadResult) -> Iterator[tuple[str, ...]]:
    """Return a row for each goal of a workload."""
    rate = result.figure == "rate"
    for goal in GOALS:
        if goal.workload != result.name:
            continue
        others = [each for each in result.servers if each.name in (PEERS if goal.peer == BEST else (goal.peer,))]
        known = [each for each in others if result.ratios(each)]
        if not known:
            yield _row(result.text, goal.peer, goal.asked, [], None, rate)
            continue
        # The best has the least of our figure by its own, if more is better.
        other = (min if rate else max)(known, key=lambda each: median(result.ratios(each)))
        name = goal.peer if goal.peer != BEST else f"{goal.peer}, {other.name}"
        text = result.text if rate else f"{result.text}, {result.figure}"
        per_cpu = result.ratios(other, "per_cpu_second")
        yield _row(text, name, goal.asked, result.ratios(other), median(per_cpu), rate)


def _row(
    text: str, beside: str, asked: float, found: Sequence[float], per_cpu: float | None, more: bool, places: int = 2
) -> tuple[str, ...]:
    """Return the cells of a goal; `found` is empty if it could not be measured, `more` says that more is better."""
    sign = "" if more else "at most "
    if not found:
        return (text, beside, f"{sign}{asked:.{places}f}", "not measured", "", "", "no")
    middle = round(median(found), places)
    holds = middle >= asked if more else middle <= asked
    return (
        text,
        beside,
        f"{sign}{asked:.{places}f}",
        f"{middle:.{places}f}",
        f"{min(found):.{places}f} to {max(found):.{places}f}",
        "" if per_cpu is None else f"{per_cpu:.2f}",
        "yes" if holds else "NO",
    )


def idle_rows(environment: Environment, rounds: int, seconds: int) -> Iterator[tuple[str, ...]]:
    """Return the rows of idle connections."""
    (ours,) = named(SERVERS, OURS)
    beside = _unless_failed(partial(idle.beside, environment, ours, rounds, seconds, idle.COUNT, False))
    rates, per_cpu = ([], None) if beside is None else (beside.rates, median(beside.per_cpu))
    yield _row(f"hello beside {idle.COUNT:,} idle connections", "without them", _BESIDE, rates, per_cpu, True)
    for kind in idle.KINDS:
        size = _unless_failed(partial(idle.memory, environment, ours, kind))
        sizes = [] if size is None else [size / _KIB]
        asked = _TLS_KIB if kind.tls else _PLAIN_KIB
        yield _row(f"KiB of an idle connection: {kind.text}", "", asked, sizes, None, False, 1)


def _unless_failed(call: Callable[[], Figure]) -> Figure | None:
    try:
        return call()
    except ServerFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return None


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """Return the table of all goals."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (_HEADINGS, ("---",) * len(_HEADINGS), *lines)) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print as `words` say; return the exit status."""
    options = _options(words)
    require_wrk()
    environment = prepare(options.environment, options.python)
    machine = interpreter(environment)
    print(f"{machine}\n", flush=True)
    asked = {goal.workload for goal in GOALS if options.all or not goal.later}
    asked = asked if not options.workloads else {each.name for each in named(WORKLOADS, options.workloads)}
    found: list[tuple[str, ...]] = []
    for workload in WORKLOADS:
        if workload.name in asked:
            servers = [each for each in SERVERS if each.name in peers_of(workload.name)]
            plan = Plan(environment, servers, options.rounds, options.duration)
            with tempfile.TemporaryDirectory(prefix="goals-") as folder:
                result = measure_one(plan, workload, Path(folder))
            print(report.table(result), flush=True)
            found += rows(result)
    if not options.workloads:
        found += idle_rows(environment, options.rounds, options.duration)
    print(f"{machine}, {options.rounds} rounds of {options.duration} s\n\n{table(found)}", flush=True)
    return 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.goals", description="The figures that this server has to show beside others."
    )
    add = parser.add_argument
    add("--rounds", type=positive, default=3, help="every server is driven in turn so many times (default: 3)")
    add("--duration", type=positive, default=3, help="seconds of each run (default: 3)")
    add("--all", action="store_true", help="the goals that are only kept, too: a generator, a file, frameworks, busy")
    add("--workloads", help="these alone, separated by commas, and no idle connections")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="folder of its own (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter to measure with (default: this one)")
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)

"""Compares this server with others: ``python -m benchmarks.speed.compare``. See benchmarks/README.md.

The command line, and the rounds. What is compared is in `peers` and `workloads`, what comes of it in `report`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.harness.environment import CHECKOUT, Environment, interpreter, prepare, versions
from benchmarks.harness.peers import SERVERS, Server
from benchmarks.harness.script import run
from benchmarks.harness.serving import Running, ServerFailed, pinned
from benchmarks.harness.start import SERVER_CORE, client_core, drive, start
from benchmarks.harness.workloads import SHORT, WORKLOADS, Workload
from benchmarks.harness.wrk import require_wrk
from benchmarks.speed import report
from benchmarks.speed.plot import draw

Named = TypeVar("Named", Server, Workload)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, write and draw as `words` say; return the exit status."""
    options = _options(words)
    if options.list:
        _list()
        return 0
    if options.redraw:
        results = report.load(options.redraw)
    else:
        require_wrk()
        environment = prepare(options.environment, options.python, options.renew)
        servers = _usable(named(SERVERS, options.servers), environment)
        workloads = named(WORKLOADS, options.workloads)
        path = options.json or options.environment / "results.json"
        results = measure(
            Plan(environment, servers, options.rounds, options.duration),
            workloads,
            lambda results: report.save(results, path),
        )
    if options.redraw:
        print(report.tables(results))
    svg = options.svg or options.environment / "results.svg"
    svg.write_text(draw(results), "utf-8")
    print(f"drawn: {svg}", file=sys.stderr)
    return 0


@dataclass(frozen=True)
class Plan:
    """Who is measured, how often, and for how many seconds each time."""

    environment: Environment
    servers: Sequence[Server]
    rounds: int
    seconds: int


def measure(plan: Plan, workloads: Sequence[Workload], keep: Callable[[report.Results], None]) -> report.Results:
    """Return the figures of every server in every workload.

    After each workload its table is printed and `keep` called: whoever interrupts loses one workload, not all.
    """
    results = report.Results(
        machine={
            "python": interpreter(plan.environment),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cores": os.cpu_count() or 0,
            "pinned": bool(pinned(SERVER_CORE)),
        },
        versions=versions(plan.environment),
        rounds=plan.rounds,
        seconds=plan.seconds,
        workloads=[],
    )
    print(f"{results.machine['python']}, {results.machine['system']}\n", flush=True)
    for workload in workloads:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            result = measure_one(plan, workload, Path(folder))
        results.workloads.append(result)
        print(report.table(result), flush=True)
        keep(results)
    return results


def measure_one(plan: Plan, workload: Workload, folder: Path) -> report.WorkloadResult:
    """Start all servers that can do the workload, and drive them in turn, round by round; idle ones cost nothing."""
    result = report.WorkloadResult(workload.name, workload.text, workload.figure, [])
    core = client_core() if workload.pinned else None
    with contextlib.ExitStack() as stack:
        running: dict[str, Running] = {}
        by_name: dict[str, report.ServerResult] = {}
        for server in plan.servers:
            if server.can(workload.variant):
                by_name[server.name] = report.ServerResult(server.name, server.note, [])
                running[server.name] = stack.enter_context(start(plan.environment, server, workload, folder))
        result.servers.extend(by_name.values())
        for turn in range(-1, plan.rounds):
            for name, process in list(running.items()):
                try:
                    if turn < 0:
                        process.wait_until_ready(workload.length, workload.variant.tls, workload.body)
                        if not workload.busy:  # a server of one thread may not get to hello within a second
                            drive(workload, process.port, 1, core, folder)  # warms up; the figures are dropped
                    else:
                        process.check_alive()
                        by_name[name].runs.append(_run(process, workload, plan.seconds, core, folder))
                except ServerFailed as error:
                    by_name[name].failure = str(error)
                    running.pop(name).stop()
    return result


def _run(process: Running, workload: Workload, seconds: int, core: int | None, folder: Path) -> report.Run:
    before = process.usage()
    figures = drive(workload, process.port, seconds, core, folder)
    after = process.usage()
    return report.Run(
        rate=figures.rate,
        p50=figures.p50,
        p99=figures.p99,
        errors=figures.errors,
        rss=after.rss,
        pss=after.pss,
        server_cpu=(after.cpu - before.cpu) / figures.seconds,
        client_cpu=figures.client_cpu,
    )


def _usable(servers: Sequence[Server], environment: Environment) -> list[Server]:
    """Return the servers that are installed, as far as their present version goes."""
    found = []
    for server in servers:
        if server.requirement in environment.missing:
            continue
        if server.needs_word:
            help_ = subprocess.run(
                shlex.split(server.help.format_map({"bin": shlex.quote(str(environment.bin))})),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if server.needs_word not in help_.stdout:
                server = server.without_processes()
        found.append(server)
    return found


def named(known: Sequence[Named], names: str | None) -> list[Named]:
    """Return the members of `known` that `names`, separated by commas, asks for, in the order of `known`."""
    if not names:
        return list(known)
    wanted = set(SHORT) if names == "short" else set(names.split(","))
    unknown = wanted - {one.name for one in known}
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: not known; --list shows what is")
    return [one for one in known if one.name in wanted]


def _list() -> None:
    print("workloads:")
    for workload in WORKLOADS:
        print(f"  {workload.name:16} {workload.text}")
    print("servers:")
    for server in SERVERS:
        print(f"  {server.name:16} {server.note}")


def positive(word: str) -> int:
    """Return the number that `word` is. Raises what argparse makes a line of."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} has to be a number from 1")
    return int(word)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.compare", description="Compare this server with others by wrk."
    )
    add = parser.add_argument
    add("--workloads", help="names, separated by commas, or short for a first look (default: all)")
    add("--servers", help="names, separated by commas (default: all)")
    add("--rounds", type=positive, default=3, help="every server is driven in turn so many times (default: 3)")
    add("--duration", type=positive, default=3, help="seconds of each run (default: 3)")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="folder of its own (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter to measure with (default: this one)")
    add("--renew", action="store_true", help="install the newest servers")
    add("--json", type=Path, help="write the figures here (default: results.json in the environment)")
    add("--svg", type=Path, help="draw the figures here (default: results.svg in the environment)")
    add("--redraw", type=Path, metavar="JSON", help="measure nothing: print and draw these earlier figures")
    add("--list", action="store_true", help="list servers and workloads")
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)

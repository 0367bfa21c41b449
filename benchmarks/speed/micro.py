"""Measures what one request costs this server, part by part: ``python -m benchmarks.speed.micro``.

The command line; see benchmarks/README.md. The parts alone are timed in `parts`, the running server is looked at in
`live`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.environment import CHECKOUT, Environment, interpreter, prepare
from benchmarks.harness.peers import OURS, SERVERS, Server
from benchmarks.harness.script import run
from benchmarks.harness.serving import ServerFailed, pinned
from benchmarks.harness.start import SERVER_CORE
from benchmarks.harness.workloads import WORKLOADS, Workload
from benchmarks.harness.wrk import require_wrk
from benchmarks.speed import live
from benchmarks.speed.compare import named, positive


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and write as `words` say; return the exit status."""
    options = _options(words)
    environment = prepare(options.environment, options.python)
    results: dict[str, Any] = {"python": interpreter(environment)}
    if not options.no_parts:
        results.update(_parts(environment))
        for kind in ("nanoseconds", "memory"):
            _print(kind, results[kind])
    if not options.no_live:
        require_wrk()
        results["live"] = {}
        for server in named(SERVERS, options.servers):
            for workload in named(WORKLOADS, options.workloads):
                results["live"][f"{server.name}, {workload.name}"] = _live(
                    environment, server, workload, options.duration
                )
    path = options.json or options.environment / "micro.json"
    path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    return 0


def _parts(environment: Environment) -> dict[str, Any]:
    done = subprocess.run(
        [*pinned(SERVER_CORE), str(environment.bin / "python"), "-m", "benchmarks.speed.parts"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"benchmarks.speed.parts failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _live(environment: Environment, server: Server, workload: Workload, seconds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    measures: dict[str, Callable[[Path], Any]] = {
        "cost": lambda folder: live.switches(environment, server, workload, seconds, folder),
        "system calls per request": lambda folder: live.system_calls(environment, server, workload, seconds, folder),
        "octets per idle connection": lambda folder: live.idle_connection(environment, server, workload, folder),
    }
    for name, measure in measures.items():
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                found[name] = measure(Path(folder))
            except (ServerFailed, OSError, http.client.HTTPException) as error:
                found[name] = f"failed: {error}"
        value = found[name]
        _print(f"{server.name}, {workload.name}: {name}", value if isinstance(value, dict) else {name: value})
    return found


def _print(title: str, figures: dict[str, Any]) -> None:
    print(f"{title}:")
    for name, value in figures.items():
        text = value if isinstance(value, str) else f"{value:12,.2f}" if value < 100 else f"{value:12,.0f}"
        print(f"  {name:56} {text}")
    if not figures:
        print("  not measured here")
    sys.stdout.flush()


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.micro", description="Measure what one request costs, part by part."
    )
    add = parser.add_argument
    add("--no-parts", action="store_true", help="leave out the times of the parts")
    add("--no-live", action="store_true", help="leave out the running server")
    add("--workloads", default="hello,browser,generator", help="of the running server (default: %(default)s)")
    add("--servers", default=OURS, help="look at these servers in the same way (default: %(default)s)")
    add("--duration", type=positive, default=3, help="seconds of each run (default: 3)")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="folder of its own (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter to measure with (default: this one)")
    add("--json", type=Path, help="write the figures here (default: micro.json in the environment)")
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)

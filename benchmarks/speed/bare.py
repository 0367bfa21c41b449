"""The limit of a server in Python: ``python -m benchmarks.speed.bare``. A new connection for each request.

Loops that do only the system calls (`harness.bare_server`) are driven beside this server and those in C and Rust, in
the same run. What is between a loop and this server is our own code; what is between a loop and a server in C could not
be saved by any server in Python. The environment and the options are those of `compare`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.environment import CHECKOUT, prepare
from benchmarks.harness.peers import OURS, SERVERS, Server
from benchmarks.harness.script import run
from benchmarks.harness.workloads import WORKLOADS
from benchmarks.harness.wrk import require_wrk
from benchmarks.speed import report
from benchmarks.speed.compare import Plan, measure, named, positive

_NOTES = {
    "alone": "only the system calls, one thread",
    "worker": "the same, by two threads: the second sends and closes",
    "closer": "the same, but the first closes what the second has shut down",
    "tls": "one thread, and OpenSSL's part of a connection",
}
BARE = tuple(
    Server(
        name=kind,
        requirement="",
        command=f"{{bin}}/python -m benchmarks.harness.bare_server {kind} {{port}} {{listen}}",
        listen_tls="{cert} {key}" if kind == "tls" else None,
        note=note,
    )
    for kind, note in _NOTES.items()
)


def main(words: Sequence[str] | None = None) -> int:
    """Measure as `words` say and print the table; return the exit status. Raises `SystemExit`."""
    options = _options(words)
    require_wrk()
    environment = prepare(options.environment, options.python)
    beside = named(SERVERS, options.servers)
    workloads = named(WORKLOADS, options.workloads)
    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        for secure in (False, True):
            asked = [workload for workload in workloads if workload.variant.tls is secure]
            loops = [loop for loop in BARE if (loop.listen_tls is not None) is secure]
            if asked:
                measure(
                    Plan(environment, (*beside, *loops), options.rounds, options.duration),
                    asked,
                    lambda results: report.save(results, Path(folder) / "results.json"),
                )
    return 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.bare", description="Measure loops of system calls beside servers."
    )
    add = parser.add_argument
    add("--servers", default=f"{OURS},granian,bjoern", help=f"beside them (default: {OURS},granian,bjoern)")
    add("--workloads", default="new", help="of a connection for each request: new, tls-full or tls-resumed")
    add("--rounds", type=positive, default=5, help="all are driven in turn so many times (default: 5)")
    add("--duration", type=positive, default=2, help="seconds of each run (default: 2)")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="that of `compare` (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter to measure with (default: this one)")
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)

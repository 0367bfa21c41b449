"""What logs and metrics cost: ``python -m benchmarks.speed.observed``.

One version of the server, started with nothing, with the access log in a file (combined and JSON), and with metrics: in
turn, in an order of chance, as `variants` does. Its first column of ratios is of requests a second, its second of CPU
time for each request, which other works on the machine disturb less; each with quartiles. The goals are 0.9, 0.85
and 0.98 of the requests with the combined log, with JSON and with metrics.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.speed import variants
from benchmarks.speed.compare import positive


def words_of(tree: str, folder: Path) -> list[str]:
    """Return the variants of `tree`, whose files are in `folder`."""
    off, log = "--access-log off", f"--access-log {folder / 'access.log'}"
    given = {
        "off": off,
        "combined": log,
        "json": f"{log} --access-log-format json",
        "metrics": f"{off} --status unix:{folder / 'status.sock'}",
        "both": f"{log} --status unix:{folder / 'both.sock'}",
    }
    return [f"{label}={tree} {options}" for label, options in given.items()]


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print as `words` say; return 1 if a server gave errors."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.observed", description="What logs and metrics cost, by wrk."
    )
    parser.add_argument("--tree", default=".", help="the directory or revision to measure (default: this one)")
    parser.add_argument("--workloads", default="hello,browser", help="names, separated by commas")
    parser.add_argument("--starts", type=positive, default=8, help="all servers are started anew so many times")
    parser.add_argument("--rounds", type=positive, default=4, help="and each time driven in turn so many times")
    options, rest = parser.parse_known_args(words)
    with tempfile.TemporaryDirectory(prefix="observed-") as folder:
        given = [*words_of(options.tree, Path(folder)), "--workloads", options.workloads]
        return variants.main(
            [*given, "--starts", str(options.starts), "--rounds", str(options.rounds), *rest],
        )


if __name__ == "__main__":
    run(main)

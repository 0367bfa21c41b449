"""Loads and faults against this server: ``python -m benchmarks.stress.hostile``.

Each row starts ``python -m twisted_wsgiref`` as a child process, does something to it, and prints one line: what was
done, what was measured, whether it holds. All is bounded, on the loopback interface, and the child is ended by its id.
Needs Linux for what it reads in /proc. Ends with status 1 if a row does not hold.

The command line only; the rows are in `hostile_clients` and `hostile_loads`, and in `hostile_tls` those of handshakes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.hostile_clients import CLIENTS, Times
from benchmarks.stress.hostile_loads import LOADS
from benchmarks.stress.hostile_server import Row
from benchmarks.stress.hostile_tls import OVER_TLS

ROWS = {function.__name__.replace("_", "-"): function for function in (*CLIENTS, *OVER_TLS, *LOADS)}
# 2,516 connections, and some for ourselves.
_DESCRIPTORS = 4096


def main(words: Sequence[str] | None = None) -> int:
    """Do the rows that `words` ask for; return 1 if one does not hold."""
    options = _options(words)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, hard), hard))
    all_hold = True
    clients = [name for name, row in ROWS.items() if row in CLIENTS]
    mount = ("--mount", "/=benchmarks.stress.hostile_resource:Root") if options.mount else ()
    every = [name for name, row in ROWS.items() if options.tls or row not in OVER_TLS]
    for name in options.rows or (clients if options.mount else every):
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            times = Times(
                Path(folder),
                (*options.server.split(), *mount),
                options.head_timeout,
                options.send_timeout,
                options.overload,
                options.integrity,
                options.tls,
            )
            done = ROWS[name](times)
            for row in [done] if isinstance(done, Row) else _each(done):
                print(row.line(), flush=True)
                all_hold &= row.holds
    return 0 if all_hold else 1


def _each(rows: Iterator[Row]) -> Iterator[Row]:
    yield from rows


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stress.hostile", description="Loads and faults, each one line."
    )
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help=f"which rows (default: all): {', '.join(ROWS)}")
    add("--server", default="", metavar="OPTIONS", help="more for the server, as one word: --server=--stream-input")
    add("--tls", action="store_true", help="speak TLS, by a certificate that is made for it")
    add("--mount", action="store_true", help="ask a mounted resource of Twisted's, by rows of clients alone")
    add("--head-timeout", type=float, default=20.0, help="the server's, in seconds (default: 20, as the server's own)")
    add("--send-timeout", type=float, default=5.0, help="the server's, in seconds (default: 5; its own is 60)")
    add("--overload", type=float, default=10.0, help="seconds of overload (default: 10)")
    add("--quick", action="store_true", help="2 seconds of overload, 10 of exchanges, a head deadline of 12")
    add("--integrity", type=float, default=30.0, help="seconds of exchanges (default: 30)")
    options = parser.parse_args(words)
    if options.quick:
        options.overload, options.integrity, options.head_timeout = 2.0, 10.0, 12.0
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not known; there are {', '.join(ROWS)}")
    if not options.tls and any(ROWS[name] in OVER_TLS for name in options.rows):
        parser.error("handshakes are slow or broken with --tls only")
    return options


if __name__ == "__main__":
    run(main)

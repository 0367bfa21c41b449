"""What process-wide settings of ours cost applications: ``python -m benchmarks.speed.settled``.

Each work is done in a fresh interpreter, in a thread, as an application runs: once as Python starts it (*bare*: so it
is under most servers), once *settled*, as `twisted_wsgiref._process.tuning` leaves a process of ours. No work may cost
more settled than bare, neither time nor memory; those that a server does should cost less.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.environment import CHECKOUT
from benchmarks.harness.script import run
from benchmarks.harness.trees import run_below

_MIB = 1024 * 1024
_WAYS = ("bare", "settled")


# ---- Works -----------------------------------------------------------------------------------------------------------


def shrink() -> None:
    """12 MB of bytes, cut by 64 KiB until nothing is left, as dulwich sends a pack"""
    blob = bytes(12 * _MIB)
    while blob:
        blob = blob[65515:]


def bodies() -> None:
    """32 bodies of 64 KiB, made and freed together, 300 times"""
    for _ in range(300):
        kept = [b"x" * 65536 for _ in range(32)]
        del kept


def _pieces(size: int) -> None:
    for _ in range(100):
        block = b"x" * size
        del block


def pieces_of_2_mib() -> None:
    """A block of 2 MiB, made and freed 100 times"""
    _pieces(2 * _MIB)


def pieces_of_6_mib() -> None:
    """A block of 6 MiB, made and freed 100 times"""
    _pieces(6 * _MIB)


def pieces_of_20_mib() -> None:
    """A block of 20 MiB, made and freed 100 times"""
    _pieces(20 * _MIB)


def pieces_of_40_mib() -> None:
    """A block of 40 MiB, made and freed 100 times: beyond what glibc ever keeps"""
    _pieces(40 * _MIB)


def kept_exceptions() -> None:
    """2000 requests that keep an exception, and so their frame, which holds 256 KiB, until it is collected"""

    def view() -> object:
        upload = b"x" * (_MIB // 4)
        try:
            raise ValueError(len(upload))
        except ValueError as error:
            kept = error
        return kept.args

    for _ in range(2000):
        view()


def rows() -> None:
    """20 lists of 20,000 objects, each with a dict, as an ORM makes them"""

    class Row:
        def __init__(self, number: int) -> None:
            self.number = number
            self.values = {"number": number}

    for _ in range(20):
        kept = [Row(number) for number in range(20000)]
        del kept


def collections() -> None:
    """20 full collections beside what was imported"""
    for _ in range(20):
        gc.collect()


def four_threads() -> None:
    """Four threads that make and read JSON"""
    value = [{"number": number, "values": [number] * 5, "name": "x" * 20} for number in range(300)]

    def run() -> None:
        for _ in range(200):
            json.loads(json.dumps(value))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


_ALL: tuple[Callable[[], None], ...] = (
    *(shrink, bodies, pieces_of_2_mib, pieces_of_6_mib, pieces_of_20_mib, pieces_of_40_mib),
    *(kept_exceptions, rows, collections, four_threads),
)
WORKS = {work.__name__.replace("_", "-"): work for work in _ALL}


# ---- The child -------------------------------------------------------------------------------------------------------


def _memory() -> int:
    """Return the bytes that are resident now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(name: str, way: str) -> dict[str, float]:
    """Do the work; return its milliseconds of CPU time, the pages faulted in, and MiB at most and afterwards."""
    # What a server has imported by then, so that there is something to collect.
    from twisted_wsgiref import service
    from twisted_wsgiref._process.tuning import settle
    from twisted_wsgiref.settings import Settings

    del service
    if way == "settled":
        settle(Settings().switch_interval)
    found: dict[str, float] = {}

    def run() -> None:
        before, start, memory = resource.getrusage(resource.RUSAGE_SELF), time.process_time(), _memory()
        WORKS[name]()
        after = resource.getrusage(resource.RUSAGE_SELF)
        found["ms"] = (time.process_time() - start) * 1000
        found["faults"] = after.ru_minflt - before.ru_minflt
        found["most"] = (after.ru_maxrss * 1024 - memory) / _MIB
        found["kept"] = (_memory() - memory) / _MIB

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


# ---- The command -----------------------------------------------------------------------------------------------------


def _ask(name: str, way: str, tree: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(run_below(tree, ["-m", "benchmarks.speed.settled", "--child", name, way], 120))
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure what `words` ask for; print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.settled", description="What process-wide settings cost applications."
    )
    add = parser.add_argument
    add("works", nargs="*", metavar="WORK", help=f"which works (default: all): {', '.join(WORKS)}")
    add("--starts", type=int, default=3, help="fresh interpreters for each figure (default: 3)")
    add("--tree", type=Path, default=CHECKOUT, help="where twisted_wsgiref is imported from (default: this checkout)")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child:
        name, way = options.works
        print(json.dumps(measure(name, way)))
        return 0
    unknown = [name for name in options.works if name not in WORKS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not known; there are {', '.join(WORKS)}")
    print("| work | CPU ms bare | settled | pages bare | settled | most MiB bare | settled | kept MiB bare | settled |")
    print("|" + " --- |" * 9)
    for name in options.works or WORKS:
        by_way: dict[str, list[Any]] = {way: [] for way in _WAYS}
        for _ in range(options.starts):
            for way in _WAYS:
                by_way[way].append(_ask(name, way, options.tree))
        cells = [
            f"{median(each[key] for each in by_way[way]):,.0f}"
            for key in ("ms", "faults", "most", "kept")
            for way in _WAYS
        ]
        print(f"| {name}: {WORKS[name].__doc__} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    run(main)

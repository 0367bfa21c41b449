"""The memory of a whole server, with all its processes: ``python -m benchmarks.speed.memory``.

Each server is started anew in each round, with each number of workers, and with its application imported in each
worker or, `preload`, once before they are forked. Each worker answers a few pages, so that Django has made all that it
makes at the first. Then the memory of all processes is summed: PSS, which counts a page that several processes share by
share.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from benchmarks.harness.environment import CHECKOUT, Environment, prepare
from benchmarks.harness.peers import OURS, SERVERS, Variant
from benchmarks.harness.script import run
from benchmarks.harness.serving import Running, ServerFailed
from benchmarks.harness.trees import package_alone
from tests.real.children import free_port

_APPLICATION = "benchmarks.speed.memory_app:application"
_HELLO = 14
_MIB = 1024 * 1024
_PEER = "gunicorn"
# A worker may be late with what it frees at its start.
_SETTLE_SECONDS = 1.0
# So many connections at once; each worker has to answer so often, and asking gives up after so many turns.
_CONNECTIONS = 16
_PAGES = ("/", "/admin/login/")
_ANSWERS = 3
_MOST_TURNS = 40


@dataclass(frozen=True)
class Way:
    """A server, and whether it imports the application before its workers are there."""

    server: str
    preload: bool

    def __str__(self) -> str:
        return f"{self.server}{' --preload' if self.preload else ''}"


WAYS = [Way(server, preload) for server in (OURS, _PEER) for preload in (False, True)]


@contextmanager
def running(way: Way, workers: int, environment: Environment, tree: Path, folder: Path) -> Iterator[Running]:
    """Start the server; give it when it answers. Raises `ServerFailed`."""
    server = next(each for each in SERVERS if each.name == way.server)
    port = free_port()
    words = server.words(Variant(processes=workers), _APPLICATION, port, environment.places)
    if way.preload:
        words.insert(-1, "--preload")
    path = os.pathsep.join(map(str, (package_alone(tree, folder / "alone"), CHECKOUT)))
    with Running(words, port, folder / "output", {"PYTHONPATH": path}) as made:
        made.wait_until_ready(_HELLO)
        yield made


def _ask(port: int, workers: int) -> None:
    """Ask for a few pages, many at once, until each worker has answered some of each."""
    answered: Counter[tuple[str, str]] = Counter()
    with ThreadPoolExecutor(_CONNECTIONS) as several:
        for _ in range(_MOST_TURNS):
            pages = [page for page in _PAGES for _ in range(_CONNECTIONS)]
            answered.update(several.map(lambda page: (_worker(port, page), page), pages))
            whole = [each for each in answered if answered[each] >= _ANSWERS]
            if len(whole) >= workers * len(_PAGES):
                return
    raise ServerFailed(f"not every worker answers: {dict(answered)}")


def _worker(port: int, page: str) -> str:
    """Return which worker answers `page`, on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ServerFailed(f"{page} is answered by {answer.status}")
    return answer.headers["X-Worker"]


def measure(way: Way, workers: int, environment: Environment, tree: Path) -> tuple[int, list[int]]:
    """Return the bytes of memory of a whole server, and of each of its processes."""
    with (
        tempfile.TemporaryDirectory(prefix="memory-") as folder,
        running(way, workers, environment, tree, Path(folder)) as server,
    ):
        _ask(server.port, workers)
        time.sleep(_SETTLE_SECONDS)
        each = [pss(pid) for pid in server.processes()]
        return sum(each), each


def pss(pid: int) -> int:
    """Return the bytes of memory of a process, of shared pages its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ServerFailed(f"the system tells no PSS of process {pid}")


def _rows(found: dict[Way, list[tuple[int, list[int]]]]) -> Iterator[str]:
    """Return a line for each way: the median in MiB, its ratio to the peer's without preload, round by round."""
    base = found.get(Way(_PEER, preload=False), [])
    for way, rounds in found.items():
        if not rounds:
            continue
        sums = [total / _MIB for total, _ in rounds]
        cells = [str(way), f"{median(sums):.1f}", f"{min(sums):.1f} to {max(sums):.1f}"]
        ratios = [total / other for (total, _), (other, _) in zip(rounds, base, strict=False)]
        cells.append(f"{median(ratios):.2f}" if ratios else "")
        last = " + ".join(f"{each / _MIB:.1f}" for each in rounds[-1][1])
        yield "| " + " | ".join([*cells, last]) + " |"


def main(words: Sequence[str] | None = None) -> int:
    """Measure what `words` ask for; print a table for each number of workers."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.memory", description="The memory of a whole server."
    )
    add = parser.add_argument
    add("--workers", default="1,2,4", help="numbers of workers (default: 1,2,4)")
    add("--rounds", type=int, default=5, help="starts of each server (default: 5)")
    add("--only", default="", metavar="WORDS", help="leave out servers whose name has none of these words, by commas")
    add("--tree", type=Path, default=CHECKOUT, help="where twisted_wsgiref is imported from (default: this checkout)")
    add("--python", default=sys.executable, help="interpreter of the servers (default: this one)")
    add("--bench", type=Path, default=CHECKOUT / ".bench", help="folder of the servers' environment")
    options = parser.parse_args(words)
    environment = prepare(options.bench, options.python)
    ways = [way for way in WAYS if not options.only or any(word in str(way) for word in options.only.split(","))]
    for workers in map(int, options.workers.split(",")):
        found: dict[Way, list[tuple[int, list[int]]]] = {way: [] for way in ways}
        problems: dict[Way, str] = {}
        for _ in range(options.rounds):
            for way in ways:
                if way not in problems:
                    try:
                        found[way].append(measure(way, workers, environment, options.tree))
                    except ServerFailed as error:
                        problems[way] = str(error)
        print(f"\nDjango, {workers} worker{'' if workers == 1 else 's'}, {options.rounds} rounds, PSS\n")
        print(f"| server | MiB | least to most | of {_PEER}'s | each process at last |\n|{' --- |' * 5}")
        for row in _rows(found):
            print(row, flush=True)
        for way, line in problems.items():
            print(f"{way}: {line}", flush=True)
    return 0


if __name__ == "__main__":
    run(main)

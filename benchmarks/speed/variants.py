"""Compares versions of this server with each other: ``python -m benchmarks.speed.variants old=HEAD~1 new=.``

What a change gained. Two processes of the same code differ by 5 %, where memory happened to lie: so the servers are
started anew several times, and each time driven in turn, in an order of chance.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from statistics import median, quantiles

from benchmarks.harness.environment import CHECKOUT, Environment, prepare
from benchmarks.harness.peers import OURS, SERVERS
from benchmarks.harness.script import run
from benchmarks.harness.serving import Running, ServerFailed
from benchmarks.harness.start import client_core, drive, start
from benchmarks.harness.trees import package_alone
from benchmarks.harness.workloads import WORKLOADS, Workload
from benchmarks.harness.wrk import require_wrk
from benchmarks.speed.compare import named, positive

_SERVER = next(server for server in SERVERS if server.name == OURS)


@dataclass(frozen=True)
class Variant:
    """One version of the server: the folder that it is imported from, and options that it is started with."""

    label: str
    tree: Path
    options: str


@dataclass
class Start:
    """What all rounds of one start of one variant gave."""

    rates: list[float] = field(default_factory=list)
    requests: int = 0
    cpu: float = 0.0
    errors: int = 0

    @property
    def rate(self) -> float:
        """Requests a second: the median of the rounds."""
        return median(self.rates)

    @property
    def cost(self) -> float:
        """Microseconds of CPU time for each request."""
        return _by(self.cpu, self.requests) * 1e6


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print as `words` say; return 1 if a server gave errors.

    Raises `SystemExit` where one gave nothing else.
    """
    options = _options(words)
    _check_labels(options.variants)
    require_wrk()
    environment = prepare(options.environment, options.python)
    clean = True
    with tempfile.TemporaryDirectory(prefix="variants-") as folder:
        variants = [_variant(word, Path(folder)) for word in options.variants]
        for variant in variants:
            _check(variant, environment)
        for workload in named(WORKLOADS, options.workloads):
            starts: dict[str, list[Start]] = {variant.label: [] for variant in variants}
            for _ in range(options.starts):
                for label, start in _measure(environment, workload, variants, options, Path(folder)).items():
                    starts[label].append(start)
            print(_table(workload, starts), flush=True)
            clean &= not any(start.errors for each in starts.values() for start in each)
    return 0 if clean else 1


def _measure(
    environment: Environment,
    workload: Workload,
    variants: Sequence[Variant],
    options: argparse.Namespace,
    folder: Path,
) -> dict[str, Start]:
    """Start all variants, drive them in turn, and end them. Raises `SystemExit`, naming the one that failed."""
    core = client_core()
    found = {variant.label: Start() for variant in variants}
    with contextlib.ExitStack() as stack:
        running = {
            variant.label: stack.enter_context(_start(environment, variant, workload, folder)) for variant in variants
        }
        for label, process in running.items():
            with _named(label):
                process.wait_until_ready(workload.length, workload.variant.tls, workload.body)
                drive(workload, process.port, 1, core, folder)  # warms up; the figures are dropped
        for _ in range(options.rounds):
            for label, process in random.sample(list(running.items()), len(running)):
                start = found[label]
                with _named(label):
                    before = process.usage().cpu
                    figures = drive(workload, process.port, options.duration, core, folder)
                    start.cpu += process.usage().cpu - before
                start.requests += figures.requests
                start.rates.append(figures.rate)
                start.errors += figures.errors
    return found


@contextlib.contextmanager
def _named(label: str) -> Iterator[None]:
    """Make one line of a server's failure."""
    try:
        yield
    except ServerFailed as error:
        raise SystemExit(f"{label}: {error}") from None


def _start(
    environment: Environment, variant: Variant, workload: Workload, folder: Path
) -> AbstractContextManager[Running]:
    options = variant.options.split()
    return start(environment, _SERVER, workload, folder, label=variant.label, tree=variant.tree, options=options)


def _check_labels(words: Sequence[str]) -> None:
    """Do nothing if each variant has a label of its own. Raises `SystemExit`."""
    for label, times in Counter(word.partition("=")[0] for word in words).items():
        if times > 1:
            raise SystemExit(f"{label!r} is the label of {times} variants: their figures would be one")


def _variant(word: str, folder: Path) -> Variant:
    """Return what ``LABEL=TREE OPTIONS`` describes; a tree that is no directory is a revision. Raises `SystemExit`."""
    label, found, rest = word.partition("=")
    tree, _, options = rest.partition(" ")
    if not (found and label and tree):
        raise SystemExit(f"{word!r}: a variant is LABEL=TREE or 'LABEL=TREE OPTIONS'")
    place = Path(tree).resolve()
    if not place.is_dir():
        place = folder / f"tree-{label}"
        _unpack(tree, place)
    return Variant(label, package_alone(place, folder / f"of-{label}"), options)


def _unpack(revision: str, place: Path) -> None:
    words = ["git", "-C", str(CHECKOUT), "archive", revision, "twisted_wsgiref"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{revision} is no directory, and no revision: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place)


def _check(variant: Variant, environment: Environment) -> None:
    """Do nothing if the interpreter takes the package from the variant's tree. Raises `SystemExit`."""
    code = "import twisted_wsgiref; print(twisted_wsgiref.__file__)"
    done = subprocess.run(
        [str(environment.bin / "python"), "-c", code],
        env={"PYTHONPATH": str(variant.tree)},
        cwd=environment.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if not Path(done.stdout.strip()).is_relative_to(variant.tree):
        raise SystemExit(f"{variant.label}: imported from {done.stdout.strip()!r}, not {variant.tree}\n{done.stderr}")


def _table(workload: Workload, starts: dict[str, list[Start]]) -> str:
    """Return the medians over all starts, and the first variant's figures by each other's, start by start."""
    lines = [
        f"### {workload.name}: {workload.text}",
        "",
        "| variant | req/s | CPU us/request | req/s by the first | CPU by the first | errors |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    first = next(iter(starts.values()))
    for label, each in starts.items():
        rates = [_by(own.rate, its.rate) for own, its in zip(each, first, strict=True)]
        costs = [_by(own.cost, its.cost) for own, its in zip(each, first, strict=True)]
        lines.append(
            f"| {label} | {median(start.rate for start in each):,.0f} | {median(start.cost for start in each):.2f} "
            f"| {_spread(rates)} | {_spread(costs)} | {sum(start.errors for start in each)} |"
        )
    return "\n".join(lines) + "\n"


def _by(figure: float, other: float) -> float:
    """Return `figure` by `other`; not a number where there is nothing to compare with."""
    return figure / other if other else nan


def _spread(ratios: list[float]) -> str:
    """Return the median, and the quartiles where there are enough."""
    if len(ratios) < 2:
        return f"{ratios[0]:.3f}"
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.variants", description="Compare versions of this server by wrk."
    )
    add = parser.add_argument
    add("variants", nargs="+", metavar="LABEL=TREE", help="a directory or a revision; 'LABEL=TREE OPTIONS' adds words")
    add("--workloads", default="hello,browser", help="names, separated by commas (default: hello,browser)")
    add("--starts", type=positive, default=8, help="all servers are started anew so many times (default: 8)")
    add("--rounds", type=positive, default=3, help="and each time driven in turn so many times (default: 3)")
    add("--duration", type=positive, default=1, help="seconds of each run (default: 1)")
    add("--environment", type=Path, default=CHECKOUT / ".bench", help="folder of its own (default: .bench)")
    add("--python", default=sys.executable, help="the interpreter to measure with (default: this one)")
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)

"""What the board says, summed over all workers: plain values, for the texts that are made of them.

Pure: the board and the clocks are handed in. Any thread may call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from . import board
from .board import CAUSES, CLASSES, METHODS, STATES, Board, Slot

#: A worker writes its gauges this often, in seconds.
PERIOD: Final = 1.0
#: Seconds without a sign of a worker's reactor after which it counts as stuck: two of its looks are missing.
SILENT: Final = 3.0

#: What is told of one request that runs.
Told: TypeAlias = dict[str, object]

_STATE_NAMES: Final = {board.STARTING: "starting", board.SERVING: "serving", board.DRAINING: "draining"}


def age_of(told: Mapping[str, object]) -> float:
    """Return for how many seconds a request has been running."""
    age = told.get("age")
    return age if isinstance(age, float) else 0.0


class Histogram(NamedTuple):
    """How many values were in each bucket (the last one is above all bounds), and their sum."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float

    @property
    def total(self) -> float:
        """How many values there were."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[float, float]]:
        """Return how many values were at most as large as each bound, which ends with infinity."""
        total, found = 0.0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass(frozen=True)
class WorkerState:
    """The gauges of one worker. Times are in seconds; `silent` is since its last sign."""

    number: int
    pid: int
    state: str
    age: float
    silent: float
    memory: int
    busy: int
    threads: int
    most_threads: int
    queued: int
    most_queued: int
    oldest: float
    saturated: bool
    connections: int
    lag: float
    requests: int
    running: list[Told] = field(default_factory=list)

    @property
    def idle(self) -> int:
        """How many threads wait for a request."""
        return max(0, self.threads - self.busy)


@dataclass(frozen=True)
class Sums:
    """All workers together. `requests` is by method and class of status."""

    now: float
    since: float
    requests: dict[tuple[str, str], int]
    durations: Histogram
    waits: Histogram
    bytes_in: int
    bytes_out: int
    refused: dict[str, int]
    shaken: int
    unshaken: int
    forgotten: int
    unlogged: int
    connections: dict[str, int]
    workers: list[WorkerState]
    wanted: int
    started: int
    died: int
    ready: bool
    reason: str


def read_board(of: Board, bounds: Sequence[float], monotonic: float, now: float) -> Sums:
    """Return what `of` says at `monotonic`, by the clock that all processes share, which is `now` by the epoch's."""
    slots = of.slots()
    rows = [slot.cells[: board.COUNTERS].tolist() for slot in slots]
    totals = [sum(column) for column in zip(*rows, strict=True)] or [0.0] * board.COUNTERS
    workers = [_worker(slot, row, monotonic) for slot, row in zip(slots, rows, strict=True) if slot.cells[board.STATE]]
    ready, reason = _judge(workers, stopping=bool(of.head[board.STOPPING]))
    phases = [
        slot.cells[board.PHASES : board.PHASES + len(STATES)].tolist() for slot in slots if slot.cells[board.STATE]
    ]
    states = [int(sum(column)) for column in zip(*phases, strict=True)] or [0] * len(STATES)
    sums = totals[board.SUMS :]
    requests = {}
    for at, (method, kind) in enumerate((method, kind) for method in METHODS for kind in CLASSES):
        count = int(totals[board.REQUESTS + at])
        if count:
            requests[method, kind] = count
    return Sums(
        now=now,
        since=of.head[board.SINCE],
        requests=requests,
        durations=_histogram(totals[board.DURATIONS :], bounds, sums[board.DURATION]),
        waits=_histogram(totals[board.WAITS :], bounds, sums[board.WAIT]),
        bytes_in=int(sums[board.BYTES_IN]),
        bytes_out=int(sums[board.BYTES_OUT]),
        refused={cause: int(totals[board.REFUSED + at]) for at, cause in enumerate(CAUSES)},
        shaken=int(totals[board.SHAKEN]),
        unshaken=int(totals[board.UNSHAKEN]),
        forgotten=int(totals[board.FORGOTTEN]),
        unlogged=int(totals[board.UNLOGGED]),
        connections=dict(zip(STATES, states, strict=True)),
        workers=sorted(workers, key=lambda each: each.number),
        wanted=int(of.head[board.WANTED]),
        started=int(of.head[board.STARTED]),
        died=int(of.head[board.DIED]),
        ready=ready,
        reason=reason,
    )


def _histogram(cells: Sequence[float], bounds: Sequence[float], total: float) -> Histogram:
    return Histogram(tuple(bounds), tuple(cells[: len(bounds) + 1]), total)


def _worker(slot: Slot, row: Sequence[float], now: float) -> WorkerState:
    gauges = slot.cells[board.STATE : board.PHASES].tolist()

    def gauge(at: int) -> float:
        return gauges[at - board.STATE]

    try:
        running = json.loads(slot.read_text() or b"[]")
    except ValueError:  # it was being written
        running = []
    return WorkerState(
        number=int(gauge(board.NUMBER)),
        pid=int(gauge(board.PID)),
        state=_STATE_NAMES.get(gauge(board.STATE), "starting"),
        age=now - gauge(board.BORN),
        silent=max(0.0, now - gauge(board.SEEN)),
        memory=int(gauge(board.MEMORY)),
        busy=int(gauge(board.BUSY)),
        threads=int(gauge(board.THREADS)),
        most_threads=int(gauge(board.MOST_THREADS)),
        queued=int(gauge(board.QUEUED)),
        most_queued=int(gauge(board.MOST_QUEUED)),
        oldest=gauge(board.OLDEST),
        saturated=bool(gauge(board.SATURATED)),
        connections=int(gauge(board.CONNECTIONS)),
        # A reactor that does not turn writes nothing of it.
        lag=max(gauge(board.LAG), now - gauge(board.SEEN) - PERIOD),
        requests=int(sum(row[board.REQUESTS : board.DURATIONS]) - gauge(board.BEFORE)),
        running=running,
    )


def _judge(workers: Sequence[WorkerState], *, stopping: bool) -> tuple[bool, str]:
    """Return whether a request would be served soon, and why not."""
    if stopping:
        return False, "draining"
    serving = [each for each in workers if each.state == "serving"]
    if not serving:
        return False, "draining" if any(each.state == "draining" for each in workers) else "starting"
    awake = [each for each in serving if each.silent < SILENT]
    if not awake:
        return False, "stuck: no reactor turns"
    if all(each.saturated for each in awake):
        busy, most = sum(each.busy for each in awake), sum(each.most_threads for each in awake)
        queued, oldest = sum(each.queued for each in awake), max(each.oldest for each in awake)
        waiting = f", {queued} requests wait, the first for {oldest:.1f} s" if queued else ""
        return False, f"saturated: {busy} of {most} threads are busy{waiting}"
    return True, "ready"

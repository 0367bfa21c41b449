"""How one service stands now: its gauges on the board, and whether it is ready for a request.

What lives here: what is asked of the threads, and when they count as too few. What may not: how it is summed and told,
which is `sums`' and `exposition`'s. Called in the reactor's thread.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from twisted_wsgiref._threads.pool import Pool

from . import board
from .board import STATES, TEXT, Board
from .memory import resident
from .metrics import Meter
from .stacks import stacks
from .sums import PERIOD, Sums, Told, age_of, read_board
from .work import Work

# A request that comes now is served soon if a thread comes free within this time, in seconds. Longer than a usual
# request, and shorter than the time after which a balancer gives up (HAProxy and Kubernetes: 1 to 2 s).
SOON: Final = 1.0
# The largest lag is kept for as long as this, in seconds, and up to as long again: longer than between two scrapes.
_MEMORY_OF_LAG: Final = 60.0
# So many of the requests that run are on the board, the oldest first.
_SHOWN: Final = 8
_LONGEST_PATH: Final = 200


class Head(Protocol):
    """The head of a request."""

    method: str
    path: str


class Running(Protocol):
    """A request that a thread runs, as `_gateway.exchange.Exchange` is one."""

    received: float
    started: float

    @property
    def head(self) -> Head: ...

    def describe(self, thread: threading.Thread) -> Work: ...


class Census(Protocol):
    """The connections, counted by the sweep."""

    @property
    def connections(self) -> int:
        """How many there are now."""

    @property
    def phases(self) -> Mapping[str, int]:
        """How many waited for what, at the last sweep."""

    @property
    def oldest(self) -> float:
        """For how long the first request of the queue had waited then, in seconds; 0.0 if none did."""


class Seat(NamedTuple):
    """The place of a process at the board of all: the number of its slot, and that by which the log knows it."""

    board: Board
    slot: int = 0
    number: int = 1


class Standing:
    """The gauges of one service, at its `seat`. `running` returns which thread runs which request, by `clock`.

    `most_queued` requests may wait for a thread of `pool`. `monotonic` is the clock that all processes share.
    """

    def __init__(
        self,
        seat: Seat,
        bounds: Sequence[float],
        clock: Callable[[], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        memory: Callable[[], int] = resident,
    ) -> None:
        self._board = seat.board
        self._slot = seat.board.slot(seat.slot)
        self._bounds = tuple(bounds)
        self._clock = clock
        self._monotonic = monotonic
        self._now = now
        self._memory = memory
        self._last: float | None = None
        self._lags = [0.0, 0.0]  # the largest of this span, and of the one before
        self._span_ends = 0.0
        self._lost: Callable[[], int] = int  # lines of the access log
        self._lost_before = self._slot.cells[board.UNLOGGED]
        self.number = seat.number
        self.meter = Meter(self._slot, bounds, clock)
        cells = self._slot.cells
        cells[board.BEFORE] = sum(cells[board.REQUESTS : board.DURATIONS].tolist())
        cells[board.PID] = os.getpid()
        cells[board.NUMBER] = seat.number
        cells[board.BORN] = cells[board.SEEN] = monotonic()
        self._slot.write_text(b"[]")
        cells[board.STATE] = board.STARTING

    def watch(
        self,
        pool: Pool,
        most_queued: int,
        running: Callable[[], Sequence[tuple[threading.Thread, Running]]],
        census: Census,
        lost: Callable[[], int] = int,
    ) -> None:
        """Ask these from now on; `lost` returns how many lines of the access log were lost so far."""
        self._lost = lost
        self._pool = pool
        self._most_queued = most_queued
        self._running = running
        self._census = census

    def be(self, state: float) -> None:
        """Be in a state of `board`: its process starts, serves, drains, or is none."""
        self._slot.cells[board.STATE] = state
        if state:
            self.publish()
        self._last = None  # nobody has looked meanwhile

    def look(self) -> None:
        """Publish, and see how late this comes: to be called each `PERIOD`."""
        now = self._monotonic()
        if self._last is not None:
            self._note_lag(max(0.0, now - self._last - PERIOD), now)
        self._last = now
        self.publish()

    def _note_lag(self, lag: float, now: float) -> None:
        if now >= self._span_ends:
            self._lags = [0.0, self._lags[0]]
            self._span_ends = now + _MEMORY_OF_LAG
        self._lags[0] = max(self._lags[0], lag)

    def publish(self) -> None:
        """Write all gauges, as they are now."""
        pool, census = self._pool, self._census
        cells = self._slot.cells
        work = self._running()
        waiting, busy, size = pool.waiting, len(work), pool.size
        oldest = census.oldest if waiting else 0.0
        cells[board.THREADS] = pool.threads
        cells[board.MOST_THREADS] = size
        cells[board.BUSY] = busy
        cells[board.QUEUED] = waiting
        cells[board.MOST_QUEUED] = self._most_queued
        cells[board.OLDEST] = oldest
        cells[board.SATURATED] = self._is_saturated(
            [each.started or each.received for _, each in work], size, waiting, oldest
        )
        cells[board.CONNECTIONS] = census.connections
        cells[board.MEMORY] = self._memory()
        cells[board.LAG] = max(self._lags)
        phases = census.phases
        for at, state in enumerate(STATES):
            cells[board.PHASES + at] = phases.get(state, 0)
        cells[board.UNLOGGED] = self._lost_before + self._lost()
        self._slot.write_text(self._told(work))
        self.meter.publish()
        cells[board.SEEN] = self._monotonic()

    def _is_saturated(self, started: Sequence[float], size: int, waiting: int, oldest: float) -> bool:
        """Return whether a request that comes now would have to wait for long: no thread is, or comes, free."""
        if waiting >= self._most_queued:
            return True
        if len(started) < size:
            return False
        return oldest >= SOON or self._clock() - max(started) >= SOON

    def _told(self, work: Sequence[tuple[threading.Thread, Running]]) -> bytes:
        """Return the requests that have been running for longest, as text."""
        found = sorted((self._brief(thread, each) for thread, each in work), key=age_of, reverse=True)
        del found[_SHOWN:]
        while len(text := json.dumps(found, separators=(",", ":")).encode("ascii")) > TEXT:
            found.pop()
        return text

    def _brief(self, thread: threading.Thread, each: Running) -> Told:
        work = each.describe(thread)
        return {
            "method": each.head.method,
            "path": each.head.path.encode("latin-1", "replace").decode("utf-8", "replace")[:_LONGEST_PATH],
            "client": work.client,
            "age": round(work.seconds, 3),
            "thread": thread.name,
        }

    # ---- For the site ------------------------------------------------------------------------------------------

    def read(self) -> Sums:
        """Return what all workers have on the board, and this one now."""
        if self._slot.cells[board.STATE]:
            self.publish()
        return read_board(self._board, self._bounds, self._monotonic(), self._now())

    def requests(self) -> list[Told]:
        """Return what the threads of this process run now, the oldest first, with their stacks."""
        work = self._running()
        found = stacks({thread.ident for thread, _ in work if thread.ident is not None})
        told: list[Told] = []
        for thread, each in work:
            facts = each.describe(thread)
            told.append(
                {
                    **self._brief(thread, each),
                    "worker": self.number,
                    "pid": os.getpid(),
                    "expired": facts.expired,
                    "client_gone": facts.client_gone,
                    "stack": found.get(thread.ident or 0, "").splitlines(),
                }
            )
        return sorted(told, key=age_of, reverse=True)

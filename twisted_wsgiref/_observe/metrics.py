"""Counting what happens: requests in the thread that ends them, all else in the reactor's thread.

What lives here: a call for each request, and one for each thing that is rare. What may not: the layout, which is
`board`'s, reading, which is `sums`'s, and a lock on a request's path.

Each request is counted, at once, in a cell of the board, so that the count outlives a process that is killed. What else
is to be known of it, its duration and its wait and the bytes of a small answer, costs three times as much as the count.
So it is measured of one request of each turn of reading, and counts for all of that turn: for each by itself as long as
they come one by one. Decision 36 has the figures. No number is the difference of two cells: another process may read
between two writes, and no counter may fall.

With the GIL, ``cells[at] += 1.0`` is one step: CPython (3.10 and later) lets another thread go on at a call and at a
jump back, and there is neither between the read and the write. A test tries it. Without the GIL a lock is held.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted_wsgiref._threads.marks import NO_GIL

from . import board
from .board import CAUSES, CLASSES, DURATIONS, METHODS, MOST_BOUNDS, REFUSED, WAITS, Slot

# Why a request was refused, by the status of its answer.
_CAUSES: Final = {
    **dict.fromkeys((400, 421), "malformed"),
    408: "timeout",
    **dict.fromkeys((413, 414, 431), "too_large"),
    **dict.fromkeys((417, 501, 505), "unsupported"),
    503: "queue_full",
    504: "request_timeout",
}
#: Bytes up to which the size of an answer is estimated from those that are measured; each larger one is counted.
LARGE: Final = 64 * 1024
# As many statuses as three digits have.
_STATUSES: Final = 1000


class Head(Protocol):
    """The head of a request."""

    method: str


class Body(Protocol):
    """The body of a request: its length in bytes, or None if nobody knows that, and then how many came."""

    @property
    def size(self) -> int | None: ...


class Finished(Protocol):
    """A request that is over, as `_gateway.exchange.Exchange` is one.

    ``received`` is when it was ready for a thread, ``started`` when one took it: not later, if none did. It is measured
    for as many requests as its ``weight``, or not at all.
    """

    status: int
    size: int
    received: float
    started: float
    weight: int

    @property
    def head(self) -> Head: ...

    @property
    def body(self) -> Body | None: ...


def _rows() -> dict[str, list[int]]:
    """Return the cell of each outcome, by method and then by status."""
    rows = {}
    for at, method in enumerate(METHODS):
        first = board.REQUESTS + at * len(CLASSES)
        # What is no class of RFC 9110 (section 15) is an error of the server.
        rows[method] = [first + min(status // 100, len(CLASSES) - 1) for status in range(_STATUSES)]
    return rows


class Meter:
    """Counts in `slot`. `bounds` are those of both histograms, in seconds; `clock` is the one of the requests.

    ``count`` is called with each request that is over, by the thread that ended it. All else is called in the reactor's
    thread. Raises `ValueError` for more bounds than there is room for, or none.
    """

    def __init__(self, slot: Slot, bounds: Sequence[float], clock: Callable[[], float]) -> None:
        if not 1 <= len(bounds) <= MOST_BOUNDS:
            raise ValueError(f"a histogram has 1 to {MOST_BOUNDS} bounds")
        self.clock = clock
        self._cells = slot.cells
        # They go on where the worker before has left them.
        self._sums = [float(each) for each in slot.cells[board.SUMS : board.SUMS + 4]]
        self._rows = _rows()
        count = _counter(slot.cells, self._sums, self._rows, tuple(bounds), clock)
        #: Counts a request. A function and no method: it is called once for each request.
        self.count: Callable[[Finished], None] = _locked(count) if NO_GIL else count

    def publish(self) -> None:
        """Write the sums."""
        for at, value in enumerate(self._sums):
            self._cells[board.SUMS + at] = value

    def count_unread(self, status: int, size: int) -> None:
        """Count input that never became a request, and was answered `status` with so many bytes."""
        self._cells[self._rows[METHODS[-1]][status]] += 1.0
        self._sums[board.BYTES_OUT] += size

    def refuse(self, status: int, cause: str = "") -> None:
        """Count a refusal, for `cause`, or for the one that is told by `status`."""
        cause = cause or _CAUSES.get(status, "")
        self._cells[REFUSED + CAUSES.index(cause if cause in CAUSES else "other")] += 1.0

    def shaken(self, well: bool) -> None:
        """Count a TLS handshake that is over, `well` or not."""
        self._cells[board.SHAKEN if well else board.UNSHAKEN] += 1.0

    def forgotten(self) -> None:
        """Count a wake that was lost, and made up for."""
        self._cells[board.FORGOTTEN] += 1.0


def _counter(
    cells: memoryview[float],
    sums: list[float],
    rows: dict[str, list[int]],
    bounds: tuple[float, ...],
    clock: Callable[[], float],
) -> Callable[[Finished], None]:
    others = rows[METHODS[-1]]

    def measure(request: Finished, weight: int) -> None:
        received, started = request.received, request.started
        seconds = clock() - received
        at = DURATIONS + bisect_left(bounds, seconds)
        cells[at] += weight
        sums[0] += seconds * weight
        if started > received:  # a thread has had it
            wait = started - received
            at = WAITS + bisect_left(bounds, wait)
            cells[at] += weight
            sums[1] += wait * weight
        if request.size <= LARGE:
            sums[3] += request.size * weight

    def count(request: Finished) -> None:
        try:
            at = rows[request.head.method][request.status]
        except KeyError:  # not by `__missing__`, which would make each look-up four times as slow
            at = others[request.status]
        cells[at] += 1.0
        if request.weight:
            measure(request, request.weight)
        if request.size > LARGE:
            sums[3] += request.size
        if request.body is not None:
            size = request.body.size
            sums[2] += size if size is not None else getattr(request.body, "received", 0)

    return count


def _locked(count: Callable[[Finished], None]) -> Callable[[Finished], None]:
    lock = threading.Lock()

    def count_alone(request: Finished) -> None:
        with lock:
            count(request)

    return count_alone

"""The choice of the process that takes the next connection, if several could.

One queue in the kernel wakes every process, and the first takes all that it can get: one worker would get most of a
burst of 32 connections. So each writes its number of connections into memory that all share, and a process that has
more than the one with the fewest holds back, for a moment. Only for a moment: the other may be busy, stuck or gone, and
a client must never wait for a worker that does not come. The rule needs no lock: if a process reads a number a little
too late, it takes one connection more than its share.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from collections.abc import Callable
from typing import Final

from twisted_wsgiref._observe.board import Board, board_size
from twisted_wsgiref._twisted.private import accept_by
from twisted_wsgiref._twisted.reactor import Port

#: One page, one number each: more workers than any machine has use for.
MOST_WORKERS: Final = mmap.PAGESIZE // 4 - 1

# A process holds back for so many seconds. An idle one on a loaded machine is there sooner.
HOLD: Final = 0.002
# After so many times in vain the others count as busy: 50 ms of a client's life at most,
STREAK: Final = 25
# and for so many seconds the process waits for no other.
IGNORE: Final = 1.0
# Connections taken in one turn by a process that is behind: it catches up quickly after its start.
MOST_AT_ONCE: Final = 16
# A lead of this part of the fewest is still even enough: holding back has its cost, too.
SLACK: Final = 16


class Table:
    """The number of connections of each worker, in a file without a name that parent and children share.

    A free slot holds 0, another one the number of connections and 1. The last number of the page tells how many slots
    count: the parent gives out the lowest free ones.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)
        self._slots = memoryview(self._memory).cast("I")

    def put(self, slot: int, connections: int) -> None:
        """Say that the worker at `slot` accepts, and has so many connections."""
        self._slots[slot] = connections + 1

    def clear(self, slot: int) -> None:
        """Say that no worker accepts at `slot`. The parent calls it, too, and so makes a new slot known."""
        self._slots[slot] = 0
        self._slots[MOST_WORKERS] = max(self._slots[MOST_WORKERS], slot + 1)

    def fewest(self, but: int) -> int | None:
        """Return the number of connections of the worker with the fewest, `but` the one at that slot; None: alone."""
        numbers = self._slots[: self._slots[MOST_WORKERS]].tolist()
        others = [each for slot, each in enumerate(numbers) if each and slot != but]
        return min(others) - 1 if others else None


class Turn:
    """Decides how many connections this process may take now. `clock` gives seconds, `count` the connections it has.

    ``unfit`` leaves all of them to the others, while there are any.
    """

    def __init__(self, fewest: Callable[[], int | None], count: Callable[[], int], clock: Callable[[], float]) -> None:
        self._fewest = fewest
        self._count = count
        self._clock = clock
        self.unfit = False
        self._held_at = float("-inf")
        self._vain = 0
        self._ignore_until = float("-inf")

    def may_take(self) -> int:
        """Return how many connections to take in this turn of the reactor; 0: hold back for `HOLD`, then ask again."""
        least = self._fewest()
        if least is None:
            return MOST_AT_ONCE
        if self.unfit:
            return 0
        behind = least - self._count()
        if behind >= -(least // SLACK):
            self._vain = 0
            return min(MOST_AT_ONCE, max(1, behind))
        now = self._clock()
        if now < self._ignore_until:
            return 1
        if now - self._held_at > 5 * HOLD:
            self._held_at = now
            return 0
        # It held back just now, and there still is a connection that no other has taken.
        self._held_at = float("-inf")
        self._vain += 1
        if self._vain >= STREAK:
            self._vain = 0
            self._ignore_until = now + IGNORE
        return 1


def pace(port: Port, turn: Turn, call_later: Callable[[float, Callable[[], None]], object]) -> None:
    """Make `port`, a Twisted one, accept by `turn`. Called in the reactor's thread."""

    def go_on() -> None:
        if port.connected and not port.disconnecting:
            port.startReading()

    def may_accept() -> int:
        number = turn.may_take()
        if not number:
            port.stopReading()
            call_later(HOLD, go_on)
        return number

    accept_by(port, may_accept)


def nameless_memory() -> int:
    """Return the descriptor of memory for a `Table` and a board, which children inherit, and no file system shows.

    Pages that nobody touches take no room.
    """
    size = mmap.PAGESIZE + board_size(MOST_WORKERS)
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("wsgi-workers")
        os.ftruncate(descriptor, size)
        return descriptor
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        return os.dup(file.fileno())


def board_behind(descriptor: int) -> Board:
    """Return the board of all workers, which is behind the table in the memory of `descriptor`."""
    size = mmap.PAGESIZE + board_size(MOST_WORKERS)
    return Board(memoryview(mmap.mmap(descriptor, size))[mmap.PAGESIZE :], time.time())

"""The memory in which each worker writes its numbers, and from which any of them answers for all.

What lives here: the layout, and nothing that counts or reads. The memory is handed in: shared by processes, or not. All
cells are doubles, which are whole numbers up to 2**53, and are written in one piece.

A slot belongs to one worker at a time. Its counters go on where the worker before has left them, whatever ended that:
so nobody has to add them up when a worker dies, and their sum over all slots never falls. Gauges are written anew.
"""

from __future__ import annotations

from typing import Final

#: The methods that have cells of their own; every other method shares those of the last.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other")
#: The classes of statuses, by their first digit; a client that left before its answer began has none.
CLASSES: Final = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")
#: Why requests and connections are refused, or cut off.
CAUSES: Final = (
    "malformed",
    "timeout",
    "too_large",
    "unsupported",
    "queue_full",
    "queue_age",
    "request_timeout",
    "slow_reader",
    "connections",
    "unreadable",
    "other",
)
#: What a connection waits for, as of `_connection.deadlines.Phase`.
STATES: Final = (
    *("handshake", "fresh", "idle", "head", "body", "queued", "running", "streaming", "sending", "closing"),
    "handed_over",
)
#: More bounds of a histogram than these are none that anybody looks at.
MOST_BOUNDS: Final = 32

# ---- Counters of a slot: they only grow, also from one worker to the next -------------------------------------------

#: Requests, by method and class of status.
REQUESTS: Final = 0
OUTCOMES: Final = len(METHODS) * len(CLASSES)
#: Durations and waits, by bucket. The last is for whatever is above all bounds.
BUCKETS: Final = MOST_BOUNDS + 1
DURATIONS: Final = REQUESTS + OUTCOMES
WAITS: Final = DURATIONS + BUCKETS
REFUSED: Final = WAITS + BUCKETS
SHAKEN: Final = REFUSED + len(CAUSES)
UNSHAKEN: Final = SHAKEN + 1
FORGOTTEN: Final = UNSHAKEN + 1
UNLOGGED: Final = FORGOTTEN + 1
#: Sums: of durations, of waits, of the bytes of bodies in and out. Written now and then.
SUMS: Final = UNLOGGED + 1
DURATION, WAIT, BYTES_IN, BYTES_OUT = range(4)
COUNTERS: Final = SUMS + 4

# ---- Gauges of a slot: of the worker that has it --------------------------------------------------------------------

STATE: Final = COUNTERS
FREE, STARTING, SERVING, DRAINING = 0.0, 1.0, 2.0, 3.0
PID: Final = STATE + 1
NUMBER: Final = STATE + 2
BORN: Final = STATE + 3  # by the monotonic clock that all processes of a system share
SEEN: Final = STATE + 4  # by the same clock: when the gauges were written
BEFORE: Final = STATE + 5  # requests of the workers that had the slot before
THREADS: Final = STATE + 6
MOST_THREADS: Final = STATE + 7
BUSY: Final = STATE + 8
QUEUED: Final = STATE + 9
MOST_QUEUED: Final = STATE + 10
OLDEST: Final = STATE + 11  # seconds that the head of the queue has waited
SATURATED: Final = STATE + 12
CONNECTIONS: Final = STATE + 13
MEMORY: Final = STATE + 14
LAG: Final = STATE + 15
PHASES: Final = STATE + 16
TEXT_SIZE: Final = PHASES + len(STATES)
CELLS: Final = TEXT_SIZE + 1

_DOUBLE: Final = 8
_PAGE: Final = 4096
# Of the text in which a worker says what it runs: eight requests of a long path each.
TEXT: Final = 4096

# ---- The head of the board: of all workers --------------------------------------------------------------------------

#: How many slots have ever been given out.
USED: Final = 0
STARTED: Final = 1
DIED: Final = 2
WANTED: Final = 3
STOPPING: Final = 4
SINCE: Final = 5  # seconds since the epoch

SLOT: Final = -(-(CELLS * _DOUBLE) // _PAGE) * _PAGE + TEXT


def board_size(slots: int) -> int:
    """Return how many bytes of memory a board of so many `slots` needs. Pages that nobody touches take none."""
    return _PAGE + slots * SLOT


class Slot:
    """The cells of one worker, and a text of its."""

    def __init__(self, memory: memoryview) -> None:
        self.cells = memory[: CELLS * _DOUBLE].cast("d")
        self._text = memory[SLOT - TEXT :]

    def write_text(self, text: bytes) -> None:
        """Say `text`, of at most `TEXT` bytes. Whoever reads meanwhile may find it torn."""
        self.cells[TEXT_SIZE] = 0.0
        self._text[: len(text)] = text
        self.cells[TEXT_SIZE] = float(len(text))

    def read_text(self) -> bytes:
        """Return the text; "" if it is being written."""
        size = self.cells[TEXT_SIZE]
        text = bytes(self._text[: int(size)])
        return text if self.cells[TEXT_SIZE] == size else b""


class Board:
    """`memory` as slots, and a head that a parent writes; a program without one has one slot, and a head that stays."""

    def __init__(self, memory: memoryview, now: float) -> None:
        self._memory = memory
        self.head = memory[:_PAGE].cast("d")
        if not self.head[SINCE]:
            self.head[SINCE] = now

    @classmethod
    def alone(cls, now: float) -> Board:
        """Return a board for a program that is one process."""
        board = cls(memoryview(bytearray(board_size(1))), now)
        board.head[USED] = board.head[WANTED] = board.head[STARTED] = 1.0
        return board

    def slot(self, number: int) -> Slot:
        """Return a slot."""
        start = _PAGE + number * SLOT
        return Slot(self._memory[start : start + SLOT])

    def slots(self) -> list[Slot]:
        """Return every slot that has been given out."""
        return [self.slot(number) for number in range(int(self.head[USED]))]

    # ---- The parent --------------------------------------------------------------------------------------------

    def begin(self, number: int) -> None:
        """Know that a worker starts, which will have the slot of this `number`."""
        self.head[USED] = max(self.head[USED], number + 1.0)
        self.head[STARTED] += 1.0
        self.slot(number).cells[STATE] = FREE

    def end(self, number: int, *, well: bool) -> None:
        """Know that the worker of the slot is gone."""
        self.head[DIED] += not well
        self.slot(number).cells[STATE] = FREE

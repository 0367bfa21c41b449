"""Many calls from the workers, one wake of the reactor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from .marks import NO_GIL, fence

#: For so long, in seconds, the reactor makes such calls in one turn; then sockets are read, and the rest has the next.
#: A thousand event streams that get an event at once are a thousand calls, and would hold up each new request.
SHARE: Final = 0.002
# The clock is looked at after so many calls: most turns have fewer, and do without.
_CALLS_A_LOOK: Final = 16


class ReactorWake:
    """Functions that workers ask to be called in the reactor's thread, at most one wake for all that wait.

    `call_from_thread` is the reactor's; `failed` is told of what a function raised; `clock` returns seconds. A wake of
    a reactor is two system calls and a turn of its loop: under load the answers of a whole turn share it.
    """

    __slots__ = ("_asked", "_call_from_thread", "_clock", "_due", "_failed", "_suspect")

    def __init__(
        self,
        call_from_thread: Callable[[Callable[[], None]], object],
        failed: Callable[[BaseException], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._call_from_thread = call_from_thread
        self._clock = clock
        self._failed = failed
        self._due: deque[Callable[[], None]] = deque()
        self._asked = False
        self._suspect: Callable[[], None] | None = None  # it waited at the last sweep

    def __call__(self, function: Callable[[], None]) -> None:
        """Have `function` called in the reactor's thread soon. Called in any thread."""
        self._due.append(function)
        if NO_GIL:
            fence()
        if not self._asked:
            self._asked = True
            self._call_from_thread(self._run)

    def _run(self) -> None:
        # First the flag, then the queue: what is appended after the queue was seen empty finds the flag down.
        self._asked = False
        if NO_GIL:
            fence()
        due = self._due
        count = len(due)
        end = self._clock() + SHARE if count > _CALLS_A_LOOK else 0.0
        for number in range(1, count + 1):
            try:
                due.popleft()()
            except Exception as error:
                self._failed(error)
            if not number % _CALLS_A_LOOK and self._clock() >= end:
                break
        if due and not self._asked:
            self._asked = True
            self._call_from_thread(self._run)

    def sweep(self) -> bool:
        """Call what two sweeps in a row find waiting. Return whether there was such a thing.

        Then a wake of the reactor was lost. Called in the reactor's thread, about once a second.
        """
        head = self._due[0] if self._due else None  # taken out in this thread alone
        forgotten = head is not None and head is self._suspect
        self._suspect = None if forgotten else head
        if forgotten:
            self._run()
        return forgotten

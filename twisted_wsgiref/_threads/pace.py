"""How fast requests are taken, and whether more threads would make it faster.

Threads help where an application waits. Where it computes, the interpreter lets one of them run at a time, and for a
small request it costs a good part of the answer to have another take turns with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic, process_time
from typing import Final

# It is looked at no more often, in seconds: some turns of a busy reactor.
_WINDOW: Final = 0.001
# A request that takes longer, in seconds, is worth a thread of its own: the switch is a small part of it.
_QUICK: Final = 40e-6
# A process that takes less than this of a processor's time waits for something, and a thread more could work meanwhile.
_BUSY: Final = 0.9
# Where it was wrong, and requests have waited, it is not tried again for so many times as long: so what is lost by
# waiting for a slow one stays a small part of the time.
_RESPITE: Final = 20

# Where there is no such lock, threads run side by side.
_LOCKED: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()


class Pace:
    """Looks from time to time at how many jobs were taken. Called in the reactor's thread."""

    __slots__ = ("_clock", "_cpu", "_cpu_clock", "_not_before", "_since", "_taken", "_verdict")

    def __init__(self, clock: Callable[[], float] = monotonic, cpu_clock: Callable[[], float] = process_time) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._since = clock()
        self._cpu = cpu_clock()
        self._taken = 0
        self._verdict = False
        self._not_before = self._since

    def is_best(self, taken: int, waiting: int) -> bool:
        """Return whether more threads would be in each other's way, now that so many jobs were taken in all.

        `waiting` is how many were not.
        """
        now = self._clock()
        passed = now - self._since
        if passed >= _WINDOW and _LOCKED:
            cpu = self._cpu_clock()
            quick = passed < _QUICK * (taken - self._taken) and cpu - self._cpu > _BUSY * passed
            if self._verdict and waiting and not quick:
                self._not_before = now + _RESPITE * passed
            self._verdict = quick and now >= self._not_before
            self._since = now
            self._cpu = cpu
            self._taken = taken
        return self._verdict

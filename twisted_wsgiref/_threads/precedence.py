"""A worker that was woken goes before the reactor, where that is quick.

When the reactor has passed requests on, the rest of its turn can wait. If it does not, it reads what comes meanwhile
one by one; if it does, the worker is through first, and what its clients ask next is read together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from time import monotonic, process_time
from typing import Final

# Who waits longer, in seconds, did not wait for a few quick requests, but for one that computes, or another process.
_LONG: Final = 0.0005
# A process that got less of a processor meanwhile has let another one go first.
_HALF: Final = 0.5
# It is not tried again for so many times as long, so that no more than a hundredth of the time is lost.
_RESPITE: Final = 100

_sched_yield: Final[Callable[[], None]] = getattr(os, "sched_yield", lambda: None)


class Precedence:
    """Lets other threads go first. All in the reactor's thread; `give_way` gives up interpreter and processor."""

    __slots__ = ("_clock", "_cpu_clock", "_give_way", "_not_before")

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        cpu_clock: Callable[[], float] = process_time,
        give_way: Callable[[], None] = _sched_yield,
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._give_way = give_way
        self._not_before = 0.0

    def grant(self, nothing_else: bool) -> None:
        """Let others go first, unless that took long a while ago.

        With `nothing_else` to do before they are through, it may take as long as they are this process's own.
        """
        before = self._clock()
        if before < self._not_before:
            return
        cpu = self._cpu_clock()
        try:
            self._give_way()
        except OSError:  # a sandbox may forbid it
            self._not_before = inf
            return
        after = self._clock()
        passed = after - before
        if passed > _LONG and not (nothing_else and self._cpu_clock() - cpu > _HALF * passed):
            self._not_before = after + _RESPITE * passed

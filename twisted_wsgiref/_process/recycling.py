"""The limits after which a worker process is replaced: requests, memory, and age.

Here live the three limits and the counting. The replacing is the parent's business.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from twisted_wsgiref._observe.memory import resident
from twisted_wsgiref._observe.record import Facts

# Processes that began together must not end together: a limit is drawn from this part below to this part above.
JITTER: Final = 0.1
_MIB: Final = 1024 * 1024


class Recycling:
    """An observer that counts finished exchanges, and says in `reason` why its process should go. 0: no limit."""

    def __init__(
        self,
        max_requests: int,
        max_rss: int,
        max_age: float = 0.0,
        *,
        spread: Callable[[float, float], float] = random.uniform,
        rss: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = max(1, round(max_requests * spread(1 - JITTER, 1 + JITTER))) if max_requests else 0
        self._max_rss = max_rss
        self._rss = rss or resident
        self._clock = clock
        self._born = clock()
        self._max_age = max_age * spread(1 - JITTER, 1 + JITTER) if max_age else 0.0
        self._next = count(1).__next__
        self._served = 0

    def observe_facts(self, facts: Facts) -> None:
        """Count one. Called in any thread."""
        self._served = self._next()

    def reason(self) -> str:
        """Return why this process should be replaced; "" if it should not. Called in the reactor's thread."""
        if self._most and self._served >= self._most:
            return f"it has served {self._served} requests"
        if self._max_age and self._clock() - self._born >= self._max_age:
            return f"it is {self._clock() - self._born:.0f} s old"
        if self._max_rss:
            now = self._rss()
            if now > self._max_rss:
                return f"it has {now / _MIB:.0f} MiB of memory"
        return ""

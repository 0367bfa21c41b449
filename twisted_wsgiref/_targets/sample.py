"""The requests that metrics measure, and for how many others each counts. Called in the reactor's thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange
from twisted_wsgiref._threads.jobs import Job

#: In so many turns of a second a request is measured: a hundredth of a processor, and enough for any percentile.
TURNS: Final = 500
#: And then in one of so many.
_PART: Final = 16


class Sample:
    """Chooses a request of a turn of reading, which is measured for all that have come since the last one."""

    __slots__ = ("_left", "_passed", "_turns")

    def __init__(self) -> None:
        self._left = TURNS
        self._turns = 0
        self._passed = 0  # requests that are still to be counted for

    def begin_second(self) -> None:
        """Measure as many turns as before."""
        self._left = TURNS

    def take(self, jobs: Sequence[Job]) -> None:
        """Choose one of `jobs`, which came in one turn: one in the middle, which waits as long as most."""
        count = len(jobs)
        if self._left:
            self._left -= 1
        else:
            self._turns = turns = (self._turns + 1) % _PART
            if turns:
                self._passed += count
                return
        job = jobs[count >> 1]
        if isinstance(job, WSGIExchange) and not job.started:  # else it goes on after a pause
            job.weight = count + self._passed
            self._passed = 0

"""How busy the threads of a service are, in words: for each thread, for all of them, and when none is left.

Here live the lines, and the judgement that every thread has been busy for a while. Who works at what is handed in. A
line costs no request anything: somebody asks, or looks once a second. Any thread may call, unless a line says
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .log import logger
from .stacks import printable
from .work import Work

_log = logger(__name__)

#: If every thread has run its request for so many seconds, the log has a line: clients notice by now.
BUSY: Final = 1.0


def labels(works: Sequence[Work]) -> dict[int, str]:
    """Return what each thread does, by the thread's number: its request, for how long, and whose it is."""
    return {work.thread.ident: _label(work) for work in works if work.thread.ident is not None}


def summary(works: Sequence[Work], size: int, waiting: int) -> str:
    """Return one line for all of at most `size` threads, of which some are at `works` while `waiting` requests wait."""
    line = f"{len(works)} of {size} threads busy, {waiting} request{'' if waiting == 1 else 's'} waiting"
    if not works:
        return line
    oldest = max(works, key=lambda work: work.seconds)
    return f"{line}; the oldest runs {_label(oldest)}"


def _label(work: Work) -> str:
    of = f" of {work.client}" if work.client else ""
    left = ", whose time is over" if work.expired else ", whose client has left" if work.client_gone else ""
    return f"{printable(work.request_line)}{of} since {_seconds(work.seconds)}{left}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"


class BusyWatch:
    """Logs, once, that every thread is busy, with the oldest request; and once that a thread is free again.

    Called in the reactor's thread, about once a second.
    """

    def __init__(self) -> None:
        self._since: float | None = None

    def look(self, now: float, works: Sequence[Work], size: int, waiting: int) -> None:
        """Judge `works`, as of `summary`, at `now` by a clock that never goes back."""
        if len(works) < size:
            since, self._since = self._since, None
            if since is not None:
                _log.info("a thread is free again, {seconds} after that", seconds=_seconds(now - since))
        # Not if one has only begun: then a thread was free a moment ago.
        elif self._since is None and min(work.seconds for work in works) >= BUSY:
            self._since = now
            _log.warn("every thread is busy: {summary}", summary=summary(works, size, waiting))

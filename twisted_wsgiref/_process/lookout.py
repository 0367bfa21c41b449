"""A thread that looks at the clock: has the reactor stopped turning, is the time of this process over?

Here live the thread, its two limits, and the frames that it judges. No reactor, log or text may live here: callers hand
them in. The thread uses nothing that an application may want for itself, such as the one timer of `faulthandler` (see
decision 20). That has a price: a call into C that keeps the GIL stops this thread, too.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

from twisted_wsgiref._observe.stacks import frames, stacks
from twisted_wsgiref._threads.marks import NO_GIL

# If the thread wakes this many seconds too late, it was held up itself: a laptop's lid, Ctrl-Z, the GIL.
LATE: Final = 1.0
# A thread in these modules waits for a developer at a prompt.
_DEBUGGERS: Final = frozenset({"bdb", "pdb"})
# While a developer debugs, and after a stall was told, the thread looks at the clock this often, in seconds.
_PAUSE: Final = 1.0


@dataclass
class _End:
    """The end of the process: its time, and the function to call then."""

    at: float
    call: Callable[[], object]


class Lookout:
    """Calls `stalled` if no beat comes in time, and the function of `end_within` at its time.

    `clock` gives monotonic seconds. `held` says whether a thread waits for a developer: until it does not, nothing is
    called. Banners part the methods of the two threads.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        stalled: Callable[[], object],
        *,
        held: Callable[[], bool] = lambda: is_debugged(threading.main_thread()),
    ) -> None:
        self._clock = clock
        self._stalled = stalled
        self._held = held
        self._lock = threading.Lock()  # of the start of the thread
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()
        # Written by the reactor's thread alone, and each whole: a reader finds the value of before or of now.
        self._late_at: float | None = None
        self._end: _End | None = None
        # For the thread alone.
        self._told: float | None = None

    # ---- The reactor's thread ----------------------------------------------------------------------------------

    def beat(self, limit: float) -> None:
        """Note that the reactor turns. The next beat has to come within `limit` seconds."""
        is_first = self._late_at is None
        self._late_at = self._clock() + limit
        if is_first:
            self._wake()

    def rest(self) -> None:
        """Expect no more beats."""
        self._late_at = None

    def end_within(self, seconds: float, call: Callable[[], object]) -> None:
        """Call `call` so many seconds from now, and forget an earlier one."""
        self._end = _End(self._clock() + seconds, call)
        self._wake()

    def time_left(self) -> float:
        """Return the seconds until the end, infinite if none is set."""
        end = self._end
        return math.inf if end is None else end.at - self._clock()

    def disarm(self) -> None:
        """Expect nothing: no beats, and no end."""
        self._late_at = self._end = None

    def _wake(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
                self._thread.start()
        self._changed.set()

    # ---- The thread's own --------------------------------------------------------------------------------------

    def _run(self) -> None:
        until: float | None = None
        while True:
            self._changed.wait(None if until is None else max(0.0, until - self._clock()))
            self._changed.clear()
            until = self.look(until)

    def look(self, planned: float | None) -> float | None:
        """Do all that is due, and return the time of the next look; None: at the next word. `planned` was for now."""
        now = self._clock()
        was_held_up = planned is not None and now - planned > LATE
        late_at, end = self._late_at, self._end
        due: list[float] = []
        if end is not None:
            if now < end.at:
                due.append(end.at)
            elif self._held():
                due.append(now + _PAUSE)
            else:
                self._end = None
                end.call()
        if late_at is not None:
            if now < late_at:
                due.append(late_at)
            else:
                due.append(now + _PAUSE)
                if late_at != self._told and not was_held_up and not self._held():
                    self._told = late_at
                    self._stalled()
        return min(due, default=None)


def is_debugged(thread: threading.Thread) -> bool:
    """Return whether `thread` waits at a debugger's prompt. Any thread may call."""
    if NO_GIL:  # no frame of another thread can be looked at
        stack = stacks((thread.ident or 0,)).get(thread.ident or 0, "")
        return any(f"{name}.py" in stack for name in _DEBUGGERS)
    frame: FrameType | None = frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False

"""A thread of ours that looks at the clock: has the reactor stopped turning, is the time of this process over?

What lives here: the thread, its two limits, and the frames that it judges. What may not: reactors, logs, and the texts,
which are handed in. It uses nothing that an application may want for itself, such as the one timer of `faulthandler`
(see decision 20), and has the price of that: a call into C that keeps the interpreter's lock stops it, too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

# Whoever wakes this much too late, in seconds, was held up itself: a laptop's lid, Ctrl-Z, the interpreter's lock.
LATE: Final = 1.0
# In these modules a thread waits for a developer who sits at a prompt.
_DEBUGGERS: Final = frozenset({"bdb", "pdb"})
# While somebody debugs, and after a stall was told, the clock is looked at this often, in seconds.
_PAUSE: Final = 1.0


@dataclass
class _End:
    """When the process has to be over, and what is then called."""

    at: float
    call: Callable[[], object]


class Lookout:
    """Calls `stalled` if no beat comes for as long as `beat` has said, and what `end_within` was given once it is time.

    `clock` gives seconds, monotonic ones. `held` says whether a thread, by its frame, waits for a developer: nothing is
    called meanwhile. There are banners for the methods of each thread.
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
        # Written by the reactor's thread alone, each whole: what is read is what was or what is.
        self._late_at: float | None = None
        self._end: _End | None = None
        # The thread's own.
        self._told: float | None = None

    # ---- The reactor's thread ----------------------------------------------------------------------------------

    def beat(self, limit: float) -> None:
        """Note that the reactor turns, and that the next beat is to come within `limit` seconds."""
        is_first = self._late_at is None
        self._late_at = self._clock() + limit
        if is_first:
            self._wake()

    def rest(self) -> None:
        """Expect no more beats."""
        self._late_at = None

    def end_within(self, seconds: float, call: Callable[[], object]) -> None:
        """Have `call` called so many seconds from now; takes the place of what was said before."""
        self._end = _End(self._clock() + seconds, call)
        self._wake()

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
        """Do what is due, and return when to look again; None: when something new is said. `planned` was for now."""
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
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False

"""A reactor's pulse: calls while it turns, the stacks of all threads if it does not, and the end of the process.

Here live the beats, and the functions that the one `Lookout` of a process calls. Its thread may not live here, which is
`lookout`'s. Called in the reactor's thread, unless a line says otherwise.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NoReturn

from twisted.logger import Logger

from twisted_wsgiref._observe.patient import PatientStream, patient
from twisted_wsgiref._observe.stacks import describe_threads
from twisted_wsgiref._twisted.reactor import Reactor, repeating

from .lookout import Lookout

_log = Logger()

# Seconds between two beats at most: an idle process is not to wake more often.
INTERVAL: Final = 1.0
# So many beats fit into the time in which a parent must have heard one: one may come late, on a busy machine.
_BEATS: Final = 4
# If even a `Lookout` can not run, since a call into C holds the GIL, the end comes so many seconds later.
LAST_OF_ALL: Final = 0.6


def _dump_number() -> int | None:
    """Return a signal that no program uses, to make a worker show its stacks; None: there is none."""
    last: int | None = getattr(signal, "SIGRTMAX", None)
    return last - 1 if last is not None and hasattr(faulthandler, "register") else None


DUMP: Final = _dump_number()


class Pulse:
    """Calls each of `calls` about once a second, and logs all stacks if the reactor stops for `stall` seconds.

    They are called more often if somebody waits for them for `patience` seconds at most; 0: nobody does. `clock` gives
    monotonic seconds. `stall` 0: it logs no stacks. `requests` returns the request of each thread.
    """

    def __init__(
        self,
        reactor: Reactor,
        clock: Callable[[], float],
        stall: float,
        calls: Sequence[Callable[[], object]] = (),
        requests: Callable[[], Mapping[int, str]] = dict,
        lookout: Lookout | None = None,
        patience: float = 0.0,
    ) -> None:
        self._clock = clock
        self._stall = stall
        self._calls = tuple(calls)
        self._requests = requests
        self._lookout = lookout or Lookout(clock, self.stalled)
        self._interval = min(INTERVAL, patience / _BEATS or INTERVAL, stall or INTERVAL)
        self._last = 0.0
        self._shown = False
        self._loop = repeating(self._beat, reactor)

    def start(self) -> None:
        """Begin, if there is anything to do."""
        if self._calls or self._stall:
            self._last = self._clock()
            loop = self._loop.start(self._interval)
            loop.addErrback(lambda failure: _log.failure("this is a bug in twisted_wsgiref", failure))

    def stop(self) -> None:
        """End: no stacks are logged from now on."""
        if self._loop.running:
            self._loop.stop()
        self._lookout.rest()

    def _beat(self) -> None:
        now = self._clock()
        gap, self._last = now - self._last - self._interval, now
        if self._stall:
            # First, so that no stacks are logged of a stall that is over. A stall begins at any time between two beats:
            # half an interval more is the middle.
            self._lookout.beat(self._stall + self._interval / 2)
            if gap > self._stall:
                seen = (
                    "see the stacks above"
                    if self._shown
                    else "no stack could be had: a debugger, a pause, or a call into C"
                )
                _log.warn("the reactor did not turn for {gap:.1f} s: {seen}", gap=gap, seen=seen)
            self._shown = False
        for call in self._calls:
            call()

    # ---- The lookout's thread ----------------------------------------------------------------------------------

    def stalled(self) -> None:
        """Show every stack."""
        text = describe_threads(self._requests())
        self._shown = True
        _log.critical("the reactor has not turned for {stall:g} s: every thread\n{text}", stall=self._stall, text=text)


# For the end of the process, which has one.
_end: Final = Lookout(time.monotonic, lambda: None)


def end_within(seconds: float, status: int, why: str, *, even_in_c: bool = False) -> None:
    """End the process with `status` after so many seconds, with `why` and every stack on standard error.

    `even_in_c`: also if a call into C never lets go of the GIL, a moment later and with status 1. That takes the timer
    of `faulthandler`, so it is only for a process that is about to end.
    """
    _end.end_within(seconds, partial(_end_now, status, why))
    stream = sys.__stderr__
    if even_in_c and stream is not None:
        try:
            faulthandler.dump_traceback_later(seconds + LAST_OF_ALL, exit=True, file=stream)
        except (OSError, ValueError, AttributeError):
            pass  # Standard error is closed: there is no place to tell.


def time_left() -> float:
    """Return the seconds until the end that `end_within` has set, infinite without one."""
    return _end.time_left()


def disarm() -> None:
    """Take `end_within` back."""
    _end.disarm()


def _end_now(status: int, why: str) -> NoReturn:
    """End the process. Called by the lookout's thread."""
    try:
        # Not sys.stderr: Twisted may have replaced it by its log, which may be stuck.
        if sys.__stderr__ is not None:
            stream = patient(sys.__stderr__)  # nobody may read it
            stream.write(f"{why}: every thread\n{describe_threads({})}\n")
            stream.flush()
            if isinstance(stream, PatientStream):
                stream.finish(LAST_OF_ALL / 2)
    finally:
        os._exit(status)


def show_on_dump() -> None:
    """Make `DUMP`, which a parent sends before it kills, show every stack, also while a call into C holds the GIL."""
    if DUMP is not None and sys.__stderr__ is not None:
        try:
            faulthandler.register(DUMP, file=sys.__stderr__, all_threads=True)
        except (OSError, ValueError, AttributeError, RuntimeError):
            pass  # A closed standard error, or a system that keeps this signal for itself.

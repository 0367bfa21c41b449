"""A reactor's pulse: what is done while it turns, and the stacks that are dumped when it does not.

The dump is `faulthandler`'s: a thread in C that needs neither the interpreter's lock nor a reactor, so it also shows a
call into C that never lets go of the lock. There is one such timer in a process, and it has one owner: this file.
Called in the reactor's thread.
"""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()

# How often the pulse is felt, in seconds.
INTERVAL: Final = 0.5


class Pulse:
    """Calls each of `calls` about twice a second; when that stops for `stall` seconds the stacks are dumped.

    `clock` gives seconds, monotonic ones. `stall` 0: nothing is dumped.
    """

    def __init__(
        self, reactor: Any, clock: Callable[[], float], stall: float, calls: Sequence[Callable[[], object]] = ()
    ) -> None:
        self._clock = clock
        self._stall = stall
        self._calls = tuple(calls)
        self._last = 0.0
        self._loop = LoopingCall(self._beat)
        self._loop.clock = reactor

    def start(self) -> None:
        """Begin."""
        self._last = self._clock()
        self._loop.start(INTERVAL).addErrback(lambda failure: _log.failure("this is a bug in twisted_wsgiref", failure))

    def stop(self) -> None:
        """End; nothing will be dumped."""
        if self._loop.running:
            self._loop.stop()
            disarm()

    def _beat(self) -> None:
        now = self._clock()
        gap, self._last = now - self._last - INTERVAL, now
        if self._stall:
            if gap > self._stall:
                _log.warn("the reactor did not turn for {gap:.1f} s: see the stacks on standard error", gap=gap)
            # Felt at once or up to an interval later, so a stall of `stall` seconds is always dumped in time.
            _arm(self._stall + INTERVAL / 2, end=False)
        for call in self._calls:
            call()


def _arm(seconds: float, *, end: bool) -> None:
    # Not sys.stderr, which Twisted may have replaced by its log.
    stream = sys.__stderr__
    if stream is not None:
        try:
            faulthandler.dump_traceback_later(seconds, exit=end, file=stream)
        except (OSError, ValueError, AttributeError):
            pass  # A closed standard error: there is nobody to tell.


def end_within(seconds: float) -> None:
    """Have the process end with status 1 after so long, with every stack on standard error, whatever it does then."""
    _arm(seconds, end=True)


def disarm() -> None:
    """Take `end_within` back, and what a pulse has armed."""
    faulthandler.cancel_dump_traceback_later()

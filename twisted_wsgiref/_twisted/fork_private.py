"""What is left of Twisted in the child of a fork that is to have a reactor of its own, by private names.

What holds for `private` holds here: each function says what an upgrade has to check, and `tests/test_fork_private.py`
checks it. Called in the main thread; `abandon` and `forget_log` in the child of a fork.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.logger import globalLogBeginner, globalLogPublisher

if TYPE_CHECKING:
    from twisted.internet.posixbase import PosixReactorBase

    from .reactor import Reactor

# Reactors that are a parent's stay: at their end they would close numbers that belong to others by then.
_abandoned: list[object] = []


def abandon(reactor: Reactor) -> None:
    """Have the loop of `reactor`, a parent's, end in this child without a word to what both share, and be forgotten.

    Its sockets are closed here. Whoever imports ``twisted.internet.reactor`` from now on gets another one.

    To be checked: ``crash`` ends the loop at the end of the turn, and then ``run`` takes a reader of its own from the
    reactor by ``removeReader`` of the object itself. That, and each other word to an epoll object, would be heard by
    the parent. ``_eventTriggers`` has what is to be called at a start or an end.
    """
    import twisted.internet
    from twisted.internet.process import reapProcessHandlers

    _abandoned.append(reactor)
    old = cast("PosixReactorBase", reactor)
    for each in {*old.getReaders(), *old.getWriters()}:
        sock = getattr(each, "socket", None)
        if sock is not None and sock.fileno() >= 0:
            os.close(sock.detach())
    vars(old)["removeReader"] = lambda reader: None
    old._eventTriggers.clear()
    old.crash()
    reapProcessHandlers.clear()
    sys.modules.pop("twisted.internet.reactor", None)
    vars(twisted.internet).pop("reactor", None)


def forget_log() -> None:
    """Have Twisted's log be as before it began, with nobody who listens to it but a buffer.

    To be checked: ``globalLogBeginner`` is made of a publisher, a stream for what is critical, the streams that it may
    replace, and ``warnings``, whose function it keeps in ``_oldshowwarning``. ``globalLogPublisher._observers`` is the
    list of all observers.
    """
    del globalLogPublisher._observers[:]
    warnings.showwarning = globalLogBeginner._oldshowwarning
    vars(globalLogBeginner).clear()
    type(globalLogBeginner).__init__(globalLogBeginner, globalLogPublisher, sys.stderr, sys, warnings)


class _Child:
    """A process that Twisted waits for, and has not started."""

    def __init__(self, pid: int, ended: Callable[[int], object]) -> None:
        self._pid = pid
        self._ended = ended

    def reapProcess(self) -> None:
        """Look whether it has ended."""
        from twisted.internet.process import reapProcessHandlers

        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has waited for it
            pid, status = self._pid, 0
        if pid:
            reapProcessHandlers.pop(self._pid, None)
            self._ended(os.waitstatus_to_exitcode(status))


def call_at_end(pid: int, ended: Callable[[int], object]) -> None:
    """Call `ended` with the status of the child `pid` at its end, negative for a signal, in the reactor's thread.

    To be checked: at each SIGCHLD the reactor calls ``reapProcess`` of each of ``process.reapProcessHandlers``, a copy
    of whose values it goes through; and it does so, too, when it starts.
    """
    from twisted.internet.process import reapProcessHandlers

    cast("dict[int, object]", reapProcessHandlers)[pid] = _Child(pid, ended)

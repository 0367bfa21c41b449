"""The parent as its own fork server: it forks a worker between two turns of its reactor, where nothing is half done.

A process that only forks costs memory: it keeps the original of each page that the parent and its workers have written
to. The parent has all modules anyway, and no application. In the child its reactor is abandoned: the loop ends, and the
worker's `main` goes on in the frame that ran the reactor, with another one. What lives here: the fork, and what the
child lets go of. Called in the main thread, which is the reactor's.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from twisted_wsgiref._threads import forks
from twisted_wsgiref._twisted.fork_private import abandon, call_at_end, forget_log
from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref._twisted.turn_private import Turns, turns_of

from .fork_server import IGNORED, leave_standard_input
from .forked import Forked, Worker
from .imported import Imported
from .logs import forget_streams
from .signals import flush, heed_not
from .worker import Inherited, serve
from .worker_process import Output

HAS_TURNS: Final = hasattr(select, "epoll")


class OwnForks:
    """Forks workers from this process. Made before there is a reactor: what is imported by then is shared."""

    def __init__(self) -> None:
        self._imported = Imported.now()
        self._reactor: Reactor | None = None
        self._turns: Turns | None = None
        self._relay: Sequence[int] = ()
        self._waiting: list[tuple[Forked, list[int], list[int]]] = []
        self._inherited: Inherited | None = None
        # What is there by now stays: no process has to walk over it, and so copy it.
        gc.collect()
        gc.freeze()

    def begin(self, reactor: Reactor, relay: frozenset[int]) -> None:
        """Fork between the turns of `reactor`. The outputs `relay` of workers, of 1 and 2, are read here."""
        self._reactor, self._relay = reactor, sorted(relay)
        turns = turns_of(reactor, self._turn)
        if turns is not None and turns.take():
            self._turns = turns

    @property
    def is_current(self) -> bool:
        """Whether all that is shared is the code of now."""
        return self._imported.is_current()

    @property
    def can_fork(self) -> bool:
        """Whether a worker may be forked now: no other thread runs, which could hold a lock."""
        return self._turns is not None and threading.active_count() == 1

    def start(self, worker: Worker, descriptors: Sequence[int]) -> Forked:
        """Fork a worker before the next turn; it gets copies of `descriptors`. Raises `OSError`."""
        child = Forked(self, worker)
        handed: list[int] = []
        ends: list[int] = []
        try:
            for each in descriptors:
                handed.append(os.dup(each))
            for number in self._relay:
                pipe, theirs = os.pipe()
                ends.append(theirs)
                heard, over = partial(worker.childDataReceived, number), partial(worker.childConnectionLost, number)
                child.outputs.append(Output(self._turning(), pipe, heard, over))
        except OSError:
            _close((*handed, *ends))  # our ends of the pipes end with the others
            raise
        self._waiting.append((child, handed, ends))
        return child

    def wanted(self, number: int) -> None:
        """Take a signal for a child that is not forked yet: it gets that when it is."""

    def serve(self) -> None:
        """Be a worker, if this is the child of a fork, and then end with `SystemExit`. Called when the reactor ends."""
        if self._inherited is not None:
            forget_log()
            serve(self._inherited)

    def _turning(self) -> Reactor:
        if self._reactor is None:
            raise RuntimeError("there is no reactor yet: this is a bug in twisted_wsgiref")
        return self._reactor

    def _turn(self, seconds: float | None) -> None:
        turns = self._turns
        while self._waiting:
            child, handed, ends = self._waiting.pop(0)
            self._fork(child, handed, ends)
            if self._inherited is not None:
                return
            seconds = 0
        if turns is not None:
            turns.usual(seconds)

    def _fork(self, child: Forked, handed: list[int], ends: list[int]) -> None:
        flush()
        # Nobody's signal may come between the fork and the child's own handlers.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if not pid:
                self._be_a_child(handed, ends)
                return
        except OSError as error:
            child.is_over = True
            self._turning().callLater(0, child.worker.ended, why=f"it could not be forked: {error.strerror}")
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if self._inherited is None:
                _close((*handed, *ends))
        call_at_end(pid, partial(_ended, child))
        child.worker.began(pid)
        child.began(pid)

    def _be_a_child(self, handed: list[int], ends: list[int]) -> None:
        """Have nothing of the parent's. Whatever fails here ends the child: the parent's frames are below."""
        try:
            for name in IGNORED:
                signal.signal(getattr(signal, name), heed_not)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            abandon(self._turning())
            for output, pipe in zip(self._relay, ends, strict=True):
                os.dup2(pipe, output)
                os.close(pipe)
            for _, others, pipes in self._waiting:  # of those that are forked after this one
                _close((*others, *pipes))
            self._waiting.clear()
            leave_standard_input()
            forks.begin_anew({0, 1, 2, *handed})
            forget_streams()
            forget_log()
            line, table, *sockets = handed
            self._inherited = Inherited(line, table, sockets)
        except BaseException:
            _die()


def _close(descriptors: Iterable[int]) -> None:
    for each in descriptors:
        os.close(each)


def _ended(child: Forked, status: int) -> None:
    child.is_over = True
    child.worker.ended(by_signal=max(0, -status), status=max(0, status))


def _die() -> None:
    sys.excepthook(*sys.exc_info())
    os._exit(1)

"""Turns of Twisted's epoll reactor that begin elsewhere, by its private names.

What holds for `private` holds here: the class says what an upgrade has to check, and `tests/test_turns.py` checks it.
All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.epollreactor import EPollReactor

#: A turn; its argument says how many seconds it may wait, None: without an end.
Turn = Callable[["float | None"], None]


class Turns:
    """The turns of `reactor`, while they are taken: its loop calls `turn` instead of waiting by its own epoll object.

    That object can be read (``fileno``) if one of the reactor's descriptors has something; then ``usual(0)`` sees to
    all of them. Timers, calls from threads and the end are the loop's, before each turn.

    To be checked: ``mainLoop`` and ``iterate`` call ``doIteration`` of the object itself, with the time to wait. It is
    ``doPoll`` of ``EPollReactor``, which waits for ``_poller``, where events stay until they are seen to, and does
    nothing else that each turn needs.
    """

    def __init__(self, reactor: EPollReactor, turn: Turn) -> None:
        self._names = vars(reactor)
        self._turn = turn
        self.fileno: Callable[[], int] = reactor._poller.fileno
        #: A turn of the reactor's own.
        self.usual: Turn = reactor.doPoll

    def take(self) -> bool:
        """Take them. Return False if somebody has: then all is as before."""
        return self._names.setdefault("doIteration", self._turn) is self._turn

    def give_back(self) -> None:
        """Let the reactor wait for itself."""
        if self._names.get("doIteration") is self._turn:
            del self._names["doIteration"]


def turns_of(reactor: object, turn: Turn) -> Turns | None:
    """Return the turns of `reactor`, not taken yet; None if it waits by another way."""
    try:
        from twisted.internet.epollreactor import EPollReactor
    except ImportError:  # there is no epoll
        return None
    return Turns(reactor, turn) if type(reactor) is EPollReactor else None

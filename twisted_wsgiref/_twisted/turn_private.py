"""A turn of Twisted's reactor with less ado, by the private names of its epoll reactor.

What holds for `private` holds here: the function says what an upgrade has to check, and
`tests/test_twisted_private.py` checks it. All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.epollreactor import EPollReactor


class _ShortTurn:
    """What `reactor` does instead of its ``doIteration`` while it is told of descriptors that are read with less ado.

    Such a descriptor costs a look into a dict. Twisted makes a log context for each, and asks twice what to do. If
    others have something too, the reactor's own way follows: whatever was seen here it sees again.
    """

    def __init__(self, reactor: EPollReactor) -> None:
        self._poll = reactor._poller.poll
        self._usual: Callable[[float], object] = reactor.doPoll
        self.reads: dict[int, Callable[[], None]] = {}

    def __call__(self, timeout: float | None) -> None:
        reads = self.reads
        events = self._poll(timeout, len(reads) + 1)
        for descriptor, _ in events:
            if descriptor not in reads:
                self._usual(0)
                return
        for descriptor, _ in events:
            read = reads.get(descriptor)  # one that was read before it may have ended it
            if read is not None:
                read()


def read_in_short_turns(reactor: object, descriptor: int, read: Callable[[], None]) -> Callable[[], None]:
    """Have `reactor` call `read` with less ado, if it waits by an epoll object; return what has to be called to end it.

    `read` raises nothing. A reader of `descriptor` has to be known to the reactor, whose ``doRead`` does the same, and
    the end has to come before that descriptor is closed. Other reactors, and one whose turns are somebody else's
    already, do as before.

    To be checked: ``mainLoop`` and ``iterate`` call ``doIteration`` of the object itself, and that is ``doPoll`` of
    `EPollReactor`: it waits for ``_poller``, where events stay until they are seen to, and does nothing else that has
    to be done in each turn.
    """
    from twisted.internet.epollreactor import EPollReactor

    if type(reactor) is not EPollReactor:
        return _nothing
    names = vars(reactor)
    turn = names.get("doIteration")
    if turn is None:
        turn = names["doIteration"] = _ShortTurn(reactor)
    elif type(turn) is not _ShortTurn:
        return _nothing
    reads = turn.reads
    reads[descriptor] = read

    def end() -> None:
        reads.pop(descriptor, None)
        if not reads and names.get("doIteration") is turn:
            del names["doIteration"]

    return end


def _nothing() -> None:
    """Do nothing."""

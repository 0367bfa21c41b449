"""All connections that have something to read, found and read with one event of the reactor.

A reactor takes about as long to pass on an event as a request takes to be parsed: it looks the descriptor up, makes a
log context, and asks twice what to do. Here the plain sockets of a service wait in an epoll object of its own, which
is one descriptor to the reactor: the cost is paid once a turn, and what came in that turn is gathered by itself. If it
can be, it is the other way round: the epoll object of the reactor is one descriptor to ours (`turn_private`), and a
turn in which nothing but requests comes costs the reactor nothing.

Where there is no epoll, or the transport is no plain socket, transports read for themselves as always. All is called
in the reactor's thread.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReadDescriptor
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._threads.forks import drop
from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref._twisted.turn_private import turns_of

from .unwatched import Unwatched

_log = logger(__name__)
_BUG: Final = "reading failed: this is a bug in twisted_wsgiref"

_ONCE: Final[int] = getattr(select, "EPOLLIN", 0) | getattr(select, "EPOLLONESHOT", 0)

# Connections that are read before the reactor may do something else: a few milliseconds' worth.
_MOST: Final = 256
# For so long turns in a row tell of a closed descriptor before it is taken for one that a child keeps open, in seconds:
# one that a fork has just made lets go of it, or becomes another program, in a few milliseconds.
_STRANGE_FOR: Final = 0.25


def _nothing(timeout: float | None, most: int) -> list[tuple[int, int]]:
    """Stand for the epoll object's ``poll`` while there is none."""
    return []


@implementer(IReadDescriptor)
class Poller:
    """Calls, for each of the descriptors that can be read, what was given with it, and then `turned`.

    At the end of a pause `released` is called.
    """

    def __init__(self, reactor: Reactor, turned: Callable[[], None], released: Callable[[], None]) -> None:
        self._reactor = reactor
        self._turned = turned
        self._released = released
        self._readers: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None
        self._poll: Callable[[float | None, int], list[tuple[int, int]]] = _nothing
        self._turns = turns_of(reactor, self._turn)
        self._has_turns = False  # the reactor's loop waits here
        self._others = False  # the reactor's own descriptors have something
        #: Descriptors are being read: `turned` will be called.
        self.turning = False
        self._later: list[Callable[[], object]] = []  # called before that
        #: Connections that are not watched: see there.
        self.unwatched = Unwatched(reactor)
        self._strangers = 0  # events of closed descriptors, in turns that follow each other
        self._strange_since = 0.0  # when the first of them was, by the reactor's clock
        self._listens = False  # the reactor tells of what can be read
        self._paused = False
        self._until = 0.0  # when the pause ends, by the reactor's clock
        self._has_read = False  # since the last pause
        self._timer: IDelayedCall | None = None

    def open(self) -> select.epoll:
        """Be ready, and known to the reactor."""
        epoll = self._epoll
        if epoll is None:
            epoll = self._epoll = select.epoll()
            self._poll = epoll.poll
            self._listen(True)
        return epoll

    def _shut(self, epoll: select.epoll) -> None:
        self._listen(False)
        epoll.close()
        self._epoll = None

    def _listen(self, on: bool) -> None:
        turns, epoll = self._turns, self._epoll
        if on == self._listens or epoll is None:
            return
        self._listens = on
        if on and turns is not None and turns.take():
            self._has_turns = True
            self._readers[turns.fileno()] = self._note_others
            epoll.register(turns.fileno(), select.EPOLLIN)
        elif self._has_turns and turns is not None:
            self._has_turns = False
            turns.give_back()
            del self._readers[turns.fileno()]
            epoll.unregister(turns.fileno())
        else:
            (self._reactor.addReader if on else self._reactor.removeReader)(self)

    def _note_others(self) -> None:
        self._others = True

    def _turn(self, timeout: float | None) -> None:
        """Make a turn of the reactor's loop."""
        events = self._poll(timeout, _MOST)
        if events:
            self.doRead(events)
            if self._others and self._turns is not None:
                self._others = False
                self._turns.usual(0)

    def add(self, descriptor: int, read: Callable[[], None]) -> None:
        """Have `read` called, which raises nothing, while `descriptor` has something to read, an error or its end."""
        epoll = self.open()
        self._readers[descriptor] = read
        try:
            epoll.register(descriptor, select.EPOLLIN)
        except FileExistsError:  # it was told of once (`add_once`)
            epoll.modify(descriptor, select.EPOLLIN)

    def add_once(self, descriptor: int, read: Callable[[], None]) -> None:
        """As `add`, but `read` is called once, and has to `forget` the descriptor, or `remove` it."""
        self._readers[descriptor] = read
        (self._epoll or self.open()).register(descriptor, _ONCE)

    def remove(self, descriptor: int) -> None:
        """Forget `descriptor`; to be called before it is closed."""
        if self._readers.pop(descriptor, None) is not None and self._epoll is not None:
            self._epoll.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """As `remove`, without a word to the kernel, which forgets a descriptor that is closed.

        To be called if that comes before the turn is over, or if it was told of once, and is not any more.
        """
        self._readers.pop(descriptor, None)

    def after(self, call: Callable[[], object]) -> None:
        """Have `call` called once all is read that can be read now. To be called while `turning`."""
        self._later.append(call)

    @property
    def may_pause(self) -> bool:
        """Whether sockets are read, and have been since the last pause."""
        return self._has_read and not self._paused and self._epoll is not None

    def pause(self, seconds: float) -> None:
        """Read nothing until `resume` is called, or for so many `seconds`.

        Each read wakes the reactor's thread, which then takes the interpreter from a thread that runs an application.
        While requests wait for a thread anyway, more of them are read later, and together.

        To be called when `may_pause` says so: else requests that come by another way could hold up all sockets.
        """
        if self.may_pause:
            self._paused = True
            self._has_read = False
            self._until = self._reactor.seconds() + seconds
            self._listen(False)
            if self._timer is None:
                self._timer = self._reactor.callLater(seconds, self._end_pause)

    def resume(self) -> None:
        """Read again: now, since something has come by then, and no turn of the reactor is needed to know it."""
        if self._paused:
            self._paused = False
            try:
                self._released()
                if self._epoll is not None:
                    self.doRead()
            finally:  # what is read may have been the service's end
                self._listen(self._epoll is not None and not self._paused)

    def _end_pause(self) -> None:
        self._timer = None
        left = self._until - self._reactor.seconds()
        if self._paused and left > 0:  # the pause that the timer was made for is over, and this is another
            self._timer = self._reactor.callLater(left, self._end_pause)
        else:
            self.resume()

    def close(self) -> None:
        """Forget all descriptors. The next `add` starts anew."""
        self.unwatched.close()
        if self._epoll is not None:
            self._shut(self._epoll)
            self._poll = _nothing
            self._readers.clear()
        self.resume()
        self._has_read = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forked(self) -> None:
        """Let go of the epoll object, which is the parent's: with one word to it the parent would lose a connection.

        Called in the child of a fork that does not serve.
        """
        if self._epoll is not None:
            if self._has_turns and self._turns is not None:
                self._turns.give_back()
            drop([self._epoll.fileno()])

    # ---- Called by the reactor ---------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor that can be read when one of ours can."""
        return -1 if self._epoll is None else int(self._epoll.fileno())

    def doRead(self, events: list[tuple[int, int]] | None = None) -> None:
        """Read what can be read: the descriptors of `events`, or if it is None those that can be read now.

        Raises nothing: a reactor forgets whose read does, and so would all connections be.
        """
        if events is None:
            events = self._poll(0, _MOST)
        readers = self._readers
        self._has_read = True
        self.turning = True
        strangers = self._strangers
        try:
            for descriptor, _ in events:
                read = readers.get(descriptor)  # one that was read before it may have closed it
                if read is None:
                    self._take_out(descriptor)
                    continue
                try:
                    read()
                except BaseException:
                    _log.failure(_BUG)
            if strangers == self._strangers:
                self._strangers = 0
        finally:
            # As `end_turn`, without a call on the path of each request.
            if self._later:
                self._call_later()
            self.turning = False
            try:
                self._turned()
            except BaseException:
                _log.failure(_BUG)

    def end_turn(self) -> None:
        """Do what has waited until all is read. Whoever reads elsewhere sets `turning` before, and calls this."""
        self._call_later()
        self.turning = False
        try:
            self._turned()
        except BaseException:
            _log.failure(_BUG)

    def _call_later(self) -> None:
        while self._later:
            later, self._later = self._later, []
            for call in later:
                try:
                    call()
                except BaseException:
                    _log.failure(_BUG)

    def _take_out(self, descriptor: int) -> None:
        """See to it that nothing is told any more of `descriptor`, which nobody reads."""
        if self._epoll is None:
            return
        try:
            self._epoll.unregister(descriptor)
        except OSError:
            # It was closed in this turn; or before, while the child of a fork, of which we do not know, has it open:
            # then it is told of without an end, and nothing but another epoll object is free of it.
            now = self._reactor.seconds()
            if not self._strangers:
                self._strange_since = now
            self._strangers += 1
            if now - self._strange_since >= _STRANGE_FOR:
                self._renew()

    def _renew(self) -> None:
        self._strangers = 0
        _log.warn("a process that was forked has connections of this one open, which were closed here")
        if self._epoll is not None:
            self._shut(self._epoll)
        readers = dict(self._readers)
        self._readers.clear()
        for descriptor, read in readers.items():
            self.add(descriptor, read)
        if self._paused:
            self._listen(False)

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: the reactor is ending.

        It knows none of our sockets, so it tells no connection of its end. A service that is stopped before, as
        services are, has ended them all; else the kernel does when the process is over.
        """

    def logPrefix(self) -> str:
        """Return what log lines of these reads begin with: nothing, as in a turn that begins here."""
        return "-"


def make_poller(reactor: Reactor, turned: Callable[[], None], released: Callable[[], None]) -> Poller | None:
    """Return a `Poller` for `reactor`; None where one can not work."""
    if hasattr(select, "epoll") and IReactorFDSet.providedBy(reactor):
        return Poller(reactor, turned, released)
    return None


def can_be_polled(transport: object) -> bool:
    """Return whether what can be read from the socket of `transport` is what it would give to its protocol."""
    return isinstance(transport, Connection)

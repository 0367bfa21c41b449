"""A service that listens: from the order to open its ports to the last that is closed, and again.

What lives here: which life of the service a port belongs to, and who is to hear of a failure. What may not: endpoints,
which are `endpoints`', and what is done to a port, which is `ports`'. All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred, DeferredList, FirstError, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._twisted.reactor import Reactor

from .endpoints import ListenError
from .open_sockets import open_proxies
from .ports import Ports

if TYPE_CHECKING:
    from .certificates import Certificates
    from .status_port import StatusDoor

_log = logger(__name__)


class NotListening(SystemExit, ListenError):
    """A `ListenError` that nobody waited for when the process started its services. Ends it with status 1.

    No traceback is shown of a `SystemExit`. It is an `Exception` too, because twistd, after it has become a daemon,
    tells its parent of nothing else.
    """

    # In a hundred characters, of which the name is a part.
    __module__ = "twisted_wsgiref"

    def __init__(self, line: str) -> None:
        super().__init__(1)
        self.line = line

    def __str__(self) -> str:
        return self.line


class Announcement(Deferred[list[IListeningPort]]):
    """Fires with the ports, or fails with `ListenError`, and knows whether anybody has taken the failure."""

    def __init__(self) -> None:
        super().__init__()
        self._settled = False

    def __iter__(self) -> Generator[Deferred[list[IListeningPort]], None, list[IListeningPort]]:
        # Awaiting leaves the failure where it is, so the result does not show it.
        self._settled = True
        return super().__iter__()

    __await__ = __iter__

    def untaken(self) -> str | None:
        """Return the line of a failure that nobody has taken so far, once, and have Twisted say nothing more of it.

        Whoever comes later, with an errback or ``await``, still gets it.
        """
        failure = getattr(self, "result", None)
        if self._settled or not isinstance(failure, Failure):
            return None
        self._settled = True
        try:
            super().__iter__().send(None)
        except ListenError:
            pass  # An awaited failure is no "Unhandled error in Deferred".
        return failure.getErrorMessage()


class Listener:
    """Opens the `ports` of a service, and those of its site beside them, at each start of the service.

    `door` is the site's, None if there is none. `trusted_proxy` is the setting: what is odd about it in connection with
    a port is logged; it is empty if somebody else sees to that. ``announcement`` is for whoever wants the ports.
    """

    def __init__(self, ports: Ports, door: StatusDoor | None, trusted_proxy: Collection[str], reactor: Reactor) -> None:
        self.ports = ports
        self.announcement = Announcement()
        self._door = door
        self._trusted_proxy = trusted_proxy
        self._reactor = reactor
        self._listens = False
        self._closed: Deferred[object] = succeed(None)  # the ports of the life before

    @property
    def certificates(self) -> list[Certificates]:
        """Those of all endpoints that are listened on."""
        return [*self.ports.certificates, *(self._door.certificates if self._door is not None else ())]

    def listen(self) -> None:
        """Open the ports, unless they are open already: once those of the life before are closed."""
        if self._listens:
            return
        self._listens = True
        if self.announcement.called:
            self.announcement = Announcement()
        closed = self._closed
        # A port that is still being closed would be in the way; and who was stopped meanwhile listens no more.
        closed.addCallback(lambda _: self._open() if self._closed is closed else None)

    def close(self) -> Deferred[object]:
        """Accept no more, but at the site; the Deferred fires when the ports are closed.

        The next `listen` also waits for whatever its caller adds to that Deferred.
        """
        self._closed = closed = cast("Deferred[object]", DeferredList([self._closed, *self.ports.close()]))
        self._listens = False
        return closed

    def say_untaken(self, announcement: Announcement | None = None) -> str | None:
        """Log the failure of `announcement`, once, if nobody has taken it, and return its line. None: that of now."""
        line = (announcement or self.announcement).untaken()
        if line is not None:
            _log.critical("{line}", line=line)
        return line

    def _open(self) -> None:
        opening = self.ports.open()
        count = len(opening)
        if self._door is not None:
            opening += self._door.open()

        def opened(results: list[tuple[bool, IListeningPort]]) -> None:
            ports = [port for _, port in results[:count]]
            if self._door is not None:
                self._door.serve()
            warning = open_proxies(ports, self._trusted_proxy)
            if warning:
                _log.warn("{line}", line=warning)
            self._announce(lambda: self.announcement.callback(ports))

        def failed(failure: Failure) -> None:
            cause = cast(FirstError, failure.value)
            announcement = self.announcement
            self._announce(lambda: announcement.errback(cause.subFailure))
            # Whoever starts the service takes the failure afterwards, in the same turn.
            self._reactor.callLater(0, self.say_untaken, announcement)

        DeferredList(opening, fireOnOneErrback=True, consumeErrors=True).addCallbacks(opened, failed)

    def _announce(self, tell: Callable[[], None]) -> None:
        if not self.announcement.called:
            tell()

"""The ports of one factory: opened on its endpoints, made ours, and closed.

What lives here: what becomes of an `IListeningPort` before its first connection. What may not: when a service opens
its ports and who hears of it, which is `listening`'s. All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from twisted_wsgiref._twisted.reactor import Listening, Reactor

from .acceptor import accept_for
from .endpoints import as_listen_error, parse_endpoint
from .factory import WSGIFactory
from .perhaps_secure import speak_tls
from .transports import stop_accepting, widen

if TYPE_CHECKING:
    from .certificates import Certificates


class Ports:
    """The ports on `endpoints`, whose connections `factory` makes. They may be opened again after they were closed.

    `listening` opens them, `reactor` reads their connections: it is another one in a worker. ``opened`` are those that
    are open now; ``certificates`` are those of endpoints that speak TLS by their own words. `backlog` connections may
    wait for each.
    """

    def __init__(
        self,
        factory: WSGIFactory,
        endpoints: Iterable[str | IStreamServerEndpoint],
        listening: Listening,
        reactor: Reactor,
        backlog: int,
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.opened: list[IListeningPort] = []
        self.certificates: list[Certificates] = []
        self._factory = factory
        self._listening = listening
        self._reactor = reactor
        self._backlog = backlog
        self._is_open = False

    def open(self) -> list[Deferred[IListeningPort]]:
        """Listen on each endpoint; each Deferred fires with its port, or fails with `ListenError`."""
        self._is_open = True
        return [
            maybeDeferred(self._listen_on, each).addCallbacks(self._opened, partial(as_listen_error, each))
            for each in self.endpoints
        ]

    def _listen_on(self, endpoint: str | IStreamServerEndpoint) -> Deferred[IListeningPort]:
        if isinstance(endpoint, str):
            endpoint = parse_endpoint(self._listening, endpoint, self.certificates.append)
        return endpoint.listen(self._factory)

    def _opened(self, port: IListeningPort) -> IListeningPort:
        if self._is_open:
            self.opened.append(port)
            widen(port, self._backlog, self._factory.places, self._factory.note_refusal)
            accept_for(port, self._factory, self._reactor)
            speak_tls(port, self._factory, self._reactor)
        else:
            port.stopListening()  # closed in the meantime
        return port

    def close(self) -> list[Deferred[None]]:
        """Accept no more; each Deferred fires when a port is closed."""
        self._is_open = False
        closing = [stop_accepting(port) for port in self.opened]
        self.opened, self.certificates = [], []
        return closing

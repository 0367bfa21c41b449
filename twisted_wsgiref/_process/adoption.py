"""A child's reactor, for endpoints to listen with: it gives them the parent's sockets, and binds none.

Every kind of endpoint ends in `listenTCP`, `listenUNIX`, `listenSSL` or `adoptStreamPort` of the reactor that it was
made for. So the child makes the same endpoints from the same words, and each finds the socket that its twin in the
parent has bound. Called in the reactor's thread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from twisted_wsgiref._twisted.private import adopt_unix_port
from twisted_wsgiref._twisted.reactor import Port, Reactor
from twisted_wsgiref._twisted.stand_in import StandInReactor

from .listeners import Bound, adopted_key, tcp_key, unix_key


def adopting(reactor: Reactor, bound: Sequence[Bound], adopted: Callable[[Port], None]) -> Reactor:
    """Return an `AdoptingReactor` as the `Reactor` that it stands for."""
    return cast(Reactor, AdoptingReactor(reactor, bound, adopted))


class AdoptingReactor(StandInReactor):
    """Gives each endpoint the socket of `bound` that it would have bound; `adopted` is told of each port made.

    Two endpoints of the same words get the two sockets in their order.
    """

    def __init__(self, reactor: Reactor, bound: Sequence[Bound], adopted: Callable[[Port], None]) -> None:
        super().__init__(reactor)
        #: Whose the ports are, and who does all that is not asked for here.
        self.stands_for = reactor
        self._adopted = adopted
        self._left = list(bound)

    def _adopt(self, key: str, factory: IProtocolFactory) -> Port:
        found = next((each for each in self._left if each.key == key), None)
        if found is None:
            error = OSError("the parent has bound no such socket: restart it")
            raise CannotListenError(None, key, error)
        self._left.remove(found)
        # Twisted makes a copy of the descriptor.
        try:
            if found.family == socket.AF_UNIX:
                port = adopt_unix_port(self.stands_for, found.descriptor, factory)
            else:
                port = self._reactor.adoptStreamPort(found.descriptor, found.family, factory)
        finally:
            os.close(found.descriptor)
        self._adopted(port)
        return port

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Port:
        """Accept on the parent's TCP port. Raises `CannotListenError`."""
        return self._adopt(tcp_key(port, interface), factory)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Port:
        """Accept on the parent's UNIX socket. Raises `CannotListenError`."""
        return self._adopt(unix_key(address), factory)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> Port:
        """Accept on a socket that the parent has inherited in its turn. Raises `CannotListenError`."""
        return self._adopt(adopted_key(fileDescriptor), factory)

"""Reactors that listen in another way than the one that they stand for: everything else is that one's.

What lives here: the part that all of them share. Which way it is, each room says for itself. Called in the reactor's
thread.
"""

from __future__ import annotations

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import directlyProvides, providedBy

from .reactor import ContextFactory, Listening, Port


class StandInReactor:
    """Stands for `reactor`: an endpoint that listens by it finds the methods here, and every other name there.

    A subclass has a `listenTCP` of its own, which the ports that speak TLS come by, too.
    """

    def __init__(self, reactor: Listening) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Port:
        """Listen on a TCP port. Raises `CannotListenError`."""
        return self._reactor.listenTCP(port, factory, backlog, interface)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: ContextFactory,
        backlog: int = 50,
        interface: str = "",
    ) -> Port:
        """Listen on a TCP port, and speak TLS above whatever `listenTCP` puts there. Raises `CannotListenError`."""
        # Late, as everywhere: a third of the memory of a process that speaks no TLS.
        from twisted.protocols.tls import TLSMemoryBIOFactory

        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)

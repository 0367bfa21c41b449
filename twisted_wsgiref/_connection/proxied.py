"""The PROXY protocol in front of everything else on a connection, TLS included.

A balancer that passes connections on says in a header who is at the far end. Twisted's ``haproxy:`` endpoints read it
inside TLS, where HAProxy and the cloud's balancers do not write it, and believe whoever connects; here it is read
first, from trusted peers only, in whatever pieces it comes. All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocolFactory, ITransport
from zope.interface import directlyProvides, providedBy

from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.forwarded import TrustedPeers
from twisted_wsgiref._http.proxy_protocol import ProxyHeaderReader
from twisted_wsgiref._twisted.private import adopt_stream_port
from twisted_wsgiref._twisted.reactor import Listening, Port
from twisted_wsgiref._twisted.stand_in import StandInReactor
from twisted_wsgiref._twisted.typed import ProtocolWrapper, WrappingFactory

from .transports import abort


class ProxiedProtocol(ProtocolWrapper):
    """A connection whose ends are those that its PROXY header names; transparent after the header."""

    factory: ProxiedFactory

    def makeConnection(self, transport: ITransport) -> None:
        """Wait for the header, if the peer may send one; cut the connection off otherwise."""
        self._reader: ProxyHeaderReader | None = ProxyHeaderReader()
        self._source: tuple[str, int] | None = None
        self._destination: tuple[str, int] | None = None
        self._below = transport
        super().makeConnection(transport)
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            directlyProvides(self, providedBy(self), IHalfCloseableProtocol)
        peer = transport.getPeer()
        if not self.factory.trusted.trusts(getattr(peer, "host", None)):
            self.factory.note("a connection was cut off: its peer is not trusted to send a PROXY header")
            abort(transport)

    def dataReceived(self, data: bytes) -> None:
        """Read the header; all after it is the connection's."""
        if self._reader is not None:
            try:
                found = self._reader.feed(data)
            except ProtocolError as error:
                # Nothing can be answered: whoever it is does not speak what comes after the header either.
                self.factory.note(f"a connection was cut off: {error.reason}")
                abort(self._below)
                return
            if found is None:
                return
            header, data = found
            self._reader = None
            self._source, self._destination = header.source, header.destination
            if not data:
                return
        self.wrappedProtocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        """Pass on that the peer will send no more."""
        cast(IHalfCloseableProtocol, self.wrappedProtocol).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Pass on that our half is closed."""
        cast(IHalfCloseableProtocol, self.wrappedProtocol).writeConnectionLost()

    def getPeer(self) -> IAddress:
        """Return the client's address, as the proxy knows it."""
        return self._below.getPeer() if self._source is None else _address(*self._source)

    def getHost(self) -> IAddress:
        """Return the address that the client connected to, as the proxy knows it."""
        return self._below.getHost() if self._destination is None else _address(*self._destination)


class ProxiedFactory(WrappingFactory):
    """Puts a PROXY header in front of each of `factory`'s connections. `note` is told why one was cut off."""

    protocol = ProxiedProtocol
    noisy = False

    def __init__(self, factory: IProtocolFactory, trusted: TrustedPeers, note: Callable[[str], None]) -> None:
        super().__init__(factory)
        self.trusted = trusted
        self.note = note


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


class ProxiedReactor(StandInReactor):
    """A reactor for endpoints to listen with, which has every connection start with a PROXY header.

    An endpoint that speaks TLS hands its context to `listenSSL`: so the header finds its place below that.
    """

    def __init__(self, reactor: Listening, trusted: TrustedPeers, note: Callable[[str], None]) -> None:
        super().__init__(reactor)
        self._trusted = trusted
        self._note = note

    def _wrap(self, factory: IProtocolFactory) -> ProxiedFactory:
        return ProxiedFactory(factory, self._trusted, self._note)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Port:
        """Listen on a TCP port."""
        return self._reactor.listenTCP(port, self._wrap(factory), backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Port:
        """Listen on a UNIX socket."""
        return self._reactor.listenUNIX(address, self._wrap(factory), backlog, mode, wantPID)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> Port:
        """Listen on an inherited socket."""
        return adopt_stream_port(self._reactor, fileDescriptor, addressFamily, self._wrap(factory))

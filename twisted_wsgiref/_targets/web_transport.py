"""What a request of `twisted.web`, and who takes its connection over, takes for the transport."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IConsumer, ISSLTransport, ITCPTransport, ITransport
from zope.interface import directlyProvides

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProducer

    from .web_channel import WebChannel


class WebTransport:
    """What a request, and who takes its connection over, takes for the transport.

    Until then it says who is at both ends, and ends the connection; what is written would be in the middle of our own
    answers. Afterwards it is the transport, `below` or another, with all its methods. Setting ``protocol``, as it is
    done by autobahn, takes the connection over.
    """

    def __init__(self, channel: WebChannel, below: object, secure: bool) -> None:
        self._channel = channel
        self._taken: Any = None
        self._protocol: object = None
        self._below = below
        directlyProvides(self, *_interfaces(below))

    def take(self, transport: Any) -> None:
        """Be `transport` from now on."""
        self._taken = transport

    @property
    def protocol(self) -> object:
        """Who reads."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: object) -> None:
        self._channel.upgrade(protocol)
        self._protocol = protocol

    def getPeer(self) -> IAddress:
        """Return the client's address, as a trusted proxy tells it."""
        return self._channel.getPeer()

    def getHost(self) -> IAddress:
        """Return our address, as the client sees it."""
        return self._channel.getHost()

    def loseConnection(self) -> None:
        """End the connection; after it was taken over, once all is sent."""
        (self._taken or self._channel).loseConnection()

    def abortConnection(self) -> None:
        """End the connection at once."""
        (self._taken or self._channel).abortConnection()

    def write(self, data: bytes) -> None:
        """Send `data`. Raises `RuntimeError` before the connection is taken over."""
        self._must_be_taken().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send all of `iovec`. Raises as `write`."""
        self._must_be_taken().writeSequence(iovec)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have `producer` pause and resume as the transport, or the answer, has room."""
        (self._taken or self._channel).registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        (self._taken or self._channel).unregisterProducer()

    def pauseProducing(self) -> None:
        """Have no more read. Before the connection is taken over, reading is the server's."""
        if self._taken is not None:
            self._taken.pauseProducing()

    def resumeProducing(self) -> None:
        """Have more read."""
        if self._taken is not None:
            self._taken.resumeProducing()

    def stopProducing(self) -> None:
        """Have nothing read any more."""
        self.loseConnection()

    def _must_be_taken(self) -> Any:
        if self._taken is None:
            raise RuntimeError(
                "a resource wrote to request.transport: write to the request, or take the connection over first"
            )
        return self._taken

    def __getattr__(self, name: str) -> Any:
        # What a socket, or TLS, has beside: options, a certificate. Private parts are not handed on: they would be
        # taken for a sign of what the transport is.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._taken or self._below, name)


class SecureWebTransport(WebTransport):
    """The same over TLS, which Twisted's own server has as a wrapper of protocols: autobahn takes it by its class."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        from twisted.protocols.tls import TLSMemoryBIOProtocol

        return TLSMemoryBIOProtocol

    @property
    def wrappedProtocol(self) -> object:
        """Who reads; setting it takes the connection over."""
        return self.protocol

    @wrappedProtocol.setter
    def wrappedProtocol(self, protocol: object) -> None:
        self.protocol = protocol


def web_transport(channel: WebChannel, below: object, secure: bool) -> WebTransport:
    """Return the transport of `channel`, whose connection has the transport `below`."""
    made = SecureWebTransport if ISSLTransport.providedBy(below) else WebTransport
    return made(channel, below, secure)


def _interfaces(below: object) -> list[Any]:
    """Return what a transport like `below` provides here."""
    found = [ITransport, IConsumer]
    for interface in (ITCPTransport, ISSLTransport):
        if interface.providedBy(below):
            found.append(interface)
    return found

"""A network in memory: a clock that stands, and connections whose bytes move when a test moves them.

What lives here: what stands for the reactor, its endpoints and its transports. What may not: HTTP. All is called in the
thread of the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import (
    IListeningPort,
    IPushProducer,
    ISSLTransport,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IAddress, IHandshakeListener, IProducer, IProtocol, IProtocolFactory

SERVER: Final = IPv4Address("TCP", "127.0.0.1", 80)
CLIENT: Final = IPv4Address("TCP", "127.0.0.1", 50000)
# Bytes that are on their way in one direction before a producer is told to pause, as Twisted's transports tell it; and
# bytes that are moved at once.
_FULL: Final = 64 * 1024


class StandingReactor(Clock):
    """What a service asks of a reactor: a clock that moves when a test moves it, and calls in the test's thread."""

    running = True

    def callFromThread(self, call: Callable[..., object], *args: object, **named: object) -> None:
        """Have `call` called in the next turn."""
        self.callLater(0, call, *args, **named)

    def turn(self) -> bool:
        """Make the calls that are due; return whether there was any."""
        now = self.seconds()
        due = any(each.getTime() <= now for each in self.getDelayedCalls())
        self.advance(0)
        return due


class _NoCipher:
    """What stands for the TLS of a connection in memory."""

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"

    def get_cipher_name(self) -> str:
        return ""

    def get_cipher_bits(self) -> int:
        return 0

    def get_servername(self) -> None:
        return None

    def get_peer_certificate(self) -> None:
        return None


@implementer(ITransport, IPushProducer)
class _End:
    """The transport of one end: what it writes waits in ``written`` until it is moved to the other end."""

    def __init__(self, host: IAddress, peer: IAddress, protocol: IProtocol) -> None:
        self.protocol = protocol
        self.written = b""
        self.disconnecting = False
        self.connected = True
        self.reading = True
        self._host = host
        self._peer = peer
        self._producer: IPushProducer | None = None  # a pull producer is never told to pause
        self._streaming = False
        self._paused = False
        self._aborted = False

    # ---- What a protocol asks of it ----------------------------------------------------------------------------

    def getHost(self) -> IAddress:
        return self._host

    def getPeer(self) -> IAddress:
        return self._peer

    def getHandle(self) -> _NoCipher:
        return _NoCipher()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def write(self, data: bytes) -> None:
        if self.connected and not self._aborted and data:
            self.written += data
            if self._producer is not None and self._streaming and not self._paused and len(self.written) > _FULL:
                self._paused = True
                self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        self.disconnecting = self._aborted = True
        self.written = b""

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        self._producer, self._streaming, self._paused = cast(IPushProducer, producer), streaming, False
        if not self.connected:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        self._producer, self._streaming = None, False

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    # ---- How it is moved ---------------------------------------------------------------------------------------

    def take(self) -> bytes:
        """Return what is to be moved now."""
        piece, self.written = self.written[:_FULL], self.written[_FULL:]
        return piece

    def ask_for_more(self) -> bool:
        """Have the producer go on if there is room; return whether it did something."""
        producer = self._producer
        if producer is None or self.written or not self.connected or (self._streaming and not self._paused):
            return False
        self._paused = False
        producer.resumeProducing()
        return bool(self.written) or self._producer is not producer

    @property
    def is_over(self) -> bool:
        """Whether this end has asked for the end, and all that it wrote is moved."""
        return self.disconnecting and not self.written and (self._aborted or self._producer is None)

    def lose(self, error: Exception) -> None:
        """Tell the protocol that the connection is lost."""
        if self.connected:
            self.connected = False
            self.written = b""
            if self._producer is not None:
                self._producer.stopProducing()
            self.protocol.connectionLost(Failure(error))

    @property
    def parting(self) -> Exception:
        """What the other end meets."""
        return ConnectionLost() if self._aborted else ConnectionDone()

    @property
    def own_end(self) -> Exception:
        """What this end meets."""
        return ConnectionAborted() if self._aborted else ConnectionDone()


class _Connection:
    """Two ends."""

    def __init__(self, server: IProtocol, client: IProtocol, secure: bool, port: int) -> None:
        here = IPv4Address("TCP", SERVER.host, port)
        self.server, self.client = _End(here, CLIENT, server), _End(CLIENT, here, client)
        for end in (self.server, self.client):
            if secure:
                directlyProvides(end, ISSLTransport)
        server.makeConnection(self.server)
        if secure:
            cast("IHandshakeListener", self.server.protocol).handshakeCompleted()
        client.makeConnection(self.client)

    def move(self) -> bool:
        """Move what can be moved, once in each direction; return whether anything was."""
        moved = False
        for end, other in ((self.client, self.server), (self.server, self.client)):
            if end.written and other.reading and other.connected:
                moved = True
                other.protocol.dataReceived(end.take())
            moved = end.ask_for_more() or moved
            if end.connected and end.is_over and (other.reading or end.parting.__class__ is ConnectionLost):
                moved = True
                end.lose(end.own_end)
                other.lose(end.parting)
        return moved

    @property
    def is_lost(self) -> bool:
        return not (self.server.connected or self.client.connected)


@implementer(IListeningPort)
class _Port:
    """Where a service listens in memory."""

    def startListening(self) -> None:
        pass

    def stopListening(self) -> Deferred[None]:
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return SERVER


@implementer(IStreamServerEndpoint)
class Network:
    """An endpoint for a service to listen on, and, as `towards`, those of its clients."""

    def __init__(self) -> None:
        self._factory: IProtocolFactory | None = None
        self.connections: list[_Connection] = []

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Have connections made with `protocolFactory`."""
        self._factory = protocolFactory
        port: IListeningPort = _Port()
        return succeed(port)

    def connect(self, factory: IProtocolFactory, secure: bool, port: int) -> Deferred[IProtocol]:
        """Connect a client, of `factory`'s."""
        server = None if self._factory is None else self._factory.buildProtocol(CLIENT)
        client = factory.buildProtocol(SERVER)
        if server is None or client is None:
            refused: Deferred[IProtocol] = Deferred()
            refused.errback(Failure(ConnectionRefusedError()))
            return refused
        self.connections.append(_Connection(server, client, secure, port))
        return succeed(client)

    def move(self) -> bool:
        """Move what can be moved, once on each connection; return whether anything was."""
        moved = [each.move() for each in list(self.connections)]
        self.connections = [each for each in self.connections if not each.is_lost]
        return any(moved)


@implementer(IStreamClientEndpoint)
class Towards:
    """An endpoint that connects to the service of `network`, whatever the name of its host is."""

    def __init__(self, network: Network, secure: bool, port: int) -> None:
        self._network = network
        self._secure = secure
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect."""
        return self._network.connect(protocolFactory, self._secure, self._port)

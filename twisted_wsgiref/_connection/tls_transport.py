"""A connection by TLS straight on its socket, as a transport; and the ports whose connections can be such ones.

Twisted's own TLS is a protocol between its transport and ours: it copies each byte to OpenSSL's memory and back, and
knows no thread but the reactor's. Here OpenSSL has the socket: `TLSExit` is its two directions, this is its life. To a
protocol it is as Twisted's: `ISSLTransport`, with the same answers to the same questions.

What lives here: the first bytes, the handshake, the end. All is called in the reactor's thread. This is imported only
where somebody speaks TLS.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._http.opening import plain_opening
from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._twisted.private_tls import can_make_tls, forget_errors, make_tls

from .acceptor import Acceptor
from .plain_transports import TCPSocket
from .socket_transport import DONE
from .tls_exit import RECORD, SendsFirst, TLSExit

if TYPE_CHECKING:
    from OpenSSL.crypto import X509
    from twisted.internet.interfaces import IProtocol

    from twisted_wsgiref._twisted.reactor import Port, Reactor

    from .exits import Exit
    from .factory import WSGIFactory
    from .poller import Poller
    from .protocol import WSGIProtocol
    from .transports import Origin

_log = logger(__name__)

# So much tells whether it is TLS, or what else it is.
_OPENING: Final = 16
# Of a large body so many records are read, before the other connections have their turn: as much as of a plain one.
_RECORDS_A_TURN: Final = 4


@implementer(ISSLTransport)
class TLSTransport(TCPSocket):
    """A connection by TCP that speaks the TLS of `factory`, by which Twisted's ALPN finds the protocols.

    `protocol` is told how the connection begins: `begin_handshake` and `handshakeCompleted`, or `refuse_plain`.
    """

    _opened = False  # the first bytes were those of a handshake
    _refused = False  # they were not, and all goes as it is
    _blocked = False  # the socket takes no more of a handshake
    _sends_first = False  # nothing is read before the socket is written
    _waits_to_write = False  # something was written before the handshake was over

    def __init__(
        self,
        factory: TLSMemoryBIOFactory,
        sock: socket.socket,
        protocol: IProtocol,
        origin: Origin,
        reactor: Reactor,
        poller: Poller,
    ) -> None:
        super().__init__(sock, protocol, origin, reactor, poller)
        #: Who wraps the protocol's factory.
        self.factory = factory
        self._connection = make_tls(factory, self, sock)
        self._exit = TLSExit(self._connection, sock)
        # The handshake is over. Not on the class, as the others: each request asks.
        self._shaken = False

    # ---- What it is ----------------------------------------------------------------------------------------------

    def make_exit(self) -> Exit:
        """Return the straight way out. Its descriptor stays open until the exit is released."""
        self.leave_socket()
        self._exit.leave()
        return self._exit

    if not TYPE_CHECKING:  # of a socket's transport it is a socket

        def getHandle(self) -> SSL.Connection:
            """Return OpenSSL's connection, as Twisted's TLS does."""
            return self._connection

    def getPeerCertificate(self) -> X509 | None:
        """Return what the client has shown."""
        return self._connection.get_peer_certificate()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN has found; None if the client has offered nothing."""
        return self._connection.get_alpn_proto_negotiated() or None

    # ---- What comes ----------------------------------------------------------------------------------------------

    def doRead(self) -> None:
        """Give the protocol what there is, or go on with the handshake."""
        if self._shaken:
            self._read_records()
        elif self._refused:
            super().doRead()
        elif self._opened or self._open():
            self._shake()

    def _read_records(self) -> None:
        """Give the protocol what has come. As `SocketTransport.doRead`, without two calls for each request."""
        exit = self._exit
        for _ in range(_RECORDS_A_TURN):
            try:
                data = exit.receive()
            except SendsFirst:
                self._wait_to_pay()
                return
            except BlockingIOError:
                return
            except OSError as error:
                self.lose(Failure(ConnectionLost(error)))
                return
            try:
                if data:
                    self.protocol.dataReceived(data)
                else:
                    self.readConnectionLost(DONE)
            except Exception:
                _log.failure("a protocol failed")
                self.lose(Failure())
                return
            if len(data) < RECORD or not self._reads:
                return

    def _open(self) -> bool:
        """Look at the first bytes; return whether they are those of a handshake. Text gets an answer that can be read.

        They are left where they are: OpenSSL reads them.
        """
        try:
            data = self.socket.recv(_OPENING, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError as error:
            self.lose(Failure(ConnectionLost(error)))
            return False
        above = cast("WSGIProtocol", self.protocol)
        what = plain_opening(data)
        if what is not None:
            self._refused = True
            above.refuse_plain(what, self, "HEAD" if data.startswith(b"HEAD ") else "")
            return False
        if not data:
            self.lose(Failure(ConnectionDone()))
            return False
        self._opened = True
        above.begin_handshake()
        return True

    def _shake(self) -> None:
        """Go on with the handshake, as far as it goes without waiting."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.WantWriteError:
            self._blocked = True
            self.stopReading()
            self.startWriting()
            return
        except SSL.Error:
            reason = Failure()
            forget_errors()
            self.lose(reason)
            return
        except Exception:  # what a callback of the endpoint's context has raised
            self.lose(Failure())
            return
        self._shaken = True
        if self._waits_to_write:
            self.startWriting()
        cast("WSGIProtocol", self.protocol).handshakeCompleted()
        self.doRead()  # the first request comes close behind it

    def _receive(self, most: int) -> bytes:
        if self._refused:
            return self.socket.recv(most)
        try:
            return self._exit.receive()
        except SendsFirst:
            self._wait_to_pay()
            raise

    def _wait_to_pay(self) -> None:
        """Have nothing read before the socket takes what is owed."""
        super().stopReading()
        self._sends_first = True
        self.startWriting()

    def stopReading(self) -> None:
        """Have nothing read."""
        self._sends_first = False
        super().stopReading()

    pauseProducing = stopReading

    # ---- What goes -----------------------------------------------------------------------------------------------

    def startWriting(self) -> None:
        """Call `doWrite` when the socket takes more: after the handshake, unless that itself waits to write."""
        if self._shaken or self._refused or self._blocked:
            super().startWriting()
        else:
            self._waits_to_write = True

    def doWrite(self) -> None:
        """Send what the socket takes."""
        if self._blocked:
            self._blocked = False
            self.stopWriting()
            self.startReading()
            self._shake()
            return
        if self._sends_first:
            try:
                if not self._exit.pay():
                    return
            except OSError as error:
                self.lose(Failure(ConnectionLost(error)))
                return
            self._sends_first = False
            self.startReading()
        super().doWrite()

    def _send(self, data: bytes | memoryview) -> int:
        return self.socket.send(data) if self._refused else self._exit.send(data)

    def _shut(self) -> None:
        if self._refused:
            super()._shut()
        else:
            self._exit.close_half()

    # ---- The end -------------------------------------------------------------------------------------------------

    def lose(self, reason: Failure) -> None:
        """Have the connection lost now; after an end in order with a close_notify, whose answer nobody waits for."""
        if self.connected and self._shaken and isinstance(reason.value, ConnectionDone):
            self._exit.say_end()
        TCPSocket.lose(self, reason)
        self._connection.set_app_data(None)  # a circle less for the collector


def accept_straight(port: object, factory: TLSMemoryBIOFactory, ours: WSGIFactory, reactor: Reactor) -> bool:
    """Have the connections of `port`, to which `factory` gives TLS, speak it on their sockets, if `ours` makes them.

    Returns whether they do. They do not where a wrapper is between, the port is not Twisted's own, an endpoint makes
    other connections than OpenSSL's, or there is no epoll: all is as before then.
    """
    poller = ours.poller
    if (
        poller is None
        or getattr(port, "factory", None) is not factory
        or getattr(port, "reactor", None) is not reactor
        or type(factory) is not TLSMemoryBIOFactory
        or factory.wrappedFactory is not ours
        or factory.protocol is not TLSMemoryBIOFactory.protocol
        or not can_make_tls(factory)
    ):
        return False
    return Acceptor(cast("Port", port), ours, poller, reactor, partial(TLSTransport, factory)).begin()

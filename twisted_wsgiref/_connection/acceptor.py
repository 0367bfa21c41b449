"""New connections on plain sockets, TCP and UNIX: each is accepted, read and known to the poller with the fewest calls.

A port of Twisted's makes a transport of each connection, which it enters into the reactor's epoll object. If such a
port is Twisted's own and its connections are ours, without TLS or a wrapper between, they are accepted here instead:
as many as wait, one after another. Each is read at once, since most clients have sent their request by then, and only
then entered into the poller's epoll object. The port stays Twisted's, with all that it does beside: it listens, pauses,
closes, and knows what to do if no descriptor is left.

All is called in the reactor's thread.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EAGAIN, ECONNABORTED, EPERM, EWOULDBLOCK
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._twisted.private import accept_otherwise
from twisted_wsgiref._twisted.reactor import Port, Reactor

from .newcomer import Newcomer
from .plain_transports import TCPTransport, UNIXTransport
from .reading import TRANSPORT_READ, first_read
from .socket_transport import RESET
from .transports import Origin, host_and_port

if TYPE_CHECKING:
    from .brief import Reception
    from .factory import WSGIFactory
    from .poller import Poller
    from .protocol import WSGIProtocol
    from .socket_transport import SocketTransport

_log = logger(__name__)

_UNIX: Final = getattr(socket, "AF_UNIX", None)
# Nobody waits (any more); or a packet filter has had the kernel drop it after it was told of.
_NOBODY: Final = (EAGAIN, EWOULDBLOCK)
_NOT_THIS_ONE: Final = (EPERM, ECONNABORTED)

# As `Origin`, by C alone: this is a call for each connection.
_origin: Final = cast("Callable[[tuple[object, ...]], Origin]", partial(tuple.__new__, Origin))


class Acceptor:
    """Accepts what comes to `port` for `factory`. Whatever goes wrong at that is left to `port` itself.

    `make` makes the transports, if they are not plain ones: it is called as `TCPTransport`.
    """

    def __init__(
        self,
        port: Port,
        factory: WSGIFactory,
        poller: Poller,
        reactor: Reactor,
        make: Callable[..., SocketTransport] | None = None,
    ) -> None:
        sock = port.socket
        self._port = port
        self._factory = factory
        self._poller = poller
        self._reactor = reactor
        self._family = int(sock.family)
        self._is_tcp = self._family != _UNIX
        self._transport = make or (TCPTransport if self._is_tcp else UNIXTransport)
        self._host, self._place = _whereabouts(port)
        self._near = host_and_port(self._host)
        self._first_read = first_read(max(factory.rules.max_pipelined, TRANSPORT_READ))
        # Serves clients of one request. None: all have ordinary connections.
        self._reception: Reception | None = None
        if make is None:
            # Late: a system without epoll has not all that it needs.
            from .brief import Reception

            self._reception = Reception(factory, poller.unwatched, self._is_tcp, self._host, self._make_ordinary)
        self._number = 0
        self._own: Callable[[], object] = lambda: None
        # Python's `accept` makes a socket of what this returns, in twice the time.
        self._accept: Callable[[], tuple[int, object]] = getattr(sock, "_accept", None) or _slow_accept(sock)
        if self._is_tcp:
            # Nothing is held back for an acknowledgement, as by `transports.send_at_once`. On Linux connections have it
            # of their listener.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._is_checked = False

    def begin(self) -> bool:
        """Accept from now on; return whether it can be."""
        own = accept_otherwise(self._port, self.accept)
        if own is not None:
            self._own = own
        return own is not None

    def accept(self) -> None:
        """Accept those who wait, and serve what they have sent. Raises nothing: a reactor would close the port.

        All of a turn are served together, so one `accept` in vain costs less than another turn.
        """
        poller = self._poller
        accepted = 0
        poller.turning = True
        try:
            while accepted < self._port.numberAccepts:
                try:
                    descriptor, peer = self._accept()
                except OSError as error:
                    if error.errno in _NOBODY:
                        break
                    if error.errno not in _NOT_THIS_ONE:
                        self._have_port_try()
                        break
                else:
                    self._meet(descriptor, peer)
                accepted += 1
        except Exception:
            _log.failure("accepting failed: this is a bug in twisted_wsgiref")
        finally:
            poller.end_turn()

    def _have_port_try(self) -> None:
        """Have the port meet the same error, log it, and, without a descriptor left, close those who wait."""
        number = self._port.numberAccepts
        self._own()
        self._port.numberAccepts = number  # it takes fewer the next time

    def _meet(self, descriptor: int, peer: object) -> None:
        sock = socket.socket(self._family, socket.SOCK_STREAM, 0, descriptor)
        try:
            sock.setblocking(False)
            if not self._is_checked:
                self._check(sock)
            if self._reception is None:
                protocol, transport = self._make_ordinary(sock, peer)
                protocol.begin(transport)
                return
        except BaseException:
            sock.close()
            raise
        self._read(sock, peer, True)

    def _read(self, sock: socket.socket, peer: object, at_once: bool = False) -> None:
        """Serve what can be read of `sock` first: `at_once`, or when the poller has told that something can be."""
        reception, factory = self._reception, self._factory
        try:
            try:
                came = sock.recv(self._first_read)
            except BlockingIOError:
                if at_once and len(factory.connections) < factory.rules.max_connections and not factory.draining:
                    Newcomer(factory, self._poller, sock, peer, self._read, self._make_ordinary)
                    return
                came = None
            except OSError:
                sock.close()  # it was reset before it had said anything
                return
            if came and reception is not None and reception.take(sock, peer, came):
                return
            protocol, transport = self._make_ordinary(sock, peer)
            if not at_once:
                protocol.takes_place = True  # its newcomer's
            protocol.begin_with(transport, came)
        except BaseException:
            # A reset, since what the client has sent is lost.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()
            raise

    def _make_ordinary(self, sock: socket.socket, peer: object) -> tuple[WSGIProtocol, SocketTransport]:
        protocol = self._factory.buildProtocol(None)
        number = self._number
        self._number = number + 1
        origin = _origin((peer, self._place, number, self._host, self._near))
        return protocol, self._transport(sock, protocol, origin, self._reactor, self._poller)

    def _check(self, sock: socket.socket) -> None:
        """Have later connections asked for no delay one by one, if the listener's own setting is not theirs."""
        self._is_checked = True
        if self._is_tcp and not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            self._is_checked = False


def _slow_accept(listener: socket.socket) -> Callable[[], tuple[int, object]]:
    def accept() -> tuple[int, object]:
        sock, peer = listener.accept()
        return sock.detach(), peer

    return accept


def _whereabouts(port: Port) -> tuple[IAddress | None, object]:
    """Return the address that all connections of `port` have, None if they differ, and the name of the place."""
    host = port.getHost()
    if isinstance(host, IPv4Address | IPv6Address):
        return (None if host.host in ("0.0.0.0", "::") else host), host.port
    return host, getattr(host, "name", None)


def accept_for(port: object, factory: WSGIFactory, reactor: Reactor) -> bool:
    """Have the connections of `port` accepted here, if they are plain ones of `factory`; return whether they are."""
    poller = factory.poller
    if poller is None or getattr(port, "factory", None) is not factory or getattr(port, "reactor", None) is not reactor:
        return False
    return Acceptor(cast(Port, port), factory, poller, reactor).begin()

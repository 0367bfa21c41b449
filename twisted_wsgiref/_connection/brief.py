"""Connections of one request: a client sends all of it at once, without a body, and says that it is its last.

It has nothing more to say, and most are answered within a moment. So such a connection needs none of what an ordinary
one (`protocol`) has: nothing reads it, nobody measures its deadlines, and its end is not waited for. What it needs is
made here: an exchange, its way out, and a place among the connections of the service.

Whatever else turns out to be needed, an ordinary connection takes its place in the middle of the answer: after a moment
(`unwatched`), at a sweep, if the reactor has to send, refuse or cut off, if another protocol takes it over.

Two threads meet at the end: the worker that has sent all closes the socket, or the reactor makes an ordinary connection
of it. Whoever takes it out of the factory's ``connections`` may do so, and nobody else: a set gives it to one thread. A
worker that finds it taken leaves the end to the reactor.

Methods under the banner WORKER are called in a worker's thread, all others in the reactor's.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from fcntl import ioctl
from functools import lru_cache
from termios import FIONREAD
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.interfaces import IAddress, IProtocol

from twisted_wsgiref._gateway.environ import ConnectionEnviron
from twisted_wsgiref._gateway.exchange import Exchange
from twisted_wsgiref._gateway.interfaces import Target
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import RequestHead, read_last_head
from twisted_wsgiref._threads.answer_batch import AnswerBatch
from twisted_wsgiref._threads.marks import NO_GIL, fence

from .answer_queue import AnswerQueue
from .exits import SocketExit
from .peer import user_facts
from .plain_transports import tcp_address
from .transports import drop_unread, host_and_port
from .unwatched import Unwatched

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.environ import WSGIEnvironment

    from .factory import WSGIFactory
    from .handed_over import HandedOverTransport
    from .protocol import WSGIProtocol
    from .socket_transport import SocketTransport

#: Makes an ordinary connection of a socket and the name of its other end: the protocol, and the transport for it.
MakeOrdinary = Callable[[socket.socket, object], "tuple[WSGIProtocol, SocketTransport]"]

_NONE: Final = bytes(4)  # a number of bytes, as the kernel tells it
# The `close` of `socket.socket` first looks for files that are made of it.
_close: Final = socket.SocketType.close
# How many addresses of this machine are remembered for each port that listens on all.
_MOST_ENDS: Final = 64
_NOBODY: Final = ("", 0)


class Reception:
    """Serves those clients of one port who have one request each, for `factory`.

    `host` is the address that all connections of the port have; None if they differ. `make_ordinary` makes another
    connection of one that is not brief after all.
    """

    def __init__(
        self,
        factory: WSGIFactory,
        unwatched: Unwatched,
        is_tcp: bool,
        host: IAddress | None,
        make_ordinary: MakeOrdinary,
    ) -> None:
        self.factory = factory
        self._unwatched = unwatched
        # Answers do not wait for each other (`answer_batch`): each is followed by its close, and CPU time was 0.96 of
        # that with answers that leave together.
        self._at_once = AnswerBatch(factory.log_bug)
        #: Those connections that are not over, and not watched.
        self.live = unwatched.live
        self.make_ordinary = make_ordinary
        rules = factory.rules
        self._limits = rules.limits
        self._high_water = rules.high_water
        self._most = rules.max_connections
        self._keeps_alive = rules.keep_alive
        self._is_tcp = is_tcp
        self._environ = self._make_environ(host_and_port(host)) if host is not None or not is_tcp else None
        self._environ_at = lru_cache(_MOST_ENDS)(lambda name: self._make_environ(host_and_port(tcp_address(name))))

    def _make_environ(self, near: tuple[str, int] | None) -> ConnectionEnviron:
        """Return what makes the environs of all clients that come by one address. It remembers nothing of a request.

        The other end is filled in for each.
        """
        return ConnectionEnviron(self.factory.environ, "http", near, _NOBODY if self._is_tcp else None)

    def take(self, sock: socket.socket, peer: object, came: bytes) -> bool:
        """Serve the request that `came` is, by `sock` from `peer`, if it is whole and its client's last.

        Return False if it is not, or if an ordinary connection has to judge it: there is a mistake in it, or no room.
        """
        # Most of those who may send another request are found by this, without a look at the head.
        if b" HTTP/1.0\r\n" not in came and b"close" not in came and b"Close" not in came:
            return False
        factory = self.factory
        connections = factory.connections
        if factory.draining or not self._keeps_alive or len(connections) >= self._most:
            return False
        try:
            head = read_last_head(came, self._limits)
            if head is None:
                return False
            environ, name = self._describe(sock, peer, head)
            target: Target = factory.target if factory.is_direct else factory.route(head, environ, name)
        except ProtocolError:
            return False
        connection = BriefConnection(self, sock, peer)
        queue = AnswerQueue(
            factory.coder, SocketExit(sock, True), connection.ask_to_send, self._high_water, self._at_once
        )
        exchange = target.prepare(head, environ, None, queue, connection)
        connection.answering = exchange, queue
        connections.add(connection)
        live = self.live
        if not live:
            self._unwatched.begin()
        live.add(connection)
        target.start(exchange)
        return True

    def _describe(self, sock: socket.socket, peer: object, head: RequestHead) -> tuple[WSGIEnvironment, str | None]:
        """Return the environ for the request of `head`, and the address of its sender, None for a UNIX socket's."""
        known = self._environ or self._environ_at(sock.getsockname())
        environ = known.make(head, 0)
        if not self._is_tcp:
            environ.update(user_facts(sock))
            return environ, None
        if type(peer) is tuple and len(peer) == 2:  # as IPv4 has it
            name, port = peer
        else:
            name, port = host_and_port(tcp_address(peer)) or _NOBODY
        environ["REMOTE_ADDR"] = name
        environ["REMOTE_PORT"] = str(port)
        return environ, name


class BriefConnection:
    """The connection by `sock` from `peer`. As an exchange and the factory see it, it is one like others.

    ``answering`` are the exchange and its way out; None once it is over, or an ordinary connection is at it.
    """

    __slots__ = ("__weakref__", "_ordinary", "_peer", "_reception", "_sock", "answering")

    answering: tuple[Exchange, AnswerQueue] | None

    def __init__(self, reception: Reception, sock: socket.socket, peer: object) -> None:
        self._reception = reception
        self._sock = sock
        self._peer = peer
        self._ordinary: WSGIProtocol | None = None

    # ---- In the place of an ordinary one ---------------------------------------------------------------------------

    def become_ordinary(self) -> WSGIProtocol | None:
        """Return the ordinary connection that goes on instead of this; None if this is over. It is made at need."""
        answering, reception = self.answering, self._reception
        if answering is not None:
            try:
                reception.factory.connections.remove(self)
            except KeyError:  # a worker has closed it
                return None
            reception.live.discard(self)
            protocol, transport = reception.make_ordinary(self._sock, self._peer)
            protocol.begin_answered(transport, *answering)
            self._ordinary = protocol
            self.answering = None  # last: a worker that sees it takes the other's place
        return self._ordinary

    def watch(self) -> None:
        """Notice from now on if the client leaves, unless this is over."""
        self.become_ordinary()

    def ask_to_send(self) -> None:
        """Have the reactor send what a worker could not. Called in any thread."""
        self._reception.factory.wake(self._send)

    def _send(self) -> None:
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.send_on()

    # ---- As an exchange sees it ------------------------------------------------------------------------------------

    @property
    def transport(self) -> SocketTransport | None:
        """That of an ordinary connection."""
        ordinary = self.become_ordinary()
        return None if ordinary is None else cast("SocketTransport", ordinary.transport)

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of the application, which has not begun, and close."""
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.refuse_exchange(status)

    def hand_over(self, exchange: Exchange, protocol: IProtocol) -> HandedOverTransport:
        """Give the connection to `protocol`; as `LendingConnection.hand_over`."""
        return self._there().hand_over(exchange, protocol)

    def pass_on(self, exchange: Exchange, target: Target, head: RequestHead, user: str | None) -> None:
        """Have `target` answer the request of `head`; as `LendingConnection.pass_on`."""
        self._there().pass_on(exchange, target, head, user)

    def _there(self) -> WSGIProtocol:
        ordinary = self.become_ordinary()
        if ordinary is None:
            raise RuntimeError("the connection is over")
        return ordinary

    # ---- WORKER ----------------------------------------------------------------------------------------------------

    def exchange_ended(self) -> None:
        """Close the connection, if all of the answer is sent and nobody else is at it; else the reactor ends it."""
        answering = self.answering  # once: the reactor may take it at any moment
        if answering is None:
            self._there().exchange_ended()
            return
        exchange, queue = answering
        reception = self._reception
        factory = reception.factory
        if not queue.finish():
            return  # the reactor takes the rest, and then the end
        if queue.gone or exchange.cut:
            factory.wake(self._end)
            return
        exchange.report()
        try:
            factory.connections.remove(self)
        except KeyError:  # the reactor makes an ordinary one of it at this moment
            factory.wake(self._end)
            return
        reception.live.discard(self)
        self.answering = None  # what refers to each other is cut: nothing is left for the collector
        queue.gone = True  # nothing is sent any more, by nobody
        sock = self._sock
        unread = bytearray(4)  # bytes would cost twice as much, and what a `recv` in vain raises four times
        try:
            ioctl(sock.fileno(), FIONREAD, unread)
            if unread != _NONE:
                drop_unread(sock.recv)  # or the kernel would make a reset of the close
        finally:
            _close(sock)
        if NO_GIL:
            fence()
        if factory.draining:
            factory.wake(factory.check_drained)

    def _end(self) -> None:
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.exchange_ended()

    # ---- As the factory sees it ------------------------------------------------------------------------------------

    takes_place = False

    @property
    def expendable_since(self) -> float | None:
        """Return None: a whole request has come."""
        return None

    @property
    def is_unanswered(self) -> bool:
        """Return True: else it would be over."""
        return True

    def retire(self) -> None:
        """Do nothing: the answer is the last one anyway."""

    def resume(self) -> None:
        """Do nothing, as well."""

    def sweep(self, now: float) -> None:
        """Be looked at as an ordinary one."""
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.sweep(now)

    def cut_off(self) -> None:
        """Reset the connection, unless it is over."""
        ordinary = self.become_ordinary()
        if ordinary is not None:
            ordinary.cut_off()

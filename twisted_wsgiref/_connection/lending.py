"""How a connection, or a request on it, comes to others: to another protocol, to an application, to another target.

What lives here: the moment in which it changes hands. What may not: what the others do with it, which is
`handed_over`'s and `upgrade_socket`'s. Of this an ordinary request meets one question: whether it asks for an upgrade.

Methods under the banner WORKER are called in a worker's thread, all others in the reactor's.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EPIPE
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocol

from twisted_wsgiref._gateway.environ import ConnectionEnviron, believe
from twisted_wsgiref._gateway.exchange import Exchange
from twisted_wsgiref._gateway.request_body import spent
from twisted_wsgiref._http.forwarded import apply as read_forwarded
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.request_framing import asks_for_upgrade

from .handed_over import HandedOver, HandedOverTransport
from .transports import is_secure
from .upgrade_socket import SocketPump, UpgradeSocket
from .watched import WatchedConnection

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.environ import WSGIEnvironment
    from twisted_wsgiref._gateway.interfaces import Target

    from .rules import Rules


class LendingConnection(WatchedConnection):
    """A connection of `factory`, as far as others get it. A subclass reads and answers."""

    _pump: SocketPump | None = None  # an application has the connection, as a socket

    # What the connection is at, as the subclass leaves it.
    _environ: ConnectionEnviron | None
    _rules: Rules

    # ---- What the subclass does ----------------------------------------------------------------------------------

    def exchange_ended(self) -> None:
        """Give the connection back, if all of the answer is sent. Called in a worker's thread."""
        raise NotImplementedError

    # ---- To another protocol -----------------------------------------------------------------------------------

    def hand_over(self, exchange: Exchange, protocol: IProtocol) -> HandedOverTransport:
        """Give the connection to `protocol`, which calls itself connected; return the transport for it.

        From now on all that comes is the protocol's, and HTTP's deadlines do not hold. Raises `RuntimeError` if an
        answer has begun, or the connection is at its end.
        """
        if exchange is not self._exchange or exchange.begun or self._closing or self._lost:
            raise RuntimeError("the connection can not be taken over: an answer has begun, or the connection ends")
        exchange.close()
        exchange.status = 101
        exchange.persistent = False
        self._handed_over = handed_over = HandedOver(protocol, self.cut_off)
        # On the instance, so that no other connection has to ask.
        self.__dict__["dataReceived"] = handed_over.data_received
        rest = self._reader.take_rest()
        if rest:
            self.factory.wake(lambda: handed_over.data_received(rest))
        if self._half_closed:  # it is not read any more, and so would hear of no end
            self.factory.wake(lambda: handed_over.read_lost(self.transport.loseConnection))
        self._reading.resume(self._reading.waits)
        return HandedOverTransport(self.transport, self._reading)

    # ---- To the application, as a socket -----------------------------------------------------------------------

    def _offer_socket(self, environ: WSGIEnvironment, head: RequestHead) -> None:
        """Have `environ` offer the connection as a socket, if the request of `head` may be answered so."""
        adopt = self.factory.adopt
        if adopt is not None and head.length == 0 and asks_for_upgrade(head.minor, head.fields):
            # The name that werkzeug's server has given it, and by which extensions look for it.
            environ["werkzeug.socket"] = UpgradeSocket(partial(self._lend_socket, environ, adopt))

    def _begin_pump(self, exchange: Exchange, sock: socket.socket, adopt: Callable[..., object]) -> None:
        """Copy between the connection and `sock` from now on, by `adopt`, unless the connection has ended meanwhile."""
        pump = SocketPump()
        try:
            transport = self.hand_over(exchange, pump)
        except RuntimeError:
            sock.close()
            return
        exchange.watched = True  # nobody wonders that it takes long
        self._pump = pump
        pump.begin(transport, sock, adopt, self._exit is not None and not is_secure(self.transport))

    # ---- To another target -------------------------------------------------------------------------------------

    def pass_on(self, exchange: Exchange, target: Target, head: RequestHead, user: str | None) -> None:
        """Have `target` answer the request of `head`, and not `exchange`: its application has asked for that."""
        connection, trusted = self._environ, self.factory.rules.trusted
        if exchange is not self._exchange or connection is None:
            raise RuntimeError("the request can not be passed on: it is answered")
        environ = connection.make(head, 0)
        if trusted is not None:
            believe(environ, read_forwarded(head.fields, connection.peer, trusted))
        self.factory.identify(head, environ, connection.peer, head.request_id)
        if head.method not in ("GET", "HEAD"):
            environ["REQUEST_METHOD"] = "GET"  # the body has gone to the application
        if user is not None:
            environ["REMOTE_USER"] = user
        inner = target.prepare(head, environ, spent(exchange.body), self._queue, self)
        inner.follow(exchange)
        if self.factory.draining or not self._rules.keep_alive:
            inner.persistent = False
        self._exchange = inner
        target.start(inner)

    # ---- WORKER ------------------------------------------------------------------------------------------------

    def _lend_socket(self, environ: WSGIEnvironment, adopt: Callable[..., object]) -> socket.socket:
        """Return a socket that is as good as the connection, for the application that answers the request of `environ`.

        Raises `OSError` if the answer has begun, or nobody waits for it.
        """
        exchange = self._exchange
        near, far = socket.socketpair()
        if exchange is None or exchange.environ is not environ or not exchange.give_way():
            near.close()
            far.close()
            raise BrokenPipeError(EPIPE, "the request is answered, or its client is gone")
        self.factory.wake(partial(self._begin_pump, exchange, far, adopt))
        return near

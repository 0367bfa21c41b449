"""A connection as a blocking socket, for an application that speaks another protocol in its thread: WebSockets.

The application has one end of a pair; what it writes there is copied to the connection, and what comes is copied to it.
So it works over TLS as over anything else, and the connection stays the reactor's: its client may be slow, or leave.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

if TYPE_CHECKING:
    from typing import Protocol as Shape

    from twisted_wsgiref._twisted.reactor import Transport

    class _Far(Transport, Shape):
        """The transport of the far end: one of a plain socket."""

        def getHandle(self) -> socket.socket: ...

        def abortConnection(self) -> None: ...


# An application that is through may have put this much into the pair, in pieces of 64 KiB: what a kernel keeps, and
# more. A thread that it has left behind, and that writes on, is not waited for.
_LAST_PIECES: Final = 32
_PIECE: Final = 64 * 1024


class UpgradeSocket:
    """A blocking socket, once it is used: ``environ["werkzeug.socket"]``. Called in the application's threads.

    It has all attributes of a `socket.socket`. With the first use of any but ``close`` the connection changes hands:
    then `take` is called, which gives the application's end of a pair, or raises `OSError`.
    """

    __slots__ = ("__weakref__", "_lock", "_sock", "_take")

    def __init__(self, take: Callable[[], socket.socket]) -> None:
        self._take: Callable[[], socket.socket] | None = take
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'unused' if self._sock is None else self._sock!r}>"

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)  # whoever copies an environ, or looks into it, uses nothing
        return getattr(self._use(), name)

    def close(self) -> None:
        """Close it, if it was used."""
        if self._sock is not None:
            self._sock.close()

    def __enter__(self) -> UpgradeSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _use(self) -> socket.socket:
        with self._lock:
            if self._sock is None:
                take, self._take = self._take, None  # it refers to the environ, and that to this
                if take is None:
                    raise BrokenPipeError("this socket could not be had when it was first used")
                self._sock = take()
            return self._sock


@implementer(IHalfCloseableProtocol, IPushProducer)
class SocketPump(Protocol):
    """Copies between the connection that was handed over and the far end of a pair, no faster than either takes it.

    Called in the reactor's thread.
    """

    #: The transport of the connection.
    near: Transport

    def __init__(self) -> None:
        self._far: _Far | None = None  # the transport of the far end
        #: The client does not take what the application gives: the application waits.
        self.held = False
        #: How often it has taken some again.
        self.freed = 0
        self._halves = False

    def begin(self, near: Transport, sock: socket.socket, adopt: Callable[..., object], halves: bool) -> None:
        """Copy between `near`, the connection, and `sock`, which `adopt` makes a transport of, and closes here.

        `halves` says that the connection can close one half of its own.
        """
        self._halves = halves
        self.near = near
        Protocol.makeConnection(self, near)
        with sock:
            sock.setblocking(False)
            adopt(sock.fileno(), sock.family, _OneEnd(_FarEnd(self)))
        near.registerProducer(self, True)

    def finish(self) -> None:
        """Write what the application, which is through, has left in the pair, and close that."""
        far, self._far = self._far, None
        if far is not None:
            sock = far.getHandle()
            with suppress(OSError):
                for _ in range(_LAST_PIECES):
                    data = sock.recv(_PIECE)
                    if not data:
                        break
                    self.near.write(data)
            far.unregisterProducer()
            far.abortConnection()
        self.near.unregisterProducer()

    # ---- Called by the connection ------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Pass `data` on to the application, if it still has its end."""
        if self._far is not None:
            self._far.write(data)

    def readConnectionLost(self) -> None:
        """Have the application see the end of what it reads."""
        if self._far is not None:
            self._far.unregisterProducer()
            self._far.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Do nothing: it was us who closed this half."""

    def connectionLost(self, reason: object = None) -> None:
        """Have the application see the end, once it has read what came before."""
        far, self._far = self._far, None
        if far is not None:
            far.unregisterProducer()
            far.loseConnection()

    def pauseProducing(self) -> None:
        """Read nothing from the application."""
        self.held = True
        if self._far is not None:
            self._far.pauseProducing()

    def resumeProducing(self) -> None:
        """Read from the application again."""
        self.held = False
        self.freed += 1
        if self._far is not None:
            self._far.resumeProducing()

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` comes next."""

    # ---- Called by the far end ---------------------------------------------------------------------------------

    def far_made(self, far: _Far) -> None:
        """Take the transport of the far end."""
        self._far = far
        far.registerProducer(_Brake(self.near), True)

    def far_ended(self) -> None:
        """Tell the client, if it can be told, that the application writes no more."""
        self.near.unregisterProducer()
        self.held = False
        if self._far is None:
            return
        if self._halves:
            self.near.loseWriteConnection()
        elif _is_closed(self._far.getHandle()):
            self.near.loseConnection()  # TLS has no half of an end; but nobody reads any more

    def far_lost(self) -> None:
        """Drop what comes from now on."""
        if self._far is not None:
            self.far_ended()
            self._far = None
            self.near.resumeProducing()


@implementer(IHalfCloseableProtocol)
class _FarEnd(Protocol):
    """The far end of the pair, for its pump."""

    def __init__(self, pump: SocketPump) -> None:
        self._pump = pump

    def connectionMade(self) -> None:
        self._pump.far_made(cast("_Far", self.transport))

    def dataReceived(self, data: bytes) -> None:
        self._pump.near.write(data)

    def readConnectionLost(self) -> None:
        self._pump.far_ended()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: object = None) -> None:
        self._pump.far_lost()


@implementer(IPushProducer)
class _Brake:
    """Has the connection not read while the application does not."""

    def __init__(self, near: Transport) -> None:
        self._near = near
        self.pauseProducing = near.pauseProducing
        self.resumeProducing = near.resumeProducing

    def stopProducing(self) -> None:
        """Do nothing: the end of the pair is not that of the connection."""


def _is_closed(sock: socket.socket) -> bool:
    """Return whether the other end of the pair is closed, and not only the half that it writes to."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


class _OneEnd(Factory):
    """Makes one protocol."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol

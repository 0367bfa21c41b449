"""TLS under a connection, as Twisted speaks it: plain text gets an answer that can be read, a failed handshake a line.

Here lives Twisted's TLS, seen from below: this is imported only where somebody speaks TLS (`perhaps_secure`). Files and
words may not live here, which are `certificates`'. All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from twisted_wsgiref._http.opening import plain_opening

# What Twisted makes of each connection: a subclass of `TLSMemoryBIOProtocol`.
_Made = TLSMemoryBIOFactory.protocol
if TYPE_CHECKING:

    class _Transport(TLSMemoryBIOProtocol):
        def makeConnection(self, transport: ITransport) -> None: ...

        def dataReceived(self, data: bytes) -> None: ...

        def connectionLost(self, reason: Failure = ...) -> None: ...

else:
    _Transport = _Made


class Above(Protocol):
    """A connection that is told how the one below it begins."""

    def begin_handshake(self) -> None: ...

    def refuse_plain(self, reason: str, below: ITransport, method: str) -> None: ...


class SecureTransport(_Transport):
    """Twisted's own, but it tells the connection above how it begins: `begin_handshake`, or `refuse_plain`."""

    def makeConnection(self, transport: ITransport) -> None:
        """Look at the first bytes that come; all later ones go their way without a further call."""
        self._receive_by(self._begin)
        super().makeConnection(transport)

    def _receive_by(self, receive: Callable[[bytes], None] | None) -> None:
        """Have `receive` in the place of ``dataReceived``, which is looked up on the object; None: Twisted's own."""
        self.__dict__.pop("dataReceived", None)
        if receive is not None:
            self.__dict__["dataReceived"] = receive

    def _begin(self, data: bytes) -> None:
        self._receive_by(None)
        connection: object = self.wrappedProtocol
        while connection is not None and not hasattr(connection, "refuse_plain"):
            connection = getattr(connection, "wrappedProtocol", None)
        above = cast("Above | None", connection)
        what = plain_opening(data)
        if above is None:  # a protocol of somebody else's is between, and hides it: all is as Twisted has it
            self.dataReceived(data)
        elif what is None or self.transport is None:
            above.begin_handshake()
            self.dataReceived(data)
        else:
            self._receive_by(_drop)
            above.refuse_plain(what, self.transport, "HEAD" if data.startswith(b"HEAD ") else "")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the protocol above, and hold nothing."""
        self._receive_by(None)
        super().connectionLost(reason)


def _drop(data: bytes) -> None:
    """Leave `data` unread: the answer is on its way, and is lost if the connection is closed too early."""


def take_over(factory: TLSMemoryBIOFactory) -> None:
    """Make the connections of `factory` ours, unless somebody has other ones in their place."""
    if factory.protocol is _Made:
        factory.protocol = SecureTransport

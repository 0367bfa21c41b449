"""TLS under a connection, as Twisted speaks it: plain text gets an answer that can be read, a failed handshake a line.

What lives here: Twisted's TLS, seen from below. What may not: files and words, which are `certificates`'. All is called
in the reactor's thread.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.protocols.tls import TLSMemoryBIOFactory

from twisted_wsgiref._http.opening import plain_opening

_Transport: Any = TLSMemoryBIOFactory.protocol


class SecureTransport(_Transport):  # type: ignore[misc]
    """Twisted's own, but it tells the protocol above what comes first: `begin_handshake`, or `refuse_plain`."""

    dataReceived: Any

    def makeConnection(self, transport: Any) -> None:
        """Look at the first bytes that come; all later ones go their way without a further call."""
        self.dataReceived = self._begin
        super().makeConnection(transport)

    def _begin(self, data: bytes) -> None:
        del self.dataReceived
        connection: Any = self.wrappedProtocol
        while not hasattr(connection, "refuse_plain"):
            connection = connection.wrappedProtocol
        what = plain_opening(data)
        if what is None:
            connection.begin_handshake()
            self.dataReceived(data)
            return
        self.dataReceived = _drop
        connection.refuse_plain(what, self.transport, "HEAD" if data.startswith(b"HEAD ") else "")

    def connectionLost(self, reason: Any) -> None:
        """Tell the protocol above, and hold nothing."""
        self.__dict__.pop("dataReceived", None)
        super().connectionLost(reason)


def _drop(data: bytes) -> None:
    """Leave `data` unread: the answer is on its way, and is lost if the connection is closed too early."""


def handshake_failure(error: object) -> str:
    """Return why a handshake ended with `error`, in OpenSSL's own words if it is OpenSSL's."""
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return ", ".join(str(each[-1]) for each in error.args[0])
    return "the client left in the middle of it"


def tls_factory(port: Any) -> TLSMemoryBIOFactory | None:
    """Return what puts TLS on the connections of the listening `port`, below wrappers too; None if nothing does."""
    factory = getattr(port, "factory", None)
    while factory is not None and not isinstance(factory, TLSMemoryBIOFactory):
        factory = getattr(factory, "wrappedFactory", None)
    return factory


def answer_plain(port: Any) -> None:
    """Have those answered that come to `port` without TLS, where it speaks TLS, whoever made it."""
    factory = tls_factory(port)
    if factory is not None and factory.protocol is _Transport:
        factory.protocol = SecureTransport

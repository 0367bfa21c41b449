"""Connections by TCP and by UNIX sockets, whose bytes are sent as they are given.

What lives here: addresses, options, and descriptors that are sent. What may not: the life of a connection, which is
`socket_transport`'s. All is called in the reactor's thread.
"""

from __future__ import annotations

import socket
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ITCPTransport, IUNIXTransport
from zope.interface import implementer

from .socket_transport import SocketTransport
from .transports import host_and_port


def tcp_address(name: object) -> IPv4Address | IPv6Address:
    """Return the address of the end of a connection by TCP that the system calls `name`."""
    parts = cast("tuple[str, int] | tuple[str, int, int, int]", name)
    if len(parts) == 2:
        return IPv4Address("TCP", *parts)
    host, port, flow, scope = parts
    if scope:
        # With the interface behind it, without which nobody could connect to it.
        host = socket.getnameinfo(parts, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return IPv6Address("TCP", host, port, flow, scope)


class PlainTransport(SocketTransport):
    """A connection whose bytes go over the wire as they are."""

    def ends(self) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
        """Return host and port of this end, and of the other; None for those of a UNIX socket, which has neither."""
        return None, None


@implementer(ITCPTransport)
class TCPSocket(SocketTransport):
    """The addresses and options of a connection by TCP, over IPv4 or IPv6, whatever becomes of its bytes."""

    if TYPE_CHECKING:

        def getHost(self) -> IPv4Address | IPv6Address: ...

        def getPeer(self) -> IPv4Address | IPv6Address: ...

    def _address(self, name: object) -> IPv4Address | IPv6Address:
        return tcp_address(name)

    def ends(self) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
        """Return host and port of this end, and of the other."""
        peer = cast("tuple[str, int]", self._peer)
        # Of IPv4 it is what was asked for: an address is not made for it.
        far = peer if len(peer) == 2 else host_and_port(self.getPeer())
        return self._near or host_and_port(self.getHost()), far

    def getTcpNoDelay(self) -> bool:
        """Return whether nothing is held back for an acknowledgement."""
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Have nothing held back for an acknowledgement, or have it so again."""
        with suppress(OSError):  # it has ended
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        """Return whether the system asks an idle client for a sign of life."""
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Have the system ask an idle client for a sign of life, or not."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)


class TCPTransport(TCPSocket, PlainTransport):
    """A connection by TCP."""


@implementer(IUNIXTransport)
class UNIXTransport(PlainTransport):
    """A connection by a UNIX socket. It does as if it had the options of TCP, as Twisted's does."""

    _descriptors: Sequence[int] = ()  # sent with the next bytes

    def _address(self, name: object) -> UNIXAddress:
        return UNIXAddress(cast("bytes | str", name) or None)

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Send a copy of `descriptor`, which stays open until then, together with a byte of what is sent next."""
        if self._may_write():
            self._descriptors = [*self._descriptors, descriptor]
            self.startWriting()

    def _send(self, data: bytes | memoryview) -> int:
        descriptors = self._descriptors
        if not descriptors:
            return self.socket.send(data)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors[:1]))]
        # One byte each, as whoever receives them expects.
        sent = self.socket.sendmsg([data if len(descriptors) == 1 else data[:1]], rights)
        self._descriptors = descriptors[1:]
        return sent

    def getTcpNoDelay(self) -> bool:
        """Return False: there is no such thing here."""
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: nothing is held back here."""

    def getTcpKeepAlive(self) -> bool:
        """Return False: there is no such thing here."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Do nothing: a client on this machine needs no sign of life."""

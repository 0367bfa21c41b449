"""What is asked of a transport, whatever kind it is. Keeps no state; all is called in the reactor's thread."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ISSLTransport


def find_socket(transport: Any) -> socket.socket | None:
    """Return the socket on which `transport` sends octets as they are given; None if it changes them or has none.

    A wrapper that only reads a PROXY header passes `getHandle` on, and is as good as what it wraps.
    """
    if ISSLTransport.providedBy(transport):
        return None
    handle = getattr(transport, "getHandle", None)
    sock = handle() if handle is not None else None
    return sock if isinstance(sock, socket.socket) else None


def is_secure(transport: Any) -> bool:
    """Return whether `transport` speaks TLS."""
    return bool(ISSLTransport.providedBy(transport))


def host_and_port(address: Any) -> tuple[str, int] | None:
    """Return the two of an IP address; None for a UNIX socket's, which has neither."""
    return (address.host, address.port) if isinstance(address, IPv4Address | IPv6Address) else None


def abort(transport: Any) -> None:
    """Reset the connection where `transport` can, else close it."""
    reset = getattr(transport, "abortConnection", None)
    if reset is not None:
        reset()
    else:
        transport.loseConnection()

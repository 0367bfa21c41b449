"""What is asked of a transport, whatever kind it is. Keeps no state but one descriptor.

All is called in the reactor's thread.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, ISSLTransport, ITransport
from twisted.internet.tcp import Port
from twisted.logger import LogEvent

from twisted_wsgiref._http.address import unmapped
from twisted_wsgiref._threads.forks import Places
from twisted_wsgiref._twisted.private import call_before_close, tell_of_accepting, transport_below_tls
from twisted_wsgiref._twisted.reactor import Transport

# As many turns of accepting as empty the queue of a busy server; who connects all the time does not hold up the end.
_MOST_TURNS: Final = 256
# As much as kernels keep of what one connection has unread: 4 MiB.
_LAST_READS: Final = 64
_LAST_READ: Final = 64 * 1024
_CONGESTION: Final = getattr(socket, "TCP_CONGESTION", None)
_IP: Final = (IPv4Address, IPv6Address)  # a union is made anew each time
# What the kernel calls an algorithm takes so many bytes at the most: TCP_CA_NAME_MAX.
_LONGEST_NAME: Final = 16


class Origin(NamedTuple):
    """Where a connection comes from: its `peer`, as `accept` gives it, and the port or path, `place`, it came by.

    ``number`` is which of the connections of that place it is. ``host`` is the address of this end; None: the socket is
    asked for it. ``near`` are host and port of it, if they are known.
    """

    peer: object
    place: object
    number: int
    host: IAddress | None = None
    near: tuple[str, int] | None = None


def send_unpaced(listener: socket.socket) -> None:
    """Have the kernel send what goes to clients of a loopback address as fast as they read.

    Where BBR is the system's congestion control, it spreads what is sent in time, for a network that is not there. Only
    the listening socket can say so: what a connection has begun with stays. Does nothing elsewhere, where another
    algorithm is used, or where it is forbidden.
    """
    if _CONGESTION is None or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):
        algorithm = listener.getsockopt(socket.IPPROTO_TCP, _CONGESTION, _LONGEST_NAME)
        if algorithm.startswith(b"bbr") and unmapped(ip_address(listener.getsockname()[0])).is_loopback:
            listener.setsockopt(socket.IPPROTO_TCP, _CONGESTION, b"reno")


def widen(port: object, backlog: int, places: Places, note: Callable[[int, str], None]) -> None:
    """Have the kernel keep `backlog` connections for the listening `port`: Twisted's endpoints ask for 50.

    `places` learns where it listens, and `note` why a connection was not accepted.
    """
    sock = getattr(port, "socket", None)
    if sock is not None:
        places.add(sock)
        sock.listen(backlog)
        send_unpaced(sock)

    def note_not_accepted(event: LogEvent) -> None:
        if "acceptError" in event:
            note(0, f"a connection could not be accepted: {event['acceptError']}")
        elif "address" in event:
            note(0, "a connection was closed at once: no descriptor is left (ulimit -n)")

    # Without descriptors Twisted closes what it accepts, with a line for each: a flood of them is one line.
    tell_of_accepting(port, note_not_accepted)


def stop_accepting(port: IListeningPort) -> Deferred[None]:
    """Close the listening `port`, after all is accepted that the kernel has let in: it would reset those connections.

    Twisted closes a turn of the reactor later, so the queue is emptied then, in the moment before.
    """
    if isinstance(port, Port) and hasattr(select, "poll"):
        tcp_port = port
        call_before_close(tcp_port, lambda: _accept_all(tcp_port))
    return maybeDeferred(lambda: port.stopListening() or succeed(None))


def _accept_all(port: Port) -> None:
    poll = select.poll()
    poll.register(port.socket, select.POLLIN)
    for _ in range(_MOST_TURNS):
        if not poll.poll(0):
            return
        port.doRead()


def find_socket(transport: object) -> socket.socket | None:
    """Return the socket on which `transport` sends bytes as they are given; None if it changes them or has none.

    A wrapper that only reads a PROXY header passes `getHandle` on, and is as good as what it wraps.
    """
    if ISSLTransport.providedBy(transport):
        return None
    handle = getattr(transport, "getHandle", None)
    sock = handle() if handle is not None else None
    return sock if isinstance(sock, socket.socket) else None


def send_at_once(transport: object) -> None:
    """Have nothing held back for the acknowledgement of what was sent before, where `transport` is TCP.

    Under TLS the server sends session tickets before it answers, and a client acknowledges them up to 40 ms later.
    """
    set_no_delay = getattr(transport, "setTcpNoDelay", None)
    if set_no_delay is not None:
        with suppress(OSError):  # Twisted's UNIX sockets have the method, too
            set_no_delay(True)


def is_secure(transport: object) -> bool:
    """Return whether `transport` speaks TLS."""
    return bool(ISSLTransport.providedBy(transport))


def host_and_port(address: object) -> tuple[str, int] | None:
    """Return the two of an IP address; None for a UNIX socket's, which has neither.

    An IPv4 client of a socket that takes both kinds has the name that it has elsewhere, too.
    """
    if not isinstance(address, _IP):
        return None
    host = address.host
    return str(unmapped(ip_address(host))) if host.startswith("::ffff:") else host, address.port


def peer_name(transport: ITransport | Transport) -> str:
    """Return the address of the other end, for people: HOST:PORT, or the kind of socket. Raises nothing."""
    try:
        address = transport.getPeer()
        found = host_and_port(address)
    except Exception:  # a wrapper that has let go of its transport
        return "unknown"
    if found is None:
        return type(address).__name__.removesuffix("Address")
    host, port = found
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def close(transport: ITransport | Transport) -> None:
    """Close the connection in order, with what is written still sent; under TLS without waiting for the other end.

    Twisted waits until our close_notify is answered, which a client that is asleep does not; RFC 8446, section 6.1,
    asks nobody to wait.
    """
    transport.loseConnection()
    below = transport_below_tls(transport)
    if below is not None:
        below.loseConnection()


class _DeadEnd:
    """A socket whose other end is closed: every send on it fails at once, `sendfile` too, as on no file or device.

    Made before it is needed, since it is needed most where no descriptor is left: many clients leave then.
    """

    def __init__(self) -> None:
        self._make()

    def _make(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        self._status = os.fstat(ours.fileno())
        self._descriptor = ours.detach()

    def fileno(self) -> int:
        """Return its descriptor. Raises `OSError` where it was closed, and no other can be made."""
        # A program that becomes a daemon may close all that it finds, and the number be somebody else's by now.
        try:
            ours = os.path.samestat(os.fstat(self._descriptor), self._status)
        except OSError:
            ours = False
        if not ours:
            self._make()
        return self._descriptor


_dead_end: Final = _DeadEnd() if os.name == "posix" else None


def sever(sock: socket.socket) -> None:
    """Have the connection of `sock`, which its transport has closed, really closed, though a file holds the descriptor.

    A worker may be sending on the descriptor, so nobody else must get it; but as long as it is the connection's, the
    other end sees nothing of the close, not even of a reset, until that worker is through. So a dead end takes its
    place, and what the worker still sends fails. Raises nothing.
    """
    if _dead_end is None:
        return
    try:
        os.dup2(_dead_end.fileno(), sock.fileno(), inheritable=False)
    except OSError:  # then at least nothing more is sent
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def drop_unread(receive: Callable[[int], bytes]) -> None:
    """Take what a connection has unread, by `receive`: with it unread the kernel makes a reset of an orderly close.

    A reset may also overtake what was sent last (RFC 9112, section 9.6). A client that sends all the time does not
    hold up the end. Raises nothing.
    """
    try:  # not `suppress`, which costs four times as much: each connection comes by here
        for _ in range(_LAST_READS):
            if not receive(_LAST_READ):
                return
    except OSError:
        pass


def abort(transport: ITransport | Transport) -> None:
    """Reset the connection where `transport` can, else close it."""
    reset = getattr(transport, "abortConnection", None)
    if reset is not None:
        reset()
    else:
        transport.loseConnection()

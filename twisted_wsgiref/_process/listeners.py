"""The parent's listening sockets: bound once, handed to every child, and closed last.

Here live a reactor for endpoints that binds and never accepts, and the names by which children ask for its sockets.
Nothing that reads from a connection may live here. Called in the reactor's thread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from twisted_wsgiref._connection.endpoints import as_listen_error
from twisted_wsgiref._twisted.private import adopt_stream_port, close_socket, inherited_sockets, keep_socket_open
from twisted_wsgiref._twisted.reactor import Listening, Port, Reactor
from twisted_wsgiref._twisted.stand_in import StandInReactor


class Bound(NamedTuple):
    """A listening socket: the name by which a child's endpoint asks for it, its number here, and its family."""

    key: str
    descriptor: int
    family: int


def tcp_key(port: object, interface: object = "") -> str:
    """Return the name of the socket that ``listenTCP(port, ..., interface=interface)`` binds."""
    return f"tcp {port} {interface}"


def unix_key(address: str | bytes) -> str:
    """Return the name of the socket that ``listenUNIX(address, ...)`` binds."""
    return f"unix {os.fsdecode(address)}"


def adopted_key(descriptor: int) -> str:
    """Return the name of the socket that ``adoptStreamPort(descriptor, ...)`` takes over, as systemd's are."""
    return f"adopted {descriptor}"


class BindingReactor(StandInReactor):
    """A reactor whose ports are bound and listen, but leave every connection to the children.

    All children share one queue in the kernel. So a child that dies takes no connection with it that it had not
    accepted, and while there is no child, clients wait and are not refused.
    """

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(reactor)
        self.bound: list[tuple[str, Port]] = []

    def _keep(self, key: str, port: Port) -> Port:
        port.stopReading()
        # A close must not shut the socket down for all that share it: the connections that wait there are theirs.
        keep_socket_open(port)
        self.bound.append((key, port))
        return port

    def close(self) -> Deferred[list[tuple[bool, None]]]:
        """Close what is bound."""
        ports, self.bound = self.bound, []
        return DeferredList([_close(port) for _, port in ports], consumeErrors=True)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Port:
        """Bind a TCP port. Raises `CannotListenError`."""
        made = self._reactor.listenTCP(port, factory, backlog=backlog, interface=interface)
        return self._keep(tcp_key(port, interface), made)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Port:
        """Bind a UNIX socket. Raises `CannotListenError`."""
        return self._keep(unix_key(address), self._reactor.listenUNIX(address, factory, backlog, mode, wantPID))

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> Port:
        """Take over a listening socket that was inherited."""
        made = adopt_stream_port(self._reactor, fileDescriptor, addressFamily, factory)
        return self._keep(adopted_key(fileDescriptor), made)


def activated() -> tuple[list[int], list[str]]:
    """Return the descriptors that systemd gave to this process for ``systemd:`` endpoints, and their names."""
    given = inherited_sockets()
    if given is None:
        return [], []
    descriptors = given.inheritedDescriptors()
    # A name that several have is that of the last: the others have none, and each stays with its descriptor.
    names = {number: name for name, number in given.inheritedNamedDescriptors().items()}
    return descriptors, [names.get(number, "") for number in descriptors]


class Listeners:
    """The sockets of the endpoints that `parse` makes of their descriptions `texts`, for a reactor.

    That of `aside`, if it is one, is bound and handed to children as well; nobody is told of it, and it is closed last.
    """

    def __init__(
        self,
        reactor: Reactor,
        texts: Sequence[str],
        parse: Callable[[Listening, str], IStreamServerEndpoint],
        backlog: int,
        aside: str = "",
    ) -> None:
        self._reactor = BindingReactor(reactor)
        self._reactor_aside = BindingReactor(reactor)
        self._texts = texts
        self._aside = [aside] if aside else []
        self._parse = parse
        self._backlog = backlog

    def listen(self) -> Deferred[list[IListeningPort]]:
        """Bind all; fires with the ports, or fails with the `ListenError` of the first that could not be bound."""
        factory = Factory()
        factory.noisy = False

        def listen_on(reactor: BindingReactor, text: str) -> Deferred[IListeningPort]:
            return self._parse(reactor, text).listen(factory)

        texts = [(self._reactor, text) for text in self._texts] + [(self._reactor_aside, text) for text in self._aside]
        each = [maybeDeferred(listen_on, *pair).addErrback(partial(as_listen_error, pair[1])) for pair in texts]
        made = DeferredList(each, fireOnOneErrback=True, consumeErrors=True)

        def listens(results: list[tuple[bool, IListeningPort]]) -> list[IListeningPort]:
            for _, port in self._reactor.bound:
                # As many as the settings say: Twisted's endpoints ask for 50.
                port.socket.listen(self._backlog)
            return [port for _, port in results[: len(self._texts)]]

        return made.addCallbacks(listens, lambda failure: failure.value.subFailure)

    def bound(self) -> list[Bound]:
        """Return the sockets for a child."""
        ports = [*self._reactor.bound, *self._reactor_aside.bound]
        return [Bound(key, port.fileno(), port.socket.family) for key, port in ports]

    def close(self) -> Deferred[list[tuple[bool, None]]]:
        """Close all but those aside: from now on the system refuses clients, and the paths of UNIX sockets are gone."""
        return self._reactor.close()

    def close_aside(self) -> Deferred[list[tuple[bool, None]]]:
        """Close the others."""
        return self._reactor_aside.close()


def _close(port: Port) -> Deferred[None]:
    def close_all_the_same(failure: Failure) -> None:
        # If this user may not remove a UNIX socket's path, Twisted gives up before it closes the socket: clients could
        # still connect, and would wait in vain.
        failure.trap(OSError)
        close_socket(port, failure)

    return maybeDeferred(lambda: port.stopListening() or succeed(None)).addErrback(close_all_the_same)


def has_descriptors() -> bool:
    """Return whether this system can hand descriptors from process to process."""
    return hasattr(os, "fork") and hasattr(socket, "AF_UNIX")

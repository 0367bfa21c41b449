"""The reactor, and the ports and processes that it makes, as types: each with exactly what this package asks of it.

Twisted gives the reactor no type that names all its methods, and a listening port only one that hides its socket. So
each has a protocol here, for every room. Twisted's private names may not live here: they are `private`'s.

All is called in the reactor's thread, except `Reactor.callFromThread`, which any thread may call, and `the_reactor`,
which the main thread calls before there is a reactor.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProcessProtocol,
    IProtocolFactory,
    IReactorTime,
    IReadDescriptor,
)
from twisted.internet.task import LoopingCall

if TYPE_CHECKING:
    # Twisted without pyOpenSSL has neither.
    from twisted.internet.interfaces import IOpenSSLContextFactory, IOpenSSLServerConnectionCreator

_P = ParamSpec("_P")

#: How TLS is spoken on a port.
ContextFactory: TypeAlias = "IOpenSSLContextFactory | IOpenSSLServerConnectionCreator"


class Port(Protocol):
    """A port that a reactor has made, TCP or UNIX: more than Twisted's `IListeningPort` tells of it.

    A reactor looks ``doRead`` and ``connectionLost`` up on the object each time, so both may be set.
    """

    factory: IProtocolFactory
    socket: socket.socket
    connected: bool
    disconnecting: bool
    #: How many connections the port accepts in one turn of the reactor.
    numberAccepts: int
    fileno: Callable[[], int]
    doRead: Callable[[], object]
    connectionLost: Callable[[object], object]

    def getHost(self) -> IAddress:
        """Return where the port listens."""

    def startReading(self) -> None:
        """Accept connections."""

    def stopReading(self) -> None:
        """Accept no connections; the kernel keeps them."""

    def stopListening(self) -> Deferred[None] | None:
        """Close the port; the Deferred fires when it is closed, None: it is."""


class ChildProcess(Protocol):
    """A process that a reactor has started."""

    pid: int

    def signalProcess(self, signalID: int) -> None:
        """Send a signal to it. Raises `ProcessExitedAlready`."""


class Listening(Protocol):
    """What an endpoint asks of a reactor. Each method raises `CannotListenError`.

    Twisted's reactors have it, and the wrappers of ours that listen otherwise. An endpoint of somebody else's may ask
    for more, so a wrapper passes every other name on.
    """

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> Port:
        """Listen on a TCP port."""

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: ContextFactory,
        backlog: int = 50,
        interface: str = "",
    ) -> Port:
        """Listen on a TCP port, and speak TLS."""

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Port:
        """Listen on a UNIX socket at the path `address`."""

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> Port:
        """Accept on a copy of a listening socket that was inherited."""


class Reactor(Listening, Protocol):
    """All that this package asks of a reactor. Twisted's interfaces say what each method does."""

    running: bool
    #: Twisted's commands look it up when they call it, so it may be set before.
    run: Callable[..., None]

    # ---- Calls and time: IReactorTime, IReactorCore, IReactorFromThreads -------------------------------------------

    def seconds(self) -> float: ...

    def callLater(
        self, delay: float, call: Callable[_P, object], /, *args: _P.args, **named: _P.kwargs
    ) -> IDelayedCall: ...

    def callWhenRunning(self, call: Callable[_P, object], /, *args: _P.args, **named: _P.kwargs) -> object: ...

    def callFromThread(self, call: Callable[_P, object], /, *args: _P.args, **named: _P.kwargs) -> None: ...

    def addSystemEventTrigger(
        self, phase: str, event: str, call: Callable[_P, object], /, *args: _P.args, **named: _P.kwargs
    ) -> object: ...

    def stop(self) -> None: ...

    # ---- Descriptors and processes: IReactorFDSet, IReactorSocket, IReactorProcess ---------------------------------

    def addReader(self, reader: IReadDescriptor) -> None: ...

    def removeReader(self, reader: IReadDescriptor) -> None: ...

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> None: ...

    def spawnProcess(
        self,
        processProtocol: IProcessProtocol,
        executable: str,
        args: Sequence[str],
        env: Mapping[str, str],
        *,
        childFDs: Mapping[int, int | str],
    ) -> ChildProcess: ...


def the_reactor() -> Reactor:
    """Return the reactor of this process. Installs Twisted's default if nobody has chosen another.

    Call it as late as you can: a program may choose its reactor only before.
    """
    from twisted.internet import reactor

    return cast(Reactor, reactor)


def repeating(call: Callable[[], object], reactor: Reactor) -> LoopingCall:
    """Return a `LoopingCall` of `call`, not started, by the clock of `reactor`."""
    loop = LoopingCall(call)
    loop.clock = cast(IReactorTime, reactor)
    return loop

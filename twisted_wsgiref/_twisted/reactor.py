"""The reactor, and its ports, connections and processes, as types: each with exactly the names that this package uses.

Twisted gives the reactor no type that names all its methods, and a listening port only one that hides its socket. So
each has a protocol here, for every room. Twisted's private names live in `private`, not here.

The reactor's thread calls everything, with two exceptions: any thread may call `Reactor.callFromThread`, and the main
thread calls `the_reactor` before there is a reactor.
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
    IPullProducer,
    IPushProducer,
    IReactorTime,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.task import LoopingCall

if TYPE_CHECKING:
    # Twisted without pyOpenSSL has neither.
    from twisted.internet.interfaces import IOpenSSLContextFactory, IOpenSSLServerConnectionCreator

_P = ParamSpec("_P")

#: How TLS is spoken on a port.
ContextFactory: TypeAlias = "IOpenSSLContextFactory | IOpenSSLServerConnectionCreator"


class Port(Protocol):
    """A port that a reactor has made, TCP or UNIX, with more names than Twisted's `IListeningPort` has.

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
        """Return the address that the port listens on."""

    def startReading(self) -> None:
        """Accept connections."""

    def stopReading(self) -> None:
        """Accept no connections; the kernel keeps them."""

    def stopListening(self) -> Deferred[None] | None:
        """Close the port. The Deferred fires when it is closed; None means that it is closed already."""


class Transport(Protocol):
    """A connection as its protocol sees it: TCP, UNIX, TLS, or a wrapper around one of them."""

    def getHost(self) -> IAddress:
        """Return the address of this end."""

    def getPeer(self) -> IAddress:
        """Return the address of the other end."""

    def write(self, data: bytes) -> None:
        """Send `data` as soon as possible."""

    def loseConnection(self) -> None:
        """Close the connection once all is sent."""

    def loseWriteConnection(self) -> None:
        """Close this half once all is sent."""

    def pauseProducing(self) -> None:
        """Read no more."""

    def resumeProducing(self) -> None:
        """Read again."""

    def registerProducer(self, producer: IPullProducer | IPushProducer, streaming: bool) -> None:
        """Ask `producer` for more whenever there is room."""

    def unregisterProducer(self) -> None:
        """Ask no more."""

    def startWriting(self) -> None:
        """Call `doWrite` once the socket can be written. Only transports of plain sockets have this."""


class ChildProcess(Protocol):
    """A process that a reactor has started."""

    pid: int

    def signalProcess(self, signalID: int) -> None:
        """Send a signal to it. Raises `ProcessExitedAlready`."""


class Listening(Protocol):
    """The methods of a reactor that an endpoint calls. Each raises `CannotListenError`.

    Twisted's reactors have them, and so have our wrappers, which listen otherwise. An endpoint that is not ours may use
    more, so a wrapper passes every other name on.
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
        """Accept on a copy of an inherited listening socket."""


class Reactor(Listening, Protocol):
    """The names of a reactor that this package uses. Twisted's interfaces document each method."""

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

    def removeSystemEventTrigger(self, triggerID: object) -> None: ...

    def stop(self) -> None: ...

    # ---- Descriptors and processes: IReactorFDSet, IReactorSocket, IReactorProcess ---------------------------------

    def addReader(self, reader: IReadDescriptor) -> None: ...

    def removeReader(self, reader: IReadDescriptor) -> None: ...

    def addWriter(self, writer: IWriteDescriptor) -> None: ...

    def removeWriter(self, writer: IWriteDescriptor) -> None: ...

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

    Call it as late as you can: a program can choose its reactor only before this call.
    """
    from twisted.internet import reactor

    return cast(Reactor, reactor)


class _Repeating(LoopingCall):
    """A `LoopingCall` by a given clock.

    Twisted's own takes the process's reactor when it is made, and so installs the default if nobody has chosen one. To
    be checked: ``LoopingCall.__init__`` sets these four, and nothing else (`tests/test_twisted_private.py`).

    All that have the same interval come in the same turns, whenever they were started: an idle process wakes once.
    """

    def __init__(self, call: Callable[[], object], clock: IReactorTime) -> None:
        self.f = call
        self.a = ()
        self.kw = {}
        self.clock = clock

    def __call__(self) -> None:
        """Call, and count the intervals from a whole number of them."""
        if self.interval and self.starttime is not None:
            self.starttime -= self.starttime % self.interval
        super().__call__()


def repeating(call: Callable[[], object], reactor: Reactor) -> LoopingCall:
    """Return a `LoopingCall` of `call`, not started, by the clock of `reactor`. Installs no reactor."""
    return _Repeating(call, cast(IReactorTime, reactor))
